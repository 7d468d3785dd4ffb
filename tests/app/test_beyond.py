"""Beyond the scans: the distance in words, and a frame around every picture that says so."""

import dataclasses
from typing import Any

import doubles
import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QApplication
from window_kit import shown_slice

from noder_viewer.beyond import beyond, beyond_words
from noder_viewer.frames import volume_scene
from noder_viewer.palettes import DARK
from noder_viewer.scene import slice_scene
from noder_viewer.session import Session
from noder_viewer.slice_beyond import BORDER, sides
from noder_viewer.slices import SliceView
from noder_viewer.volume import VolumeView


@pytest.mark.parametrize(
    ("t", "unit", "words"),
    [
        (2.8, "years", "0.8 years beyond the last scan seen"),
        (-0.25, "years", "0.25 years before the first scan seen"),
        (2.0, "years", ""),
        (0.0, "years", ""),
        (3.0, "index", "1 beyond the last scan seen"),
    ],
)
def test_the_distance_in_time_is_told_with_its_end(t: float, unit: str, words: str) -> None:
    assert beyond_words(t, 0.0, 2.0, unit) == words


def test_it_is_measured_from_what_the_map_has_seen() -> None:
    session = doubles.session(time=1.9)
    assert beyond(session) == ""
    session.trajectory.times = [0.0, 1.0]  # the last scan was held out
    assert beyond(session) == "0.9 years beyond the last scan seen"
    session.trajectory = None
    assert beyond(session) == ""
    assert beyond(Session()) == ""


def yellow(view: SliceView, rect: QRectF) -> float:
    """Part of the pixels of a rectangle that have the hatching's colour."""
    image = view._canvas.grab().toImage().convertToFormat(view.grab().toImage().Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)[..., 2::-1].astype(int)
    x, y, w, h = (round(v) for v in rect.getRect())
    part = raw[y : y + h, x : x + w] - np.array(QColor(DARK.warning).getRgb()[:3])
    return float((np.abs(part).sum(-1) < 60).mean())


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_view_is_framed_beyond_the_scans_and_only_there(qtbot: Any, axis: int) -> None:
    session = doubles.session(time=2.0)
    view = shown_slice(qtbot, session, axis, (460, 420))
    assert [yellow(view, side) for side in sides(view._rect(0))] == [0, 0, 0, 0]
    session.time = 2.5
    view.set_scene(slice_scene(session, axis))
    QApplication.processEvents()
    assert all(yellow(view, side) > 0.05 for side in sides(view._rect(0)))
    inner = view._rect(0).adjusted(3 * BORDER, 3 * BORDER, -3 * BORDER, -view._rect(0).height() / 2)
    assert yellow(view, inner) == 0  # the picture itself stays free
    session.time = 1.5
    view.set_scene(slice_scene(session, axis))
    QApplication.processEvents()
    assert yellow(view, sides(view._rect(0))[2]) == 0


def test_side_by_side_only_the_prediction_is_framed(qtbot: Any) -> None:
    view = shown_slice(qtbot, doubles.session(time=2.5, show="side by side"), 2, (700, 420))
    observed, predicted = (yellow(view, sides(view._rect(pane))[2]) for pane in (0, 1))
    assert observed == 0
    assert predicted > 0.05


def test_the_words_stand_in_the_corner_and_a_small_picture_has_fewer_or_none(qtbot: Any) -> None:
    for size in ((460, 420), (215, 220), (190, 180)):
        view = shown_slice(qtbot, doubles.session(time=2.5), 2, size)
        pane = view._rect(0)
        corner = QRectF(pane.left() + BORDER, pane.bottom() - 50, pane.width() - 2 * BORDER, 40)
        assert (yellow(view, corner) > 0) == (min(size) > 200)
        right_edge = QRectF(pane.right() - BORDER - 3, pane.bottom() - 45, 3, 20)
        assert yellow(view, right_edge) == 0  # nothing runs into the border


def test_the_title_of_the_3d_view_says_it_first(qtbot: Any) -> None:
    view = VolumeView()
    qtbot.addWidget(view)
    session = doubles.session(time=2.5)
    scene = volume_scene(session)
    assert scene is not None
    view.set_scene(scene)
    assert view._title.text().startswith("3D extrapolated, 0.5 years beyond the last scan seen: prediction")
    assert view._title.property("warning")
    view.set_scene(dataclasses.replace(scene, beyond=""))
    assert view._title.text() == f"3D {scene.title}"
    assert not view._title.property("warning")
