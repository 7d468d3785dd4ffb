"""One of three linked orthogonal slices: pyqtgraph raster items (no OpenGL), our own camera and mouse."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from math import inf

import pyqtgraph as pg
from PySide6.QtCore import QEvent, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QResizeEvent, QShowEvent, QWheelEvent
from PySide6.QtWidgets import QGraphicsScene, QGraphicsView, QVBoxLayout, QWidget

from noder_viewer import slice_paint
from noder_viewer.camera import Camera
from noder_viewer.colormaps import ARROW, paint, places
from noder_viewer.layer_items import LayerItems
from noder_viewer.layers import IMAGE
from noder_viewer.overlay_kinds import Heatmap, Lines, Overlay, Quiver, Stroke
from noder_viewer.palettes import DARK
from noder_viewer.pictures import SliceImage
from noder_viewer.plane import PLANE_NAMES
from noder_viewer.region_paint import paint_brush
from noder_viewer.scene import SliceScene
from noder_viewer.slice_bars import Bar, bars_of, strip_width
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slice_mouse import SliceMouse
from noder_viewer.slice_picture import Picture, coloured, frame_of, indexed, same
from noder_viewer.slice_written import Sheet, Written

SHORTEST_ARROW_PX = 4
LINE_PX = 1.0
"""Qt takes fifty times as long for a smooth line that is only a little wider, so there is no shadow either."""
ABOVE = 0.5
"""Of a layer's depth: an outline lies over its own colours."""
LETTER_MARGIN = 18
"""Pixels around a fitted picture, so that its letters stand beside it."""


class _Pane:
    """One picture with its overlays, in a ViewBox that only follows our camera."""

    def __init__(self) -> None:
        self.box = pg.ViewBox(enableMouse=False, enableMenu=False, defaultPadding=0)
        self.box.disableAutoRange()
        self.image, self.heat = Picture(), Picture()
        self.arrows = pg.PlotCurveItem(skipFiniteCheck=True, antialias=True)
        self._curves: list[pg.PlotCurveItem] = []
        self._ratio = 1.0
        self.set_pixel_ratio(1.0)
        for item in (self.image, self.heat, self.arrows):
            self.box.addItem(item, ignoreBounds=True)
        self._extra = LayerItems(self.box)
        self._shown: tuple[object, ...] = ()
        self._heat: tuple[object, ...] = ()
        self._quiver: Quiver | None = None
        self._strokes: list[Stroke] = []
        self._px_per_mm = 0.0
        self._view: tuple[object, ...] = ()

    def show(self, scene: SliceScene, image: SliceImage, frame: QRectF) -> None:
        """Draw what differs from what is drawn."""
        shown = image.data, image.levels, image.colormap, image.gamma, frame
        if not same(shown, self._shown):
            self.image.show_image(indexed(places(image.data.T, *image.levels), image.colormap, image.gamma), frame)
        self._shown = shown
        self.image.setOpacity(image.opacity)
        self._stack(scene)
        self._extra.show(scene, frame)
        layers = scene.overlays_on(image)
        self._show_heat(next((layer for layer in layers if isinstance(layer, Heatmap)), None), frame)
        self._show_strokes(_strokes(layers))
        self._stack_strokes(scene, layers)
        self._show_arrows(next((layer for layer in layers if isinstance(layer, Quiver)), None))

    def set_pixel_ratio(self, ratio: float) -> None:
        """Pens of pyqtgraph count the screen's own pixels: a sharp screen needs wider ones."""
        self._ratio = ratio
        self.arrows.setPen(pg.mkPen(QColor(*ARROW), width=1.4 * ratio))
        self.arrows.setShadowPen(pg.mkPen((0, 0, 0, 130), width=2.6 * ratio))

    def look(self, camera: Camera) -> None:
        """Follow the camera."""
        rect = self.box.rect()
        width, height = rect.width() / camera.px_per_mm, rect.height() / camera.px_per_mm
        view = QRectF(camera.x - width / 2, camera.y - height / 2, width, height)
        if (view, camera.flip_x) == self._view:
            return
        self._view = view, camera.flip_x
        self.box.invertX(camera.flip_x)
        self.box.setRange(view, padding=0, disableAutoRange=True)
        if camera.px_per_mm != self._px_per_mm:
            self._px_per_mm = camera.px_per_mm
            self._draw_arrows()

    def _stack(self, scene: SliceScene) -> None:
        """What lies over what; an item that nobody named is in front."""
        named = {name: self.heat for name, layer in scene.overlays.items() if isinstance(layer, Heatmap)}
        for key, item in {IMAGE: self.image, "quiver": self.arrows, **named}.items():
            if key in scene.order:
                item.setZValue(-scene.order.index(key))

    def _stack_strokes(self, scene: SliceScene, layers: Sequence[Overlay]) -> None:
        """Lines where their layers lie, folds with the colours that they outline."""
        names = {id(layer): name for name, layer in scene.overlays.items()}
        owners = [(names[id(layer)], len(_strokes([layer]))) for layer in _lines_first(layers)]
        keys = [name for name, count in owners for _ in range(count)]
        for curve, key in zip(self._curves, keys, strict=False):
            curve.setZValue(-scene.order.index(key) + ABOVE if key in scene.order else 1)

    def _show_heat(self, heat: Heatmap | None, frame: QRectF) -> None:
        shown = heat, frame
        if heat is not None and not same(shown, self._heat):
            values, folds = heat.values.T, heat.folds.T
            rgba = paint(values, heat.limit, heat.opacity, folds, heat.colormap, heat.low, heat.gamma)
            self.heat.show_image(coloured(rgba), frame)
        self._heat = shown
        self.heat.setVisible(heat is not None)

    def _show_arrows(self, quiver: Quiver | None) -> None:
        before, self._quiver = self._quiver, quiver
        self.arrows.setVisible(quiver is not None)
        if quiver is not before:
            self._draw_arrows()

    def _show_strokes(self, strokes: list[Stroke]) -> None:
        """A curve for each: those that are too many are hidden and kept."""
        while len(self._curves) < len(strokes):
            curve = pg.PlotCurveItem(antialias=True)
            curve.setZValue(1)
            self.box.addItem(curve, ignoreBounds=True)
            self._curves.append(curve)
        for curve, stroke, before in zip_longest(self._curves, strokes, self._strokes):
            curve.setVisible(stroke is not None)
            if stroke is not None and stroke is not before:
                curve.setPen(pg.mkPen(QColor(*stroke.colour), width=LINE_PX * self._ratio))
                curve.setSegmentedLineMode("on" if self._ratio > 1 else "auto")
                curve.setData(stroke.x, stroke.y, connect="finite")
        self._strokes = strokes

    def _draw_arrows(self) -> None:
        """Arrows too short to have a direction on this screen would only be dots: they are left out."""
        if self._quiver is not None and self._px_per_mm > 0:
            x, y = self._quiver.segments(SHORTEST_ARROW_PX / self._px_per_mm)
            self.arrows.setData(x, y, connect="pairs", skipFiniteCheck=True)


def _strokes(layers: Sequence[Overlay]) -> list[Stroke]:
    """All lines of the layers, folds around heat maps last."""
    lines: list[Stroke] = []
    for layer in _lines_first(layers):
        if isinstance(layer, Lines):
            lines += layer.strokes
        elif isinstance(layer, Heatmap) and layer.outline is not None:
            lines.append(layer.outline)
    return lines


def _lines_first(layers: Sequence[Overlay]) -> list[Overlay]:
    return sorted(layers, key=lambda layer: not isinstance(layer, Lines))


class _Canvas(pg.GraphicsLayoutWidget):  # type: ignore[misc]
    """Panes side by side, painted between what is written beside them and what is written upon them."""

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self.setBackground(DARK.background)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.ci.setSpacing(2)
        # The view says when it is to be painted. Left to the scene, which says so later than its widget, a
        # step in time painted most views twice.
        self.setViewportUpdateMode(QGraphicsView.ViewportUpdateMode.NoViewportUpdate)
        self.setCacheMode(QGraphicsView.CacheModeFlag.CacheNone)
        self.scene().setItemIndexMethod(QGraphicsScene.ItemIndexMethod.NoIndex)

    def drawBackground(self, painter: QPainter, _rect: QRectF) -> None:
        painter.save()
        painter.setWorldMatrixEnabled(False)
        self._view.paint_ground(painter)
        painter.restore()

    def drawForeground(self, painter: QPainter, _rect: QRectF) -> None:
        painter.save()
        painter.setWorldMatrixEnabled(False)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._view.paint_over(painter)
        painter.restore()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._view.pressed(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._view.moved(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._view.released(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._view.holds_brush:
            self._view.pressed(event)  # two quick dabs
        elif event.button() == Qt.MouseButton.LeftButton:
            self._view.double_clicked(event.modifiers())

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._view.wheeled(event)
        event.accept()


class SliceView(SliceMouse):
    """The slice of `axis` (0 sagittal, 1 coronal, 2 axial). Signals give in-plane mm: see `scene.to_mm`."""

    def __init__(self, axis: int, parent: QWidget | None = None) -> None:
        super().__init__(axis, parent)
        self._fonts = Fonts(self.font())
        self._message, self._bars = "", True
        self._partners: list[SliceView] = []
        self._panes = (_Pane(), _Pane())
        self._canvas = _Canvas(self)
        self._canvas.addItem(self._panes[0].box, 0, 0)
        self._written = Written()
        self._frame = QRectF()
        self._header = slice_paint.Header(badge_below=False, title_lines=1)
        self._room: tuple[object, ...] = ()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas)
        self.setAccessibleName(f"{PLANE_NAMES[axis]} slice")
        self.setMinimumSize(160, 140)
        for pane in self._panes:
            pane.box.sigResized.connect(self._pane_resized)

    def set_scene(self, scene: SliceScene | None) -> None:
        """Show a scene, drawing only what changed; None empties the view."""
        before, self._scene, self._wanted = self._scene, scene, None
        self._axis = self._axis if scene is None else scene.axis
        if before is not None and scene is not None and scene.differs_in_crosshair_only(before):
            for crosshair in {before.crosshair, scene.crosshair} if before.crosshair != scene.crosshair else ():
                self._update_crosshair(crosshair)
            return
        grid = None if before is None else before.plane.grid
        if scene is not None and scene.plane.grid is not grid:
            self._frame = frame_of(scene.plane)
            self._begin_looking(others=grid is None or not grid.matches(scene.plane.grid))
        self._set_panes(1 if scene is None else len(scene.images))
        self._set_margins()
        if (scene is None) != (before is None):
            for pane in self._panes:
                pane.box.childGroup.setVisible(scene is not None)  # a box that is hidden itself loses its room for good
        if scene is not None:
            self._show(scene)
        self._canvas.viewport().update()

    def set_message(self, text: str) -> None:
        """A sentence in the middle while there is no scene."""
        self._message = text
        self._canvas.viewport().update()

    def set_bars_visible(self, visible: bool) -> None:
        """Show or hide the colour bars."""
        self._bars = visible
        self._set_margins()
        self._canvas.viewport().update()

    def set_pixel_ratio(self, ratio: float) -> None:
        """Pixels of the screen or picture that the view is drawn on, to each of its own."""
        for pane in self._panes:
            pane.set_pixel_ratio(ratio)

    def paint_on(self, painter: QPainter) -> None:
        """Draw the view as it is on screen, at the painter's origin: on a picture, or as lines and letters on paper."""
        self._canvas.render(painter, QRectF(self.rect()), self._canvas.viewport().rect())

    def paint_ground(self, painter: QPainter) -> None:
        """What lies below and beside the pictures; called by the canvas."""
        if self._scene is None:
            painter.fillRect(self._canvas.viewport().rect(), QColor(DARK.background))
        else:
            self._written.paint_ground(painter, self._sheet(self._scene))

    def paint_over(self, painter: QPainter) -> None:
        """What is written upon the pictures, and what changes with the time; called by the canvas after the ground."""
        if self._scene is None:
            painter.setFont(self.font())
            painter.setPen(QColor(DARK.muted))
            whole, flags = self._canvas.viewport().rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(whole), flags, self._message)
        else:
            self._written.paint_over(painter)
            self._paint_brush(painter)
        if self.hasFocus():
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QColor(DARK.accent))
            painter.drawRect(QRectF(self._canvas.viewport().rect()).adjusted(0.5, 0.5, -0.5, -0.5))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.FontChange:
            self._fonts = Fonts(self.font())
            self._set_margins()
            self._look()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.set_pixel_ratio(self.devicePixelRatioF())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_margins()
        self._look()

    def _paint_brush(self, painter: QPainter) -> None:
        place, radius = self._brush_at, self._brush_mm
        if place is not None and radius is not None and (pane := self._pane_at(place)) is not None:
            painter.setClipRect(self._rect(pane))
            paint_brush(painter, place, radius * self._camera.px_per_mm)

    def _sheet(self, scene: SliceScene) -> Sheet:
        size, panes = QSizeF(self._canvas.viewport().size()), tuple(self._rect(k) for k in range(self._n_panes))
        return Sheet(scene, size, panes, self._header, self._bars_shown(), self._camera, self._fonts)

    def _bars_shown(self) -> tuple[Bar, ...]:
        return tuple(bars_of(self._scene)) if self._scene is not None and self._bars else ()

    def _show(self, scene: SliceScene) -> None:
        for pane, image in zip(self._panes, scene.images, strict=False):
            pane.show(scene, image, self._frame)
        if self._camera.fitted or self._camera.flip_x != scene.flip_x:
            self._camera.flip_x = scene.flip_x
            self._look()

    def _look(self) -> None:
        if self._camera.fitted and self._scene is not None:
            self._fit()
        for pane in self._panes[: self._n_panes]:
            pane.look(self._camera)
        self._canvas.viewport().update()

    def set_partners(self, partners: Sequence[SliceView]) -> None:
        """Show the whole slice no larger than these views of the same plane can, so that all have one scale."""
        self._partners = [view for view in partners if view is not self]
        self._look()

    def fit_scale(self) -> float:
        """Pixels a mm at which the whole slice fits."""
        rect, frame = self._rect(0), self._frame
        margin = 0 if self._scene is not None and self._scene.brief else LETTER_MARGIN
        room = max(rect.width() - 2 * margin, 20), max(rect.height() - 2 * margin, 20)
        return min(room[0] / frame.width(), room[1] / frame.height()) if frame.isValid() else inf

    def _fit(self) -> None:
        self._camera.x, self._camera.y = self._frame.center().toTuple()
        self._camera.px_per_mm = min(view.fit_scale() for view in (self, *self._partners))

    def _set_panes(self, n: int) -> None:
        if n == self._n_panes:
            return
        if n == 2:
            self._canvas.addItem(self._panes[1].box, 0, 1)
        else:
            self._canvas.removeItem(self._panes[1].box)
        self._n_panes = n
        self._canvas.ci.layout.activate()

    def _set_margins(self) -> None:
        fonts, scene, bars = self._fonts, self._scene, self._bars_shown()
        right = strip_width(bars, fonts) if bars else 0.0
        if scene is not None:
            self._set_header(scene, right)
        top = slice_paint.header_height(self._header, fonts)
        margins = (0.0, top, right, slice_paint.footer_height(scene, fonts))
        layout = self._canvas.ci.layout
        if layout.getContentsMargins() != margins:
            layout.setContentsMargins(*margins)
            layout.activate()

    def _set_header(self, scene: SliceScene, strip: float) -> None:
        """Room for all titles, which does not shrink while the time runs: the picture must not jump."""
        room = self.size().toTuple(), strip, [image.kind for image in scene.images]
        header = slice_paint.header_of(scene, self._fonts, QSizeF(self.size()), strip)
        self._header, self._room = header.or_larger(self._header) if room == self._room else header, room

    def _update_crosshair(self, crosshair: tuple[float, float]) -> None:
        """Paint again where the lines of a crosshair are, and nothing else."""
        for pane in range(self._n_panes):
            rect = self._rect(pane)
            cross = self._camera.to_px(rect, *crosshair)
            across = QRectF(rect.left(), cross.y() - 2, rect.width(), 5)
            along = QRectF(cross.x() - 2, rect.top(), 5, rect.height())
            for part in (across, along):
                self._canvas.viewport().update(part.toAlignedRect())

    def _rect(self, pane: int) -> QRectF:
        return QRectF(self._panes[pane].box.sceneBoundingRect())

    def _pane_resized(self, _box: object) -> None:
        self._look()
