"""What is painted on the time axis beside its scans: hatching, the band of the seeds' spread, the end of a period."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from noder_viewer import theme
from noder_viewer.palettes import DARK
from noder_viewer.time_jobs import Band

LEFT_PX, RIGHT_PX = 70.0, 10.0
"""Room beside the axis: on the left for the numbers of the residual bars below."""
BAND_PX = 9.0
"""Half the height of the band where the seeds differ most."""
SPREAD = QColor(190, 120, 240)


@dataclass(frozen=True)
class TimeScale:
    """Times from `low` to `high` on pixels from `left` to `right`."""

    low: float
    high: float
    left: float
    right: float

    @classmethod
    def across(cls, width: float, span: tuple[float, float]) -> TimeScale:
        """The axis of a widget `width` pixels wide: the same for all that stand one below the other."""
        return cls(*span, left=LEFT_PX, right=width - RIGHT_PX)

    def to_px(self, t: float) -> float:
        """Pixel of a time."""
        return self.left + (t - self.low) / ((self.high - self.low) or 1.0) * (self.right - self.left)

    def to_time(self, x: float) -> float:
        """Time at a pixel, kept inside the scale."""
        t = self.low + (x - self.left) / ((self.right - self.left) or 1.0) * (self.high - self.low)
        return float(np.clip(t, self.low, self.high))


def zones_beyond(scale: TimeScale, span: tuple[float, float], size: tuple[float, float]) -> list[QRectF]:
    """Before the first and after the last scan that the fit has seen; to the very edge where the axis goes on."""
    (first, last), (width, height) = span, size
    left, right = scale.to_px(first), scale.to_px(last)
    start = 0.0 if first > scale.low else left
    end = width if last < scale.high else right
    return [QRectF(start, 0, left - start, height), QRectF(right, 0, end - right, height)]


def paint_hatch(painter: QPainter, zones: Iterable[QRectF]) -> None:
    """Hatch what no scan has checked."""
    for zone in zones:
        painter.fillRect(zone, QColor(0, 0, 0, 90 if theme.palette() is DARK else 12))
        painter.fillRect(zone, QBrush(QColor(theme.HATCH), Qt.BrushStyle.BDiagPattern))


def paint_band(painter: QPainter, scale: TimeScale, y: float, band: Band) -> None:
    """The axis is as thick as the seeds differ: `BAND_PX` to each side where they differ most."""
    most = max(band.sd_mm) or 1.0
    outline = [
        (scale.to_px(t), BAND_PX * sd / most)
        for t, sd in zip(band.times, band.sd_mm, strict=True)
        if scale.low <= t <= scale.high
    ]
    upper, lower = [QPointF(x, y - h) for x, h in outline], [QPointF(x, y + h) for x, h in reversed(outline)]
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(SPREAD.red(), SPREAD.green(), SPREAD.blue(), 120))
    painter.drawPolygon(QPolygonF([*upper, *lower]))


PERIOD_ENDS = "⟲ period ends"


def upright_words(zones: Iterable[QRectF], width: float, line: float, height: float) -> list[QRectF]:
    """Where words of that width stand upright, from the bottom on: in zones too narrow for them to lie."""
    narrow = [zone for zone in zones if line <= zone.width() < width]
    return [QRectF(zone.center().x() - line / 2, height - 2 - width, line, width) for zone in narrow]


def clear_of(box: QRectF, words: Iterable[QRectF], middle: float) -> QRectF:
    """The box, moved towards the middle of the axis where it would lie across upright words."""
    moved = QRectF(box)
    for word in words:
        if moved.intersects(word) and word.center().x() > middle:
            moved.moveRight(word.left() - 2)
        elif moved.intersects(word):
            moved.moveLeft(word.right() + 2)
    return moved


def period_box(scale: TimeScale, end: float, height: float, metrics: QFontMetricsF) -> QRectF:
    """Where it is written that a period ends: before its line, above the last one of the widget."""
    width, line = metrics.horizontalAdvance(PERIOD_ENDS) + 8, metrics.height()
    return QRectF(scale.to_px(end) - width - 3, height - 2 * line - 4, width, line)


def paint_period(painter: QPainter, x: float, box: QRectF, height: float) -> None:
    """Where a period ends and the next begins: a broken line at x, with the sign of going round in `box`."""
    x = round(x) - 0.5  # on whole pixels: sharp
    painter.setPen(QPen(QColor(theme.ACCENT), 1, Qt.PenStyle.DashLine))
    painter.drawLine(QLineF(x, box.height() + 2, x, height))
    painter.fillRect(box, QColor(theme.BACKGROUND))
    painter.setPen(QColor(theme.ACCENT))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, PERIOD_ENDS)
