"""The files that a project names and that are not there, and where they were looked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

if TYPE_CHECKING:
    from noder.project import Missing

_HEADERS = ("File", "What it is", "State")


class MissingDialog(QDialog):
    """A list with the places below each file; `folder_requested(Path)`: look for all of them in that folder."""

    folder_requested = Signal(object)

    def __init__(self, missing: Sequence[Missing], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Missing files")
        self._folder = missing[0].looked[0].parent
        words = QLabel(
            "These files are not used. If they have moved, choose the folder that they are in now: one answers "
            "for all, and folders below it are looked into by the names that they had."
        )
        words.setWordWrap(True)
        self.list = QTreeWidget()
        self.list.setAccessibleName("Missing files")
        self.list.setHeaderLabels(list(_HEADERS))
        self.list.setUniformRowHeights(True)
        for each in missing:
            self.list.addTopLevelItem(_item(each))
        self.list.expandAll()
        self.list.setColumnWidth(0, 420)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.look = buttons.addButton("Look in a folder…", QDialogButtonBox.ButtonRole.ActionRole)
        self.look.setDefault(True)
        self.look.clicked.connect(self._on_look)
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.addWidget(words)
        layout.addWidget(self.list, 1)
        layout.addWidget(buttons)
        self.resize(760, 420)

    def _on_look(self) -> None:
        start = next((str(place) for place in (self._folder, *self._folder.parents) if place.is_dir()), "")
        name = QFileDialog.getExistingDirectory(self, "Where the files are now", start)
        if name:
            self.close()
            self.folder_requested.emit(Path(name))


def _item(missing: Missing) -> QTreeWidgetItem:
    state = "has changed since" if missing.changed else "not there"
    item = QTreeWidgetItem([missing.name, missing.what, state])
    for place in missing.looked:
        child = QTreeWidgetItem([f"{'its content is another' if missing.changed else 'looked in'}: {place.parent}"])
        child.setFirstColumnSpanned(True)
        child.setToolTip(0, str(place))
        item.addChild(child)
    return item
