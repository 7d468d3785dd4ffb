"""Methods side by side: what a pane shows of one plane, with its score. Pure functions, no Qt.

At the very time of a scan that a fit has seen, every prediction is made without that scan, as it is scored: else the
neighbours, the nearest scan and the blend would all show the scan itself.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from noder_viewer import fit_rows
from noder_viewer.beyond import beyond
from noder_viewer.fit_words import status_words
from noder_viewer.pictures import Picture, SliceImage, flat, nearest_scan, scan_slice, time_words
from noder_viewer.plane import Plane
from noder_viewer.recent import Recent
from noder_viewer.scene import SliceScene, is_extrapolated, slice_scene
from noder_viewer.session import MOST_PANES, PANES, SCORES, Methods, Pane, Session

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.preprocess import Gain
    from noder.series import Scan
    from noder.trajectory import Trajectory

_FIT = "fit "

_recent = Recent(per_owner=24)


def pane_of(key: int) -> Pane:
    """The pane that shows the fit with that key."""
    return f"{_FIT}{key}"


def choices(session: Session) -> dict[Pane, str]:
    """What a pane can show, with its name: the fits that there are or will be, then `PANES`."""
    rows = [row for row in session.fits if row.status not in ("failed", "cancelled")]
    return {pane_of(row.key): row.name for row in rows if row.asked.leave_one_out is None} | PANES


def message(session: Session, pane: Pane) -> str:
    """What a pane says while its fit has nothing to show yet."""
    row = fit_rows.found(session.fits, int(pane.removeprefix(_FIT))) if pane.startswith(_FIT) else None
    return "" if row is None else f"{row.name}: {status_words(row, session.progress)}"


def shown_panes(session: Session) -> tuple[Pane, ...]:
    """The panes of the session; those of fits that have gone are left out."""
    known = choices(session)
    return tuple(pane for pane in session.methods.panes if pane in known)


def standard_panes(session: Session) -> tuple[Pane, ...]:
    """What is compared at first: the observed scan, the fits (the shown one first), then the blend."""
    fits = [pane for pane in choices(session) if pane.startswith(_FIT)]
    fits.sort(key=lambda pane: pane != pane_of(session.shown_fit))
    return tuple(["observed", *fits[: MOST_PANES - 1], "blend", "nearest"][:MOST_PANES])


def with_pane(methods: Methods, position: int, pane: Pane) -> Methods:
    """Another choice in one pane; "" takes the pane away, a position after the last adds one."""
    panes = [*methods.panes]
    panes[position : position + 1] = [pane] if pane else []
    return replace(methods, panes=tuple(panes[:MOST_PANES]))


def pane_scene(session: Session, pane: Pane) -> SliceScene | None:
    """What a pane shows at the session's time and cursor, with the overlays of its own fit."""
    axis = session.methods.axis
    if session.series is None:
        return None
    result = result_of(session, pane)
    if pane.startswith(_FIT):
        if result is None and (session.preview is None or pane != pane_of(session.shown_fit)):
            return None
        seen = _as_if_shown(session, pane, result)
        return slice_scene(seen, axis, partial(_fit_images, name=choices(session).get(pane, ""), result=result))
    bare = replace(session, result=None, preview=None)
    scene = slice_scene(bare, axis, partial(_plain_images, pane=pane, of=session))
    if scene is None:
        return None
    if pane == "observed":  # a scan is never extrapolated, whatever the time is that it stands for
        return replace(scene, extrapolated=False, beyond="")
    return replace(scene, extrapolated=is_extrapolated(session), beyond=beyond(session))


def score(session: Session, pane: Pane) -> float | None:
    """The score of a pane's prediction at the scan that is shown; None where there is none."""
    found, result = nearest_scan(session), result_of(session, pane)
    if found is None or result is None or result.report is None or pane == "observed":
        return None
    name = session.carry if pane.startswith(_FIT) else pane
    value = result.report.rows[found[0]].get(name, {}).get(session.methods.score)
    return None if value is None else float(value)


def score_words(session: Session, pane: Pane) -> str:
    """The score and its scan in words."""
    found, value = nearest_scan(session), score(session, pane)
    if pane == "observed" or found is None:
        return ""
    if value is None:
        return "not scored"
    measure = session.methods.score
    digits = f"{value:.1f} dB" if measure.startswith("psnr") else f"{value:.4f}"
    return f"{SCORES[measure]} {digits} at scan {found[0]} ({_role(session, pane, found[0])})"


def _role(session: Session, pane: Pane, position: int) -> str:
    result = result_of(session, pane)
    if result is None or result.report is None:
        return ""
    role = str(result.report.rows[position]["role"])
    return f"{role}, without itself" if role == "seen" else role


def result_of(session: Session, pane: Pane) -> FitResult | None:
    """The fit that a pane shows; for what needs none the one that is shown, which has scored it."""
    if not pane.startswith(_FIT):
        return session.result
    row = fit_rows.found(session.fits, int(pane.removeprefix(_FIT)))
    return None if row is None else row.result


def _as_if_shown(session: Session, pane: Pane, result: FitResult | None) -> Session:
    """The session as it would be with the pane's fit on screen."""
    if result is None:  # it runs, and is followed
        return replace(session, show="prediction")
    return replace(session, result=result, preview=None, series=result.series, show="prediction")


def _fit_images(session: Session, plane: Plane, *, name: str, result: FitResult | None) -> tuple[SliceImage, ...]:
    trajectory = session.trajectory
    if trajectory is None:
        return _plain_images(session, plane, pane="observed", of=session)
    pane = next((p for p in choices(session) if p.startswith(_FIT) and result_of(session, p) is result), "")
    without = _own_position([scan.time for scan in trajectory.scans], session.time)
    data = _predicted(session, trajectory, plane, without)
    words = score_words(session, pane) if result is not None else "preview"
    return (_image(session, plane, data, name, words),)


def _predicted(session: Session, trajectory: Trajectory, plane: Plane, without: int | None) -> Picture:
    carry, t = session.carry_shown, session.time
    left_out = without if carry == "neighbours" and len(trajectory.scans) > 1 else None

    def compute() -> Picture:
        found = trajectory.predict(t, grid=plane.slice_grid, carry=carry, without=left_out)
        return flat(found[0], plane.axis)

    return _recent.get(trajectory, ("without itself", t, carry, left_out, plane.axis, plane.index), compute)


def _plain_images(session: Session, plane: Plane, *, pane: Pane, of: Session) -> tuple[SliceImage, ...]:
    """What needs no fit: scans that the shown fit has seen (`of` knows it), in the grey levels it has matched."""
    found = nearest_scan(session)
    if found is None:
        return ()
    if pane == "observed":
        position, scan = found
        title = f"Observed scan {position}, t = {time_words(session, scan.time)}"
        return (SliceImage(scan_slice(scan, plane), "observed", title, session.window, "gray", "intensity"),)
    weights = _weights(pane, _seen(of), session.time)
    owner = of.result.trajectory if of.result is not None else found[1].image
    key = (pane, session.time, tuple((scan.image.name, w) for (scan, _), w in weights), plane.axis, plane.index)
    data = _recent.get(owner, key, lambda: _blended(weights, plane))
    return (_image(of, plane, data, PANES[pane], score_words(of, pane)),)


Seen = tuple["Scan", "Gain | None"]


def _seen(session: Session) -> list[Seen]:
    """The scans that the shown fit has seen, with their gains; without one those that the next fit will see."""
    series, result = session.series, session.result
    if series is None:
        return []
    if result is not None:
        return [(result.series.scans[scan.index], scan.gain) for scan in result.trajectory.scans]
    roles = zip(series.scans, session.roles(), strict=True)
    return [(scan, None) for scan, role in roles if role in ("reference", "seen")]


def _weights(pane: Pane, seen: list[Seen], t: float) -> list[tuple[Seen, float]]:
    from noder.carriers import carriers_at

    times = [scan.time for scan, _ in seen]
    if pane == "unchanged" or len(seen) < 2:
        return [(seen[0], 1.0)]
    without = _own_position(times, t)
    if pane == "nearest":
        nearest = min((k for k in range(len(times)) if k != without), key=lambda k: abs(times[k] - t))
        return [(seen[nearest], 1.0)]
    return [(seen[k], weight) for k, weight in carriers_at(t, times, [1.0] * len(times), without)]


def _own_position(times: list[float], t: float) -> int | None:
    return times.index(t) if t in times else None


def _blended(weights: list[tuple[Seen, float]], plane: Plane) -> Picture:
    total: Any = 0.0
    for (scan, gain), weight in weights:
        data = scan_slice(scan, plane)
        total = total + weight * (data if gain is None else data * gain.gain + gain.offset)
    return np.ascontiguousarray(total, dtype=np.float32)


def _image(session: Session, plane: Plane, data: Picture, name: str, words: str) -> SliceImage:
    """A prediction, or its difference to the observed scan where differences are looked at."""
    title = f"{name}: {words}"
    found = nearest_scan(session)
    if session.methods.what != "difference" or found is None:
        return SliceImage(data, name, title, session.window, "gray", "intensity")
    position, scan = found
    result = session.result
    row = result.report.rows[position] if result is not None and result.report is not None else {}
    truth = scan_slice(scan, plane) * row.get("gain", 1.0) + row.get("offset", 0.0)
    half = (session.window[1] - session.window[0]) / 2
    return SliceImage(data - truth, name, f"{title}, − observed", (-half, half), "difference", "difference")
