"""Runs the fits of the list, one at a time, each in its thread, and brings what they say into the session."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, Signal

from noder_viewer import fit_rows
from noder_viewer.fit_rows import Asked, FitRow
from noder_viewer.fit_thread import FitThread
from noder_viewer.jobs import FitChoice, make_steps
from noder_viewer.list_jobs import make_left_out_steps
from noder_viewer.main_window import MainWindow
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.leave_one_out import LeftOut
    from noder.trajectory import Trajectory

CLOSE_WAIT_MS = 30_000
"""How long closing the window waits for the fit to end."""


class Fitting(QObject):
    """Emits `fitted` when a fit has ended with a result, or `failed(sentence)`; after either one comes `ended`.

    `left_out(key)` instead of `fitted` for a leave-one-out. The fit that Start begins is followed on screen; those
    that wait in the list begin by themselves and leave the screen as it is.
    """

    fitted = Signal()
    left_out = Signal(int)
    failed = Signal(str)
    ended = Signal()

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter = window, session, presenter
        self._thread: FitThread | None = None
        self._key = 0
        self._carry_before = session.carry
        self._is_down = False
        presenter.preview_decoded.connect(self._on_preview)

    @property
    def running(self) -> bool:
        """Whether a fit runs."""
        return self._thread is not None

    def start(self, choice: FitChoice) -> None:
        """Fit the session's series: now, and on screen, or after those that run and wait."""
        if self._session.series is not None and self._session.pair is None:
            self.queue(Asked.of(self._session, choice), follow=not self.running)

    def queue(self, asked: Asked, name: str = "", *, follow: bool = False) -> None:
        """Add a row to the list, and begin it if nothing runs; `follow`: show it while it runs."""
        session = self._session
        if session.activity and not session.is_fitting:
            return
        row = fit_rows.new_row(session.fits, asked, name)
        session.fits = (*session.fits, row)
        if follow and asked.leave_one_out is None:
            session.shown_fit = row.key
        self.go_on()

    def go_on(self) -> None:
        """Begin the next row that waits, if nothing runs."""
        row = fit_rows.next_waiting(self._session.fits)
        if row is not None and not (self.running or self._session.activity or self._is_down):
            self._begin(fit_rows.with_shared_images(row, self._session.fits))

    def stop(self) -> None:
        """Ask the fit to end with what it has, paused or not."""
        if self._thread is not None:
            self._thread.stop()
            self._enter("stopping")
            self._session.status = "Stopping the fit"

    def stop_all(self) -> None:
        """Stop the fit that runs, and let none of those that wait begin."""
        waiting = [row.key for row in self._session.fits if row.status == "waiting"]
        for key in waiting:
            self._update(key, status="cancelled")
        self.stop()

    def toggle_paused(self) -> None:
        """Hold the fit that runs, or let it go on."""
        row = fit_rows.active(self._session.fits)
        if self._thread is None or row is None or not row.can_pause:
            return
        if self._session.activity == "paused":
            self._thread.resume()
            self._enter("fitting")
        elif self._session.activity == "fitting":
            self._thread.pause()
            self._enter("paused")

    def show(self, key: int) -> None:
        """Show a fit of the list: its result, or its course while it runs."""
        session, row = self._session, fit_rows.found(self._session.fits, key)
        if row is None or session.activity not in ("", "fitting", "paused", "stopping") or key == session.shown_fit:
            return
        if row.is_active and row.asked.leave_one_out is None:
            session.shown_fit = key
            self._follow()
        elif row.result is not None:
            self._show_result(row)

    def shut_down(self) -> None:
        """Stop and wait a while."""
        self._is_down = True
        if self._thread is not None:
            self._thread.stop()
            self._thread.wait(CLOSE_WAIT_MS)

    def _begin(self, row: FitRow) -> None:
        session, asked = self._session, row.asked
        self._window.banner.clear()
        self._key = row.key
        self._update(row.key, status="running", asked=asked)
        session.progress = None
        session.activity = "fitting"
        session.status = f"Fitting: {row.name}"
        if session.follows:
            self._window.fit_panel.clear_curves()
            self._follow()
        if asked.leave_one_out is not None:
            steps: Any = partial(make_left_out_steps, asked.session(), asked.choice, asked.leave_one_out)
        else:
            steps = partial(make_steps, asked.session(), asked.choice)
        self._thread = FitThread(steps, self)
        self._thread.progressed.connect(self._on_progress)
        self._thread.finished_with.connect(self._on_result)
        self._thread.failed.connect(self._on_failed)
        self._thread.finished.connect(self._on_finished)
        self._thread.start()

    def _follow(self) -> None:
        """A preview carried from the neighbours would show a seen scan as it is, whatever the fit has found so far.

        And it would need their inverse maps, which cost more than the steps between two previews.
        """
        self._carry_before, self._session.carry = self._session.carry, "first"
        self._presenter.mark("curves", "progress", "controls")

    def _leave(self) -> None:
        """What is on screen is no longer the fit that runs."""
        self._presenter.drop_previews()
        if self._session.follows:
            self._session.preview = None
            self._session.carry = self._carry_before

    def _show_result(self, row: FitRow) -> None:
        session, result = self._session, cast("FitResult", row.result)
        self._leave()
        session.shown_fit = row.key
        session.saved_in = row.saved_in
        session.series = result.series  # aligned, where that was asked for
        session.result = result

    def _enter(self, activity: Any) -> None:
        self._session.activity = activity
        self._update(self._key, status="running" if activity == "fitting" else activity)
        self._session.status = {"paused": "The fit is paused", "fitting": "Fitting"}.get(activity, "")

    def _update(self, key: int, **changes: Any) -> None:
        self._session.fits = fit_rows.updated(self._session.fits, key, **changes)

    def _on_progress(self) -> None:
        if self._thread is None:
            return
        progress, preview, history = self._thread.take()
        if progress is not None:
            self._session.progress = progress
        if self._session.follows:
            self._presenter.show_curves(history)
            if preview is not None:
                self._presenter.decode_preview(preview)

    def _on_preview(self, trajectory: object) -> None:
        if self.running and self._session.follows:
            self._session.preview = cast("Trajectory | None", trajectory)

    def _on_result(self, value: object) -> None:
        row = fit_rows.found(self._session.fits, self._key)
        if row is not None and row.asked.leave_one_out is not None:
            self._on_left_out(cast("LeftOut", value))
            return
        session, result = self._session, cast("FitResult", value)
        follows = session.follows
        if follows:
            self._presenter.show_curves(result.history)
            self._leave()
        self._update(self._key, status="stopped" if result.stopped else "done", result=result)
        row = fit_rows.found(session.fits, self._key)
        if follows and row is not None:
            self._show_result(row)
        session.activity = ""
        session.status = "The fit was stopped; what it had is shown" if result.stopped else "Fitted"
        self.fitted.emit()

    def _on_left_out(self, value: LeftOut) -> None:
        self._update(self._key, status="stopped" if value.stopped else "done", left_out=value)
        self._session.activity = ""
        self._session.status = "Leave-one-out is done"
        self.left_out.emit(self._key)

    def _on_failed(self, error: object) -> None:
        self._leave()
        self._update(self._key, status="failed", error=str(error))
        self._session.shown_fit = self._key_of_result()
        self._session.activity = ""
        self._session.status = "The fit failed"
        self._presenter.mark("curves")  # those of the fit that is shown still, if any
        self.failed.emit(str(error))

    def _key_of_result(self) -> int:
        """The row of the result that stays on screen."""
        result = self._session.result
        return next((row.key for row in self._session.fits if result is not None and row.result is result), 0)

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
        self.ended.emit()
        self.go_on()
