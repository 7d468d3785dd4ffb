"""Widgets die in the GUI thread, or the program dies with them."""

import gc
import threading
import weakref

from PySide6.QtCore import QCoreApplication, QEvent, QObject
from window_kit import choose_iterations, engine, make_controller, open_and_wait, write_scans

from noder_viewer.fit_thread import FitThread
from noder_viewer.garbage import GuiGarbage


def test_the_thread_of_a_fit_never_collects(qtbot, tmp_path, monkeypatch):
    collecting = []
    run = FitThread.run

    def watched(self):
        run(self)
        collecting.append(gc.isenabled())

    monkeypatch.setattr(FitThread, "run", watched)
    controller = make_controller(tmp_path)
    engine(qtbot, controller)
    open_and_wait(qtbot, controller, write_scans(tmp_path, 2))
    choose_iterations(controller, coarse=2)
    with qtbot.waitSignal(controller.fitting.ended, timeout=60_000):
        controller.window.fit_panel.request_start()
    controller.shut_down()
    assert collecting == [False]
    assert gc.isenabled()


def test_the_timer_collects_what_is_due_in_the_gui_thread(qtbot):
    class Knot:
        def __init__(self):
            self.me = self

    buried = []

    class Told(Knot):
        def __del__(self):
            buried.append(threading.current_thread())

    owner = QObject()
    garbage = GuiGarbage(owner)
    try:
        for _ in range(2000):
            Told()
        assert not buried
        qtbot.waitUntil(lambda: bool(buried), timeout=5000)
    finally:
        garbage.shut_down()
    assert set(buried) == {threading.main_thread()}


def test_while_imports_run_only_the_youngest_are_looked_at(qtbot, monkeypatch):
    """What they load is spared for good at their end: looking at all of it just before would stall the window."""
    owner, looked = QObject(), []
    garbage = GuiGarbage(owner)
    try:
        monkeypatch.setattr("noder_viewer.garbage.gc.get_count", lambda: (10**6, 10**6, 10**6))
        monkeypatch.setattr("noder_viewer.garbage.gc.collect", looked.append)
        garbage.wait_for_imports(run=True)
        garbage.collect()
        garbage.wait_for_imports(run=False)
        garbage.collect()
    finally:
        garbage.shut_down()
    assert looked == [0, 2]


def test_a_closed_window_lets_go_of_its_session(qtbot, tmp_path):
    """Scans and maps are held by it: a program that opens several windows must not keep those of the former ones."""
    controller = make_controller(tmp_path)
    engine(qtbot, controller)
    open_and_wait(qtbot, controller, write_scans(tmp_path, 2))
    held = weakref.ref(controller.session), weakref.ref(controller.session.series)
    controller.shut_down()
    controller.window.close()
    controller.window.deleteLater()
    controller.deleteLater()
    del controller
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def gone():
        gc.collect()
        return all(each() is None for each in held)

    qtbot.waitUntil(gone, timeout=5000)
