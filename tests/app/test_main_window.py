"""The window by itself: menus, drops, panels in and out, the shortcut sheet, what it remembers."""

import subprocess
import sys

import pytest
from PySide6.QtCore import Qt, QUrl
from PySide6.QtWidgets import QTabBar
from window_kit import drop, make_controller

from noder_viewer.actions import MENUS, all_actions
from noder_viewer.banner import Banner
from noder_viewer.export_dialog import PICTURE, ExportDialog, ExportRequest, parse_times
from noder_viewer.exporting import unused
from noder_viewer.main_window import MainWindow
from noder_viewer.overlay_panel import OverlayPanel
from noder_viewer.series_panel import HOLD_OUT, INCLUDE, TIME, ScanRow, SeriesPanel
from noder_viewer.session import OverlaySettings
from noder_viewer.settings import MAX_RECENT, Settings, recent_label
from noder_viewer.shortcuts import ShortcutSheet, sheet_rows

ROWS = [ScanRow(f"scan_{k}", float(k), "file name", role) for k, role in enumerate(("reference", "seen", "held out"))]


@pytest.fixture
def window(qtbot):
    window = MainWindow()
    qtbot.addWidget(window)
    return window


def test_menus_are_the_table(window):
    titles = [action.text() for action in window.menuBar().actions()]
    assert titles == list(MENUS)
    assert set(window.actions_by_name) == {action.name for action in all_actions()}


def test_no_shortcut_is_given_twice(window):
    keys = [key for action in all_actions() for key in action.shortcuts]
    assert len(keys) == len(set(keys))


def test_actions_follow_what_is_there(window):
    window.set_available(frozenset({"series"}))
    assert window.actions_by_name["export"].isEnabled()
    assert not window.actions_by_name["save_fit"].isEnabled()
    assert window.actions_by_name["open_files"].isEnabled()


def test_the_sheet_shows_every_shortcut(qtbot):
    text = " ".join(keys for rows in sheet_rows().values() for keys, _ in rows)
    for action in all_actions():
        assert not action.shortcuts or action.shortcuts[0] in text
    qtbot.addWidget(ShortcutSheet())


def test_files_can_be_dropped(window, qtbot, tmp_path):
    paths = [tmp_path / "a.nii", tmp_path / "b.nii"]
    with qtbot.waitSignal(window.paths_dropped) as dropped:
        assert drop(window, paths)
    assert dropped.args == [paths]


def test_what_is_no_file_is_refused(window):
    assert not drop(window, [])
    assert QUrl("https://example.org/a.nii").isLocalFile() is False


def test_recent_files_can_be_chosen_in_the_menu(window, qtbot, tmp_path):
    groups = [[tmp_path / "a.nii"], [tmp_path / "b.nii", tmp_path / "c.nii"]]
    window.set_recent(groups)
    actions = [action for action in window._recent_menu.actions() if action.data()]
    with qtbot.waitSignal(window.recent_requested) as chosen:
        actions[1].trigger()
    assert chosen.args == [groups[1]]


def test_settings_remember(tmp_path):
    files = []
    for k in range(MAX_RECENT + 3):
        files.append(tmp_path / f"{k}.nii")
        files[-1].touch()
        Settings(tmp_path / "s.ini").add_recent([files[-1]])
    settings = Settings(tmp_path / "s.ini")
    assert settings.recent()[0] == [files[-1]]
    assert len(settings.recent()) == MAX_RECENT
    files[-1].unlink()
    assert settings.recent()[0] == [files[-2]]
    settings.set_folder("open", tmp_path)
    assert settings.folder("open") == tmp_path
    settings.clear_recent()
    assert settings.recent() == []
    assert recent_label([tmp_path / "a.nii", tmp_path / "b.nii"]).startswith("a.nii and 1 more")


def test_settings_that_are_damaged_are_no_settings(tmp_path):
    (tmp_path / "s.ini").write_text("[General]\nrecent={]\n")
    assert Settings(tmp_path / "s.ini").recent() == []


class TestSeriesPanel:
    @pytest.fixture
    def panel(self, qtbot):
        panel = SeriesPanel()
        qtbot.addWidget(panel)
        panel.set_rows(ROWS, "days")
        return panel

    def test_showing_rows_asks_for_nothing(self, panel, qtbot):
        with qtbot.assertNotEmitted(panel.hold_out_requested), qtbot.assertNotEmitted(panel.times_requested):
            panel.set_rows(ROWS, "days")
        assert panel.table.rowCount() == 3

    def test_a_box_holds_a_scan_out(self, panel, qtbot):
        with qtbot.waitSignal(panel.hold_out_requested) as asked:
            panel.table.item(1, HOLD_OUT).setCheckState(Qt.CheckState.Checked)
        assert asked.args == [frozenset({1, 2})]

    def test_a_box_leaves_a_scan_out(self, panel, qtbot):
        with qtbot.waitSignal(panel.exclude_requested) as asked:
            panel.table.item(2, INCLUDE).setCheckState(Qt.CheckState.Unchecked)
        assert asked.args == [frozenset({2})]

    def test_the_reference_has_no_boxes(self, panel):
        for column in (INCLUDE, HOLD_OUT):
            assert not panel.table.item(0, column).flags() & Qt.ItemFlag.ItemIsUserCheckable

    def test_times_are_given_as_typed(self, panel, qtbot):
        with qtbot.waitSignal(panel.times_requested) as asked:
            panel.table.item(1, TIME).setText("1,5")
        assert asked.args == [["0", "1,5", "2"], "days"]

    def test_a_locked_panel_takes_nothing(self, panel, qtbot):
        panel.set_locked(True)
        flags = panel.table.item(1, HOLD_OUT).flags()
        assert not flags & Qt.ItemFlag.ItemIsUserCheckable
        panel.set_locked(False)
        assert panel.table.item(1, HOLD_OUT).flags() & Qt.ItemFlag.ItemIsUserCheckable


class TestOverlayPanel:
    @pytest.fixture
    def panel(self, qtbot):
        panel = OverlayPanel()
        qtbot.addWidget(panel)
        panel.set_available(has_series=True, has_trajectory=True)
        return panel

    def test_setters_ask_for_nothing(self, panel, qtbot):
        with qtbot.assertNotEmitted(panel.overlays_requested), qtbot.assertNotEmitted(panel.window_requested):
            panel.set_overlays(OverlaySettings(jacobian=True, jacobian_opacity=0.3, quiver=True, quiver_scale=4))
            panel.set_window_range(-100, 900)
            panel.set_window(10, 500)

    def test_the_opacity_is_there_for_growth_and_for_brightness(self, panel):
        for overlays, on in (
            (OverlaySettings(), False),
            (OverlaySettings(quiver=True), False),
            (OverlaySettings(jacobian=True), True),
            (OverlaySettings(brightness=True), True),
        ):
            panel.set_overlays(overlays)
            assert panel.opacity.isEnabled() is on
        panel.set_available(has_series=True, has_trajectory=False)
        assert not panel.opacity.isEnabled()

    def test_requests(self, panel, qtbot):
        with qtbot.waitSignal(panel.overlays_requested) as asked:
            panel.opacity.setValue(25)
        assert asked.args[0].jacobian_opacity == 0.25
        with qtbot.waitSignal(panel.show_requested) as asked:
            qtbot.mouseClick(panel.shows["difference"], Qt.MouseButton.LeftButton)
        assert asked.args == ["difference"]
        panel.set_window_range(0, 100)
        panel.set_window(0, 100)
        with qtbot.waitSignal(panel.window_requested) as asked:
            panel.hi.setValue(50)
        assert asked.args == [0, 50]

    def test_one_colour_map_is_switched_on_in_place_of_another(self, panel, qtbot):
        panel.set_overlays(OverlaySettings(jacobian=True, quiver=True))
        with qtbot.waitSignal(panel.overlays_requested) as asked:
            panel.brightness.click()
        assert asked.args == [OverlaySettings(brightness=True, quiver=True)]
        panel.set_overlays(asked.args[0])
        with qtbot.waitSignal(panel.overlays_requested) as asked:
            panel.brightness.click()
        assert asked.args == [OverlaySettings(quiver=True)]

    def test_what_cannot_be_shown_is_off(self, panel):
        panel.set_available(has_series=True, has_trajectory=False)
        assert panel.shows["observed"].isEnabled()
        assert not panel.shows["prediction"].isEnabled()
        assert not panel.jacobian.isEnabled()


class TestBanner:
    def test_the_remedy(self, qtbot):
        banner = Banner()
        qtbot.addWidget(banner)
        banner.set_message("The grids differ.", remedy=("resample", "Resample onto the first scan"))
        assert banner.button.text() == "Resample onto the first scan"
        with qtbot.waitSignal(banner.remedy_requested) as asked:
            qtbot.mouseClick(banner.button, Qt.MouseButton.LeftButton)
        assert asked.args == ["resample"]
        assert banner.text == ""

    def test_without_a_remedy_there_is_no_button(self, qtbot):
        banner = Banner()
        qtbot.addWidget(banner)
        banner.set_message("It is no NIfTI.")
        assert banner.isVisibleTo(None)
        assert not banner.button.isVisibleTo(banner)


class TestExportDialog:
    @pytest.fixture
    def dialog(self, qtbot, tmp_path):
        dialog = ExportDialog({"predictions": "Volumes", "metrics_csv": "Metrics"})
        qtbot.addWidget(dialog)
        dialog.set_fit((0.0, 10.0, 30.0), "days", 12.5, "neighbours", has_report=True)
        dialog.set_folder(tmp_path)
        return dialog

    def test_a_request(self, dialog, qtbot, tmp_path):
        dialog.even.setChecked(True)
        dialog.count.setValue(4)
        with qtbot.waitSignal(dialog.export_requested) as asked:
            qtbot.mouseClick(dialog.export, Qt.MouseButton.LeftButton)
        times = (0.0, 10.0, 20.0, 30.0)
        names = ("predictions", "metrics_csv")
        assert asked.args == [ExportRequest(names, times, tmp_path, "neighbours", picture=True)]

    @pytest.mark.parametrize(
        ("choice", "times"),
        [("at_scans", (0.0, 10.0, 30.0)), ("now", (12.5,)), ("custom", (1.0, 2.5))],
    )
    def test_times(self, dialog, choice, times):
        dialog.custom_times.setText("1; 2.5")
        getattr(dialog, choice).setChecked(True)
        assert dialog.times() == times

    def test_held_out_scans_can_be_exported_too(self, dialog):
        assert dialog.at_all.isHidden()
        dialog.set_fit((0.0, 30.0), "days", 0.0, "neighbours", has_report=True, all_times=(0.0, 10.0, 30.0))
        assert not dialog.at_all.isHidden()
        assert "all 3 scans" in dialog.at_all.text()
        assert dialog.times() == (0.0, 10.0, 30.0)
        dialog.at_scans.setChecked(True)
        assert "2 scans that the fit has seen" in dialog.at_scans.text()
        assert dialog.times() == (0.0, 30.0)

    def test_what_would_be_replaced_is_said(self, dialog, tmp_path):
        assert dialog.replaced.isHidden()
        old = tmp_path / "old"
        old.mkdir()
        (old / "predict.json").write_text('{"files": ["metrics.csv"], "predictions": []}')
        (old / "metrics.csv").touch()
        dialog.set_folder(old)
        assert not dialog.replaced.isHidden()
        assert "metrics.csv, predict.json" in dialog.replaced.text()
        assert dialog.export.text() == "Replace"
        dialog.set_folder(tmp_path / "new")
        assert dialog.replaced.isHidden()
        assert dialog.export.text() == "Export"

    def test_a_fresh_folder(self, tmp_path):
        assert unused(tmp_path / "out") == tmp_path / "out"
        (tmp_path / "out").mkdir()
        (tmp_path / "out-2").mkdir()
        assert unused(tmp_path / "out") == tmp_path / "out-3"

    def test_what_is_wrong_is_said(self, dialog, qtbot):
        dialog.custom.setChecked(True)
        dialog.custom_times.setText("1, x")
        with qtbot.assertNotEmitted(dialog.export_requested):
            dialog.request_export()
        assert "'x' is not a time" in dialog.message.text()
        for box in dialog.boxes.values():
            box.setChecked(False)
        dialog.request_export()
        assert "Nothing is chosen" in dialog.message.text()

    def test_without_a_fit_only_the_picture(self, dialog):
        dialog.set_fit((), "", 0.0, "neighbours", has_report=False)
        assert [key for key, box in dialog.boxes.items() if box.isEnabled()] == [PICTURE]

    def test_closing_while_it_writes_cancels(self, dialog, qtbot):
        dialog.set_progress(0.5, "Writing")
        with qtbot.waitSignal(dialog.cancel_requested):
            qtbot.mouseClick(dialog.close_button, Qt.MouseButton.LeftButton)

    @pytest.mark.parametrize("text", ["", " , ", "1, two", "nan", "1e999"])
    def test_times_that_are_none(self, text):
        with pytest.raises(ValueError, match="time"):
            parse_times(text)


@pytest.mark.parametrize(("argument", "answer"), [("--help", "usage: noder-viewer"), ("--version", "noder-viewer 0.")])
def test_questions_are_answered_without_a_display_and_without_torch(argument, answer):
    code = (
        "import sys; from noder_viewer.__main__ import main\n"
        f"try: main([{argument!r}])\n"
        "except SystemExit as end: print(end.code, sorted({'torch', 'PySide6', 'napari'} & set(sys.modules)))"
    )
    environment = {"PATH": "", "QT_QPA_PLATFORM": "xcb"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert answer in run.stdout
    assert run.stdout.strip().endswith("0 []")


def test_the_window_is_made_without_torch_and_napari():
    code = (
        "import sys; from PySide6.QtWidgets import QApplication; app = QApplication([])\n"
        "from pathlib import Path; import tempfile\n"
        "from noder_viewer.controller import Controller; from noder_viewer.main_window import MainWindow\n"
        "from noder_viewer.session import Session; from noder_viewer.settings import Settings\n"
        "controller = Controller(MainWindow(), Session(), Settings(Path(tempfile.mkdtemp()) / 's.ini'))\n"
        "controller.window.show(); print(sorted({'torch', 'napari', 'vispy'} & set(sys.modules)))\n"
        "controller.window.close()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_no_tabs_of_another_layout_lie_behind_the_centre(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    window = controller.window
    bars = window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
    shown = [bar for bar in bars if bar.isVisible()]
    assert sorted(bar.count() for bar in shown) == [2, 4]
    assert not any(bar.geometry().intersects(window.centralWidget().geometry()) for bar in shown)
    controller.shut_down()
