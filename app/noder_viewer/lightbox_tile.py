"""One picture of the lightbox: a slice view in a frame that says where its time lies."""

from __future__ import annotations

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QBrush, QColor, QFont, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QVBoxLayout, QWidget

from noder_viewer.lightbox import Tile, brief
from noder_viewer.palettes import DARK
from noder_viewer.scene import SliceScene, to_mm
from noder_viewer.slice_bars import bars_of, paint_bars, strip_width
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slices import SliceView

FRAME = 4
"""Pixels around the picture: hatched where the time is extrapolated, bright where it is the window's."""


class LightboxTile(QFrame):
    """Shows a tile; a click asks for its time and the place in the slice, RAS mm, `hovered` says them."""

    place_requested = Signal(float, object)
    hovered = Signal(float, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tile: Tile | None = None
        self._current = False
        self.slice = SliceView(2)
        self.slice.setMinimumSize(60, 60)
        self.slice.set_bars_visible(False)
        self.slice.set_message("…")
        self.slice.cursor_requested.connect(self._on_cursor)
        self.slice.hovered.connect(self._on_hovered)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(FRAME, FRAME, FRAME, FRAME)
        layout.addWidget(self.slice)

    def set_tile(self, tile: Tile | None) -> None:
        """Show a tile; None while it is on its way."""
        if tile is None and self.tile is None:
            return
        if self.tile is not None and (tile is None or tile.scene.axis != self.tile.scene.axis):
            self.slice.set_scene(None)  # another slice is looked at as a whole
        self.tile = tile
        self.slice.set_scene(None if tile is None else brief(tile))
        self.slice.setAccessibleName("Tile on its way" if tile is None else f"Slice at t = {tile.title}")
        self.update()

    def set_current(self, current: bool) -> None:
        """Whether its time is the window's."""
        if current != self._current:
            self._current = current
            self.update()

    def minimumSizeHint(self) -> QSize:
        return QSize(60, 60)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor(DARK.line))
        if self.tile is not None and self.tile.scene.extrapolated:
            painter.fillRect(self.rect(), QColor(0, 0, 0))
            painter.fillRect(self.rect(), QBrush(QColor(DARK.warning), Qt.BrushStyle.BDiagPattern))
        if self._current:
            painter.setPen(QPen(QColor(DARK.accent), FRAME))
            painter.drawRect(self.rect())  # half of the pen lies outside
        painter.end()

    def _on_cursor(self, _axis: int, x_mm: float, y_mm: float) -> None:
        if self.tile is not None:
            self.place_requested.emit(self.tile.time, to_mm(self.tile.scene, x_mm, y_mm))

    def _on_hovered(self, _axis: int, x_mm: float, y_mm: float) -> None:
        if self.tile is not None:
            self.hovered.emit(self.tile.time, to_mm(self.tile.scene, x_mm, y_mm))


def strip_of(scene: SliceScene, font: QFont) -> int:
    """Pixels that the colour bars of a scene need."""
    return round(strip_width(bars_of(scene), Fonts(font)))


def paint_strip(painter: QPainter, rect: QRect, scene: SliceScene, font: QFont) -> None:
    """The colour bars of a scene."""
    painter.fillRect(rect, QColor(DARK.background))
    paint_bars(painter, QRectF(rect), bars_of(scene), Fonts(font))
