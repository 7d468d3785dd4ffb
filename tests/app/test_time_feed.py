"""What the timeline is told of a fit, in the real window: bars, the band of the seeds, and the jump of a period."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from window_kit import TIMEOUT_MS, choose_iterations, engine, make_controller, open_and_wait, write_scans

from noder.evaluate import rows_of
from noder.periods import Jump, jump_at
from noder.store import load_result, save_result
from noder_viewer.time_feed import LIVE, SCORING, jump_words
from noder_viewer.time_jobs import ScoreLive, Spread

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def controller(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    controller.window.show()
    engine(qtbot, controller)
    yield controller
    controller.shut_down()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A saved fit of four scans from two seeds, scan 2 held out, and its scans."""
    from noder.fit_config import FitConfig, preset_settings
    from noder.series import ImageSeries
    from noder.spread import seeds_steps

    place = tmp_path_factory.mktemp("fit")
    series = ImageSeries.from_paths(write_scans(place), times=[0, 1, 2, 4], unit="years")
    settings = dataclasses.replace(
        preset_settings("noder", "fast"), coarse_iterations=6, middle_iterations=4, fine_iterations=0
    )
    steps = seeds_steps(series, FitConfig(settings=settings, hold_out=(2,)), 2)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        save_result(end.value, place / "out")
    return place / "out"


def settled(qtbot, controller):
    """Wait until all has come to the timeline."""
    qtbot.waitUntil(lambda: not (controller.time_feed.busy or controller.presenter.busy), timeout=TIMEOUT_MS)
    controller.presenter.refresh()


def opened(qtbot, controller, folder):
    open_and_wait(qtbot, controller, [folder])
    settled(qtbot, controller)
    return controller.window.timeline


def test_an_opened_fit_shows_the_reports_scores_and_a_click_goes_to_the_scan(qtbot, controller, folder):
    timeline = opened(qtbot, controller, folder)
    rows = controller.session.result.report.rows
    bars = timeline._strip._residuals
    assert [bar.scores["nrmse"] for bar in bars] == [row["neighbours"]["nrmse_mask"] for row in rows]
    assert [bar.role for bar in bars] == ["reference", "seen", "held out", "seen"]
    assert "without itself" in bars[1].rule
    QTest.mouseClick(timeline._strip, LEFT, pos=timeline._strip.rect_of(2).center().toPoint())
    assert controller.session.time == 2.0
    controller.set_carry("first")
    settled(qtbot, controller)
    assert [bar.scores["nrmse"] for bar in timeline._strip._residuals] == [
        row["first"]["nrmse_mask"] for row in rows[1:]
    ]
    actions = controller.window.actions_by_name
    actions["next_metric"].trigger()
    assert timeline._strip.accessibleName().endswith("SSIM")


def test_scores_that_an_earlier_version_lacked_are_computed_as_the_fit_scores(qtbot, controller, folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "earlier")
    described = json.loads((folder / "result.json").read_text())
    whole = [row["neighbours"]["ncc_mask"] for row in described["metrics"]]
    for row in described["metrics"]:
        for scores in row.values():
            if isinstance(scores, dict):
                scores.pop("ncc_mask", None)
    (folder / "result.json").write_text(json.dumps(described))
    notes = []
    strip = controller.window.timeline._strip
    set_residuals = strip.set_residuals
    strip.set_residuals = lambda bars, note="": notes.append(note) or set_residuals(bars, note)
    opened(qtbot, controller, folder)
    assert [bar.scores["ncc"] for bar in strip._residuals] == pytest.approx(whole, rel=1e-6)
    assert SCORING in notes
    assert notes[-1] == ""


def test_several_seeds_are_a_band_and_a_map_and_survive_the_folder(qtbot, controller, folder):
    timeline = opened(qtbot, controller, folder)
    session, result = controller.session, load_result(folder)
    band = timeline._band
    assert band.seeds == 2
    assert band.at(0.0) == 0.0  # at the reference all maps are the identity
    beyond = result.report.spread[-1]
    found = Spread(result, (0.0, beyond["time"]))(controllable())
    assert found.sd_mm[-1] == pytest.approx(beyond["displacement_sd_mm"], rel=0.1)
    action, box = controller.window.actions_by_name["toggle_spread"], controller.window.overlay_panel.spread
    assert action.isEnabled()
    assert box.isEnabled()
    action.trigger()
    frames = []
    for t in (1.0, 4.4):
        timeline.time_requested.emit(t)
        controller.presenter.refresh()
        frames.append(controller.presenter.scenes[2].overlays["spread"].values)
    assert frames[1].max() > frames[0].max() > 0
    assert box.isChecked()
    assert "SD mm" in controller.window.read_out.text()
    qtbot.mouseClick(box, LEFT)
    assert not session.overlays.spread


def controllable():
    class Task:
        def report(self, value):
            pass

        def check_cancelled(self):
            pass

    return Task()


def test_without_several_seeds_the_switch_is_off_and_says_how_to_get_them(qtbot, controller, tmp_path):
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    controller.presenter.refresh()
    box = controller.window.overlay_panel.spread
    assert not box.isEnabled()
    assert "Number of seeds" in box.toolTip()
    assert not controller.window.actions_by_name["toggle_spread"].isEnabled()
    assert controller.window.timeline._band is None


def test_a_period_wraps_the_time_and_tells_the_jump(qtbot, controller, folder):
    timeline = opened(qtbot, controller, folder)
    session, bar = controller.session, timeline._bar
    session.time = 4.3
    qtbot.mouseClick(bar.periodic, LEFT)
    bar.period.setValue(3.0)  # within the scans: what is told is no guess
    settled(qtbot, controller)
    assert session.period == 3.0
    jump = jump_at(session.result.trajectory, 3.0, session.result.mask()[0])
    assert not jump.extrapolated
    assert 0 < jump.mean_mm < jump.max_mm
    assert bar.words.text() == jump_words(jump)
    assert "extrapolated" not in bar.words.text()
    bar.period.setValue(6.0)
    settled(qtbot, controller)
    assert "extrapolated" in bar.words.text()
    assert timeline.range == (0.0, 6.0)
    assert controller.window.actions_by_name["toggle_periodic"].isChecked()
    session.time = 5.5
    bar.period.setValue(4.5)
    settled(qtbot, controller)
    assert session.time == pytest.approx(1.0)  # the same place in the loop
    controller.window.actions_by_name["toggle_periodic"].trigger()
    settled(qtbot, controller)
    assert session.period is None
    assert timeline.range[0] < 0
    controller.window.actions_by_name["toggle_mode"].trigger()
    assert timeline._mode == "there and back"


def test_another_series_is_no_loop(qtbot, controller, folder, tmp_path):
    opened(qtbot, controller, folder)
    controller.time_feed.set_period(5.0)
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    settled(qtbot, controller)
    assert controller.session.period is None
    assert controller.window.timeline.range[1] > 3.0
    assert controller.window.timeline._strip._residuals == []


def test_words_of_a_jump_say_where_it_is_a_guess():
    assert jump_words(Jump(1.234, 7.89, extrapolated=False)) == "jump of 1.2 mm, 7.9 mm at most"
    assert jump_words(Jump(1.234, 7.89, extrapolated=True)).endswith(": extrapolated")


def test_bars_live_while_it_fits_and_are_the_reports_after(qtbot, controller, tmp_path):
    notes = []
    strip = controller.window.timeline._strip
    set_residuals = strip.set_residuals
    strip.set_residuals = lambda bars, note="": notes.append((note, len(bars))) or set_residuals(bars, note)
    open_and_wait(qtbot, controller, write_scans(tmp_path))
    choose_iterations(controller, coarse=40, middle=20)
    qtbot.waitUntil(controller.window.fit_panel.start.isEnabled, timeout=TIMEOUT_MS)
    with qtbot.waitSignal(controller.fitting.ended, timeout=TIMEOUT_MS):
        qtbot.mouseClick(controller.window.fit_panel.start, LEFT)
    settled(qtbot, controller)
    result = controller.session.result
    assert result is not None, controller.window.banner.text
    assert (LIVE, 3) in notes
    assert notes[-1] == ("", 4)
    assert strip._residuals[1].scores["ssim"] == result.report.rows[1]["neighbours"]["ssim_mask"]


def test_the_quick_look_is_near_the_reports_number(controller, folder):
    """On all voxels of these small scans it is that of the first scan carried, sampled as on screen."""
    result = load_result(folder)
    session = dataclasses.replace(controller.session, series=result.series, hold_out=frozenset({2}))
    found = ScoreLive(session, result.trajectory)(controllable())
    mask = result.mask()[0]
    rows = list(rows_of(result.trajectory, result.series, (), result.gains, mask, only="first"))
    assert [item.time for item in found] == [1.0, 4.0]
    np.testing.assert_allclose(
        [item.scores["nrmse"] for item in found], [rows[k]["first"]["nrmse_mask"] for k in (1, 3)], rtol=0.15
    )
    assert all("ssim" not in item.scores for item in found)
