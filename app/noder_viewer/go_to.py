"""Asks for a place as text."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from noder_viewer.coordinates import FORMS


class GoTo(QDialog):
    """Emits the text when it is to be gone to; does not block the window."""

    text_given = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Go to coordinates")
        label = QLabel("&Place", self)
        self.field = QLineEdit(self)
        self.field.setAccessibleName("Place")
        self.field.setClearButtonEnabled(True)
        label.setBuddy(self.field)
        hint = QLabel(f"{FORMS}. Three numbers alone are RAS mm.", self, wordWrap=True)
        hint.setProperty("muted", True)
        self.message = QLabel("", self, wordWrap=True)
        self.message.setProperty("error", True)
        self.message.setMinimumHeight(2 * self.message.fontMetrics().height())
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.buttons = QDialogButtonBox(self)
        self.go = self.buttons.addButton("Go", QDialogButtonBox.ButtonRole.AcceptRole)
        self.buttons.addButton(QDialogButtonBox.StandardButton.Close)
        self.go.setDefault(True)
        self.go.clicked.connect(lambda: self.text_given.emit(self.field.text()))
        self.buttons.rejected.connect(self.reject)
        self.field.textEdited.connect(self.message.clear)
        layout = QVBoxLayout(self)
        for widget in (label, self.field, hint, self.message, self.buttons):
            layout.addWidget(widget)
        self.setMinimumWidth(34 * self.fontMetrics().averageCharWidth() * 2)

    def set_text(self, text: str) -> None:
        """Put a text into the field, selected: typing replaces it."""
        self.field.setText(text)
        self.field.selectAll()
        self.field.setFocus()
        self.message.clear()

    def set_message(self, text: str) -> None:
        """Why there is no such place."""
        self.message.setText(text)
