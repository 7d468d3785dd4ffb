"""A bar for each scan under the time axis: how far its prediction is off. A click, or Enter, goes to the scan."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QToolTip, QWidget

from noder_viewer import theme
from noder_viewer.residuals import METRICS, Residual, tick, top_of
from noder_viewer.slice_fonts import small
from noder_viewer.time_marks import TimeScale, paint_hatch, zones_beyond

WIDEST_PX, NARROWEST_PX = 14.0, 3.0
REACH_PX = 10.0
"""A bar can be hit beside it, too: low ones are thin."""
NOTHING = "Residual bars: how far each scan's prediction is off, after a fit"


class ResidualStrip(QWidget):
    """Paints what it is told on the scale of the axis above, and asks for the time of a scan."""

    time_requested = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._residuals: list[Residual] = []
        self._metric, self._unit, self._note = "nrmse", "", ""
        self._range, self._span, self._time = (0.0, 1.0), (0.0, 1.0), 0.0
        self._chosen: int | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._name()

    def sizeHint(self) -> QSize:
        return QSize(600, round(3.4 * self._line()))

    def minimumSizeHint(self) -> QSize:
        return QSize(240, round(3.2 * self._line()))

    # --- in

    def set_residuals(self, residuals: Sequence[Residual], note: str = "") -> None:
        """The bars; `note` says what they are where they are not those of a finished fit."""
        self._residuals, self._note = sorted(residuals, key=lambda item: item.time), note
        if self._chosen is not None and self._chosen >= len(self._residuals):
            self._chosen = None
        self._name()
        self.update()

    def set_metric(self, metric: str) -> None:
        """What the bars measure, a key of `METRICS`."""
        self._metric = metric
        self._name()
        self.update()

    def set_axis(self, span: tuple[float, float], seen: tuple[float, float], unit: str) -> None:
        """The times at both ends, those between which scans were seen, and the unit."""
        self._range, self._span, self._unit = span, seen, unit
        self.update()

    def set_time(self, t: float) -> None:
        """Where the cursor is: the keys begin at the nearest bar."""
        self._time = t

    # --- out

    def bar_at(self, place: QPointF) -> int | None:
        """The bar under the mouse, or near it."""
        scale = self._scale()
        near = [(abs(scale.to_px(item.time) - place.x()), k) for k, item in enumerate(self._residuals)]
        distance, k = min(near, default=(REACH_PX + 1, -1))
        return k if distance <= REACH_PX and self._residuals[k].height(self._metric) is not None else None

    def describe(self, k: int) -> str:
        """What a bar says when the mouse rests on it or the keys come to it."""
        words = self._residuals[k].words(self._metric, self._unit)
        return f"{words}\n{self._note}" if self._note else words

    def rect_of(self, k: int) -> QRectF | None:
        """Where a bar is drawn; None without that score."""
        height = self._residuals[k].height(self._metric)
        if height is None:
            return None
        x, room = self._scale().to_px(self._residuals[k].time), self._room()
        tall = max(height / top_of(self._residuals, self._metric) * room.height(), 1.0)
        width = self._bar_width()
        return QRectF(x - width / 2, room.bottom() - tall, width, tall)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        k = self.bar_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and k is not None:
            self._choose(k)
            self.time_requested.emit(self._residuals[k].time)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        hand = self.bar_at(event.position()) is not None
        self.setCursor(Qt.CursorShape.PointingHandCursor if hand else Qt.CursorShape.ArrowCursor)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrows go from bar to bar, Enter goes to the scan; all else is the timeline's."""
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is not None and self._shown():
            self._choose(self._next(step))
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._chosen is not None:
            self.time_requested.emit(self._residuals[self._chosen].time)
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            k = self.bar_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), "" if k is None else self.describe(k), self)
            return True
        return super().event(event)

    # --- inside

    def _shown(self) -> list[int]:
        return [k for k, item in enumerate(self._residuals) if item.height(self._metric) is not None]

    def _next(self, step: int) -> int:
        """The bar after the chosen one; the first time, the one nearest to the cursor."""
        shown = self._shown()
        if self._chosen not in shown:
            return min(shown, key=lambda k: abs(self._residuals[k].time - self._time))
        return shown[min(max(shown.index(self._chosen) + step, 0), len(shown) - 1)]

    def _choose(self, k: int) -> None:
        self._chosen = k
        self._name()
        self.update()
        bar = self.rect_of(k)
        if self.hasFocus() and bar is not None:  # what the mouse learns by resting, keys learn at once
            QToolTip.showText(self.mapToGlobal(bar.topLeft().toPoint()), self.describe(k), self)

    def _name(self) -> None:
        """What a screen reader says."""
        chosen = self._chosen is not None and self._chosen in self._shown()
        self.setAccessibleName(f"Residual of each scan, {METRICS[self._metric].title}")
        self.setAccessibleDescription(self.describe(self._chosen) if chosen and self._chosen is not None else NOTHING)

    def _scale(self) -> TimeScale:
        return TimeScale.across(self.width(), self._range)

    def _line(self) -> float:
        return QFontMetricsF(small(self.font())).height()

    def _room(self) -> QRectF:
        """Where bars stand: half a line of the numbers beside them stays free above and below."""
        half = self._line() / 2
        return QRectF(0, half, self.width(), self.height() - 2 * half)

    def _bar_width(self) -> float:
        scale = self._scale()
        places = sorted(scale.to_px(item.time) for item in self._residuals)
        gap = min((b - a for a, b in pairwise(places)), default=WIDEST_PX)
        return min(max(0.7 * gap, NARROWEST_PX), WIDEST_PX)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setFont(small(self.font()))
        painter.fillRect(self.rect(), QColor(theme.BACKGROUND))
        paint_hatch(painter, zones_beyond(self._scale(), self._span, (self.width(), self.height())))
        if self._shown():
            self._paint_axis(painter)
            for k in self._shown():
                self._paint_bar(painter, k)
            self._paint_note(painter, self._note, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        else:
            self._paint_note(painter, self._missing(), Qt.AlignmentFlag.AlignCenter)
        if self.hasFocus():
            painter.setPen(QPen(QColor(theme.ACCENT), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _missing(self) -> str:
        """What stands there without bars."""
        if self._residuals:
            return f"{METRICS[self._metric].title}: after the fit"
        return self._note or NOTHING

    def _paint_axis(self, painter: QPainter) -> None:
        room, scale, line = self._room(), self._scale(), self._line()
        metric, top = METRICS[self._metric], top_of(self._residuals, self._metric)
        painter.setPen(QPen(QColor(theme.LINE), 1))
        for y in (room.top(), room.bottom()):
            painter.drawLine(QLineF(scale.left, y, scale.right, y))
        flags = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for y, words in ((room.top(), tick(top)), (room.center().y(), metric.label), (room.bottom(), "0")):
            box = QRectF(0, y - line / 2, scale.left - WIDEST_PX / 2 - 4, line)
            painter.fillRect(box, QColor(theme.BACKGROUND))
            painter.setPen(QColor(theme.TEXT if words == metric.label else theme.MUTED))
            painter.drawText(box, flags, words)

    def _paint_bar(self, painter: QPainter, k: int) -> None:
        """Seen: filled; held out: hollow, as on the axis above. The chosen one is framed."""
        bar = self.rect_of(k)
        if bar is None:
            return
        held_out, faint = self._residuals[k].role == "held out", bool(self._note)
        colour = QColor(theme.palette().series[0])
        colour.setAlpha(130 if faint else 255)
        painter.setPen(QPen(colour, 1.6))
        painter.setBrush(QColor(theme.BACKGROUND) if held_out else colour)
        painter.drawRect(bar.adjusted(0.8, 0.8 if bar.height() > 2 else 0, -0.8, 0))
        if k == self._chosen:
            painter.setPen(QPen(QColor(theme.ACCENT), 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRect(bar.adjusted(-2.5, -2.5, 2.5, 2.5))

    def _paint_note(self, painter: QPainter, text: str, flags: Qt.AlignmentFlag) -> None:
        if not text:
            return
        room = QRectF(self.rect()).adjusted(self._scale().left + 4, 1, -6, 0)
        shown = QFontMetricsF(painter.font()).elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.setPen(QColor(theme.MUTED))
        painter.drawText(room, flags, shown)
