"""Regions painted on a slice: translucent colours, outlines, the legend below the picture, and the brush."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QTransform

from noder_viewer.camera import Camera
from noder_viewer.palettes import DARK
from noder_viewer.plane import Floats, Plane
from noder_viewer.recent import Recent
from noder_viewer.region_layers import RegionLayer
from noder_viewer.slice_bars import PAD
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slice_picture import coloured, frame_of

SWATCH = 9.0
MORE = "…"
_MIDDLE = Qt.AlignmentFlag.AlignVCenter
_DASHES = [3.0, 3.0]
_recent = Recent(per_owner=2)


def paint_regions(painter: QPainter, rect: QRectF, camera: Camera, layer: RegionLayer, plane: Plane) -> None:
    """Draw them on the pane at `rect`."""
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    if layer.fill is not None:
        painter.save()
        painter.setTransform(_to_screen(camera, rect), combine=True)
        painter.drawImage(frame_of(plane), _recent.get(layer, "fill", lambda: _image(layer)))
        painter.restore()
    for label, edges in layer.outlines.items():
        _lines(painter, rect, camera, edges, QPen(QColor(*layer.colours[label]), 1.6))
    for label, edges in layer.own.items():
        pen = QPen(QColor(*layer.colours[label]).lighter(135), 1.6)
        pen.setDashPattern(_DASHES)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        _lines(painter, rect, camera, edges, pen)
    painter.restore()


def paint_legend(painter: QPainter, line: QRectF, layer: RegionLayer, fonts: Fonts) -> None:
    """A swatch and a name for each region on the slice, then what they are; "…" where the line does not hold all."""
    painter.setFont(fonts.small)
    x, y = line.left(), line.center().y()
    for k, (name, colour) in enumerate(layer.legend):
        wide, is_last = SWATCH + 4 + fonts.width(name), k == len(layer.legend) - 1
        if x + wide + (0 if is_last else 2 * PAD + fonts.width(MORE)) > line.right():
            painter.setPen(QColor(DARK.muted))
            painter.drawText(QRectF(x, line.top(), line.right() - x, line.height()), _MIDDLE, MORE)
            return
        painter.fillRect(QRectF(x, y - SWATCH / 2, SWATCH, SWATCH), QColor(*colour))
        painter.setPen(QColor(DARK.text))
        painter.drawText(QRectF(x + SWATCH + 4, line.top(), wide, line.height()), _MIDDLE, name)
        x += wide + 2 * PAD
    painter.setPen(QColor(DARK.muted))
    rest = QRectF(x, line.top(), max(line.right() - x, 0), line.height())
    title = fonts.metrics.elidedText(layer.title, Qt.TextElideMode.ElideRight, rest.width())
    painter.drawText(rest, _MIDDLE, title)


def paint_brush(painter: QPainter, place: QPointF, radius_px: float) -> None:
    """The rim of the brush under the mouse, dark and light, to be seen on any ground."""
    painter.save()
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((QColor(0, 0, 0, 170), 3.0), (QColor(DARK.text), 1.2)):
        painter.setPen(QPen(colour, width))
        painter.drawEllipse(place, max(radius_px, 1.5), max(radius_px, 1.5))
    painter.restore()


def _lines(painter: QPainter, rect: QRectF, camera: Camera, edges: Floats, pen: QPen) -> None:
    sign = -1 if camera.flip_x else 1
    centre = rect.center()
    x = centre.x() + sign * (edges[..., 0] - camera.x) * camera.px_per_mm
    y = centre.y() - (edges[..., 1] - camera.y) * camera.px_per_mm
    ends = np.stack([x, y], axis=-1).reshape(-1, 4)
    painter.setPen(pen)
    painter.drawLines([QLineF(*end) for end in ends.tolist()])


def _to_screen(camera: Camera, rect: QRectF) -> QTransform:
    """In-plane mm -> pixels of a pane at `rect`, as `Camera.to_px`."""
    sign = -1 if camera.flip_x else 1
    scale, centre = camera.px_per_mm, rect.center()
    x, y = centre.x() - sign * camera.x * scale, centre.y() + camera.y * scale
    return QTransform(sign * scale, 0, 0, -scale, x, y)


def _image(layer: RegionLayer) -> QImage:
    assert layer.fill is not None
    return coloured(np.ascontiguousarray(layer.fill.transpose(1, 0, 2)))
