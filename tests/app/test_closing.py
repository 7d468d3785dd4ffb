"""Closing the window: it asks where strokes of the brush would be lost, and only there."""

import nibabel
import numpy as np
import pytest
from project_kit import opened, saved, windows
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox
from region_kit import paint, settle
from test_whole_session import drawn
from window_kit import TIMEOUT_MS, choose_iterations, open_and_wait, write_scans

from noder_viewer.region_state import Brush

LEFT = Qt.MouseButton.LeftButton
Button = QMessageBox.StandardButton

make = pytest.fixture(windows)


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "data").mkdir()
    return write_scans(tmp_path / "data")


@pytest.fixture
def one(qtbot, make, scans):
    controller = make()
    open_and_wait(qtbot, controller, scans)
    return controller


def asked(controller):
    """The question that closing asks; None where the window has closed."""
    controller.window.close()
    box = controller.closing.box
    return None if not controller.window.isVisible() else box.text()


def answer(controller, button):
    controller.closing.box.button(button).click()


def closed(qtbot, controller):
    qtbot.waitUntil(lambda: not controller.window.isVisible(), timeout=TIMEOUT_MS)


def test_nothing_is_asked_where_nothing_was_drawn(one):
    one.session.radiological = True
    assert asked(one) is None


def test_strokes_are_asked_about_and_saved(qtbot, one, tmp_path, monkeypatch):
    values = drawn(qtbot, one)
    assert "labels that were drawn" in asked(one)
    answer(one, Button.Cancel)
    assert one.window.isVisible()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    asked(one)
    answer(one, Button.Save)  # and then no file is chosen
    assert one.window.isVisible()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine.nii.gz"), ""))
    asked(one)
    answer(one, Button.Save)
    closed(qtbot, one)
    assert np.array_equal(nibabel.load(tmp_path / "mine.nii.gz").get_fdata(), values)


def test_strokes_may_be_discarded(qtbot, one):
    drawn(qtbot, one)
    asked(one)
    answer(one, Button.Discard)
    assert not one.window.isVisible()


def test_strokes_that_are_undone_are_nothing_to_ask_about(qtbot, one):
    drawn(qtbot, one)
    drawn(qtbot, one, [(14, 14, 9)])
    one.measuring.undo()
    assert asked(one) is not None
    answer(one, Button.Cancel)
    one.measuring.undo()
    assert not one.session.regions.changed
    assert asked(one) is None


def test_erasing_nothing_is_nothing_to_ask_about(qtbot, one):
    drawn(qtbot, one)
    one.measuring.set_saved(one.session.regions, one.session.series.reference.image.path)
    one.measuring.set_brush(Brush(2.0, erases=True))
    one.region_view.refresh()
    paint(one, [(18, 18, 9)])
    settle(qtbot, one)
    assert not one.session.regions.changed
    assert asked(one) is None


def test_strokes_of_a_project_are_saved_with_it(qtbot, make, one, tmp_path):
    path = saved(qtbot, one, tmp_path / "heart.noderproj")
    values = drawn(qtbot, one)
    assert "heart.noderproj has changed" in asked(one)
    answer(one, Button.Save)
    closed(qtbot, one)
    again = opened(qtbot, make("other"), path)
    assert np.array_equal(again.session.regions.labels.values, values)
    assert asked(again) is None


def test_strokes_and_a_fit_are_saved_as_one_project(qtbot, make, one, tmp_path, monkeypatch):
    choose_iterations(one, coarse=3)
    with qtbot.waitSignal(one.fitting.ended, timeout=TIMEOUT_MS):
        one.window.fit_panel.request_start()
    values = drawn(qtbot, one)
    assert "Save both as a project" in asked(one)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "both"), ""))
    answer(one, Button.Save)
    closed(qtbot, one)
    again = opened(qtbot, make("other"), tmp_path / "both.noderproj")
    assert np.array_equal(again.session.regions.labels.values, values)
    assert again.session.result is not None


def test_what_cannot_be_written_keeps_the_window_open_for_good(qtbot, one, tmp_path, monkeypatch):
    drawn(qtbot, one)
    (tmp_path / "file").write_text("no folder")
    names = iter([tmp_path / "file" / "l.nii.gz", tmp_path / "l.nii.gz"])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(next(names)), ""))
    asked(one)
    with qtbot.waitSignal(one.measuring.failed, timeout=TIMEOUT_MS):
        answer(one, Button.Save)
    assert "cannot be written" in one.window.banner.text
    with qtbot.waitSignal(one.measuring.saved, timeout=TIMEOUT_MS):
        one.region_commands.save_labels()  # saved later, for another reason
    qtbot.wait(20)
    assert one.window.isVisible()


def test_a_window_that_something_else_drives_never_asks(qtbot, one):
    drawn(qtbot, one)
    one.closing.asks = False
    assert asked(one) is None


def test_other_scans_put_strokes_aside(qtbot, one, scans):
    values = drawn(qtbot, one)
    open_and_wait(qtbot, one, scans[:2])
    assert one.session.regions is None
    banner = one.window.banner
    assert "labels that were drawn on the series before" in banner.text
    qtbot.mouseClick(banner.button, LEFT)
    assert len(one.session.times) == 4
    assert np.array_equal(one.session.regions.labels.values, values)
    one.opening.set_times(["0", "2", "4", "6"], "index")  # strokes stay with their scan
    assert np.array_equal(one.session.regions.labels.values, values)
    assert banner.text == ""
