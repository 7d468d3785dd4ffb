"""What tests of the window share: small real scans, a controller on a real window, and waiting."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from noder.fit import FitConfig, FitProgress, FitResult
from noder.series import ImageSeries
from noder_viewer.controller import Controller
from noder_viewer.main_window import MainWindow
from noder_viewer.session import Session
from noder_viewer.settings import Settings

SHAPE = (24, 26, 20)
SPACING = (1.0, 1.0, 1.5)


def ball(radius: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A textured ball of `radius` voxels, with soft edges."""
    places = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1) - (np.array(SHAPE) - 1) / 2
    r = np.linalg.norm(places, axis=-1)
    inside = 1 / (1 + np.exp(np.clip((r - radius) * 2, -30, 30)))
    return (inside * (300 + 40 * np.sin(places.sum(-1)))).astype(np.float32)


def write_scans(folder: Path, n: int = 4, **changes: np.ndarray[Any, Any]) -> list[Path]:
    """A growing ball as `n` NIfTI files; `changes` replaces the data of a file by its stem."""
    affine = np.diag([*SPACING, 1.0])
    paths = []
    for k in range(n):
        stem = f"scan_{k}"
        path = folder / f"{stem}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(changes.get(stem, ball(5.0 + 0.6 * k)), affine), path)
        paths.append(path)
    return paths


def make_controller(folder: Path) -> Controller:
    """A controller on a real window that is not shown yet, with settings of its own."""
    return Controller(MainWindow(), Session(), Settings(folder / "window.ini"))


def drop(window: MainWindow, paths: list[Path]) -> None:
    """What the system sends when files are dropped on the window."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place = QPointF(window.rect().center())
    keys, button = Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(place, Qt.DropAction.CopyAction, data, button, keys))


def quick_settings(controller: Controller, **iterations: int) -> None:
    """Few iterations, typed into the fit panel's form."""
    panel = controller.window.fit_panel
    panel.set_preset("fast")
    chosen = {"coarse_iterations": 3, "middle_iterations": 2, "fine_iterations": 0, **iterations}
    panel.form.set_settings(dataclasses.replace(panel.form.settings(), **chosen))


def endless_steps(series: ImageSeries, config: FitConfig) -> Generator[FitProgress, bool | None, FitResult]:
    """The real fit with as many iterations as a test needs to press Stop."""
    from noder.fit import fit_steps

    return fit_steps(series, config)
