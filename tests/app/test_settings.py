"""The settings dialog and what it changes: each setting does something, and is remembered."""

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog
from window_kit import TIMEOUT_MS, engine, make_controller, write_scans

from noder_viewer import cores
from noder_viewer.preferences import LAST, Preferences
from noder_viewer.settings import Settings

LEFT = Qt.MouseButton.LeftButton
Button = QDialogButtonBox.StandardButton


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window):
        controller.window.show()
    controller.window.activateWindow()
    qtbot.wait(30)
    yield controller
    controller.shut_down()


def shown(qtbot, controller):
    qtbot.keyClick(controller.window, Qt.Key.Key_Comma, Qt.KeyboardModifier.ControlModifier)
    dialog = controller.preferring.dialog
    assert dialog.isVisible()
    return dialog


def accept(qtbot, dialog):
    qtbot.mouseClick(dialog.buttons.button(Button.Ok), LEFT)


def test_they_are_remembered_and_nonsense_is_the_default(tmp_path):
    path = tmp_path / "window.ini"
    wanted = Preferences("radiological", "cpu", 3, 10, LAST, str(tmp_path))
    Settings(path).set_preferences(wanted)
    assert Settings(path).preferences() == wanted
    path.write_text("[preferences]\nthreads=many\nautosave_minutes=100\nconvention=upside down\ndevice=cpu\n")
    assert Settings(path).preferences() == Preferences(device="cpu")


def test_the_dialog_by_keyboard_and_mouse(qtbot, controller):
    dialog = shown(qtbot, controller)
    assert all(editor.accessibleName() for editor in dialog.form.editors.values())
    convention = dialog.form.editors["convention"]
    convention.setFocus()
    qtbot.keyClick(convention, Qt.Key.Key_Down)
    accept(qtbot, dialog)
    assert not dialog.isVisible()
    assert controller.session.radiological
    assert controller.settings.preferences().convention == "radiological"


def test_cancel_changes_nothing_and_the_defaults_come_back(qtbot, controller):
    controller.settings.set_preferences(Preferences(threads=5))
    dialog = shown(qtbot, controller)
    assert dialog.form.editors["threads"].value() == 5
    qtbot.mouseClick(dialog.buttons.button(Button.RestoreDefaults), LEFT)
    assert dialog.form.editors["threads"].value() == 0
    qtbot.mouseClick(dialog.buttons.button(Button.Cancel), LEFT)
    assert controller.settings.preferences() == Preferences(threads=5)


def test_the_convention_holds_from_the_start(qtbot, tmp_path):
    Settings(tmp_path / "window.ini").set_preferences(Preferences(convention="radiological"))
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    assert controller.session.radiological
    assert not controller.undoing.history.done
    controller.shut_down()


def test_threads_limit_what_torch_takes(qtbot, controller, monkeypatch):
    import torch

    engine(qtbot, controller)
    before = torch.get_num_threads()
    monkeypatch.setattr(cores, "_cores", [6])
    try:
        for wanted, alone, beside in ((2, 2, 2), (0, 6, 5), (6, 6, 5)):
            dialog = shown(qtbot, controller)
            dialog.form.editors["threads"].setValue(wanted)
            accept(qtbot, dialog)
            cores.share_cores(leave_one=False)
            assert torch.get_num_threads() == alone
            cores.share_cores(leave_one=True)
            assert torch.get_num_threads() == beside
    finally:
        cores.limit_cores(0)
        torch.set_num_threads(before)


def test_the_interval_of_the_autosave(qtbot, controller):
    assert controller.autosave._timer.interval() == 60_000
    dialog = shown(qtbot, controller)
    dialog.form.editors["autosave_minutes"].setValue(5)
    accept(qtbot, dialog)
    assert controller.autosave._timer.interval() == 300_000
    dialog = shown(qtbot, controller)
    dialog.form.editors["autosave_minutes"].setValue(0)
    accept(qtbot, dialog)
    assert not controller.autosave._timer.isActive()


def test_the_export_folder(qtbot, controller, tmp_path, monkeypatch):
    folder = tmp_path / "exports"
    dialog = shown(qtbot, controller)
    dialog.form.editors["export_folder"].setText(str(folder))
    accept(qtbot, dialog)
    assert dialog.isVisible()
    assert "is no folder" in dialog.error.text()
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    qtbot.mouseClick(dialog.browse, LEFT)
    accept(qtbot, dialog)
    controller.settings.set_folder("export", tmp_path)
    assert controller.settings.folder("export") == folder
    assert controller.settings.folder("open") != folder


def test_the_device_of_both_panels(qtbot, tmp_path):
    Settings(tmp_path / "window.ini").set_preferences(Preferences(device="cpu"))
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    engine(qtbot, controller)
    assert controller.window.fit_panel.choice().device == "cpu"
    assert controller.window.register_panel.device.currentData() == "cpu"
    controller.shut_down()


def test_what_was_open_last_is_opened_at_start(qtbot, controller, tmp_path):
    controller.settings.add_recent(write_scans(tmp_path, 2))
    controller.preferring.open_last()
    assert not controller.session.activity
    preferences = dataclasses.replace(controller.settings.preferences(), reopen=LAST)
    controller.settings.set_preferences(preferences)
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        controller.preferring.open_last()
    assert len(controller.session.times) == 2
