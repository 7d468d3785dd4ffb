"""What tests of projects share: windows that keep their autosaves apart, and saving and opening in them."""

from __future__ import annotations

from window_kit import TIMEOUT_MS, drop, engine, make_controller

from noder_viewer.autosave import FILE


def windows(qtbot, tmp_path, monkeypatch):
    """A fixture's function: makes controllers on shown windows, which keep their autosaves in one folder of a test."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = []

    def one(name="window"):
        (tmp_path / name).mkdir(exist_ok=True)
        controller = make_controller(tmp_path / name)
        qtbot.addWidget(controller.window)
        with qtbot.waitExposed(controller.window):
            controller.window.show()
        engine(qtbot, controller)
        controller.window.activateWindow()
        qtbot.wait(30)
        made.append(controller)
        return controller

    yield one
    for controller in made:
        controller.shut_down()


def saved(qtbot, controller, path):
    with qtbot.waitSignal(controller.projects.saved, timeout=TIMEOUT_MS):
        controller.projects.write(path)
    return path


def opened(qtbot, controller, path):
    with qtbot.waitSignal(controller.projects.taken, timeout=TIMEOUT_MS):
        assert drop(controller.window, [path])
    controller.register_view.refresh()
    return controller


def autosaved(qtbot, controller):
    controller.autosave.save()
    qtbot.waitUntil(lambda: not controller.autosave.busy, timeout=TIMEOUT_MS)
    assert (controller.autosave.folder / FILE).is_file()
    return controller.autosave.folder
