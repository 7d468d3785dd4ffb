"""Fits of the same scans from several seeds, side by side: how far their maps differ, place by place."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noder.grid import Grid
from noder.trajectory import Trajectory


def maps_of(trajectory: Trajectory) -> tuple[Trajectory, ...]:
    """All maps of an ensemble, its first one in front; a fit from one seed is alone."""
    return (trajectory, *trajectory.others)


def displacement_sd(maps: Sequence[Trajectory], grid: Grid, t: float) -> Tensor:
    """Standard deviation over the maps of the displacement at time t on `grid`: (I,J,K) in mm, as near as on screen.

    Of the vector: the root of the summed variances (over n - 1) of its three components. Raises ValueError for a
    single map, which has none.
    """
    if len(maps) < 2:
        raise ValueError("a standard deviation over seeds needs two maps or more")
    return torch.stack([each.near_field(grid, t).u.double() for each in maps]).var(0).sum(0).sqrt()


def root_mean_square(sd: Tensor, mask: Tensor) -> float:
    """One number for a map of standard deviations (I,J,K) in `mask` (I,J,K): the root of the mean variance."""
    return float(sd[mask].square().mean().sqrt())
