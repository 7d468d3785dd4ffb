"""Points followed through time in the real window: mouse, keys, menus, the Paths tab, the table that is written."""

import csv

import doubles
import numpy as np
import pytest
import torch
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QColor, QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog
from window_kit import TIMEOUT_MS, make_controller, open_and_wait, write_scans

from noder_viewer import theme
from noder_viewer.following import NO_MAP, OUTSIDE
from noder_viewer.palettes import LIGHT
from noder_viewer.path_panel import MOVED, PLACE, WAITING

Mouse, Key = Qt.MouseButton, Qt.KeyboardModifier
RATE = 0.1


@pytest.fixture
def controller(qtbot, tmp_path):
    """Four scans; no map yet."""
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    controller.presenter.refresh()
    QApplication.processEvents()
    yield controller
    controller.shut_down()


@pytest.fixture
def mapped(controller):
    """A map as a live preview: tissue grows about the centre of the image."""
    session = controller.session
    grid = session.grid
    centre = tuple(grid.to_mm((np.array(grid.shape) - 1) / 2).tolist())
    volume = torch.from_numpy(session.series.reference.image.numpy())[None]
    session.preview = doubles.GrowingTrajectory(grid, volume, RATE, centre, [0.0, 1.0, 2.0, 3.0])
    session.carry = "first"
    controller.presenter.refresh()
    QApplication.processEvents()
    return controller


def wait_for_paths(qtbot, controller):
    qtbot.waitUntil(lambda: not controller.following.busy, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    QApplication.processEvents()  # the Paths tab has a turn of its own


def pixel(view, mm) -> QPoint:
    return view.to_pixel(*view._scene.plane.to_plane(np.array(mm)).tolist()).toPoint()


def click(view, mm, keys=Key.NoModifier, button=Mouse.LeftButton):
    QTest.mouseClick(view._canvas.viewport(), button, keys, pixel(view, mm))


def grown(controller, mm, t_from, t_to):
    """Where the tissue at mm at one time is at another."""
    centre = np.array(controller.session.trajectory.centre)
    return centre + (np.array(mm) - centre) * (1 + RATE * t_to) / (1 + RATE * t_from)


class TestPicking:
    def test_shift_and_a_click_follow_the_tissue_there(self, mapped, qtbot):
        session, view = mapped.session, mapped.window.slices[2]
        session.time = 2.0
        mapped.presenter.refresh()
        before = session.cursor_mm
        click(view, np.add(before, [5, -3, 0]), Key.ShiftModifier)
        assert len(session.followed) == 1
        point = session.followed[0]
        assert point.time == 2.0
        assert point.place_mm == session.cursor_mm
        assert np.linalg.norm(np.array(point.place_mm) - before - [5, -3, 0]) < 0.3  # to the pixel
        wait_for_paths(qtbot, mapped)
        line = session.paths.lines[0]
        np.testing.assert_allclose(line.at(2.0), point.place_mm, atol=0.01)
        np.testing.assert_allclose(line.at(0.0), grown(mapped, point.place_mm, 2, 0), atol=0.01)
        scene = mapped.presenter.scenes[0]
        assert scene.paths.markers[0].place == pytest.approx(scene.crosshair, abs=0.01)
        assert not mapped.window.path_panel.visibleRegion().isEmpty()

    def test_a_plain_click_and_a_drag_with_shift_follow_nothing(self, mapped):
        view, cursor = mapped.window.slices[2], np.array(mapped.session.cursor_mm)
        click(view, np.add(cursor, [3, 3, 0]))
        viewport, start = view._canvas.viewport(), pixel(view, cursor)
        QTest.mousePress(viewport, Mouse.LeftButton, Key.ShiftModifier, start)
        doubles.move(viewport, start + QPoint(30, 10), Mouse.LeftButton)
        QTest.mouseRelease(viewport, Mouse.LeftButton, Key.ShiftModifier, start + QPoint(30, 10))
        assert mapped.session.followed == ()

    def test_an_observed_scan_is_picked_in_its_own_frame(self, mapped):
        mapped.session.time, mapped.session.show = 1.3, "observed"
        mapped.window.actions_by_name["follow_cursor"].trigger()
        assert mapped.session.followed[0].time == 1.0

    def test_the_key_follows_the_crosshair(self, mapped):
        action = mapped.window.actions_by_name["follow_cursor"]
        assert action.shortcut().toString() == "F"
        action.trigger()
        assert mapped.session.followed[0].place_mm == mapped.session.cursor_mm

    def test_without_a_map_it_says_what_to_do(self, controller):
        view = controller.window.slices[2]
        click(view, controller.session.cursor_mm, Key.ShiftModifier)
        assert controller.session.followed == ()
        assert controller.session.status == NO_MAP
        assert not controller.window.actions_by_name["follow_cursor"].isEnabled()
        assert not controller.window.path_panel.follow.isEnabled()

    def test_outside_the_image_there_is_nothing_to_follow(self, mapped):
        mapped.session.cursor_mm = (900.0, 0.0, 0.0)
        mapped.following.follow_cursor()
        assert (mapped.session.followed, mapped.session.status) == ((), OUTSIDE)


@pytest.fixture
def followed(mapped, qtbot):
    """Two points, in the middle of the ball's right and left."""
    for side in (6.0, -4.0):
        centre = np.array(mapped.session.trajectory.centre)
        mapped.session.cursor_mm = tuple(np.add(centre, [side, 0, 0]).tolist())
        mapped.window.path_panel.follow.click()
    wait_for_paths(qtbot, mapped)
    return mapped


class TestPanel:
    def test_it_tells_where_the_points_are_now(self, followed, qtbot):
        panel = followed.window.path_panel
        assert panel.table.rowCount() == 2
        followed.window.timeline.time_requested.emit(2.0)
        qtbot.waitUntil(lambda: panel.table.item(0, MOVED).text() == "1.20", timeout=TIMEOUT_MS)  # 6 mm, 20 % on
        assert panel.table.item(1, MOVED).text() == "0.80"
        r, a, s = followed.session.paths.lines[0].at(2.0)
        assert panel.table.item(0, PLACE).text() == f"R {r:.1f} A {a:.1f} S {s:.1f}"

    def test_curves_show_totals_components_and_speed(self, followed):
        curves = followed.window.path_panel.curves
        followed.window.path_panel.select(1)
        line = followed.session.paths.lines[0]
        assert "1&nbsp;along" in curves.legend
        drawn = [item.getData() for item in curves.moved._curves if hasattr(item, "opts") and "pen" in item.opts]
        inside = line.times[~line.extrapolated]
        totals = [v for t, v in drawn if len(t) == len(inside) and np.allclose(v, line.distances[~line.extrapolated])]
        assert totals
        np.testing.assert_allclose(line.distances, 6 * RATE * np.abs(line.times), atol=0.01)
        np.testing.assert_allclose(line.speeds, 6 * RATE, rtol=0.02)

    def test_a_click_on_a_curve_sets_the_time(self, followed, qtbot):
        plot = followed.window.path_panel.curves.moved
        followed.window.show_panel(followed.window.path_panel)
        QApplication.processEvents()
        box = plot.getPlotItem().getViewBox()
        middle = plot.mapFromScene(box.sceneBoundingRect().center())
        low, high = box.viewRange()[0]
        QTest.mouseClick(plot.viewport(), Mouse.LeftButton, Key.NoModifier, middle)
        assert followed.session.time == pytest.approx((low + high) / 2, abs=(high - low) / 50)
        qtbot.waitUntil(lambda: plot._now.value() == pytest.approx(followed.session.time), timeout=TIMEOUT_MS)

    def test_curves_take_the_colours_of_another_look(self, followed, dressed):
        plot, ticks = followed.window.path_panel.curves.moved, theme.TEXT
        theme.apply(dressed, LIGHT)
        QApplication.processEvents()
        assert plot.getPlotItem().getAxis("left").textPen().color() == QColor(LIGHT.text) != QColor(ticks)
        assert plot._now.pen.color() == QColor(LIGHT.accent)
        assert plot._zones[0].brush.color().rgb() == QColor(LIGHT.warning).rgb()
        assert plot.getPlotItem().getAxis("left").labelText == "moved (mm)"
        assert plot._curves

    def test_arrows_on_a_curve_step_time(self, followed, qtbot):
        qtbot.keyClick(followed.window.path_panel.curves.speed, Qt.Key.Key_Right)
        assert followed.session.time > 0

    def test_one_is_removed_and_the_other_keeps_number_and_colour(self, followed, qtbot):
        panel = followed.window.path_panel
        panel.select(1)
        qtbot.keyClick(panel.table, Qt.Key.Key_Delete)
        wait_for_paths(qtbot, followed)
        assert [point.number for point in followed.session.followed] == [2]
        assert [point.number for point in followed.session.paths.points] == [2]
        assert panel.table.item(0, 0).text() == "2"
        assert panel.selected == 2

    def test_menu_actions_remove_one_or_all(self, followed, qtbot):
        actions = followed.window.actions_by_name
        followed.presenter.refresh()
        followed.window.path_panel.select(2)
        actions["remove_followed"].trigger()
        assert [point.number for point in followed.session.followed] == [1]
        actions["clear_followed"].trigger()
        wait_for_paths(qtbot, followed)
        assert (followed.session.followed, followed.session.paths) == ((), None)
        assert followed.presenter.scenes[2].paths is None
        assert not actions["export_paths"].isEnabled()
        assert followed.window.path_panel.table.rowCount() == 0

    def test_a_double_click_puts_the_crosshair_on_a_point(self, followed):
        followed.session.time = 2.0
        followed.window.path_panel.table.cellDoubleClicked.emit(0, 0)
        np.testing.assert_allclose(followed.session.cursor_mm, followed.session.paths.lines[0].at(2.0), atol=1e-9)

    def test_until_a_path_is_known_the_table_waits(self, mapped):
        mapped.following.follow_cursor()
        QApplication.processEvents()
        panel = mapped.window.path_panel
        assert panel.table.rowCount() == 1
        if mapped.session.paths is None:
            assert panel.table.item(0, MOVED).text() == WAITING


class TestMaps:
    def test_a_new_map_gives_new_paths_of_the_same_points(self, followed, qtbot):
        session = followed.session
        before, points = session.paths, session.followed
        session.preview = doubles.GrowingTrajectory(
            session.grid, session.preview.volume, 2 * RATE, session.preview.centre, [0.0, 1.0, 2.0, 3.0]
        )
        wait_for_paths(qtbot, followed)
        assert session.followed == points
        assert session.paths is not before
        np.testing.assert_allclose(session.paths.lines[0].distances, 2 * before.lines[0].distances, atol=0.02)

    def test_a_point_more_leaves_known_paths_as_they_are(self, followed, qtbot):
        before = followed.session.paths.lines
        followed.following.follow_cursor()
        wait_for_paths(qtbot, followed)
        assert followed.session.paths.lines[:2] == before

    def test_another_series_follows_nothing(self, followed, qtbot, tmp_path):
        (tmp_path / "other").mkdir()
        followed.session.preview = None
        open_and_wait(qtbot, followed, write_scans(tmp_path / "other", 3))
        wait_for_paths(qtbot, followed)
        assert (followed.session.followed, followed.session.paths) == ((), None)

    def test_times_that_are_edited_follow_nothing(self, followed, qtbot):
        followed.opening.set_times(["0", "1", "2", "5"], "days")
        wait_for_paths(qtbot, followed)
        assert followed.session.paths is None


class TestTable:
    def test_it_is_written_where_it_was_asked_for(self, followed, monkeypatch, tmp_path):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
        followed.presenter.refresh()
        followed.window.actions_by_name["export_paths"].trigger()
        with (tmp_path / "mine.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["point"] for row in rows} == {"1", "2"}
        at = next(row for row in rows if row["point"] == "1" and float(row["time"]) == 2.0)
        assert float(at["moved_mm"]) == pytest.approx(1.2, abs=0.01)
        assert float(at["moved_r_mm"]) == pytest.approx(1.2, abs=0.01)
        assert at["extrapolated"] == "no"
        assert "mine.csv" in followed.session.status

    def test_a_place_that_cannot_be_written_is_a_sentence(self, followed, tmp_path):
        (tmp_path / "file").write_text("in the way")
        followed.following.write(tmp_path / "file" / "paths.csv")
        assert "paths.csv was not written" in followed.window.banner.text


class TestCoordinates:
    def test_ctrl_c_on_a_slice_copies_the_crosshair(self, controller, qtbot):
        controller.session.cursor_mm = (3.0, 4.0, 6.0)
        qtbot.keyClick(controller.window.slices[1], Qt.Key.Key_C, Key.ControlModifier)
        assert QApplication.clipboard().text() == "RAS 3.000 4.000 6.000 mm\nLPS -3.000 -4.000 6.000 mm\nvoxel 3 4 4"

    def test_the_menu_copies_too(self, controller):
        QApplication.clipboard().setText("")
        controller.window.actions_by_name["copy_coordinates"].trigger()
        assert QApplication.clipboard().text().startswith("RAS ")
        assert "Copied" in controller.session.status

    def test_what_was_copied_is_gone_to(self, controller, qtbot):
        controller.window.actions_by_name["copy_coordinates"].trigger()
        there = controller.session.cursor_mm
        controller.session.cursor_mm = (1.0, 1.0, 1.5)
        controller.window.actions_by_name["go_to_coordinates"].trigger()
        dialog = controller.cursor_places.dialog
        assert dialog.field.text() == "RAS 1.000 1.000 1.500 mm"
        dialog.set_text(QApplication.clipboard().text())
        qtbot.mouseClick(dialog.go, Mouse.LeftButton)
        assert controller.session.cursor_mm == pytest.approx(there, abs=1e-3)
        assert not dialog.isVisible()

    @pytest.mark.parametrize(("text", "sentence"), [("nowhere", "is no place"), ("RAS 900 0 0", "outside the image")])
    def test_what_cannot_be_gone_to_is_said_in_the_dialog(self, controller, qtbot, text, sentence):
        before = controller.session.cursor_mm
        controller.cursor_places.ask()
        dialog = controller.cursor_places.dialog
        dialog.set_text(text)
        qtbot.mouseClick(dialog.go, Mouse.LeftButton)
        assert sentence in dialog.message.text()
        assert dialog.isVisible()
        assert controller.session.cursor_mm == before
        dialog.close()

    def test_a_right_click_opens_the_menu_of_the_place(self, mapped):
        view, session = mapped.window.slices[2], mapped.session
        place = np.add(session.cursor_mm, [4, 2, 0])
        click(view, place, button=Mouse.RightButton)
        menu = mapped.cursor_places.menu
        entries = {action.text(): action for action in menu.actions() if action.text()}
        assert list(entries) == [
            "Copy coordinates",
            "Go to coordinates…",
            "Put the crosshair here",
            "Follow this point through time",
        ]
        entries["Copy coordinates"].trigger()
        copied = [float(v) for v in QApplication.clipboard().text().splitlines()[0].split()[1:4]]
        assert np.linalg.norm(copied - place) < 0.3
        entries["Put the crosshair here"].trigger()
        assert session.cursor_mm == pytest.approx(copied, abs=1e-3)
        entries["Follow this point through time"].trigger()
        assert session.followed[0].place_mm == pytest.approx(copied, abs=1e-3)
        menu.close()

    def test_a_right_drag_opens_none(self, mapped):
        view = mapped.window.slices[2]
        viewport, start = view._canvas.viewport(), pixel(view, mapped.session.cursor_mm)
        QTest.mousePress(viewport, Mouse.RightButton, Key.NoModifier, start)
        doubles.move(viewport, start + QPoint(20, 0), Mouse.RightButton)
        QTest.mouseRelease(viewport, Mouse.RightButton, Key.NoModifier, start + QPoint(20, 0))
        assert not mapped.cursor_places.menu.isVisible()

    def test_the_menu_key_opens_it_at_the_crosshair(self, mapped):
        view = mapped.window.slices[1]
        place = QPoint(5, 5)
        QApplication.sendEvent(
            view, QContextMenuEvent(QContextMenuEvent.Reason.Keyboard, place, view.mapToGlobal(place))
        )
        assert mapped.cursor_places.menu.isVisible()
        mapped.cursor_places.menu.close()


class TestReadOut:
    def test_it_follows_the_mouse_and_comes_back(self, mapped, qtbot):
        bar, view = mapped.window.read_out, mapped.window.slices[2]
        view.hovered.emit(2, 3.0, 7.0)
        assert "mouse R 3.0  A 7.0" in bar.text()
        qtbot.waitUntil(lambda: not mapped.presenter.busy, timeout=TIMEOUT_MS)
        assert "J 1.000" in bar.text()
        mapped.session.time = 1.0
        mapped.presenter.refresh()
        assert "mouse R 3.0  A 7.0" in bar.text()  # the time may run under the mouse
        qtbot.waitUntil(lambda: "J 1.331   growth +33.1 %" in bar.text(), timeout=TIMEOUT_MS)
        assert "moved 0.9 mm: L" in bar.text()
        view.left.emit()
        assert "crosshair" in bar.text()
