"""The Layers panel in the real window: files in, looks, order and visibility, by mouse and keyboard."""

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog
from window_kit import SHAPE, TIMEOUT_MS, ball, make_controller, open_and_wait, write_scan, write_scans

from noder_viewer.layers import IMAGE, Look, stacked


@pytest.fixture
def opened(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    open_and_wait(qtbot, controller, write_scans(tmp_path, 2))
    controller.layering.refresh()
    yield controller
    controller.shut_down()


@pytest.fixture
def files(tmp_path):
    labels = np.zeros(SHAPE, np.float32)
    labels[8:14, 8:14, 6:12] = 2
    return [write_scan(tmp_path / "extra.nii.gz", ball(6.0) + 0.5), write_scan(tmp_path / "labels.nii.gz", labels)]


@pytest.fixture
def layered(qtbot, opened, files):
    add(qtbot, opened, files)
    return opened


def add(qtbot, controller, paths):
    n = len(controller.session.layers)
    controller.layering.add(paths)
    qtbot.waitUntil(lambda: len(controller.session.layers) == n + len(paths), timeout=TIMEOUT_MS)
    controller.layering.refresh()


def panel(controller):
    return controller.window.layer_panel


def choose(controller, key):
    panel(controller).list.choose(key)
    return panel(controller)


def test_an_image_and_a_label_map_are_told_apart_and_laid_over_the_image(layered):
    session = layered.session
    assert [(layer.name, layer.is_labels) for layer in session.layers] == [
        ("labels.nii.gz", True),
        ("extra.nii.gz", False),
    ]
    assert len({layer.key for layer in session.layers}) == 2
    assert panel(layered).list.order()[-1] == IMAGE
    layered.presenter.refresh()
    assert len(layered.presenter.scenes[2].layers) == 2


def test_files_dropped_on_the_list_are_layers_not_scans(qtbot, opened, files):
    target = panel(opened).list.viewport()
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in files])
    place, keys, button = QPointF(5, 5), Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton
    enter = QDragEnterEvent(place.toPoint(), Qt.DropAction.CopyAction, data, button, keys)
    QApplication.sendEvent(target, enter)
    assert enter.isAccepted()
    series = opened.session.series
    QApplication.sendEvent(target, QDropEvent(place, Qt.DropAction.CopyAction, data, button, keys))
    qtbot.waitUntil(lambda: len(opened.session.layers) == 2, timeout=TIMEOUT_MS)
    assert opened.session.series is series


def test_the_menu_asks_for_files(qtbot, opened, files, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args: ([str(files[1])], ""))
    opened.window.actions_by_name["add_slice_layers"].trigger()
    qtbot.waitUntil(lambda: len(opened.session.layers) == 1, timeout=TIMEOUT_MS)
    assert panel(opened).list.chosen == opened.session.layers[0].key


def test_what_is_no_image_is_told_and_loses_nothing(qtbot, layered, tmp_path):
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("no image")
    with qtbot.waitSignal(layered.layering.failed, timeout=TIMEOUT_MS):
        layered.layering.add([bad])
    assert "bad.nii.gz" in layered.window.banner.text
    assert len(layered.session.layers) == 2


def test_colours_gamma_and_opacity_of_the_image(layered):
    shown = choose(layered, IMAGE)
    shown.colours.setCurrentIndex(shown.colours.findData("magma"))
    shown.colours.activated.emit(shown.colours.currentIndex())
    shown.gamma.setValue(1.5)
    shown.opacity.setValue(40)
    assert layered.session.look == Look("magma", 1.5, 0.4)


def test_looks_of_a_layer_are_its_own(layered):
    second, first = layered.session.layers
    shown = choose(layered, first.key)
    shown.gamma.setValue(2.0)
    shown.hi.setValue(123.0)
    other, changed = layered.session.layers
    assert changed.look.gamma == 2.0
    assert changed.window == (first.window[0], 123.0)
    assert other is second
    assert layered.session.look == Look()


def test_choosing_a_row_asks_for_nothing(qtbot, layered):
    shown = panel(layered)
    with qtbot.assertNotEmitted(shown.look_requested), qtbot.assertNotEmitted(shown.window_requested):
        for key in shown.list.order():
            shown.list.choose(key)
            QApplication.processEvents()


def test_an_image_can_be_shown_as_labels_and_labels_as_outlines(layered):
    shown = choose(layered, layered.session.layers[0].key)
    shown.outline.click()
    assert layered.session.layers[0].outline
    shown.labels.click()
    assert not layered.session.layers[0].is_labels


def test_a_box_hides_a_layer_and_the_image(layered):
    shown = panel(layered)
    for k in range(shown.list.count()):
        shown.list.item(k).setCheckState(Qt.CheckState.Unchecked)
        layered.layering.refresh()
    assert not any(layer.look.visible for layer in layered.session.layers)
    assert not layered.session.look.visible
    layered.presenter.refresh()
    assert layered.presenter.scenes[2].layers == ()


def test_buttons_change_the_order(layered):
    first, second = (layer.key for layer in layered.session.layers)
    shown = choose(layered, first)
    shown.down.click()
    layered.layering.refresh()
    assert stacked(layered.session)[-3:] == (second, first, IMAGE)
    shown.down.click()
    layered.layering.refresh()
    assert stacked(layered.session)[-3:] == (second, IMAGE, first)
    assert shown.list.chosen == first
    shown.up.click()
    shown.up.click()
    layered.layering.refresh()
    assert stacked(layered.session)[-3:] == (first, second, IMAGE)


def test_rows_that_were_dragged_give_the_order(layered):
    first, second = (layer.key for layer in layered.session.layers)
    panel(layered).list.order_requested.emit((IMAGE, second, first))
    assert stacked(layered.session)[-3:] == (IMAGE, second, first)


def test_a_layer_is_removed_and_the_image_is_not(layered):
    shown = choose(layered, IMAGE)
    assert not shown.remove.isEnabled()
    key = layered.session.layers[0].key
    shown = choose(layered, key)
    shown.remove.click()
    assert [layer.name for layer in layered.session.layers] == ["extra.nii.gz"]


def test_colour_bars_are_switched_by_key_and_box(layered):
    views = layered.window.slices
    layered.presenter.refresh()
    layered.window.actions_by_name["toggle_bars"].trigger()
    layered.layering.refresh()
    assert all(view._bars_shown() == () for view in views)
    assert not layered.window.actions_by_name["toggle_bars"].isChecked()
    panel(layered).bars.click()
    layered.layering.refresh()
    assert all(view._bars_shown() for view in views)
    assert layered.window.actions_by_name["toggle_bars"].isChecked()
