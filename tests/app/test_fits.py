"""The list of fits in the window: queue, pause, show, rename, remove, variants, methods side by side, leave-one-out."""

import csv
import dataclasses
import itertools
import time

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QLineEdit, QMessageBox
from window_kit import TIMEOUT_MS, choose_iterations, engine, make_controller, open_and_wait, write_scans

from noder.errors import NoderError
from noder.fit import FitProgress
from noder_viewer import fitting
from noder_viewer.fits_list import NAME, STATUS
from noder_viewer.methods_scene import pane_of

Button = QMessageBox.StandardButton


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    yield controller
    controller.shut_down()


@pytest.fixture
def opened(qtbot, controller, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    return controller


@pytest.fixture
def counting(monkeypatch):
    """Fits that count for ever and fail when they are stopped: {"step": how far the one that runs is, "choices"}."""
    seen = {"step": 0, "choices": []}

    def steps(session, choice):
        seen["choices"].append(choice)
        for step in itertools.count():
            seen["step"] = step
            time.sleep(0.002)
            if (yield FitProgress(step % 1000, 1000, "1/4 size", {"similarity": 1.0}, None, 1.0, 9.0)):
                raise NoderError("It was stopped.")

    monkeypatch.setattr(fitting, "make_steps", steps)
    return seen


def start(controller, **changes):
    panel = controller.window.fit_panel
    panel.start_requested.emit(dataclasses.replace(panel.choice(), **changes))


def statuses(controller):
    return [row.status for row in controller.session.fits]


def cells(controller, column):
    table = controller.window.fit_panel.fits.table
    return [table.item(row, column).text() for row in range(table.rowCount())]


def click_row(qtbot, controller, row, column=NAME):
    table = controller.window.fit_panel.fits.table
    place = table.visualItemRect(table.item(row, column)).center()
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)


def ran(qtbot, controller):
    qtbot.waitUntil(
        lambda: not controller.fitting.running and "waiting" not in statuses(controller), timeout=TIMEOUT_MS
    )


def idle(qtbot, controller):
    controller.fitting.stop_all()
    ran(qtbot, controller)


class TestQueue:
    def test_start_while_one_runs_adds_another_that_begins_after_it(self, opened, qtbot, counting):
        panel = opened.window.fit_panel
        panel.request_start()
        opened.presenter.refresh()
        assert panel.start.text() == "Queue"
        assert panel.start.isEnabled()
        opened.session.hold_out = frozenset({2})
        qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
        opened.session.hold_out = frozenset()
        assert statuses(opened) == ["running", "waiting"]
        opened.fitting.stop()
        qtbot.waitUntil(lambda: statuses(opened) == ["failed", "running"], timeout=TIMEOUT_MS)
        assert opened.session.fits[1].asked.hold_out == {2}  # as the boxes were when it was asked for
        assert cells(opened, STATUS)[0] == "failed: It was stopped."
        idle(qtbot, opened)
        assert statuses(opened) == ["failed", "failed"]
        opened.presenter.refresh()
        assert panel.start.text() == "Start"

    def test_stop_all_lets_none_begin(self, opened, qtbot, counting):
        for _ in range(3):
            start(opened)
        opened.presenter.refresh()  # which enables the action
        opened.window.actions_by_name["stop_all_fits"].trigger()
        ran(qtbot, opened)
        assert statuses(opened) == ["failed", "cancelled", "cancelled"]
        assert len(counting["choices"]) == 1
        opened.window.fit_panel.fits.again_requested.emit(opened.session.fits[1].key)
        assert statuses(opened) == ["failed", "running", "cancelled"]
        idle(qtbot, opened)

    def test_waiting_ones_are_moved_and_cancelled_by_keys(self, opened, qtbot, counting):
        for seed in range(4):
            start(opened, seed=seed)
        wishes = opened.window.fit_panel.fits
        click_row(qtbot, opened, 3)
        qtbot.keyClick(wishes.table, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
        assert [row.asked.choice.seed for row in opened.session.fits] == [0, 1, 3, 2]
        assert wishes.selected.key == opened.session.fits[2].key  # the line stays under the cursor
        qtbot.mouseClick(wishes.earlier, Qt.MouseButton.LeftButton)
        assert [row.asked.choice.seed for row in opened.session.fits] == [0, 3, 1, 2]
        qtbot.keyClick(wishes.table, Qt.Key.Key_Delete)
        assert statuses(opened) == ["running", "cancelled", "waiting", "waiting"]
        qtbot.keyClick(wishes.table, Qt.Key.Key_Delete)  # what was cancelled is taken out
        assert [row.asked.choice.seed for row in opened.session.fits] == [0, 1, 2]
        idle(qtbot, opened)

    def test_pause_holds_the_fit_and_stop_works_all_the_same(self, opened, qtbot, counting):
        panel = opened.window.fit_panel
        start(opened)
        qtbot.waitUntil(lambda: opened.session.progress is not None, timeout=TIMEOUT_MS)
        opened.presenter.refresh()
        qtbot.mouseClick(panel.pause, Qt.MouseButton.LeftButton)
        qtbot.wait(50)  # the step it was in
        held = counting["step"]
        qtbot.wait(150)
        assert counting["step"] == held
        opened.presenter.refresh()
        assert (opened.session.activity, statuses(opened)) == ("paused", ["paused"])
        assert panel.message.text().startswith("Paused at 1/4 size")
        assert panel.pause.text() == "Resume"
        opened.window.actions_by_name["pause_fit"].trigger()
        qtbot.waitUntil(lambda: counting["step"] > held, timeout=TIMEOUT_MS)
        assert statuses(opened) == ["running"]
        opened.window.actions_by_name["pause_fit"].trigger()
        opened.window.actions_by_name["stop_fit"].trigger()
        ran(qtbot, opened)
        assert statuses(opened) == ["failed"]

    def test_a_paused_fit_does_not_keep_the_window_open(self, opened, counting):
        start(opened)
        opened.fitting.toggle_paused()
        thread = opened.fitting._thread
        opened.window.close()
        assert thread.isFinished()


@pytest.fixture
def two_fits(opened, qtbot):
    """NODER with scan 2 held out, and a geodesic that waited for it."""
    opened.window.series_panel.hold_out_requested.emit(frozenset({2}))
    choose_iterations(opened, coarse=5, middle=0)
    opened.window.fit_panel.request_start()
    settings = opened.window.fit_panel.form.settings()
    opened.comparing._on_baselines(["geodesic"])
    assert settings.coarse_iterations == opened.session.fits[1].asked.choice.settings.coarse_iterations == 5
    ran(qtbot, opened)
    assert statuses(opened) == ["done", "done"], opened.window.banner.text
    opened.presenter.refresh()
    return opened


def test_two_fits_are_shown_in_turn_compared_renamed_saved_and_removed(two_fits, qtbot, monkeypatch, tmp_path):
    session, window = two_fits.session, two_fits.window
    noder, geodesic = session.fits
    assert session.result is noder.result  # the one that was followed; the other came and changed nothing on screen
    assert noder.asked.hold_out == geodesic.asked.hold_out == {2}

    # the images are there once, whatever the number of fits
    images = [scan.image.tensor().data_ptr() for scan in session.series.scans]
    for row in session.fits:
        assert [scan.voxels.data_ptr() for scan in row.result.trajectory.scans] == [images[k] for k in (0, 1, 3)]
    splines = [scan._spline for row in session.fits for scan in row.result.trajectory.scans[1:]]
    assert len(set(map(id, splines))) == 2

    click_row(qtbot, two_fits, 1)
    assert (session.result, session.shown_fit) == (geodesic.result, geodesic.key)
    two_fits.presenter.refresh()
    panes(two_fits, qtbot)

    table = window.fit_panel.fits.table
    table.editItem(table.item(1, NAME))
    editor = table.findChild(QLineEdit)
    qtbot.keyClicks(editor, "straight")
    qtbot.keyClick(editor, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: session.fits[1].name == "straight")
    assert session.result is geodesic.result

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "kept"), ""))
    with qtbot.waitSignal(two_fits.exporting.saved, timeout=TIMEOUT_MS):
        window.fit_panel.fits.save_requested.emit(noder.key)
    assert (tmp_path / "kept" / "result.json").is_file()
    assert session.fits[0].saved_in == tmp_path / "kept"
    assert session.saved_in is None  # of the one that is shown

    click_row(qtbot, two_fits, 1)
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    assert "straight has not been saved" in two_fits.fits.box.text()
    two_fits.fits.box.button(Button.Cancel).click()
    assert len(session.fits) == 2
    qtbot.keyClick(table, Qt.Key.Key_Delete)
    two_fits.fits.box.button(Button.Discard).click()
    assert [row.key for row in session.fits] == [noder.key]
    assert (session.result, session.saved_in) == (noder.result, tmp_path / "kept")


def panes(controller, qtbot):
    """Both fits, the observed scan and a blend, under one cursor, with one camera."""
    session, view = controller.session, controller.window.methods
    noder, geodesic = (pane_of(row.key) for row in session.fits)
    session.time = 2.0
    assert session.methods.on  # since they were compared
    assert session.methods.panes == ("observed", noder, geodesic)
    controller.comparing.refresh()
    assert [other.isVisibleTo(view) for other in view.views] == [True, True, True, False]
    qtbot.mouseClick(view.add, Qt.MouseButton.LeftButton)
    controller.comparing.refresh()
    assert session.methods.panes == ("observed", noder, geodesic, "nearest")
    assert [len(other._scene.images) for other in view.views] == [1] * 4
    titles = [other._scene.images[0].title for other in view.views]
    assert "Observed scan 2" in titles[0]
    for title, row in zip(titles[1:], session.fits, strict=False):
        score = row.result.report.rows[2]["neighbours"]["nrmse_mask"]
        assert f"{row.name}: NRMSE {score:.4f} at scan 2 (held out)" in title
    assert view.views[0]._scene.crosshair == view.views[3]._scene.crosshair
    assert len({v.camera.px_per_mm for v in view.views}) == 1  # though their titles take different room
    assert all(v._rect(0).width() > 100 for v in view.views)
    # one camera
    view.views[1]._camera.pan(10, 4)
    view.views[1].camera_moved.emit()
    assert {(v.camera.x, v.camera.y, v.camera.px_per_mm) for v in view.views} == {
        (view.views[1].camera.x, view.views[1].camera.y, view.views[1].camera.px_per_mm)
    }
    # another plane, another pane, one pane less
    view.plane.setCurrentIndex(view.plane.findData(0))
    view.plane.activated.emit(view.plane.currentIndex())
    controller.comparing.refresh()
    assert {v.axis for v in view.views} == {0}
    view.boxes[3].setCurrentIndex(view.boxes[3].findData("blend"))
    view.boxes[3].activated.emit(view.boxes[3].currentIndex())
    assert session.methods.panes[3] == "blend"
    view.pane_requested.emit(0, "")
    controller.comparing.refresh()
    assert [v.isVisibleTo(view) for v in view.views] == [True, True, True, False]
    view.what.setCurrentIndex(1)
    view.what.activated.emit(1)
    controller.comparing.refresh()
    assert view.views[0]._scene.images[0].unit == "difference"
    controller.window.actions_by_name["show_methods"].trigger()
    controller.comparing.refresh()
    assert controller.window.screens.currentIndex() == 0


def test_a_new_weight_is_a_new_fit_beside_the_old_one(opened, qtbot, counting):
    start(opened, preset="fast")
    opened.presenter.refresh()
    opened.window.actions_by_name["new_fit_with"].trigger()
    dialog = opened.fits.variant
    assert dialog.isVisible()
    weight = opened.window.fit_panel.form.settings().smoothness
    dialog.weight.setValue(weight)
    assert not dialog.queue.isEnabled()  # that one is there already
    dialog.weight.setValue(3 * weight)
    qtbot.mouseClick(dialog.queue, Qt.MouseButton.LeftButton)
    old, new = opened.session.fits
    assert (old.status, new.status) == ("running", "waiting")
    assert new.asked.choice.settings.smoothness == pytest.approx(3 * weight)
    assert f"smoothness {3 * weight:g}" in new.name
    assert old.asked.choice.settings.smoothness == weight
    idle(qtbot, opened)


def test_compare_queues_what_is_missing_with_the_same_hold_outs(opened, qtbot, counting):
    opened.session.hold_out = frozenset({1})
    opened.window.fit_panel.set_preset("fast")
    opened.window.fit_panel.request_start()
    opened.presenter.refresh()
    opened.window.actions_by_name["compare_methods"].trigger()
    dialog = opened.comparing.baselines
    assert [name for name, box in dialog.boxes.items() if not box.isEnabled()] == ["noder"]
    qtbot.mouseClick(dialog.queue, Qt.MouseButton.LeftButton)
    assert [row.asked.choice.method for row in opened.session.fits] == ["noder", "geodesic", "piecewise"]
    assert {row.asked.hold_out for row in opened.session.fits} == {frozenset({1})}
    assert opened.session.methods.on
    opened.comparing.ask()
    assert [name for name, box in dialog.boxes.items() if box.isEnabled()] == ["nephi"]
    dialog.reject()
    idle(qtbot, opened)


def test_leave_one_out_runs_in_the_list_and_its_table_is_written(opened, qtbot, tmp_path):
    choose_iterations(opened, coarse=3)
    opened.session.hold_out = frozenset({1})
    opened.window.actions_by_name["leave_one_out"].trigger()
    dialog = opened.comparing.leave_one_out
    dialog.baselines.setChecked(False)
    qtbot.waitUntil(lambda: dialog.estimate.text().startswith("3 fits, "), timeout=TIMEOUT_MS)
    qtbot.mouseClick(dialog.queue, Qt.MouseButton.LeftButton)
    assert opened.session.result is None
    ran(qtbot, opened)
    (row,) = opened.session.fits
    assert row.status == "done", row.error
    assert [each["index"] for each in row.left_out.rows] == [1, 2, 3]
    shown = opened.fits.left_out
    assert shown.isVisible()
    assert row.is_unsaved
    heads = [shown.table.horizontalHeaderItem(k).text() for k in range(shown.table.columnCount())]
    assert heads == ["Scan", "Time", "NODER", "NODER, first", "Blend", "Nearest", "Unchanged"]
    assert shown.table.item(2, 0).text() == "3, extrapolated"
    assert shown.table.item(0, 2).value == pytest.approx(row.left_out.rows[0]["noder"]["nrmse_mask"])
    shown.write_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        lines = list(csv.DictReader(file))
    first = next(line for line in lines if line["scan"] == "1" and line["prediction"] == "blend")
    assert float(first["nrmse_mask"]) == pytest.approx(row.left_out.rows[0]["blend"]["nrmse_mask"], rel=1e-5)
    assert not opened.session.fits[0].is_unsaved
    assert not np.isnan(float(lines[-1]["nrmse_mask"]))
