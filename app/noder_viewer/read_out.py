"""The read-out at the bottom of the window: two rows of cells that keep their places whatever the numbers are."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from noder_viewer import theme
from noder_viewer.reading import Item, Reading

WIDEST = (
    ("crosshair R 188.8  A 188.8  S 188.8 mm", "voxel 888 888 888"),
    ("fixed −888.8  pulled −888.8", "residual −8888 → −8888"),
    ("moved 88.8 mm: R 88.8, P 88.8, S 88.8", "J 88.888  growth +888.8 %  rate, %/year −88.8"),
)
"""What each column has room for; what is longer ends in "…" and stands in the tool tip."""
GAP = 14
BETWEEN = 5
"""Pixels between two items of a cell; a label stands half as far from its value."""
TIP = (
    "At the crosshair, or under the mouse: place and voxel (from 0, along R, A, S); values; how far the tissue there\n"
    "has moved since the first scan, and to which sides; J, above 1 where it is larger than in the first scan; and of\n"
    "the nearest scan the residual: observed minus the first scan unchanged → minus its prediction from other scans."
)


class ReadOut(QWidget):
    """Paints a `Reading`; nothing moves when it changes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._reading: Reading | None = None
        self.setAccessibleName("Read-out")
        self.setToolTip(TIP)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)

    def set_reading(self, reading: Reading | None) -> None:
        """Show a reading, or nothing."""
        if reading != self._reading:
            self._reading = reading
            self.setAccessibleDescription(self.text())
            self.update()

    def text(self) -> str:
        """All of it on one line."""
        return "" if self._reading is None else self._reading.text

    def sizeHint(self) -> QSize:
        return QSize(round(sum(self._widths()) + GAP * len(WIDEST)), round(2 * self._line() + 2))

    def minimumSizeHint(self) -> QSize:
        return QSize(round(self.sizeHint().width() * 0.6), self.sizeHint().height())

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self.updateGeometry()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        widths, line = self._widths(), self._line()
        squeeze = min(1.0, (self.width() - GAP * len(widths)) / max(sum(widths), 1.0))
        for row, cells in enumerate(() if self._reading is None else self._reading.rows):
            left = 0.0
            for cell, width in zip(cells, widths, strict=True):
                self._paint_cell(painter, QRectF(left, 1 + row * line, width * squeeze, line), cell)
                left += width * squeeze + GAP
        painter.end()

    def _paint_cell(self, painter: QPainter, rect: QRectF, cell: tuple[Item, ...]) -> None:
        metrics, x = QFontMetricsF(self.font()), rect.left()
        for label, value in cell:
            for text, colour, after in ((label, theme.MUTED, BETWEEN), (value, theme.TEXT, 2 * BETWEEN)):
                room = rect.right() - x
                if room <= 0 or not text:
                    continue
                shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, room + 1)
                painter.setPen(QColor(colour))
                painter.drawText(QRectF(x, rect.top(), room + 2, rect.height()), Qt.AlignmentFlag.AlignVCenter, shown)
                x += metrics.horizontalAdvance(shown) + after

    def _widths(self) -> list[float]:
        metrics = QFontMetricsF(self.font())
        return [max(metrics.horizontalAdvance(text) for text in column) + 3 * BETWEEN for column in WIDEST]

    def _line(self) -> float:
        return QFontMetricsF(self.font()).height()
