"""Once through, as a user goes: real window, real engine, drop to export; and a fit that is stopped."""

import dataclasses
import json
import time

import nibabel
import numpy as np
import pytest
from PySide6.QtCore import Qt, QThread, QTimer
from PySide6.QtWidgets import QFileDialog, QMessageBox
from window_kit import SHAPE, TIMEOUT_MS, choose_iterations, drop, engine, make_controller, write_scans

from noder_viewer.demo import Demo
from noder_viewer.export_dialog import ExportRequest
from noder_viewer.series_panel import HOLD_OUT

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
def fitted(qtbot, controller, tmp_path):
    """Four scans, dropped; scan 2 held out; fitted in a few steps."""
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        assert drop(controller.window, write_scans(tmp_path))
    controller.window.series_panel.hold_out_requested.emit(frozenset({2}))
    choose_iterations(controller, coarse=6, middle=4)
    qtbot.waitUntil(controller.window.fit_panel.start.isEnabled, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
        qtbot.mouseClick(controller.window.fit_panel.start, Qt.MouseButton.LeftButton)
    assert controller.session.result is not None, controller.window.banner.text
    controller.presenter.refresh()
    return controller


def test_drop_fit_scrub_export(fitted, qtbot, tmp_path):
    session, window = fitted.session, fitted.window
    assert not session.result.stopped
    assert session.preview is None
    assert [row["role"] for row in session.result.report.rows] == ["reference", "seen", "held out", "seen"]
    assert "NRMSE" in window.fit_panel.report.toPlainText()
    assert window.actions_by_name["save_fit"].isEnabled()

    frames = []
    for t in (0.4, 1.3, 2.6):
        window.timeline.time_requested.emit(t)
        fitted.presenter.refresh()
        frames.append(fitted.presenter.scenes[2].images[0].data.copy())
    assert frames[0].std() > 5
    assert not np.allclose(frames[0], frames[2])
    window.overlay_panel.overlays_requested.emit(dataclasses.replace(session.overlays, jacobian=True, quiver=True))
    fitted.presenter.refresh()
    assert set(fitted.presenter.scenes[2].overlays) == {"jacobian", "quiver"}

    out = tmp_path / "out"
    names = ("predictions", "series4d", "fields_itk", "jacobians", "metrics_csv")
    with qtbot.waitSignal(fitted.exporting.exported, timeout=TIMEOUT_MS) as exported:
        fitted.exporting.export(ExportRequest(names, (0.5, 2.0), out, picture=True))
    written = {path.name for path in exported.args[0]}
    assert written == {path.name for path in out.iterdir()}
    assert {"pred_000.nii.gz", "pred_001.nii.gz", "field_001.nii.gz", "inverse_001.nii.gz"} <= written
    assert {"jac_001.nii.gz", "predictions_4d.nii.gz", "metrics.csv", "predict.json", "view.png"} <= written
    assert nibabel.load(out / "pred_001.nii.gz").shape == SHAPE
    described = json.loads((out / "predict.json").read_text())
    assert [row["time"] for row in described["predictions"]] == [0.5, 2.0]


def test_the_dialog_exports_what_is_checked(fitted, qtbot, tmp_path):
    dialog = fitted.exporting.show_dialog()
    for key, box in dialog.boxes.items():
        box.setChecked(key == "jacobians")
    dialog.custom_times.setText("1.5")
    dialog.custom.setChecked(True)
    dialog.set_folder(tmp_path / "maps")
    with qtbot.waitSignal(fitted.exporting.exported, timeout=TIMEOUT_MS):
        qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["jac_000.nii.gz", "predict.json"]
    assert "2 files written" in dialog.message.text()


def test_a_folder_that_cannot_be_written_is_said(fitted, qtbot, tmp_path):
    (tmp_path / "file").write_text("in the way")
    dialog = fitted.exporting.show_dialog()
    with qtbot.waitSignal(fitted.exporting.failed, timeout=TIMEOUT_MS) as failed:
        fitted.exporting.export(ExportRequest(("predictions",), (1.0,), tmp_path / "file" / "out"))
    assert "cannot be written" in failed.args[0]
    assert dialog.message.text() == failed.args[0]
    assert dialog.export.isEnabled()


def test_a_second_fit_is_stopped_and_keeps_what_there_is(fitted, qtbot):
    first = fitted.session.result
    fitted.session.hold_out = frozenset({1})
    choose_iterations(fitted, coarse=2000)
    previews, ticks = [], []
    fitted.session.events.preview.connect(previews.append)
    timer = QTimer(fitted)
    timer.timeout.connect(lambda: ticks.append(QThread.currentThread()))
    timer.start(16)
    fitted.window.fit_panel.request_start()
    # the window lives while it fits: its timer goes on
    qtbot.waitUntil(lambda: bool(previews) and len(ticks) > 5, timeout=TIMEOUT_MS)
    fitted.presenter.refresh()
    assert "step" in fitted.window.fit_panel.message.text()
    assert set(ticks) == {QThread.currentThread()}
    asked = time.monotonic()
    with qtbot.waitSignal(fitted.fitting.ended, timeout=TIMEOUT_MS):
        qtbot.mouseClick(fitted.window.fit_panel.stop, Qt.MouseButton.LeftButton)
    assert time.monotonic() - asked < 1.0
    result = fitted.session.result
    assert result is not first
    assert result.stopped
    assert 0 < len(result.history) < 2000
    assert fitted.session.preview is None
    assert fitted.presenter.scenes[2] is not None
    before, after = fitted.session.fits
    assert (before.result, before.status) == (first, "done")
    assert (after.result, after.status) == (result, "stopped")
    fitted.window.fit_panel.fits.show_requested.emit(before.key)
    assert fitted.session.result is first
    fitted.presenter.refresh()
    assert "next fit" in fitted.window.series_panel.hint.text()  # the boxes are still those of the other
    fitted.window.fit_panel.fits.show_requested.emit(after.key)  # and forth
    assert fitted.session.result is result


def test_boxes_for_the_next_fit_leave_the_timeline_as_the_fit_is(fitted, monkeypatch):
    shown = []
    monkeypatch.setattr(fitted.window.timeline, "set_scans", lambda times, names, roles, unit: shown.append(roles))
    fitted.window.series_panel.hold_out_requested.emit(frozenset({3}))
    fitted.presenter.refresh()
    assert shown == []
    assert "next fit" in fitted.window.series_panel.hint.text()
    assert fitted.window.series_panel.table.item(3, HOLD_OUT).checkState() == Qt.CheckState.Checked
    fitted.window.series_panel.hold_out_requested.emit(frozenset({2}))
    fitted.presenter.refresh()
    assert fitted.window.series_panel.hint.text() == ""


class TestClosing:
    def test_an_unsaved_fit_is_asked_for(self, fitted):
        assert not fitted.window.close()
        assert fitted.closing.box.isVisible()
        fitted.closing.box.button(Button.Cancel).click()
        assert fitted.window.isVisible()
        assert not fitted.is_down
        fitted.window.close()
        fitted.closing.box.button(Button.Discard).click()
        assert not fitted.window.isVisible()
        assert fitted.is_down

    def test_it_closes_when_it_has_been_saved(self, fitted, qtbot, monkeypatch, tmp_path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "kept"), ""))
        fitted.window.close()
        with qtbot.waitSignal(fitted.window.closing, timeout=TIMEOUT_MS):
            fitted.closing.box.button(Button.Save).click()
        assert (tmp_path / "kept" / "result.json").is_file()
        assert fitted.window.close()

    def test_a_demo_that_quits_does_not_ask(self, fitted, tmp_path):
        Demo(fitted, tmp_path)
        assert fitted.window.close()


def test_closing_while_it_fits(fitted):
    choose_iterations(fitted, coarse=2000)
    fitted.window.fit_panel.request_start()
    thread = fitted.fitting._thread
    fitted.window.close()
    fitted.closing.box.button(Button.Discard).click()  # the fit before
    assert thread.isFinished()


def test_a_saved_fit_opens_again(fitted, qtbot, monkeypatch, tmp_path):
    t = 1.7
    expected = fitted.session.trajectory.predict(t)
    out = tmp_path / "fit"
    assert "not saved" in fitted.window.windowTitle()
    with qtbot.waitSignal(fitted.exporting.saved, timeout=TIMEOUT_MS):
        fitted.exporting.save_fit(out)
    fitted.presenter.refresh()
    assert "not saved" not in fitted.window.windowTitle()
    panel = fitted.window.fit_panel
    panel.set_preset("balanced")
    panel.clear_curves()
    drawn = []
    monkeypatch.setattr(panel, "set_curves", lambda steps, values: drawn.append(len(steps)))
    with qtbot.waitSignal(fitted.opening.opened, timeout=TIMEOUT_MS):
        assert drop(fitted.window, [out])
    session = fitted.session
    assert session.saved_in == out
    assert session.roles() == ("reference", "seen", "held out", "seen")
    assert bool((session.trajectory.predict(t) == expected).all())
    fitted.presenter.refresh()
    assert drawn
    assert drawn[-1] == len(session.result.history) > 0
    assert panel.preset.currentData() == "fast"
    assert panel.form.settings().coarse_iterations == 6
    assert "changed" in panel.more.text()


def test_edited_times_put_an_unsaved_fit_aside(fitted, qtbot, monkeypatch):
    result, panel = fitted.session.result, fitted.window.fit_panel
    cleared = []
    monkeypatch.setattr(panel.curves, "clear", lambda: cleared.append(True))
    assert panel.message.text().startswith("Fitted after")
    fitted.opening.set_times(["0", "1", "2", "5"], "days")
    assert fitted.session.result is None
    fitted.presenter.refresh()
    assert panel.message.text() == ""
    assert cleared
    assert fitted.window.banner.button.text() == "Back to the fit"
    qtbot.mouseClick(fitted.window.banner.button, Qt.MouseButton.LeftButton)
    assert fitted.session.result is result
    assert fitted.session.times == (0.0, 1.0, 2.0, 3.0)


def test_two_scans_too_few_to_fit_is_a_sentence(fitted, qtbot):
    fitted.session.hold_out = frozenset({1, 2, 3})
    with qtbot.waitSignal(fitted.fitting.failed, timeout=TIMEOUT_MS) as failed:
        fitted.window.fit_panel.request_start()
    assert fitted.window.banner.text == failed.args[0]
    assert "at least one more scan" in failed.args[0]
