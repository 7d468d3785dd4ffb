"""Runs one fit at a time in its thread and brings what it says into the session."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, Signal

from noder_viewer.fit_thread import FitThread
from noder_viewer.jobs import FitChoice, make_steps
from noder_viewer.main_window import MainWindow
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.trajectory import Trajectory

CLOSE_WAIT_MS = 30_000
"""How long closing the window waits for the fit to end."""


class Fitting(QObject):
    """Emits `replacing` before a new result takes the old one's place, then `fitted`; or `failed(sentence)`.

    After either one comes `ended`.
    """

    replacing = Signal()
    fitted = Signal()
    failed = Signal(str)
    ended = Signal()

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter = window, session, presenter
        self._thread: FitThread | None = None
        self._carry_before = session.carry
        presenter.preview_decoded.connect(self._on_preview)

    @property
    def running(self) -> bool:
        """Whether a fit runs."""
        return self._thread is not None

    def start(self, choice: FitChoice) -> None:
        """Fit the session's series."""
        if self.running or self._session.series is None or self._session.activity:
            return
        self._window.banner.clear()
        self._window.fit_panel.clear_curves()
        self._session.progress = None
        self._session.activity = "fitting"
        self._session.status = "Fitting"
        # A preview carried from the neighbours would show a seen scan as it is, whatever the fit has found so
        # far; and it would need their inverse maps, which cost more than the steps between two previews.
        self._carry_before, self._session.carry = self._session.carry, "first"
        self._thread = FitThread(partial(make_steps, dataclasses.replace(self._session), choice), self)
        self._thread.progressed.connect(self._on_progress)
        self._thread.finished_with.connect(self._on_result)
        self._thread.failed.connect(self._on_failed)
        self._thread.finished.connect(self._on_finished)
        self._thread.start()

    def stop(self) -> None:
        """Ask the fit to end with what it has."""
        if self._thread is not None:
            self._thread.stop()
            self._session.activity = "stopping"
            self._session.status = "Stopping the fit"

    def shut_down(self) -> None:
        """Stop and wait a while."""
        if self._thread is not None:
            self._thread.stop()
            self._thread.wait(CLOSE_WAIT_MS)

    def _on_progress(self) -> None:
        if self._thread is None:
            return
        progress, preview, history = self._thread.take()
        if progress is not None:
            self._session.progress = progress
            self._presenter.show_curves(history)
        if preview is not None:
            self._presenter.decode_preview(preview)

    def _on_preview(self, trajectory: object) -> None:
        if self.running:
            self._session.preview = cast("Trajectory | None", trajectory)

    def _on_result(self, value: object) -> None:
        result = cast("FitResult", value)
        self._presenter.drop_previews()
        self._presenter.show_curves(result.history)
        self.replacing.emit()
        self._session.saved_in = None
        self._session.series = result.series  # aligned, where that was asked for
        self._session.result = result
        self._leave()
        self._session.status = "The fit was stopped; what it had is shown" if result.stopped else "Fitted"
        self.fitted.emit()

    def _on_failed(self, error: object) -> None:
        self._presenter.drop_previews()
        self._leave()
        self._session.status = "The fit failed"
        self._presenter.mark("curves")  # those of the fit that is shown still, if any
        self.failed.emit(str(error))

    def _leave(self) -> None:
        self._session.preview = None
        self._session.carry = self._carry_before
        self._session.activity = ""

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
        self.ended.emit()
