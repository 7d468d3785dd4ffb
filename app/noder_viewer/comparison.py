"""The pictures of a slice; of a pair those that compare: before, after, checkerboard, flicker. Pure functions, no Qt.

One image is pulled onto the other along the timeline: the moving one is whole at t = 1, the fixed one at t = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.pictures import SHOW, Picture, SliceImage, flat, levels_of, scan_slice, time_words
from noder_viewer.plane import Plane
from noder_viewer.recent import Recent
from noder_viewer.session import COMPARISONS
from noder_viewer.words import LAID

if TYPE_CHECKING:
    from noder_viewer.session import Pulled, Session
    from noder_viewer.shown_pair import ShownPair

MOVING, FIXED = 0, 1
PULLED_AT: dict[Pulled, float] = {"moving": 1.0, "fixed": 0.0}
"""The time at which the pulled image lies on the other."""

_recent = Recent(per_owner=96)  # a lightbox shows up to 60 at a time


def images(session: Session, plane: Plane) -> tuple[SliceImage, ...]:
    """The pictures to show on `plane`."""
    show = session.show_shown
    if session.pair is not None and show in COMPARISONS:
        return (_compared(session, session.pair, plane),)
    return tuple(image for make in SHOW[show] if (image := make(session, plane)) is not None)


def readings(session: Session, plane: Plane) -> list[tuple[str, Picture]]:
    """What a read-out tells of the slice: the word and the values, each in its image's own scale."""
    if session.pair is None or session.show_shown not in COMPARISONS:
        return [(image.kind, image.data) for image in images(session, plane)]
    other = "fixed" if session.pulled == "moving" else "moving"
    words = session.pulled if session.show_shown == "before" else "pulled"
    return [(other, _still(session, _other(session), plane)), (words, _pulled(session, plane)[0])]


def wants_inverse(session: Session) -> bool:
    """Whether the picture needs the inverse map, which a live preview does not have yet."""
    return session.pulled == "fixed" and session.show_shown in COMPARISONS[1:] and session.pair is not None


def end_of(session: Session) -> float:
    """The time at which the pulled image lies on the other one."""
    return PULLED_AT[session.pulled]


def _compared(session: Session, shown: ShownPair, plane: Plane) -> SliceImage:
    show, position = session.show_shown, _position(session)
    data, words = _pulled(session, plane)
    other = shown.names[1 - position]
    if show == "checkerboard":
        squares = f"squares of {session.square_mm:g} mm of {other} and of {words.removeprefix('after: ')}"
        return SliceImage(_checkered(session, shown, plane), show, squares, session.window, "gray", "intensity")
    if show == "flicker" and not session.flicker:
        still = _still(session, 1 - position, plane)
        return SliceImage(still, show, f"flicker: {other}", levels_of(session, 1 - position), "gray", "intensity")
    title = f"flicker: {words}" if show == "flicker" else words
    return SliceImage(data, show, title, levels_of(session, position), "gray", "intensity")


def _pulled(session: Session, plane: Plane) -> tuple[Picture, str]:
    """The image that is pulled, on its way or there, and the words for it."""
    shown, position = session.pair, _position(session)
    if shown is None:
        raise ValueError("no pair is open: there is nothing to compare")
    name, other = shown.names[position], shown.names[1 - position]
    still = _still(session, position, plane)
    if session.show_shown == "before":
        laid = f"laid on {other} {LAID[shown.pair.initial.kind]}" if position == MOVING else "not deformed"
        return still, f"before: {name}, {laid}"
    trajectory, t = session.trajectory, session.time
    if trajectory is None or (position == FIXED and not trajectory.is_prepared):
        return still, f"{name}, still as before: the map is being computed"

    def compute() -> Picture:
        without, carry = (None, "first") if position == MOVING else (MOVING, "neighbours")
        volume = trajectory.predict(t, grid=plane.slice_grid, carry=carry, without=without)  # type: ignore[arg-type]
        return flat(volume[0], plane.axis)

    data = _recent.get(trajectory, (session.pulled, t, plane.axis, plane.index), compute)
    if t == end_of(session):
        return data, f"after: {name} pulled onto {other}"
    return data, f"{name} on its way to {other}, t = {time_words(session, t)}"


def _checkered(session: Session, shown: ShownPair, plane: Plane) -> Picture:
    """Even squares show the other image, odd ones the pulled one; all in the fixed image's grey levels."""
    data, words = _pulled(session, plane)
    still = _still(session, _other(session), plane)
    a, b = shown.scale

    def compute() -> Picture:
        moving, fixed = (data, still) if session.pulled == "moving" else (still, data)
        like_fixed = moving if (a, b) == (1.0, 0.0) else a * moving + b
        pulled, other = (like_fixed, fixed) if session.pulled == "moving" else (fixed, like_fixed)
        mixed: Picture = np.where(odd_squares(plane, session.square_mm), pulled, other).astype(np.float32)
        return mixed

    owner = session.trajectory or shown
    key = ("squares", words, session.pulled, session.square_mm, session.time, plane.axis, plane.index)
    return _recent.get(owner, key, compute)


def odd_squares(plane: Plane, size_mm: float) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(ni,nj): the voxels of every other square, counted in mm from the slice's first voxel."""
    i, j = (
        np.floor(np.arange(n) * step / size_mm).astype(int) for n, step in zip(plane.shape, plane.spacing, strict=True)
    )
    odd: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (i[:, None] + j[None, :]) % 2 == 1
    return odd


def _still(session: Session, position: int, plane: Plane) -> Picture:
    if session.series is None:
        raise ValueError("no series is open: there is nothing to compare")
    return scan_slice(session.series.scans[position], plane)


def _position(session: Session) -> int:
    return MOVING if session.pulled == "moving" else FIXED


def _other(session: Session) -> int:
    return 1 - _position(session)
