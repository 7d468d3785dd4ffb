"""The pictures of a slice: prediction, observed, difference, side by side. Pure functions, no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.plane import Plane
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from torch import Tensor

    from noder.series import Scan
    from noder.trajectory import Trajectory
    from noder_viewer.session import Session

Picture = NDArray[np.float32]
Levels = tuple[float, float]

RULES = {"neighbours": "neighbouring scans carried", "first": "first scan carried"}
PAIR_RULES = {"neighbours": "both images carried and blended", "first": "moving image carried"}

_recent = Recent(per_owner=96)  # a lightbox shows up to 60 at a time


@dataclass(frozen=True, eq=False)
class SliceImage:
    """One picture (ni,nj), x to the right and y upwards; `colormap` is a key of `colormaps.LUTS`.

    `kind` is the word for a read-out, `title` the whole sentence; gamma and opacity as in `layers.Look`.
    """

    data: Picture
    kind: str
    title: str
    levels: Levels
    colormap: str
    unit: str
    gamma: float = 1.0
    opacity: float = 1.0


def nearest_scan(session: Session, t: float | None = None) -> tuple[int, Scan] | None:
    """Position and scan nearest to t (None: the session's time).

    Excluded ones are left out; held-out ones are the truth, and shown.
    """
    if session.series is None:
        return None
    kept = [(k, scan) for k, scan in enumerate(session.series.scans) if k not in session.exclude]
    time = session.time if t is None else t
    return min(kept, key=lambda found: abs(found[1].time - time), default=None)


def time_words(session: Session, t: float) -> str:
    """A time with its unit."""
    unit = "" if session.series is None or session.series.unit == "index" else f" {session.series.unit}"
    return f"{t:.4g}{unit}"


def levels_of(session: Session, position: int) -> Levels:
    """Grey levels for a scan: of a pair the moving image may have a scale of its own."""
    if session.pair is None or position != 0:
        return session.window
    return session.pair.in_moving(session.window)


def frame_levels(session: Session) -> Levels:
    """Grey levels for whole frames of what is carried, as on the timeline and in 3D."""
    if session.trajectory is None and (found := nearest_scan(session)) is not None:
        return levels_of(session, found[0])
    return levels_of(session, 0) if session.carry_shown == "first" else session.window


def _predicted(session: Session, plane: Plane) -> SliceImage | None:
    if session.trajectory is None:
        return None
    title = f"prediction at t = {time_words(session, session.time)}, {_rule(session)}"
    data = _prediction(session, session.trajectory, plane)
    return SliceImage(data, "prediction", title, frame_levels(session), "gray", "intensity")


def _observed(session: Session, plane: Plane) -> SliceImage | None:
    found = nearest_scan(session)
    if found is None:
        return None
    position, scan = found
    role = "" if session.pair is None else ("moving, ", "fixed, ")[position]
    title = f"observed at t = {time_words(session, scan.time)}: {role}{scan.image.name}"
    levels = levels_of(session, position)
    return SliceImage(scan_slice(scan, plane), "observed", title, levels, "gray", "intensity")


def _difference(session: Session, plane: Plane) -> SliceImage | None:
    found = nearest_scan(session)
    if session.trajectory is None or found is None:
        return None
    position, scan = found
    predicted, truth = _prediction(session, session.trajectory, plane), scan_slice(scan, plane)
    key = ("difference", session.time, session.carry_shown, position, plane.axis, plane.index)
    carried = 0 if session.carry_shown == "first" else 1

    def compute() -> Picture:
        return _like_fixed(session, carried, predicted) - _like_fixed(session, position, truth)

    data = _recent.get(session.trajectory, key, compute)
    half = (session.window[1] - session.window[0]) / 2
    t, t_scan = time_words(session, session.time), time_words(session, scan.time)
    title = f"prediction at t = {t} − observed at t = {t_scan}"
    return SliceImage(data, "difference", title, (-half, half), "difference", "difference")


SHOW: dict[str, tuple[Callable[[Session, Plane], SliceImage | None], ...]] = {
    "prediction": (_predicted,),
    "observed": (_observed,),
    "difference": (_difference,),
    "side by side": (_observed, _predicted),
}


def _like_fixed(session: Session, position: int, data: Picture) -> Picture:
    """Of a pair whose images have scales of their own: the moving image's values on the fixed one's."""
    if session.pair is None or position != 0 or session.pair.scale == (1.0, 0.0):
        return data
    gain, offset = session.pair.scale
    return gain * data + offset


def _rule(session: Session) -> str:
    waiting = session.carry_shown != session.carry
    rules = RULES if session.pair is None else PAIR_RULES
    return rules[session.carry_shown] + (" (its neighbours are being prepared)" if waiting else "")


def _prediction(session: Session, trajectory: Trajectory, plane: Plane) -> Picture:
    carry = session.carry_shown

    def compute() -> Picture:
        return flat(trajectory.predict(session.time, grid=plane.slice_grid, carry=carry)[0], plane.axis)

    return _recent.get(trajectory, ("prediction", session.time, carry, plane.axis, plane.index), compute)


def scan_slice(scan: Scan, plane: Plane) -> Picture:
    """The voxels of a scan on a slice (ni,nj)."""

    def compute() -> Picture:
        return np.ascontiguousarray(scan.image.numpy().take(plane.index, axis=plane.axis), dtype=np.float32)

    return _recent.get(scan.image, _key(plane), compute)


def is_at_hand(scan: Scan, plane: Plane) -> bool:
    """Whether `scan_slice` has no file to read."""
    image = scan.image
    return image.path is None or image.is_loaded or _recent.has(image, _key(plane))


def _key(plane: Plane) -> tuple[str, int, int]:
    return "observed", plane.axis, plane.index


def flat(volume: Tensor, axis: int) -> Picture:
    """A tensor (I,J,K) of one slice -> (ni,nj) float32."""
    return np.ascontiguousarray(volume.squeeze(axis).cpu().numpy(), dtype=np.float32)
