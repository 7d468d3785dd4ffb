"""The nodes at which a neural field is evaluated, and the cubics that lead from there to the voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from noder.decoder import SeparableDecoder
from noder.flow import every_second
from noder.grid import Grid, Triple
from noder.separable import cubic_matrix

FEWEST = 4
"""Nodes along an axis at least, where there are so many voxels: what a cubic needs."""

_APART = 3.5
"""Voxels between nodes, from which on every second voxel carries what they say."""
_FEWEST_TO_HALVE = 16


@dataclass(frozen=True)
class NodeDecoder(SeparableDecoder):
    """u = W c: cubic convolution (Keys 1981) through `nodes`, spread evenly from the first voxel to the last.

    c are values of u at the nodes, not control points beside it.
    """

    grid: Grid
    nodes: Triple

    @classmethod
    def every(cls, grid: Grid, voxels: float) -> NodeDecoder:
        """Nodes every so many voxels of the finest axis, or a little nearer."""
        mm = voxels * min(grid.spacing)
        x, y, z = (
            min(n, max(FEWEST, math.ceil((n - 1) * h / mm - 1e-9) + 1))
            for n, h in zip(grid.shape, grid.spacing, strict=True)
        )
        return cls(grid, (x, y, z))

    @property
    def shape(self) -> Triple:
        """Number of nodes along each axis."""
        return self.nodes

    def at_voxels(self, axis: int, index: NDArray[np.int_]) -> NDArray[np.float64]:
        """(len(index), n): four nodes count for a voxel, all of them a little at the ends."""
        return _cubic(self.nodes[axis], self.grid.shape[axis])[index]

    def carrier(self, grid: Grid) -> Grid:
        """Where maps are composed: every second voxel of `grid` along the axes where the nodes lie four voxels apart.

        How far that is from composing on all voxels: `bench/bench_nephi.py`.
        """
        apart = [
            (n - 1) * h / max(m - 1, 1) for n, h, m in zip(self.grid.shape, self.grid.spacing, self.nodes, strict=True)
        ]
        axes = [
            mm > _APART * h and n >= _FEWEST_TO_HALVE for mm, h, n in zip(apart, grid.spacing, grid.shape, strict=True)
        ]
        return every_second(grid, axes)

    def reach(self, axis: int, low: float, high: float) -> slice:
        """The nodes that voxels from `low` to `high` along an axis read."""
        n, m = self.grid.shape[axis], self.nodes[axis]
        scale = (m - 1) / max(n - 1, 1)
        first = math.floor(min(max(low, 0), n - 1)) * scale
        last = math.ceil(min(max(high, 0), n - 1)) * scale
        return slice(max(math.floor(first) - 1, 0), min(math.floor(last) + 3, m))


@lru_cache(maxsize=32)
def _cubic(m: int, n: int) -> NDArray[np.float64]:
    return cubic_matrix(m, n).double().numpy()
