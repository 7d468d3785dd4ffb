"""One of three linked orthogonal slices: pyqtgraph raster items (no OpenGL), our own camera and mouse.

Left click puts the crosshair, left or middle drag pans, Shift and left drag pulls the crosshair, right drag
sets the grey levels, the wheel steps slices, Ctrl and the wheel zooms, a double click shows the whole slice
again.
"""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QResizeEvent, QShowEvent, QWheelEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

from noder_viewer import slice_paint, theme
from noder_viewer.camera import Camera, Press
from noder_viewer.colormaps import ARROW, LUTS, paint, places
from noder_viewer.overlays import Heatmap, Quiver
from noder_viewer.pictures import SliceImage
from noder_viewer.scene import SliceScene

DRAG_FROM_PX = 4
WHEEL_NOTCH = 120
SHORTEST_ARROW_PX = 4
LETTER_MARGIN = 18
"""Pixels around a fitted picture, so that its letters stand beside it."""
LOOKS = {
    0: "Sagittal slice",
    1: "Coronal slice",
    2: "Axial slice",
}


class _Pane:
    """One picture with its overlays, in a ViewBox that only follows our camera."""

    def __init__(self) -> None:
        self.box = pg.ViewBox(enableMouse=False, enableMenu=False, defaultPadding=0)
        self.box.disableAutoRange()
        self.image = pg.ImageItem(axisOrder="row-major")
        self.heat = pg.ImageItem(axisOrder="row-major")
        self.arrows = pg.PlotCurveItem(skipFiniteCheck=True, antialias=True)
        self.set_pixel_ratio(1.0)
        for item in (self.image, self.heat, self.arrows):
            self.box.addItem(item, ignoreBounds=True)
        self._shown: SliceImage | None = None
        self._heat: Heatmap | None = None
        self._quiver: Quiver | None = None
        self._px_per_mm = 0.0
        self._place: tuple[object, ...] = ()
        self._heat_place: tuple[object, ...] = ()

    def show(self, scene: SliceScene, image: SliceImage, frame: QRectF) -> None:
        """Draw what differs from what is drawn."""
        before = self._shown
        if before is None or before.data is not image.data or before.levels != image.levels:
            self.image.setImage(
                places(image.data.T, *image.levels), autoLevels=False, levels=None, lut=LUTS[image.colormap]
            )
        self._shown = image
        place = (frame.getRect(), image.data.shape)
        if place != self._place:
            self._place = place
            self.image.setRect(frame)
        layers = scene.overlays_on(image)
        self._show_heat(next((layer for layer in layers if isinstance(layer, Heatmap)), None), frame)
        self._show_arrows(next((layer for layer in layers if isinstance(layer, Quiver)), None))

    def set_pixel_ratio(self, ratio: float) -> None:
        """Pens of pyqtgraph count the screen's own pixels: a sharp screen needs wider ones."""
        self.arrows.setPen(pg.mkPen(QColor(*ARROW), width=1.4 * ratio))
        self.arrows.setShadowPen(pg.mkPen((0, 0, 0, 130), width=2.6 * ratio))

    def look(self, camera: Camera) -> None:
        """Follow the camera."""
        rect = self.box.rect()
        width, height = rect.width() / camera.px_per_mm, rect.height() / camera.px_per_mm
        self.box.invertX(camera.flip_x)
        view = QRectF(camera.x - width / 2, camera.y - height / 2, width, height)
        self.box.setRange(view, padding=0, disableAutoRange=True)
        if camera.px_per_mm != self._px_per_mm:
            self._px_per_mm = camera.px_per_mm
            self._draw_arrows()

    def _show_heat(self, heat: Heatmap | None, frame: QRectF) -> None:
        if heat is not None and heat is not self._heat:
            rgba = paint(heat.values, heat.limit, heat.opacity, heat.folds)
            self.heat.setImage(np.ascontiguousarray(rgba.transpose(1, 0, 2)), autoLevels=False, levels=None)
            place = (frame.getRect(), heat.values.shape)
            if place != self._heat_place:
                self._heat_place = place
                self.heat.setRect(frame)
        self._heat = heat
        self.heat.setVisible(heat is not None)

    def _show_arrows(self, quiver: Quiver | None) -> None:
        before, self._quiver = self._quiver, quiver
        self.arrows.setVisible(quiver is not None)
        if quiver is not before:
            self._draw_arrows()

    def _draw_arrows(self) -> None:
        """Arrows too short to have a direction on this screen would only be dots: they are left out."""
        if self._quiver is not None and self._px_per_mm > 0:
            x, y = self._quiver.segments(SHORTEST_ARROW_PX / self._px_per_mm)
            self.arrows.setData(x, y, connect="pairs", skipFiniteCheck=True)


class _Canvas(pg.GraphicsLayoutWidget):  # type: ignore[misc]
    """Panes side by side, with everything that is written painted in the foreground."""

    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._view = view
        self.setBackground(theme.BACKGROUND)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.ci.setSpacing(2)

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
        if event.button() == Qt.MouseButton.LeftButton:
            self._view.double_clicked()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._view.wheeled(event)
        event.accept()


class SliceView(QWidget):
    """The slice of `axis` (0 sagittal, 1 coronal, 2 axial). Signals give in-plane mm: see `scene.to_mm`."""

    index_requested = Signal(int, int)
    cursor_requested = Signal(int, float, float)
    hovered = Signal(int, float, float)
    left = Signal()
    levels_requested = Signal(float, float)

    def __init__(self, axis: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axis = axis
        self._scene: SliceScene | None = None
        self._message = ""
        self._bars = True
        self._camera = Camera()
        self._press: Press | None = None
        self._wanted: int | None = None
        self._wheel = 0.0
        self._panes = (_Pane(), _Pane())
        self._canvas = _Canvas(self)
        self._canvas.addItem(self._panes[0].box, 0, 0)
        self._n_panes = 1
        self._header = slice_paint.Header(badge_below=False, title_lines=1)
        self._room: tuple[object, ...] = ()
        self._crosshair_before: tuple[float, float] | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setAccessibleName(LOOKS[axis])
        self.setMinimumSize(160, 140)
        for pane in self._panes:
            pane.box.sigResized.connect(self._pane_resized)

    # --- in

    def set_scene(self, scene: SliceScene | None) -> None:
        """Show a scene, drawing only what changed; None empties the view."""
        before, self._scene, self._wanted = self._scene, scene, None
        if before is not None and scene is not None and scene.differs_in_crosshair_only(before):
            for crosshair in {before.crosshair, scene.crosshair} if before.crosshair != scene.crosshair else ():
                self._update_crosshair(crosshair)
            return
        self._set_panes(1 if scene is None else len(scene.images))
        self._set_margins()
        for pane in self._panes:
            pane.box.setVisible(scene is not None)
        if scene is not None:
            self._show(scene, before)
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

    def reset_view(self) -> None:
        """Show the whole slice."""
        self._press = None
        self._camera.fitted = True
        self._look()

    @property
    def axis(self) -> int:
        """0 sagittal, 1 coronal, 2 axial."""
        return self._axis

    @property
    def camera(self) -> Camera:
        """What is looked at (read it; the mouse moves it)."""
        return self._camera

    def to_pixel(self, x_mm: float, y_mm: float, pane: int = 0) -> QPointF:
        """Where in-plane mm lie on the canvas, in pixels of this widget."""
        return self._camera.to_px(self._rect(pane), x_mm, y_mm)

    # --- drawing

    def _show(self, scene: SliceScene, before: SliceScene | None) -> None:
        plane = scene.plane
        (x, y), (dx, dy), (nx, ny) = plane.origin, plane.spacing, plane.shape
        frame = QRectF(x - dx / 2, y - dy / 2, nx * dx, ny * dy)
        for pane, image in zip(self._panes, scene.images, strict=False):
            pane.show(scene, image, frame)
        if before is None or not before.plane.grid.matches(plane.grid):
            self._camera.fitted = True
        if before is None or self._camera.flip_x != scene.flip_x or self._camera.fitted:
            self._camera.flip_x = scene.flip_x
            self._look()

    def _look(self) -> None:
        if self._camera.fitted and self._scene is not None:
            self._fit(self._scene)
        for pane in self._panes[: self._n_panes]:
            pane.look(self._camera)
        self._canvas.viewport().update()

    def _fit(self, scene: SliceScene) -> None:
        rect, plane = self._rect(0), scene.plane
        sides = [n * step for n, step in zip(plane.shape, plane.spacing, strict=True)]
        middle = [o + (n - 1) / 2 * d for o, n, d in zip(plane.origin, plane.shape, plane.spacing, strict=True)]
        room = max(rect.width() - 2 * LETTER_MARGIN, 20), max(rect.height() - 2 * LETTER_MARGIN, 20)
        self._camera.x, self._camera.y = middle
        self._camera.px_per_mm = min(room[0] / sides[0], room[1] / sides[1])

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
        font, scene = self.font(), self._scene
        bars = slice_paint.bars_of(scene) if scene is not None and self._bars else []
        right = slice_paint.strip_width(bars, font) if bars else 0.0
        if scene is not None:
            self._set_header(scene, right)
        top = slice_paint.header_height(self._header, font)
        margins = (0.0, top, right, slice_paint.footer_height(scene, font))
        layout = self._canvas.ci.layout
        if layout.getContentsMargins() != margins:
            layout.setContentsMargins(*margins)
            layout.activate()

    def _set_header(self, scene: SliceScene, strip: float) -> None:
        """Room for all titles, which does not shrink while the time runs: the picture must not jump."""
        room = self.width(), strip, [image.kind for image in scene.images]
        header = slice_paint.header_of(scene, self.font(), self.width(), strip)
        if room == self._room:
            below = header.badge_below or self._header.badge_below
            header = slice_paint.Header(below, max(header.title_lines, self._header.title_lines))
        self._header, self._room = header, room

    def _update_crosshair(self, crosshair: tuple[float, float]) -> None:
        """Paint again where the lines of a crosshair are, and nothing else."""
        for pane in range(self._n_panes):
            rect = self._rect(pane)
            cross = self._camera.to_px(rect, *crosshair)
            across = QRectF(rect.left(), cross.y() - 2, rect.width(), 5)
            along = QRectF(cross.x() - 2, rect.top(), 5, rect.height())
            for part in (across, along):
                self._canvas.viewport().update(part.toAlignedRect())

    def paint_over(self, painter: QPainter) -> None:
        """Everything that is written; called by the canvas."""
        painter.setFont(self.font())
        whole, scene = QRectF(self._canvas.viewport().rect()), self._scene
        if scene is None:
            painter.setPen(QColor(theme.MUTED))
            painter.drawText(whole, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._message)
            return
        self._paint_panes(painter, scene)
        body = self._rect(0).united(self._rect(self._n_panes - 1))
        slice_paint.paint_header(painter, whole, scene, self._header)
        foot = QRectF(whole.left(), body.bottom(), whole.width(), whole.bottom() - body.bottom())
        slice_paint.paint_footer(painter, foot, scene, self._camera.px_per_mm)
        if self._bars:
            strip = QRectF(body.right(), body.top(), whole.right() - body.right(), body.height())
            slice_paint.paint_bars(painter, strip, slice_paint.bars_of(scene))

    def _paint_panes(self, painter: QPainter, scene: SliceScene) -> None:
        for k, image in enumerate(scene.images):
            rect = self._rect(k)
            cross = self._camera.to_px(rect, *scene.crosshair)
            frame = slice_paint.PaneFrame(rect, cross, image.title, is_last=k == len(scene.images) - 1)
            slice_paint.paint_pane(painter, frame, scene)
            until = self._canvas.viewport().width() if frame.is_last else rect.right()
            slice_paint.paint_pane_title(painter, frame, scene, self._header, until)

    def _rect(self, pane: int) -> QRectF:
        rect: QRectF = self._panes[pane].box.sceneBoundingRect()
        return rect

    def _pane_resized(self, _box: object) -> None:
        self._look()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        for pane in self._panes:
            pane.set_pixel_ratio(self.devicePixelRatioF())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._set_margins()
        self._look()

    # --- mouse and keys

    def pressed(self, event: QMouseEvent) -> None:
        """A button went down on the canvas."""
        place = event.position()
        if self._scene is None or self._pane_at(place) is None:
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._press = Press(event.button(), place, place, shift, self._scene.window)
        self.setFocus(Qt.FocusReason.MouseFocusReason)

    def moved(self, event: QMouseEvent) -> None:
        """The mouse moved over the canvas."""
        place, press = event.position(), self._press
        if press is None:
            self._hover(place)
            return
        away = place - press.start
        press.dragging |= max(abs(away.x()), abs(away.y())) >= DRAG_FROM_PX
        if press.dragging:
            self._drag(press, place)

    def released(self, event: QMouseEvent) -> None:
        """A button went up: a left click without a drag puts the crosshair."""
        press = self._press
        if press is None or event.button() != press.button:
            return
        self._press = None
        if press.button == Qt.MouseButton.LeftButton and not press.dragging:
            self._crosshair_before = None if self._scene is None else self._scene.crosshair
            self._request_cursor(press.start)

    def double_clicked(self) -> None:
        """Show the whole slice; the crosshair goes back to where it was before the first of both clicks."""
        crosshair, self._crosshair_before = self._crosshair_before, None
        self.reset_view()
        if crosshair is not None:
            self.cursor_requested.emit(self._axis, *crosshair)

    def wheeled(self, event: QWheelEvent) -> None:
        """Whole notches step slices (a touch pad's small ones are saved up); with Ctrl they zoom."""
        turned = event.angleDelta().y() or event.angleDelta().x()
        if self._scene is None:
            return
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            rect = self._rect(self._pane_at(event.position()) or 0)
            self._camera.zoom(rect, event.position(), 1.2 ** (turned / WHEEL_NOTCH))
            self._look()
            return
        self._wheel += turned / WHEEL_NOTCH
        steps = int(self._wheel)
        self._wheel -= steps
        if steps:
            self.step(steps)

    def step(self, n: int) -> None:
        """Ask for the slice `n` further; steps that come before an answer add up."""
        if self._scene is None:
            return
        last = self._scene.plane.grid.shape[self._axis] - 1
        now = self._scene.index if self._wanted is None else self._wanted
        wanted = min(max(now + n, 0), last)
        if wanted != now:
            self._wanted = wanted
            self.index_requested.emit(self._axis, wanted)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: 1, Qt.Key.Key_PageUp: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageDown: -1}
        key = Qt.Key(event.key())
        if key in steps:
            self.step(steps[key])
        else:
            super().keyPressEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        self.left.emit()

    def _drag(self, press: Press, place: QPointF) -> None:
        step, press.last = place - press.last, place
        if press.button == Qt.MouseButton.RightButton:
            self._request_levels(press, place - press.start)
        elif press.button == Qt.MouseButton.LeftButton and press.shift:
            self._request_cursor(place)
        else:
            self._camera.pan(step.x(), step.y())
            self._look()

    def _request_levels(self, press: Press, away: QPointF) -> None:
        """Right widens the window, up makes the picture brighter; 300 pixels are one window."""
        low, high = press.levels
        width = (high - low) or 1.0
        wide = width * 2.0 ** (away.x() / 150)
        centre = (low + high) / 2 + away.y() / 300 * width
        self.levels_requested.emit(centre - wide / 2, centre + wide / 2)

    def _request_cursor(self, place: QPointF) -> None:
        pane = self._pane_at(place)
        if pane is not None:
            self.cursor_requested.emit(self._axis, *self._camera.to_plane(self._rect(pane), place))

    def _hover(self, place: QPointF) -> None:
        pane = self._pane_at(place)
        if self._scene is None or pane is None:
            self.left.emit()
        else:
            self.hovered.emit(self._axis, *self._camera.to_plane(self._rect(pane), place))

    def _pane_at(self, place: QPointF) -> int | None:
        return next((k for k in range(self._n_panes) if self._rect(k).contains(place)), None)
