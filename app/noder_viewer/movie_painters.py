"""Who paints the frames of a movie, all in the GUI thread: slices off screen, the 3D canvas, the whole window.

`steps(frame)` does a few milliseconds of work at a time, yielding None, and last of all the picture.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter

from noder_viewer.frames import VolumeScene
from noder_viewer.movie_job import Frame
from noder_viewer.offscreen import Offscreen
from noder_viewer.palettes import DARK
from noder_viewer.picture_look import pixel_ratio
from noder_viewer.scene import SliceScene

if TYPE_CHECKING:
    from noder_viewer.main_window import MainWindow
    from noder_viewer.presenter import Presenter
    from noder_viewer.session import Session

CANVAS_S = 0.2
"""What the 3D canvas of the window takes to draw what it has been given, beyond its own timer."""


class Painter(Protocol):
    """Paints one frame after the other; `close` puts everything back as it was."""

    def steps(self, frame: Frame) -> Iterator[QImage | None]: ...

    def close(self) -> None: ...


class SlicesPainter:
    """Slices in views of their own, laid out already: whatever the window shows meanwhile."""

    def __init__(self, views: Offscreen) -> None:
        self._views = views

    def steps(self, frame: Frame) -> Iterator[QImage | None]:
        for k, scene in enumerate(cast("list[SliceScene]", frame.content)):
            self._views.paint(k, scene)
            yield None
        yield self._views.take()

    def close(self) -> None:
        self._views.rest()


class VolumePainter:
    """The 3D canvas as the user has turned it, drawn at the movie's size."""

    def __init__(self, window: MainWindow, presenter: Presenter, size: tuple[int, int]) -> None:
        self._window, self._presenter, self._size = window, presenter, size

    def steps(self, frame: Frame) -> Iterator[QImage | None]:
        self._window.volume.set_scene(cast(VolumeScene, frame.content))
        taken = self._window.volume.picture(*self._size)
        yield stamped(fitted(opaque(taken), *self._size), frame.stamp, self._window.font())

    def close(self) -> None:
        self._presenter.update_volume()


class WindowPainter:
    """The window itself, stepped through the times; afterwards it is at its own time again."""

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, size: tuple[int, int]) -> None:
        self._window, self._session, self._presenter, self._size = window, session, presenter, size
        self._before = session.time

    def steps(self, frame: Frame) -> Iterator[QImage | None]:
        self._session.time = frame.t
        self._presenter.refresh()
        yield None
        while self._presenter.busy:
            yield None
        drawn = time.monotonic() + (CANVAS_S if self._window.volume.is_built else 0)
        while time.monotonic() < drawn:
            yield None
        image = fitted(self._window.grab().toImage(), *self._size)
        yield stamped(image, frame.stamp, self._window.font(), top_right=True)

    def close(self) -> None:
        self._session.time = self._before


def opaque(rgba: NDArray[np.uint8]) -> QImage:
    """(height, width, 4) as a picture of its own, without what shines through."""
    height, width = rgba.shape[:2]
    data = np.ascontiguousarray(rgba)
    return QImage(data.data, width, height, 4 * width, QImage.Format.Format_RGBX8888).copy()


def fitted(image: QImage, width: int, height: int) -> QImage:
    """A picture as large as fits into so many pixels, in the middle of them."""
    image.setDevicePixelRatio(1)
    if image.size().toTuple() == (width, height):
        return image
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    scaled = image.scaled(width, height, keep, smooth)
    whole = QImage(width, height, QImage.Format.Format_RGB32)
    whole.fill(QColor(DARK.background))
    painter = QPainter(whole)
    painter.drawImage((width - scaled.width()) // 2, (height - scaled.height()) // 2, scaled)
    painter.end()
    return whole


def stamped(image: QImage, text: str, font: QFont, *, top_right: bool = False) -> QImage:
    """The picture with a time stamp, bottom left or top right; as it is without a text."""
    if not text:
        return image
    ratio = pixel_ratio(image.width(), image.height())
    bold = QFont(font)
    bold.setBold(True)
    metrics = QFontMetricsF(bold)
    box = QRectF(QPointF(), QSizeF(metrics.horizontalAdvance(text) + 12, metrics.height() + 4))
    whole = QRectF(0, 0, image.width() / ratio, image.height() / ratio).adjusted(6, 6, -6, -6)
    if top_right:
        box.moveTopRight(whole.topRight())
    else:
        box.moveBottomLeft(whole.bottomLeft())
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(ratio, ratio)
    painter.setFont(bold)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(21, 23, 28, 225))
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(DARK.text))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)
    painter.end()
    return image
