"""The frame around a picture of a time beyond the scans: hatched, with the distance in time in a corner."""

from __future__ import annotations

from functools import cache

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter

from noder_viewer.palettes import DARK
from noder_viewer.slice_bars import PAD
from noder_viewer.slice_fonts import Fonts

BORDER = 7.0
_GROUND = QColor(21, 23, 28, 225)
_FLAGS = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter


def paint_beyond(painter: QPainter, pane: QRectF, words: str, fonts: Fonts) -> None:
    """Hatch the border of the pane, and write any words into its lower left corner, above the border.

    Where they do not fit on a line, what is measured from is left out: a small picture must not drown in words.
    """
    for side in sides(pane):
        painter.fillRect(side, QColor(0, 0, 0, 150))
        painter.fillRect(side, _hatch())
    if not words:
        return
    room = pane.width() - 2 * BORDER - 2 * PAD
    shown = words if fonts.width(words) <= room else words.partition(" the ")[0]
    shown = fonts.metrics.elidedText(shown, Qt.TextElideMode.ElideRight, room)
    height, foot = fonts.line + 2, max(BORDER, fonts.letter.height())  # clear of the letter below
    box = QRectF(pane.left() + BORDER, pane.bottom() - foot - height, fonts.width(shown) + 2 * PAD, height)
    painter.fillRect(box, _GROUND)
    painter.setFont(fonts.small)
    painter.setPen(QColor(DARK.warning))
    painter.drawText(box.adjusted(PAD, 0, 0, 0), _FLAGS, shown)


def sides(pane: QRectF) -> tuple[QRectF, QRectF, QRectF, QRectF]:
    """The four bars of the border: above, below, and between them left and right."""
    x, y, w, h = pane.x(), pane.y(), pane.width(), pane.height()
    between = h - 2 * BORDER
    return (
        QRectF(x, y, w, BORDER),
        QRectF(x, y + h - BORDER, w, BORDER),
        QRectF(x, y + BORDER, BORDER, between),
        QRectF(x + w - BORDER, y + BORDER, BORDER, between),
    )


@cache
def _hatch() -> QBrush:
    return QBrush(QColor(DARK.warning), Qt.BrushStyle.BDiagPattern)
