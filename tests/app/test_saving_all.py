"""Saving all fits of the list at once: each in a place of its own, nothing twice, nothing over what is there."""

import csv
import dataclasses

import pytest
from project_kit import windows
from PySide6.QtWidgets import QFileDialog, QMessageBox
from window_kit import TIMEOUT_MS, open_and_wait, write_scans

from noder_viewer.exporting import unused
from noder_viewer.fit_rows import Asked, FitRow, new_row
from noder_viewer.jobs import FitChoice

make = pytest.fixture(windows)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A saved fit of four scans, and a table of leave-one-out."""
    from noder.fit import fit
    from noder.fit_config import FitConfig
    from noder.leave_one_out import LeftOut
    from noder.methods import NoderSettings
    from noder.series import ImageSeries
    from noder.store import save_result

    folder = tmp_path_factory.mktemp("saving")
    settings = NoderSettings(coarse_iterations=3, middle_iterations=0, fine_iterations=0)
    result = fit(ImageSeries.from_paths(write_scans(folder), times=[0, 1, 2, 3]), FitConfig(settings=settings))
    save_result(result, folder / "fit")
    rows = [
        {"index": k, "name": f"scan_{k}", "time": float(k), "extrapolated": k == 3, "linearity_index": 0.1,
         "noder": {"nrmse_mask": 0.1 * k, "folds": 0}, "blend": {"nrmse_mask": 0.2 * k}}
        for k in (1, 2, 3)
    ]  # fmt: skip
    return folder / "fit", LeftOut("noder", rows, {}, {}, ())


@pytest.fixture
def window(qtbot, make, made):
    """Three fits, one of them saved, and a table; the second fit is shown."""
    controller = make()
    open_and_wait(qtbot, controller, [made[0]])
    session = controller.session
    saved = session.fits[0]
    names = ("a/b", "a-b")
    fits = [_copy(saved, name) for name in names]
    table = new_row((), Asked(session.series, FitChoice()), "table")
    session.fits = (saved, *fits, dataclasses.replace(table, status="done", left_out=made[1]))
    session.result, session.shown_fit, session.saved_in = fits[1].result, fits[1].key, None
    return controller


def _copy(row: FitRow, name: str) -> FitRow:
    fresh = new_row((), row.asked, name)
    return dataclasses.replace(fresh, status="done", result=dataclasses.replace(row.result), saved_in=None)


def save_all(qtbot, controller, folder, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    with qtbot.waitSignal(controller.exporting.saved, timeout=TIMEOUT_MS):
        assert controller.commands.save_fits()


def test_each_has_a_place_of_its_own(qtbot, window, made, tmp_path, monkeypatch):
    from noder.store import load_result

    folder = tmp_path / "all"
    folder.mkdir()
    (folder / "table.csv").write_text("of yesterday")
    save_all(qtbot, window, folder, monkeypatch)
    assert {path.name for path in folder.iterdir()} == {"a-b", "a-b-2", "table.csv", "table-2.csv"}
    for name in ("a-b", "a-b-2"):
        assert load_result(folder / name).config == window.session.result.config
    with (folder / "table-2.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["prediction"] == "noder"]
    assert [float(line["nrmse_mask"]) for line in lines] == pytest.approx([0.1, 0.2, 0.3])
    assert (folder / "table.csv").read_text() == "of yesterday"
    places = [made[0], folder / "a-b", folder / "a-b-2", folder / "table-2.csv"]
    assert [row.saved_in for row in window.session.fits] == places
    assert window.session.saved_in == folder / "a-b-2"  # the one on screen
    assert not window.session.is_unsaved


def test_closing_saves_them_all_and_closes_then(qtbot, window, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "all"))
    window.window.close()
    assert window.closing.box.text().startswith("3 fits have not been saved: a/b, a-b, table.")
    window.closing.box.button(QMessageBox.StandardButton.Save).click()
    qtbot.waitUntil(lambda: not window.window.isVisible(), timeout=TIMEOUT_MS)
    assert (tmp_path / "all" / "a-b-2" / "result.json").is_file()


def test_what_was_saved_before_one_failed_is_saved(qtbot, window, tmp_path, monkeypatch):
    from noder import store
    from noder.errors import OutputError

    write = store.save_result

    def full_disk(result, folder):
        if folder.name == "a-b-2":
            raise OutputError(f"{folder} cannot be written (No space left on device). Free some space.")
        write(result, folder)

    monkeypatch.setattr(store, "save_result", full_disk)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    window.window.close()
    with qtbot.waitSignal(window.exporting.failed, timeout=TIMEOUT_MS):
        window.closing.box.button(QMessageBox.StandardButton.Save).click()
    assert window.window.isVisible()
    assert "No space left" in window.window.banner.text
    assert [row.is_unsaved for row in window.session.fits] == [False, False, True, True]


@pytest.mark.parametrize(
    ("name", "other"),
    [("movie.mp4", "movie-2.mp4"), ("fit", "fit-2"), ("weight 0.5", "weight 0.5-2"), ("t.csv", "t-2.csv")],
)
def test_a_file_keeps_its_ending(tmp_path, name, other):
    assert unused(tmp_path / name) == tmp_path / name
    (tmp_path / name).touch()
    assert unused(tmp_path / name) == tmp_path / other
    assert unused(tmp_path / other, [tmp_path / other]) != tmp_path / other
