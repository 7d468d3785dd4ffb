"""What the controller does with requests: real window, real series, and a fit that a test can hold back."""

import base64
import time
import zlib

import numpy as np
import pytest
from PySide6.QtCore import QByteArray, Qt
from PySide6.QtWidgets import QFileDialog
from window_kit import SHAPE, TIMEOUT_MS, ball, make_controller, open_and_wait, write_scan, write_scans

from noder.errors import NoderError
from noder_viewer import fitting
from noder_viewer.main_window import MainWindow
from noder_viewer.session import OverlaySettings
from noder_viewer.settings import Settings


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    yield controller
    controller.shut_down()


@pytest.fixture
def opened(qtbot, controller, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    return controller


@pytest.fixture
def held_fit(monkeypatch):
    """A fit that waits for the test: set `held_fit["end"]` to the error that it ends with."""
    control = {"end": None}

    def steps(session, choice):
        control["choice"] = choice
        while control["end"] is None:
            time.sleep(0.005)
        raise control["end"]
        yield

    monkeypatch.setattr(fitting, "make_steps", steps)
    return control


def fail_to_open(qtbot, controller, paths):
    with qtbot.waitSignal(controller.opening.failed, timeout=TIMEOUT_MS) as failed:
        controller.open(paths)
    return failed.args[0]


class TestOpening:
    def test_a_series_is_shown(self, opened):
        session, window = opened.session, opened.window
        assert session.times == (0.0, 1.0, 2.0, 3.0)
        assert window.series_panel.table.rowCount() == 4
        assert window.pages.currentIndex() == 1
        assert "scan_0" in window.windowTitle()
        assert session.grid.to_index(np.array(session.cursor_mm)).tolist() == [11, 12, 9]
        lo, hi = session.window
        assert 0 <= lo < hi <= session.value_range[1]
        assert set(opened.presenter.scenes) == {0, 1, 2}
        assert opened.settings.recent()[0][0].name == "scan_0.nii.gz"

    def test_what_is_no_image_loses_nothing(self, opened, qtbot, tmp_path):
        bad = tmp_path / "notes.nii.gz"
        bad.write_text("not an image")
        series = opened.session.series
        sentence = fail_to_open(qtbot, opened, [bad, bad])
        assert "notes.nii.gz" in sentence
        assert opened.window.banner.text == sentence
        assert opened.session.series is series
        assert opened.session.activity == ""

    def test_one_scan_is_too_few(self, controller, qtbot, tmp_path):
        assert "2 scans" in fail_to_open(qtbot, controller, write_scans(tmp_path, 1))
        assert controller.window.pages.currentIndex() == 0

    def test_voxels_that_are_not_finite_can_be_replaced(self, controller, qtbot, tmp_path):
        paths = write_scans(tmp_path, 2)
        data = ball(5.0)
        data[3, 4, 5] = np.nan
        write_scan(paths[1], data)
        assert "scan_1" in fail_to_open(qtbot, controller, paths)
        button = controller.window.banner.button
        assert button.text() == "Replace by 0"
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: not controller.opening.rest.busy, timeout=TIMEOUT_MS)
        assert controller.session.series.scans[1].image.numpy()[3, 4, 5] == 0
        assert "scan_1: 1 voxel" in controller.window.banner.text
        assert "0 was put there" in controller.window.banner.text

    def test_other_grids_can_be_resampled(self, controller, qtbot, tmp_path):
        paths = write_scans(tmp_path, 2)
        write_scan(paths[1], ball(5.0)[:-2], (1.1, 1.0, 1.5))
        fail_to_open(qtbot, controller, paths)
        assert controller.window.banner.button.text() == "Resample onto the first scan"
        with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
            controller.opening.answer("resample")
        assert controller.session.series.scans[1].image.grid.matches(controller.session.grid)

    def test_the_newest_wins(self, controller, qtbot, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        controller.open(write_scans(tmp_path / "a", 2))
        open_and_wait(qtbot, controller, write_scans(tmp_path / "b", 3))
        qtbot.waitUntil(lambda: not controller.opening._reader.busy)
        assert len(controller.session.times) == 3


class TestTimes:
    def test_edited_times_sort_the_scans_and_keep_their_boxes(self, opened):
        opened.session.hold_out = frozenset({1})
        opened.opening.set_times(["0", "9", "2", "3"], "days")
        assert opened.session.times == (0.0, 2.0, 3.0, 9.0)
        assert opened.session.series.unit == "days"
        assert opened.session.hold_out == {3}

    @pytest.mark.parametrize("text", ["x", "", "nan", "2"])
    def test_what_is_no_time_is_said_and_put_back(self, opened, text):
        opened.opening.set_times(["0", text, "2", "3"], "days")
        assert opened.window.banner.text
        opened.presenter.refresh()
        assert opened.window.series_panel.table.item(1, 2).text() == "1"
        assert opened.session.times == (0.0, 1.0, 2.0, 3.0)

    def test_a_correction_takes_the_error_away(self, opened):
        opened.opening.set_times(["0", "x", "2", "3"], "days")
        assert opened.window.banner.text
        opened.opening.set_times(["0", "1", "2", "3"], "days")
        assert not opened.window.banner.text

    def test_another_reference_is_said(self, opened):
        opened.opening.set_times(["5", "1", "2", "3"], "days")
        assert "scan_1" in opened.window.banner.text
        assert "is the reference" in opened.window.banner.text


class TestMask:
    @staticmethod
    def choose(controller, qtbot, path):
        controller.window.series_panel.mask_requested.emit(path)
        assert controller.session.mask is None  # not before it has been read
        qtbot.waitUntil(lambda: not controller.masking.busy, timeout=TIMEOUT_MS)
        controller.presenter.refresh()

    def test_it_is_read_at_once(self, opened, qtbot, tmp_path):
        mask = write_scan(tmp_path / "mask.nii.gz", (ball(5.0) > 100).astype(np.float32))
        self.choose(opened, qtbot, mask)
        assert opened.session.mask == mask
        assert (opened.window.banner.text, opened.session.activity) == ("", "")

    def test_another_grid_is_said(self, opened, qtbot, tmp_path):
        mask = write_scan(tmp_path / "mask.nii.gz", (ball(5.0) > 100).astype(np.float32), (1.1, 1.0, 1.5))
        self.choose(opened, qtbot, mask)
        assert opened.session.mask == mask
        assert "another grid" in opened.window.banner.text

    def test_what_cannot_be_used_is_not_taken(self, opened, qtbot, tmp_path):
        mask = write_scan(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.float32))
        opened.window.series_panel.use_mask.setChecked(True)
        self.choose(opened, qtbot, mask)
        assert opened.session.mask is None
        assert "empty.nii.gz" in opened.window.banner.text
        assert not opened.window.series_panel.use_mask.isChecked()
        good = write_scan(tmp_path / "mask.nii.gz", (ball(5.0) > 100).astype(np.float32))
        self.choose(opened, qtbot, good)
        assert opened.window.banner.text == ""


class TestFitting:
    def test_a_failure_is_a_sentence_and_the_window_goes_on(self, opened, qtbot, held_fit):
        opened.window.fit_panel.start_requested.emit(opened.window.fit_panel.choice())
        assert opened.session.activity == "fitting"
        assert opened.session.carry == "first"  # what a preview is carried from
        opened.presenter.refresh()
        assert opened.window.fit_panel.stop.isEnabled()
        held_fit["end"] = NoderError("The scans are all alike.")
        with qtbot.waitSignal(opened.fitting.ended, timeout=TIMEOUT_MS):
            pass
        assert opened.window.banner.text == "The scans are all alike."
        assert (opened.session.activity, opened.session.carry) == ("", "neighbours")

    def test_one_fit_at_a_time(self, opened, qtbot, held_fit):
        choice = opened.window.fit_panel.choice()
        opened.fitting.start(choice)
        first = opened.fitting._thread
        opened.fitting.start(choice)
        assert opened.fitting._thread is first
        held_fit["end"] = NoderError("end")
        with qtbot.waitSignal(opened.fitting.ended, timeout=TIMEOUT_MS):
            pass

    def test_opening_waits_for_the_fit(self, opened, qtbot, held_fit, tmp_path):
        (tmp_path / "other").mkdir()
        others = write_scans(tmp_path / "other", 3)
        opened.fitting.start(opened.window.fit_panel.choice())
        opened.open(others)
        assert opened.window.banner.button.text() == "Stop and open"
        assert len(opened.session.times) == 4
        held_fit["end"] = NoderError("stopped")
        with qtbot.waitSignal(opened.opening.opened, timeout=TIMEOUT_MS):
            qtbot.mouseClick(opened.window.banner.button, Qt.MouseButton.LeftButton)
        assert len(opened.session.times) == 3

    def test_closing_the_window_ends_it(self, opened, held_fit):
        opened.fitting.start(opened.window.fit_panel.choice())
        thread = opened.fitting._thread
        held_fit["end"] = NoderError("closed")
        opened.window.close()
        assert thread.isFinished()


class TestRequests:
    def test_panels_change_the_session(self, opened):
        window, session = opened.window, opened.session
        window.overlay_panel.overlays_requested.emit(OverlaySettings(jacobian=True))
        assert session.overlays.jacobian
        window.overlay_panel.radiological_requested.emit(True)
        assert session.radiological
        window.overlay_panel.window_requested.emit(10.0, 5.0)
        assert session.window[0] == 10.0 < session.window[1]
        window.series_panel.hold_out_requested.emit(frozenset({1, 2}))
        window.series_panel.exclude_requested.emit(frozenset({2}))
        assert session.roles() == ("reference", "held out", "excluded", "seen")
        window.timeline.time_requested.emit(1.25)
        assert session.time == 1.25
        window.series_panel.scan_requested.emit(3)
        assert session.time == 3.0

    def test_a_slice_moves_the_cursor(self, opened):
        opened.window.slices[2].index_requested.emit(2, 4)
        assert opened.session.grid.to_index(np.array(opened.session.cursor_mm))[2] == pytest.approx(4)
        opened.window.slices[2].cursor_requested.emit(2, 3.0, 7.0)
        assert opened.session.cursor_mm[:2] == pytest.approx((3.0, 7.0))
        assert opened.session.grid.to_index(np.array(opened.session.cursor_mm))[2] == pytest.approx(4)
        opened.window.slices[2].hovered.emit(2, 3.0, 7.0)
        assert "voxel 3 7 4" in opened.window.read_out.text()

    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (NoderError("The file is damaged."), "The file is damaged."),
            (ValueError("no reader\nfound"), "lesions.csv cannot be shown as a layer: no reader"),
        ],
    )
    def test_a_layer_that_cannot_be_read_is_a_sentence(self, opened, monkeypatch, error, sentence):
        def fail(_):
            raise error

        monkeypatch.setattr(opened.window.volume, "add_paths", fail)
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (["lesions.csv"], ""))
        opened.commands.add_layers()
        assert opened.window.banner.text == sentence

    def test_arrows_on_a_slice_step_time(self, opened, qtbot):
        view = opened.window.slices[2]
        opened.presenter.refresh()
        qtbot.keyClick(view, Qt.Key.Key_Right)
        later = opened.session.time
        assert later > 0
        qtbot.keyClick(view, Qt.Key.Key_Left)
        assert opened.session.time < later

    def test_the_dialog_for_a_fit_starts_beside_the_scans(self, opened, monkeypatch, tmp_path):
        asked = []
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *words: asked.append(words[2]) or ("", ""))
        assert not opened.commands.save_fit()
        (tmp_path / "fit").mkdir()
        opened.commands.save_fit()
        assert asked == [str(tmp_path / "fit"), str(tmp_path / "fit-2")]

    def test_every_action_does_something(self, controller):
        assert set(controller.commands.handlers()) == set(controller.window.actions_by_name)

    def test_actions_change_the_session(self, opened):
        actions = opened.window.actions_by_name
        actions["toggle_radiological"].trigger()
        assert opened.session.radiological
        actions["next_scan"].trigger()
        assert opened.session.time == 1.0
        opened.session.cursor_mm = (1.0, 1.0, 1.0)
        actions["reset_views"].trigger()
        assert opened.session.cursor_mm == (11.0, 12.0, 13.5)
        actions["toggle_playing"].trigger()
        assert opened.window.timeline.is_playing
        actions["toggle_playing"].trigger()
        assert not opened.window.timeline.is_playing

    def test_an_unexpected_error_is_shown(self, controller):
        controller.problem.emit("Something unexpected went wrong.")
        assert controller.window.banner.text == "Something unexpected went wrong."

    def test_a_change_is_shown_once(self, opened, monkeypatch):
        opened.presenter.refresh()
        shown = []
        monkeypatch.setattr(opened.window.timeline, "set_time", shown.append)
        for t in (0.5, 1.0, 1.5):
            opened.session.time = t
        opened.presenter.refresh()
        assert shown == [1.5]

    def test_thumbnails_come_by_themselves(self, opened, qtbot, monkeypatch):
        strips = []
        monkeypatch.setattr(opened.window.timeline, "set_thumbnails", lambda frames: strips.append(len(frames)))
        opened.presenter.mark("thumbnails")
        qtbot.waitUntil(lambda: bool(strips) and strips[-1] == 14, timeout=TIMEOUT_MS)


OLDER_STATE = (
    "eNpjYGD4zwAEf4GYiQEMGGsYGJib/4B4TL+BBA9DMEMqQxFDJpAsZgQKCAPVdAPpTQz///8HqeBjcAHKFjMUMOQwJDJUAtUwLgHiT0CpDpAa"
    "kKFA5AU3lxGki43BDairBGoiczNCNTMXlM8CxRwg/AfkOADu3R57"
)
"""What the version with three docks saved: packed by zlib, in base64."""


def test_a_layout_of_before_the_register_tab_does_not_tear_the_tabs_apart(qtbot, tmp_path):
    state = QByteArray(zlib.decompress(base64.b64decode(OLDER_STATE)))
    Settings(tmp_path / "window.ini").set_layout(MainWindow().saveGeometry(), state)
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    controller.window.show()
    docks = {dock.windowTitle(): dock for dock in controller.window.docks}
    beside = [docks[name] for name in ("Register", "Regions", "Paths")]
    assert controller.window.tabifiedDockWidgets(docks["Fit"]) == beside
    controller.shut_down()


def test_the_layout_comes_back_as_it_was_left(qtbot, tmp_path):
    first = make_controller(tmp_path)
    qtbot.addWidget(first.window)
    first.window.docks[1].hide()
    first.window.show()
    first.shut_down()
    second = make_controller(tmp_path)
    qtbot.addWidget(second.window)
    second.window.show()
    assert [dock.windowTitle() for dock in second.window.docks if dock.isHidden()] == ["Display"]
    second.shut_down()
