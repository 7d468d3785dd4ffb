"""Where on a slice a map is looked at: it is smooth, so that far fewer points than voxels will do. No Qt, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.plane import Plane

if TYPE_CHECKING:
    from noder.grid import Grid

MOST_ALONG = 96
"""Points of `sampling` along a side of a slice."""
VOXELS_APART = 2.0
"""Fits decode their maps on every second voxel."""


def lattice(plane: Plane, spacing_mm: float) -> Grid:
    """Points of the slice, regular and centred in it: a grid, whose motion costs far less than that of loose points."""
    steps = [spacing_mm / spacing for spacing in plane.spacing]
    counts = [int((n - 1) // step) + 1 for n, step in zip(plane.shape, steps, strict=True)]
    return _grid(plane, counts, steps, 1.0)


def sampling(plane: Plane) -> Grid:
    """Points from edge to edge of the slice, about two of its smaller voxels apart, as much to its neighbours."""
    longest = max((n - 1) * step for n, step in zip(plane.shape, plane.spacing, strict=True))
    apart = max(VOXELS_APART * min(plane.grid.spacing), longest / MOST_ALONG)
    counts = [math.ceil((n - 1) * step / apart) + 1 for n, step in zip(plane.shape, plane.spacing, strict=True)]
    counts = [min(count, n) for count, n in zip(counts, plane.shape, strict=True)]
    steps = [(n - 1) / max(count - 1, 1) or 1.0 for n, count in zip(plane.shape, counts, strict=True)]
    return _grid(plane, counts, steps, max(1.0, apart / plane.grid.spacing[plane.axis]))


def spread(values: NDArray[np.float32], plane: Plane) -> NDArray[np.float32]:
    """Values at the points of `sampling` (m,n) -> on the voxels of the slice (ni,nj), linear in between."""
    for axis, n in enumerate(plane.shape):
        values = _between(np.moveaxis(values, axis, 0), n)
        values = np.moveaxis(values, 0, axis)
    return np.ascontiguousarray(values, dtype=np.float32)


def coordinates(grid: Grid, plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In-plane mm of the columns and rows of a grid of points on the slice."""
    a, b = plane.axes
    x, y = plane.to_plane(grid.origin).tolist()
    return x + grid.spacing[a] * np.arange(grid.shape[a]), y + grid.spacing[b] * np.arange(grid.shape[b])


def _grid(plane: Plane, counts: Sequence[int], steps: Sequence[float], across: float) -> Grid:
    """`counts` points, `steps` voxels apart, centred in the slice."""
    shape, step, start = [1, 1, 1], np.full(3, across), np.zeros(3)
    start[plane.axis] = plane.index
    for axis, n, count, apart in zip(plane.axes, plane.shape, counts, steps, strict=True):
        shape[axis], step[axis] = count, apart
        start[axis] = ((n - 1) - (count - 1) * apart) / 2
    affine = plane.grid.affine.copy()
    affine[:3, 3] = plane.grid.to_mm(start)
    affine[:3, :3] *= step
    i, j, k = shape
    return type(plane.grid)((i, j, k), affine)


def _between(values: NDArray[np.float32], n: int) -> NDArray[np.float32]:
    """`values` (m,...) from the first to the last of n places -> (n,...)."""
    place = np.linspace(0, len(values) - 1, n)
    below = np.minimum(place.astype(int), max(len(values) - 2, 0))
    part = (place - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, len(values) - 1)
    found: NDArray[np.float32] = (1 - part) * values[below] + part * values[above]
    return found
