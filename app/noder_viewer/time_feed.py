"""Feeds the timeline with what a fit says of itself: residual bars, the band of several seeds, a period's jump."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, QTimer, Signal

from noder.errors import NoderError
from noder_viewer.loader import Latest
from noder_viewer.playing import axis_span
from noder_viewer.residuals import Residual, is_complete, residuals_of
from noder_viewer.session import Session
from noder_viewer.time_jobs import Band, MeasureJump, Score, ScoreLive, Spread
from noder_viewer.timeline import LONGEST_SPANS, Timeline
from noder_viewer.words import scan_labels

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.periods import Jump

LIVE_EVERY_MS = 1000
"""Bars move at most so often while a fit runs, which needs the processor itself."""
LIVE, SCORING = "while it fits: a quick look", "being scored…"


class TimeFeed(QObject):
    """Reads the session and calls the timeline's setters, with the newest of what the background has found."""

    failed = Signal(object)

    def __init__(self, timeline: Timeline, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._timeline, self._session = timeline, session
        self._scores, self._live, self._spread, self._jump = Latest(self), Latest(self), Latest(self), Latest(self)
        self._lanes = (self._scores, self._live, self._spread, self._jump)
        self._scores.reported.connect(self._on_rows)
        self._scores.done.connect(self._on_scored)
        self._live.done.connect(self._on_live)
        self._spread.done.connect(self._on_spread)
        self._jump.done.connect(self._on_jump)
        for lane in self._lanes:
            lane.failed.connect(self.failed)
        self._dirty: set[str] = set()
        self._turn, self._pause = QTimer(self, interval=0, singleShot=True), QTimer(self, interval=LIVE_EVERY_MS)
        self._pause.setSingleShot(True)
        self._turn.timeout.connect(self._show)
        self._is_down = False
        # psygnal calls these in the thread that set the field: the controller's, so the GUI's
        session.events.series.connect(self._on_series)
        session.events.result.connect(self._on_result)
        session.events.preview.connect(self._on_preview)
        session.events.carry.connect(self._on_carry)
        session.events.period.connect(self._on_period)

    @property
    def busy(self) -> bool:
        """Whether something is still on its way to the timeline."""
        return self._turn.isActive() or any(lane.busy for lane in self._lanes)

    def set_period(self, period: float | None) -> None:
        """Make time a loop of this length, or none; a time that lies beyond it then is the same place in it."""
        session = self._session
        if not session.times:
            return
        if period is not None and session.time > max(session.times[0] + period, session.times[-1]):
            session.time = session.times[0] + (session.time - session.times[0]) % period
        elif period is not None:
            session.time = max(session.time, session.times[0])
        session.period = period

    def shut_down(self) -> None:
        """Stop timers and threads."""
        self._is_down = True
        self._turn.stop()
        for lane in self._lanes:
            lane.shut_down()

    def _mark(self, *parts: str) -> None:
        self._dirty.update(parts)
        if not self._is_down:
            self._turn.start()

    def _on_series(self) -> None:
        self._mark("series", "residuals", "spread", "period")

    def _on_result(self) -> None:
        self._mark("residuals", "spread", "period")

    def _on_preview(self) -> None:
        if self._session.preview is None:
            self._live.cancel()
            self._mark("residuals", "spread", "period")
        else:
            self._mark("live", "spread")

    def _on_carry(self) -> None:
        self._mark("residuals")

    def _on_period(self) -> None:
        self._mark("period", "spread")

    def _show(self) -> None:
        dirty, self._dirty = self._dirty, set()
        for part, show in (
            ("series", self._suggest_period),
            ("residuals", self._show_residuals),
            ("live", self._show_live),
            ("period", self._show_period),
            ("spread", self._show_spread),
        ):
            if part in dirty:
                show()

    @property
    def _fitted(self) -> FitResult | None:
        """The fit of a series that is shown; of a pair there are two scans, and its own table of scores."""
        session = self._session
        return session.result if session.pair is None and session.preview is None else None

    def _suggest_period(self) -> None:
        series = self._session.series
        if series is None:
            return
        from noder.periods import known_period

        try:
            found = known_period(series)
        except NoderError as error:
            self.failed.emit(error)
            found = None
        if found is not None:
            self._timeline.set_suggested_period(found.length, found.source)
        elif len(series.times) > 1:  # a number to begin with, and no claim
            first, *_, last = series.times
            self._timeline.set_suggested_period(last - first + (last - first) / (len(series.times) - 1), "")

    def _show_residuals(self) -> None:
        self._scores.cancel()
        result, carry = self._fitted, self._session.carry
        if self._session.follows:
            return  # the bars of the fit before stay until there are live ones
        if result is None:
            self._timeline.set_residuals([])
            return
        rows = [] if result.report is None else result.report.rows
        done = is_complete(result, carry)
        self._timeline.set_residuals(self._bars(rows, carry), "" if done else SCORING)
        if not done:
            self._scores.submit(Score(result, carry), interrupt=True)

    def _bars(self, rows: object, carry: str) -> list[Residual]:
        series = self._session.series
        return [] if series is None else residuals_of(cast("list[dict[str, object]]", rows), carry, scan_labels(series))

    def _show_live(self) -> None:
        session = self._session
        if session.preview is None or session.pair is not None or self._pause.isActive():
            return
        self._pause.start()
        self._live.submit(ScoreLive(dataclasses.replace(session), session.preview))

    def _show_period(self) -> None:
        self._jump.cancel()
        result = self._fitted
        if result is not None and self._session.period is not None:  # of another fit, which may have seen fewer scans
            longest = LONGEST_SPANS * (result.trajectory.t_last - result.trajectory.t_first)
            self.set_period(min(self._session.period, longest))
        period = self._session.period
        self._timeline.set_period(period)
        if period is None:
            return
        if result is not None:
            self._jump.submit(MeasureJump(result, period), interrupt=True)

    def _show_spread(self) -> None:
        self._spread.cancel()
        self._timeline.set_band(None)
        result = self._fitted
        if result is not None and result.trajectory.others:
            times = self._session.times
            self._spread.submit(Spread(result, axis_span(times[0], times[-1], self._session.period)), interrupt=True)

    def _on_rows(self, rows: object) -> None:
        self._timeline.set_residuals(self._bars(rows, self._session.carry), SCORING)

    def _on_scored(self, rows: object) -> None:
        self._timeline.set_residuals(self._bars(rows, self._session.carry))

    def _on_live(self, found: object) -> None:
        if self._session.preview is not None:
            self._timeline.set_residuals(cast("list[Residual]", found), LIVE)

    def _on_spread(self, band: object) -> None:
        if self._fitted is not None:
            self._timeline.set_band(cast(Band, band))

    def _on_jump(self, found: object) -> None:
        if self._session.period is not None:
            jump = cast("Jump", found)
            self._timeline.set_period_words(jump_words(jump), warning=jump.extrapolated)


def jump_words(jump: Jump) -> str:
    """How nearly a fit closes the loop: the mean distance that tissue jumps when time goes round, and the largest."""
    far = f"jump of {jump.mean_mm:.2g} mm, {jump.max_mm:.2g} mm at most"
    return f"{far}: extrapolated" if jump.extrapolated else far
