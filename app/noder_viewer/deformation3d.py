"""Deformation in space: a warped grid, surfaces of equal motion, colours of arrows. Pure functions, no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.colormaps import CONTOURS
from noder_viewer.motion_lines import coloured_levels, motion_on
from noder_viewer.overlay_kinds import Colour
from noder_viewer.plane import Floats
from noder_viewer.ticks import words
from noder_viewer.when import since_words

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.trajectory import Trajectory
    from noder_viewer.session import OverlaySettings

LINES_ACROSS = 12
"""Lines of the grid along the longest side at most: more of them hide each other."""
PER_MESH = 3
"""Pieces of a line between two others."""
MOST_VOXELS = 150_000
"""Of the volume that surfaces are found in."""
SURFACES = 3
"""Surfaces at most, those of the largest motions: they lie within each other."""


def _nothing() -> Floats:
    return np.zeros((0, 3))


@dataclass(frozen=True, eq=False)
class Deformation3D:
    """Pieces of lines from `start` along `along` (N,3), and `faces` (F,3) between `vertices` (V,3), RAS mm.

    `colours` (V,3) are those of the vertices, 0 to 1. `legend`: colours and what they mean.
    """

    start: Floats = field(default_factory=_nothing)
    along: Floats = field(default_factory=_nothing)
    vertices: Floats = field(default_factory=_nothing)
    faces: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), dtype=np.int64))
    colours: Floats = field(default_factory=_nothing)
    legend: tuple[tuple[Colour, str], ...] = ()
    title: str = ""


def deformation3d(
    trajectory: Trajectory, t: float, look: OverlaySettings, tissue: NDArray[np.bool_], grid: Grid
) -> Deformation3D:
    """What `look` asks for at time t; `tissue` (I,J,K) on `grid` says where lines are drawn."""
    start, along, every = _nothing(), _nothing(), 0.0
    vertices, faces, colours = _nothing(), np.zeros((0, 3), dtype=np.int64), _nothing()
    if look.grid:
        start, along, every = warped_lines(trajectory, t, look, tissue, grid)
    if look.contours:
        vertices, faces, colours = surfaces(trajectory, t, look.since)
    legend: list[tuple[Colour, str]] = []
    if look.quiver or look.contours:
        legend += [(colour, words(level)) for level, colour in coloured_levels(trajectory, look.since)]
    named = f"mm moved{since_words(trajectory, look.since)}" if legend else ""
    grid_words = f"grid of {words(every)} mm" if look.grid else ""
    title = ", ".join(part for part in (named, grid_words) if part)
    return Deformation3D(start, along, vertices, faces, colours, tuple(legend), title)


def warped_lines(
    trajectory: Trajectory, t: float, look: OverlaySettings, tissue: NDArray[np.bool_], grid: Grid
) -> tuple[Floats, Floats, float]:
    """Pieces of the lines of a regular grid of the reference (or of the frame at `look.since`), carried to time t.

    In space nothing is cut, so that the points themselves are carried: X -> phi_t^-1(phi_since(X)). Every so many mm,
    a multiple of `grid_spacing_mm`; where there is tissue at t.
    """
    whole = trajectory.grid
    sides = [(n - 1) * h for n, h in zip(whole.shape, whole.spacing, strict=True)]
    every = look.grid_spacing_mm * max(1, math.ceil(max(sides) / LINES_ACROSS / look.grid_spacing_mm))
    pieces = [_family(trajectory, t, look.since, axis, every, sides) for axis in range(3)]
    ends = np.concatenate(pieces)
    seen = _inside(ends[:, 0], tissue, grid) & _inside(ends[:, 1], tissue, grid)
    return ends[seen, 0], ends[seen, 1] - ends[seen, 0], every


def surfaces(trajectory: Trajectory, t: float, since: float | None) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Where motion has the lengths of the contours: vertices in RAS mm (V,3), faces (F,3), colours (V,3)."""
    from skimage.measure import marching_cubes

    grid = _coarse(trajectory.grid)
    length = np.linalg.norm(motion_on(trajectory, t, grid, since), axis=-1)
    levels = [pair for pair in coloured_levels(trajectory, since) if length.min() < pair[0] < length.max()]
    parts, faces, colours, n = [_nothing()], [np.zeros((0, 3), dtype=np.int64)], [_nothing()], 0
    for level, colour in levels[-SURFACES:]:
        if min(length.shape) < 2:
            continue
        index, sides, _, _ = marching_cubes(length, level)
        parts.append(grid.to_mm(index.astype(np.float64)))
        faces.append(sides.astype(np.int64) + n)
        colours.append(np.tile(np.array(colour) / 255, (len(index), 1)))
        n += len(index)
    return np.concatenate(parts), np.concatenate(faces), np.concatenate(colours)


def arrow_colours(lengths_mm: Floats, trajectory: Trajectory, since: float | None) -> Floats:
    """(N,3), 0 to 1: the colour of the largest contour that a motion (N,) reaches, or of the smallest."""
    levels = coloured_levels(trajectory, since)
    table = np.array([colour for _, colour in levels] or [CONTOURS[-1]], dtype=np.float64) / 255
    reached = np.searchsorted([level for level, _ in levels], lengths_mm, side="right") - 1
    found: Floats = table[np.clip(reached, 0, len(table) - 1)]
    return found


def _family(
    trajectory: Trajectory, t: float, since: float | None, axis: int, every: float, sides: list[float]
) -> Floats:
    """(N,2,3) RAS mm: both ends of the pieces of all lines along one axis."""
    import torch

    whole = trajectory.grid
    places = []
    for k, (side, spacing) in enumerate(zip(sides, whole.spacing, strict=True)):
        step = every / PER_MESH if k == axis else every
        count = int(side // 2 // step)
        places.append((side / 2 + step * np.arange(-count, count + 1)) / spacing)
    index = np.moveaxis(np.stack(np.meshgrid(*places, indexing="ij"), axis=-1), axis, 0)
    points = torch.from_numpy(whole.to_mm(np.ascontiguousarray(index)))
    if since is None:
        moved = points + trajectory.inverse(points, t)
    else:
        moved = points + trajectory.between(points, t, since)
    lines = moved.numpy()
    return np.stack([lines[:-1], lines[1:]], axis=-2).reshape(-1, 2, 3)


def _inside(points: Floats, tissue: NDArray[np.bool_], grid: Grid) -> NDArray[np.bool_]:
    index = np.rint(grid.to_index(points)).astype(int)
    held = ((index >= 0) & (index < grid.shape)).all(axis=1)
    i, j, k = np.clip(index, 0, np.array(grid.shape) - 1).T
    found: NDArray[np.bool_] = held & tissue[i, j, k]
    return found


def _coarse(grid: Grid) -> Grid:
    factors = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(grid.shape, factors, strict=True)]) > MOST_VOXELS:
        factors[int(np.argmin(np.array(grid.spacing) * factors))] += 1
    return grid.coarsen((factors[0], factors[1], factors[2]))
