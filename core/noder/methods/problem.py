"""What a method is given, what it tells of each step, and the losses of a map at one resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder import kernels
from noder.composition import Box
from noder.decoder import SeparableDecoder
from noder.fields import warp_voxels
from noder.grid import Grid, Triple, block_mean
from noder.regularity import FORMS, Folding
from noder.separable import Separable
from noder.similarity import LocalNCC


@dataclass(frozen=True, eq=False)
class Problem:
    """The seen scans of a series: `images` (1,I,J,K) with unit standard deviation in `mask` (I,J,K), all on `grid`.

    `taus` are their times in spans: 0 for the reference, which comes first, 1 for the last.
    """

    images: tuple[Tensor, ...]
    taus: tuple[float, ...]
    mask: Tensor
    grid: Grid

    @property
    def voxel_mm(self) -> float:
        """The finest spacing: the unit of settings and coefficients."""
        return min(self.grid.spacing)


@dataclass(frozen=True)
class Iteration:
    """One step of an optimisation: its stage, its cost beside other steps, weighted losses by name."""

    stage: str
    cost: float
    losses: dict[str, float]


class Weights(Protocol):
    """The settings that the losses of a level read."""

    @property
    def window(self) -> int:
        """Width of the similarity's window in voxels of the finest axis."""

    @property
    def smoothness(self) -> float:
        """Weight of `regularity.Smoothness`."""

    @property
    def boundary(self) -> float:
        """Weight of `regularity.Boundary`."""

    @property
    def folding(self) -> float:
        """Weight of `regularity.Folding`."""


class Matching:
    """How unlike a warped image is to each of `others` (1,I,J,K), and the gradient of that in the displacement.

    `moving` is sampled at x + u(x) + `origin`, u in voxels; `weight` (I,J,K) is the weight of each window. `like` is
    one of the same size that is never asked at the same time: the two then work in the same memory.
    """

    def __init__(
        self,
        moving: Tensor,
        others: Sequence[Tensor],
        ncc: LocalNCC,
        weight: Tensor,
        origin: Triple = (0, 0, 0),
        like: Matching | None = None,
    ) -> None:
        self._moving, self._ncc, self._weight, self._origin = moving, ncc, weight, origin
        self._fixed = [ncc.prepare(image) for image in others]
        self._rooms: dict[Triple, _Room] = {} if like is None else like._rooms

    def __call__(self, u: Tensor, scan: int) -> tuple[float, Tensor]:
        """For u (3,I,J,K) and `others[scan - 1]`; the gradient (3,I,J,K) stands until the next call.

        Raises ValueError for a u on another grid.
        """
        if u.shape[1:] != self._weight.shape:
            raise ValueError(f"the displacement is on {tuple(u.shape[1:])} voxels, not {tuple(self._weight.shape)}")
        if kernels.usable(u, self._moving) and u.dtype == torch.float32:
            return self._compiled(u, scan)
        where = (u + u.new_tensor(self._origin)[:, None, None, None]).requires_grad_()
        loss = self._ncc(self._fixed[scan - 1], warp_voxels(self._moving, where), self._weight)
        (gradient,) = torch.autograd.grad(loss, where)
        return float(loss.detach()), gradient

    def _compiled(self, u: Tensor, scan: int) -> tuple[float, Tensor]:
        shape = cast(Triple, tuple(u.shape[1:]))
        if shape not in self._rooms:
            self._rooms[shape] = _Room.of(shape)
        room = self._rooms[shape]
        kernels.warp(self._moving[0].numpy(), u.numpy(), room.value, room.gradient, self._origin)
        loss, _ = self._ncc.correlate(self._fixed[scan - 1], room.value, self._weight, room.maps, room.gradient)
        return loss, torch.from_numpy(room.gradient)


@dataclass(frozen=True)
class _Room:
    """Arrays that the kernels write into again and again: fresh ones cost as much as filling them."""

    value: NDArray[np.float32]
    gradient: NDArray[np.float32]
    maps: NDArray[np.float32]

    @classmethod
    def of(cls, shape: Triple) -> _Room:
        field = (3, *shape)
        return cls(np.empty(shape, np.float32), np.empty(field, np.float32), np.empty(field, np.float32))


class Level:
    """The losses on images reduced by `factors`, each with its gradient; the first image is warped onto the others.

    All losses are shares of the mean over the scans, weighted by the settings. `grid` is that of the whole images,
    `inside` the part of it that the windows in the mask reach: nothing else is compared, or computed at full size,
    unless it is to be the `whole`, for a penalty on folds that holds everywhere. `like` shares its memory, see
    `Matching`.
    """

    def __init__(
        self,
        problem: Problem,
        decoder: SeparableDecoder,
        factors: Triple,
        settings: Weights,
        *,
        whole: bool = False,
        like: Level | None = None,
    ) -> None:
        self.settings = settings
        self.grid = problem.grid.coarsen(factors)
        self.is_full_size = max(factors) == 1
        self.name = "full size" if self.is_full_size else f"1/{max(factors)} size"
        device = problem.mask.device
        self._share = 1 / (len(problem.images) - 1)
        weight = block_mean(problem.mask[None].float(), factors)[0]
        weight = weight * (self._share / weight.sum())
        window = window_voxels(self.grid, settings.window)
        self.box = cast(Box, tuple(slice(0, n) for n in weight.shape)) if whole else _reach(weight, window)
        origin, ends = cast(Triple, tuple(s.start for s in self.box)), cast(Triple, tuple(s.stop for s in self.box))
        self.inside = self.grid.crop(origin, ends)
        matrices = decoder.matrices(self.grid)
        self._decode = Separable(decoder.matrices(self.inside), keeps=True).to(device)
        self._to_voxel = (
            torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=torch.float32, device=device)
            * problem.voxel_mm
        )
        self._forms = {name: form(matrices, self.grid, problem.voxel_mm).to(device) for name, form in FORMS.items()}
        moving, *others = [block_mean(image, factors) for image in problem.images]
        parts = [other[(slice(None), *self.box)].contiguous() for other in others]
        shared = None if like is None else like._matching
        self._matching: Matching = Matching(
            moving, parts, LocalNCC(window), weight[self.box].contiguous(), origin, shared
        )

    def displacement(self, c: Tensor) -> Tensor:
        """Coefficients (3,a,b,c) -> displacement (3,I,J,K) on `inside`, in voxels; it stands until the next call."""
        return self._decode((self._to_voxel @ c.flatten(1)).reshape(c.shape))

    def taken_back(self, gradient: Tensor) -> Tensor:
        """The transpose of `displacement`: a gradient (3,I,J,K) in the displacement -> one in the coefficients."""
        found = self._decode.transposed(gradient)
        return (self._to_voxel.T @ found.flatten(1)).reshape(found.shape)

    def match(self, u: Tensor, scan: int) -> tuple[float, Tensor]:
        """How unlike the reference, warped by u on `inside`, is to scan number `scan` (1 is the second image).

        With its gradient in u (3,I,J,K), which stands until the next call.
        """
        return self._matching(u.detach().contiguous(), scan)

    def folding(self, u: Tensor, gradient: Tensor) -> dict[str, float]:
        """The folding of u (3,I,J,K) in voxels of any grid, with its gradient added in place; none without a weight."""
        u = u.detach().contiguous()
        scale = self._share * self.settings.folding / Folding.count(u)
        return {"folding": scale * Folding().add_gradient(u, gradient, scale)} if scale > 0 else {}

    def regularity(self, c: Tensor, share: float = 1.0) -> tuple[dict[str, float], Tensor]:
        """Smoothness and boundary of the field W c, from the coefficients alone, and their gradient in c.

        `share` times what they weigh for a scan.
        """
        losses, total = {}, torch.zeros_like(c)
        for name, form in self._forms.items():
            weight = share * self._share * float(getattr(self.settings, name))
            if weight != 0:
                value, gradient = form.with_gradient(c.detach())
                losses[name] = weight * float(value)
                total += weight * gradient
        return losses, total

    def displacement_losses(self, c: Tensor, scan: int) -> tuple[dict[str, float], Tensor]:
        """All losses of phi = id + W c at one scan, and their gradient in c."""
        u = self.displacement(c.detach())
        similarity, gradient = self.match(u, scan)
        folding = self.folding(u, gradient)
        regular, regular_gradient = self.regularity(c)
        return {"similarity": similarity, **folding, **regular}, self.taken_back(gradient) + regular_gradient


def added(each: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sums by name."""
    totals: dict[str, float] = {}
    for losses in each:
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals


def pyramid(grid: Grid, counts: tuple[int, int, int]) -> list[tuple[Triple, int]]:
    """Reduction an axis and number of iterations, at a quarter, a half and full size; thick slices are reduced less."""
    return [(_factors(grid, f), count) for f, count in zip((4, 2, 1), counts, strict=True) if count > 0]


def window_voxels(grid: Grid, width: int) -> Triple:
    """An odd number of voxels an axis, as wide in mm as `width` voxels of the finest axis, and at least 3."""
    reach = width * min(grid.spacing)
    x, y, z = (max(3, 2 * int(reach / h / 2) + 1) for h in grid.spacing)
    return x, y, z


def _reach(weight: Tensor, window: Triple) -> Box:
    """The box of the voxels that windows of any `weight` (I,J,K) see; two voxels or more an axis."""
    boxes = []
    for axis, width in enumerate(window):
        others = [other for other in range(3) if other != axis]
        where = weight.amax(dim=others).nonzero()
        n, reach = weight.shape[axis], width // 2
        stop = min(int(where[-1]) + reach + 1, n)
        boxes.append(slice(max(min(int(where[0]) - reach, stop - 2), 0), stop))
    x, y, z = boxes
    return x, y, z


def _factors(grid: Grid, reduction: int) -> Triple:
    voxel = min(grid.spacing)
    wanted = [max(1, round(reduction * voxel / h)) for h in grid.spacing]
    x, y, z = (min(f, max(1, n // 8)) for f, n in zip(wanted, grid.shape, strict=True))
    return x, y, z
