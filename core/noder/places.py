"""How the grids that are asked for lie to a decoder's; kept, since a slice is asked for at many times."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.decoder import Matrices, SeparableDecoder, aligned_axes, as_tensor
from noder.grid import Grid, Reorientation, Triple
from noder.kept import Kept

Axes = list[NDArray[np.float64]]
_Kind = Callable[[int, "NDArray[np.float64]"], "NDArray[np.float64]"]
_KEPT = 64
"""Three slices, with a lattice for each kind of overlay, and what other threads ask for."""


class Place:
    """A grid seen from the decoder's: its change to closest RAS, and its planes' voxel coordinates along each axis."""

    def __init__(self, change: Reorientation, axes: Axes | None, places: Places) -> None:
        self.change = change
        self.axes = [torch.as_tensor(axis) for axis in axes or ()]
        self._given, self._places = axes or [], places

    @property
    def is_aligned(self) -> bool:
        """Whether the axes of both grids are parallel; there are no matrices and no coordinates else."""
        return bool(self.axes)

    @cached_property
    def rows(self) -> Matrices:
        """The decoder's matrices for the planes; made when they are asked for, as maps of velocities need none."""
        return self._places.rows(self._given)

    @cached_property
    def slopes(self) -> Matrices:
        """Those of their derivatives."""
        return self._places.slopes(self._given)


class Places:
    """The last few places and matrices of a decoder. A window asks from several threads."""

    def __init__(self, decoder: SeparableDecoder) -> None:
        self.decoder = decoder
        self._places: Kept[tuple[Triple, bytes], Place] = Kept(_KEPT)
        self._matrices: Kept[tuple[str, int, bytes], Tensor] = Kept(_KEPT)

    def of(self, grid: Grid) -> Place:
        """Where `grid` lies."""
        return self._places.get((grid.shape, grid.affine.tobytes()), lambda: self._seen(grid))

    def rows(self, axes: Axes) -> Matrices:
        """The decoder's matrices at voxel coordinates along each axis."""
        return self._of_axes(self.decoder.rows, axes)

    def slopes(self, axes: Axes) -> Matrices:
        """Those of the derivatives per voxel there."""
        return self._of_axes(self.decoder.slopes, axes)

    def _seen(self, grid: Grid) -> Place:
        change = grid.reorientation()
        return Place(change, aligned_axes(self.decoder.grid, grid.reoriented(change)), self)

    def _of_axes(self, kind: _Kind, axes: Axes) -> Matrices:
        x, y, z = (self._matrix(kind, axis, index) for axis, index in enumerate(axes))
        return x, y, z

    def _matrix(self, kind: _Kind, axis: int, index: NDArray[np.float64]) -> Tensor:
        """A decoder's matrix; those of whole axes are kept, since all slices across the others share them."""
        if len(index) == 1:
            return as_tensor(kind(axis, index))
        key = (kind.__name__, axis, index.tobytes())
        return self._matrices.get(key, lambda: as_tensor(kind(axis, index)))
