"""The 3D canvas, an embedded napari: the predicted volume at t, its motion arrows, the user's own layers.

Built on demand, never at import: napari takes seconds to load, and software OpenGL seconds a frame. Data stay
on the axes of the closest-RAS grid (napari's axes 0, 1, 2 are R, A, S, in mm), which napari's default
right-handed orientation shows unmirrored.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QGuiApplication, QOffscreenSurface, QOpenGLContext
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.elided import ElidedLabel
from noder_viewer.frames import VolumeScene
from noder_viewer.palettes import DARK
from noder_viewer.path_marks import PathsInSpace
from noder_viewer.plane import Floats, to_axes
from noder_viewer.restyle import set_property
from noder_viewer.volume_motion import LAYERS, legend_html, show_arrows, show_deformation
from noder_viewer.volume_paths import PATH_LAYERS, show_paths

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from noder.grid import Grid
    from noder_viewer.deformation3d import Deformation3D

GL_RENDERER = 0x1F01
SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "software", "gdi generic", "microsoft basic render")
RENDERINGS = {
    "Volume": "attenuated_mip",
    "Brightest": "mip",
    "Average": "average",
    "Surface": "iso",
}
SOFTWARE_WORDS = "This computer draws 3D in software: the canvas works, but takes some seconds a turn."
NO_GL_WORDS = "No OpenGL here, so there is no 3D canvas. The slices and everything else work without it."
UPDATE_MS = 60
ISO_AT = 0.3
"""Grey value of "Surface" as a part of the window."""
FROM_THE_FRONT = ((0.35, -0.9, -0.3), (0.0, 0.0, 1.0))
"""Directions of looking and of up along R, A, S: from in front, a little from the left and from above."""
CLOSER = 1.12
"""napari fits the longest diagonal, which leaves much of the canvas empty."""
VOLUME = "volume at t"


def warm() -> None:
    """Import what may be imported outside the GUI thread, so that `build` is quick."""
    import napari.components
    import napari.layers  # noqa: F401


def opengl_kind() -> str | None:
    """How OpenGL is drawn here: "hardware", "software" or, without it, None. Needs a QApplication."""
    if QGuiApplication.platformName() in {"offscreen", "minimal"}:
        return None  # contexts may be had there, but canvases stay blank
    surface, context = QOffscreenSurface(), QOpenGLContext()
    surface.create()
    if not context.create() or not context.makeCurrent(surface):
        return None
    name = str(context.functions().glGetString(GL_RENDERER)).lower()
    context.doneCurrent()
    surface.destroy()
    return "software" if any(word in name for word in SOFTWARE) else "hardware"


class VolumeView(QWidget):
    """A place for the canvas: a sentence, or a button, until `build` has put napari there."""

    built = Signal()
    layers_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer: ViewerModel | None = None
        self._qt_viewer: Any = None
        self._volume: tuple[NDArray[np.float32], Grid, tuple[float, float]] | None = None
        self._arrows: tuple[Floats, Floats, Floats | None] | None = None
        self._deformation: Deformation3D | None = None
        self._paths: PathsInSpace | None = None
        self._framed: Grid | None = None
        self._words = QLabel("", self, wordWrap=True, alignment=Qt.AlignmentFlag.AlignCenter)
        self._button = QPushButton("Open the 3D view", self)
        self._button.clicked.connect(self.build)
        self._title = ElidedLabel("3D", self)
        # a label that wraps has its height ask for a width, and the rows of pictures then differ in height
        self._legend = QLabel("", self)
        self._legend.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self._legend.setAccessibleName("Legend of the 3D view")
        self._canvas_place = QHBoxLayout()
        self._menu = QMenu(self)
        self._menu.aboutToShow.connect(self._fill_menu)
        self._rendering = QComboBox(self)
        self._show_arrows = QAction("Arrows of motion", self, checkable=True, checked=True)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._placeholder())
        self._stack.addWidget(self._page())
        # napari takes 40 to 60 ms for each change of its arrows: changes in between are dropped, not queued
        self._later = QTimer(self, interval=UPDATE_MS, singleShot=True)
        self._later.timeout.connect(self._apply)
        self.setAccessibleName("3D view")
        self.setMinimumSize(160, 140)
        self.set_message("The 3D view opens with the first series.")

    # --- in

    @property
    def is_built(self) -> bool:
        """Whether napari's canvas stands here."""
        return self._qt_viewer is not None

    def prepare(self, force: bool = False) -> None:
        """Build with hardware OpenGL (or `force`); else say why not, with a button where it is only slow."""
        kind = opengl_kind()
        self._button.setVisible(kind == "software")
        if kind is None:
            self.set_message(NO_GL_WORDS)
        elif kind == "hardware" or force:
            self.build()
        else:
            self.set_message(SOFTWARE_WORDS)

    def build(self) -> None:
        """Put napari's canvas here; a failure leaves a sentence in its place."""
        if self.is_built:
            return
        if opengl_kind() is None:
            self.set_message(NO_GL_WORDS)
            return
        try:
            self._build()
        except Exception as error:  # noqa: BLE001 - napari, vispy and drivers fail in many ways; the rest goes on
            self.close_viewer()
            self._button.setVisible(False)
            self.set_message(f"The 3D view could not be opened: {error}. Everything else works without it.")
            return
        self._stack.setCurrentIndex(1)
        self._apply()
        self.built.emit()

    def set_scene(self, scene: VolumeScene | None) -> None:
        """Show a volume with its arrows; None empties the canvas."""
        beyond = "" if scene is None else scene.beyond
        set_property(self._title, "warning", bool(beyond))
        # what must not be missed comes first: the line is cut at its end
        self._title.setText("3D" if scene is None else f"3D {beyond and f'extrapolated, {beyond}: '}{scene.title}")
        if scene is None:
            self._volume = self._arrows = self._deformation = self._paths = self._framed = None
            self._legend.hide()
            self._remove_own_layers()
            return
        self._paths = scene.paths
        self.set_volume(scene.data, scene.grid, scene.levels)
        self.set_arrows(scene.points, scene.vectors, scene.colours)
        self._deformation = scene.deformation
        words = legend_html(scene.deformation)
        self._legend.setText(words)
        self._legend.setVisible(bool(words))

    def set_volume(self, array: NDArray[np.float32], grid: Grid, levels: tuple[float, float]) -> None:
        """The volume (I,J,K) on a closest-RAS grid, with its grey levels."""
        self._volume = (array, grid, levels)
        self._update_later()

    def set_arrows(self, points: Floats, vectors: Floats, colours: Floats | None = None) -> None:
        """Arrows from `points` (N,3) along `vectors` (N,3), both in RAS mm; none hide the layer."""
        self._arrows = np.asarray(points, dtype=np.float64), np.asarray(vectors, dtype=np.float64), colours
        self._update_later()

    def set_levels(self, low: float, high: float) -> None:
        """Grey levels of the volume."""
        if self._volume is not None:
            self.set_volume(self._volume[0], self._volume[1], (low, high))

    def set_message(self, text: str) -> None:
        """The sentence that stands here while there is no canvas."""
        self._words.setText(text)

    def add_paths(self, paths: Sequence[str | Path]) -> None:
        """Open the user's own files as layers: images where they lie in RAS mm, the rest by napari's readers.

        Raises InputError for a damaged image, and what napari's readers raise.
        """
        if self.viewer is None:
            return
        for path in map(Path, paths):
            if is_image(path):
                self._add_image(path)
            else:
                self.viewer.open(str(path), plugin=None)

    def picture(self, width: int, height: int) -> NDArray[np.uint8]:
        """What was set last, drawn at once: (height, width, 4) RGBA of about so many pixels."""
        self._apply()
        return np.asarray(self._qt_viewer.screenshot(flash=False, size=(height, width)))

    def reset_view(self) -> None:
        """Look from the front, the whole volume in sight."""
        if self.viewer is not None:
            self.viewer.scene.camera.set_view_direction(*FROM_THE_FRONT)
            self.viewer.fit_to_view()
            self.viewer.scene.camera.zoom *= CLOSER

    def close_viewer(self) -> None:
        """Take napari down again; call it before the application goes."""
        self._later.stop()
        qt_viewer, self._qt_viewer, self.viewer, self._framed = self._qt_viewer, None, None, None
        self._stack.setCurrentIndex(0)
        if qt_viewer is not None:
            self._canvas_place.removeWidget(qt_viewer)
            qt_viewer.setParent(None)  # else its Python half lives on with ours
            qt_viewer.close()  # deletes itself

    def closeEvent(self, event: QCloseEvent) -> None:
        self.close_viewer()
        super().closeEvent(event)

    # --- inside

    def _build(self) -> None:
        from napari.components import ViewerModel
        from napari.qt import QtViewer

        self.viewer = ViewerModel(ndisplay=3)
        self.viewer.scene.camera.orientation = ("towards", "down", "right")
        axes = self.viewer.canvas.overlays.axes
        axes.visible, axes.box = True, False
        self._qt_viewer = QtViewer(self.viewer)
        # a file dropped here is meant for the window, as everywhere else; napari would ask for a reader
        for widget in (self._qt_viewer, *self._qt_viewer.findChildren(QWidget)):
            widget.setAcceptDrops(False)
        self._canvas_place.addWidget(self._qt_viewer)

    def _fill_menu(self) -> None:
        """All layers to show and hide, the user's own also to remove."""
        self._menu.clear()
        layers = list(self._viewer().layers) if self.viewer is not None else []
        for layer in layers:
            action = self._menu.addAction(layer.name)
            action.setCheckable(True)
            action.setChecked(layer.visible)
            action.toggled.connect(partial(setattr, layer, "visible"))
        self._menu.addSeparator()
        self._menu.addAction(self._show_arrows)
        self._menu.addAction("Look from the front", self.reset_view)
        self._menu.addSeparator()
        self._menu.addAction("Add layer…", self.layers_requested.emit)
        for layer in layers:
            if layer.name not in (VOLUME, *LAYERS, *PATH_LAYERS):
                self._menu.addAction(f"Remove {layer.name}", partial(self._viewer().layers.remove, layer))

    def _update_later(self) -> None:
        if self.is_built and not self._later.isActive():
            self._later.start()

    def _apply(self) -> None:
        """Bring the layers up to what was set last."""
        if self.viewer is None or self._volume is None:
            return
        array, grid, levels = self._volume
        self._apply_volume(array, grid, levels)
        self._apply_arrows(grid)
        show_paths(self.viewer, grid, self._paths)
        show_deformation(self.viewer, grid, self._deformation)
        self.viewer.dims.axis_labels = ("R", "A", "S")
        if self._framed is None or not self._framed.matches(grid):
            self._framed = grid
            self.reset_view()

    def _apply_volume(self, array: NDArray[np.float32], grid: Grid, levels: tuple[float, float]) -> None:
        layer = self._layer(VOLUME)
        corner = to_axes(grid, grid.origin)
        if layer is None:
            layer = self._viewer().add_image(array, name=VOLUME, colormap="gray", contrast_limits=levels)
            layer.rendering = RENDERINGS[self._rendering.currentText()]
        elif layer.data is not array:
            layer.data = array
        if not np.allclose(layer.scale, grid.spacing) or not np.allclose(layer.translate, corner):
            layer.scale, layer.translate = grid.spacing, corner
        if layer.metadata.get("levels") != levels:
            layer.metadata["levels"] = levels
            layer.contrast_limits_range = layer.contrast_limits = levels
            layer.iso_threshold = levels[0] + ISO_AT * (levels[1] - levels[0])

    def _apply_arrows(self, grid: Grid) -> None:
        none = np.zeros((0, 3))
        points, vectors, colours = self._arrows or (none, none, None)
        if self._show_arrows.isChecked():
            show_arrows(self._viewer(), grid, points, vectors, colours)
        else:
            show_arrows(self._viewer(), grid, none, none, None)

    def _add_image(self, path: Path) -> None:
        """An image file as a layer on the axes of what is shown, oblique ones turned as they should be."""
        from noder.image import Image, volumes_in

        image = Image.open(path, volume=0 if volumes_in(path) > 1 else None)
        affine = image.grid.affine.copy()
        if self._volume is not None:
            affine[:3] = to_axes(self._volume[1], affine[:3].T).T
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Non-orthogonal slicing"
            )  # true of 2D slices, of which there are none here
            self._viewer().add_image(
                image.numpy(),
                name=path.name,
                affine=affine,
                blending="additive",
                colormap="cyan",
                rendering="mip",
            )

    def _remove_own_layers(self) -> None:
        for name in (VOLUME, *LAYERS, *PATH_LAYERS):
            layer = self._layer(name)
            if layer is not None:
                self._viewer().layers.remove(layer)

    def _layer(self, name: str) -> Any:
        """The layer of this name, or None."""
        layers = () if self.viewer is None else self.viewer.layers
        return next((layer for layer in layers if layer.name == name), None)

    def _viewer(self) -> ViewerModel:
        if self.viewer is None:
            raise RuntimeError("the 3D view is not open")
        return self.viewer

    def _set_rendering(self, name: str) -> None:
        layer = self._layer(VOLUME)
        if layer is not None:
            layer.rendering = RENDERINGS[name]

    def _placeholder(self) -> QWidget:
        page = QWidget(self)
        page.setObjectName("ground")
        page.setStyleSheet(f"#ground {{ background: {DARK.background}; }}")  # and not of the button on it
        self._words.setStyleSheet(f"color: {DARK.muted}")
        layout = QVBoxLayout(page)
        layout.addStretch(1)
        layout.addWidget(self._words)
        layout.addWidget(self._button, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(1)
        self._button.hide()
        return page

    def _page(self) -> QWidget:
        page = QWidget(self)
        self._rendering.addItems(list(RENDERINGS))
        self._rendering.setToolTip("How the volume is drawn")
        self._rendering.currentTextChanged.connect(self._set_rendering)
        self._show_arrows.toggled.connect(self._update_later)
        layers = QPushButton("View", page)
        layers.setToolTip("Arrows, the view from the front, layers to show and hide; add a file that napari reads")
        layers.setMenu(self._menu)
        row = QHBoxLayout()
        row.setContentsMargins(6, 2, 6, 0)
        row.addWidget(self._title, 1)
        row.addWidget(self._rendering)
        row.addWidget(layers)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addLayout(self._canvas_place, 1)
        self._legend.setContentsMargins(6, 0, 6, 3)
        layout.addWidget(self._legend)
        return page


def is_image(path: Path) -> bool:
    """Whether our own readers open the file."""
    from noder.image import READERS

    return path.name.lower().endswith(tuple(READERS))
