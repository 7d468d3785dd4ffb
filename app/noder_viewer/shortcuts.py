"""The sheet of shortcuts (F1 or ?), made from the same table as the menus."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.actions import GESTURES, MENUS, Action


def sheet_rows() -> dict[str, list[tuple[str, str]]]:
    """Title of a group -> (keys, what they do)."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for menu, entries in MENUS.items():
        rows = [
            (" or ".join(map(_native, entry.shortcuts)), entry.text.replace("&", "").rstrip("…"))
            for entry in entries
            if isinstance(entry, Action) and entry.shortcuts
        ]
        if rows:
            groups[menu.replace("&", "")] = rows
    groups.update({title: list(rows) for title, rows in GESTURES.items()})
    return groups


class ShortcutSheet(QDialog):
    """Two columns of keys and gestures; does not block the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        columns = QHBoxLayout()
        groups = list(sheet_rows().items())
        half = _balanced_split([len(rows) for _, rows in groups])
        for part in (groups[:half], groups[half:]):
            column = QVBoxLayout()
            for title, rows in part:
                column.addWidget(_group(title, rows))
            column.addStretch(1)
            columns.addLayout(column)
        close = QPushButton("Close")
        close.clicked.connect(self.close)
        outer = QVBoxLayout(self)
        outer.addLayout(columns)
        outer.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)


def _native(keys: str) -> str:
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText)


def _balanced_split(lengths: list[int]) -> int:
    total, seen = sum(lengths) + 2 * len(lengths), 0
    for position, length in enumerate(lengths):
        seen += length + 2
        if 2 * seen >= total:
            return position + 1
    return len(lengths)


def _group(title: str, rows: list[tuple[str, str]]) -> QGroupBox:
    box = QGroupBox(title)
    grid = QGridLayout(box)
    grid.setColumnMinimumWidth(0, 130)
    grid.setColumnStretch(1, 1)
    for row, (keys, meaning) in enumerate(rows):
        label = QLabel(keys)
        label.setStyleSheet("font-weight: 600;")
        grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignLeft)
        grid.addWidget(QLabel(meaning), row, 1, Qt.AlignmentFlag.AlignLeft)
    return box
