"""Labels of the small scans of the window tests, and the brush in the hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from doubles import move
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot
from window_kit import SHAPE, TIMEOUT_MS, ball

from noder_viewer.controller import Controller

LEFT = Qt.MouseButton.LeftButton


def label_map() -> NDArray[np.uint8]:
    """The ball of the first scan is label 1, a block beside it label 6."""
    values = (ball(5.0) > 150).astype(np.uint8)
    values[2:5, 3:6, 4:8] = 6
    return values


def save_lps(path: Path, values: NDArray[np.uint8]) -> Path:
    """As a scanner would: stored LPS, at the same places."""
    affine = np.diag([-1.0, -1.0, 1.5, 1.0])
    affine[0, 3], affine[1, 3] = SHAPE[0] - 1, SHAPE[1] - 1
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values[::-1, ::-1]), affine), path)
    return path


def settle(qtbot: QtBot, controller: Controller) -> None:
    """Until what was asked for is measured and shown."""
    qtbot.waitUntil(lambda: not controller.measuring.busy, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    controller.region_view.refresh()


def paint(controller: Controller, points: Sequence[Sequence[float]], axis: int = 2) -> None:
    """Press on the first voxel, drag over the others, release."""
    port = controller.window.slices[axis]._canvas.viewport()
    places = [view_px(controller, point, axis) for point in points]
    QTest.mousePress(port, LEFT, pos=places[0])
    for place in places[1:]:
        move(port, place, LEFT)
    QTest.mouseRelease(port, LEFT, pos=places[-1])


def view_px(controller: Controller, index: Sequence[float], axis: int) -> QPoint:
    """Where a voxel of the slice of `axis` lies on its view."""
    scene, view = controller.presenter.scenes[axis], controller.window.slices[axis]
    assert scene is not None
    assert controller.session.grid is not None
    mm = scene.plane.to_plane(controller.session.grid.to_mm(np.array(index, dtype=float)))
    return view.to_pixel(*mm.tolist()).toPoint()
