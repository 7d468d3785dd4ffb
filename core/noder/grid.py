"""Voxel grids in RAS millimetres, and the one place that knows `grid_sample`'s conventions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from noder import kernels

Array = TypeVar("Array", bound="NDArray[Any] | Tensor")
Triple = tuple[int, int, int]

_WORTH_DEALING = 4096
_AXIS_NAMES = ("LR", "PA", "IS")


@dataclass(frozen=True)
class Reorientation:
    """A lossless change of axes: new axis k is old axis `order[k]`, reversed where `flips[k]`."""

    order: Triple
    flips: tuple[bool, bool, bool]

    def apply(self, array: Array) -> Array:
        """Permute and flip the last three axes of `array`."""
        return _flip(_permute(array, self.order), self.flips)

    def undo(self, array: Array) -> Array:
        """Inverse of `apply`."""
        back = cast(Triple, tuple(int(k) for k in np.argsort(self.order)))
        return _permute(_flip(array, self.flips), back)


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of voxels: `shape` (I,J,K) and `affine` (4,4), voxel index -> RAS mm."""

    shape: Triple
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ValueError(f"a grid's affine must be an invertible 4x4 matrix, not {self.affine!r}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", tuple(int(n) for n in self.shape))

    @cached_property
    def inverse_affine(self) -> NDArray[np.float64]:
        """RAS mm -> voxel index."""
        return np.linalg.inv(self.affine).astype(np.float64)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbours along each axis."""
        return cast("tuple[float, float, float]", tuple(np.linalg.norm(self.affine[:3, :3], axis=0).tolist()))

    @property
    def origin(self) -> NDArray[np.float64]:
        """RAS mm of voxel (0,0,0)."""
        return self.affine[:3, 3]

    @property
    def direction(self) -> NDArray[np.float64]:
        """(3,3): column k is the unit vector of axis k."""
        columns: NDArray[np.float64] = self.affine[:3, :3] / np.array(self.spacing)
        return columns

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape))

    @property
    def orientation(self) -> str:
        """The side towards which each axis grows, such as "RAS" or "LPS"."""
        order, signs = _closest_axes(self.affine)
        return "".join(_AXIS_NAMES[axis][int(sign > 0)] for axis, sign in zip(order, signs, strict=True))

    @property
    def obliqueness(self) -> float:
        """Largest angle in degrees between an axis and its closest anatomical axis."""
        return float(np.degrees(np.arccos(np.clip(np.abs(self.direction).max(axis=0).min(), 0, 1))))

    @property
    def is_oblique(self) -> bool:
        """Whether an axis lies more than 0.1 degree off the anatomical ones."""
        return self.obliqueness > 0.1

    @property
    def is_sheared(self) -> bool:
        """Whether the axes are not at right angles (ITK cannot hold such a grid)."""
        gram = self.direction.T @ self.direction
        return bool(np.abs(gram - np.eye(3)).max() > 1e-4)

    @property
    def corners_mm(self) -> NDArray[np.float64]:
        """(8,3): RAS mm of the corner voxels' centres."""
        return self.to_mm(np.array(list(product(*((0, n - 1) for n in self.shape))), dtype=np.float64))

    def matches(self, other: Grid, tolerance_mm: float = 0.1) -> bool:
        """Whether `other` has the same shape and its corners lie within `tolerance_mm`."""
        return self.shape == other.shape and bool(np.abs(self.corners_mm - other.corners_mm).max() <= tolerance_mm)

    def to_mm(self, index: Array) -> Array:
        """Voxel index (...,3) -> RAS mm (...,3)."""
        return _affine(self.affine, index)

    def to_index(self, mm: Array) -> Array:
        """RAS mm (...,3) -> voxel index (...,3)."""
        return _affine(self.inverse_affine, mm)

    def indices(self) -> Tensor:
        """(I,J,K,3) float64: every voxel's index."""
        axes = [torch.arange(n, dtype=torch.float64) for n in self.shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)

    def points(self) -> Tensor:
        """(I,J,K,3) float64: every voxel's centre in RAS mm."""
        return self.to_mm(self.indices())

    def reorientation(self) -> Reorientation:
        """The permutation and flips that lead to the closest RAS grid."""
        world, signs = _closest_axes(self.affine)
        order = tuple(world.index(axis) for axis in range(3))
        return Reorientation(cast(Triple, order), cast("tuple[bool, bool, bool]", tuple(signs[k] < 0 for k in order)))

    def reoriented(self, change: Reorientation) -> Grid:
        """The grid of `change.apply(data)`: the same voxels at the same places."""
        columns = self.affine[:3, list(change.order)].copy()
        origin = self.affine[:3, 3].copy()
        shape = tuple(self.shape[k] for k in change.order)
        for k, flip in enumerate(change.flips):
            if flip:
                origin += columns[:, k] * (shape[k] - 1)
                columns[:, k] *= -1
        return Grid(cast(Triple, shape), _from_parts(columns, origin))

    def coarsen(self, factors: Triple) -> Grid:
        """The grid of block means: `factors` voxels become one, a last partial block counts as whole."""
        step = np.array(factors, dtype=np.float64)
        shape = tuple(-(-n // f) for n, f in zip(self.shape, factors, strict=True))
        origin = self.to_mm((step - 1) / 2)
        return Grid(cast(Triple, shape), _from_parts(self.affine[:3, :3] * step, origin))

    def crop(self, start: Triple, stop: Triple) -> Grid:
        """The voxels from `start` up to, but without, `stop`."""
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        origin = self.to_mm(np.array(start, dtype=np.float64))
        return Grid(cast(Triple, shape), _from_parts(self.affine[:3, :3], origin))

    def slice(self, axis: int, index: int) -> Grid:
        """One slice: the shape along `axis` becomes 1."""
        start, stop = [0, 0, 0], list(self.shape)
        start[axis], stop[axis] = index, index + 1
        return self.crop(cast(Triple, tuple(start)), cast(Triple, tuple(stop)))

    def sample(self, volume: Tensor, points_mm: Tensor, *, outside: str = "edge", nearest: bool = False) -> Tensor:
        """Interpolate `volume` (C,I,J,K), which lives on this grid, at RAS mm `points_mm` (...,3) -> (C,...)."""
        return sample_at_index(volume, self.to_index(points_mm), outside=outside, nearest=nearest)


def sample_at_index(volume: Tensor, index: Tensor, *, outside: str = "edge", nearest: bool = False) -> Tensor:
    """Interpolate `volume` (C,I,J,K) at voxel indices (...,3) -> (C,...).

    `outside` is "edge" (the border value goes on) or "zero"; `nearest` for labels. Differentiable in both arguments.
    """
    padding = {"edge": "border", "zero": "zeros"}[outside]
    if padding == "border" and not nearest and kernels.usable(volume):
        where = index.to(volume.dtype).reshape(-1, 3).contiguous()
        pulled: Tensor = _Pull.apply(volume, where)  # type: ignore[no-untyped-call]
        return pulled.reshape(volume.shape[0], *index.shape[:-1])
    last = torch.tensor(volume.shape[1:], dtype=index.dtype, device=index.device) - 1
    # grid_sample wants (x,y,z) = (K,J,I) order and [-1,1] over the voxel centres; an axis of one voxel has no extent
    scale = torch.where(last > 0, 2 / last.clamp(min=1), torch.zeros_like(last))
    shift = torch.where(last > 0, -torch.ones_like(last), torch.zeros_like(last))
    where = torch.addcmul(shift, index, scale).flip(-1).to(volume.dtype).reshape(-1, 3)
    mode = "nearest" if nearest else "bilinear"
    values = _deal(volume, where, lambda v, at: F.grid_sample(v, at, mode, padding, align_corners=True))
    return values.reshape(volume.shape[0], *index.shape[:-1])


class _Pull(torch.autograd.Function):
    """The compiled sampling, with gradients in the volume (C,I,J,K) and in the indices (N,3)."""

    @staticmethod
    def forward(ctx: Any, volume: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(volume, index)
        return torch.from_numpy(kernels.pull(volume.detach().numpy(), index.detach().numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        volume, index = (tensor.detach().numpy() for tensor in ctx.saved_tensors)
        g = gradient.contiguous().numpy()
        of_volume = torch.from_numpy(kernels.splat(g, index, volume.shape[1:])) if ctx.needs_input_grad[0] else None
        of_index = torch.from_numpy(kernels.pull_slopes(volume, index, g)) if ctx.needs_input_grad[1] else None
        return of_volume, of_index


def _deal(volume: Tensor, points: Tensor, sample: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`sample` the points (N,3) -> (C,N), dealt to as many rows of a batch as there are threads.

    torch's grid_sample works in parallel over the batch alone on the CPU. The values do not depend on the dealing.
    """
    alone = volume.device.type != "cpu" or volume.requires_grad or len(points) < _WORTH_DEALING
    rows = 1 if alone else torch.get_num_threads()
    missing = -len(points) % rows
    dealt = (F.pad(points, (0, 0, 0, missing)) if missing else points).reshape(rows, 1, 1, -1, 3)
    values = sample(volume[None].expand(rows, -1, -1, -1, -1), dealt)
    return values.movedim(1, 0).reshape(volume.shape[0], -1)[:, : len(points)]


def block_mean(volume: Tensor, factors: Triple) -> Tensor:
    """Means of `volume` (C,I,J,K) over blocks of `factors` voxels; lives on `Grid.coarsen(factors)`.

    Of single voxels it is `volume` itself.
    """
    if max(factors) == 1:
        return volume
    pads = [(-n) % f for n, f in zip(volume.shape[1:], factors, strict=True)]
    if any(pads):
        # a partial last block is filled with the border voxel, so that its mean stays inside the range of the image
        volume = F.pad(volume[None], (0, pads[2], 0, pads[1], 0, pads[0]), mode="replicate")[0]
    return F.avg_pool3d(volume[None], factors)[0]


def _affine(matrix: NDArray[np.float64], points: Array) -> Array:
    moved: Any
    if isinstance(points, Tensor):
        m = torch.as_tensor(matrix.copy(), dtype=points.dtype, device=points.device)
        moved = points @ m[:3, :3].T + m[:3, 3]
    else:
        moved = np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]
    return cast(Array, moved)


def _from_parts(columns: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = origin
    return affine


def _closest_axes(affine: NDArray[np.float64]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """For each voxel axis the anatomical axis it follows (0 R, 1 A, 2 S; a permutation) and the sign."""
    return _axes_of(np.ascontiguousarray(affine[:3, :3], dtype=np.float64).tobytes())


@lru_cache(maxsize=64)  # all slices of a volume have these in common
def _axes_of(sides: bytes) -> tuple[tuple[int, ...], tuple[float, ...]]:
    sides_mm = np.frombuffer(sides).reshape(3, 3)
    u, _, vt = np.linalg.svd(sides_mm / np.linalg.norm(sides_mm, axis=0))
    rotation = u @ vt  # the closest orthogonal matrix, so that shear cannot give one axis to two
    weight = np.abs(rotation)
    order = [0, 0, 0]
    for _ in range(3):
        world, axis = (int(n) for n in np.unravel_index(int(weight.argmax()), (3, 3)))
        order[axis] = world
        weight[world, :] = -1
        weight[:, axis] = -1
    return tuple(order), tuple(float(np.sign(rotation[world, axis])) for axis, world in enumerate(order))


def _permute(array: Array, order: Triple) -> Array:
    """Put the last three axes into `order`."""
    lead = array.ndim - 3
    axes = [*range(lead), *(lead + k for k in order)]
    moved: Any = torch.permute(array, axes) if isinstance(array, Tensor) else np.transpose(array, axes)
    return cast(Array, moved)


def _flip(array: Array, flips: tuple[bool, bool, bool]) -> Array:
    """Reverse those of the last three axes whose entry is True."""
    axes = [array.ndim - 3 + k for k in range(3) if flips[k]]
    turned: Any = torch.flip(array, axes) if isinstance(array, Tensor) else np.flip(array, axes)
    return cast(Array, turned)
