"""Whole frames for the timeline's strip and the 3D canvas. Pure functions, no Qt: for a worker thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.beyond import beyond
from noder_viewer.deformation3d import Deformation3D, arrow_colours, deformation3d
from noder_viewer.motion_lines import motion
from noder_viewer.path_marks import PathsInSpace, paths_in_space
from noder_viewer.pictures import Levels, Picture, frame_levels, nearest_scan, time_words
from noder_viewer.plane import Floats, Plane
from noder_viewer.scene import active_grid

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder_viewer.session import Session

ARROWS_ACROSS = 12
"""Arrows of the 3D canvas along the longest side: more of them hide each other."""
ROBUST = (1, 99)
"""Percentiles of the grey levels that a window starts with."""
TISSUE = 0.1
"""Part of the window above which a voxel counts as tissue that can move."""


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """A small frame (ni,nj) at `time`; `spacing` of its pixels in mm, `flip_x` as in the slice view."""

    time: float
    data: Picture
    spacing: tuple[float, float]
    flip_x: bool


@dataclass(frozen=True, eq=False)
class VolumeScene:
    """What the canvas shows: `data` (I,J,K) on `grid`, arrows at RAS mm `points` (N,3), `vectors` (N,3).

    `beyond` says how far the time lies beyond the scans; empty within them.
    """

    data: Picture
    grid: Grid
    levels: Levels
    points: Floats
    vectors: Floats
    title: str
    beyond: str = ""
    paths: PathsInSpace | None = None
    colours: Floats | None = None
    deformation: Deformation3D | None = None


def thumbnail_times(first: float, last: float, n: int) -> list[float]:
    """The middles of `n` equal parts of a span: frames that stand there side by side fit into it."""
    return [first + (last - first) * (k + 0.5) / n for k in range(n)]


def thumbnail(session: Session, t: float, axis: int = 2, size: int = 72) -> Thumbnail | None:
    """The slice under the cursor at time t, about `size` pixels wide; before a fit the nearest scan."""
    grid = active_grid(session)
    if grid is None:
        return None
    plane = Plane.through(grid, axis, session.cursor_mm)
    step = max(1, -(-max(plane.shape) // size))
    factors = [step, step, step]
    factors[axis] = 1
    coarse = plane.slice_grid.coarsen((factors[0], factors[1], factors[2]))
    data = _frame(session, coarse, t).squeeze(axis)
    a, b = plane.axes
    return Thumbnail(t, data, (coarse.spacing[a], coarse.spacing[b]), plane.flipped(session.radiological))


def volume_scene(session: Session, max_voxels: int = 1_500_000) -> VolumeScene | None:
    """The frame at the session's time, on a grid of at most about `max_voxels`, with its motion arrows."""
    grid = active_grid(session)
    if grid is None:
        return None
    coarse = _coarse(grid, max_voxels)
    data = _frame(session, coarse, session.time)
    points, vectors, colours = _arrows(session, coarse, data)
    kind = "prediction" if session.trajectory is not None else "observed"
    title = f"{kind} at t = {time_words(session, session.time)}"
    return VolumeScene(
        data,
        coarse,
        frame_levels(session),
        points,
        vectors,
        title,
        beyond(session),
        paths_in_space(session),
        colours,
        _deformation(session, coarse, data),
    )


def default_window(*volumes: NDArray[np.float32]) -> Levels:
    """One robust range for all volumes: the 1st to 99th percentile of their voxels together, each scan counted alike.

    Where nearly all is of one value, that of the rest; at least 1 wide where there is nothing else.
    """
    return robust_range([sparse(volume, len(volumes)) for volume in volumes])


def robust_range(samples: Sequence[NDArray[np.float32]]) -> Levels:
    """`default_window` of volumes of which `sparse` has picked the voxels."""
    sample = np.concatenate(samples)
    low, high = np.percentile(sample, ROBUST)
    if low == high:
        rest = sample[sample != low]
        low, high = (low, low + 1.0) if rest.size == 0 else np.percentile(np.append(rest, low), ROBUST)
    return float(low), float(high) if high > low else float(low) + 1.0


def sparse(volume: NDArray[np.float32], n_volumes: int) -> NDArray[np.float32]:
    """Voxels all over one of `n_volumes`, about 400 000 of all together; no copy of the whole is made."""
    most = max(1, 400_000 // n_volumes)
    step = max(1, round((volume.size / most) ** (1 / volume.ndim)))
    return volume[tuple(slice(step // 2, None, step) if n > step else slice(None) for n in volume.shape)].reshape(-1)


def _frame(session: Session, grid: Grid, t: float) -> Picture:
    if session.trajectory is not None:
        volume = session.trajectory.predict(t, grid=grid, carry=session.carry_shown)
        return np.ascontiguousarray(volume[0].cpu().numpy(), dtype=np.float32)
    found = nearest_scan(session, t)
    if found is None:
        return np.zeros(grid.shape, dtype=np.float32)
    image = found[1].image
    return np.ascontiguousarray(image.grid.sample(image.tensor(), grid.points())[0].numpy(), dtype=np.float32)


def _deformation(session: Session, grid: Grid, data: Picture) -> Deformation3D | None:
    look = session.overlays
    if session.trajectory is None or not (look.grid or look.contours or look.quiver):
        return None
    return deformation3d(session.trajectory, session.time, look, _tissue(session, data), grid)


def _tissue(session: Session, data: Picture) -> NDArray[np.bool_]:
    low, high = frame_levels(session)
    found: NDArray[np.bool_] = data > low + TISSUE * (high - low)
    return found


def _arrows(session: Session, grid: Grid, data: Picture) -> tuple[Floats, Floats, Floats]:
    """A sparse lattice of arrows where there is tissue, with their colours: those in air would hide what matters."""
    if session.trajectory is None or not session.overlays.quiver:
        return np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3))
    length = max(n * step for n, step in zip(grid.shape, grid.spacing, strict=True))
    strides = [max(1, round(length / ARROWS_ACROSS / step)) for step in grid.spacing]
    chosen = tuple(slice(stride // 2, None, stride) for stride in strides)
    points = grid.points()[chosen].reshape(-1, 3)[_tissue(session, data)[chosen].reshape(-1)]
    vectors = motion(session.trajectory, session.time, points, session.overlays.since)
    lengths = np.linalg.norm(vectors, axis=1)
    moved = lengths > max(0.1 * float(np.max(lengths, initial=0.0)), 0.02)
    drawn = vectors[moved] * session.overlays.quiver_scale
    colours = arrow_colours(lengths[moved], session.trajectory, session.overlays.since)
    return points.numpy()[moved] - drawn, drawn, colours


def _coarse(grid: Grid, max_voxels: int) -> Grid:
    """Voxels joined along their shorter sides first, until there are few enough."""
    factors = [1, 1, 1]
    while np.prod([-(-n // f) for n, f in zip(grid.shape, factors, strict=True)]) > max_voxels:
        factors[int(np.argmin(np.array(grid.spacing) * factors))] += 1
    return grid if factors == [1, 1, 1] else grid.coarsen((factors[0], factors[1], factors[2]))
