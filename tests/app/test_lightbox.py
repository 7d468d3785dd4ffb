"""The times and tiles of a lightbox, and the view that shows them."""

import numpy as np
import pytest
from doubles import ArrayImage, phantom, ras_grid
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from window_kit import TIMEOUT_MS

from noder.series import ImageSeries
from noder_viewer.layouts import MOST, LightboxSettings
from noder_viewer.lightbox import grid_of, tile, tile_times
from noder_viewer.lightbox_view import LightboxView
from noder_viewer.scene import to_mm
from noder_viewer.session import Session

SCANS = (0.0, 1.0, 4.0)


@pytest.fixture
def session():
    from noder.image import Image

    grid = ras_grid((20, 24, 12))
    data = phantom(grid)
    images = [Image.from_array(ArrayImage(data * (k + 1), grid, "").array, grid, f"s{k}") for k in range(3)]
    made = Session(series=ImageSeries.from_images(images, SCANS), hold_out=frozenset({1}), window=(0.0, 1000.0))
    made.cursor_mm = tuple(grid.to_mm(np.array([10, 12, 6])).tolist())
    return made


def test_all_scans_stay_and_the_longest_gaps_are_filled_first():
    assert tile_times(SCANS, LightboxSettings("between", 5)) == [0, 1, 2, 3, 4]
    assert tile_times(SCANS, LightboxSettings("between", 2)) == list(SCANS)


def test_even_times_go_from_the_first_to_the_last_scan():
    assert tile_times(SCANS, LightboxSettings("even", 5)) == [0, 1, 2, 3, 4]


def test_times_beyond_are_outside_the_scans_on_both_sides():
    found = tile_times(SCANS, LightboxSettings("beyond", 6))
    assert len(found) == 6
    assert found[0] < 0
    assert found[-1] > 4


def test_typed_times_are_sorted_and_counted_once():
    assert tile_times(SCANS, LightboxSettings("typed", 12, (3.0, 1.0, 3.0))) == [1, 3]
    assert len(tile_times(SCANS, LightboxSettings("typed", 2, tuple(map(float, range(500)))))) == MOST


def test_a_tile_shows_the_scan_of_its_time_whatever_the_time_of_the_window(session):
    session.time = 4.0
    for k, t in enumerate(SCANS):
        found = tile(session, 2, t)
        scan = session.series.scans[k].image.numpy()
        np.testing.assert_array_equal(found.scene.images[0].data, scan[:, :, 6])
    assert session.time == 4.0


def test_titles_say_time_and_role(session):
    session.series = session.series.with_times(SCANS, "years")
    assert tile(session, 2, 0.0).title == "0 years · reference"
    assert tile(session, 2, 1.0).title == "1 years · held out"
    assert tile(session, 2, 2.0).title == "2 years · nearest scan"  # nothing is fitted: it is no picture of t = 2
    assert tile(session, 2, 5.0).title == "5 years · extrapolated"


def test_columns_make_the_pictures_largest():
    assert grid_of(4, 400, 400, 1.0) == (2, 2)
    assert grid_of(4, 400, 100, 1.0) == (1, 4)
    assert grid_of(4, 100, 400, 1.0) == (4, 1)
    assert grid_of(3, 600, 600, 3.0) == (3, 1)


@pytest.fixture
def view(qtbot, session):
    view = LightboxView()
    qtbot.addWidget(view)
    view.resize(900, 500)
    with qtbot.waitExposed(view, timeout=TIMEOUT_MS):
        view.show()
    tiles = [tile(session, 2, t) for t in (0.0, 1.0, 2.0, 4.0)]
    view.set_tiles(tiles, 4)
    QApplication.processEvents()
    return view


def click(view, k, x, y):
    slice_view = view.tiles[k].slice
    place = slice_view.to_pixel(x, y).toPoint()
    QTest.mouseClick(slice_view._canvas.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_a_click_goes_to_the_time_of_the_tile_and_the_place_in_it(qtbot, view, session):
    with qtbot.waitSignal(view.place_requested) as asked:
        click(view, 3, 3.0, -4.0)
    t, place = asked.args
    assert t == 4.0
    x_mm = 1 / view.tiles[3].slice.camera.px_per_mm
    assert np.allclose(place, to_mm(tile(session, 2, 4.0).scene, 3.0, -4.0), atol=x_mm)


def test_all_tiles_follow_the_one_that_is_zoomed(view):
    first = view.tiles[0].slice
    before = view.tiles[2].slice.camera.px_per_mm
    first.camera.zoom(first._rect(0), first.rect().center().toPointF() + QPoint(20, 0).toPointF(), 2.0)
    first.camera_moved.emit()
    for tile_view in view.tiles:
        camera = tile_view.slice.camera
        assert camera.px_per_mm == pytest.approx(2 * before, rel=0.05)
        assert camera.x == first.camera.x
        assert not camera.fitted
    view.reset_view()
    assert all(tile_view.slice.camera.fitted for tile_view in view.tiles)


def test_fewer_tiles_leave_no_old_ones_behind(view, session):
    view.set_tiles([tile(session, 2, 0.0)], 1)
    assert [not tile_view.isHidden() for tile_view in view.tiles] == [True, False, False, False]


def test_the_tile_of_the_windows_time_is_marked(view):
    plain = view.tiles[1].grab().toImage()
    view.set_time(1.0)
    marked = view.tiles[1].grab().toImage()
    assert marked.pixelColor(1, 100) != plain.pixelColor(1, 100)
    view.set_time(0.3)
    assert view.tiles[1].grab().toImage() == plain


def test_controls_ask_and_setting_them_does_not(qtbot, view):
    with qtbot.assertNotEmitted(view.settings_requested), qtbot.assertNotEmitted(view.axis_requested):
        view.set_settings(LightboxSettings("even", 8), 1, "years")
    with qtbot.waitSignal(view.settings_requested) as asked:
        view.number.setValue(9)
    assert asked.args == [LightboxSettings("even", 9)]
    view.set_settings(LightboxSettings("typed", 8, (1.0,)), 1, "years")
    assert not view.typed.isHidden()
    assert view.number.isHidden()
    view.typed.setText("1, 2.5")
    with qtbot.waitSignal(view.typed_requested) as typed:
        QTest.keyClick(view.typed, Qt.Key.Key_Return)
    assert typed.args == ["1, 2.5"]
