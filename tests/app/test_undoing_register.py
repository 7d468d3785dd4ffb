"""Undo and redo of the Register tab in the real window: what is dropped and chosen there comes back by the keys."""

import dataclasses

import numpy as np
import pytest
from pair_kit import choice_of, wait_for_end, write_pair
from project_kit import opened, saved, windows
from PySide6.QtCore import Qt
from test_register_panel import drop_on
from test_undoing import menu, redo, undo
from window_kit import TIMEOUT_MS, open_and_wait, write_scan, write_scans

LEFT = Qt.MouseButton.LeftButton

make = pytest.fixture(windows)


@pytest.fixture
def files(tmp_path):
    return write_pair(tmp_path)


@pytest.fixture
def window(make):
    controller = make()
    controller.window.show_panel(controller.window.register_panel)
    return controller


def form(controller):
    return controller.window.register_panel.choice()


def step(qtbot, controller):
    qtbot.wait(10)
    return menu(controller, "undo").text()


def test_images_without_any_series(qtbot, window, files):
    inputs = window.window.register_panel.inputs
    assert drop_on(inputs, [files.fixed, files.moving])
    assert step(qtbot, window) == "&Undo choice of an image"
    qtbot.mouseClick(inputs.swap, LEFT)
    assert step(qtbot, window) == "&Undo swap of the images"
    undo(qtbot, window)
    assert (form(window).fixed.path, form(window).moving.path) == (files.fixed, files.moving)
    undo(qtbot, window)
    assert inputs.fixed.source is None
    assert inputs.fixed.combo.currentIndex() == 0
    assert not inputs.is_complete
    redo(qtbot, window)
    assert form(window).moving.path == files.moving
    assert window.window.register_panel.start.isEnabled()


def test_what_is_known_of_the_images(qtbot, window, files):
    inputs = window.window.register_panel.inputs
    assert drop_on(inputs, [files.fixed, files.moving])
    step(qtbot, window)
    inputs.more.click()
    names = []
    for row, path in ((inputs.masks[0], files.masks[0]), (inputs.labels[1], files.labels[1]),
                      (inputs.landmarks, files.landmarks)):  # fmt: skip
        assert drop_on(row, [path])
        names.append(step(qtbot, window))
    assert names == ["&Undo masks of the pair", "&Undo labels of the pair", "&Undo landmarks of the pair"]
    inputs.space.setCurrentText("RAS")
    inputs.space.activated.emit(1)
    assert step(qtbot, window) == "&Undo axes of the landmarks"
    whole = form(window)
    for _ in range(4):
        undo(qtbot, window)
    bare = form(window)
    assert (bare.masks, bare.labels, bare.landmarks, bare.space) == ((None, None), (None, None), None, "LPS")
    assert bare.fixed.path == files.fixed
    for _ in range(4):
        redo(qtbot, window)
    assert form(window).is_like(whole)


def test_how_it_begins_and_the_mode(qtbot, window, files):
    panel = window.window.register_panel
    assert drop_on(panel.inputs, [files.fixed, files.moving])
    step(qtbot, window)
    panel.inputs.initial.setCurrentIndex(panel.inputs.initial.findData("affine"))
    panel.inputs.initial.activated.emit(3)
    assert step(qtbot, window) == "&Undo initial alignment"
    panel.form.set_settings(dataclasses.replace(panel.form.settings(), mode="encoder"))
    panel.form.changed.emit()
    assert step(qtbot, window) == "&Undo change of mode"
    panel.seed.setValue(5)
    assert step(qtbot, window) == "&Undo change of seed"
    undo(qtbot, window)
    assert (panel.seed.value(), form(window).settings.mode) == (0, "encoder")
    undo(qtbot, window)
    assert form(window).settings.mode == "optimise"
    assert panel.more.text() == "Settings"  # those of the preset, as before
    undo(qtbot, window)
    assert form(window).initial == "none"


def test_what_the_program_fills_in_is_no_step(qtbot, window, tmp_path):
    """A file of several volumes asks which, once they have been counted; scans go with their series."""
    path = write_scan(tmp_path / "cine.nii.gz", np.zeros((5, 6, 7, 3), np.float32))
    inputs = window.window.register_panel.inputs
    assert drop_on(inputs.fixed, [path])
    qtbot.waitUntil(lambda: not inputs.uncounted(), timeout=TIMEOUT_MS)
    step(qtbot, window)
    assert len(window.undoing.history.done) == 1
    inputs.fixed.volume.setValue(2)
    step(qtbot, window)
    undo(qtbot, window)
    assert (form(window).fixed.path, form(window).fixed.volume or 0) == (path, 0)

    open_and_wait(qtbot, window, write_scans(tmp_path))
    inputs.moving.combo.setCurrentIndex(2)
    inputs.moving.combo.activated.emit(2)
    step(qtbot, window)
    second = window.session.series.scans[1].image
    assert form(window).moving.scan is second
    window.opening.set_times(["0", "1", "5", "6"], "days")
    qtbot.wait(10)
    window.register_view.refresh()
    undo(qtbot, window)
    assert form(window).moving.scan is second
    undo(qtbot, window)
    assert inputs.moving.source is None
    redo(qtbot, window)
    assert form(window).moving.scan is second
    assert inputs.moving.combo.currentIndex() == 2  # it is called as the scan is now
    assert not menu(window, "redo").text().endswith("image")


def test_not_while_it_registers_and_again_beside_the_pair(qtbot, window, files, tmp_path):
    open_and_wait(qtbot, window, write_scans(tmp_path))
    panel = window.window.register_panel
    panel.set_choice(choice_of(files))
    assert step(qtbot, window) == "&Undo choice of an image"
    panel.request_start()
    qtbot.waitUntil(lambda: window.session.activity == "registering", timeout=TIMEOUT_MS)
    assert not menu(window, "undo").isEnabled()
    wait_for_end(qtbot, window)
    assert not menu(window, "undo").isEnabled()  # the pair has just come
    panel.seed.setValue(9)
    assert step(qtbot, window) == "&Undo change of seed"
    undo(qtbot, window)
    assert panel.seed.value() == 0
    assert window.session.pair.registration is not None


def test_half_a_form_comes_back_in_a_project_as_half_a_form(qtbot, make, window, files, tmp_path):
    open_and_wait(qtbot, window, write_scans(tmp_path))
    inputs = window.window.register_panel.inputs
    assert drop_on(inputs.moving, [files.moving])
    other = opened(qtbot, make("other"), saved(qtbot, window, tmp_path / "p.noderproj"))
    again = other.window.register_panel.inputs
    assert again.moving.source.path == files.moving
    assert again.fixed.source is None
    assert not again.is_complete
