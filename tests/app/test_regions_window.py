"""Regions in the real window: dropped or drawn with the mouse, carried, plotted, saved."""

import csv
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from region_kit import label_map, paint, save_lps, settle
from test_register_panel import drop_on
from window_kit import TIMEOUT_MS, ball, engine, make_controller, open_and_wait, write_scans

from noder_viewer.actions import MENUS, Action
from noder_viewer.region_state import Brush
from noder_viewer.region_table import CHANGE, NAME, VOLUME

LEFT = Qt.MouseButton.LeftButton
VOXEL_ML = 1.5 / 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four scans, a fit of them, labels of the first scan and of all."""
    from noder.fit import fit
    from noder.fit_config import FitConfig
    from noder.methods import NoderSettings
    from noder.series import ImageSeries
    from noder.store import save_result

    folder = tmp_path_factory.mktemp("regions")
    series = ImageSeries.from_paths(write_scans(folder), times=[0, 1, 2, 3], unit="years")
    settings = NoderSettings(coarse_iterations=20, middle_iterations=10, fine_iterations=0)
    save_result(fit(series, FitConfig(settings=settings)), folder / "fit")
    save_lps(folder / "labels.nii.gz", label_map())
    every = np.stack([(ball(5.0 + 0.6 * k) > 150).astype(np.uint8) for k in range(4)], axis=-1)
    save_lps(folder / "own.nii.gz", every)
    (folder / "names.txt").write_text("1 ball\n6 block\n")
    return folder


@pytest.fixture
def controller(qtbot, tmp_path, folder):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    engine(qtbot, controller)
    open_and_wait(qtbot, controller, [folder / "fit"])
    controller.window.show_panel(controller.window.region_panel)
    controller.region_view.refresh()  # until there is a series the tab takes no drops
    yield controller
    controller.shut_down()


@pytest.fixture
def loaded(qtbot, controller, folder):
    assert drop_on(controller.window.region_panel.inputs.labels, [folder / "labels.nii.gz"])
    settle(qtbot, controller)
    assert controller.session.region_figures is not None, controller.window.banner.text
    return controller


def cell(controller, row, column):
    return controller.window.region_panel.table.item(row, column).value


def test_a_dropped_label_map_is_carried_measured_and_plotted(qtbot, loaded):
    session, panel = loaded.session, loaded.window.region_panel
    assert session.regions.numbers == (1, 6)
    assert (session.regions.labels.values == label_map()).all()
    own = (label_map() == 1).sum() * VOXEL_ML
    assert cell(loaded, 0, VOLUME) == pytest.approx(own)
    session.time = 3.0
    loaded.region_view.refresh()
    loaded.presenter.refresh()
    assert cell(loaded, 0, VOLUME) > 1.15 * own  # the ball grows, and the map knows
    assert cell(loaded, 0, CHANGE) == pytest.approx(100 * (cell(loaded, 0, VOLUME) / own - 1))
    assert (loaded.presenter.scenes[2].regions["prediction"].values == 1).sum() > (label_map()[..., 9] == 1).sum()
    curves = panel.plot._data.curves
    assert [curve.name for curve in curves] == ["label 1", "label 6"]
    assert curves[0].times[0] < 0
    assert curves[0].times[-1] > 3
    assert panel.plot._data.span == (0.0, 3.0)
    assert "% / year" in panel.table.horizontalHeaderItem(3).text()
    assert panel.table.horizontalHeaderItem(CHANGE).text() == "change %"


def test_labels_that_are_dropped_later_were_drawn_on_the_scan_that_is_shown(qtbot, controller, folder):
    controller.session.time = 1.9
    controller.region_view.refresh()
    assert drop_on(controller.window.region_panel, [folder / "labels.nii.gz"])
    settle(qtbot, controller)
    assert controller.session.regions.time == 2.0
    inputs = controller.window.region_panel.inputs
    inputs.scan.setCurrentIndex(1)
    inputs.scan.activated.emit(1)
    settle(qtbot, controller)
    assert controller.session.regions.time == 1.0
    assert inputs.time == 1.0


def test_the_scans_own_labels_are_points_and_dashes(qtbot, loaded, folder):
    inputs = loaded.window.region_panel.inputs
    assert drop_on(inputs.own, [folder / "own.nii.gz"])
    assert drop_on(inputs.names, [folder / "names.txt"])
    settle(qtbot, loaded)
    curve = loaded.window.region_panel.plot._data.curves[0]
    assert curve.name == "ball"
    measured = {t: v for t, v in zip(curve.times, curve.measured, strict=True) if not np.isnan(v)}
    true = {float(k): (ball(5.0 + 0.6 * k) > 150).sum() * VOXEL_ML for k in range(4)}
    assert measured == pytest.approx(true)
    loaded.session.time = 2.0
    loaded.presenter.refresh()
    assert 1 in loaded.presenter.scenes[2].regions["prediction"].own


def test_a_4d_label_map_is_named_as_the_scans_own_labels_too(qtbot, controller, folder):
    inputs = controller.window.region_panel.inputs
    assert drop_on(inputs.labels, [folder / "own.nii.gz"])
    settle(qtbot, controller)
    assert inputs.own.name.text() == "as Labels (4D)"
    assert inputs.files().own == ()
    assert drop_on(inputs.labels, [folder / "labels.nii.gz"])
    settle(qtbot, controller)
    assert inputs.own.name.text() == "none"


def test_what_saves_the_volumes_is_on_the_screen_with_three_labels(qtbot, controller, folder):
    panel, values = controller.window.region_panel, label_map()
    values[8:10, 3:6, 4:8] = 7
    controller.window.resize(1600, 900)
    assert drop_on(panel.inputs.labels, [save_lps(folder / "three.nii.gz", values)])
    settle(qtbot, controller)
    QApplication.processEvents()
    legend = panel.plot.legend
    assert legend.visibleRegion().boundingRect() == legend.rect()
    for widget in (panel.kind, panel.csv, panel.png):
        assert widget.geometry().bottom() < panel.plot.geometry().top()  # whose legend grows with the labels
        assert widget.visibleRegion().boundingRect() == widget.rect()


def test_a_click_on_the_plot_sets_the_time_and_the_line_follows(qtbot, loaded):
    plot = loaded.window.region_panel.plot
    QApplication.processEvents()
    place = QPoint(round(plot.to_pixel(2.2)), plot.plot.height() // 2)
    QTest.mouseClick(plot.plot.viewport(), LEFT, pos=place)
    assert loaded.session.time == pytest.approx(2.2, abs=0.05)
    loaded.region_view.refresh()
    assert plot._line.value() == loaded.session.time


def test_a_box_of_the_table_hides_a_region_and_a_new_name_is_kept(qtbot, loaded):
    table = loaded.window.region_panel.table
    table.item(1, NAME).setCheckState(Qt.CheckState.Unchecked)
    settle(qtbot, loaded)
    assert loaded.session.region_look.hidden == {6}
    assert [curve.name for curve in loaded.window.region_panel.plot._data.curves] == ["label 1"]
    figures = loaded.session.region_figures
    table.item(0, NAME).setText("LV cavity")
    settle(qtbot, loaded)
    assert loaded.session.regions.name(1) == "LV cavity"
    assert loaded.session.region_figures.volumes is figures.volumes  # nothing was measured again
    assert loaded.window.region_panel.plot._data.curves[0].name == "LV cavity"


def test_a_region_is_drawn_erased_undone_and_saved(qtbot, controller, tmp_path, monkeypatch):
    """On an empty map, with the mouse; the file lies where it was drawn, on the scan's own voxels."""
    session, bar = controller.session, controller.window.region_panel.brush
    session.time = 1.2
    session.cursor_mm = tuple(session.grid.to_mm(np.array([12.0, 13.0, 9.0])).tolist())
    controller.presenter.refresh()
    QApplication.processEvents()
    qtbot.mouseClick(bar.paint, LEFT)
    bar.radius.setValue(2.4)
    bar.label.setValue(3)
    controller.region_view.refresh()
    paint(controller, [(6, 8, 9), (14, 8, 9)])
    assert session.regions.time == session.time == 1.0
    drawn = np.argwhere(session.regions.labels.values == 3)
    assert drawn.min(0).tolist() == [4, 6, 9]
    assert drawn.max(0).tolist() == [16, 10, 9]
    settle(qtbot, controller)
    assert cell(controller, 0, VOLUME) == pytest.approx(len(drawn) * VOXEL_ML)
    assert session.cursor_mm == pytest.approx(session.grid.to_mm(np.array([12.0, 13.0, 9.0])))  # a stroke is no click

    qtbot.mouseClick(bar.erase, LEFT)
    assert not bar.paint.isChecked()
    controller.region_view.refresh()
    paint(controller, [(6, 8, 9)])
    left = (session.regions.labels.values == 3).sum()
    assert left < len(drawn)
    controller.region_view.refresh()
    qtbot.mouseClick(bar.undo, LEFT)
    assert (session.regions.labels.values == 3).sum() == len(drawn)
    controller.region_view.refresh()
    qtbot.mouseClick(bar.redo, LEFT)
    assert (session.regions.labels.values == 3).sum() == left

    path = tmp_path / "mine.nii.gz"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    settle(qtbot, controller)
    with qtbot.waitSignal(controller.measuring.saved, timeout=TIMEOUT_MS):
        qtbot.mouseClick(bar.save, LEFT)
    saved = nibabel.load(path)
    assert (np.asarray(saved.dataobj) == session.regions.labels.values).all()
    assert not session.regions.changed


def test_a_new_label_goes_when_its_only_stroke_is_undone_and_comes_back(qtbot, loaded):
    session, measuring = loaded.session, loaded.measuring
    loaded.window.region_panel.brush.label.setValue(3)
    measuring.set_brush(Brush(label=3))
    loaded.region_view.refresh()
    QApplication.processEvents()
    paint(loaded, [(8, 8, 9), (12, 8, 9)])
    assert session.regions.numbers == (1, 3, 6)
    measuring.undo()
    loaded.region_view.refresh()
    assert session.regions.numbers == (1, 6)
    assert loaded.window.region_panel.table.rowCount() == 2
    measuring.redo()
    assert session.regions.numbers == (1, 3, 6)


def test_an_emptied_plot_has_no_axis_of_what_was_there(loaded):
    plot = loaded.window.region_panel.plot
    axis, data = plot.plot.getPlotItem().getAxis("bottom"), plot._data
    assert axis.labelText == "time (years)"
    plot.set_data(None)
    assert axis.labelText == ""
    assert not axis.style["showValues"]
    plot.set_data(data)
    assert axis.style["showValues"]


def test_a_stroke_at_another_time_goes_to_the_labels_first(qtbot, loaded):
    session = loaded.session
    loaded.measuring.set_brush(Brush())
    session.time = 2.5
    loaded.presenter.refresh()
    loaded.region_view.refresh()
    before = session.regions
    paint(loaded, [(6, 8, 9)])
    assert session.time == 0.0
    assert session.regions is before
    assert "drawn at t = 0 years" in session.status


def test_drawn_labels_that_are_replaced_come_back(qtbot, loaded, folder):
    loaded.measuring.set_brush(Brush(label=2))
    settle(qtbot, loaded)
    paint(loaded, [(20, 20, 9)])
    mine = loaded.session.regions
    assert mine.changed
    assert drop_on(loaded.window.region_panel.inputs.labels, [folder / "own.nii.gz"])
    settle(qtbot, loaded)
    assert loaded.session.regions.source.name == "own.nii.gz"
    qtbot.mouseClick(loaded.window.banner.button, LEFT)
    assert loaded.session.regions is mine


def test_the_cross_takes_the_labels_away(qtbot, loaded):
    qtbot.mouseClick(loaded.window.region_panel.inputs.labels.cross, LEFT)
    settle(qtbot, loaded)
    assert loaded.session.regions is None
    assert loaded.session.region_figures is None
    assert loaded.window.region_panel.table.rowCount() == 0
    assert loaded.window.region_panel.plot._data is None


def test_what_is_no_label_map_is_told(qtbot, controller, folder):
    assert drop_on(controller.window.region_panel.inputs.labels, [folder / "scan_0.nii.gz"])
    settle(qtbot, controller)
    assert "whole numbers" in controller.window.banner.text
    assert controller.session.regions is None
    assert controller.window.region_panel.inputs.labels.path is None  # the row shows what is in use


def test_another_series_has_no_regions(qtbot, loaded, tmp_path):
    open_and_wait(qtbot, loaded, write_scans(tmp_path, 2))
    settle(qtbot, loaded)
    assert loaded.session.regions is None
    assert loaded.window.region_panel.inputs.labels.path is None


def test_scans_are_dropped_with_their_own_labels_but_not_the_one_that_is_drawn_on(qtbot, loaded, folder):
    session = loaded.session
    assert drop_on(loaded.window.region_panel.inputs.own, [folder / "own.nii.gz"])
    settle(qtbot, loaded)
    every = session.regions.own
    assert len(every) == 4
    loaded.opening.keep(first=1)
    assert "which would go" in loaded.window.banner.text
    assert len(session.times) == 4
    loaded.opening.keep(last=2)
    settle(qtbot, loaded)
    assert len(session.times) == 3
    assert session.regions is not None
    assert session.regions.own == every[:3]
    loaded.undoing.undo()
    settle(qtbot, loaded)
    assert len(session.times) == 4
    assert session.result is not None
    assert session.regions.own == every


def test_own_labels_follow_their_scans_to_other_times(qtbot, loaded, folder):
    session = loaded.session
    assert drop_on(loaded.window.region_panel.inputs.own, [folder / "own.nii.gz"])
    settle(qtbot, loaded)
    first, second, third, fourth = session.regions.own
    loaded.opening.set_times(["0", "2", "1", "3"], "years")
    settle(qtbot, loaded)
    assert [scan.image.name[:6] for scan in session.series.scans] == ["scan_0", "scan_2", "scan_1", "scan_3"]
    assert session.regions.own == (first, third, second, fourth)


def test_csv_and_png_are_written(qtbot, loaded, tmp_path, monkeypatch):
    panel = loaded.window.region_panel
    names = iter([tmp_path / "v.csv", tmp_path / "v.png"])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(next(names)), ""))
    with qtbot.waitSignal(loaded.measuring.saved, timeout=TIMEOUT_MS):
        qtbot.mouseClick(panel.csv, LEFT)
    rows = list(csv.DictReader((tmp_path / "v.csv").open()))
    assert {row["label"] for row in rows} == {"1", "6"}
    assert {row["extrapolated"] for row in rows} == {"true", "false"}
    qtbot.waitUntil(lambda: not loaded.measuring.busy, timeout=TIMEOUT_MS)
    qtbot.mouseClick(panel.png, LEFT)
    from PySide6.QtGui import QImage

    picture = QImage(str(tmp_path / "v.png"))
    assert (picture.width(), picture.height()) == (1200, 800)
    seen = np.frombuffer(picture.convertToFormat(QImage.Format.Format_RGB32).constBits(), np.uint8)
    assert seen.std() > 5


def test_percent_starts_at_nothing(qtbot, loaded):
    panel = loaded.window.region_panel
    panel.kind.setCurrentIndex(1)
    panel.kind.activated.emit(1)
    loaded.region_view.refresh()
    curve = panel.plot._data.curves[0]
    assert curve.values[list(curve.times).index(0.0)] == pytest.approx(0)
    assert "%" in panel.plot._data.axis


def test_the_band_of_several_seeds_is_drawn(qtbot, loaded):
    figures = loaded.session.region_figures
    both = replace(figures.volumes, mm3=np.concatenate([figures.volumes.mm3, 1.1 * figures.volumes.mm3]))
    loaded.session.region_figures = replace(figures, volumes=both)
    loaded.region_view.refresh()
    data = loaded.window.region_panel.plot._data
    assert data.n_fits == 2
    assert data.curves[0].high == pytest.approx(1.1 * data.curves[0].low)
    assert "lowest to highest of 2 seeds" in loaded.window.region_panel.plot.legend.text()


def test_every_action_of_the_menu_does_what_it_says(qtbot, loaded, tmp_path, folder, monkeypatch):
    actions, session = loaded.window.actions_by_name, loaded.session
    names = [entry.name for entry in MENUS["Re&gions"] if isinstance(entry, Action)]
    assert all(actions[name].isEnabled() for name in names)
    actions["toggle_regions"].trigger()
    assert not session.region_look.visible
    actions["toggle_regions"].trigger()
    actions["toggle_brush"].trigger()
    assert session.brush is not None
    radius = session.brush.radius_mm
    actions["brush_larger"].trigger()
    assert session.brush.radius_mm > radius
    actions["brush_smaller"].trigger()
    assert session.brush.radius_mm == pytest.approx(radius, abs=0.1)
    settle(qtbot, loaded)
    paint(loaded, [(20, 20, 9)])
    painted = (session.regions.labels.values > 0).sum()
    actions["undo_stroke"].trigger()
    assert (session.regions.labels.values > 0).sum() < painted
    actions["redo_stroke"].trigger()
    assert (session.regions.labels.values > 0).sum() == painted
    actions["toggle_eraser"].trigger()
    assert session.brush.erases
    actions["toggle_eraser"].trigger()
    assert session.brush is None
    settle(qtbot, loaded)
    for name, file in (("save_labels", "l.nii.gz"), ("save_volumes", "v.csv"), ("save_region_plot", "v.png")):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, file=file: (str(tmp_path / file), ""))
        with qtbot.waitSignal(loaded.measuring.saved, timeout=TIMEOUT_MS):
            actions[name].trigger()
        qtbot.waitUntil(lambda: not loaded.measuring.busy, timeout=TIMEOUT_MS)
        assert (tmp_path / file).stat().st_size > 100
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(folder / "own.nii.gz"), ""))
    actions["open_labels"].trigger()
    settle(qtbot, loaded)
    assert session.regions.source.name == "own.nii.gz"


def test_the_report_holds_the_volumes_as_the_window_shows_them(qtbot, loaded, tmp_path):
    controller, session = loaded, loaded.session
    with qtbot.waitSignal(controller.reporting.written, timeout=TIMEOUT_MS):
        controller.reporting.write(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    volumes = session.region_figures.volumes
    assert "<h2>Volumes of regions</h2>" in page
    for label in (0, 1):
        assert f">{volumes.at(0.0)[label]:.4g}</td>" in page
        assert f">{volumes.at(3.0)[label]:.4g}</td>" in page
    other = replace(session.region_figures, trajectory=None)  # as of the fit before
    session.region_figures = other
    with qtbot.waitSignal(controller.reporting.written, timeout=TIMEOUT_MS):
        controller.reporting.write(tmp_path / "r2.html")
    assert "Volumes of regions" not in (tmp_path / "r2.html").read_text(encoding="utf-8")
