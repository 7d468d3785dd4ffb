"""The settings dialog (Ctrl+,): the user's defaults, made from the fields of `Preferences`."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.preferences import Preferences
from noder_viewer.settings_form import SettingsForm

Button = QDialogButtonBox.StandardButton


class SettingsDialog(QDialog):
    """Shows preferences; `preferences_requested(Preferences)` once the user has accepted them."""

    preferences_requested = Signal(object)

    def __init__(self, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self.form = SettingsForm()
        self.form.set_settings(preferences)
        self._name_editors()
        self.browse = QPushButton("Choose the export folder…")
        self.browse.clicked.connect(self._on_browse)
        self.form.add_row("", self.browse)
        self.error = QLabel()
        self.error.setWordWrap(True)
        self.error.hide()
        self.buttons = QDialogButtonBox(Button.Ok | Button.Cancel | Button.RestoreDefaults)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        self.buttons.button(Button.RestoreDefaults).clicked.connect(self._on_defaults)
        layout = QVBoxLayout(self)
        layout.addWidget(self.form)
        layout.addWidget(self.error)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.setMinimumWidth(460)

    def set_preferences(self, preferences: Preferences) -> None:
        """Show these."""
        self.form.set_settings(preferences)
        self.error.hide()

    def _name_editors(self) -> None:
        for field in Preferences.__dataclass_fields__.values():
            editor = self.form.editors[field.name]
            editor.setAccessibleName(str(field.metadata["label"]))
            if isinstance(editor, QSpinBox):
                editor.setSpecialValueText(str(field.metadata.get("zero", "")))
            elif isinstance(editor, QLineEdit):
                editor.setPlaceholderText("where the last export went")

    def _on_browse(self) -> None:
        folder = self.form.editors["export_folder"]
        if isinstance(folder, QLineEdit):
            name = QFileDialog.getExistingDirectory(self, "Export folder", folder.text() or str(Path.home()))
            if name:
                folder.setText(name)

    def _on_defaults(self) -> None:
        self.set_preferences(Preferences())

    def _on_accepted(self) -> None:
        preferences: Preferences = self.form.settings()
        folder = preferences.export_folder
        if folder and not Path(folder).is_dir():
            self.error.setText(f"{folder} is no folder. Choose one that is there, or leave the line empty.")
            self.error.show()
            return
        self.accept()
        self.preferences_requested.emit(preferences)
