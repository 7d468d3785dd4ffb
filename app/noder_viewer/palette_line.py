"""How a command is drawn in the palette: its menu and name, and at the right its keys or what it needs."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from noder_viewer import theme

PAD = 8
Index = QModelIndex | QPersistentModelIndex


class PaletteLine(QStyledItemDelegate):
    """Draws one line; what cannot be run is grey."""

    KEYS, ON, RUNS = (Qt.ItemDataRole.UserRole + k for k in (1, 2, 3))

    def sizeHint(self, option: QStyleOptionViewItem, _index: Index) -> QSize:
        return QSize(100, option.fontMetrics.height() + PAD)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        painter.save()
        colours, chosen = theme.palette(), bool(option.state & QStyle.StateFlag.State_Selected)
        runs = bool(index.data(self.RUNS))
        if chosen:
            painter.fillRect(option.rect, QColor(colours.primary if runs else colours.line))
        line = option.rect.adjusted(PAD, 0, -PAD, 0)
        ink = colours.text if runs else colours.muted
        rest = self._paint_right(painter, line, index, colours.on_primary if chosen and runs else colours.muted, chosen)
        painter.setPen(QColor(colours.on_primary if chosen and runs else colours.text if chosen else ink))
        tick = "✓ " if index.data(self.ON) else ""
        text = option.fontMetrics.elidedText(tick + str(index.data()), Qt.TextElideMode.ElideRight, rest)
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()

    def _paint_right(self, painter: QPainter, line: QRect, index: Index, ink: str, chosen: bool) -> int:
        """Keys or needs; returns the pixels that are left of them."""
        runs, words = index.data(self.RUNS), str(index.data(self.KEYS))
        painter.setPen(QColor(ink if runs or not chosen else theme.TEXT))
        room = line.width() // 2
        text = painter.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, room)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)
        return line.width() - painter.fontMetrics().horizontalAdvance(text) - PAD
