"""Every control has a name for a screen reader and can be reached by Tab, in the window and all its dialogs."""

import pytest
from accessible_kit import controls, faults, name_of
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QPushButton, QSpinBox, QVBoxLayout, QWidget
from window_kit import TIMEOUT_MS, engine, make_controller, open_and_wait, write_scans

from noder_viewer.command_palette import CommandPalette
from noder_viewer.compare_dialogs import BaselinesDialog, LeaveOneOutDialog
from noder_viewer.layouts import LightboxSettings
from noder_viewer.left_out_dialog import LeftOutDialog
from noder_viewer.main_window import MainWindow
from noder_viewer.settings import Settings
from noder_viewer.shortcuts import ShortcutSheet
from noder_viewer.variant_dialog import VariantDialog


@pytest.fixture
def opened(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window, timeout=TIMEOUT_MS):
        controller.window.show()
    engine(qtbot, controller)
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    controller.session.lightbox = LightboxSettings("scans")
    controller.window.actions_by_name["layout_lightbox"].trigger()
    qtbot.waitUntil(lambda: not controller.arranging.busy, timeout=TIMEOUT_MS)
    yield controller
    controller.shut_down()


def test_the_walk_finds_what_it_is_for(qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    layout = QVBoxLayout(window)
    silent, unreachable, good = QSpinBox(), QPushButton("Go"), QPushButton("Stop")
    unreachable.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    for widget in (silent, unreachable, good):
        layout.addWidget(widget)
    first, second = faults(window)
    assert first.startswith("no name: QSpinBox")
    assert second.startswith("not by Tab: QPushButton")
    assert len(list(controls(window))) == 3  # the spin box's own line is not counted


def test_the_window_and_all_its_dialogs(opened):
    window = opened.window
    opened.exporting.show_dialog()
    for action in ("show_shortcuts", "show_about"):
        window.actions_by_name[action].trigger()
    QApplication.processEvents()
    dialogs = window.findChildren(QDialog)
    assert len(dialogs) >= 3
    assert len(list(controls(window))) > 60
    assert faults(window) == []
    for dialog in dialogs:
        dialog.close()


def test_tab_goes_round_through_every_control_that_is_on_screen(qtbot, opened):
    window = opened.window
    window.actions_by_name["layout_four"].trigger()
    opened.presenter.refresh()
    window.activateWindow()
    window.slices[2].setFocus()
    qtbot.waitUntil(lambda: QApplication.focusWidget() is window.slices[2], timeout=TIMEOUT_MS)
    seen = []
    for _ in range(200):
        focus = QApplication.focusWidget()
        if focus in seen:
            break
        seen.append(focus)
        QTest.keyClick(focus, Qt.Key.Key_Tab)
    wanted = [widget for widget in controls(window) if widget.isVisible() and widget.isEnabled()]
    missed = [name_of(widget) for widget in wanted if widget not in seen and not _radio_like(widget)]
    assert missed == []


def _radio_like(widget: QWidget) -> bool:
    """Of exclusive buttons one takes the focus for all; the arrow keys go through them."""
    return isinstance(widget, QPushButton) and widget.group() is not None


@pytest.mark.parametrize("kind", [BaselinesDialog, LeaveOneOutDialog, VariantDialog, ShortcutSheet])
def test_dialogs_that_open_on_demand(qtbot, kind):
    dialog = kind()
    qtbot.addWidget(dialog)
    assert len(list(controls(dialog))) >= 2
    assert faults(dialog) == []


def test_the_table_of_left_out_scans_and_the_palette(qtbot, tmp_path):
    window = MainWindow()
    qtbot.addWidget(window)
    for dialog in (LeftOutDialog(Settings(tmp_path / "s.ini")), CommandPalette(window.actions_by_name)):
        qtbot.addWidget(dialog)
        assert faults(dialog) == []
