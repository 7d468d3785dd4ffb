"""Landmarks of a pair on a slice, and how far the map carries them from each other. Pure functions, no Qt.

Both ride on the picture as it is at the session's time: the dot is where the map carries the landmark of the fixed
image, the ring is the landmark of the moving image. At t = 1 (the fixed image's space) the dot is the fixed landmark as
it was set; at t = 0 the ring is the moving one, where the initial alignment lays it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.pictures import nearest_scan
from noder_viewer.plane import Floats, Plane, to_axes
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from noder.trajectory import Trajectory
    from noder_viewer.session import Session
    from noder_viewer.shown_pair import ShownPair

SLAB_MM = 3.0
"""A landmark is drawn on slices that are at most so far from its dot, or half a slice."""
EXACT_MM = 0.02
"""How well the places are solved for: a tenth of a pixel or less."""

_recent = Recent(per_owner=24)


@dataclass(frozen=True, eq=False)
class Marks:
    """Landmarks near a slice: dots and rings in in-plane mm (N,2), and their rows in the table (N,)."""

    dots: Floats
    rings: Floats
    rows: NDArray[np.intp]


def marks(session: Session, plane: Plane) -> Marks | None:
    """The landmarks to draw on a slice, None for none."""
    shown = session.pair
    if shown is None or shown.landmarks is None or not session.overlays.landmarks:
        return None
    dots, rings = places(session, shown)

    def compute() -> Marks:
        away = np.abs(to_axes(plane.grid, dots)[:, plane.axis] - plane.position_mm)
        near = np.flatnonzero(away <= max(SLAB_MM, plane.grid.spacing[plane.axis] / 2))
        return Marks(plane.to_plane(dots[near]), plane.to_plane(rings[near]), near)

    owner = _map(session) or shown
    return _recent.get(owner, ("marks", _time(session), plane.axis, plane.index), compute)


def places(session: Session, shown: ShownPair) -> tuple[Floats, Floats]:
    """Dots and rings (N,3) in RAS mm on the frame."""
    trajectory, t = _map(session), _time(session)
    if trajectory is None:
        return _recent.get(shown, "places", lambda: _unmoved(shown))
    return _recent.get(trajectory, ("places", t), lambda: _moved(trajectory, shown, t))


def errors_before(shown: ShownPair) -> Floats:
    """(N,) mm: from where the initial transform carries the fixed landmark to the moving one."""
    return _recent.get(shown, "before", lambda: _errors(shown, None))


def errors_after(session: Session) -> Floats | None:
    """(N,) mm: from where the map that is shown carries the fixed landmark to the moving one; None without a map."""
    shown, trajectory = session.pair, session.trajectory
    if shown is None or shown.landmarks is None or trajectory is None:
        return None
    if session.preview is None and shown.errors is not None:
        return shown.errors
    return _recent.get(trajectory, "after", lambda: _errors(shown, trajectory))


def _map(session: Session) -> Trajectory | None:
    """The map that the picture shows: none before the registration."""
    return None if session.show_shown == "before" else session.trajectory


def _time(session: Session) -> float:
    """Of the picture: an observed image has its own."""
    if session.show_shown == "observed" and (found := nearest_scan(session)) is not None:
        return found[1].time
    return session.time


def _unmoved(shown: ShownPair) -> tuple[Floats, Floats]:
    landmarks = shown.landmarks
    if landmarks is None:
        return np.zeros((0, 3)), np.zeros((0, 3))
    import torch

    return landmarks.fixed, shown.pair.to_frame(torch.from_numpy(landmarks.moving)).numpy()


def _moved(trajectory: Trajectory, shown: ShownPair, t: float) -> tuple[Floats, Floats]:
    """phi_t^-1 of phi_1 of the fixed landmark, and of the moving landmark.

    Solved at the points alone: the trajectory's own inverse decodes whole volumes, too slow while the time runs.
    """
    import torch

    from noder.fields import invert_points

    fixed, moving = map(torch.from_numpy, _unmoved(shown))
    goal = torch.cat([fixed + trajectory.displacement(fixed, 1.0), moving])
    found = goal if t == trajectory.t_first else invert_points(lambda y: trajectory.displacement(y, t), goal, EXACT_MM)
    dots = fixed if t == 1.0 else found[: len(fixed)]
    return dots.numpy(), found[len(fixed) :].numpy()


def _errors(shown: ShownPair, trajectory: Trajectory | None) -> Floats:
    landmarks = shown.landmarks
    if landmarks is None:
        return np.zeros(0)
    import torch

    points = torch.from_numpy(landmarks.fixed)
    there = points if trajectory is None else points + trajectory.displacement(points, 1.0)
    away: Floats = (shown.pair.to_moving(there) - torch.from_numpy(landmarks.moving)).norm(dim=-1).numpy()
    return away
