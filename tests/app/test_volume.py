"""The 3D canvas: sentences where it cannot be, the right way round where it is, and taken down again."""

import gc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import doubles
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget

from noder.grid import Grid
from noder.image import write_volume
from noder_viewer import volume
from noder_viewer.frames import volume_scene
from noder_viewer.session import OverlaySettings
from noder_viewer.volume import RENDERINGS, VOLUME, VolumeView, opengl_kind
from noder_viewer.volume_motion import MOTION


@pytest.fixture
def view(qtbot: Any) -> Iterator[VolumeView]:
    widget = VolumeView()
    qtbot.addWidget(widget)
    widget.resize(420, 360)
    widget.show()
    QTest.qWait(20)
    yield widget
    widget.close_viewer()
    QTest.qWait(20)


def pixels(widget: QWidget) -> np.ndarray:
    image = widget.grab().toImage()
    image = image.convertToFormat(image.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return raw[..., 2::-1].astype(int)


def canvas(view: VolumeView) -> np.ndarray:
    """The canvas alone: neither the row of buttons nor its frame."""
    place = view._qt_viewer.geometry().adjusted(8, 8, -8, -8)
    return pixels(view)[place.top() : place.bottom(), place.left() : place.right()]


def wait_until_seen(view: VolumeView, seen: Callable[[np.ndarray], bool], seconds: float = 20) -> np.ndarray:
    for _ in range(int(seconds * 10)):
        QTest.qWait(100)
        if seen(canvas(view)):
            break
    return canvas(view)


def white(picture: np.ndarray) -> np.ndarray:
    return (picture > 200).all(-1)


def drawn(picture: np.ndarray) -> bool:
    """More than the three letters and arrows of the axes; an empty canvas has a deviation of 0."""
    return bool(picture.std() > 5 and (picture.max(-1) > 60).mean() > 0.04)


def test_without_opengl_a_sentence_stands_there(view: VolumeView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume, "opengl_kind", lambda: None)
    view.prepare(force=True)
    view.build()
    assert not view.is_built
    assert "OpenGL" in view._words.text()
    assert not view._button.isVisible()
    view.set_scene(volume_scene(doubles.session()))  # kept for later, nothing breaks
    view.add_paths(["nowhere.nii"])
    view.reset_view()
    view.set_scene(None)


def test_software_opengl_waits_for_a_click(view: VolumeView, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    monkeypatch.setattr(volume, "opengl_kind", lambda: "software")
    built = []
    monkeypatch.setattr(view, "_build", lambda: built.append(True))
    view.prepare()
    assert view._button.isVisible()
    assert built == []
    with qtbot.waitSignal(view.built):
        QTest.mouseClick(view._button, Qt.MouseButton.LeftButton)
    assert built == [True]


def test_a_failure_is_a_sentence_too(view: VolumeView, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the driver says no")

    monkeypatch.setattr(volume, "opengl_kind", lambda: "hardware")
    monkeypatch.setattr(view, "_build", fail)
    view.prepare()
    assert not view.is_built
    assert "the driver says no" in view._words.text()


@pytest.mark.gl
def test_there_is_opengl_under_a_display() -> None:
    assert opengl_kind() in ("software", "hardware")


@pytest.mark.gl
@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid(15)])
def test_the_volume_is_seen_from_the_front_and_is_not_mirrored(view: VolumeView, grid: Grid) -> None:
    session = doubles.session(grid, time=0.0)
    view.build()
    view.set_scene(volume_scene(session))
    picture = wait_until_seen(view, lambda p: white(p).sum() > 50)
    assert picture.std() > 5
    rows, columns = np.nonzero(white(picture))
    rows_all, columns_all = np.nonzero(picture.max(-1) > 60)
    # the bright block is to the patient's right, front and top: seen from the front, on the left and high
    assert columns.mean() < np.median(columns_all) - 10
    assert rows.mean() < np.median(rows_all) - 10
    layer = view.viewer.layers[VOLUME]
    np.testing.assert_allclose(layer.scale, grid.spacing)
    assert tuple(layer.contrast_limits) == (0.0, 1000.0)


@pytest.mark.gl
def test_arrows_lie_on_the_tissue_that_moved(view: VolumeView, qtbot: Any) -> None:
    grid = doubles.oblique_grid(15)
    session = doubles.session(grid, overlays=OverlaySettings(quiver=True))
    view.build()
    view.set_scene(volume_scene(session))
    wait_until_seen(view, drawn)
    volume_layer, arrows = view.viewer.layers[VOLUME], view.viewer.layers[MOTION].data
    tips = arrows[:, 0] + arrows[:, 1]
    values = [volume_layer.get_value(tip, world=True) for tip in tips[::10]]
    assert min(values) > 50
    centre = np.array(volume_layer.data_to_world((np.array(grid.shape) - 1) / 2))
    assert (((arrows[:, 0] - centre) * arrows[:, 1]).sum(1) > 0).all()
    layer = view.viewer.layers[MOTION]
    view._show_arrows.setChecked(False)
    qtbot.waitUntil(lambda: not layer.visible, timeout=30_000)
    view._show_arrows.setChecked(True)
    qtbot.waitUntil(lambda: layer.visible, timeout=30_000)
    view.set_arrows(np.zeros((0, 3)), np.zeros((0, 3)))
    qtbot.waitUntil(lambda: not layer.visible, timeout=30_000)


@pytest.mark.gl
def test_changes_are_dropped_not_queued(view: VolumeView, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    session = doubles.session(time=0.0)
    view.build()
    view.set_scene(volume_scene(session))
    wait_until_seen(view, drawn)
    applied = []
    monkeypatch.setattr(view, "_apply_volume", lambda array, *_rest: applied.append(float(array.max())))
    for k in range(20):
        view.set_volume(np.full((4, 4, 4), k, np.float32), session.grid, (0, 1))
    qtbot.waitUntil(lambda: bool(applied), timeout=30_000)
    QTest.qWait(200)
    assert applied == [19.0]


@pytest.mark.gl
def test_every_way_of_drawing_shows_something(view: VolumeView) -> None:
    view.build()
    view.set_scene(volume_scene(doubles.session(time=0.0)))
    for name in RENDERINGS:
        view._rendering.setCurrentText(name)
        QTest.qWait(400)  # the canvas still shows the way before
        assert drawn(wait_until_seen(view, drawn)), name


@pytest.mark.gl
def test_the_users_own_image_lies_where_it_is_in_the_world(view: VolumeView, tmp_path: Path) -> None:
    grid = doubles.oblique_grid(15)
    view.build()
    view.set_scene(volume_scene(doubles.session(grid, time=0.0)))
    own = doubles.ras_grid((20, 20, 20))
    data = np.zeros(own.shape, np.float32)
    data[15, 4, 9] = 1
    path = tmp_path / "own.nii.gz"
    write_volume(path, data, own)
    wait_until_seen(view, drawn)
    view.add_paths([path])
    layer = view.viewer.layers["own.nii.gz"]
    ours = np.array(layer.data_to_world((15, 4, 9)))
    index = view.viewer.layers[VOLUME].world_to_data(ours)
    np.testing.assert_allclose(index, grid.to_index(own.to_mm(np.array([15.0, 4.0, 9.0]))), atol=1e-3)
    view._fill_menu()
    texts = [action.text() for action in view._menu.actions()]
    assert texts[:2] == [VOLUME, "own.nii.gz"]
    next(a for a in view._menu.actions() if a.text() == "Remove own.nii.gz").trigger()
    assert "own.nii.gz" not in view.viewer.layers


@pytest.mark.gl
def test_a_drop_on_the_canvas_is_left_to_the_window(view: VolumeView) -> None:
    view.build()
    assert not any(child.acceptDrops() for child in view.findChildren(QWidget))


@pytest.mark.gl
def test_it_can_be_taken_down_and_built_again(view: VolumeView) -> None:
    scene = volume_scene(doubles.session(time=0.0))
    view.build()
    view.set_scene(scene)
    wait_until_seen(view, drawn)
    gone = weakref.ref(view.viewer)
    view.close_viewer()
    assert not view.is_built
    QTest.qWait(100)
    gc.collect()
    assert gone() is None
    view.build()
    assert drawn(wait_until_seen(view, drawn))
    view.set_scene(None)
    assert len(view.viewer.layers) == 0
