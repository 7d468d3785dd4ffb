"""The lightbox: a grid of one slice at many times, with one camera, and a bar to choose the times."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLineEdit, QSpinBox, QVBoxLayout, QWidget

from noder_viewer.elided import ElidedLabel
from noder_viewer.layouts import MOST, TIMES, LightboxSettings
from noder_viewer.lightbox import Tile, grid_of
from noder_viewer.lightbox_tile import LightboxTile, paint_strip, strip_of
from noder_viewer.plane import PLANE_NAMES
from noder_viewer.scene import SliceScene
from noder_viewer.slices import SliceView


class LightboxView(QWidget):
    """Shows tiles; a click asks for the tile's time and the place in it. Places are RAS mm."""

    settings_requested = Signal(object)
    typed_requested = Signal(str)
    axis_requested = Signal(int)
    place_requested = Signal(float, object)
    large_requested = Signal(int)
    index_requested = Signal(int, int)
    levels_requested = Signal(float, float)
    hovered = Signal(float, object)
    left = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings = LightboxSettings()
        self.tiles: list[LightboxTile] = []
        self._n = 0
        self.plane, self.choice, self.number = QComboBox(), QComboBox(), QSpinBox()
        self.typed = QLineEdit()
        self._words = ElidedLabel()
        self._words.setAlignment(Qt.AlignmentFlag.AlignRight)
        self._page = QWidget()
        self._grid = QGridLayout(self._page)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        self._bars = _Bars()
        self._lay_out()

    def set_settings(self, settings: LightboxSettings, axis: int, unit: str) -> None:
        """Show which times and which slice are chosen."""
        self._settings = settings
        with QSignalBlocker(self.plane), QSignalBlocker(self.choice), QSignalBlocker(self.number):
            self.plane.setCurrentIndex(self.plane.findData(axis))
            self.choice.setCurrentIndex(self.choice.findData(settings.times))
            self.number.setValue(settings.n)
        self.number.setVisible(settings.times not in ("scans", "typed"))
        self.typed.setVisible(settings.times == "typed")
        self.typed.setPlaceholderText(f"such as 0, 1.5, 3{'' if unit in ('', 'index') else ' ' + unit}")

    def set_tiles(self, tiles: Sequence[Tile], n: int) -> None:
        """Show the first tiles of `n` to come."""
        while len(self.tiles) < n:
            self.tiles.append(self._make_tile())
        self._n = n
        for k, view in enumerate(self.tiles):
            view.set_tile(tiles[k] if k < len(tiles) else None)
        words = [tiles[0].scene.badge if tiles else "", "" if len(tiles) == n else f"{len(tiles)} of {n}…"]
        self._words.setText("   ".join(filter(None, words)))
        self._bars.set_scene(tiles[0].scene if tiles else None)
        self._arrange()

    def set_time(self, t: float) -> None:
        """Mark the tile of the time that the window shows."""
        for view in self.tiles:
            view.set_current(view.tile is not None and abs(view.tile.time - t) < 1e-9)

    def reset_view(self) -> None:
        """Show the whole slice in every tile."""
        for view in self.tiles:
            view.slice.reset_view()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange()

    def _make_tile(self) -> LightboxTile:
        tile = LightboxTile(self._page)
        tile.place_requested.connect(self.place_requested)
        tile.slice.large_requested.connect(self.large_requested)
        tile.hovered.connect(self.hovered)
        tile.slice.left.connect(self.left)
        tile.slice.index_requested.connect(self.index_requested)
        tile.slice.levels_requested.connect(self.levels_requested)
        tile.slice.camera_moved.connect(self._on_camera)
        return tile

    def _arrange(self) -> None:
        """As many columns as show the pictures largest."""
        for view in self.tiles:
            self._grid.removeWidget(view)
        room, aspect = self._page.size(), next((t.tile.aspect for t in self.tiles if t.tile is not None), 1.0)
        rows, columns = grid_of(max(self._n, 1), room.width(), room.height(), aspect)
        for k, view in enumerate(self.tiles):
            if k < self._n:
                self._grid.addWidget(view, k // columns, k % columns)
            view.setVisible(k < self._n)
        for k in range(MOST):
            self._grid.setRowStretch(k, int(k < rows))
            self._grid.setColumnStretch(k, int(k < columns))

    def _on_camera(self) -> None:
        """All tiles follow the one that was moved."""
        moved = self.sender()
        for tile in self.tiles[: self._n] if isinstance(moved, SliceView) else ():
            if tile.slice is not moved and isinstance(moved, SliceView):
                tile.slice.look_like(moved)

    def _lay_out(self) -> None:
        for axis in (2, 1, 0):
            self.plane.addItem(PLANE_NAMES[axis], axis)
        for choice, words in TIMES.items():
            self.choice.addItem(words, choice)
        self.number.setRange(2, MOST)
        self.number.setSuffix(" tiles")
        self.number.setKeyboardTracking(False)
        named: dict[str, QWidget] = {"Slice of the lightbox": self.plane, "Times of the lightbox": self.choice}
        named |= {"Number of tiles": self.number, "Typed times": self.typed}
        row = QHBoxLayout()
        row.setContentsMargins(6, 2, 6, 0)
        for name, widget in named.items():
            widget.setAccessibleName(name)
            widget.setToolTip(name)
            row.addWidget(widget)
        row.addWidget(self._words, 1)
        self.plane.activated.connect(self._on_plane)
        self.choice.activated.connect(self._on_choice)
        self.number.valueChanged.connect(self._on_choice)
        self.typed.editingFinished.connect(self._on_typed)
        body = QHBoxLayout()
        body.setSpacing(0)
        body.addWidget(self._page, 1)
        body.addWidget(self._bars)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(row)
        column.addLayout(body, 1)
        self.setAccessibleName("Lightbox")

    def _on_plane(self) -> None:
        self.axis_requested.emit(self.plane.currentData())

    def _on_choice(self) -> None:
        wanted = LightboxSettings(self.choice.currentData(), self.number.value(), self._settings.typed)
        self.settings_requested.emit(wanted)

    def _on_typed(self) -> None:
        self.typed_requested.emit(self.typed.text())


class _Bars(QWidget):
    """The colour bars of all tiles."""

    def __init__(self) -> None:
        super().__init__()
        self._scene: SliceScene | None = None
        self.setFixedWidth(0)

    def set_scene(self, scene: SliceScene | None) -> None:
        """Of the images and overlays of this scene."""
        self._scene = scene
        self.setFixedWidth(0 if scene is None else strip_of(scene, self.font()))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self.width(), 100)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self._scene is not None:
            painter = QPainter(self)
            paint_strip(painter, self.rect(), self._scene, self.font())
            painter.end()
