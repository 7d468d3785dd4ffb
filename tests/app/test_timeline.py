"""Time to true scale: what is where, what mouse and keys ask for, and the clock."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from doubles import move
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip

from noder_viewer import theme
from noder_viewer.frames import Thumbnail, thumbnail_times
from noder_viewer.residuals import Residual
from noder_viewer.slice_paint import small
from noder_viewer.ticks import nice_step, ticks, words
from noder_viewer.time_jobs import Band
from noder_viewer.time_marks import clear_of, period_box
from noder_viewer.timeline import Timeline

TIMES = [0.0, 0.4, 1.0, 3.0]
ROLES = ["reference", "held out", "excluded", "seen"]


@pytest.fixture
def timeline(qtbot: Any) -> Timeline:
    widget = Timeline()
    qtbot.addWidget(widget)
    widget.resize(900, 160)
    widget.set_scans(TIMES, ["a.nii", "b.nii", "c.nii", "d.nii"], ROLES, "years")
    widget.set_time(0.0)
    widget.show()
    QApplication.processEvents()
    return widget


@pytest.fixture
def asked(timeline: Timeline) -> list[float]:
    times: list[float] = []
    timeline.time_requested.connect(times.append)
    return times


def at(timeline: Timeline, t: float) -> QPoint:
    """Where a time is on the axis, below the ticks of the scans."""
    return QPoint(round(timeline._axis.scale().to_px(t)), timeline._axis.height() - 8)


def colours(timeline: Timeline) -> np.ndarray:
    image = timeline._axis.grab().toImage().convertToFormat(timeline._axis.grab().toImage().Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return raw[..., 2::-1].astype(int)


def test_places_are_to_true_scale(timeline: Timeline) -> None:
    scale = timeline._axis.scale()
    a, b, c, d = (scale.to_px(t) for t in TIMES)
    assert (c - a) / (d - a) == pytest.approx(1 / 3)
    assert (b - a) / (d - a) == pytest.approx(0.4 / 3)
    assert scale.to_time(a + 0.3 * (d - a)) == pytest.approx(0.9)
    assert timeline._axis.range[0] < 0
    assert timeline._axis.range[1] > 3


def test_a_click_asks_for_any_real_time_and_a_drag_follows(timeline: Timeline, asked: list[float]) -> None:
    axis = timeline._axis
    pixel = (axis.range[1] - axis.range[0]) / (axis.width() - 20)
    QTest.mousePress(axis, Qt.MouseButton.LeftButton, pos=at(timeline, 2.2))
    assert asked[-1] == pytest.approx(2.2, abs=pixel)
    move(axis, at(timeline, 2.7), Qt.MouseButton.LeftButton)
    assert asked[-1] == pytest.approx(2.7, abs=pixel)
    move(axis, QPoint(axis.width() + 500, 60), Qt.MouseButton.LeftButton)
    assert asked[-1] == axis.range[1]  # not beyond what is shown
    QTest.mouseRelease(axis, Qt.MouseButton.LeftButton, pos=at(timeline, 2.7))
    move(axis, at(timeline, 1.0))
    assert len(asked) == 3


def test_a_click_on_a_scan_asks_for_its_very_time(timeline: Timeline, asked: list[float]) -> None:
    axis = timeline._axis
    QTest.mouseClick(
        axis, Qt.MouseButton.LeftButton, pos=QPoint(round(axis.scale().to_px(0.4)) + 3, round(axis._axis_y()))
    )
    assert asked == [0.4]


def test_hovering_names_the_scan(timeline: Timeline) -> None:
    axis = timeline._axis
    place = QPoint(round(axis.scale().to_px(0.4)), round(axis._axis_y()))
    QApplication.sendEvent(axis, QHelpEvent(QEvent.Type.ToolTip, place, axis.mapToGlobal(place)))
    assert QToolTip.text() == "b.nii\nt = 0.4 years\nheld out"
    assert axis.mark_at(QPointF(place) + QPointF(30, 0)) is None


def test_keys_step_and_jump(timeline: Timeline, asked: list[float]) -> None:
    timeline.set_time(1.0)
    QTest.keyClick(timeline, Qt.Key.Key_Right)
    QTest.keyClick(timeline, Qt.Key.Key_Left)
    QTest.keyClick(timeline, Qt.Key.Key_Home)
    QTest.keyClick(timeline, Qt.Key.Key_End)
    QTest.keyClick(timeline, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(timeline, Qt.Key.Key_Left, Qt.KeyboardModifier.ControlModifier)
    step = nice_step(3 / 40)
    assert asked == pytest.approx([1 + step, 1 - step, 0, 3, 3, 0.4])


def test_steps_go_on_to_round_times(timeline: Timeline, asked: list[float]) -> None:
    timeline.set_time(1.234)
    timeline.step(1)
    timeline.step(-1)
    assert asked == pytest.approx([1.3, 1.2])


def test_steps_stop_at_the_end_of_the_axis(timeline: Timeline, asked: list[float]) -> None:
    timeline.set_time(timeline._axis.range[1])
    timeline.step(1)
    assert asked == [timeline._axis.range[1]]


def test_the_number_can_be_typed_and_follows_without_asking(timeline: Timeline, asked: list[float]) -> None:
    timeline.set_time(2.5)
    assert timeline._box.value() == 2.5
    assert asked == []
    timeline._box.setValue(1.75)
    assert asked == [1.75]


@pytest.mark.parametrize("typed", ["63.1579", "63.16", "63.2"])
def test_a_scans_time_can_be_typed_as_it_is_written(timeline: Timeline, asked: list[float], typed: str) -> None:
    times = [600 * k / 19 * 2 for k in range(3)]
    timeline.set_scans([*times, 600.0], list("abcd"), ROLES, "ms")
    timeline.time_requested.connect(timeline.set_time)
    timeline._box.selectAll()
    QTest.keyClicks(timeline._box, typed)
    QTest.keyClick(timeline._box, Qt.Key.Key_Return)
    assert asked == [times[1]]
    assert timeline._box.text() == "63.1579 ms"


def test_what_is_no_scans_time_stays_as_it_was_typed(timeline: Timeline, asked: list[float]) -> None:
    timeline.set_scans([0.0, 0.44, 3.0], list("abc"), ["reference", "seen", "seen"], "years")
    for text in ("0.4", "0.441"):
        timeline._box.selectAll()
        QTest.keyClicks(timeline._box, text)
        QTest.keyClick(timeline._box, Qt.Key.Key_Return)
    assert asked == [0.4, 0.441]


def test_times_beyond_what_the_fit_has_seen_are_called_extrapolated(timeline: Timeline) -> None:
    late, early = "0.05 years beyond the last scan seen", "0.2 years before the first scan seen"
    for t, words_there in ((0.0, ""), (3.0, ""), (3.05, f"{late}: extrapolated"), (-0.2, f"{early}: extrapolated")):
        timeline.set_time(t)
        assert timeline._outside.text() == words_there
    timeline.set_scans(TIMES, list("abcd"), ["reference", "seen", "held out", "held out"], "years")
    timeline.set_time(0.7)
    assert timeline._outside.text().startswith(
        "0.3 years beyond"
    )  # scans that the fit must not see do not make it known
    zone = timeline._axis._beyond()[1]
    assert zone.left() == pytest.approx(timeline._axis.scale().to_px(0.4))


def test_hatching_stands_only_beyond_the_scans(timeline: Timeline) -> None:
    # away from the cursor, the words and the ticks
    row = colours(timeline)[-30, :, :]
    scale = timeline._axis.scale()
    first, last = round(scale.to_px(0)), round(scale.to_px(3))
    timeline.set_time(1.5)
    assert row[: first - 4].std() > 3
    assert row[last + 4 :].std() > 3
    assert row[first + 4 : last - 4].std(axis=0).max() < 3


def test_marks_tell_their_roles(timeline: Timeline) -> None:
    axis, seen = timeline._axis, colours(timeline)
    y = round(axis._axis_y())
    text = np.array(QColor(theme.TEXT).getRgb()[:3])

    def filled(t: float) -> bool:
        return bool(np.abs(seen[y - 2, round(axis.scale().to_px(t))] - text).sum() < 30)

    timeline.set_time(2.0)
    seen = colours(timeline)
    assert [filled(t) for t in (0.0, 0.4, 3.0)] == [True, False, True]
    assert not filled(1.0)  # two crossing lines
    assert "✕ excluded" in timeline._axis.legend


def test_the_cursor_is_drawn_at_its_time(timeline: Timeline) -> None:
    accent = np.array(QColor(theme.ACCENT).getRgb()[:3])
    for t in (0.7, 2.2):
        timeline.set_time(t)
        column = np.nonzero(np.abs(colours(timeline)[-40] - accent).sum(-1) < 90)[0]
        assert column.mean() == pytest.approx(timeline._axis.scale().to_px(t), abs=1.5)


def test_frames_stand_at_their_times_the_right_way_up(timeline: Timeline) -> None:
    data = np.zeros((40, 40), np.float32)
    data[25:, 25:] = 1.0  # to the patient's right, at the top
    for flip_x in (False, True):
        timeline.set_thumbnails([Thumbnail(1.5, data, (1.0, 1.0), flip_x)])
        seen = colours(timeline)
        top = round(timeline._axis._strip_top())
        rows, columns = np.nonzero((seen[top:] > 250).all(-1))
        x = timeline._axis.scale().to_px(1.5)
        assert rows.mean() + top < (top + timeline._axis.height()) / 2
        assert (columns.mean() < x) == flip_x
        assert abs(columns.mean() - x) < 30
    timeline.set_levels(0, 4)
    assert (colours(timeline)[round(timeline._axis._strip_top()) :] > 250).all(-1).sum() == 0
    timeline.set_thumbnails([(0.5, data)])


def test_frames_stay_between_the_scans_with_gaps(timeline: Timeline) -> None:
    timeline.set_thumbnails([(t, np.ones((40, 20), np.float32)) for t in thumbnail_times(0, 3, 12)])
    timeline.set_levels(0, 1)
    timeline.set_time(3.2)
    white = (colours(timeline)[round(timeline._axis._strip_top()) + 4 :] > 250).all(-1).any(axis=0)
    edges = np.nonzero(np.diff(white.astype(int)))[0]
    assert len(edges) == 24
    assert (edges[2::2] - edges[1:-1:2] >= 5).all()
    scale = timeline._axis.scale()
    assert scale.to_px(0) <= edges[0]
    assert edges[-1] <= scale.to_px(3)


def test_playing_is_requested_not_begun(timeline: Timeline, qtbot: Any) -> None:
    with qtbot.waitSignal(timeline.playing_requested) as asked:
        QTest.mouseClick(timeline._play, Qt.MouseButton.LeftButton)
    assert asked.args == [True]
    assert not timeline.is_playing


def test_the_clock_keeps_wall_time_and_goes_round(timeline: Timeline, asked: list[float], qtbot: Any) -> None:
    timeline.time_requested.connect(timeline.set_time)
    stamps: list[float] = []
    timeline.time_requested.connect(lambda _: stamps.append(time.monotonic()))
    timeline.set_speed(1.0)
    timeline.set_time(2.7)
    timeline.set_playing(True)
    began = time.monotonic()
    qtbot.waitUntil(lambda: len(asked) >= 3 and time.monotonic() > began + 0.25, timeout=20_000)
    timeline.set_playing(False)
    assert all(0 <= t <= 3 for t in asked)
    assert asked[-1] == pytest.approx((2.7 + 3 * (stamps[-1] - began)) % 3, abs=0.45)
    n = len(asked)
    QTest.qWait(80)
    assert len(asked) == n


def test_a_new_speed_does_not_jump(timeline: Timeline, asked: list[float]) -> None:
    timeline.time_requested.connect(timeline.set_time)
    timeline.set_speed(100.0)
    timeline.set_playing(True)
    QTest.qWait(100)
    before = asked[-1]
    timeline._speed.setValue(50.0)
    QTest.qWait(60)
    timeline.set_playing(False)
    assert asked[-1] == pytest.approx(before, abs=0.05)


@pytest.mark.parametrize("times", [[], [2.0]])
def test_no_series_and_one_scan_do_no_harm(qtbot: Any, times: list[float]) -> None:
    widget = Timeline()
    qtbot.addWidget(widget)
    widget.resize(300, 120)
    widget.set_scans(times, ["x"] * len(times), ["reference"] * len(times), "index")
    widget.show()
    widget.set_playing(True)
    widget.step(1)
    widget.step_scan(1)
    widget.go_last()
    assert not widget.is_playing
    assert widget.isEnabled() == bool(times)
    assert not widget.grab().isNull()


def test_round_numbers() -> None:
    assert [nice_step(v) for v in (0.03, 0.05, 0.7, 3, 60)] == pytest.approx([0.05, 0.05, 1, 5, 100])
    assert ticks(-0.3, 1.1, 4) == pytest.approx([0, 0.5, 1])
    assert words(-0.25) == "−0.25"
    assert words(12345.0) == "12345"


def test_a_period_is_a_loop_and_the_axis_says_so(timeline: Timeline, asked: list[float]) -> None:
    timeline.time_requested.connect(timeline.set_time)
    plain = colours(timeline)
    timeline.set_period(4.0)
    assert timeline.range == (0.0, 4.0)
    scale = timeline._axis.scale()
    zones = timeline._axis._beyond()
    assert zones[0].width() == 0  # nothing lies before the beginning of a loop
    assert zones[1].left() == pytest.approx(scale.to_px(3.0))  # from the last scan seen to its end: nobody knows
    accent = np.array(QColor(theme.ACCENT).getRgb()[:3])
    at_end = np.abs(colours(timeline)[:, round(scale.to_px(4.0)) - 1] - accent).sum(-1) < 60
    assert at_end.sum() > 20
    timeline.set_time(3.96)
    QTest.keyClick(timeline, Qt.Key.Key_Right)
    QTest.keyClick(timeline, Qt.Key.Key_Right)
    assert asked[-2:] == pytest.approx([4.0, 0.1])
    timeline.set_time(3.0)
    QTest.keyClick(timeline, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
    assert asked[-1] == 0.0  # after the last scan the first comes again
    QTest.keyClick(timeline, Qt.Key.Key_Left)
    assert asked[-1] == pytest.approx(3.9)
    timeline.set_period(None)
    timeline.set_time(0.0)
    assert np.array_equal(colours(timeline), plain)


def test_playing_goes_round_a_period_beyond_the_last_scan(timeline: Timeline, asked: list[float], qtbot: Any) -> None:
    timeline.time_requested.connect(timeline.set_time)
    timeline.set_period(10.0)
    timeline.set_speed(1.0)
    timeline.set_time(2.9)
    timeline.set_playing(True)
    qtbot.waitUntil(lambda: any(a > b for a, b in pairwise(asked)), timeout=20_000)
    timeline.set_playing(False)
    assert max(asked) > 3.0
    assert all(0 <= t < 10 for t in asked)


def test_there_and_back_turns_at_the_last_scan(timeline: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], []
    monkeypatch.setattr("noder_viewer.timeline.time.monotonic", lambda: now[0])
    timeline.time_requested.connect(asked.append)
    timeline._bar.mode.setCurrentIndex(1)
    timeline._bar.mode.activated.emit(1)
    timeline.set_speed(4.0)
    timeline.set_time(0.0)
    timeline.set_playing(True)
    for now[0] in (101.0, 102.0, 103.0, 104.0):
        timeline._tick()
    timeline.set_playing(False)
    assert asked[-4:] == pytest.approx([1.5, 3.0, 1.5, 0.0])


def test_the_switches_say_what_is_wanted(timeline: Timeline, qtbot: Any) -> None:
    bar = timeline._bar
    wanted: list[object] = []
    timeline.period_requested.connect(wanted.append)
    timeline.set_suggested_period(3.5, "cine.json")
    assert bar.period.value() == 3.5
    assert bar.period.suffix() == " years"
    assert "cine.json" in bar.period.toolTip()
    bar.periodic.setFocus()
    QTest.keyClick(bar.periodic, Qt.Key.Key_Space)
    timeline.set_period(3.5)
    assert not bar.mode.isEnabled()  # a period always goes round
    assert bar.words.text() == "cine.json"
    bar.period.setValue(4.25)
    timeline.set_period(4.25)
    assert "as typed" in bar.period.toolTip()
    timeline.set_period_words("jump of 1 mm: extrapolated", warning=True)
    assert "jump of 1 mm" in bar.period.toolTip()
    timeline.toggle_periodic()
    timeline.set_period(None)
    bar.period.setValue(5.0)  # no loop: a number for later
    assert wanted == [3.5, 4.25, None]
    assert bar.words.text() == ""
    assert bar.mode.isEnabled()
    for widget in (timeline._strip, bar.mode, bar.periodic, bar.period, bar.measure):
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus
        assert widget.accessibleName() or widget.text()


def test_the_band_is_as_thick_as_the_seeds_differ(timeline: Timeline) -> None:
    bare = colours(timeline)
    timeline.set_band(Band(3, (-0.3, 0.0, 1.0, 3.0, 3.3), (0.05, 0.0, 0.1, 0.2, 0.4)))
    seen, scale = colours(timeline), timeline._axis.scale()
    thick = [int((seen[:, x] != bare[:, x]).any(-1).sum()) for x in (round(scale.to_px(t)) for t in (0.7, 2.0, 3.2))]
    assert 0 < thick[0] < thick[1] < thick[2]
    timeline.set_time(2.0)
    assert timeline._outside.text() == "seeds differ by 0.15 mm"
    assert "SD of 3 seeds, 0.2 mm at most within the scans" in timeline._axis.legend
    timeline.set_fit_span(0.0, 1.0)
    assert "0.1 mm at most within" in timeline._axis.legend
    timeline.set_fit_span(0.0, 3.0)
    place = QPoint(round(scale.to_px(2.0)), round(timeline._axis._axis_y()))
    QApplication.sendEvent(timeline._axis, QHelpEvent(QEvent.Type.ToolTip, place, timeline._axis.mapToGlobal(place)))
    assert QToolTip.text().startswith("3 seeds differ by 0.15 mm at t = 2")
    timeline.set_band(None)
    assert timeline._outside.text() == ""


@pytest.mark.parametrize("t", [0.0, 0.7, 1.5, 2.2, 3.0])
def test_the_legend_gives_way_to_the_cursors_tag(timeline: Timeline, t: float) -> None:
    axis = timeline._axis
    metrics = QFontMetricsF(small(axis.font()))
    for legend in ("● seen", axis.legend, axis.legend * 4):
        axis.set_legend(legend)
        timeline.set_time(t)
        text, box = axis._legend(metrics)
        assert not box.intersects(axis._tag(metrics)[1])
        assert box.left() >= 0
        assert box.right() <= axis.width()
        assert text == legend if legend == "● seen" else len(text) > 8


def test_where_a_period_ends_no_words_lie_across_each_other(timeline: Timeline) -> None:
    """Beyond the last scan there is room for "extrapolated" only upright."""
    axis = timeline._axis
    timeline.set_period(3.09)
    QApplication.processEvents()
    (upright,) = axis._upright()
    plain = period_box(axis.scale(), 3.09, axis.height(), QFontMetricsF(small(axis.font())))
    assert plain.intersects(upright)
    assert axis._period_box() == plain.translated(upright.left() - 2 - plain.right(), 0)
    assert clear_of(QRectF(0, 0, 30, 10), [QRectF(20, 0, 10, 90)], middle=400.0).left() == 32


def test_the_bars_stand_under_their_scans(timeline: Timeline, asked: list[float]) -> None:
    scores = {"nrmse": 0.1}
    timeline.set_residuals([Residual(t, "x", "seen", "", scores) for t in TIMES])
    for period in (None, 5.0):
        timeline.set_period(period)
        for k, t in enumerate(TIMES):
            bar = timeline._strip.rect_of(k)
            assert bar is not None
            assert bar.center().x() == pytest.approx(timeline._axis.scale().to_px(t))
    bar = timeline._strip.rect_of(1)
    assert bar is not None
    QTest.mouseClick(timeline._strip, Qt.MouseButton.LeftButton, pos=bar.center().toPoint())
    assert asked == [0.4]
