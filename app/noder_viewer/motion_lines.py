"""Deformation over a slice as lines: a warped grid, and contours of equal motion. Pure functions, no Qt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.colormaps import CONTOURS, GRID
from noder_viewer.lattice import coordinates, sampling
from noder_viewer.overlay_kinds import Colour, Lines, OverlayLook, Stroke
from noder_viewer.plane import Floats, Plane, to_axes
from noder_viewer.recent import Recent
from noder_viewer.ticks import words
from noder_viewer.when import since_words

if TYPE_CHECKING:
    from torch import Tensor

    from noder.grid import Grid
    from noder.trajectory import Trajectory

LEAST_MM = 0.01
"""No contour is drawn of shorter motion: it would be noise."""

_recent = Recent(per_owner=8)
_pulled = Recent(per_owner=8)


def warped_grid(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Lines:
    """Lines of a regular grid of the reference (or of the frame at `look.since`), as they lie in the slice at time t.

    These are the level sets of T_a(x) and T_b(x) at every `grid_spacing_mm`, T = phi_since^-1 o phi_t and a, b the axes
    of the slice: where the slice of the frame at t cuts the planes that tissue has carried along. Points carried by the
    inverse map would leave the slice wherever tissue moves through it, and be drawn on anatomy that is elsewhere.
    """
    grid, moved = _motion(trajectory, t, plane, look.since)
    there = to_axes(plane.grid, grid.points().numpy() - moved)
    x, y = coordinates(grid, plane)
    middle = to_axes(plane.grid, plane.grid.to_mm((np.array(plane.grid.shape) - 1) / 2))
    lines = []
    for axis in plane.axes:
        values = there[..., axis].squeeze(plane.axis)
        lines += level_sets(x, y, values, _levels(values, float(middle[axis]), look.grid_spacing_mm))
    every = f"{words(look.grid_spacing_mm)} mm"
    title = f"grid{since_words(trajectory, look.since)}: lines move with the tissue"
    return Lines(title, (_stroke(lines, GRID, f"every {every}"),))


def contours(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Lines:
    """Lines of equal length of motion in mm, all directions counted, at steps of 1, 2 and 5."""
    grid, moved = _motion(trajectory, t, plane, look.since)
    x, y = coordinates(grid, plane)
    length = np.linalg.norm(moved, axis=-1).squeeze(plane.axis)
    levels = contour_scale(trajectory, look)
    strokes = tuple(
        _stroke(level_sets(x, y, length, [level]), colour, words(level) + (" mm" if level == levels[-1][0] else ""))
        for level, colour in levels
    )
    return Lines(f"length of motion{since_words(trajectory, look.since)}", strokes)


def motion(trajectory: Trajectory, t: float, points_mm: Tensor, since: float | None = None) -> Floats:
    """(...,3) RAS mm: how far the tissue at points (...,3) at time t has come since `since`, None: the reference."""
    if since is None:
        u = trajectory.displacement(points_mm, t)
    else:
        u = trajectory.between(points_mm, since, t)
    found: Floats = -u.detach().cpu().numpy().astype(np.float64)
    return found


def motion_on(trajectory: Trajectory, t: float, grid: Grid, since: float | None = None) -> Floats:
    """(I,J,K,3): the same at the points of a grid, as near as the screen shows it, where it costs far less."""
    if since is None:
        found: Floats = (
            -trajectory.near_field(grid, t).u.detach().cpu().numpy().astype(np.float64).transpose(1, 2, 3, 0)
        )
        return found
    return motion(trajectory, t, grid.points(), since)


def coloured_levels(trajectory: Trajectory, since: float | None = None) -> tuple[tuple[float, Colour], ...]:
    """The levels of the contours in mm with their colours: one set for all times and slices."""
    largest = _recent.get(trajectory, ("largest", since), lambda: _largest(trajectory, since))
    levels = round_levels(largest, len(CONTOURS))
    return tuple(zip(levels, CONTOURS[-len(levels) :] if levels else (), strict=True))


def contour_scale(trajectory: Trajectory, look: OverlayLook) -> tuple[tuple[float, Colour], ...]:
    """The levels that `contours` draws."""
    return coloured_levels(trajectory, look.since)


def is_contour_scale_known(trajectory: Trajectory, look: OverlayLook) -> bool:
    """Whether `contour_scale` would have to compute nothing."""
    return _recent.has(trajectory, ("largest", look.since))


def round_levels(largest: float, most: int) -> list[float]:
    """At most `most` numbers of the row 1, 2, 5, 10, ... up to `largest`, ascending."""
    if largest < LEAST_MM:
        return []
    top = math.floor(math.log10(largest)) + 1
    row = [float(f"{f}e{power}") for power in range(top - most, top + 1) for f in (1, 2, 5)]
    return [level for level in row if LEAST_MM <= level <= largest][-most:]


def level_sets(x: Floats, y: Floats, values: Floats, levels: list[float]) -> list[Floats]:
    """Where `values` (len(x), len(y)) pass the levels: points (N,2), nan between two lines, one array a level."""
    from contourpy import LineType, contour_generator

    if min(values.shape) < 2:
        return []
    found = contour_generator(x, y, values.T, name="serial", line_type=LineType.ChunkCombinedNan)
    return [part for level in levels for part in found.lines(level)[0] if part is not None]


def _motion(trajectory: Trajectory, t: float, plane: Plane, since: float | None) -> tuple[Grid, Floats]:
    """The points of `sampling` and their motion, for the grid and the contours of one slice."""

    def compute() -> tuple[Grid, Floats]:
        grid = sampling(plane)
        return grid, motion_on(trajectory, t, grid, since)

    return _pulled.get(trajectory, (t, plane.axis, plane.index, since), compute)


def _levels(values: Floats, middle: float, spacing: float) -> list[float]:
    """The lines that pass `middle` at every `spacing`, as far as the values go."""
    first, last = math.ceil((values.min() - middle) / spacing), math.floor((values.max() - middle) / spacing)
    return [middle + k * spacing for k in range(first, last + 1)]


def _stroke(lines: list[Floats], colour: Colour, label: str) -> Stroke:
    apart = np.full((1, 2), np.nan)
    x, y = np.concatenate([part for line in lines for part in (line, apart)] or [np.zeros((0, 2))]).T
    return Stroke(x, y, colour, label)


def _largest(trajectory: Trajectory, since: float | None) -> float:
    i, j, k = (-(-n // 24) for n in trajectory.grid.shape)
    points = trajectory.grid.coarsen((i, j, k)).points().reshape(-1, 3)
    times = np.linspace(trajectory.t_first, trajectory.t_last, 5)
    return max(float(np.linalg.norm(motion(trajectory, float(t), points, since), axis=1).max()) for t in times)
