"""Undo and redo through the real window, by its keys: tables, layers and settings."""

import dataclasses

import pytest
from doubles import move
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog
from window_kit import TIMEOUT_MS, choose_iterations, engine, make_controller, open_and_wait, write_scans

from noder_viewer.series_panel import HOLD_OUT, INCLUDE, TIME

LEFT = Qt.MouseButton.LeftButton
CTRL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def window(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    controller.window.activateWindow()
    qtbot.wait(30)
    yield controller
    controller.shut_down()


def shown(controller):
    """The menu as it is after this turn: a busy machine draws late."""
    controller.undoing.look()
    controller.presenter.refresh()


def undo(qtbot, controller):
    qtbot.wait(10)
    shown(controller)
    qtbot.keyClick(controller.window, Qt.Key.Key_Z, CTRL)
    qtbot.wait(10)


def redo(qtbot, controller):
    shown(controller)
    qtbot.keyClick(controller.window, Qt.Key.Key_Z, CTRL | SHIFT)
    qtbot.wait(10)


def menu(controller, name):
    shown(controller)
    return controller.window.actions_by_name[name]


def tick(controller, row, column, state):
    controller.window.series_panel.table.item(row, column).setCheckState(state)


def test_times_by_the_table(qtbot, window):
    window.window.series_panel.table.item(1, TIME).setText("0.5")
    qtbot.waitUntil(lambda: window.session.times == (0.0, 0.5, 2.0, 3.0))
    qtbot.wait(10)
    assert menu(window, "undo").text() == "&Undo change of time"
    undo(qtbot, window)
    assert window.session.times == (0.0, 1.0, 2.0, 3.0)
    assert window.window.series_panel.table.item(1, TIME).text() == "1"
    assert not menu(window, "undo").isEnabled()
    assert menu(window, "redo").text() == "&Redo change of time"
    redo(qtbot, window)
    assert window.session.times == (0.0, 0.5, 2.0, 3.0)


def test_the_unit(qtbot, window):
    before = window.session.series.unit
    window.window.series_panel.unit.setCurrentText("days")
    window.window.series_panel.unit.textActivated.emit("days")
    qtbot.waitUntil(lambda: window.session.series.unit == "days")
    qtbot.wait(10)
    assert menu(window, "undo").text() == "&Undo change of unit"
    undo(qtbot, window)
    assert window.session.series.unit == before


def test_ticks_and_what_follows_from_them_are_one_step(qtbot, window):
    tick(window, 2, HOLD_OUT, Qt.CheckState.Checked)
    qtbot.wait(10)
    assert menu(window, "undo").text() == "&Undo hold-out"
    tick(window, 2, INCLUDE, Qt.CheckState.Unchecked)
    qtbot.wait(10)
    assert (window.session.hold_out, window.session.exclude) == (frozenset(), frozenset({2}))
    assert menu(window, "undo").text() == "&Undo use of a scan"
    undo(qtbot, window)
    assert (window.session.hold_out, window.session.exclude) == (frozenset({2}), frozenset())
    undo(qtbot, window)
    assert window.session.hold_out == frozenset()


def test_a_fit_that_other_times_dropped_comes_back_with_them(qtbot, window):
    choose_iterations(window, coarse=4)
    with qtbot.waitSignal(window.fitting.ended, timeout=TIMEOUT_MS):
        window.window.fit_panel.request_start()
    result, carry = window.session.result, window.session.carry
    qtbot.wait(20)
    assert window.undoing.history.undoable.name != "what is carried"  # the fit did that, for itself
    window.opening.set_times(["0", "2", "4", "6"], "index")
    qtbot.wait(10)
    assert window.session.result is None
    undo(qtbot, window)
    assert window.session.result is result
    assert window.session.times == (0.0, 1.0, 2.0, 3.0)
    assert window.session.carry == carry
    redo(qtbot, window)
    assert window.session.result is None
    assert window.session.times == (0.0, 2.0, 4.0, 6.0)


def test_times_from_a_file_are_read_as_the_command_line_reads_them_and_undone(qtbot, window, tmp_path, monkeypatch):
    chosen = tmp_path / "trigger.txt"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(chosen), ""))
    chosen.write_text("0, 12.5, 30\n")
    window.window.actions_by_name["open_times"].trigger()
    assert "3 times for 4 scans" in window.window.banner.text
    chosen.write_text("0, 12.5, 30, 41\n")
    qtbot.mouseClick(window.window.series_panel.browse_times, Qt.MouseButton.LeftButton)
    qtbot.wait(10)
    assert window.session.times == (0.0, 12.5, 30.0, 41.0)
    assert window.window.banner.text == ""
    undo(qtbot, window)
    assert window.session.times == (0.0, 1.0, 2.0, 3.0)


def test_scans_before_and_after_one_are_dropped_and_come_back(qtbot, window):
    session, run = window.session, window.window.actions_by_name
    session.hold_out, session.exclude = frozenset({2}), frozenset({3})
    qtbot.wait(10)
    session.time = 1.0
    run["keep_from"].trigger()
    qtbot.wait(10)
    assert session.times == (1.0, 2.0, 3.0)
    assert (session.hold_out, session.exclude) == ({1}, {2})
    assert "scan_1" in window.window.banner.text  # it is the reference now
    assert window.window.series_panel.table.rowCount() == 3
    session.time = 2.0
    run["keep_until"].trigger()
    qtbot.wait(10)
    assert session.times == (1.0, 2.0)
    session.time = 2.0
    run["keep_from"].trigger()
    assert "would leave 1" in window.window.banner.text
    assert session.times == (1.0, 2.0)
    assert menu(window, "undo").text() == "&Undo choice of scans"
    undo(qtbot, window)
    undo(qtbot, window)
    assert session.times == (0.0, 1.0, 2.0, 3.0)
    assert (session.hold_out, session.exclude) == ({2}, {3})


def test_keys_of_the_display(qtbot, window):
    qtbot.keyClick(window.window, Qt.Key.Key_R)
    qtbot.wait(10)
    assert window.session.radiological
    assert menu(window, "undo").text() == "&Undo side convention"
    undo(qtbot, window)
    assert not window.session.radiological
    assert not window.window.overlay_panel.radiological.isChecked()
    qtbot.keyClick(window.window, Qt.Key.Key_Y, CTRL)
    qtbot.wait(10)
    assert window.session.radiological


def test_place_and_time_are_no_steps(qtbot, window):
    window.session.time = 1.5
    window.session.cursor_mm = (1.0, 1.0, 1.0)
    qtbot.wait(10)
    assert not menu(window, "undo").isEnabled()
    window.session.radiological = True
    undo(qtbot, window)
    assert (window.session.time, window.session.cursor_mm) == (1.5, (1.0, 1.0, 1.0))


def test_a_drag_of_the_grey_levels_is_one_step(qtbot, window):
    view, before = window.window.slices[2], window.session.window
    target = view._canvas.viewport()
    QTest.mousePress(target, Qt.MouseButton.RightButton, pos=QPoint(150, 150))
    for k in range(1, 8):
        move(target, QPoint(150 + 6 * k, 150 + 4 * k), Qt.MouseButton.RightButton)
        qtbot.wait(5)
    QTest.mouseRelease(target, Qt.MouseButton.RightButton, pos=QPoint(190, 180))
    qtbot.wait(10)
    assert window.session.window != before
    assert len(window.undoing.history.done) == 1
    assert menu(window, "undo").text() == "&Undo grey levels"
    undo(qtbot, window)
    assert window.session.window == before


def test_a_number_box_that_is_settled_leaves_the_key_to_the_menu(qtbot, window):
    box, before = window.window.overlay_panel.hi, window.session.window
    box.setFocus()
    qtbot.wait(10)
    QTest.keyClick(box, Qt.Key.Key_Up)
    qtbot.wait(10)
    assert window.session.window != before
    shown(window)
    QTest.keyClick(box, Qt.Key.Key_Z, CTRL)
    qtbot.wait(10)
    assert window.session.window == before


def test_the_form_of_the_fit(qtbot, window):
    panel = window.window.fit_panel
    before = panel.choice()
    qtbot.wait(10)
    panel.form.editors["smoothness"].setValue(2.5)
    qtbot.wait(10)
    assert menu(window, "undo").text() == "&Undo change of smoothness weight"
    panel.set_preset("fast")
    qtbot.wait(10)
    assert menu(window, "undo").text() == "&Undo change of preset"
    panel.more.setChecked(True)
    qtbot.wait(10)
    qtbot.mouseClick(panel.intensity, LEFT, pos=QPoint(8, panel.intensity.height() // 2))
    qtbot.wait(10)
    assert panel.intensity.isChecked()
    undo(qtbot, window)
    assert not panel.intensity.isChecked()
    undo(qtbot, window)
    assert panel.preset.currentData() == "balanced"
    assert panel.form.editors["smoothness"].value() == 2.5
    assert panel.more.text() == "Settings (changed)"
    undo(qtbot, window)
    assert panel.choice() == before
    assert panel.more.text() == "Settings"


def test_the_mask(qtbot, window, tmp_path):
    import numpy as np
    from window_kit import SHAPE, write_scan

    mask = write_scan(tmp_path / "mask.nii.gz", np.ones(SHAPE, np.uint8))
    window.masking.take(mask)
    qtbot.waitUntil(lambda: window.session.mask == mask and not window.session.activity, timeout=TIMEOUT_MS)
    undo(qtbot, window)
    assert window.session.mask is None
    redo(qtbot, window)
    assert window.session.mask == mask


def test_what_a_fit_reads_is_not_taken_back_while_it_runs(qtbot, window):
    tick(window, 1, HOLD_OUT, Qt.CheckState.Checked)
    qtbot.wait(10)
    window.session.activity = "fitting"
    qtbot.wait(10)
    assert not menu(window, "undo").isEnabled()
    qtbot.keyClick(window.window, Qt.Key.Key_R)
    qtbot.wait(10)
    undo(qtbot, window)
    assert not window.session.radiological
    window.session.activity = ""
    qtbot.wait(10)
    assert menu(window, "undo").isEnabled()


def test_other_scans_begin_anew(qtbot, window, tmp_path):
    window.session.overlays = dataclasses.replace(window.session.overlays, quiver_spacing_mm=3.0)
    qtbot.wait(10)
    assert menu(window, "undo").isEnabled()
    (tmp_path / "other").mkdir()
    open_and_wait(qtbot, window, write_scans(tmp_path / "other", 2))
    qtbot.wait(10)
    assert not menu(window, "undo").isEnabled()
