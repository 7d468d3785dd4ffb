"""Strokes of a brush on a label map, and their undoing. Pure, no Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noder_viewer.plane import Floats, Plane, Point
from noder_viewer.region_state import Brush

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.labels import LabelMap

Labels = NDArray[np.integer[Any]]
Box = tuple[slice, slice, slice]
MOST_UNDONE = 100


@dataclass(frozen=True, eq=False)
class Stroke:
    """What a stroke changed: the voxels in `box` before and after it."""

    box: Box
    before: Labels
    after: Labels


class Drawing:
    """A label map that strokes change. What `labels` gave before a stroke began is never changed by it."""

    def __init__(self, labels: LabelMap) -> None:
        self.labels = self._base = self._first = labels
        self._reaches_first = True
        self._start: Labels | None = None
        self._last: Point | None = None
        self._touched: Box | None = None
        self._done: list[Stroke] = []
        self._undone: list[Stroke] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a stroke to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a stroke was taken back."""
        return bool(self._undone)

    @property
    def is_drawing(self) -> bool:
        """Whether a stroke has begun and not ended."""
        return self._start is not None

    def begin(self) -> None:
        """A stroke begins."""
        self._base = self.labels
        self._start, self._last, self._touched = self.labels.values, None, None
        self.labels = replace(self.labels, values=self._start.copy())

    def paint(self, plane: Plane, point: Point, brush: Brush) -> None:
        """Paint from where the stroke was to a point in RAS mm on `plane`: no gap, however fast the hand is."""
        values, grid = self.labels.values, self.labels.grid
        ends = grid.to_index(np.array([self._last or point, point], dtype=np.float64))
        if not brush.ball:
            ends[:, plane.axis] = plane.index
        box = capsule_box(grid, ends, brush, plane)
        values[box][capsule(grid, ends, box, brush.radius_mm)] = brush.paints
        self._last = point
        self._touched = box if self._touched is None else _union(self._touched, box)
        self.labels = replace(self.labels)

    def end(self) -> bool:
        """The stroke ends; whether it changed anything."""
        start, box, self._start = self._start, self._touched, None
        if start is None or box is None or (start[box] == self.labels.values[box]).all():
            self.labels = self._base
            return False
        self._reaches_first &= len(self._done) < MOST_UNDONE
        self._done = [*self._done, Stroke(box, start[box].copy(), self.labels.values[box].copy())][-MOST_UNDONE:]
        self._undone = []
        return True

    def undo(self) -> None:
        """Take back the last stroke."""
        if self._done and not self.is_drawing:
            self._undone.append(self._done.pop())
            self._put(self._undone[-1].box, self._undone[-1].before)
            if self._reaches_first and not self._done:
                self.labels = self._first

    def redo(self) -> None:
        """Paint again what was taken back last."""
        if self._undone and not self.is_drawing:
            self._done.append(self._undone.pop())
            self._put(self._done[-1].box, self._done[-1].after)

    def _put(self, box: Box, values: Labels) -> None:
        whole = self.labels.values.copy()
        whole[box] = values
        self.labels = replace(self.labels, values=whole)


def capsule_box(grid: Grid, ends: Floats, brush: Brush, plane: Plane) -> Box:
    """The voxels that a brush may reach between two voxel indices (2,3): a disc stays on the slice of `plane`."""
    reach = brush.radius_mm / np.array(grid.spacing)
    if not brush.ball:
        reach[plane.axis] = 0
    low = np.maximum(np.floor(ends.min(axis=0) - reach), 0)
    stop = np.minimum(np.ceil(ends.max(axis=0) + reach) + 1, grid.shape)
    i, j, k = (slice(int(start), max(int(end), int(start))) for start, end in zip(low, stop, strict=True))
    return i, j, k


def capsule(grid: Grid, ends: Floats, box: Box, radius_mm: float) -> NDArray[np.bool_]:
    """Voxels of `box` within the radius of the line between two voxel indices (2,3), and those that these lie in."""
    axes = [np.arange(part.start, part.stop, dtype=np.float64) for part in box]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    start, stop = grid.to_mm(ends)
    away, along = grid.to_mm(index) - start, stop - start
    part = np.clip(away @ along / max(float(along @ along), 1e-12), 0, 1)
    near = np.linalg.norm(away - part[..., None] * along, axis=-1) <= radius_mm
    under = (np.abs(index[..., None, :] - ends).max(axis=-1) <= 0.5).any(axis=-1)
    found: NDArray[np.bool_] = near | under
    return found


def _union(a: Box, b: Box) -> Box:
    i, j, k = (slice(min(p.start, q.start), max(p.stop, q.stop)) for p, q in zip(a, b, strict=True))
    return i, j, k
