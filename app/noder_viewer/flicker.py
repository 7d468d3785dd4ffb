"""Shows the two images of a pair in turn while that is wanted: a timer, and nothing runs when it is not."""

from __future__ import annotations

from PySide6.QtCore import QObject, QTimer

from noder_viewer.session import Session

EVERY_MS = 500
"""Twice a second: slower than what makes photosensitive people ill (3 a second), fast enough to see what jumps."""


class Flicker(QObject):
    """Turns `session.flicker` over while the session shows "flicker"."""

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.turn)
        for name in ("show", "pair", "series"):
            session.events[name].connect(self._on_show)

    @property
    def is_running(self) -> bool:
        """Whether the pictures change by themselves."""
        return self._timer.isActive()

    def turn(self) -> None:
        """Show the other image."""
        self._session.flicker = not self._session.flicker

    def shut_down(self) -> None:
        """Stop the timer."""
        self._timer.stop()

    def _on_show(self) -> None:
        if self._session.show_shown != "flicker":
            self._timer.stop()
        elif not self._timer.isActive():
            self._timer.start()
