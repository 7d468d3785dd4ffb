"""The card's buttons in the real window: once it is pressed, the card and the next fit's configuration have changed."""

import numpy as np
import pytest
from project_kit import windows
from PySide6.QtCore import Qt
from window_kit import TIMEOUT_MS, ball, choose_iterations, open_and_wait, write_scan, write_scans

from noder_viewer.fit_rows import Asked
from noder_viewer.jobs import make_config

LEFT = Qt.MouseButton.LeftButton

make = pytest.fixture(windows)


@pytest.fixture
def window(make, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))  # masks are written there
    controller = make()
    controller.window.show_panel(controller.window.fit_panel)
    return controller


def card(qtbot, controller):
    """What the card shows, once it is there: facts by title, and its buttons."""
    view = controller.window.fit_panel.card
    controller.cards.mark()
    qtbot.waitUntil(lambda: not controller.cards.busy, timeout=TIMEOUT_MS)
    assert view.isVisible()
    return dict(view._card.facts), view.buttons


def sentences(controller):
    return " ".join(concern.sentence for concern in controller.window.fit_panel.card._card.concerns)


def press(qtbot, controller, name):
    """Press a button of the card and give the card as it is then."""
    _, buttons = card(qtbot, controller)
    qtbot.waitUntil(buttons[name].isVisible, timeout=TIMEOUT_MS)  # a new button is laid out at the next turn
    qtbot.mouseClick(buttons[name], LEFT)
    qtbot.wait(10)
    return card(qtbot, controller)


def config(controller):
    """That of the fit which Start would begin now."""
    asked = Asked.of(controller.session, controller.window.fit_panel.choice())
    return make_config(asked.session(), asked.choice).resolved()


def open_odd(qtbot, controller, folder):
    """Of five scans the fourth lies elsewhere."""
    paths = write_scans(folder, 5)
    write_scan(paths[3], np.roll(ball(6.0), 9, axis=0))
    open_and_wait(qtbot, controller, paths)


def test_a_scan_is_dropped(qtbot, window, tmp_path):
    open_odd(qtbot, window, tmp_path)
    window.session.hold_out = frozenset({3})
    facts, _ = card(qtbot, window)
    assert facts["Scans"] == "4 seen, 1 held out"
    facts, buttons = press(qtbot, window, "drop 3")
    assert facts["Scans"] == "4 seen, 1 left out"
    assert "drop 3" not in buttons
    assert "Scan 3 is unlike" not in sentences(window)
    assert (config(window).exclude, config(window).hold_out) == ((3,), ())


def test_scans_are_aligned(qtbot, window, tmp_path):
    open_odd(qtbot, window, tmp_path)
    assert config(window).align == "none"
    _, buttons = press(qtbot, window, "align")
    assert "align" not in buttons
    assert config(window).align == "rigid"


def test_one_mask_for_all(qtbot, window, tmp_path):
    open_and_wait(qtbot, window, write_scans(tmp_path))
    facts, _ = card(qtbot, window)
    assert facts["Mask"].startswith("estimated, ")
    qtbot.mouseClick(window.window.fit_panel.card.buttons["mask"], LEFT)
    qtbot.waitUntil(lambda: window.session.mask is not None, timeout=TIMEOUT_MS)
    facts, buttons = card(qtbot, window)
    assert facts["Mask"].startswith("scan_0-foreground-")
    assert "mask" not in buttons
    assert config(window).mask == window.session.mask
    assert config(window).mask.is_relative_to(tmp_path / "home")


def test_brightness_is_matched(qtbot, window, tmp_path):
    paths = write_scans(tmp_path)
    write_scan(paths[2], 2 * ball(6.2))
    open_and_wait(qtbot, window, paths)
    assert "match" not in card(qtbot, window)[1]
    window.window.fit_panel.match.setChecked(False)
    assert not config(window).match_intensity
    facts, buttons = press(qtbot, window, "match")
    assert facts["Brightness"].endswith("; matched")
    assert "match" not in buttons
    assert config(window).match_intensity


def test_few_scans_by_the_linear_model(qtbot, window, tmp_path):
    open_and_wait(qtbot, window, write_scans(tmp_path, 3))
    card(qtbot, window)
    assert "The fit sees 3 scans" in sentences(window)
    _, buttons = press(qtbot, window, "linear")
    assert "linear" not in buttons
    assert config(window).method == "geodesic"


@pytest.mark.parametrize("changed", [False, True])
def test_half_resolution(qtbot, window, tmp_path, monkeypatch, changed):
    """Settings that the user has changed are kept but for the stage that needs the most."""
    monkeypatch.setattr("noder.card._LONG_S", 0.0)
    open_and_wait(qtbot, window, write_scans(tmp_path))
    if changed:
        choose_iterations(window, coarse=17, fine=4)
    assert config(window).settings.fine_iterations > 0
    _, buttons = press(qtbot, window, "half")
    assert "half" not in buttons
    assert config(window).settings.fine_iterations == 0
    assert config(window).preset == "fast"
    assert (config(window).settings.coarse_iterations == 17) is changed


def test_scans_of_other_grids_are_resampled_by_the_banner(qtbot, window, tmp_path):
    paths = write_scans(tmp_path)
    write_scan(paths[1], ball(5.6)[:-2])
    with qtbot.waitSignal(window.opening.failed, timeout=TIMEOUT_MS):
        window.open(paths)
    banner = window.window.banner
    assert banner.button.text() == "Resample onto the first scan"
    with qtbot.waitSignal(window.opening.opened, timeout=TIMEOUT_MS):
        qtbot.mouseClick(banner.button, LEFT)
    facts, _ = card(qtbot, window)
    assert "1 of 4 resampled onto the first" in facts["Grid"]


def test_the_fit_that_starts_is_the_one_of_the_card(qtbot, window, tmp_path):
    open_odd(qtbot, window, tmp_path)
    choose_iterations(window, coarse=3)
    press(qtbot, window, "drop 3")
    qtbot.mouseClick(window.window.fit_panel.card.buttons["mask"], LEFT)
    qtbot.waitUntil(lambda: window.session.mask is not None, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(window.fitting.ended, timeout=TIMEOUT_MS):
        window.window.fit_panel.request_start()
        qtbot.waitUntil(lambda: window.session.is_fitting, timeout=TIMEOUT_MS)
        qtbot.waitUntil(lambda: not window.cards.busy, timeout=TIMEOUT_MS)
        view = window.window.fit_panel.card
        assert not any(button.isEnabled() for button in view.buttons.values())  # what runs stays as it is
    made = window.session.result.config
    assert (made.exclude, made.mask, made.settings.coarse_iterations) == ((3,), window.session.mask, 3)
