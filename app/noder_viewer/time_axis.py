"""The painted part of the timeline: scans to true scale, hatched ends, the cursor, small frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QLineF, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFontMetricsF,
    QHelpEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import QToolTip, QWidget

from noder_viewer import theme
from noder_viewer.frames import Thumbnail
from noder_viewer.slice_paint import small
from noder_viewer.ticks import ticks, words
from noder_viewer.time_jobs import Band
from noder_viewer.time_marks import (
    TimeScale,
    clear_of,
    paint_band,
    paint_hatch,
    paint_period,
    period_box,
    upright_words,
    zones_beyond,
)

RADIUS = 5.0
SNAP_PX = 6.0
LABEL_EVERY_PX = 80
STRIP_PX = 50
STRIP_GAP = 6
EXTRAPOLATED = "extrapolated"


@dataclass(frozen=True)
class ScanMark:
    """One scan on the axis; `role` is "reference", "seen", "held out" or "excluded"."""

    time: float
    name: str
    role: str


class TimeAxis(QWidget):
    """Paints what `Timeline` tells it, and asks for the time under the mouse."""

    time_requested = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.range = (0.0, 1.0)
        self.fit_span = (0.0, 1.0)
        self._marks: Sequence[ScanMark] = ()
        self._unit = ""
        self._time = 0.0
        self._thumbnails: Sequence[Thumbnail] = ()
        self._images: list[QImage] = []
        self._levels = (0.0, 1.0)
        self._band: Band | None = None
        self._period_end: float | None = None
        self.legend = ""
        self._kept: tuple[object, QPixmap] = ((), QPixmap())
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:
        return QSize(600, round(self._strip_top() + STRIP_PX))

    def minimumSizeHint(self) -> QSize:
        return QSize(240, round(self._strip_top() + STRIP_PX / 2))

    def set_scans(self, marks: Sequence[ScanMark], unit: str) -> None:
        """The scans and the unit of time."""
        self._marks, self._unit = marks, unit
        self._renew()

    def set_range(self, low: float, high: float) -> None:
        """The times at both ends of the axis."""
        if (low, high) != self.range:
            self.range = (low, high)
            self._renew()

    def set_fit_span(self, first: float, last: float) -> None:
        """Beyond these times the axis is hatched."""
        if (first, last) != self.fit_span:
            self.fit_span = (first, last)
            self._renew()

    def set_legend(self, text: str) -> None:
        """What the signs on the axis are; it stands above the right end."""
        self.legend = text
        self.update()

    def set_band(self, band: Band | None) -> None:
        """How far fits from several seeds differ along the axis; None for a fit from one."""
        if band is not self._band:
            self._band = band
            self._renew()

    def set_period_end(self, end: float | None) -> None:
        """Where a period ends; None where time is no loop."""
        if end != self._period_end:
            self._period_end = end
            self._renew()

    def set_time(self, t: float) -> None:
        """Put the cursor."""
        self._time = t
        self.update()

    def set_thumbnails(self, thumbnails: Sequence[Thumbnail]) -> None:
        """The frames of the strip."""
        self._thumbnails = sorted(thumbnails, key=lambda item: item.time)
        self._images = [_image(item, self._levels) for item in self._thumbnails]
        self._renew()

    def set_levels(self, low: float, high: float) -> None:
        """Grey levels of the frames."""
        if (low, high) != self._levels:
            self._levels = (low, high)
            self.set_thumbnails(self._thumbnails)

    def scale(self) -> TimeScale:
        """Times to pixels as they are now."""
        return TimeScale.across(self.width(), self.range)

    def mark_at(self, place: QPointF) -> ScanMark | None:
        """The scan whose tick is under the mouse."""
        if abs(place.y() - self._axis_y()) > 2 * SNAP_PX or not self._marks:
            return None
        scale = self.scale()
        nearest = min(self._marks, key=lambda mark: abs(scale.to_px(mark.time) - place.x()))
        return nearest if abs(scale.to_px(nearest.time) - place.x()) <= SNAP_PX else None

    # --- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton or not self._marks:
            return
        mark = self.mark_at(event.position())
        self.time_requested.emit(self.scale().to_time(event.position().x()) if mark is None else mark.time)
        parent = self.parentWidget()
        if parent is not None:
            parent.setFocus(Qt.FocusReason.MouseFocusReason)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton and self._marks:
            self.time_requested.emit(self.scale().to_time(event.position().x()))

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            mark = self.mark_at(QPointF(event.pos()))
            words_here = self.describe_band(QPointF(event.pos())) if mark is None else self.describe(mark)
            QToolTip.showText(event.globalPos(), words_here, self)
            return True
        return super().event(event)

    def describe(self, mark: ScanMark) -> str:
        """What a scan's tick says when the mouse rests on it."""
        unit = "" if self._unit == "index" else f" {self._unit}"
        return f"{mark.name}\nt = {mark.time:.6g}{unit}\n{mark.role}"

    def describe_band(self, place: QPointF) -> str:
        """How far the seeds differ at the time under the mouse, where it is near the axis."""
        if self._band is None or abs(place.y() - self._axis_y()) > 2 * SNAP_PX:
            return ""
        t = self.scale().to_time(place.x())
        return (
            f"{self._band.seeds} seeds differ by {self._band.at(t):.2g} mm at t = {words(t)} {self._measure()}".strip()
        )

    def _measure(self) -> str:
        return "" if self._unit == "index" else self._unit

    # --- painting

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawPixmap(QPointF(), self._still(painter.device().devicePixelRatioF()))
        if self._marks:
            painter.setFont(small(self.font()))
            self._paint_legend(painter)
            self._paint_cursor(painter)
        painter.end()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self._renew()  # another font, or other colours

    def _renew(self) -> None:
        """Draw all of it again: more than the cursor has changed."""
        self._kept = ((), QPixmap())
        self.update()

    def _still(self, ratio: float) -> QPixmap:
        """All that does not move with the cursor, drawn once: a step in time then costs a tenth of it."""
        key = (self.size().toTuple(), ratio)
        if self._kept[0] != key:
            ground = QPixmap(self.size() * ratio)
            ground.setDevicePixelRatio(ratio)
            ground.fill(QColor(theme.BACKGROUND))
            if self._marks:
                painter = QPainter(ground)
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setFont(small(self.font()))
                self._paint_ground(painter)
                painter.end()
            self._kept = (key, ground)
        return self._kept[1]

    def _paint_ground(self, painter: QPainter) -> None:
        paint_hatch(painter, self._beyond())
        self._paint_strip(painter)
        self._paint_words(painter)
        if self._period_end is not None:
            paint_period(painter, self.scale().to_px(self._period_end), self._period_box(), self.height())
        self._paint_axis(painter)
        if self._band is not None:
            paint_band(painter, self.scale(), self._axis_y(), self._band)
        for mark in self._marks:
            _paint_mark(painter, QPointF(self.scale().to_px(mark.time), self._axis_y()), mark.role)

    def _line(self) -> float:
        return QFontMetricsF(small(self.font())).height()

    def _axis_y(self) -> float:
        return self._line() + 12

    def _strip_top(self) -> float:
        return self._axis_y() + self._line() + 16

    def _beyond(self) -> list[QRectF]:
        """The zones before the first and after the last scan that the fit has seen."""
        return zones_beyond(self.scale(), self.fit_span, (self.width(), self.height()))

    def _upright(self) -> list[QRectF]:
        """Where "extrapolated" stands upright."""
        metrics = QFontMetricsF(small(self.font()))
        return upright_words(self._beyond(), metrics.horizontalAdvance(EXTRAPOLATED) + 8, self._line(), self.height())

    def _period_box(self) -> QRectF:
        box = period_box(self.scale(), self._period_end or 0.0, self.height(), QFontMetricsF(small(self.font())))
        return clear_of(box, self._upright(), self.width() / 2)

    def _paint_words(self, painter: QPainter) -> None:
        """ "extrapolated" at the outer ends, away from the cursor's tag; upright where a zone is narrow."""
        width, line = QFontMetricsF(painter.font()).horizontalAdvance(EXTRAPOLATED) + 8, self._line()
        for zone, at_left in zip(self._beyond(), (True, False), strict=True):
            if zone.width() < line:
                continue
            painter.save()
            if zone.width() >= width:
                painter.translate(0 if at_left else self.width() - width, self.height() - line)
            else:
                painter.translate(zone.center().x() - line / 2, self.height() - 2)
                painter.rotate(-90)
            painter.fillRect(QRectF(0, 0, width, line), QColor(theme.BACKGROUND))
            painter.setPen(QColor(theme.WARNING))
            painter.drawText(QRectF(0, 0, width, line), Qt.AlignmentFlag.AlignCenter, EXTRAPOLATED)
            painter.restore()

    def _paint_legend(self, painter: QPainter) -> None:
        text, box = self._legend(QFontMetricsF(painter.font()))
        painter.fillRect(box, QColor(theme.BACKGROUND))
        painter.setPen(QColor(theme.MUTED))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)

    def _legend(self, metrics: QFontMetricsF) -> tuple[str, QRectF]:
        """In the line of the cursor's tag: on the right, or on the left where there is more room beside the tag."""
        tag = self._tag(metrics)[1]
        left, right = tag.left() - 12, self.width() - tag.right() - 12
        on_right = right >= min(metrics.horizontalAdvance(self.legend), left)
        text = metrics.elidedText(self.legend, Qt.TextElideMode.ElideRight, max(right if on_right else left, 0))
        width = metrics.horizontalAdvance(text) + 8
        return text, QRectF(self.width() - width if on_right else 0, 0, width, self._line())

    def _paint_axis(self, painter: QPainter) -> None:
        scale, y, line = self.scale(), self._axis_y(), self._line()
        painter.setPen(QPen(QColor(theme.MUTED), 1))
        painter.drawLine(QLineF(scale.left, y, scale.right, y))
        most = max(2, int(self.width() // LABEL_EVERY_PX))
        unit = self._measure()
        labelled, upright = ticks(scale.low, scale.high, most), self._upright()
        for t in labelled:
            x = scale.to_px(t)
            painter.drawLine(QLineF(x, y + 6, x, y + 10))
            label = f"{words(t)} {unit}".strip() if t == labelled[-1] else words(t)
            width = QFontMetricsF(painter.font()).horizontalAdvance(label) + 2
            left = min(max(x - width / 2, 0.0), self.width() - width)
            box = clear_of(QRectF(left, y + 10, width, line), upright, self.width() / 2)
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, label)

    def _cursor_x(self) -> float:
        return min(max(self.scale().to_px(self._time), 1.0), self.width() - 1.0)

    def _tag(self, metrics: QFontMetricsF) -> tuple[str, QRectF]:
        """What the cursor's tag says, and where it is."""
        label = words(self._time) if abs(self._time) < 1 else f"{self._time:.4g}".replace("-", "−")
        width = metrics.horizontalAdvance(label) + 10
        left = min(max(self._cursor_x() - width / 2, 0.0), self.width() - width)
        return label, QRectF(left, 0, width, self._line() + 1)

    def _paint_cursor(self, painter: QPainter) -> None:
        label, tag = self._tag(QFontMetricsF(painter.font()))
        x = self._cursor_x()
        painter.setPen(QPen(QColor(theme.ACCENT), 1.5))
        painter.drawLine(QLineF(x, tag.bottom(), x, self.height()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(theme.ACCENT))
        painter.drawRoundedRect(tag, 3, 3)
        painter.setPen(QColor(theme.BACKGROUND))
        painter.drawText(tag, Qt.AlignmentFlag.AlignCenter, label)

    def _paint_strip(self, painter: QPainter) -> None:
        top = self._strip_top()
        height = self.height() - top - 2
        if not self._images or height < 12:
            return
        scale = self.scale()
        places = [scale.to_px(item.time) for item in self._thumbnails]
        first, last = (scale.to_px(t) for t in self.fit_span)
        room = max(min(np.diff(places), default=last - first) - STRIP_GAP, 1.0)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        for x, item, image in zip(places, self._thumbnails, self._images, strict=True):
            nx, ny = (n * step for n, step in zip(item.data.shape, item.spacing, strict=True))
            fit = min(height / ny, room / nx)
            box = QRectF(0, 0, nx * fit, ny * fit)
            within = min(max(x, first + box.width() / 2), max(last, first + box.width()) - box.width() / 2)
            inside = first <= x <= last  # a frame of an extrapolated time stays where it is
            box.moveCenter(QPointF(within if inside else x, top + height / 2))
            painter.drawImage(box, image)


def _paint_mark(painter: QPainter, centre: QPointF, role: str) -> None:
    """Reference: a diamond; seen: filled; held out: hollow; excluded: a cross."""
    ink = QColor(theme.MUTED if role == "excluded" else theme.TEXT)
    painter.setPen(QPen(ink, 1.8))
    painter.setBrush(QColor(theme.BACKGROUND) if role == "held out" else ink)
    x, y, r = centre.x(), centre.y(), RADIUS
    if role == "excluded":
        painter.drawLine(QLineF(x - r, y - r, x + r, y + r))
        painter.drawLine(QLineF(x - r, y + r, x + r, y - r))
    elif role == "reference":
        tips = [QPointF(x, y - r - 1), QPointF(x + r + 1, y), QPointF(x, y + r + 1), QPointF(x - r - 1, y)]
        painter.drawPolygon(QPolygonF(tips))
    else:
        painter.drawEllipse(centre, r - 0.5, r - 0.5)


def _image(item: Thumbnail, levels: tuple[float, float]) -> QImage:
    """A frame (x to the right, y upwards) as rows from the top."""
    low, high = levels
    grey = np.clip((item.data - low) * (255.0 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    rows = np.ascontiguousarray((grey[::-1] if item.flip_x else grey).T[::-1])
    return QImage(rows.data, rows.shape[1], rows.shape[0], rows.shape[1], QImage.Format.Format_Grayscale8).copy()
