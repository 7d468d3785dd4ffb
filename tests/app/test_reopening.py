"""A registration as a folder, in the real window: it opens as it was when it was made."""

import dataclasses
import json
import shutil

import nibabel
import numpy as np
import pytest
from pair_kit import QUICK, choice_of, registered, save, wait_for_end, write_pair
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog
from test_register_panel import drop_on
from window_kit import TIMEOUT_MS, choose_iterations, drop, engine, make_controller, open_and_wait, write_scans

from noder.pair_files import write_registration
from noder_viewer.landmark_table import AFTER

LEFT = Qt.MouseButton.LeftButton
CHANGED = dataclasses.replace(QUICK, smoothness=0.2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def made(files):
    """A registration as the window makes it, and the folder that it was written to."""
    choice = choice_of(files, settings=CHANGED, seed=5, masks=files.masks, max_seconds=300.0, preset="fast")
    shown = registered(choice)
    folder = files.fixed.parent / "registration"
    write_registration(shown.registration, shown.scores, folder, given=shown.given)
    return shown, folder, choice


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    yield controller
    controller.shut_down()


def refreshed(controller):
    controller.presenter.refresh()
    controller.register_view.refresh()
    return controller


def open_folder(qtbot, controller, folder):
    open_and_wait(qtbot, controller, [folder])
    return refreshed(controller)


def refused(qtbot, controller, folder) -> str:
    with qtbot.waitSignal(controller.opening.failed, timeout=TIMEOUT_MS) as failed:
        controller.open([folder])
    assert controller.window.banner.text == failed.args[0]
    assert controller.session.activity == ""
    return failed.args[0]


def test_a_dropped_folder_is_what_it_was_when_it_was_made(qtbot, controller, made, files):
    shown, folder, choice = made
    window, session, panel = controller.window, controller.session, controller.window.register_panel
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        assert drop(window, [folder])
    refreshed(controller)
    assert session.pair.scores == shown.scores
    frame = shown.pair.frame
    one, other = (each.registration.fit.trajectory for each in (session.pair, shown))
    assert np.array_equal(one.field(frame, 0.7).u, other.field(frame, 0.7).u)
    assert np.allclose(session.pair.errors, shown.errors, atol=1e-6)
    assert session.pair.levels == shown.levels
    assert session.saved_in == folder
    assert not session.is_unsaved
    assert "not exported" not in window.windowTitle()
    assert (session.time, session.show) == (1.0, "after")

    assert panel.isVisible()
    assert panel.tabs.tabText(panel.tabs.currentIndex()) == "Scores"
    assert panel.scores.rowCount() > 5
    table = panel.landmarks.table
    assert table.rowCount() == len(files.places)
    mean = np.mean([table.item(k, AFTER).value for k in range(table.rowCount())])
    assert mean == pytest.approx(shown.scores["tre_mean_mm"], abs=1e-3)
    assert len(panel.curves._history[0]) == len(shown.registration.fit.history)
    assert "seed 5" in panel.message.text()
    assert panel.compare_box.isEnabled()
    assert panel.export.isEnabled()
    assert panel.notes.text()

    again = panel.choice()
    assert (again.fixed.path, again.moving.path) == (files.fixed, files.moving)
    for name in ("masks", "labels", "landmarks", "space", "swapped", "initial", "preset", "settings", "seed",
                 "max_seconds"):  # fmt: skip
        assert getattr(again, name) == getattr(choice, name), name
    picture = refreshed(controller).presenter.scenes[2].images[0]
    assert picture.title.startswith("after: moving (moving.nii.gz) pulled onto fixed")


def test_it_can_be_registered_and_written_again(qtbot, controller, made, tmp_path, monkeypatch):
    shown, folder, _ = made
    panel = open_folder(qtbot, controller, folder).window.register_panel
    qtbot.mouseClick(panel.start, LEFT)
    wait_for_end(qtbot, controller)
    session = controller.session
    assert session.is_unsaved
    assert session.pair.scores["ncc"] == pytest.approx(shown.scores["ncc"], abs=1e-3)  # the same seed and settings
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "again"), ""))
    qtbot.mouseClick(panel.fsl, LEFT)
    with qtbot.waitSignal(controller.registering.saved, timeout=TIMEOUT_MS):
        qtbot.mouseClick(panel.export, LEFT)
    assert (tmp_path / "again" / "field_fsl.nii.gz").is_file()
    assert (tmp_path / "again" / "inverse_fsl.nii.gz").is_file()
    assert "field_fsl.nii.gz" in json.loads((tmp_path / "again" / "result.json").read_text())["files"]
    scores = session.pair.scores
    open_folder(qtbot, controller, tmp_path / "again")
    assert controller.session.pair.scores == scores
    assert controller.window.banner.text == ""


def test_without_the_box_only_itk_is_written(qtbot, controller, made, tmp_path, monkeypatch):
    panel = open_folder(qtbot, controller, made[1]).window.register_panel
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "again"), ""))
    assert not panel.fsl.isChecked()
    with qtbot.waitSignal(controller.registering.saved, timeout=TIMEOUT_MS):
        qtbot.mouseClick(panel.export, LEFT)
    assert (tmp_path / "again" / "field.nii.gz").is_file()
    assert not (tmp_path / "again" / "field_fsl.nii.gz").exists()


def test_back_to_the_series_with_its_unsaved_fit(qtbot, controller, made, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    choose_iterations(controller, coarse=4)
    with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
        controller.window.fit_panel.request_start()
    session, panel = controller.session, controller.window.register_panel
    series, result = session.series, session.result
    open_folder(qtbot, controller, made[1])
    pair = session.pair
    assert pair is not None
    assert not session.is_unsaved
    assert controller.registering.hides_unsaved
    assert panel.back.text() == "Back to the series"
    qtbot.mouseClick(panel.back, LEFT)
    assert session.series is series
    assert session.result is result
    assert session.is_unsaved
    refreshed(controller)
    qtbot.mouseClick(panel.back, LEFT)
    assert session.pair is pair
    assert session.saved_in == made[1]


def test_an_unsaved_registration_is_offered_again(qtbot, controller, made, files):
    controller.registering.start(choice_of(files))
    wait_for_end(qtbot, controller)
    before = controller.session.pair
    open_folder(qtbot, controller, made[1])
    assert controller.session.pair is not before
    assert controller.window.banner.button.text() == "Back to it"
    qtbot.mouseClick(controller.window.banner.button, LEFT)
    assert controller.session.pair is before
    assert controller.session.is_unsaved


def test_recent_and_the_file_inside_open_it_too(qtbot, controller, made):
    open_and_wait(qtbot, controller, [made[1] / "result.json"])
    assert controller.settings.recent()[0] == [made[1]]
    controller.opening.answer("cancel open")
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        controller.window.recent_requested.emit(controller.settings.recent()[0])
    assert controller.session.saved_in == made[1]


def test_opened_before_the_engine_it_still_shows_its_settings(qtbot, tmp_path, made):
    """As on the command line: the folder can be there before the presets are."""
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    open_and_wait(qtbot, controller, [made[1]])
    assert not controller.engine_is_ready
    engine(qtbot, controller)
    assert controller.window.register_panel.choice().settings == CHANGED
    assert controller.window.register_panel.seed.value() == 5
    controller.shut_down()


def test_what_cannot_be_opened_leaves_what_is_open(qtbot, controller, made, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    series = controller.session.series
    copy = tmp_path / "copy"
    shutil.copytree(made[1], copy)
    described = json.loads((copy / "result.json").read_text())
    gone = json.dumps(described).replace("moving.nii.gz", "vanished.nii.gz")
    (copy / "result.json").write_text(gone)
    assert "Put vanished.nii.gz back, or into" in refused(qtbot, controller, copy)
    (copy / "result.json").write_text(json.dumps({**described, "format": 7}))
    assert "has the format 7" in refused(qtbot, controller, copy)
    (copy / "result.json").write_text(json.dumps(described))
    (copy / "model.safetensors").write_bytes(b"no map")
    assert "cannot be read as the map of a registration" in refused(qtbot, controller, copy)
    assert controller.session.series is series
    assert controller.session.pair is None


def test_a_folder_on_a_row_is_no_image(qtbot, controller, made):
    inputs = controller.window.register_panel.inputs
    controller.window.show_panel(controller.window.register_panel)
    drop_on(inputs.fixed, [made[1]])  # taken by the window around it
    assert inputs.fixed.source is None


class TestVolumes:
    @pytest.fixture
    def many(self, files, tmp_path):
        """The moving image as the third of four volumes."""
        image = nibabel.load(files.moving)
        values = np.asarray(image.dataobj)
        return save(tmp_path / "many.nii.gz", np.stack([0 * values, -values, values, 2 * values], -1), image.affine)

    @pytest.fixture
    def inputs(self, controller):
        controller.window.show_panel(controller.window.register_panel)
        return controller.window.register_panel.inputs

    def counted(self, qtbot, controller):
        qtbot.waitUntil(
            lambda: not controller.volume_counts.busy and not controller.window.register_panel.inputs.uncounted(),
            timeout=TIMEOUT_MS,
        )

    def test_a_file_of_several_asks_which(self, qtbot, controller, inputs, files, many, tmp_path):
        assert drop_on(inputs.fixed, [files.fixed])
        assert drop_on(inputs.moving, [many])
        self.counted(qtbot, controller)
        assert not inputs.fixed.volume.isVisible()
        assert inputs.moving.volume.isVisible()
        assert (inputs.moving.volume.minimum(), inputs.moving.volume.maximum()) == (0, 3)
        inputs.moving.volume.setFocus()
        inputs.moving.volume.selectAll()
        qtbot.keyClicks(inputs.moving.volume, "2")
        qtbot.keyClick(inputs.moving.volume, Qt.Key.Key_Return)
        assert (inputs.moving.source.path, inputs.moving.source.volume) == (many, 2)
        assert drop_on(inputs.landmarks, [files.landmarks])
        inputs.set_initial("file")
        assert drop_on(inputs.transform, [files.initial])
        panel = controller.window.register_panel
        panel.form.set_settings(QUICK)
        qtbot.mouseClick(panel.start, LEFT)
        wait_for_end(qtbot, controller)
        assert controller.session.pair.pair.moving.name == "many.nii.gz[2]"
        assert controller.session.pair.scores["ncc"] > 0.9
        with qtbot.waitSignal(controller.registering.saved, timeout=TIMEOUT_MS):
            controller.registering.write(tmp_path / "out")
        inputs.moving.set_path(None)
        open_folder(qtbot, controller, tmp_path / "out")
        self.counted(qtbot, controller)
        assert inputs.moving.volume.isVisible()
        assert inputs.moving.volume.value() == inputs.moving.source.volume == 2

    def test_it_goes_with_its_file_and_ends_with_it(self, qtbot, controller, inputs, files, many):
        assert drop_on(inputs.fixed, [files.fixed])
        assert drop_on(inputs.moving, [many])
        self.counted(qtbot, controller)
        inputs.moving.volume.setValue(3)
        qtbot.mouseClick(inputs.swap, LEFT)
        self.counted(qtbot, controller)
        assert (inputs.fixed.volume.isVisible(), inputs.fixed.source.volume) == (True, 3)
        assert (inputs.moving.volume.isVisible(), inputs.moving.source.volume) == (False, None)
        assert drop_on(inputs.fixed, [files.moving])
        self.counted(qtbot, controller)
        assert not inputs.fixed.volume.isVisible()
        assert inputs.fixed.source.volume is None

    def test_what_is_no_image_has_no_volumes(self, qtbot, controller, inputs, files):
        assert drop_on(inputs.fixed, [files.landmarks])
        self.counted(qtbot, controller)
        assert not inputs.fixed.volume.isVisible()
