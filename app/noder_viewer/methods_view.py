"""Up to four panes of one plane, each with its own choice; they share cursor, grey levels and camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.plane import PLANE_NAMES
from noder_viewer.scene import SliceScene
from noder_viewer.session import MOST_PANES, SCORES, Methods
from noder_viewer.slices import SliceView

BARS_FROM_PX = 240
_ORDER = (2, 0, 1)
"""Axes as they stand in the window: axial, sagittal, coronal."""


class MethodsView(QWidget):
    """Shows scenes pane by pane and emits what the user wants; `pane_requested(position, "")` takes a pane away."""

    pane_requested = Signal(int, str)
    axis_requested = Signal(int)
    score_requested = Signal(str)
    what_requested = Signal(str)
    close_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._axis, self._n = 2, -1
        self.plane, self.score, self.what = _box("Plane"), _box("Score"), _box("What the panes show")
        for axis in _ORDER:
            self.plane.addItem(PLANE_NAMES[axis], axis)
        for name, words in SCORES.items():
            self.score.addItem(words, name)
        self.what.addItem("Predictions", "prediction")
        self.what.addItem("Differences", "difference")
        self.add = QToolButton()
        self.add.setText("+")
        self.close_button = QToolButton()
        self.close_button.setText("✕")
        for button, tip in ((self.add, "Another pane, four at most"), (self.close_button, "Back to the slices (M)")):
            button.setToolTip(tip)
            button.setAccessibleName(tip)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.boxes = tuple(_box(f"Pane {k + 1} shows") for k in range(MOST_PANES))
        self.views: tuple[SliceView, ...] = ()
        self._cells: list[QWidget] = []
        self._lay_out()
        self._connect()

    def set_axis(self, axis: int) -> bool:
        """Cut across another axis; whether the views were made anew, and are to be connected."""
        self.plane.setCurrentIndex(self.plane.findData(axis))
        if self.views and axis == self._axis:
            return False
        self._axis = axis
        for old, cell in zip(self.views or (None,) * MOST_PANES, self._cells, strict=True):
            layout = cell.layout()
            if old is not None:
                old.setParent(None)
                old.deleteLater()
            view = SliceView(axis)
            view.camera_moved.connect(self._on_camera)
            if layout is not None:
                layout.addWidget(view)
            view.show()
        self.views = tuple(view for cell in self._cells for view in cell.findChildren(SliceView))
        for k, view in enumerate(self.views):
            view.setAccessibleName(f"Pane {k + 1}, {PLANE_NAMES[axis].lower()} slice")
        return True

    def set_choices(self, choices: Mapping[str, str], panes: Sequence[str], methods: Methods) -> None:
        """What the panes can show, and what they show."""
        for k, box in enumerate(self.boxes):
            entries = [*choices.items(), *([("", "Take this pane away")] if len(panes) > 1 else [])]
            if [(box.itemData(i), box.itemText(i)) for i in range(box.count())] != entries:
                box.clear()
                for pane, words in entries:
                    box.addItem(words, pane)
            if k < len(panes):
                box.setCurrentIndex(box.findData(panes[k]))
        self.score.setCurrentIndex(self.score.findData(methods.score))
        self.what.setCurrentIndex(self.what.findData(methods.what))
        self.add.setEnabled(len(panes) < MOST_PANES)
        self._set_panes(len(panes))

    def set_scenes(self, scenes: Sequence[SliceScene | None], messages: Sequence[str]) -> None:
        """What each pane shows, in order; its message where that is nothing."""
        self._show_bars()
        for view, scene, message in zip(self.views, scenes, messages, strict=False):
            view.set_message(message)
            view.set_scene(scene)
        for view in self.views:
            view.set_partners(self.views[: len(scenes)])

    def reset_views(self) -> None:
        """Show the whole slice in all panes."""
        for view in self.views:
            view.reset_view()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_bars()

    def _show_bars(self) -> None:
        """In all panes or none, so that all fit their slice alike: a pane that is new has no width of its own yet."""
        wide = self.width() / (1 if self._n == 1 else 2)
        for view in self.views:
            view.set_bars_visible(wide >= BARS_FROM_PX)

    def _set_panes(self, n: int) -> None:
        if n == self._n:
            return
        self._n = n
        columns = 1 if n == 1 else 2
        for k, cell in enumerate(self._cells):
            self._grid.removeWidget(cell)
            cell.setVisible(k < n)
            if k < n:
                self._grid.addWidget(cell, k // columns, k % columns)
        for k in range(2):
            self._grid.setColumnStretch(k, int(k < columns))
            self._grid.setRowStretch(k, int(k * columns < n))

    def _lay_out(self) -> None:
        bar = QHBoxLayout()
        bar.setSpacing(4)
        for box in (self.plane, self.what, self.score):
            bar.addWidget(box)
        bar.addWidget(self.add)
        bar.addStretch(1)
        bar.addWidget(self.close_button)
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        for box in self.boxes:
            cell = QWidget()
            column = QVBoxLayout(cell)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(2)
            column.addWidget(box)
            self._cells.append(cell)
            cell.setParent(self)
            cell.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(bar)
        column.addLayout(self._grid, 1)

    def _connect(self) -> None:
        self.plane.activated.connect(self._on_plane)
        for box in self.boxes:
            box.activated.connect(self._on_pane)
        self.score.activated.connect(self._on_score)
        self.what.activated.connect(self._on_what)
        self.add.clicked.connect(self._on_add)
        self.close_button.clicked.connect(self.close_requested)

    def _on_camera(self) -> None:
        moved = self.sender()
        if not isinstance(moved, SliceView):
            return
        for view in self.views:
            if view is not moved:
                view.look_like(moved)

    def _on_pane(self) -> None:
        box = self.sender()
        position = next((k for k, other in enumerate(self.boxes) if other is box), None)
        if position is not None:
            self.pane_requested.emit(position, str(self.boxes[position].currentData()))

    def _on_add(self) -> None:
        """The first choice that no pane shows yet."""
        box, shown = self.boxes[0], {str(b.currentData()) for b in self.boxes[: self._n]}
        names = [str(box.itemData(k)) for k in range(box.count()) if box.itemData(k)]
        self.pane_requested.emit(self._n, next((name for name in names if name not in shown), names[0]))

    def _on_plane(self) -> None:
        self.axis_requested.emit(int(self.plane.currentData()))

    def _on_score(self) -> None:
        self.score_requested.emit(str(self.score.currentData()))

    def _on_what(self) -> None:
        self.what_requested.emit(str(self.what.currentData()))


def _box(name: str) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(name)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(7)
    return box
