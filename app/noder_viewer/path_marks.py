"""Pathlines on a slice and in space: lines, dots at the scans, and where each point is now. Pure functions, no Qt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.comparison import PULLED_AT
from noder_viewer.followed import Followed, Paths
from noder_viewer.pictures import nearest_scan
from noder_viewer.plane import Floats, Plane, to_axes
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from noder.pathlines import Pathline
    from noder_viewer.session import Session

FADES = ((2.0, 1.0), (6.0, 0.65), (12.0, 0.4), (np.inf, 0.22))
"""Up to so many mm from the slice a path is so strong (1: solid): it is seen whole, and what is near stands out."""

_recent = Recent(per_owner=32)


@dataclass(frozen=True, eq=False)
class Stroke:
    """A stretch of a path in in-plane mm (N,2), of one strength; dashed where it is extrapolated."""

    points: Floats
    colour: str
    strength: float
    dashed: bool


@dataclass(frozen=True, eq=False)
class Dot:
    """A place on a path in in-plane mm."""

    place: tuple[float, float]
    colour: str
    strength: float
    number: int


@dataclass(frozen=True, eq=False)
class PathMarks:
    """What a slice shows of all paths: strokes, dots at the scans, and a marker a point where it is now."""

    strokes: tuple[Stroke, ...]
    dots: tuple[Dot, ...]
    markers: tuple[Dot, ...]


@dataclass(frozen=True, eq=False)
class PathsInSpace:
    """The same in 3D, RAS mm: segments (N,2,3) with colours (N,), dots (M,3), and markers (K,3) with their numbers."""

    segments: Floats
    colours: list[str]
    dots: Floats
    dot_colours: list[str]
    markers: Floats
    marker_colours: list[str]
    numbers: list[int]


def path_marks(session: Session, plane: Plane) -> PathMarks | None:
    """The paths to draw on a slice, None for none."""
    paths = session.paths
    if paths is None or not paths.lines:
        return None
    scans, t = tuple(session.times), picture_time(session)

    def compute() -> PathMarks:
        key = ("lines", scans, plane.axis, plane.index)
        strokes, dots = _recent.get(paths, key, lambda: _still(paths, scans, plane))
        markers = tuple(_dot(plane, line.at(t), point) for point, line in _each(paths))
        return PathMarks(strokes, dots, markers)

    return _recent.get(paths, ("marks", scans, t, plane.axis, plane.index), compute)


def paths_in_space(session: Session) -> PathsInSpace | None:
    """The paths for the 3D canvas, None for none; what is extrapolated has gaps."""
    paths = session.paths
    if paths is None or not paths.lines:
        return None
    segments, colours, dots, dot_colours = [], [], [], []
    for point, line in _each(paths):
        drawn = np.stack([line.places[:-1], line.places[1:]], axis=1)
        shown = ~_beyond(line) | (np.arange(len(drawn)) % 2 == 0)
        segments.append(drawn[shown])
        colours += [point.colour] * int(shown.sum())
        at = line.places[_at_scans(line, session.times)]
        dots.append(at)
        dot_colours += [point.colour] * len(at)
    t, points = picture_time(session), paths.points
    markers = np.array([line.at(t) for line in paths.lines])
    own = [point.colour for point in points]
    return PathsInSpace(
        np.concatenate(segments), colours, np.concatenate(dots), dot_colours, markers, own, [p.number for p in points]
    )


def picture_time(session: Session) -> float:
    """The time of the frame that the slices show: an observed image has its own, and what is not deformed as well."""
    if session.show_shown == "observed" and (found := nearest_scan(session)) is not None:
        return found[1].time
    if session.show_shown == "before":
        return 1.0 - PULLED_AT[session.pulled]
    return session.time


def _each(paths: Paths) -> Iterator[tuple[Followed, Pathline]]:
    return zip(paths.points, paths.lines, strict=True)


def _still(paths: Paths, scans: tuple[float, ...], plane: Plane) -> tuple[tuple[Stroke, ...], tuple[Dot, ...]]:
    strokes = [stroke for point, line in _each(paths) for stroke in _strokes(plane, line, point.colour)]
    dots = [_dot(plane, place, point) for point, line in _each(paths) for place in line.places[_at_scans(line, scans)]]
    return tuple(sorted(strokes, key=lambda stroke: stroke.strength)), tuple(dots)


def _strokes(plane: Plane, line: Pathline, colour: str) -> list[Stroke]:
    """Stretches of equal look: a segment is as strong as its middle is near."""
    flat = plane.to_plane(line.places)
    middles = (line.places[:-1] + line.places[1:]) / 2
    looks = [(_strength(plane, place), bool(out)) for place, out in zip(middles, _beyond(line), strict=True)]
    strokes = []
    for (strength, dashed), run in groupby(range(len(looks)), key=looks.__getitem__):
        numbers = list(run)
        strokes.append(Stroke(flat[numbers[0] : numbers[-1] + 2], colour, strength, dashed))
    return strokes


def _dot(plane: Plane, place: Floats, point: Followed) -> Dot:
    x, y = plane.to_plane(place).tolist()
    return Dot((x, y), point.colour, _strength(plane, place), point.number)


def _strength(plane: Plane, place: Floats) -> float:
    away = abs(float(to_axes(plane.grid, place)[plane.axis]) - plane.position_mm)
    away -= plane.grid.spacing[plane.axis] / 2
    return next(strength for limit, strength in FADES if away <= limit)


def _beyond(line: Pathline) -> NDArray[np.bool_]:
    """Of each segment: whether one of its ends is extrapolated (a scan is a step, so none lies on both sides)."""
    beyond: NDArray[np.bool_] = line.extrapolated[:-1] | line.extrapolated[1:]
    return beyond


def _at_scans(line: Pathline, scans: tuple[float, ...]) -> NDArray[np.bool_]:
    same = np.isclose(line.times[:, None], np.array(scans)[None, :], rtol=1e-9, atol=0)
    found: NDArray[np.bool_] = np.any(same, axis=1)
    return found
