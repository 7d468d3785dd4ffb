"""Layouts, lightbox and full screen in the real window, by mouse and keyboard."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from window_kit import TIMEOUT_MS, make_controller, open_and_wait, write_scans

from noder_viewer.arranging import LAYOUT_ACTIONS
from noder_viewer.layouts import AXIAL, CORONAL, SAGITTAL, VIEWS, VOLUME, Layout, LightboxSettings
from noder_viewer.settings import Settings


@pytest.fixture
def opened(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window, timeout=TIMEOUT_MS):
        controller.window.show()
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    yield controller
    controller.shut_down()


def shown(controller):
    return {view for view in VIEWS if controller.window.pictures.views[view].isVisible()}


def settle(qtbot, controller):
    qtbot.waitUntil(lambda: not controller.arranging.busy and not controller.presenter.busy, timeout=TIMEOUT_MS)


def trigger(controller, name):
    controller.window.actions_by_name[name].trigger()
    QApplication.processEvents()


def test_each_layout_of_the_menu_shows_its_views(qtbot, opened):
    slices = {AXIAL, SAGITTAL, CORONAL}
    expected = {"large": {AXIAL}, "row": slices, "one and two": slices, "lightbox": set(), "four": {*slices, VOLUME}}
    for kind, views in expected.items():
        trigger(opened, LAYOUT_ACTIONS[kind])
        assert shown(opened) == views, kind
        assert opened.window.pictures.lightbox.isVisible() == (kind == "lightbox")
        checked = {k for k, name in LAYOUT_ACTIONS.items() if opened.window.actions_by_name[name].isChecked()}
        assert checked == {kind}
        settle(qtbot, opened)


def test_choosing_a_layout_again_leaves_it_checked(opened):
    for _ in range(2):
        trigger(opened, "layout_row")
    assert opened.window.actions_by_name["layout_row"].isChecked()
    assert opened.session.layout.kind == "row"


def test_a_double_click_enlarges_a_view_and_another_brings_all_back(opened):
    canvas = opened.window.slices[CORONAL]._canvas.viewport()
    for views in ({CORONAL}, set(VIEWS)):
        QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
        QApplication.processEvents()
        assert shown(opened) == views


def test_a_double_click_with_ctrl_resets_the_picture(opened):
    view = opened.window.slices[AXIAL]
    view.camera.pan(5, 5)
    canvas = view._canvas.viewport()
    QTest.mouseDClick(canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, canvas.rect().center())
    assert view.camera.fitted
    assert shown(opened) == set(VIEWS)


def test_the_key_enlarges_the_view_with_the_focus(qtbot, opened):
    opened.window.activateWindow()
    opened.window.slices[SAGITTAL].setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is opened.window.slices[SAGITTAL], timeout=TIMEOUT_MS)
    trigger(opened, "enlarge")
    assert shown(opened) == {SAGITTAL}
    trigger(opened, "enlarge")
    assert shown(opened) == set(VIEWS)


def test_every_view_can_be_made_large_by_name_and_in_turn(opened):
    for name, view in (("axial", AXIAL), ("sagittal", SAGITTAL), ("coronal", CORONAL), ("volume", VOLUME)):
        trigger(opened, f"large_{name}")
        assert shown(opened) == {view}
        trigger(opened, f"large_{name}")  # again: stays
        assert shown(opened) == {view}
    trigger(opened, "next_large")
    assert shown(opened) == {VIEWS[0]}
    trigger(opened, "next_large")
    assert shown(opened) == {VIEWS[1]}


def test_a_view_that_was_hidden_shows_the_present_when_it_comes_back(opened):
    trigger(opened, "large_axial")
    opened.session.time = 3.0
    opened.presenter.refresh()
    assert opened.presenter.scenes[CORONAL] is None  # what is hidden is not computed
    trigger(opened, "layout_four")
    opened.presenter.refresh()
    assert "t = 3" in opened.presenter.scenes[CORONAL].images[0].title


def test_a_lightbox_shows_every_scan_and_a_click_goes_there(qtbot, opened):
    opened.session.lightbox = LightboxSettings("scans")
    trigger(opened, "layout_lightbox")
    settle(qtbot, opened)
    box = opened.window.pictures.lightbox
    assert [tile.tile.time for tile in box.tiles] == [0, 1, 2, 3]
    canvas = box.tiles[2].slice._canvas.viewport()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=canvas.rect().center())
    assert opened.session.time == 2.0
    settle(qtbot, opened)
    assert box.tiles[2]._current
    assert not box.tiles[1]._current


def test_the_slice_of_a_lightbox_can_be_chosen_and_stepped(qtbot, opened):
    trigger(opened, "layout_lightbox")
    box = opened.window.pictures.lightbox
    settle(qtbot, opened)
    box.plane.setCurrentIndex(box.plane.findData(SAGITTAL))
    box.plane.activated.emit(box.plane.currentIndex())
    settle(qtbot, opened)
    assert all(tile.tile.scene.axis == SAGITTAL for tile in box.tiles)
    before = box.tiles[0].tile.scene.index
    box.tiles[3].slice.step(2)
    settle(qtbot, opened)
    assert {tile.tile.scene.index for tile in box.tiles} == {before + 2}


def test_typed_times_that_are_none_are_told(qtbot, opened):
    box = opened.window.pictures.lightbox
    box.typed_requested.emit("soon")
    assert "soon" in opened.window.banner.text
    box.typed_requested.emit("0, 2.5")
    assert opened.session.lightbox.typed == (0.0, 2.5)


def test_time_runs_without_making_tiles_anew(qtbot, opened):
    trigger(opened, "layout_lightbox")
    settle(qtbot, opened)
    opened.session.time = 1.5
    assert not opened.arranging.busy


def test_full_screen_hides_panels_and_escape_brings_them_back(qtbot, opened):
    window = opened.window
    window.docks[1].close()
    before = [dock.isVisible() for dock in window.docks]
    trigger(opened, "full_screen")
    assert window.isFullScreen()
    assert not any(dock.isVisible() for dock in window.docks)
    assert not window.menuBar().isVisible()
    assert window.timeline.isVisible()
    assert window.actions_by_name["full_screen"].isChecked()
    window.activateWindow()
    window.slices[AXIAL].setFocus()
    QTest.keyClick(window.slices[AXIAL], Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: not window.isFullScreen(), timeout=TIMEOUT_MS)
    assert [dock.isVisible() for dock in window.docks] == before
    assert window.menuBar().isVisible()
    assert not window.actions_by_name["full_screen"].isChecked()


def test_keys_work_where_the_menu_bar_is_hidden(qtbot, opened):
    trigger(opened, "full_screen")
    QTest.keyClick(opened.window, Qt.Key.Key_3, Qt.KeyboardModifier.AltModifier)
    assert opened.session.layout.kind == "row"
    trigger(opened, "full_screen")
    assert not opened.window.isFullScreen()


def test_the_layout_is_remembered_but_not_that_panels_were_hidden(qtbot, opened, tmp_path):
    opened.session.layout = Layout("large", CORONAL, "row")
    trigger(opened, "full_screen")
    opened.shut_down()
    again = make_controller(tmp_path)
    qtbot.addWidget(again.window)
    assert again.session.layout == Layout("large", CORONAL, "row")
    assert again.window.pictures.shows(CORONAL)
    assert not again.window.pictures.shows(AXIAL)
    assert not any(dock.isHidden() for dock in again.window.docks)
    again.shut_down()
    assert Settings(tmp_path / "window.ini").look("layout") == "large/1/row"
