"""Landmarks painted on a slice: dots, rings and the lines between them, of one size on screen at any zoom."""

from __future__ import annotations

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from noder_viewer.camera import Camera
from noder_viewer.landmark_marks import Marks

DOT, RING, LINE = QColor("#56b4e9"), QColor("#f0e442"), QColor("#f0e442")
SHADOW = QColor(0, 0, 0, 170)
DOT_PX, RING_PX = 2.6, 4.2


def paint_marks(painter: QPainter, rect: QRectF, camera: Camera, marks: Marks) -> None:
    """Draw them on the pane at `rect`; what is dark under the colours keeps them readable on bright tissue."""
    dots = [camera.to_px(rect, *dot) for dot in marks.dots.tolist()]
    rings = [camera.to_px(rect, *ring) for ring in marks.rings.tolist()]
    lines = [QLineF(dot, ring) for dot, ring in zip(dots, rings, strict=True)]
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, wider in ((SHADOW, 2.0), (None, 0.0)):
        painter.setPen(QPen(colour or LINE, 1.4 + wider))
        painter.drawLines(lines)
        painter.setPen(QPen(colour or RING, 1.4 + wider))
        _circles(painter, rings, RING_PX)
    painter.setPen(QPen(SHADOW, 1.0))
    painter.setBrush(DOT)
    _circles(painter, dots, DOT_PX)
    painter.restore()


def _circles(painter: QPainter, centres: list[QPointF], radius: float) -> None:
    for centre in centres:
        painter.drawEllipse(centre, radius, radius)
