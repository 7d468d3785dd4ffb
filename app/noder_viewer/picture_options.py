"""The choices that movies and figures share: what is pictured, what is written on it, and the file's name."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from noder_viewer.picture_look import AXES, VIEWS, WINDOW, Look

_WORDS = {
    "stamp": ("Time stamp", "The time, large, on the picture itself"),
    "bars": ("Colour bars", "What the colours mean, with units"),
    "letters": ("Edge letters", "R, L, A, P, S, I at the edges"),
    "badge": ("Side badge", "Radiological or neurological: whoever sees the picture must know"),
    "crosshair": ("Crosshair", "The lines through the cursor"),
}


Control = TypeVar("Control", bound=QWidget)


def named(control: Control, name: str) -> Control:
    """The control with a name for those who hear the screen."""
    control.setAccessibleName(name)
    return control


class ViewBox(QComboBox):
    """Chooses one of `VIEWS`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("View")
        for key, words in VIEWS.items():
            self.addItem(words, key)

    def chosen(self) -> str:
        """The key of what is chosen."""
        return str(self.currentData())

    def set_possible(self, key: str, possible: bool, why_not: str) -> None:
        """Let an entry be chosen, or not; then the first one is chosen in its place."""
        row = self.findData(key)
        model = self.model()
        if isinstance(model, QStandardItemModel):
            model.item(row).setEnabled(possible)
            model.item(row).setToolTip("" if possible else why_not)
        if not possible and self.currentIndex() == row:
            self.setCurrentIndex(0)


class LookBoxes(QWidget):
    """A check box for each field of `Look`; of views that are no slices only the time stamp is theirs."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.boxes: dict[str, QCheckBox] = {}
        for k, (name, (words, tip)) in enumerate(_WORDS.items()):
            box = QCheckBox(words)
            box.setToolTip(tip)
            box.setChecked(bool(getattr(Look(), name)))
            box.toggled.connect(self.changed)
            self.boxes[name] = box
            layout.addWidget(box, k // 3, k % 3)

    def look(self) -> Look:
        """What is checked."""
        return Look(**{name: box.isChecked() for name, box in self.boxes.items()})

    def set_view(self, view: str, *, stamps_window: bool = True) -> None:
        """Enable what `view` can have."""
        for name, box in self.boxes.items():
            box.setEnabled(view in AXES or (name == "stamp" and (view != WINDOW or stamps_window)))


class FileRow(QWidget):
    """The name of a file to write, typed or chosen; `filters` as the file dialog shows them."""

    changed = Signal()

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._filters = title, ""
        self.edit = QLineEdit()
        self.edit.setAccessibleName("File")
        self.edit.textChanged.connect(self.changed)
        self.browse = QPushButton("Choose…")
        self.browse.setAutoDefault(False)
        self.browse.clicked.connect(self._on_browse)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.edit, 1)
        layout.addWidget(self.browse)

    def path(self) -> Path | None:
        """What is named, None for nothing."""
        text = self.edit.text().strip()
        return Path(text).expanduser() if text else None

    def set_path(self, path: Path) -> None:
        """Name a file."""
        self.edit.setText(str(path))

    def set_filters(self, filters: str) -> None:
        """What may be chosen, as `Movie (*.mp4);;GIF (*.gif)`."""
        self._filters = filters

    def _on_browse(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, self._title, self.edit.text(), self._filters)
        if name:
            self.edit.setText(name)
