"""Projects in the real window: saved and opened again, files that moved, what has changed, autosave and crashes."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from pair_kit import choice_of, wait_for_end, write_pair
from project_kit import autosaved, opened, saved, windows
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QMessageBox
from window_kit import TIMEOUT_MS, choose_iterations, open_and_wait, write_scans

from noder_viewer.autosave import FILE, Autosave

LEFT = Qt.MouseButton.LeftButton


make = pytest.fixture(windows)


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "data").mkdir()
    return write_scans(tmp_path / "data")


def fitted(qtbot, controller):
    choose_iterations(controller, coarse=4)
    with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
        controller.window.fit_panel.request_start()
    return controller.session.result


def looked_at(session):
    """Change everything that a view is made of."""
    session.time = 1.25
    session.cursor_mm = (3.0, -2.0, 4.5)
    session.show, session.carry, session.radiological = "difference", "first", True
    session.window = (12.0, 250.0)
    session.overlays = dataclasses.replace(
        session.overlays, jacobian=True, jacobian_opacity=0.35, jacobian_limit=0.2, quiver_spacing_mm=5.0
    )
    names = ("time", "cursor_mm", "show", "carry", "radiological", "window", "overlays")
    return {name: getattr(session, name) for name in names}


def test_the_whole_session_comes_back(qtbot, make, scans, tmp_path):
    one = make("one")
    open_and_wait(qtbot, one, scans)
    one.opening.set_times(["0", "1", "2.5", "4"], "days")
    one.session.hold_out, one.session.exclude = frozenset({1}), frozenset({3})
    result = fitted(qtbot, one)
    one.session.exclude = frozenset()  # ticked since, for the next fit
    one.window.fit_panel.seed.setValue(7)
    one.window.docks[0].hide()
    view = looked_at(one.session)
    path = saved(qtbot, one, tmp_path / "work" / "heart.noderproj")
    assert one.window.windowTitle().startswith("heart — scan_0")
    assert not one.session.is_unsaved
    assert one.session.saved_in == tmp_path / "work" / "heart-results" / "NODER fast"
    assert one.settings.recent()[0] == [path]

    other = opened(qtbot, make("other"), path)
    session = other.session
    assert session.times == (0.0, 1.0, 2.5, 4.0)
    assert session.series.unit == "days"
    assert {name: getattr(session, name) for name in view} == view
    assert (session.hold_out, session.exclude) == (frozenset({1}), frozenset())
    assert session.result.config.exclude == (3,)
    one_field, other_field = (each.trajectory.field(each.series.grid, 1.7).u for each in (result, session.result))
    assert np.array_equal(one_field, other_field)
    choice = other.projects.fit_choice()
    assert choice == one.projects.fit_choice()
    assert (choice.seed, choice.settings.coarse_iterations) == (7, 4)
    assert other.window.docks[0].isHidden()
    assert other.window.windowTitle().startswith("heart — scan_0")
    assert not session.is_unsaved
    assert not other.projects.changed
    assert other.settings.recent()[0] == [path]


def test_a_slice_that_was_zoomed_comes_back_so(qtbot, make, scans, tmp_path):
    one = make("one")
    open_and_wait(qtbot, one, scans)
    qtbot.waitUntil(lambda: not one.presenter.busy, timeout=TIMEOUT_MS)
    view = one.window.slices[2]
    view.set_camera(dataclasses.replace(view.camera, x=3.0, y=-2.5, px_per_mm=17.0, fitted=False))
    path = saved(qtbot, one, tmp_path / "zoomed.noderproj")
    other = opened(qtbot, make("other"), path)
    qtbot.waitUntil(lambda: not other.presenter.busy, timeout=TIMEOUT_MS)
    camera = other.window.slices[2].camera
    assert (camera.x, camera.y, camera.px_per_mm, camera.fitted) == (3.0, -2.5, 17.0, False)
    assert [each.camera.fitted for each in other.window.slices[:2]] == [True, True]


def test_series_and_pair_come_back_each_as_it_was_looked_at(qtbot, make, scans, tmp_path):
    files = write_pair(tmp_path / "data")
    one = make("one")
    open_and_wait(qtbot, one, scans)
    one.session.time, one.session.window = 2.0, (5.0, 300.0)
    one.window.timeline.set_speed(7.5)
    choice = choice_of(files, masks=files.masks)
    one.registering.start(choice)
    wait_for_end(qtbot, one)
    one.session.time, one.session.show = 0.5, "checkerboard"
    path = saved(qtbot, one, tmp_path / "both.noderproj")
    assert not one.session.is_unsaved

    other = opened(qtbot, make("other"), path)
    session = other.session
    assert session.pair is not None
    assert (session.time, session.show) == (0.5, "checkerboard")
    assert session.pair.scores == one.session.pair.scores
    assert other.window.timeline.speed == 7.5
    again = other.window.register_panel.choice()
    assert (again.fixed.path, again.masks, again.labels) == (files.fixed, files.masks, files.labels)
    assert (again.landmarks, again.initial, again.settings) == (files.landmarks, files.initial, choice.settings)
    qtbot.mouseClick(other.window.register_panel.back, LEFT)
    assert session.pair is None
    assert session.times == (0.0, 1.0, 2.0, 3.0)
    assert (session.time, session.window) == (2.0, (5.0, 300.0))
    # saved with the series in front it opens with the series in front
    saved(qtbot, other, path)
    third = opened(qtbot, make("third"), path)
    assert third.session.pair is None
    assert third.session.kept["pair"].scores == one.session.pair.scores
    assert third.session.kept["show"] == "checkerboard"


class TestMoved:
    @pytest.fixture
    def project(self, qtbot, make, scans, tmp_path):
        one = make("one")
        open_and_wait(qtbot, one, scans)
        fitted(qtbot, one)
        return saved(qtbot, one, tmp_path / "heart.noderproj")

    def test_one_folder_answers_for_all(self, qtbot, make, project, tmp_path, monkeypatch):
        shutil.move(tmp_path / "data", tmp_path / "archive")
        other = opened(qtbot, make("other"), project)
        assert other.session.series is None
        banner = other.window.banner
        assert "4 files of heart.noderproj could not be used: scan_0.nii.gz (scan) is not there" in banner.text
        qtbot.mouseClick(banner.button, LEFT)
        dialog = other.projects.dialog
        assert dialog.list.topLevelItemCount() == 4
        places = [dialog.list.topLevelItem(0).child(k).text(0) for k in range(2)]
        assert f"looked in: {tmp_path / 'data'}" in places
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "archive"))
        with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
            qtbot.mouseClick(dialog.look, LEFT)
        assert len(other.session.times) == 4
        assert other.session.result is not None
        assert other.session.series.reference.image.path == tmp_path / "archive" / "scan_0.nii.gz"
        assert other.window.banner.text == ""

    def test_a_folder_far_above_them_does_and_one_without_them_says_so(
        self, qtbot, make, project, tmp_path, monkeypatch
    ):
        (tmp_path / "moved" / "deep").mkdir(parents=True)
        (tmp_path / "empty").mkdir()
        for file in (tmp_path / "data").iterdir():  # the folder itself, which tails of the old paths name, is gone
            shutil.move(file, tmp_path / "moved" / "deep" / file.name)
        other = opened(qtbot, make("other"), project)
        assert other.window.banner.text.endswith("Without them the series and the fit of this project cannot be shown.")
        chosen = iter(["empty", "moved"])
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / next(chosen)))

        def look():
            qtbot.mouseClick(other.window.banner.button, LEFT)
            with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
                qtbot.mouseClick(other.projects.dialog.look, LEFT)

        look()
        assert "Not found in empty either, nor in the folders below it." in other.window.banner.text
        look()
        assert other.window.banner.text == ""
        assert other.session.result is not None
        assert other.session.series.reference.image.path == tmp_path / "moved" / "deep" / "scan_0.nii.gz"

    def test_the_rest_opens_and_is_not_saved_over_the_whole(self, qtbot, make, project, tmp_path, monkeypatch):
        (tmp_path / "data" / "scan_3.nii.gz").write_bytes(b"other")
        other = opened(qtbot, make("other"), project)
        assert other.session.times == (0.0, 1.0, 2.0)
        assert other.session.result is None
        assert "scan_3.nii.gz (scan) has changed" in other.window.banner.text
        assert other.window.banner.text.endswith("What needs it is not open either.")  # as the fit does
        assert not other.session.changed
        asked = []
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: asked.append(1) or ("", ""))
        before = project.read_bytes()
        other.window.actions_by_name["save_project"].trigger()
        assert asked
        assert project.read_bytes() == before

    def test_damage_is_a_sentence_and_loses_nothing(self, qtbot, make, project, scans):
        other = make("other")
        open_and_wait(qtbot, other, scans)
        series = other.session.series
        project.write_text("{")
        with qtbot.waitSignal(other.opening.failed, timeout=TIMEOUT_MS) as failed:
            other.open([project])
        assert "heart.noderproj is damaged" in failed.args[0]
        project.write_text(json.dumps({"kind": "noder project", "format": 99}))
        with qtbot.waitSignal(other.opening.failed, timeout=TIMEOUT_MS) as failed:
            other.open([project])
        assert "newer noder-viewer" in failed.args[0]
        assert other.session.series is series
        assert other.session.activity == ""


class TestChanged:
    @pytest.fixture
    def project(self, qtbot, make, scans, tmp_path):
        one = make()
        open_and_wait(qtbot, one, scans)
        saved(qtbot, one, tmp_path / "heart.noderproj")
        return one

    def test_a_star_for_a_change_and_none_once_it_is_undone(self, qtbot, project):
        window = project.window
        project.session.time = 2.0
        project.session.cursor_mm = (1.0, 2.0, 3.0)
        qtbot.wait(20)
        assert window.windowTitle().startswith("heart — ")
        qtbot.keyClick(window, Qt.Key.Key_R)
        qtbot.waitUntil(lambda: window.windowTitle().startswith("heart* — "))
        qtbot.keyClick(window, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: window.windowTitle().startswith("heart — "))

    def test_ctrl_s_saves_and_closing_asks(self, qtbot, project, tmp_path):
        window, path = project.window, tmp_path / "heart.noderproj"
        qtbot.keyClick(window, Qt.Key.Key_R)
        window.close()
        assert window.isVisible()
        assert "heart.noderproj has changed" in project.closing.box.text()
        project.closing.box.button(QMessageBox.StandardButton.Cancel).click()
        with qtbot.waitSignal(project.projects.saved, timeout=TIMEOUT_MS):
            qtbot.keyClick(window, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
        assert json.loads(path.read_text())["view"]["radiological"] is True
        window.close()
        assert not window.isVisible()

    def test_closing_saves_first(self, qtbot, project, tmp_path):
        qtbot.keyClick(project.window, Qt.Key.Key_R)
        project.window.close()
        project.closing.box.button(QMessageBox.StandardButton.Save).click()
        qtbot.waitUntil(lambda: not project.window.isVisible(), timeout=TIMEOUT_MS)
        assert json.loads((tmp_path / "heart.noderproj").read_text())["view"]["radiological"] is True

    def test_save_as_asks_and_gives_the_ending(self, qtbot, project, tmp_path, monkeypatch):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "other"), ""))
        with qtbot.waitSignal(project.projects.saved, timeout=TIMEOUT_MS):
            project.window.actions_by_name["save_project_as"].trigger()
        assert project.session.project == tmp_path / "other.noderproj"

    def test_other_scans_are_another_project(self, qtbot, project, scans):
        open_and_wait(qtbot, project, scans[:2])
        assert project.session.project is None
        qtbot.waitUntil(lambda: project.window.windowTitle().startswith("scan_0"), timeout=TIMEOUT_MS)


class TestAutosave:
    def test_a_clean_exit_leaves_nothing(self, qtbot, make, scans, tmp_path):
        one = make()
        open_and_wait(qtbot, one, scans)
        folder = autosaved(qtbot, one)
        one.shut_down()
        assert not folder.exists()

    def test_after_a_fit_at_once_and_what_is_left_is_offered_again(self, qtbot, make, scans, tmp_path):
        """The folder of a killed program, as a copy whose lock nobody holds."""
        one = make("one")
        open_and_wait(qtbot, one, scans)
        result = fitted(qtbot, one)
        one.session.hold_out = frozenset({2})
        qtbot.waitUntil(lambda: not one.autosave.busy and (one.autosave.folder / FILE).is_file(), timeout=TIMEOUT_MS)
        autosaved(qtbot, one)
        left = one.autosave.folder.with_name("1-crashed")
        shutil.copytree(one.autosave.folder, left, ignore=shutil.ignore_patterns("lock"))

        other = make("other")
        other.autosave.offer()
        banner = other.window.banner
        assert "scan_0.nii.gz and 3 more with its result was kept" in banner.text
        assert banner.button.text() == "Open it again"
        with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
            qtbot.mouseClick(banner.button, LEFT)
        session = other.session
        assert session.hold_out == {2}
        a, b = (each.trajectory.field(each.series.grid, 1.5).u for each in (result, session.result))
        assert np.array_equal(a, b)
        assert session.is_unsaved  # nobody has saved it yet
        assert session.project is None
        assert other.settings.recent() == []
        qtbot.waitUntil(lambda: not left.exists(), timeout=TIMEOUT_MS)  # once it is kept anew
        again = json.loads((other.autosave.folder / FILE).read_text())
        assert again["results"][0]["relative_path"] == "NODER fast"

    def test_a_running_program_is_no_crash(self, qtbot, make, scans):
        one = make("one")
        open_and_wait(qtbot, one, scans)
        folder = autosaved(qtbot, one)
        other = make("other")
        other.autosave.offer()
        assert other.window.banner.text == ""
        assert folder.exists()

    def test_two_starts_do_not_offer_the_same(self, qtbot, make, scans):
        one = make("one")
        open_and_wait(qtbot, one, scans)
        folder = autosaved(qtbot, one)
        shutil.copytree(folder, folder.with_name("1-crashed"), ignore=shutil.ignore_patterns("lock"))
        other, third = make("other"), make("third")
        other.autosave.offer()
        third.autosave.offer()
        assert "ended unexpectedly" in other.window.banner.text
        assert third.window.banner.text == ""
        other.shut_down()  # not taken: it stays for the next start
        third.autosave.offer()
        assert "ended unexpectedly" in third.window.banner.text

    def test_switched_off_it_keeps_nothing(self, qtbot, make, scans):
        one = make()
        one.autosave.set_interval(0)
        open_and_wait(qtbot, one, scans)
        one.autosave.save()
        assert not one.autosave.folder.exists()

    def test_a_project_goes_on_under_its_name(self, qtbot, make, scans, tmp_path):
        one = make("one")
        open_and_wait(qtbot, one, scans)
        path = saved(qtbot, one, tmp_path / "heart.noderproj")
        one.session.radiological = True
        folder = autosaved(qtbot, one)
        shutil.copytree(folder, folder.with_name("1-crashed"), ignore=shutil.ignore_patterns("lock"))
        other = make("other")
        other.autosave.offer()
        assert "heart.noderproj was kept" in other.window.banner.text
        with qtbot.waitSignal(other.projects.taken, timeout=TIMEOUT_MS):
            qtbot.mouseClick(other.window.banner.button, LEFT)
        assert other.session.project == path
        assert other.session.changed
        assert other.session.radiological
        with qtbot.waitSignal(other.projects.saved, timeout=TIMEOUT_MS):
            other.projects.save()
        assert "autosave" not in json.loads(path.read_text())

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
    def test_a_killed_program_is_a_crash(self, qtbot, make, scans, tmp_path):
        script = (
            "import sys, time; from pathlib import Path\n"
            "from PySide6.QtWidgets import QApplication\n"
            "app = QApplication([])\n"
            "from noder_viewer.controller import Controller; from noder_viewer.main_window import MainWindow\n"
            "from noder_viewer.session import Session; from noder_viewer.settings import Settings\n"
            "one = Controller(MainWindow(), Session(), Settings(Path(sys.argv[1])))\n"
            "one.opening.opened.connect(one.autosave.save)\n"
            "one.autosave._writer.done.connect(lambda _: print('kept', flush=True))\n"
            "one.open([Path(name) for name in sys.argv[2:]])\n"
            "app.exec()\n"
        )
        run = subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "killed.ini"), *map(str, scans)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert run.stdout.readline() == "kept\n"
            other = make("other")
            other.autosave.offer()
            assert other.window.banner.text == ""  # it is alive
        finally:
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
            run.stdout.close()
        other.autosave.offer()
        assert "scan_0.nii.gz and 3 more was kept" in other.window.banner.text


def test_autosaves_have_a_folder_of_their_own(make):
    one = make("one")
    assert one.autosave.folder != Autosave(one).folder
