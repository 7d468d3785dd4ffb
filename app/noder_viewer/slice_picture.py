"""Pictures of a slice, in the format that Qt stretches both exactly and fast.

From a palette it takes four times as long; in the screen's own formats (RGB32, premultiplied ARGB32) half as
long, but Qt then rounds the rectangle to whole pixels first, and the voxels lie half a pixel beside their places.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from noder.colours import Lut
from noder_viewer.colormaps import lut as bent
from noder_viewer.plane import Plane


class Picture(QGraphicsItem):
    """An image stretched over a rectangle in mm; its first row is the lowest on screen."""

    def __init__(self) -> None:
        super().__init__()
        self._image, self._frame = QImage(), QRectF()

    def show_image(self, image: QImage, frame: QRectF) -> None:
        """Draw `image` over `frame` from now on."""
        if frame != self._frame:
            self.prepareGeometryChange()
            self._frame = QRectF(frame)
        self._image = image
        self.update()

    def boundingRect(self) -> QRectF:
        return self._frame

    def paint(self, painter: QPainter, _option: QStyleOptionGraphicsItem, _widget: QWidget | None = None) -> None:
        painter.drawImage(self._frame, self._image)


def indexed(places: NDArray[np.uint8], lut: str, gamma: float = 1.0) -> QImage:
    """Places (rows, columns) in the table `lut` of 256 opaque colours, bent by a gamma."""
    rows, columns = places.shape
    image = QImage(places.data, columns, rows, columns, QImage.Format.Format_Indexed8)
    image.setColorTable(_table(lut, gamma))
    return image.convertToFormat(QImage.Format.Format_RGBX8888)


def coloured(rgba: Lut) -> QImage:
    """Colours (rows, columns, 4)."""
    rows, columns = rgba.shape[:2]
    return QImage(rgba.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888).copy()


def frame_of(plane: Plane) -> QRectF:
    """The voxels of a slice, from edge to edge, in in-plane mm."""
    (x, y), (dx, dy), (nx, ny) = plane.origin, plane.spacing, plane.shape
    return QRectF(x - dx / 2, y - dy / 2, nx * dx, ny * dy)


def same(now: tuple[object, ...], before: tuple[object, ...]) -> bool:
    """Whether all parts are the very same or equal; arrays are only asked whether they are the same one."""
    return len(now) == len(before) and all(
        a is b or (not isinstance(a, np.ndarray) and a == b) for a, b in zip(now, before, strict=True)
    )


@lru_cache(64)
def _table(lut: str, gamma: float) -> list[int]:
    red, green, blue, alpha = bent(lut, gamma).astype(np.uint32).T
    packed: list[int] = (alpha << 24 | red << 16 | green << 8 | blue).tolist()
    return packed
