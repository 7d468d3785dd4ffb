"""Pathlines painted on a slice: of one width on screen at any zoom, dark below so that bright tissue hides none."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPolygonF

from noder_viewer.camera import Camera
from noder_viewer.path_marks import Dot, PathMarks, Stroke
from noder_viewer.plane import Floats

WIDTH_PX, DOT_PX, MARKER_PX = 1.8, 2.4, 4.5
DASH_PX = 4.5
SHADOW_ALPHA = 150


def paint_paths(painter: QPainter, rect: QRectF, camera: Camera, marks: PathMarks) -> None:
    """Draw them on the pane at `rect`: lines, scans, and on top where each point is now, with its number."""
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for stroke in marks.strokes:
        _paint_stroke(painter, _polygon(rect, camera, stroke.points), stroke)
    for dot in marks.dots:
        painter.setPen(QPen(_ink("#000000", dot.strength * SHADOW_ALPHA / 255), 1.0))
        painter.setBrush(_ink(dot.colour, dot.strength))
        painter.drawEllipse(camera.to_px(rect, *dot.place), DOT_PX, DOT_PX)
    for marker in marks.markers:
        _paint_marker(painter, camera.to_px(rect, *marker.place), marker)
    painter.restore()


def _paint_stroke(painter: QPainter, line: QPolygonF, stroke: Stroke) -> None:
    for colour, part, wider in (("#000000", SHADOW_ALPHA / 255, 1.6), (stroke.colour, 1.0, 0.0)):
        pen = QPen(_ink(colour, stroke.strength * part), WIDTH_PX + wider)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap if stroke.dashed else Qt.PenCapStyle.RoundCap)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        if stroke.dashed:
            pen.setDashPattern([DASH_PX / pen.widthF()] * 2)  # counted in widths
        painter.setPen(pen)
        painter.drawPolyline(line)


def _paint_marker(painter: QPainter, centre: QPointF, marker: Dot) -> None:
    """A ring in the point's colour, open in the middle: the tissue itself stays visible."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    alpha = max(marker.strength, 0.5)  # where it is now is always to be found
    for colour, wide in (("#000000", 4.0), (marker.colour, 2.2)):
        painter.setPen(QPen(_ink(colour, alpha), wide))
        painter.drawEllipse(centre, MARKER_PX, MARKER_PX)
    font = QFont(painter.font())
    font.setBold(True)
    painter.setFont(font)
    place = centre + QPointF(MARKER_PX + 3, -MARKER_PX + 1)
    painter.setPen(_ink("#000000", alpha))
    for shift in (QPointF(1, 1), QPointF(-1, 1), QPointF(1, -1), QPointF(-1, -1)):
        painter.drawText(place + shift, str(marker.number))
    painter.setPen(_ink(marker.colour, alpha))
    painter.drawText(place, str(marker.number))


def _polygon(rect: QRectF, camera: Camera, points: Floats) -> QPolygonF:
    """In-plane mm (N,2) -> pixels."""
    zero, one = camera.to_px(rect, 0.0, 0.0), camera.to_px(rect, 1.0, 1.0)
    step = np.array([one.x() - zero.x(), one.y() - zero.y()])
    return QPolygonF([QPointF(x, y) for x, y in (points * step + [zero.x(), zero.y()]).tolist()])


def _ink(colour: str, strength: float) -> QColor:
    ink = QColor(colour)
    ink.setAlphaF(min(max(strength, 0.0), 1.0))
    return ink
