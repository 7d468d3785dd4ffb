"""Two images registered in the real window: from the drop to the files, and what must not be lost on the way."""

import dataclasses
import json
import threading

import nibabel
import numpy as np
import pytest
from pair_kit import PUSH_MM, QUICK, choice_of, save, wait_for_end, write_pair
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QMessageBox
from test_register_panel import drop_on
from window_kit import TIMEOUT_MS, choose_iterations, drop, engine, make_controller, open_and_wait, write_scans

from noder.alignment import read_itk_transform
from noder_viewer.landmark_table import AFTER, BEFORE, NUMBER
from noder_viewer.pair_jobs import RegisterChoice, Source

LEFT = Qt.MouseButton.LeftButton
Button = QMessageBox.StandardButton
LONG = dataclasses.replace(QUICK, coarse_iterations=5000)
BRIEF = dataclasses.replace(QUICK, coarse_iterations=6, middle_iterations=6, fine_iterations=4)
"""Where it does not matter how good the map is."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    controller.window.show_panel(controller.window.register_panel)
    yield controller
    controller.shut_down()


@pytest.fixture
def registered(qtbot, controller, files):
    return run(qtbot, controller, choice_of(files, settings=BRIEF))


@pytest.fixture
def registered_well(qtbot, controller, files):
    return run(qtbot, controller, choice_of(files))


def run(qtbot, controller, choice):
    """Register, and say what went wrong where it did."""
    controller.registering.start(choice)
    wait_for_end(qtbot, controller)
    assert controller.session.pair is not None, controller.window.banner.text
    assert controller.session.result is not None, controller.window.banner.text
    return controller


def wait_for_preview(qtbot, controller):
    qtbot.waitUntil(lambda: controller.session.preview is not None, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    controller.register_view.refresh()


def refused(qtbot, controller, choice) -> str:
    """The sentence of a pair that cannot be opened; it stands in the banner, and the window goes on."""
    with qtbot.waitSignal(controller.registering.failed, timeout=TIMEOUT_MS) as failed:
        controller.registering.start(choice)
    wait_for_end(qtbot, controller)
    assert controller.window.banner.text == failed.args[0]
    assert controller.window.isVisible()
    assert controller.session.activity == ""
    assert "--" not in failed.args[0], "the window has rows, no options"
    return failed.args[0]


def shown_title(controller, axis=2):
    controller.presenter.refresh()
    return controller.presenter.scenes[axis].images[0].title


def picture(controller, axis=2):
    controller.presenter.refresh()
    return controller.presenter.scenes[axis].images[0].data.copy()


def cell(table, row, column):
    return table.item(row, column).value


def test_drop_register_look(qtbot, controller, files):
    """As a user does it, with the mouse: two drops, a transform, landmarks, Start, and what then is seen."""
    window, session, panel = controller.window, controller.session, controller.window.register_panel
    inputs = panel.inputs
    assert drop_on(inputs.fixed, [files.fixed])
    assert drop_on(inputs.moving, [files.moving])
    qtbot.mouseClick(inputs.more, LEFT)
    for row, path in ((inputs.landmarks, files.landmarks), *zip(inputs.labels, files.labels, strict=True)):
        assert drop_on(row, [path])
    inputs.set_initial("file")
    assert drop_on(inputs.transform, [files.initial])
    panel.form.set_settings(QUICK)
    ticks, previews, errors = [], [], []
    session.events.preview.connect(lambda t: previews.append(t) if t is not None else None)
    timer = QTimer(controller)
    timer.timeout.connect(lambda: ticks.append(threading.current_thread()))
    timer.start(10)
    qtbot.mouseClick(panel.start, LEFT)
    assert session.activity == "pairing"
    qtbot.waitUntil(lambda: session.preview is not None, timeout=TIMEOUT_MS)
    controller.register_view.refresh()
    errors.append(cell(panel.landmarks.table, 0, AFTER))
    assert session.times == (0.0, 1.0)
    assert [scan.image.name for scan in session.series.scans] == ["moving.nii.gz", "fixed.nii.gz"]
    assert "step" in panel.message.text() or "Scoring" in panel.message.text()
    assert shown_title(controller).startswith("after: moving (moving.nii.gz) pulled onto fixed")
    wait_for_end(qtbot, controller)
    assert previews
    assert len(ticks) > 5  # the window lived meanwhile
    assert np.isfinite(errors[0])

    scores = session.pair.scores
    rows = {panel.scores.item(k, 0).text(): k for k in range(panel.scores.rowCount())}
    for words, better in (("Correlation (NCC)", 1), ("Dice, mean", 1), ("TRE, mean (mm)", -1)):
        before, after = cell(panel.scores, rows[words], 1), cell(panel.scores, rows[words], 2)
        assert better * (after - before) > 0, words
    assert cell(panel.scores, rows["TRE, mean (mm)"], 2) == scores["tre_mean_mm"]
    assert scores["initial"]["tre_max_mm"] < PUSH_MM * np.hypot(1, 0.4) + 0.01  # the shift is the transform's
    table = panel.landmarks.table
    for column, key in ((BEFORE, scores["initial"]), (AFTER, scores)):
        mean = np.mean([cell(table, k, column) for k in range(table.rowCount())])
        assert mean == pytest.approx(key["tre_mean_mm"], abs=1e-3)
    assert panel.tabs.tabText(panel.tabs.currentIndex()) == "Scores"
    assert "moving.nii.gz onto fixed.nii.gz (registration not exported)" in window.windowTitle()
    assert "seed 0" in panel.message.text()
    assert session.preview is None


def test_curves_are_of_the_registration(registered):
    steps, values = registered.window.register_panel.curves._history
    assert len(steps) == len(registered.session.result.history) > 0
    assert values
    assert registered.window.fit_panel.curves._history[0] == ()


def test_stop_keeps_what_there_is(qtbot, controller, files):
    controller.registering.start(choice_of(files, settings=LONG))
    wait_for_preview(qtbot, controller)
    qtbot.mouseClick(controller.window.register_panel.stop, LEFT)
    assert controller.session.activity == "stopping registration"
    wait_for_end(qtbot, controller)
    session = controller.session
    assert session.result.stopped
    assert 0 < len(session.result.history) < 5000
    assert session.pair.scores["ncc"] >= session.pair.scores["initial"]["ncc"]
    assert controller.window.register_panel.message.text().startswith("Stopped after")
    assert controller.window.register_panel.export.isEnabled()


def test_a_time_limit_stops_it_too(qtbot, controller, files):
    run(qtbot, controller, choice_of(files, settings=LONG, max_seconds=0.3))
    assert controller.session.result.stopped


def test_a_pair_that_is_still_being_read_is_let_go(qtbot, controller, files, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    series = controller.session.series
    controller.registering.start(choice_of(files))
    controller.register_view.refresh()
    with qtbot.waitSignal(controller.registering.ended, timeout=TIMEOUT_MS):
        qtbot.mouseClick(controller.window.register_panel.stop, LEFT)
    qtbot.waitUntil(lambda: not controller.registering._opener.busy, timeout=TIMEOUT_MS)
    assert controller.session.series is series
    assert controller.session.pair is None
    assert controller.session.activity == ""


class TestBackToTheSeries:
    @pytest.fixture
    def fitted(self, qtbot, controller, tmp_path):
        """Four scans with a fit that is not saved."""
        open_and_wait(qtbot, controller, write_scans(tmp_path))
        controller.session.hold_out = frozenset({2})
        choose_iterations(controller, coarse=4)
        with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
            controller.window.fit_panel.request_start()
        controller.session.show, controller.session.time = "difference", 1.5
        controller.register_view.refresh()
        return controller

    def test_scans_and_fit_are_there_again(self, qtbot, fitted):
        session, panel = fitted.session, fitted.window.register_panel
        series, result = session.series, session.result
        inputs = panel.inputs
        assert [inputs.fixed.combo.itemText(k) for k in (1, 4)] == ["Scan 0: scan_0", "Scan 3: scan_3"]
        for row, item in ((inputs.fixed, 1), (inputs.moving, 4)):
            row.combo.setCurrentIndex(item)
            row.combo.activated.emit(item)
        panel.form.set_settings(QUICK)
        fitted.presenter.refresh()
        fitted.register_view.refresh()
        assert not panel.back.isVisible()
        qtbot.mouseClick(panel.start, LEFT)
        wait_for_end(qtbot, fitted)
        assert session.pair.pair.fixed is series.scans[0].image
        assert session.pair.pair.moving is series.scans[3].image
        assert panel.back.text() == "Back to the series"
        assert not fitted.window.fit_panel.start.isEnabled()  # the pair is no series of the fit panel
        assert "Register tab" in fitted.window.fit_panel.message.text()
        pair = session.pair

        qtbot.mouseClick(panel.back, LEFT)
        assert session.series is series
        assert session.result is result
        assert session.is_unsaved
        assert (session.show, session.time, session.carry, session.hold_out) == ("difference", 1.5, "neighbours", {2})
        assert session.pair is None
        fitted.presenter.refresh()
        fitted.register_view.refresh()
        assert fitted.window.fit_panel.start.isEnabled()
        assert fitted.window.series_panel.table.rowCount() == 4
        assert panel.inputs.moving.source.scan is series.scans[3].image

        assert panel.scores.rowCount() == len(panel.curves._history[0]) == 0  # they were the pair's

        assert panel.back.text() == "Back to the pair"
        qtbot.mouseClick(panel.back, LEFT)
        assert session.pair is pair
        assert session.result is pair.registration.fit
        fitted.presenter.refresh()
        fitted.register_view.refresh()
        assert shown_title(fitted).startswith("after: moving (scan_3.nii.gz)")
        assert panel.scores.rowCount() > 0
        assert len(panel.curves._history[0]) == len(session.result.history)

    def test_closing_asks_for_the_fit_that_is_not_in_sight(self, qtbot, fitted, files, tmp_path, monkeypatch):
        result = fitted.session.result
        run(qtbot, fitted, choice_of(files))
        with qtbot.waitSignal(fitted.registering.saved, timeout=TIMEOUT_MS):
            fitted.registering.write(tmp_path / "registration")
        assert not fitted.window.close()
        assert "of the series" in fitted.closing.box.text()
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "fit"), ""))
        with qtbot.waitSignal(fitted.window.closing, timeout=TIMEOUT_MS):
            fitted.closing.box.button(Button.Save).click()
        assert (tmp_path / "fit" / "model.safetensors").is_file()
        assert fitted.session.result is result

    def test_one_scan_registered_to_a_file(self, qtbot, fitted, tmp_path):
        scan, result = fitted.session.series.scans[1].image, fitted.session.result
        apart = write_scans(tmp_path / "", 1)[0]
        run(qtbot, fitted, RegisterChoice(Source(scan=scan, label="Scan 1"), Source(apart), settings=QUICK))
        assert fitted.session.pair.pair.fixed is scan
        assert fitted.session.kept["result"] is result


class TestRefused:
    """What cannot be registered is a sentence, and what was open stays."""

    @pytest.fixture
    def opened(self, qtbot, controller, tmp_path):
        open_and_wait(qtbot, controller, write_scans(tmp_path))
        return controller

    def test_no_overlap(self, qtbot, opened, files, tmp_path):
        series = opened.session.series
        image = nibabel.load(files.moving)
        affine = image.affine.copy()
        affine[:3, 3] += 500
        away = save(tmp_path / "away.nii.gz", np.asarray(image.dataobj), affine)
        choice = dataclasses.replace(choice_of(files, initial="none", landmarks=None), moving=Source(away))
        assert "nothing to compare. Choose under Begin with: centre" in refused(qtbot, opened, choice)
        assert opened.session.series is series
        assert opened.session.pair is None
        run(qtbot, opened, dataclasses.replace(choice, initial="centre"))  # as the sentence says

    def test_voxels_that_are_not_finite_can_be_replaced(self, qtbot, opened, files, tmp_path):
        image = nibabel.load(files.moving)
        values = np.asarray(image.dataobj).copy()
        values[3, 4, 5] = np.nan
        choice = dataclasses.replace(
            choice_of(files), moving=Source(save(tmp_path / "holes.nii.gz", values, image.affine))
        )
        assert "holes.nii.gz has 1 voxel" in refused(qtbot, opened, choice)
        assert opened.window.banner.button.text() == "Replace by 0"
        qtbot.mouseClick(opened.window.banner.button, LEFT)
        wait_for_end(qtbot, opened)
        assert opened.session.pair.pair.moving.numpy().min() == 0
        assert "0 was put there" in opened.window.register_panel.notes.text()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"masks": ("gone.nii.gz", None)}, "gone.nii.gz"),
            ({"labels": ("gone.nii.gz", "gone.nii.gz")}, "gone.nii.gz"),
            ({"labels": (None, "moving_labels.nii.gz")}, "of the fixed image too"),
            ({"space": "RAS"}, "the space of the landmarks"),
            ({"landmarks": "initial.tfm"}, "initial.tfm"),
            ({"initial": "landmarks.csv"}, "landmarks.csv"),
        ],
    )
    def test_files_that_do_not_fit(self, qtbot, opened, files, change, words):
        series, folder = opened.session.series, files.fixed.parent

        def path(value):
            if isinstance(value, tuple):
                return tuple(map(path, value))
            return folder / value if isinstance(value, str) and "." in value else value

        choice = choice_of(files, **{key: path(value) for key, value in change.items()})
        assert words in refused(qtbot, opened, choice)
        assert opened.session.series is series

    def test_a_file_of_several_volumes(self, qtbot, opened, files, tmp_path):
        many = save(tmp_path / "many.nii.gz", np.zeros((4, 4, 4, 3), np.float32), np.eye(4))
        choice = dataclasses.replace(choice_of(files), fixed=Source(many))
        assert "holds 3 volumes" in refused(qtbot, opened, choice)

    def test_what_fails_later_leaves_the_way_back(self, qtbot, opened, files, tmp_path):
        series = opened.session.series
        image = nibabel.load(files.moving)
        flat = save(tmp_path / "flat.nii.gz", np.full(image.shape, 7, np.float32), image.affine)
        refused(qtbot, opened, dataclasses.replace(choice_of(files), moving=Source(flat)))
        opened.register_view.refresh()
        if opened.session.pair is not None:
            qtbot.mouseClick(opened.window.register_panel.back, LEFT)
        assert opened.session.series is series


class TestComparing:
    def test_keys_and_buttons(self, qtbot, registered):
        window, session = registered.window, registered.session
        panel = window.register_panel
        titles = {"Before": "before:", "Checkerboard": "squares of", "After": "after:", "Flicker": "flicker:"}
        for button in panel.compare.buttons.values():
            qtbot.mouseClick(button, LEFT)
            registered.register_view.refresh()
            assert shown_title(registered).startswith(titles[button.text()])
            assert button.isChecked()
        for action, start in (("show_before", "before:"), ("show_checkerboard", "squares of")):
            window.actions_by_name[action].trigger()
            assert shown_title(registered).startswith(start)
            assert window.actions_by_name[action].isChecked()
        qtbot.mouseClick(window.overlay_panel.shows["observed"], LEFT)
        registered.register_view.refresh()
        assert not any(button.isChecked() for button in panel.compare.buttons.values())
        assert shown_title(registered) == "observed at t = 1: fixed, fixed.nii.gz"
        qtbot.mouseClick(window.overlay_panel.compare.buttons["after"], LEFT)
        assert session.show == "after"
        registered.presenter.refresh()
        assert not window.overlay_panel.shows["observed"].isChecked()

    def test_flicker_runs_only_while_it_is_seen(self, qtbot, registered):
        seen = []
        registered.set_show("flicker")
        assert registered.flicker.is_running
        registered.session.events.flicker.connect(lambda on: seen.append(on))
        fixed = registered.session.series.scans[1].image.numpy()
        index = registered.presenter.scenes[2].index
        qtbot.waitUntil(lambda: {True, False} <= set(seen), timeout=TIMEOUT_MS)
        registered.session.flicker = False
        one = picture(registered)
        registered.session.flicker = True
        other = picture(registered)
        assert np.array_equal(one, fixed[:, :, index])
        assert not np.array_equal(one, other)
        registered.set_show("after")
        assert not registered.flicker.is_running
        assert np.array_equal(other, picture(registered))

    def test_flicker_ends_with_the_pair(self, qtbot, registered, tmp_path):
        registered.set_show("flicker")
        open_and_wait(qtbot, registered, write_scans(tmp_path))
        assert not registered.flicker.is_running
        assert shown_title(registered).startswith("observed")

    def test_the_other_direction_is_seen_where_it_is_whole(self, qtbot, registered_well):
        assert registered_well.session.time == 1.0
        registered_well.window.actions_by_name["turn_direction"].trigger()
        registered_well.register_view.refresh()
        assert registered_well.session.time == 0.0
        assert shown_title(registered_well) == "after: fixed (fixed.nii.gz) pulled onto moving (moving.nii.gz)"
        assert registered_well.window.register_panel.compare.pulled.currentData() == "fixed"
        back = picture(registered_well)
        moving = registered_well.session.series.scans[0].image.numpy()[:, :, registered_well.presenter.scenes[2].index]
        inner = (slice(4, -4), slice(4, -4))
        assert np.corrcoef(back[inner].ravel(), moving[inner].ravel())[0, 1] > 0.95

    def test_the_other_direction_lives_too(self, qtbot, controller, files):
        controller.registering.start(choice_of(files, settings=LONG))
        wait_for_preview(qtbot, controller)
        controller.set_pulled("fixed")
        qtbot.waitUntil(
            lambda: shown_title(controller).startswith("after: fixed (fixed.nii.gz) pulled onto moving"),
            timeout=TIMEOUT_MS,
        )
        assert controller.session.preview.is_prepared
        controller.registering.stop()
        wait_for_end(qtbot, controller)

    def test_a_row_of_the_table_is_a_place(self, qtbot, registered, files):
        panel = registered.window.register_panel
        panel.show_tab(2)
        table = panel.landmarks.table
        table.sortByColumn(AFTER, Qt.SortOrder.DescendingOrder)
        number = round(cell(table, 0, NUMBER)) - 1
        assert cell(table, 0, AFTER) == max(cell(table, k, AFTER) for k in range(table.rowCount()))
        qtbot.mouseClick(table.viewport(), LEFT, pos=table.visualItemRect(table.item(0, AFTER)).center())
        assert registered.session.cursor_mm == pytest.approx(tuple(files.places[number]), abs=1e-4)
        registered.presenter.refresh()
        for scene in registered.presenter.scenes.values():
            assert number in scene.marks.rows

    def test_landmarks_can_be_hidden(self, qtbot, registered):
        box = registered.window.register_panel.landmarks.visible_box
        registered.window.register_panel.show_tab(2)
        assert box.isChecked()
        registered.window.actions_by_name["toggle_landmarks"].trigger()
        registered.presenter.refresh()
        registered.register_view.refresh()
        assert registered.presenter.scenes[0].marks is None
        assert not box.isChecked()


class TestFiles:
    def test_they_agree_with_the_scores(self, qtbot, registered_well, tmp_path, monkeypatch):
        out = tmp_path / "out"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
        with qtbot.waitSignal(registered_well.registering.saved, timeout=TIMEOUT_MS):
            qtbot.mouseClick(registered_well.window.register_panel.export, LEFT)
        written = json.loads((out / "result.json").read_text())
        scores = registered_well.session.pair.scores
        assert {key: written[key] for key in scores} == json.loads(json.dumps(scores))
        assert set(written["files"]) | {"result.json"} == {path.name for path in out.iterdir()}
        assert written["seed"] == 0
        assert np.allclose(read_itk_transform(out / "initial.tfm")[:3, 3], (6.0, -4.5, 3.0))
        warped, fixed = (
            nibabel.load(path) for path in (out / "warped.nii.gz", registered_well.session.pair.pair.fixed.path)
        )
        assert np.allclose(warped.affine, fixed.affine, atol=1e-4)
        inner = (slice(4, -4),) * 3
        pulled, onto = (np.asarray(image.dataobj)[inner].ravel() for image in (warped, fixed))
        assert np.corrcoef(pulled, onto)[0, 1] > 0.97
        registered_well.presenter.refresh()
        assert "not exported" not in registered_well.window.windowTitle()
        with qtbot.waitSignal(registered_well.opening.opened, timeout=TIMEOUT_MS):
            assert drop(registered_well.window, [out])
        assert registered_well.session.pair.scores == scores
        assert registered_well.window.close()

    def test_saving_is_exporting(self, qtbot, registered, tmp_path, monkeypatch):
        """Ctrl+S and closing write the registration, whose folder another program reads; not a fit of a series."""
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "kept"), ""))
        assert not registered.window.close()
        assert "registration" in registered.closing.box.text()
        with qtbot.waitSignal(registered.window.closing, timeout=TIMEOUT_MS):
            registered.closing.box.button(Button.Save).click()
        assert (tmp_path / "kept" / "field.nii.gz").is_file()

    def test_a_folder_that_cannot_be_written_is_said(self, qtbot, registered, tmp_path):
        (tmp_path / "file").write_text("in the way")
        with qtbot.waitSignal(registered.registering.not_saved, timeout=TIMEOUT_MS) as said:
            registered.registering.write(tmp_path / "file" / "out")
        assert "cannot be written" in said.args[0]
        assert registered.window.banner.text == said.args[0]
        assert registered.session.is_unsaved


def test_another_registration_keeps_the_one_before_in_reach(qtbot, registered, files):
    first = registered.session.pair
    run(qtbot, registered, choice_of(files, settings=BRIEF, seed=1))
    second = registered.session.pair
    assert second is not first
    assert registered.window.banner.button.text() == "Back to it"
    qtbot.mouseClick(registered.window.banner.button, LEFT)
    assert registered.session.pair is first
    assert registered.session.result is first.registration.fit
    assert registered.session.pair.scores != second.scores


def test_the_same_choice_gives_the_same_numbers(qtbot, registered, files):
    first = registered.session.pair.scores
    run(qtbot, registered, choice_of(files, settings=BRIEF))
    for name in ("ncc", "tre_mean_mm", "dice_mean"):
        assert registered.session.pair.scores[name] == pytest.approx(first[name], abs=0.01)


def test_opening_others_while_it_runs_asks_first(qtbot, controller, files, tmp_path):
    controller.registering.start(choice_of(files, settings=LONG))
    wait_for_preview(qtbot, controller)
    assert drop(controller.window, write_scans(tmp_path))
    assert "registration is running" in controller.window.banner.text
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        qtbot.mouseClick(controller.window.banner.button, LEFT)
    assert len(controller.session.times) == 4
    assert controller.session.pair is None
    assert (controller.session.show_shown, controller.session.carry) == ("observed", "neighbours")
    assert controller.window.banner.button.text() == "Back to the registration"
    qtbot.mouseClick(controller.window.banner.button, LEFT)
    assert controller.session.pair is not None
    controller.set_show("after")
    assert shown_title(controller).startswith("after: moving (moving.nii.gz)")


def test_a_fit_and_a_registration_do_not_run_at_once(qtbot, controller, files, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    choose_iterations(controller, coarse=3000)
    controller.window.fit_panel.request_start()
    series = controller.session.series
    controller.registering.start(choice_of(files))
    controller.presenter.refresh()
    controller.register_view.refresh()
    assert controller.session.activity == "fitting"
    assert controller.session.series is series
    assert not controller.window.actions_by_name["start_registration"].isEnabled()
    with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
        controller.fitting.stop()


def test_closing_while_it_runs(qtbot, controller, files):
    controller.registering.start(choice_of(files, settings=LONG))
    wait_for_preview(qtbot, controller)
    thread = controller.registering._thread
    assert controller.window.close()
    assert thread.isFinished()
