"""The command palette (Ctrl+K): type some words, Enter runs the action. Made from the same table as the menus."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QAction, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.action_search import Entry, entries, found
from noder_viewer.palette_line import PaletteLine

_NATIVE = QKeySequence.SequenceFormat.NativeText
_NAME = Qt.ItemDataRole.UserRole
_ALONG = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}


class CommandPalette(QDialog):
    """Lists the actions that fit what is typed; those that cannot be run say what they need."""

    def __init__(self, actions: Mapping[str, QAction], parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._actions, self._entries = actions, entries()
        self.setAccessibleName("Commands")
        self.typed, self.list = QLineEdit(), QListWidget()
        self.typed.setPlaceholderText("Type what you want to do")
        self.typed.setAccessibleName("Search the commands")
        self.typed.setClearButtonEnabled(True)
        self.list.setAccessibleName("Commands found")
        self.list.setItemDelegate(PaletteLine(self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self._foot = QLabel()
        self._foot.setProperty("muted", True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        for widget in (self.typed, self.list, self._foot):
            layout.addWidget(widget)
        self.typed.textChanged.connect(self._search)
        self.typed.returnPressed.connect(self.run)
        self.list.itemActivated.connect(self.run)
        self.list.itemClicked.connect(self.run)
        self.list.currentItemChanged.connect(self._on_current)
        self.typed.installEventFilter(self)

    def open_over(self, window: QWidget) -> None:
        """Show it at the top of the window, with nothing typed."""
        self.typed.clear()
        self._search()
        size = QSize(min(640, window.width() - 80), min(460, window.height() - 120))
        self.resize(size)
        self.move(window.mapToGlobal(QPoint((window.width() - size.width()) // 2, 60)))
        self.show()
        self.typed.setFocus(Qt.FocusReason.PopupFocusReason)

    def run(self) -> None:
        """Run the chosen action and go; stay where it cannot be run."""
        if self.list.currentRow() < 0:
            return
        action = self._actions[self.list.currentItem().data(_NAME)]
        if action.isEnabled():
            self.close()
            action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys that go along the list do so while the line keeps the focus."""
        if watched is self.typed and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = _ALONG.get(Qt.Key(event.key()))
            if step is not None:
                last = self.list.count() - 1
                self.list.setCurrentRow(max(0, min(self.list.currentRow() + step, last)))
                return True
        return super().eventFilter(watched, event)

    def _search(self) -> None:
        self.list.clear()
        for entry in found(self.typed.text(), self._entries):
            self.list.addItem(self._item(entry))
        self.list.setCurrentRow(0)
        if self.list.count() == 0:
            self._foot.setText("No command has all these words.")

    def _item(self, entry: Entry) -> QListWidgetItem:
        action = self._actions[entry.action.name]
        keys = ", ".join(QKeySequence(key).toString(_NATIVE) for key in entry.action.shortcuts)
        item = QListWidgetItem(entry.path)
        item.setData(_NAME, entry.action.name)
        item.setData(PaletteLine.KEYS, keys if action.isEnabled() else entry.waits_for)
        item.setData(PaletteLine.ON, action.isCheckable() and action.isChecked())
        item.setData(PaletteLine.RUNS, action.isEnabled())
        item.setToolTip(entry.action.tip)
        item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{entry.path}, {item.data(PaletteLine.KEYS)}")
        return item

    def _on_current(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            runs = item.data(PaletteLine.RUNS)
            tip = item.toolTip() or item.text()
            self._foot.setText(tip if runs else f"Not now: {item.data(PaletteLine.KEYS)}.")
