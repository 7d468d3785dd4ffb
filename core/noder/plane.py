"""One slice of a grid as a flat picture: in-plane millimetres, sides and letters. Pure geometry.

In-plane coordinates are millimetres along the grid's own axes: c = D^-1 p for a point p in RAS mm and the
grid's direction matrix D. On a grid that is not oblique they are the RAS coordinates themselves; on an
oblique one the picture stays the voxels' own, undistorted, and only the numbers are turned.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from noder.grid import Grid

Point = tuple[float, float, float]
Floats = NDArray[np.float64]

PLANE_NAMES = ("Sagittal", "Coronal", "Axial")
IN_PLANE = ((1, 2), (0, 2), (0, 1))
"""For each slice axis the grid axes drawn to the right and upwards."""
POSITIVE, NEGATIVE = "RAS", "LPI"


@dataclass(frozen=True)
class Letters:
    """The anatomical side at each edge of the screen."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True)
class Plane:
    """Slice `index` of `axis` (0 sagittal, 1 coronal, 2 axial) of a closest-RAS `grid`."""

    grid: Grid
    axis: int
    index: int

    @classmethod
    def through(cls, grid: Grid, axis: int, point_mm: Point) -> Plane:
        """The slice nearest to a point in RAS mm, inside the grid."""
        return cls(grid, axis, slice_index(grid, axis, point_mm))

    @property
    def axes(self) -> tuple[int, int]:
        """The grid axes drawn to the right and upwards (before any flip)."""
        return IN_PLANE[self.axis]

    @property
    def shape(self) -> tuple[int, int]:
        """Voxels to the right and upwards."""
        a, b = self.axes
        return self.grid.shape[a], self.grid.shape[b]

    @property
    def spacing(self) -> tuple[float, float]:
        """Voxel size in mm to the right and upwards."""
        a, b = self.axes
        return self.grid.spacing[a], self.grid.spacing[b]

    @property
    def origin(self) -> tuple[float, float]:
        """In-plane mm of the centre of voxel (0, 0)."""
        a, b = self.axes
        corner = to_axes(self.grid, self.grid.origin)
        return float(corner[a]), float(corner[b])

    @cached_property
    def slice_grid(self) -> Grid:
        """The grid of this slice alone: one voxel thick."""
        return self.grid.slice(self.axis, self.index)

    @property
    def position_mm(self) -> float:
        """Place of the slice along its axis, in mm along that axis."""
        return float(to_axes(self.grid, self.slice_grid.origin)[self.axis])

    def to_mm(self, x_mm: float, y_mm: float) -> Point:
        """In-plane mm -> RAS mm on this slice."""
        along = np.empty(3)
        a, b = self.axes
        along[[a, b, self.axis]] = x_mm, y_mm, self.position_mm
        r, anterior, s = (self.grid.direction @ along).tolist()
        return r, anterior, s

    def to_plane(self, points_mm: Floats) -> Floats:
        """RAS mm (...,3) -> in-plane mm (...,2); also turns vectors, since the map has no offset."""
        return to_axes(self.grid, points_mm)[..., list(self.axes)]

    def flipped(self, radiological: bool) -> bool:
        """Whether the horizontal axis runs to the left on screen.

        Anterior is on the left of a sagittal slice. Elsewhere the patient's right is on the screen's right
        (neurological), or on its left (radiological: patient's left on the screen's right).
        """
        return True if self.axis == 0 else radiological

    def letters(self, radiological: bool) -> Letters:
        """The sides at the edges of the screen; for an oblique grid the closest ones."""
        a, b = self.axes
        left, right = NEGATIVE[a], POSITIVE[a]
        if self.flipped(radiological):
            left, right = right, left
        return Letters(left, right, top=POSITIVE[b], bottom=NEGATIVE[b])

    @property
    def title(self) -> str:
        """Name, place and number (from 1) of the slice; ⊥: mm along an oblique slice's normal, which have no side."""
        mm, count = self.position_mm, self.grid.shape[self.axis]
        oblique = self.grid.is_oblique
        place = f"⊥ {mm:.1f}" if oblique else f"{(POSITIVE if mm >= 0 else NEGATIVE)[self.axis]} {abs(mm):.1f}"
        return f"{PLANE_NAMES[self.axis]} {place} mm · {self.index + 1}/{count}".replace("-", "−")


def to_axes(grid: Grid, points_mm: Floats) -> Floats:
    """RAS mm points or vectors (...,3) -> mm along the grid's own axes (...,3)."""
    return np.asarray(points_mm, dtype=np.float64) @ np.linalg.inv(grid.direction).T


def slice_index(grid: Grid, axis: int, point_mm: Point) -> int:
    """Number of the slice of `axis` nearest to a point in RAS mm, clipped to the grid."""
    index = grid.to_index(np.array(point_mm, dtype=np.float64))[axis]
    return int(np.clip(np.rint(index), 0, grid.shape[axis] - 1))
