"""What takes longer than a picture may is computed beside the window's thread, and shown once it is there."""

import dataclasses
import threading

import pytest
from fit_kit import save_fit, show_fit
from window_kit import TIMEOUT_MS

from noder_viewer import growth_maps, motion_lines, reading
from noder_viewer.lightbox import tile_times
from noder_viewer.methods_scene import pane_of
from noder_viewer.session import OverlaySettings


@pytest.fixture(scope="module")
def fit(tmp_path_factory):
    return save_fit(tmp_path_factory.mktemp("fit"))


@pytest.fixture
def shown(qtbot, tmp_path, fit):
    controller = show_fit(qtbot, tmp_path, fit)
    yield controller
    controller.shut_down()


def settle(qtbot, controller):
    def still():
        return not (controller.presenter.busy or controller.arranging.busy)

    qtbot.waitUntil(still, timeout=TIMEOUT_MS)
    controller.presenter.refresh()


@pytest.fixture
def threads(monkeypatch):
    """For each function that is watched whether its calls were in the window's thread."""
    found = {}

    def watch(module, name):
        real, calls = getattr(module, name), found.setdefault(name, [])

        def watched(*args, **words):
            calls.append(threading.current_thread() is threading.main_thread())
            return real(*args, **words)

        monkeypatch.setattr(module, name, watched)

    watch(growth_maps, "_rate_limit")
    watch(motion_lines, "_largest")
    watch(reading, "read_out")
    watch(reading, "known_of_map")
    return found


@pytest.mark.parametrize(("overlay", "scale"), [("rate", "_rate_limit"), ("contours", "_largest")])
def test_the_first_switch_computes_the_scale_beside_the_window(qtbot, shown, threads, overlay, scale):
    shown.session.overlays = OverlaySettings().switched(overlay, on=True)
    shown.presenter.refresh()
    assert overlay not in shown.presenter.scenes[2].overlays  # the picture itself does not wait
    settle(qtbot, shown)
    assert overlay in shown.presenter.scenes[2].overlays
    assert threads[scale] == [False]
    shown.session.time = 1.5
    shown.presenter.refresh()
    assert overlay in shown.presenter.scenes[2].overlays  # at once: the scale is one for all times


def test_a_chosen_range_of_the_rate_waits_for_nothing(shown, threads):
    shown.session.overlays = dataclasses.replace(OverlaySettings().switched("rate", on=True), rate_limit=5.0)
    shown.presenter.refresh()
    assert shown.presenter.scenes[2].overlays["rate"].limit == 5.0
    assert threads["_rate_limit"] == []


def test_another_since_has_contours_of_its_own_beside_the_window(qtbot, shown, threads):
    shown.session.overlays = OverlaySettings().switched("contours", on=True)
    settle(qtbot, shown)
    shown.session.overlays = dataclasses.replace(shown.session.overlays, since=1.0)
    settle(qtbot, shown)
    assert threads["_largest"] == [False, False]
    assert "contours" in shown.presenter.scenes[2].overlays


def test_panes_side_by_side_have_theirs_computed_there_too(qtbot, shown, threads):
    shown.session.overlays = OverlaySettings().switched("contours", on=True)
    pane = pane_of(shown.session.fits[0].key)
    shown.session.methods = dataclasses.replace(shown.session.methods, on=True, panes=(pane, "observed"))
    shown.comparing.refresh()
    settle(qtbot, shown)
    shown.comparing.refresh()
    assert threads["_largest"] == [False]
    assert "contours" in shown.window.methods.views[0]._scene.overlays


def test_the_lightbox_reads_beside_the_window_and_forgets_once_the_mouse_has_left(qtbot, shown, threads):
    shown.arranging.set_kind("lightbox")
    settle(qtbot, shown)
    box, session = shown.window.pictures.lightbox, shown.session
    for calls in threads.values():
        calls.clear()
    t = tile_times(session.times, session.lightbox)[1]
    place = (session.cursor_mm[0] + 3, session.cursor_mm[1] + 2, session.cursor_mm[2])
    with qtbot.waitSignal(shown.arranging.read, timeout=TIMEOUT_MS) as read:
        box.hovered.emit(t, place)
    assert read.args[0].text.startswith("mouse")
    assert threads["read_out"] == threads["known_of_map"] == [False]
    told = []
    shown.arranging.read.connect(told.append)
    box.hovered.emit(t, session.cursor_mm)
    box.left.emit()
    settle(qtbot, shown)
    qtbot.waitUntil(lambda: not shown.arranging._readings.busy, timeout=TIMEOUT_MS)
    assert told == []
