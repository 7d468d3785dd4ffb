"""Growth of a trajectory beside J at a time: between any two times, and its rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from noder.decoder import Matrices, apply_separable
from noder.fields import DisplacementField
from noder.grid import Grid, Triple
from noder.trajectory import Trajectory

_TIME_STEP = 1e-3
"""Half the step of differences in time, in spans of the seen scans."""
_KEPT_VOXELS = 500_000
"""J at the time since when is kept on at most about so many voxels."""


@dataclass(frozen=True, eq=False)
class GrowthThen:
    """J at `time`, the `values` (I,J,K) on a `grid` of few voxels: it is as smooth as the map, and read in between."""

    time: float
    values: Tensor
    grid: Grid


def growth_then(trajectory: Trajectory, t: float) -> GrowthThen:
    """What `growth_since` needs of the time since when; it is the same for all times of one look."""
    grid, factors = trajectory.grid, [1, 1, 1]
    while grid.coarsen(_triple(factors)).n_voxels > _KEPT_VOXELS:
        sides = [f * h for f, h in zip(factors, grid.spacing, strict=True)]
        factors[sides.index(min(sides))] += 1
    few = grid.coarsen(_triple(factors))
    return GrowthThen(t, trajectory.jacobian(t, few), few)


def growth_since(then: GrowthThen, trajectory: Trajectory, t: float, grid: Grid | None = None) -> Tensor:
    """J(x,t) / J(T(x),s) (I,J,K) on the frame at t, with s = `then.time` and T = phi_s^-1 o phi_t: above 1 is larger.

    Negative where the map folds at one of the two times.
    """
    grid = grid or trajectory.grid
    points = grid.points()
    place = points + trajectory.between(points, then.time, t)
    return trajectory.jacobian(t, grid) / then.grid.sample(then.values[None], place)[0]


def growth_rate(trajectory: Trajectory, t: float, grid: Grid | None = None) -> Tensor:
    """div w (I,J,K) on the frame at t, per unit of time: how fast the tissue at x grows there and then.

    w(x,t) = -(D phi)^-1 d phi/dt is the tissue's own velocity: a particle keeps its place phi_t(x) in the reference. So

        div w = -tr(A^-1 D phi_t') - sum_k w_k tr(A^-1 d_k A),   A = D phi_t,  ' = d/dt

    which is d/dt log J along the path of the particle. By central differences, in time over a thousandth of the span of
    the scans and in space between the planes of `grid` (of a slice: to its neighbours), one-sided at the border; any
    orientation, since a divergence is the same along any straight axes. Where a piecewise map bends at a scan it is the
    mean of both sides. nan where the map folds.
    """
    grid = grid or trajectory.grid
    axis = min(range(3), key=lambda k: grid.shape[k])
    planes = [_rate_on_slice(trajectory, t, grid.slice(axis, k)) for k in range(grid.shape[axis])]
    return torch.cat(planes, dim=axis)


def _rate_on_slice(trajectory: Trajectory, t: float, grid: Grid) -> Tensor:
    around, derivatives = _with_neighbours(grid, trajectory.grid)
    h = _TIME_STEP * (trajectory.t_last - trajectory.t_first)
    before, after = (_in_voxels(trajectory.field(around, moment)) for moment in (t - h, t + h))
    return _divergence((before + after) / 2, (after - before) / (2 * h), derivatives)


def _divergence(u: Tensor, rate: Tensor, derivatives: list[Matrices]) -> Tensor:
    """div w of phi = x + u and d phi/dt = `rate`, both (3,I,J,K) in voxels.

    `derivatives` holds the matrices along the axes for values, first and second derivatives.
    """

    def along(field: Tensor, *axes: int) -> Tensor:
        x, y, z = (derivatives[axes.count(axis)][axis] for axis in range(3))
        return apply_separable((x, y, z), field)

    columns = [along(u, k) for k in range(3)]
    for k, column in enumerate(columns):
        column[k] += 1
    a, b, c = columns
    rows = [torch.linalg.cross(b, c, dim=0), torch.linalg.cross(c, a, dim=0), torch.linalg.cross(a, b, dim=0)]
    det = (a * rows[0]).sum(0)
    here, out = along(rate), torch.zeros_like(det)
    for j in range(3):
        out -= (rows[j] * along(rate, j)).sum(0) / det
        for k in range(3):
            w = -(rows[k] * here).sum(0) / det
            out -= w * (rows[j] * along(u, j, k)).sum(0) / det
    return torch.where(det > 0, out, torch.nan)


def _with_neighbours(grid: Grid, whole: Grid) -> tuple[Grid, list[Matrices]]:
    """`grid` with a plane more on each side along its axes of one plane, as far as these lie in `whole`.

    And the matrices from its planes to the values, first and second derivatives on those of `grid`, a voxel apart.
    """
    start, stop = [0, 0, 0], list(grid.shape)
    middle = (torch.tensor(grid.shape, dtype=torch.float64) - 1) / 2
    for axis in range(3):
        if grid.shape[axis] == 1:
            start[axis], stop[axis] = (
                side if _holds(whole, grid.to_mm(middle + side * torch.eye(3)[axis].double())) else 0
                for side in (-1, 1)
            )
            stop[axis] += 1
    around = grid.crop(_triple(start), _triple(stop))
    by_axis = [_derivatives(b - a, -a, n) for a, b, n in zip(start, stop, grid.shape, strict=True)]
    return around, [(by_axis[0][k], by_axis[1][k], by_axis[2][k]) for k in range(3)]


@lru_cache(maxsize=32)
def _derivatives(n: int, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(count,n) each: the value, first and second derivative at `count` of n planes; second ones are 0 at the ends."""
    value = torch.eye(n)
    slope, bend = torch.zeros(n, n), torch.zeros(n, n)
    for k in range(n if n > 1 else 0):
        before, after = max(k - 1, 0), min(k + 1, n - 1)
        slope[k, before] -= 1 / (after - before)
        slope[k, after] += 1 / (after - before)
        if after - before == 2:
            bend[k, before : after + 1] = torch.tensor([1.0, -2.0, 1.0])
    return value[first : first + count], slope[first : first + count], bend[first : first + count]


def _in_voxels(field: DisplacementField) -> Tensor:
    to_voxel = torch.as_tensor(field.grid.inverse_affine[:3, :3].copy(), dtype=field.u.dtype)
    return (to_voxel @ field.u.flatten(1)).reshape(field.u.shape)


def _holds(grid: Grid, point_mm: Tensor) -> bool:
    index = grid.to_index(point_mm)
    return bool(((index > -1e-6) & (index < torch.tensor(grid.shape) - 1 + 1e-6)).all())


def _triple(values: Sequence[int]) -> Triple:
    i, j, k = values
    return i, j, k
