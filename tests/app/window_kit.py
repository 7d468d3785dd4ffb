"""What tests of the window share: small real scans, a controller on a real window, and a drop."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from noder_viewer.controller import Controller
from noder_viewer.main_window import MainWindow
from noder_viewer.scene import slice_scene
from noder_viewer.session import Session
from noder_viewer.settings import Settings
from noder_viewer.slices import SliceView

SHAPE = (24, 26, 20)
SPACING = (1.0, 1.0, 1.5)
TIMEOUT_MS = 60_000
"""For anything that computes: continuous integration machines can be slow."""


def ball(radius: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A textured ball of `radius` voxels, with soft edges."""
    axes = [np.arange(n) - (n - 1) / 2 for n in SHAPE]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    inside = 1 / (1 + np.exp(np.clip((r - radius) * 2, -30, 30)))
    return (inside * (300 + 40 * np.sin(x + y + z))).astype(np.float32)


def write_scan(path: Path, data: np.ndarray[Any, Any], spacing: tuple[float, ...] = SPACING) -> Path:
    """One NIfTI file."""
    nibabel.save(nibabel.Nifti1Image(data, np.diag([*spacing, 1.0])), path)
    return path


def write_scans(folder: Path, n: int = 4) -> list[Path]:
    """A growing ball as `n` NIfTI files."""
    return [write_scan(folder / f"scan_{k}.nii.gz", ball(5.0 + 0.6 * k)) for k in range(n)]


def make_controller(folder: Path) -> Controller:
    """A controller on a real window that is not shown yet, with settings of its own."""
    return Controller(MainWindow(), Session(), Settings(folder / "window.ini"))


def open_and_wait(qtbot: Any, controller: Controller, paths: list[Path]) -> None:
    """Open `paths` and wait until they are there, every scan read."""
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        controller.open(paths)
    qtbot.waitUntil(lambda: not controller.opening.rest.is_reading, timeout=TIMEOUT_MS)


def engine(qtbot: Any, controller: Controller) -> None:
    """Wait for the engine, as the user does before Start can be pressed."""
    if not controller.engine_is_ready:
        with qtbot.waitSignal(controller.engine_ready, timeout=TIMEOUT_MS):
            controller.warm_up()


def choose_iterations(controller: Controller, coarse: int, middle: int = 0, fine: int = 0) -> None:
    """Type iterations into the fit panel's form."""
    panel = controller.window.fit_panel
    panel.set_preset("fast")
    chosen = {"coarse_iterations": coarse, "middle_iterations": middle, "fine_iterations": fine}
    panel.form.set_settings(dataclasses.replace(panel.form.settings(), **chosen))


def drop(window: MainWindow, paths: list[Path]) -> bool:
    """What the system sends when files are dropped on the window; False where it refuses them."""
    data = QMimeData()  # kept alive to the end: the events only point at it
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place = QPointF(window.rect().center())
    keys, button = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(window, enter)
    if enter.isAccepted():
        QApplication.sendEvent(window, QDropEvent(place, Qt.DropAction.CopyAction, data, button, keys))
    return enter.isAccepted()


def shown_slice(qtbot: Any, session: Any, axis: int, size: tuple[int, int]) -> SliceView:
    """A view across `axis` on the screen, with the session's scene drawn."""
    view = SliceView(axis)
    qtbot.addWidget(view)
    view.resize(*size)
    with qtbot.waitExposed(view, timeout=TIMEOUT_MS):  # what is not on the screen yet is not painted
        view.show()
    view.set_scene(slice_scene(session, axis))
    QApplication.processEvents()
    return view
