"""Takes a mask once it has been read: what cannot be used is said before a fit, not after it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject

from noder_viewer.jobs import ReadMask
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session


class Masking(QObject):
    """Reads the mask that the user chose in the background, and puts it into the session if it can be used."""

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter = window, session, presenter
        self._error = ""
        self._reader = Latest(self)
        self._reader.done.connect(self._on_read)
        self._reader.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a mask is being read."""
        return self._reader.busy

    def take(self, path: Path | None) -> None:
        """Use the mask in `path`, None: estimate one."""
        session = self._session
        if session.grid is None or session.activity:
            self._presenter.mark("series")  # the box as it was
        elif path is None:
            session.mask = None
        else:
            session.activity = "reading"  # a fit that began meanwhile would be without it
            self._reader.submit(ReadMask(path, session.grid))

    def shut_down(self) -> None:
        """Stop reading."""
        self._reader.shut_down()

    def _on_read(self, value: object) -> None:
        if not isinstance(value, tuple) or not self._leave():
            return
        job, notes = value
        if job.grid is self._session.grid:
            self._session.mask = job.path
            if self._error and self._window.banner.text == self._error:
                self._window.banner.clear()
            if notes:
                self._window.banner.set_message("  ".join(notes), "info")

    def _on_failed(self, error: object) -> None:
        if self._leave():
            self._error = str(error)
            self._window.banner.set_message(self._error)
            self._presenter.mark("series")

    def _leave(self) -> bool:
        """False where another series is being opened meanwhile: then the mask is nobody's."""
        if self._session.activity != "reading":
            return False
        self._session.activity = ""
        return True
