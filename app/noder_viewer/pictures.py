"""The images of a slice: prediction, observed, difference, side by side. Pure functions, no Qt."""

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

_recent = Recent(per_owner=24)


@dataclass(frozen=True, eq=False)
class SliceImage:
    """One picture (ni,nj), x to the right and y upwards; `colormap` is a key of `colormaps.LUTS`.

    `kind` is the word for a read-out, `title` the whole sentence.
    """

    data: Picture
    kind: str
    title: str
    levels: Levels
    colormap: str
    unit: str


def images(session: Session, plane: Plane) -> tuple[SliceImage, ...]:
    """The pictures to show on `plane`; without a trajectory the observed scan whatever was asked for."""
    makers = SHOW[session.show if session.trajectory is not None else "observed"]
    return tuple(image for make in makers if (image := make(session, plane)) is not None)


def nearest_scan(session: Session) -> tuple[int, Scan] | None:
    """Position and scan nearest in time, excluded ones left out (held-out ones are the truth, and shown)."""
    if session.series is None:
        return None
    kept = [(k, scan) for k, scan in enumerate(session.series.scans) if k not in session.exclude]
    return min(kept, key=lambda found: abs(found[1].time - session.time), default=None)


def time_words(session: Session, t: float) -> str:
    """A time with its unit."""
    unit = "" if session.series is None or session.series.unit == "index" else f" {session.series.unit}"
    return f"{t:.4g}{unit}"


def _predicted(session: Session, plane: Plane) -> SliceImage | None:
    if session.trajectory is None:
        return None
    title = f"prediction at t = {time_words(session, session.time)}, {_rule(session)}"
    data = _prediction(session, session.trajectory, plane)
    return SliceImage(data, "prediction", title, session.window, "gray", "intensity")


def _observed(session: Session, plane: Plane) -> SliceImage | None:
    found = nearest_scan(session)
    if found is None:
        return None
    scan = found[1]
    title = f"observed at t = {time_words(session, scan.time)}: {scan.image.name}"
    return SliceImage(_scan_slice(scan, plane), "observed", title, session.window, "gray", "intensity")


def _difference(session: Session, plane: Plane) -> SliceImage | None:
    found = nearest_scan(session)
    if session.trajectory is None or found is None:
        return None
    position, scan = found
    predicted, truth = _prediction(session, session.trajectory, plane), _scan_slice(scan, plane)
    key = ("difference", session.time, session.carry_shown, position, plane.axis, plane.index)
    data = _recent.get(session.trajectory, key, lambda: predicted - truth)
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


def _rule(session: Session) -> str:
    waiting = session.carry_shown != session.carry
    return RULES[session.carry_shown] + (" (its neighbours are being prepared)" if waiting else "")


def _prediction(session: Session, trajectory: Trajectory, plane: Plane) -> Picture:
    carry = session.carry_shown

    def compute() -> Picture:
        return _flat(trajectory.predict(session.time, grid=plane.slice_grid, carry=carry)[0], plane.axis)

    return _recent.get(trajectory, ("prediction", session.time, carry, plane.axis, plane.index), compute)


def _scan_slice(scan: Scan, plane: Plane) -> Picture:
    def compute() -> Picture:
        return np.ascontiguousarray(scan.image.numpy().take(plane.index, axis=plane.axis), dtype=np.float32)

    return _recent.get(scan.image, ("observed", plane.axis, plane.index), compute)


def _flat(volume: Tensor, axis: int) -> Picture:
    """A tensor (I,J,K) of one slice -> (ni,nj) float32."""
    return np.ascontiguousarray(volume.squeeze(axis).cpu().numpy(), dtype=np.float32)
