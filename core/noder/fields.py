"""Displacement fields in RAS millimetres. A field is always a pull: output(x) = moving(x + u(x))."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from noder import kernels
from noder.grid import Grid, sample_at_index

_FIXED_POINT_STEPS = 30


@dataclass(frozen=True, eq=False)
class DisplacementField:
    """phi(x) = x + u(x): `u` (3,I,J,K) in RAS mm on `grid`, linear between voxels, constant beyond the edge."""

    u: Tensor
    grid: Grid

    def __post_init__(self) -> None:
        if tuple(self.u.shape) != (3, *self.grid.shape):
            raise ValueError(f"a field on a grid of {self.grid.shape} has shape (3, ...), not {tuple(self.u.shape)}")

    def at(self, points_mm: Tensor) -> Tensor:
        """Displacement in mm at RAS mm points (...,3) -> (...,3)."""
        return self.grid.sample(self.u, points_mm).movedim(0, -1).to(points_mm.dtype)

    def points(self) -> Tensor:
        """(I,J,K,3) float64: phi(x) in RAS mm for every voxel."""
        return self.grid.points() + self.u.movedim(0, -1).double()

    def warp(self, moving: Tensor, moving_grid: Grid, *, outside: str = "edge", nearest: bool = False) -> Tensor:
        """`moving` (C,...) on `moving_grid`, pulled onto this field's grid -> (C,I,J,K)."""
        return moving_grid.sample(moving, self.points(), outside=outside, nearest=nearest)

    def compose(self, inner: DisplacementField) -> DisplacementField:
        """self after inner: x -> self(inner(x)), on inner's grid."""
        return DisplacementField(inner.u + self.at(inner.points()).movedim(-1, 0).to(inner.u), inner.grid)

    def invert(self, tolerance_mm: float = 1e-3, iterations: int = 60) -> tuple[DisplacementField, float]:
        """The field of the inverse map on the same grid, and the largest residual |phi(inverse(x)) - x| in mm.

        The residual counts voxels whose pre-image lies in the grid.
        """
        # in voxel units and float32: this is done for whole volumes, and mm in float64 would cost four times as much
        v = self._voxel_displacement().float()
        target = self.grid.indices().float()
        found = invert_points(
            lambda y: sample_displacement(v, y), target, tolerance_mm / max(self.grid.spacing), iterations
        )
        to_mm = torch.as_tensor(self.grid.affine[:3, :3].copy(), dtype=torch.float32)
        residual = ((found + sample_displacement(v, found) - target) @ to_mm.T).norm(dim=-1)
        inside = ((found >= 0) & (found <= torch.tensor(self.grid.shape) - 1)).all(dim=-1)
        largest = float(residual[inside].max()) if bool(inside.any()) else float(residual.max())
        return DisplacementField(
            ((found - target) @ to_mm.T).movedim(-1, 0).contiguous().to(self.u), self.grid
        ), largest

    def jacobian_determinant(self) -> Tensor:
        """det D phi (I,J,K), by central differences (one-sided at the border)."""
        return central_determinant(self._voxel_displacement())

    def corner_determinant(self) -> Tensor:
        """The smallest of the eight determinants (I,J,K) that one-sided differences give at a voxel.

        These are the determinants of the trilinear map in the corners of the cells around the voxel; where all are
        positive no cell folds at its corners. A forward-difference determinant is one of the eight and misses folds.
        """
        u = self._voxel_displacement()
        smallest = torch.full(self.grid.shape, float("inf"), dtype=u.dtype, device=u.device)
        sides = [_one_sided(u, axis) for axis in range(3)]
        for choice in product((0, 1), repeat=3):
            torch.minimum(smallest, determinant([sides[axis][choice[axis]] for axis in range(3)]), out=smallest)
        return smallest

    def folds(self, mask: Tensor | None = None) -> int:
        """Number of voxels (in `mask`, if given) with a determinant of zero or less at any of its eight corners."""
        folded = self.corner_determinant() <= 0
        return int((folded if mask is None else folded & mask).sum())

    def _voxel_displacement(self) -> Tensor:
        """u in voxel units along the grid's own axes, so that determinants need no spacing or direction."""
        to_voxel = torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=self.u.dtype, device=self.u.device)
        return torch.einsum("ab,bijk->aijk", to_voxel, self.u)


def invert_points(
    displacement: Callable[[Tensor], Tensor],
    target: Tensor,
    tolerance: float = 1e-3,
    iterations: int = 60,
    start: Tensor | None = None,
) -> Tensor:
    """Points y with y + displacement(y) = target (...,3), all in one unit, to within `tolerance` where it converges.

    The plain fixed point y <- target - u(y) does for most points; it stalls where the map shears or stretches much.
    The points that it leaves are finished by Newton steps, halved as long as they make the residual larger.
    """
    goal = target.reshape(-1, 3)
    found = (target if start is None else start).reshape(-1, 3).clone()
    active = torch.arange(len(goal))
    for _ in range(_FIXED_POINT_STEPS):
        whole = len(active) == len(goal)
        trial, wanted = (found, goal) if whole else (found[active], goal[active])
        left = wanted - trial - displacement(trial)
        if whole:
            found = found + left
        else:
            found[active] = trial + left
        moving = left.norm(dim=-1) >= tolerance
        if bool(moving.all()):
            continue
        active = active[moving]
        if not len(active):
            return found.reshape(target.shape)
    found[active] = _newton(displacement, goal[active], found[active], tolerance, iterations)
    return found.reshape(target.shape)


def _newton(
    displacement: Callable[[Tensor], Tensor],
    goal: Tensor,
    start: Tensor,
    tolerance: float,
    iterations: int,
) -> Tensor:
    """Damped Newton for y + displacement(y) = goal (N,3), each point with a step of its own."""
    best = start.clone()
    residual = goal - best - displacement(best)
    error = residual.norm(dim=-1)
    damping = torch.ones_like(error)
    for _ in range(iterations):
        active = (error >= tolerance).nonzero()[:, 0]
        if not len(active):
            break
        y, r = best[active], residual[active]
        step = torch.linalg.lstsq(_map_jacobian(displacement, y), r[..., None]).solution[..., 0]
        trial = y + damping[active, None] * step
        left = goal[active] - trial - displacement(trial)
        size = left.norm(dim=-1)
        better = size < error[active]
        took = active[better]
        best[took], residual[took], error[took] = trial[better], left[better], size[better]
        damping[active] = torch.where(better, (damping[active] * 2).clamp(max=1), damping[active] / 2)
    return best


def _map_jacobian(displacement: Callable[[Tensor], Tensor], y: Tensor, step: float = 1e-2) -> Tensor:
    """I + du/dy (N,3,3) by central differences."""
    shifts = step * torch.eye(3, dtype=y.dtype)
    columns = [(displacement(y + shift) - displacement(y - shift)) / (2 * step) for shift in shifts]
    return torch.eye(3, dtype=y.dtype) + torch.stack(columns, dim=-1)


def warp_voxels(moving: Tensor, u: Tensor) -> Tensor:
    """`moving` (1,I,J,K) at x + u(x), u (3,i,j,k) in voxels -> (1,i,j,k); differentiable in u alone on the CPU."""
    if kernels.usable(moving, u) and u.dtype == torch.float32 and min(moving.shape[1:]) > 1:
        warped: Tensor = _Warp.apply(u, moving)  # type: ignore[no-untyped-call]
        return warped
    axes = [torch.arange(n, dtype=u.dtype, device=u.device) for n in u.shape[1:]]
    return sample_at_index(moving, torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1) + u.movedim(0, -1))


class _Warp(torch.autograd.Function):
    """The compiled warp: value and slope in one pass."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, moving: Tensor) -> Tensor:
        value, slope = kernels.warp(moving.detach().contiguous()[0].numpy(), u.detach().contiguous().numpy())
        ctx.save_for_backward(torch.from_numpy(slope))
        return torch.from_numpy(value)[None]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * upstream, None


def sample_displacement(u: Tensor, index: Tensor) -> Tensor:
    """u (3,I,J,K) at voxel indices (...,3) -> (...,3)."""
    return sample_at_index(u, index).movedim(0, -1)


def _one_sided(u: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Backward and forward differences of u (3,I,J,K) along `axis`; at the border the one that exists, twice."""
    if u.shape[axis + 1] == 1:
        return torch.zeros_like(u), torch.zeros_like(u)
    step = u.diff(dim=axis + 1)
    first, last = step.narrow(axis + 1, 0, 1), step.narrow(axis + 1, step.shape[axis + 1] - 1, 1)
    return torch.cat([first, step], axis + 1), torch.cat([step, last], axis + 1)


def central_determinant(
    u: Tensor, steps: tuple[float, float, float] = (1.0, 1.0, 1.0), box: tuple[slice, slice, slice] | None = None
) -> Tensor:
    """det(I + Du) (i,j,k) of u (3,I,J,K) on planes `steps` apart, by central differences, one-sided at the border.

    In `box` only, where it is given: the planes from which to which along each axis. Along an axis of one plane
    nothing changes.
    """
    i, j, k = box or [slice(0, n) for n in u.shape[1:]]
    if kernels.usable(u):
        return torch.from_numpy(kernels.determinant(u.detach().numpy(), steps, (i, j, k)))
    alone = [n == 1 for n in u.shape[1:]]
    columns = [
        torch.zeros_like(u) if alone[axis] else torch.gradient(u, spacing=steps[axis], dim=axis + 1)[0]
        for axis in range(3)
    ]
    return determinant(columns)[i, j, k]


def determinant(columns: list[Tensor]) -> Tensor:
    """det(I + [columns]) for three displacement derivatives (3,I,J,K) along the grid's axes."""
    (a, d, g), (b, e, h), (c, f, i) = columns
    a, e, i = a + 1, e + 1, i + 1
    det: Tensor = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return det
