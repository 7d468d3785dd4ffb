"""A strip above the pictures that says what went wrong or is going on, without stopping anybody."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QToolButton, QWidget

from noder_viewer.restyle import set_property


class Banner(QFrame):
    """One sentence, at most one button, and a cross. `remedy_requested(key)` is emitted for the button."""

    remedy_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = ""
        self.setObjectName("banner")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedWidth(120)
        self.button = QPushButton()
        self.button.setAccessibleName("Nothing to do")
        self.button.clicked.connect(self._on_button)
        self.cross = QToolButton()
        self.cross.setText("✕")
        self.cross.setAutoRaise(True)
        self.cross.setToolTip("Dismiss")
        self.cross.setAccessibleName("Dismiss")
        self.cross.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.cross.clicked.connect(self.clear)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 6, 6)
        row.addWidget(self.label, 1)
        row.addWidget(self.bar)
        row.addWidget(self.button)
        row.addWidget(self.cross)
        self.clear()

    @property
    def text(self) -> str:
        """The sentence that stands there; empty when hidden."""
        return self.label.text()

    def set_message(self, text: str, level: str = "error", *, remedy: tuple[str, str] | None = None) -> None:
        """Show `text`; `level` is "info", "warning" or "error"; `remedy` is (key, text of the button)."""
        self._key, words = remedy or ("", "")
        self._show(text, level, words)
        self.bar.hide()
        self.cross.show()

    def set_busy(self, text: str, *, cancel: str = "") -> None:
        """Show that something runs; `cancel` is the key that its Cancel button emits, "" for none."""
        self._show(text, "info", "Cancel" if cancel else "")
        self._key = cancel
        self.bar.setRange(0, 0)
        self.bar.show()
        self.cross.hide()

    def clear(self) -> None:
        """Hide it."""
        self.label.clear()
        self.hide()

    def _show(self, text: str, level: str, words: str) -> None:
        self.label.setText(text)
        self.button.setText(words)
        self.button.setAccessibleName(words or "Nothing to do")
        self.button.setVisible(bool(words))
        set_property(self, "level", level)
        self.show()

    def _on_button(self) -> None:
        key = self._key
        self.clear()
        self.remedy_requested.emit(key)
