"""Every n-th voxel of a grid: enough for a number over a mask or a smooth map, and soon computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.grid import Grid, Triple


@dataclass(frozen=True)
class Thinned:
    """Every `strides`-th voxel of a grid, from the first on; unlike `Grid.coarsen` these are voxels of it."""

    grid: Grid
    strides: Triple

    def pick(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Of an array (...,I,J,K) on the whole grid the values at the voxels that are left."""
        x, y, z = self.strides
        return volume[..., ::x, ::y, ::z]

    def pick_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """`pick` of a mask; where no voxel of it is left, all of them."""
        picked: NDArray[np.bool_] = self.pick(mask)
        return picked if picked.any() else np.ones_like(picked)


def thinned(grid: Grid, most: int) -> Thinned:
    """At most about `most` voxels of a grid, left out along the finest axes first, so that they stay even in mm."""
    strides = [1, 1, 1]
    while np.prod(_shape(grid, strides)) > most:
        strides[int(np.argmin(np.array(grid.spacing) * strides))] += 1
    x, y, z = strides
    i, j, k = _shape(grid, strides)
    return Thinned(Grid((i, j, k), grid.affine @ np.diag([*strides, 1])), (x, y, z))


def _shape(grid: Grid, strides: list[int]) -> list[int]:
    return [-(-n // stride) for n, stride in zip(grid.shape, strides, strict=True)]
