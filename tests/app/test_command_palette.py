"""Every action by typed words: what is found, what is run, and the sheet made from the same table."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtPrintSupport import QPrinter
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from window_kit import TIMEOUT_MS

from noder_viewer.action_search import NEEDS, entries, found
from noder_viewer.actions import all_actions
from noder_viewer.command_palette import CommandPalette
from noder_viewer.main_window import MainWindow
from noder_viewer.palette_line import PaletteLine
from noder_viewer.shortcuts import ShortcutSheet, sheet_rows

ALL = entries()


def names(typed):
    return [entry.action.name for entry in found(typed, ALL)]


def test_nothing_typed_finds_the_whole_table_in_order():
    assert names("") == [action.name for action in all_actions()]


def test_every_action_is_first_for_its_own_menu_and_words():
    for entry in ALL:
        assert names(f"{entry.menu} {entry.words}")[0] == entry.action.name


def test_all_words_have_to_fit_in_any_order():
    assert names("slice large axial")[0] == "large_axial"
    assert "large_axial" not in names("large coronal slice")
    assert names("qqq") == []


def test_letters_in_order_fit_where_nothing_better_does():
    assert names("jcb")[0] == "toggle_jacobian"
    assert names("lghtbx")[0] == "layout_lightbox"


def test_keys_and_tips_are_searched_after_names():
    assert names("F11")[0] == "full_screen"
    assert {"toggle_jacobian", "toggle_rate"} == set(names("growth")[:2])
    assert names("save")[0] == "save_project"


def test_every_need_has_words():
    assert {action.needs for action in all_actions() if action.needs} <= set(NEEDS)


@pytest.fixture
def window(qtbot):
    window = MainWindow()
    qtbot.addWidget(window)
    with qtbot.waitExposed(window, timeout=TIMEOUT_MS):
        window.show()
    return window


@pytest.fixture
def palette(window):
    window.set_available(frozenset(action.needs for action in all_actions()))
    palette = CommandPalette(window.actions_by_name, window)
    palette.open_over(window)
    QApplication.processEvents()
    yield palette
    palette.close()


def test_every_action_runs_from_the_palette(qtbot):
    """On actions of their own: what each does is tested where it is done."""
    parent = QWidget()
    qtbot.addWidget(parent)
    ran = []
    made = {each.name: QAction(each.text, parent, checkable=each.checkable) for each in all_actions()}
    for name, each in made.items():
        each.triggered.connect(lambda _checked=False, name=name: ran.append(name))
    palette = CommandPalette(made, parent)
    for entry in ALL:
        palette.open_over(parent)
        palette.typed.setText(f"{entry.menu} {entry.words}")
        QTest.keyClick(palette.typed, Qt.Key.Key_Return)
        assert not palette.isVisible()
    assert ran == [action.name for action in all_actions()]


def test_the_arrows_go_along_the_list_while_typing_goes_on(palette):
    QTest.keyClicks(palette.typed, "large")
    QTest.keyClick(palette.typed, Qt.Key.Key_Down)
    assert palette.list.currentRow() == 1
    QTest.keyClick(palette.typed, Qt.Key.Key_Up)
    QTest.keyClick(palette.typed, Qt.Key.Key_Up)
    assert palette.list.currentRow() == 0
    QTest.keyClicks(palette.typed, " ax")
    assert palette.typed.text() == "large ax"
    assert palette.list.item(0).text() == "View › Large axial slice"


def test_what_cannot_be_run_says_what_it_needs_and_stays(qtbot, window):
    window.set_available(frozenset({"series"}))
    palette = CommandPalette(window.actions_by_name, window)
    palette.open_over(window)
    QTest.keyClicks(palette.typed, "jacobian")
    item = palette.list.item(0)
    assert not item.data(PaletteLine.RUNS)
    assert item.data(PaletteLine.KEYS) == NEEDS["map"]
    assert NEEDS["map"] in palette._foot.text()
    with qtbot.assertNotEmitted(window.actions_by_name["toggle_jacobian"].triggered):
        QTest.keyClick(palette.typed, Qt.Key.Key_Return)
    assert palette.isVisible()
    QTest.keyClick(palette.typed, Qt.Key.Key_Escape)
    assert not palette.isVisible()


def test_a_click_runs_too(qtbot, window, palette):
    QTest.keyClicks(palette.typed, "full screen")
    place = palette.list.visualItemRect(palette.list.item(0)).center()
    with qtbot.waitSignal(window.actions_by_name["full_screen"].triggered):
        QTest.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_the_sheet_is_searched(qtbot):
    sheet = ShortcutSheet()
    qtbot.addWidget(sheet)
    assert "Lightbox over time" in sheet.page.toPlainText()
    QTest.keyClicks(sheet.typed, "quiver")
    text = sheet.page.toPlainText()
    assert "Quiver" in text
    assert "Lightbox" not in text
    assert set(sheet_rows("wheel zoom")) == {"Mouse on a slice"}
    QTest.keyClicks(sheet.typed, " no such thing")
    assert "No shortcut" in sheet.page.toPlainText()


def test_the_sheet_is_printed_as_it_was_searched(qtbot, tmp_path):
    sheet = ShortcutSheet()
    qtbot.addWidget(sheet)
    whole, part = tmp_path / "whole.pdf", tmp_path / "part.pdf"
    for path in (whole, part):
        printer = QPrinter()
        printer.setOutputFormat(QPrinter.OutputFormat.PdfFormat)
        printer.setOutputFileName(str(path))
        sheet.print_on(printer)
        sheet.typed.setText("quiver")
    assert whole.read_bytes().startswith(b"%PDF")
    assert whole.stat().st_size > part.stat().st_size > 500
