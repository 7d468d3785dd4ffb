"""All that is written in a slice view; what does not run with the slice or the time is drawn once and kept."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil, isfinite

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QPaintEngine, QPainter, QPixmap

from noder_viewer import slice_paint
from noder_viewer.camera import Camera
from noder_viewer.overlay_kinds import Heatmap, Lines, Overlay, Quiver
from noder_viewer.palettes import DARK
from noder_viewer.region_layers import RegionLayer
from noder_viewer.region_paint import paint_legend, paint_regions
from noder_viewer.scene import SliceScene
from noder_viewer.slice_bars import Bar, paint_bars
from noder_viewer.slice_beyond import paint_beyond
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slice_marks import paint_marks
from noder_viewer.slice_paths import paint_paths


@dataclass(frozen=True)
class Sheet:
    """A slice view to write on, `size` pixels large with its panes at `panes`."""

    scene: SliceScene
    size: QSizeF
    panes: tuple[QRectF, ...]
    header: slice_paint.Header
    bars: tuple[Bar, ...]
    camera: Camera
    fonts: Fonts

    @property
    def body(self) -> QRectF:
        """All panes together."""
        return self.panes[0].united(self.panes[-1])

    @property
    def strip(self) -> QRectF:
        """The room of the colour bars."""
        body = self.body
        return QRectF(body.right(), body.top(), self.size.width() - body.right(), body.height())

    def title(self, pane: int) -> slice_paint.PaneFrame:
        """Where the title of a pane is, and what it says."""
        is_last = pane == len(self.panes) - 1
        until = self.size.width() if is_last else self.panes[pane].right()
        return slice_paint.PaneFrame(self.panes[pane], until, self.scene.images[pane].title, is_last)

    @cached_property
    def footer(self) -> list[tuple[QRectF, Overlay]]:
        """The overlays and their lines below the pictures."""
        bottom = self.body.bottom()
        rect = QRectF(0, bottom, self.size.width(), self.size.height() - bottom)
        return slice_paint.footer_lines(rect, self.scene, self.fonts)

    @cached_property
    def legend(self) -> list[tuple[QRectF, RegionLayer]]:
        """The regions on the last picture that shows any, and their line below the pictures."""
        layers = [] if self.scene.brief else list(self.scene.regions.values())[-1:]
        bottom = self.body.bottom()
        rect = QRectF(0, bottom, self.size.width(), self.size.height() - bottom)
        return [(slice_paint.footer_line(rect, len(self.scene.overlays), self.fonts), layer) for layer in layers]

    def still(self) -> tuple[object, ...]:
        """All that the kept pictures depend on."""
        scene = self.scene
        legends = [_legend(line, layer, self.camera) for line, layer in self.footer if not isinstance(layer, Heatmap)]
        places = self.size.toTuple(), [pane.getRect() for pane in self.panes], self.header, self.fonts
        return places, self.bars, scene.badge, scene.letters, legends


def _legend(line: QRectF, layer: Quiver | Lines, camera: Camera) -> tuple[object, ...]:
    """All that the legend of a layer depends on."""
    if isinstance(layer, Quiver):
        return line.getRect(), layer.title, layer.scale * camera.px_per_mm
    return line.getRect(), layer.title, [(stroke.label, stroke.colour) for stroke in layer.strokes]


class Written:
    """Keeps the ground of a view (all that lies beside its pictures) and its letters (which lie upon them)."""

    def __init__(self) -> None:
        self._sheet: Sheet | None = None
        self._key: tuple[object, ...] = ()
        self._ground = QPixmap()
        self._letters: list[list[tuple[QPointF, QPixmap]]] = []

    def paint_ground(self, painter: QPainter, sheet: Sheet) -> None:
        """Badge, colour bars and legend, opaque: to be painted before the pictures."""
        self._sheet = sheet
        if is_vector(painter):
            painter.fillRect(QRectF(QPointF(), sheet.size), QColor(DARK.background))
            _write_ground(painter, sheet)
        else:
            self._draw(sheet, painter.device().devicePixelRatioF())
            painter.drawPixmap(QPointF(), self._ground)

    def paint_over(self, painter: QPainter) -> None:
        """Crosshair, letters, and what tells the slice and the time: to be painted after the pictures."""
        sheet = self._sheet
        if sheet is None:
            return
        slice_paint.paint_name(painter, QRectF(QPointF(), sheet.size), sheet.scene, sheet.header, sheet.fonts)
        for pane in range(len(sheet.panes)):
            self._paint_pane(painter, sheet, pane)
            if is_vector(painter):  # Qt's SVG does not notice that the pane's clipping has been taken back
                painter.setClipRect(QRectF(QPointF(), sheet.size))
            slice_paint.paint_pane_title(painter, sheet.title(pane), sheet.scene, sheet.header, sheet.fonts)
        for line, layer in sheet.footer:
            if isinstance(layer, Heatmap):
                slice_paint.paint_heat_line(painter, line, layer, sheet.scene.time, sheet.fonts)
        for line, regions in sheet.legend:
            paint_legend(painter, line, regions, sheet.fonts)

    def _paint_pane(self, painter: QPainter, sheet: Sheet, pane: int) -> None:
        rect = sheet.panes[pane]
        painter.save()
        painter.setClipRect(rect)
        image = sheet.scene.images[pane]
        if (regions := sheet.scene.regions_on(image)) is not None:
            paint_regions(painter, rect, sheet.camera, regions, sheet.scene.plane)
        if (paths := sheet.scene.paths_on(image)) is not None:
            painter.setFont(sheet.fonts.small)
            paint_paths(painter, rect, sheet.camera, paths)
        if (marks := sheet.scene.marks_on(image)) is not None:
            paint_marks(painter, rect, sheet.camera, marks)
        if all(map(isfinite, sheet.scene.crosshair)):
            slice_paint.paint_crosshair(painter, rect, sheet.camera.to_px(rect, *sheet.scene.crosshair))
        if sheet.scene.extrapolated and pane == len(sheet.panes) - 1:
            words = "" if slice_paint.is_small(sheet.scene, sheet.size) else sheet.scene.beyond
            paint_beyond(painter, rect, words, sheet.fonts)
        if is_vector(painter):
            for box, text in slice_paint.letter_boxes(rect, sheet.scene.letters, sheet.fonts):
                slice_paint.paint_letter(painter, box, text, sheet.fonts)
        else:
            for place, letter in self._letters[pane]:
                painter.drawPixmap(place, letter)
        if sheet.scene.stamp and pane == len(sheet.panes) - 1:
            slice_paint.paint_stamp(painter, rect, sheet.scene, sheet.fonts)
        painter.restore()

    def _draw(self, sheet: Sheet, ratio: float) -> None:
        """Draw what is kept again, where anything that it depends on has changed."""
        key = (ratio, sheet.still())
        if key != self._key:
            self._key = key
            self._ground = _ground(sheet, ratio)
            self._letters = [_letters(sheet, rect, ratio) for rect in sheet.panes]


def _ground(sheet: Sheet, ratio: float) -> QPixmap:
    """What is written beside the pictures, on an opaque ground: text is then as sharp as on the screen itself."""
    pixmap = _pixmap(sheet.size, ratio, QColor(DARK.background))
    painter = _painter(pixmap)
    _write_ground(painter, sheet)
    painter.end()
    return pixmap


def is_vector(painter: QPainter) -> bool:
    """Whether lines and letters stay lines and letters there: nothing is kept as pixels then."""
    return painter.paintEngine().type() == QPaintEngine.Type.SVG


def _write_ground(painter: QPainter, sheet: Sheet) -> None:
    """Badge, colour bars and legend."""
    whole = QRectF(QPointF(), sheet.size)
    slice_paint.paint_badge(painter, whole, sheet.scene, sheet.header, sheet.fonts)
    for line, layer in sheet.footer:
        if isinstance(layer, Quiver):
            slice_paint.paint_quiver_line(painter, line, layer, sheet.camera.px_per_mm, sheet.fonts)
        elif isinstance(layer, Lines):
            slice_paint.paint_strokes_line(painter, line, layer, sheet.fonts)
    if sheet.bars:
        paint_bars(painter, sheet.strip, sheet.bars, sheet.fonts)


def _letters(sheet: Sheet, rect: QRectF, ratio: float) -> list[tuple[QPointF, QPixmap]]:
    """The letters of the pane at `rect`, and where they are put: whole pixels, so that they stay sharp."""
    made = []
    for box, letter in slice_paint.letter_boxes(rect, sheet.scene.letters, sheet.fonts):
        around = QRectF(box.adjusted(-1, -1, 1, 1).toAlignedRect())
        pixmap = _pixmap(around.size(), ratio, QColor(Qt.GlobalColor.transparent))
        painter = _painter(pixmap)
        slice_paint.paint_letter(painter, box.translated(-around.topLeft()), letter, sheet.fonts)
        painter.end()
        made.append((around.topLeft(), pixmap))
    return made


def _pixmap(size: QSizeF, ratio: float, colour: QColor) -> QPixmap:
    pixmap = QPixmap(ceil(size.width() * ratio), ceil(size.height() * ratio))
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(colour)
    return pixmap


def _painter(pixmap: QPixmap) -> QPainter:
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    return painter
