"""Fixed scenes from small data made in code, painted by the real widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import doubles
import numpy as np
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QHBoxLayout, QWidget
from visual_map import pushed
from window_kit import TIMEOUT_MS

from noder.label_names import LabelName
from noder.labels import LabelMap
from noder_viewer.frames import Thumbnail
from noder_viewer.lightbox import Tile
from noder_viewer.lightbox_view import LightboxView
from noder_viewer.methods_view import MethodsView
from noder_viewer.overlay_panel import OverlayPanel
from noder_viewer.region_state import RegionLook, ShownRegions
from noder_viewer.residuals import residuals_of
from noder_viewer.scene import SliceScene, slice_scene
from noder_viewer.session import Methods, OverlaySettings
from noder_viewer.slices import SliceView
from noder_viewer.time_jobs import Band
from noder_viewer.timeline import Timeline

SHAPE, SPACING = (34, 42, 26), (1.0, 1.0, 1.5)
NONE = OverlaySettings(meter=False)
GROWTH = replace(NONE, jacobian=True, jacobian_limit=0.7, jacobian_opacity=0.8)
OVERLAYS: dict[str, tuple[OverlaySettings, float]] = {
    "jacobian": (GROWTH, 1.0),
    "quiver": (replace(NONE, quiver=True, quiver_spacing_mm=3.0, quiver_scale=1.5), 1.0),
    "warped grid": (replace(NONE, grid=True, grid_spacing_mm=8.0), 1.0),
    "contours": (replace(NONE, contours=True), 1.0),
    "rate and folds": (replace(NONE, rate=True, folds=True, rate_limit=100.0, jacobian_opacity=0.8), 2.0),
}
"""The overlays and the time of each picture of overlays."""


def session(time: float = 1.0, overlays: OverlaySettings = NONE, **changes: Any) -> doubles.SessionDouble:
    """The phantom of `doubles` under the map of `visual_map`, the crosshair where both its parts are seen."""
    words: dict[str, Any] = {"time": time, "overlays": overlays, "window": (0.0, 700.0), **changes}
    made = doubles.session(doubles.ras_grid(SHAPE, SPACING), **words)
    for scan in made.series.scans:
        scan.image.array *= ramp()
    made.trajectory = pushed(made.grid, made.series.scans[0].image.array)
    made.cursor_mm = (5.5, 9.5, 5.25)
    return made


def ramp() -> np.ndarray[Any, Any]:
    """Brighter to the right, to the front and upwards: an egg alone looks much alike in a mirror."""
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE), indexing="ij", sparse=True)
    found: np.ndarray[Any, Any] = (1 + 0.6 * x) * (1 + 0.4 * y) * (1 + 0.5 * z)
    return found


def regions_session(look: RegionLook | None = None) -> doubles.SessionDouble:
    """Two regions of the first scan, carried to t = 1: one swells, the other is pushed aside."""
    made = session()
    values = np.zeros(SHAPE, dtype=np.int32)
    values[18:28, 10:20, 8:20], values[6:16, 22:32, 8:20] = 1, 2
    names = {1: LabelName("swells", (230, 60, 60)), 2: LabelName("pushed", (60, 200, 240))}
    labels = LabelMap(values, made.grid, 0.0, "two")
    made.regions = ShownRegions(labels, made.series.scans[0].image, (1, 2), names, ())
    made.region_look = look or RegionLook()
    return made


class Painter:
    """Shows widgets for a moment and grabs them; they live until the test ends."""

    def __init__(self, qtbot: Any) -> None:
        self._qtbot = qtbot

    def grab(self, widget: QWidget, width: int, height: int, fill: Callable[[], None] = lambda: None) -> QImage:
        """The widget at a size, once it is on the screen and `fill` has set what it shows."""
        self._qtbot.addWidget(widget)
        widget.resize(width, height)
        with self._qtbot.waitExposed(widget, timeout=TIMEOUT_MS):
            widget.show()
        fill()
        QApplication.processEvents()
        image = widget.grab().toImage()
        widget.hide()
        return image

    def slices(self, scenes: Sequence[SliceScene | None], width: int = 250, height: int = 270) -> QImage:
        """Scenes beside each other, each in a view of its axis."""
        page = QWidget()
        row = QHBoxLayout(page)
        row.setContentsMargins(0, 0, 0, 0)
        views = [SliceView(2 if scene is None else scene.axis) for scene in scenes]
        for view in views:
            row.addWidget(view)

        def fill() -> None:
            for view, scene in zip(views, scenes, strict=True):
                view.set_scene(scene)

        return self.grab(page, width * len(views), height, fill)


def three_slices(painter: Painter, made: Any | None = None) -> QImage:
    """Axial, sagittal, coronal."""
    made = made or session()
    return painter.slices([slice_scene(made, axis) for axis in (2, 0, 1)])


def two_slices(painter: Painter, made: Any) -> QImage:
    """Axial and coronal, large enough for lines to stand apart."""
    return painter.slices([slice_scene(made, axis) for axis in (2, 1)], 310, 350)


def overlay(painter: Painter, name: str, look: OverlaySettings | None = None) -> QImage:
    """An axial and a coronal slice with one kind of overlay."""
    chosen, time = OVERLAYS[name]
    made = session(time, look or chosen)
    return two_slices(painter, made)


def before_and_after(painter: Painter, *, registered: bool = True) -> QImage:
    """A pair, whose fixed image is what the map makes of the moving one: before, after, and as a checkerboard."""
    scenes = []
    for show in ("before", "after", "checkerboard"):
        made = session(1.0, show=show if registered else "before", pulled="moving", square_mm=8.0, flicker=False)
        made.pair = SimpleNamespace(
            names=("moving (a)", "fixed (b)"), pair=SimpleNamespace(initial=SimpleNamespace(kind="rigid")),
            scale=(1.0, 0.0), in_moving=lambda window: window, landmarks=None,
        )  # fmt: skip
        moving, fixed = made.series.scans[:2]
        fixed.image.array = made.trajectory.predict(1.0)[0].numpy()
        made.series.scans = (moving, fixed)
        scenes.append(slice_scene(made, 2))
    return painter.slices(scenes)


def timeline(painter: Painter, *, bars: bool = True, hatching: bool = True) -> QImage:
    """Scans of all roles, frames, the bars of residuals, a band of spread, hatching before and beyond the scans."""
    roles = ("reference", "seen", "held out", "excluded", "seen")
    times, names = [0.0, 1.0, 1.5, 2.5, 4.0], list("abcde")
    rows = [
        {"index": k, "time": t, "role": role, "rule": "without itself", "neighbours": _scores(0.05 + 0.04 * k)}
        for k, (t, role) in enumerate(zip(times, roles, strict=True))
    ]
    rows[3] = {"index": 3, "time": 2.5, "role": "excluded", "rule": "not scored"}
    widget = Timeline()
    widget.set_scans(times, names, list(roles), "years")
    frame = slice_scene(session(), 2)
    if frame is not None:
        data = frame.images[0].data[::2, ::2]
        widget.set_levels(0.0, 700.0)
        widget.set_thumbnails([Thumbnail(0.25 + 0.5 * k, data, (2.0, 2.0), False) for k in range(8)])
    widget.set_residuals(residuals_of(rows, "neighbours", names) if bars else [])
    ends = np.linspace(-0.4, 4.4, 30)
    widget.set_band(Band(3, tuple(ends.tolist()), tuple((0.2 + 0.3 * np.abs(ends - 1)).tolist())))
    if not hatching:
        widget.set_fit_span(-10.0, 10.0)
    widget.set_time(4.3)
    return painter.grab(widget, 760, 230)


def _scores(nrmse: float) -> dict[str, float]:
    return {"nrmse_mask": nrmse, "ssim_mask": 1 - nrmse, "ncc_mask": 0.9, "nrmse": nrmse}


def lightbox(painter: Painter) -> QImage:
    """Six tiles, the last one beyond the scans."""
    roles = {0.0: "reference", 0.5: "", 1.0: "seen", 1.5: "", 2.0: "held out", 2.4: "extrapolated"}
    scenes = {t: slice_scene(session(t, GROWTH), 2) for t in roles}
    tiles = [Tile(t, roles[t], scene) for t, scene in scenes.items() if scene is not None]
    view = LightboxView()

    def fill() -> None:
        view.set_tiles(tiles, len(tiles))
        view.set_time(1.0)

    return painter.grab(view, 660, 460, fill)


def side_by_side(painter: Painter) -> QImage:
    """Four panes: an observed scan, a prediction with growth, their difference, the first scan."""
    observed, predicted = session(show="observed"), session(1.0, GROWTH)
    apart, first = session(show="difference"), session(0.0)
    view = MethodsView()
    view.set_axis(2)
    panes = {"a": "Observed", "b": "NODER", "c": "Difference", "d": "First scan"}

    def fill() -> None:
        view.set_choices(panes, list(panes), Methods(True, 2, tuple(panes)))
        QApplication.processEvents()
        view.set_scenes([slice_scene(made, 2) for made in (observed, predicted, apart, first)], [""] * 4)

    return painter.grab(view, 560, 520, fill)


def show_panel(painter: Painter) -> QImage:
    """A panel of the window in the look that is on."""
    panel = OverlayPanel()
    panel.set_available(has_series=True, has_trajectory=True)
    panel.set_overlays(replace(NONE, jacobian=True, quiver=True))
    panel.set_window_range(0.0, 1000.0)
    panel.set_window(0.0, 700.0)
    return painter.grab(panel, 330, 700)
