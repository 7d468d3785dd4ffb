"""Slice views that are never shown: scenes painted at any size by the same hand as those on the screen."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPoint, QRect, QSize, Qt
from PySide6.QtGui import QColor, QFontInfo, QImage, QPainter
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QWidget

from noder_viewer.camera import Camera
from noder_viewer.palettes import DARK
from noder_viewer.picture_look import cells
from noder_viewer.scene import SliceScene
from noder_viewer.slices import SliceView

Looks = Mapping[int, tuple[Camera, QSize]]
"""Axis -> the camera of the window's view and that view's size, where the user has zoomed or moved it."""


class Offscreen:
    """Views that live as long as the window `parent`, which they belong to and never show in; made at first use.

    They are kept and laid out anew for each picture or movie: pyqtgraph's scenes that are destroyed while the program
    runs leave dead items in Qt's binding, and one of the next views then ends in a segmentation fault. GUI thread only.
    """

    def __init__(self, parent: QWidget) -> None:
        self._parent = parent
        self._kept: dict[int, SliceView] = {}
        self._views: list[SliceView] = []
        self._cells: list[QRect] = []
        self._looks: Looks = {}
        self.size, self.ratio = QSize(), 1.0
        self._picture = QImage()

    def lay_out(
        self, axes: Sequence[int], size: tuple[int, int], ratio: float = 1.0, *, bars: bool = True, looks: Looks
    ) -> None:
        """Views of `axes` in a picture of `size` pixels, `ratio` of them to one of the views' own.

        `looks`: what is looked at where that is not the whole slice.
        """
        self.size, self.ratio, self._looks = QSize(*size), ratio, looks
        self._cells = [QRect(*cell) for cell in cells(len(axes), *size)]
        self._views = [self._view(axis, cell, bars) for axis, cell in zip(axes, self._cells, strict=True)]
        self._picture = self._blank()

    def paint(self, k: int, scene: SliceScene) -> None:
        """Draw view `k` of the picture: a few milliseconds of work."""
        image = self._image(self._cells[k].size())
        image.setDevicePixelRatio(self.ratio)
        painter = QPainter(image)
        self._look(k, scene).paint_on(painter)
        painter.end()
        image.setDevicePixelRatio(1)
        painter = QPainter(self._picture)
        painter.drawImage(self._cells[k].topLeft(), image)
        painter.end()

    def take(self) -> QImage:
        """The picture of all views as drawn; the next one begins empty."""
        done, self._picture = self._picture, self._blank()
        return done

    def picture(self, scenes: Sequence[SliceScene]) -> QImage:
        """All views at once."""
        for k, scene in enumerate(scenes):
            self.paint(k, scene)
        return self.take()

    def svg(self, scenes: Sequence[SliceScene]) -> str:
        """All views as one SVG: letters, lines and arrows stay what they are, the pictures are embedded in it."""
        parts = [self._svg_of(k, scene) for k, scene in enumerate(scenes)]
        width, height = self.size.toTuple()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" version="1.1" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" style="image-rendering: pixelated">\n'
            f'<rect width="{width}" height="{height}" fill="{DARK.background}"/>\n{"".join(parts)}</svg>\n'
        )

    def rest(self) -> None:
        """Nothing is pictured any more; the views wait for the next time."""
        for view in self._views:
            view.hide()
        self._views, self._picture = [], QImage()

    def _view(self, axis: int, cell: QRect, bars: bool) -> SliceView:
        view = self._kept.get(axis)
        if view is None:
            view = self._kept[axis] = SliceView(axis, self._parent)
            view.setWindowFlag(Qt.WindowType.Window)  # no part of what its parent shows
            # laid out and painted as if it were on the screen
            view.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
            view.setAttribute(Qt.WidgetAttribute.WA_QuitOnClose, False)
            view.setMinimumSize(1, 1)
        view.reset_view()
        view.resize(math.ceil(cell.width() / self.ratio), math.ceil(cell.height() / self.ratio))
        view.show()
        view.set_pixel_ratio(self.ratio)
        view.set_bars_visible(bars)
        return view

    def _look(self, k: int, scene: SliceScene) -> SliceView:
        view = self._views[k]
        view.set_scene(scene)
        if (look := self._looks.get(scene.axis)) is not None:
            camera, size = look
            scale = min(view.width() / max(size.width(), 1), view.height() / max(size.height(), 1))
            view.set_camera(Camera(camera.x, camera.y, camera.px_per_mm * scale, scene.flip_x, fitted=False))
        return view

    def _svg_of(self, k: int, scene: SliceScene) -> str:
        data = QByteArray()
        buffer = QBuffer(data)
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        view = self._look(k, scene)
        generator = QSvgGenerator(QSvgGenerator.SvgVersion.Svg11)  # the older one cannot clip
        generator.setOutputDevice(buffer)
        generator.setSize(view.size())
        generator.setViewBox(QRect(QPoint(), view.size()))
        generator.setResolution(view.logicalDpiX())
        painter = QPainter(generator)
        view.paint_on(painter)
        painter.end()
        return _nested(bytes(data.data()).decode(), k, self._cells[k], QFontInfo(view.font()).family())

    def _image(self, size: QSize) -> QImage:
        image = QImage(size, QImage.Format.Format_RGB32)
        image.fill(QColor(DARK.background))
        return image

    def _blank(self) -> QImage:
        return self._image(self.size)


def _nested(document: str, k: int, cell: QRect, family: str) -> str:
    """Qt's document as a part of another: put at its place, its names its own, its fonts ones that others know."""
    body = document[document.index("<defs>") : document.rindex("</svg>")]
    body = body.replace('clipPath id="', f'clipPath id="view{k}-').replace("url(#", f"url(#view{k}-")
    body = re.sub(r'font-family="[^"]*"', f'font-family="{html.escape(family)}, sans-serif"', body)
    return f'<svg x="{cell.x()}" y="{cell.y()}" width="{cell.width()}" height="{cell.height()}">\n{body}</svg>\n'
