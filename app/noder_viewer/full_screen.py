"""Full screen: the pictures and the timeline alone. F11 goes there and back, Esc comes back."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMainWindow, QWidget


class FullScreen(QObject):
    """Hides panels and menu bar of `window` while it fills the screen, and puts them back; `changed(on)` says so."""

    changed = Signal(bool)

    def __init__(self, window: QMainWindow, panels: Sequence[QWidget]) -> None:
        super().__init__(window)
        self._window, self._panels = window, panels
        self._hidden: list[QWidget] = []
        self._was_maximised = False
        self.is_on = False
        self._escape = QShortcut(QKeySequence(Qt.Key.Key_Escape), window)
        self._escape.setEnabled(False)
        self._escape.activated.connect(self.leave)

    def toggle(self) -> None:
        """There or back."""
        self.leave() if self.is_on else self.enter()

    def enter(self) -> None:
        """Fill the screen."""
        if self.is_on:
            return
        self._was_maximised = self._window.isMaximized()
        self._hidden = [panel for panel in (*self._panels, self._window.menuBar()) if not panel.isHidden()]
        for panel in self._hidden:
            panel.hide()
        self._window.showFullScreen()
        self._set(True)

    def leave(self) -> None:
        """Back to where `enter` came from."""
        if not self.is_on:
            return
        self._window.showMaximized() if self._was_maximised else self._window.showNormal()
        for panel in self._hidden:
            panel.show()
        self._set(False)

    def _set(self, on: bool) -> None:
        self.is_on = on
        self._escape.setEnabled(on)
        self.changed.emit(on)
