"""The list of layers: a box to show each, dragged into order, and a place to drop files on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
from PySide6.QtWidgets import QAbstractItemView, QListWidget, QListWidgetItem, QWidget

from noder_viewer.layer_rows import LayerRow

_KEY = Qt.ItemDataRole.UserRole
TICK_PX = 16
"""Of a tick box with its border, as `theme` draws it."""


class LayerList(QListWidget):
    """Rows from the front layer to the back one. `order_requested` gives all keys as they were dragged."""

    visible_requested = Signal(str, bool)
    order_requested = Signal(object)
    files_dropped = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Layers, the front one first")
        self.setToolTip("The front layer first: drag to change the order, drop images or label maps to add them")
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self.setDefaultDropAction(Qt.DropAction.MoveAction)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.itemChanged.connect(self._on_changed)

    def sizeHint(self) -> QSize:
        return QSize(200, 130)

    def set_rows(self, rows: Sequence[LayerRow]) -> None:
        """Show these rows; what is chosen stays so."""
        chosen = self.chosen
        height = max(self.fontMetrics().height(), TICK_PX) + 4
        with QSignalBlocker(self):
            self.clear()
            for row in rows:
                item = _item(row)
                item.setSizeHint(QSize(0, height))
                self.addItem(item)
            keys = [row.key for row in rows]
            self.setCurrentRow(keys.index(chosen) if chosen in keys else len(keys) - 1)

    @property
    def chosen(self) -> str:
        """Key of the row that is chosen; "" for none."""
        return str(self.currentItem().data(_KEY)) if self.currentRow() >= 0 else ""

    def choose(self, key: str) -> None:
        """Choose the row of a layer."""
        for k in range(self.count()):
            if self.item(k).data(_KEY) == key:
                self.setCurrentRow(k)

    def order(self) -> tuple[str, ...]:
        """All keys in the order of the rows."""
        return tuple(str(self.item(k).data(_KEY)) for k in range(self.count()))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()
        else:
            super().dragMoveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        urls = event.mimeData().urls()
        if urls:
            event.acceptProposedAction()
            self.files_dropped.emit([Path(url.toLocalFile()) for url in urls if url.isLocalFile()])
            return
        super().dropEvent(event)
        self.order_requested.emit(self.order())

    def _on_changed(self, item: QListWidgetItem) -> None:
        self.visible_requested.emit(str(item.data(_KEY)), item.checkState() == Qt.CheckState.Checked)


def _item(row: LayerRow) -> QListWidgetItem:
    item = QListWidgetItem(row.name)
    item.setData(_KEY, row.key)
    item.setToolTip(row.name)
    flags = item.flags() & ~Qt.ItemFlag.ItemIsDropEnabled  # rows lie between each other, not upon
    item.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable)
    item.setCheckState(Qt.CheckState.Checked if row.look.visible else Qt.CheckState.Unchecked)
    return item
