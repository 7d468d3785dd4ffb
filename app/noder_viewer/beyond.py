"""How far a time lies beyond the scans that are known, in words. Pure functions, no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noder_viewer.ticks import words

if TYPE_CHECKING:
    from noder_viewer.session import Session


def beyond_words(t: float, first: float, last: float, unit: str) -> str:
    """Such as "0.8 years beyond the last scan seen"; empty between the first and the last."""
    measure = "" if unit in ("", "index") else f" {unit}"
    if t > last:
        return f"{words(t - last)}{measure} beyond the last scan seen"
    return f"{words(first - t)}{measure} before the first scan seen" if t < first else ""


def span_known(session: Session) -> tuple[float, float] | None:
    """The times of the first and the last scan that the map has seen; without one, of all scans; None without any."""
    if session.trajectory is not None:
        return session.trajectory.t_first, session.trajectory.t_last
    return (session.times[0], session.times[-1]) if session.times else None


def beyond(session: Session) -> str:
    """`beyond_words` for the time that is shown."""
    span = span_known(session)
    if span is None or session.series is None:
        return ""
    return beyond_words(session.time, *span, session.series.unit)
