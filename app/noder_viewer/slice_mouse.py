"""What mouse and keys ask of a slice view.

Left click puts the crosshair, with Shift it also follows the tissue there; left or middle drag pans, Shift and left
drag pulls the crosshair, right drag sets the grey levels, a right click opens a menu, the wheel steps slices, Ctrl and
the wheel zooms, a double click asks for a larger view, with Ctrl it shows the whole slice again.
"""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal, SignalInstance
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from noder_viewer.camera import Camera, Press
from noder_viewer.scene import SliceScene

DRAG_FROM_PX = 4
WHEEL_NOTCH = 120
OBLIQUE = (
    "⊥: how far the slice lies along its own normal, in mm. The grid is oblique,\n"
    "so this is not the R, A or S of the crosshair, which the status bar tells."
)


class SliceMouse(QWidget):
    """A widget that turns mouse and keys into its camera's moves and into wishes.

    Who shows the slice says where its panes are and how it follows the camera. Signals give in-plane mm: see
    `scene.to_mm`.
    """

    index_requested = Signal(int, int)
    cursor_requested = Signal(int, float, float)
    hovered = Signal(int, float, float)
    left = Signal()
    levels_requested = Signal(float, float)
    large_requested = Signal(int)
    stroke_requested = Signal(int, float, float, bool)  # where, and whether the stroke begins there
    stroke_ended = Signal()
    camera_moved = Signal()
    follow_requested = Signal(int, float, float)
    menu_requested = Signal(int, float, float, QPoint)  # where on the screen
    copy_requested = Signal()

    def __init__(self, axis: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axis = axis
        self._scene: SliceScene | None = None
        self._camera = Camera()
        self._next: Camera | None = None
        self._n_panes = 1
        self._press: Press | None = None
        self._wanted: int | None = None
        self._wheel = 0.0
        self._crosshair_before: tuple[float, float] | None = None
        self._brush_mm: float | None = None
        self._brush_at: QPointF | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

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

    def reset_view(self) -> None:
        """Show the whole slice."""
        self._press = None
        self._camera.fitted = True
        self._look()
        self.camera_moved.emit()

    def look_like(self, other: SliceMouse) -> None:
        """Look at what another view of the same plane looks at."""
        camera = other.camera
        self._camera.x, self._camera.y, self._camera.px_per_mm = camera.x, camera.y, camera.px_per_mm
        self._camera.fitted = camera.fitted
        self._look()

    def look_next(self, camera: Camera | None) -> None:
        """Once other scans are shown, look at them as `camera` does; None: at the whole slice."""
        self._next = camera

    def _begin_looking(self, *, others: bool) -> None:
        """Another grid is shown, be it of `others` than before or of the same scans."""
        if self._next is not None:
            self._camera, self._next = replace(self._next), None
        else:
            self._camera.fitted |= others

    def set_brush(self, radius_mm: float | None) -> None:
        """With a brush in the hand left drags are strokes; None puts it down."""
        self._brush_mm = radius_mm
        self._look()

    @property
    def holds_brush(self) -> bool:
        """Whether left drags are strokes."""
        return self._brush_mm is not None

    def set_camera(self, camera: Camera) -> None:
        """Look at the same as `camera`, which stays its owner's."""
        self._camera = replace(camera)
        self._look()

    def event(self, event: QEvent) -> bool:
        """On the slice's name a tip tells what its millimetres are, where that is not plain."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            on_name = event.pos().y() < self.fontMetrics().height()
            oblique = self._scene is not None and self._scene.plane.grid.is_oblique
            QToolTip.showText(event.globalPos(), OBLIQUE if on_name and oblique else "", self)
            return True
        return super().event(event)

    def _rect(self, pane: int) -> QRectF:
        """Where a pane is, in pixels of this widget."""
        raise NotImplementedError

    def _look(self) -> None:
        """Follow the camera."""
        raise NotImplementedError

    def pressed(self, event: QMouseEvent) -> None:
        """A button went down on the canvas."""
        place = event.position()
        if self._scene is None or self._pane_at(place) is None:
            return
        shift = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        self._press = Press(event.button(), place, place, shift, self._scene.window)
        self._press.paints = self._brush_mm is not None and event.button() == Qt.MouseButton.LeftButton and not shift
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if self._press.paints:
            self._request_stroke(place, begins=True)

    def moved(self, event: QMouseEvent) -> None:
        """The mouse moved over the canvas."""
        place, press = event.position(), self._press
        if self._brush_mm is not None:
            self._brush_at = place
            self._look()
        if press is None:
            self._hover(place)
            return
        if press.paints:
            self._request_stroke(place)
            return
        away = place - press.start
        press.dragging |= max(abs(away.x()), abs(away.y())) >= DRAG_FROM_PX
        if press.dragging:
            self._drag(press, place)

    def released(self, event: QMouseEvent) -> None:
        """A button went up without a drag: left puts the crosshair, with Shift it follows the point; right: a menu."""
        press = self._press
        if press is None or event.button() != press.button:
            return
        self._press = None
        if press.paints:
            self.stroke_ended.emit()
        elif press.dragging:
            return
        elif press.button == Qt.MouseButton.RightButton:
            self._request_menu(press.start, event.globalPosition().toPoint())
        elif press.button == Qt.MouseButton.LeftButton and press.shift:
            self._request_at(press.start, self.follow_requested)
        elif press.button == Qt.MouseButton.LeftButton:
            self._crosshair_before = None if self._scene is None else self._scene.crosshair
            self._request_cursor(press.start)

    def double_clicked(self, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """Ask for a larger view; the crosshair goes back to where it was before the first of both clicks."""
        crosshair, self._crosshair_before = self._crosshair_before, None
        if modifiers & Qt.KeyboardModifier.ControlModifier:
            self.reset_view()
        else:
            self.large_requested.emit(self._axis)
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
            self.camera_moved.emit()
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
        elif event.matches(QKeySequence.StandardKey.Copy):
            self.copy_requested.emit()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """The menu key, at the crosshair; of the mouse's buttons `released` knows whether they dragged."""
        event.accept()
        if event.reason() == QContextMenuEvent.Reason.Keyboard and self._scene is not None:
            place = self.to_pixel(*self._scene.crosshair)
            self._request_menu(place, self.mapToGlobal(place.toPoint()))

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self._look()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._look()

    def leaveEvent(self, event: QEvent) -> None:
        super().leaveEvent(event)
        if self._brush_at is not None:
            self._brush_at = None
            self._look()
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
            self.camera_moved.emit()

    def _request_levels(self, press: Press, away: QPointF) -> None:
        """Right widens the window, up makes the picture brighter; 300 pixels are one window."""
        low, high = press.levels
        width = (high - low) or 1.0
        wide = width * 2.0 ** (away.x() / 150)
        centre = (low + high) / 2 + away.y() / 300 * width
        self.levels_requested.emit(centre - wide / 2, centre + wide / 2)

    def _request_cursor(self, place: QPointF) -> None:
        self._request_at(place, self.cursor_requested)

    def _request_at(self, place: QPointF, signal: SignalInstance) -> None:
        pane = self._pane_at(place)
        if pane is not None:
            signal.emit(self._axis, *self._camera.to_plane(self._rect(pane), place))

    def _request_menu(self, place: QPointF, on_screen: QPoint) -> None:
        pane = self._pane_at(place)
        if pane is not None:
            self.menu_requested.emit(self._axis, *self._camera.to_plane(self._rect(pane), place), on_screen)

    def _request_stroke(self, place: QPointF, *, begins: bool = False) -> None:
        pane = self._pane_at(place)
        if pane is not None:
            self.stroke_requested.emit(self._axis, *self._camera.to_plane(self._rect(pane), place), begins)

    def _hover(self, place: QPointF) -> None:
        pane = self._pane_at(place)
        if self._scene is None or pane is None:
            self.left.emit()
        else:
            self.hovered.emit(self._axis, *self._camera.to_plane(self._rect(pane), place))

    def _pane_at(self, place: QPointF) -> int | None:
        return next((k for k in range(self._n_panes) if self._rect(k).contains(place)), None)
