"""Opening reads headers and the first scan; the others follow, and what all of them tell comes without disturbing."""

import threading

import numpy as np
import pytest
from PySide6.QtCore import Qt
from window_kit import TIMEOUT_MS, ball, make_controller, write_scan

from noder import align
from noder.image import Image
from noder.series import OFFER_TO_ALIGN
from noder_viewer.frames import default_window
from noder_viewer.jobs import N_THUMBNAILS

N = 4


class Gate:
    """Holds back every reading of voxels but that of the first scan until it is opened; knows who read what."""

    def __init__(self):
        self.open, self.read = threading.Event(), []

    def around(self, finite):
        def held(image, values):
            if "scan_0" not in image.name:
                assert self.open.wait(TIMEOUT_MS / 1000)
            self.read.append((image.name, threading.current_thread() is threading.main_thread()))
            return finite(image, values)

        return held


@pytest.fixture
def gate(monkeypatch):
    gate = Gate()
    monkeypatch.setattr(Image, "_finite", gate.around(Image._finite))
    yield gate
    gate.open.set()


@pytest.fixture
def controller(qtbot, tmp_path, gate):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    yield controller
    gate.open.set()
    controller.shut_down()


@pytest.fixture
def paths(tmp_path):
    """Each scan is brighter than the one before, so that the first one's grey levels are not those of all."""
    return [write_scan(tmp_path / f"scan_{k}.nii.gz", ball(5.0 + 0.6 * k) * (1 + k)) for k in range(N)]


def open_first(qtbot, controller, paths):
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        controller.open(paths)


def read_all(qtbot, controller, gate):
    gate.open.set()
    qtbot.waitUntil(lambda: not controller.opening.rest.busy, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    qtbot.waitUntil(lambda: not controller.presenter.busy, timeout=TIMEOUT_MS)


def volumes(controller):
    return [scan.image.numpy() for scan in controller.session.series.scans]


def test_the_first_scan_is_on_screen_before_any_other_is_read(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    assert {name for name, _ in gate.read} == {"scan_0.nii.gz"}
    assert len(controller.session.times) == N
    assert all(len(controller.presenter.scenes[axis].images) == 1 for axis in (0, 1, 2))
    assert controller.session.window == default_window(controller.session.series.reference.image.numpy())


def test_then_the_range_is_that_of_all_and_no_step_to_undo(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    first = controller.session.window
    read_all(qtbot, controller, gate)
    session = controller.session
    assert session.window == default_window(*volumes(controller)) != first
    assert session.value_range[1] == pytest.approx(max(v.max() for v in volumes(controller)))
    controller.undoing.look()
    assert session.undoable == ""


def test_grey_levels_that_were_chosen_meanwhile_stay(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    controller.set_window(10.0, 90.0)
    read_all(qtbot, controller, gate)
    assert controller.session.window == (10.0, 90.0)
    assert controller.session.value_range[1] > 1000
    controller.undoing.look()
    assert controller.session.undoable  # the user's own step is still there


def test_auto_asked_for_too_early_comes_with_the_last_scan(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    controller.set_window(10.0, 90.0)
    controller.window.actions_by_name["window_auto"].trigger()
    assert all(not in_gui for name, in_gui in gate.read if "scan_0" not in name)
    read_all(qtbot, controller, gate)
    assert controller.session.window == default_window(*volumes(controller))


def test_going_to_a_scan_that_is_not_read_yet_does_not_wait_for_it(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    controller.set_time(2.0)
    controller.presenter.refresh()  # would wait for the gate if it read here
    assert "scan_0" in controller.presenter.scenes[2].images[0].title
    controller.window.slices[2].hovered.emit(2, 3.0, 7.0)
    read_all(qtbot, controller, gate)
    assert "scan_2" in controller.presenter.scenes[2].images[0].title
    assert not any(in_gui for _, in_gui in gate.read)


def test_methods_side_by_side_wait_for_their_scans_in_the_background(qtbot, controller, gate, paths):
    open_first(qtbot, controller, paths)
    controller.comparing.toggle()
    controller.comparing.refresh()
    read_all(qtbot, controller, gate)
    qtbot.waitUntil(lambda: bool(controller.window.methods.views), timeout=TIMEOUT_MS)
    assert not any(in_gui for _, in_gui in gate.read)


def test_a_file_that_breaks_off_is_named_and_left_out_and_the_rest_goes_on(qtbot, controller, gate, paths):
    data = paths[2].read_bytes()
    paths[2].write_bytes(data[: len(data) // 2])
    open_first(qtbot, controller, paths)
    controller.session.hold_out = frozenset({1})
    read_all(qtbot, controller, gate)
    session, banner = controller.session, controller.window.banner
    assert "scan_2.nii.gz" in banner.text
    assert "left out" in banner.text
    assert (session.exclude, session.hold_out) == ({2}, {1})
    good = [session.series.scans[k].image.numpy() for k in (0, 1, 3)]
    assert session.window == default_window(*good)
    controller.set_time(3.0)
    controller.presenter.refresh()
    assert "scan_3" in controller.presenter.scenes[2].images[0].title


def test_the_strip_of_frames_is_made_without_it_and_the_button_stays(qtbot, controller, gate, paths):
    """Every frame is looked for in the background too, and meets the same error."""
    data = ball(5.0)
    data[3, 4, 5] = np.nan
    write_scan(paths[2], data)
    strips = []
    controller.presenter._thumbnails.reported.connect(strips.append)
    open_first(qtbot, controller, paths)
    read_all(qtbot, controller, gate)
    qtbot.waitUntil(lambda: bool(strips) and len(strips[-1]) == N_THUMBNAILS, timeout=TIMEOUT_MS)
    assert strips[-1][-1].data.max() > 3 * strips[-1][0].data.max()
    problem = str(controller.opening.rest._unreadable[0].error)
    controller.window.banner.set_message(problem, remedy=("nan_to_zero", "Replace by 0"))
    controller.presenter.failed.emit(problem)
    assert controller.window.banner.button.text() == "Replace by 0"


def test_what_is_not_finite_is_mended_in_place_and_edits_stay(qtbot, controller, gate, paths):
    data = ball(5.0)
    data[3, 4, 5] = np.nan
    write_scan(paths[1], data)
    open_first(qtbot, controller, paths)
    controller.opening.set_times(["0", "10", "20", "30"], "days")
    read_all(qtbot, controller, gate)
    assert controller.session.exclude == {1}
    assert "scan_1" in controller.window.banner.text
    qtbot.mouseClick(controller.window.banner.button, Qt.MouseButton.LeftButton)
    read_all(qtbot, controller, gate)
    session = controller.session
    assert session.times == (0.0, 10.0, 20.0, 30.0)
    assert session.exclude == frozenset()
    assert session.series.scans[1].image.numpy()[3, 4, 5] == 0
    assert "scan_1: 1 voxel" in controller.window.banner.text
    assert session.window == default_window(*volumes(controller))


def test_another_series_opened_meanwhile_is_not_given_the_levels_of_the_first(qtbot, controller, gate, paths, tmp_path):
    (tmp_path / "b").mkdir()
    others = [write_scan(tmp_path / "b" / f"scan_{k}.nii.gz", ball(5.0) * 0.01 * (1 + k)) for k in range(2)]
    open_first(qtbot, controller, paths)
    gate.open.set()
    open_first(qtbot, controller, others)
    read_all(qtbot, controller, gate)
    assert controller.session.window == default_window(*volumes(controller))
    assert controller.session.value_range[1] < 10


def test_an_alignment_is_offered_once_all_has_been_looked_at(qtbot, controller, gate, paths, monkeypatch):
    note = f"lying apart from scan_0: scan_1 by 9.0 mm; {OFFER_TO_ALIGN}"
    monkeypatch.setattr(align, "offer", lambda series, between: note)
    open_first(qtbot, controller, paths)
    series = controller.session.series
    read_all(qtbot, controller, gate)
    assert "lying apart from scan_0" in controller.window.banner.text.replace("Lying", "lying")
    assert "(Align scans: Rigidly, in the Fit tab)" in controller.window.banner.text
    assert "--" not in controller.window.banner.text  # that is the command line's
    assert controller.session.series is series  # what was set on it stays
    from noder_viewer.rest_jobs import with_known_offer

    assert note in with_known_offer(series).notes
