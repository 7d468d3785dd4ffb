"""From the session to the Paths tab: what changed is shown once, at the next turn of the event loop."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from noder_viewer.path_panel import PathPanel
from noder_viewer.session import Session


class PathPresenter(QObject):
    """Reads the session and calls the panel's setters; it never writes the session."""

    def __init__(self, panel: PathPanel, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._panel, self._session = panel, session
        self._turn = QTimer(self, interval=0, singleShot=True)
        self._turn.timeout.connect(self._show_points)
        for name in ("followed", "paths", "series", "result", "preview"):
            session.events[name].connect(self._later)
        for name in ("time", "show", "pulled"):
            session.events[name].connect(self._show_time)

    def _later(self) -> None:
        self._turn.start()

    def _show_points(self) -> None:
        session = self._session
        unit = "index" if session.series is None else session.series.unit
        has_map = session.trajectory is not None
        self._panel.set_points(session.followed, session.paths, session.times, unit, has_map=has_map)
        self._show_time()

    def _show_time(self) -> None:
        from noder_viewer.path_marks import picture_time

        self._panel.set_time(picture_time(self._session))
