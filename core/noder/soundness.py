"""Whether a map can be trusted at a time: its folds, and how well its inverse undoes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noder import kernels
from noder.fields import DisplacementField
from noder.grid import Grid, Triple
from noder.trajectory import Trajectory

_MOST_POINTS = 60_000
"""The inverse is tried at about so many places, evenly over the image."""


@dataclass(frozen=True)
class Soundness:
    """Of the map at `time`: folded voxels and their share, the smallest determinant at a corner, inverse errors in mm.

    The latter are the mean and the largest of |phi(phi^-1(x)) - x| over a lattice, where the pre-image is in the image.
    """

    time: float
    folds: int
    share: float
    smallest: float
    inverse_mean_mm: float
    inverse_max_mm: float


def soundness(trajectory: Trajectory, t: float) -> Soundness:
    """Look at the whole reference grid at time t, as near as the screen shows the map; folds at all eight corners."""
    grid = trajectory.grid
    smallest, folded = _corners(trajectory.near([torch.arange(n).float() for n in grid.shape], t))
    n_folds = int(folded.sum())
    mean, largest = inverse_errors(trajectory, t)
    return Soundness(t, n_folds, n_folds / grid.n_voxels, smallest, mean, largest)


def inverse_errors(trajectory: Trajectory, t: float) -> tuple[float, float]:
    """Mean and maximum in mm of |phi(phi^-1(x)) - x| over a lattice of the image; 0 at the reference's time."""
    if t == trajectory.t_first:
        return 0.0, 0.0
    grid = trajectory.grid
    points = grid.coarsen(_factors(grid)).points().reshape(-1, 3)
    back = points + trajectory.inverse(points, t)
    index = grid.to_index(back)
    inside = ((index >= 0) & (index <= torch.tensor(grid.shape) - 1)).all(dim=-1)
    if not bool(inside.any()):
        return float("nan"), float("nan")
    left = (back[inside] + trajectory.displacement(back[inside], t) - points[inside]).norm(dim=-1)
    return float(left.mean()), float(left.max())


def folded_slice(trajectory: Trajectory, t: float, axis: int, index: int) -> Tensor:
    """The voxels (I,J,K) of one slice of the reference grid that are folded at any of their eight corners."""
    sides: list[Tensor] = [torch.arange(n).float() for n in trajectory.grid.shape]
    last = len(sides[axis]) - 1
    first = max(index - 1, 0)
    sides[axis] = sides[axis][first : min(index + 1, last) + 1]
    # of a plane across the first axis, as the kernel is fast along a long last one; components follow their axes
    u = trajectory.near(sides, t).movedim(axis + 1, 1)[[axis, *(other for other in range(3) if other != axis)]]
    return _corners(u.contiguous(), 0.0)[1].narrow(0, index - first, 1).movedim(0, axis)


def _corners(u: Tensor, most: float = math.inf) -> tuple[float, Tensor]:
    """The smallest determinant of u (3,I,J,K) in voxels, or `most`, and which voxels are folded."""
    if kernels.usable(u) and min(u.shape[1:]) > 1:
        smallest, folded = kernels.corners(u.numpy(), most)
        return smallest, torch.from_numpy(folded)
    in_voxels = Grid(_triple(u.shape[1:]), torch.eye(4, dtype=torch.float64).numpy())
    corners = DisplacementField(u, in_voxels).corner_determinant()
    return min(float(corners.min()), most), corners <= 0


def _factors(grid: Grid) -> Triple:
    factors = [1, 1, 1]
    while grid.coarsen(_triple(factors)).n_voxels > _MOST_POINTS:
        sides = [f * h for f, h in zip(factors, grid.spacing, strict=True)]
        factors[sides.index(min(sides))] += 1
    return _triple(factors)


def _triple(values: Sequence[int]) -> Triple:
    i, j, k = values
    return i, j, k
