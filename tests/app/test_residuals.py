"""A bar for each scan: what it measures, where it stands, and how mouse and keys come to the scan."""

from types import SimpleNamespace
from typing import Any

import pytest
from doubles import move
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QToolTip

from noder_viewer.residual_strip import NOTHING, ResidualStrip
from noder_viewer.residuals import is_complete, residuals_of, top_of

NAMES = ["a", "b", "c", "d"]


def scores(nrmse: float, **more: float) -> dict[str, float]:
    return {"nrmse_mask": nrmse, "ssim_mask": 1 - nrmse / 2, "ncc_mask": 0.9, "nrmse": 9.0, **more}


ROWS = [
    {"index": 0, "time": 0.0, "role": "reference", "rule": "carried from scan 1, without itself",
     "neighbours": scores(0.2)},
    {"index": 1, "time": 1.0, "role": "seen", "rule": "carried from scan 0 and 3, without itself",
     "neighbours": scores(0.1), "first": scores(0.4)},
    {"index": 2, "time": 2.0, "role": "excluded", "rule": "not scored"},
    {"index": 3, "time": 4.0, "role": "held out", "rule": "carried from scan 1", "extrapolated": True,
     "neighbours": scores(0.05), "first": scores(0.3)},
]  # fmt: skip


def test_bars_are_the_reports_scores_in_the_mask_by_the_rule_that_is_shown() -> None:
    bars = residuals_of(ROWS, "neighbours", NAMES)
    assert [bar.name for bar in bars] == ["a", "b", "d"]  # an excluded scan has none
    assert [bar.height("nrmse") for bar in bars] == [0.2, 0.1, 0.05]
    assert [bar.height("ssim") for bar in bars] == pytest.approx([0.1, 0.05, 0.025])
    assert [bar.height("ncc") for bar in bars] == pytest.approx([0.1] * 3)
    assert [bar.height("nrmse") for bar in residuals_of(ROWS, "first", NAMES)] == [0.4, 0.3]
    assert bars[1].words("ssim", "years") == (
        "SSIM 0.9500 in the mask\nb, t = 1 years\nseen\ncarried from scan 0 and 3, without itself"
    )
    assert "held out, extrapolated" in bars[2].words("nrmse", "index")
    assert (top_of(bars, "nrmse"), top_of(bars[1:], "ssim"), top_of([], "ncc")) == (0.2, 0.05, 1.0)


def test_a_report_without_every_score_is_not_complete() -> None:
    def of(rows: Any) -> Any:
        return SimpleNamespace(report=None if rows is None else SimpleNamespace(rows=rows))

    assert is_complete(of(ROWS), "neighbours")
    older = [{**ROWS[0], "neighbours": {"nrmse_mask": 0.2, "ssim_mask": 0.9}}]
    assert not is_complete(of(older), "neighbours")
    assert not is_complete(of(None), "neighbours")
    assert not is_complete(of(ROWS[2:3]), "neighbours")


@pytest.fixture
def strip(qtbot: Any) -> ResidualStrip:
    widget = ResidualStrip()
    qtbot.addWidget(widget)
    widget.resize(700, 60)
    widget.set_axis((-0.5, 4.5), (0.0, 1.0), "years")
    widget.set_residuals(residuals_of(ROWS, "neighbours", NAMES))
    widget.show()
    QApplication.processEvents()
    return widget


@pytest.fixture
def asked(strip: ResidualStrip) -> list[float]:
    times: list[float] = []
    strip.time_requested.connect(times.append)
    return times


def at(strip: ResidualStrip, k: int) -> QPoint:
    bar = strip.rect_of(k)
    assert bar is not None
    return QPoint(round(bar.center().x()), round(bar.bottom()) - 1)


def test_bars_stand_at_the_times_of_their_scans_and_are_as_high_as_their_scores(strip: ResidualStrip) -> None:
    a, b, d = (strip.rect_of(k) for k in range(3))
    assert (b.center().x() - a.center().x()) * 4 == pytest.approx(d.center().x() - a.center().x())
    assert a.height() == pytest.approx(2 * b.height()) == pytest.approx(4 * d.height())
    assert a.bottom() == b.bottom() == d.bottom()
    strip.set_metric("ncc")
    assert len({strip.rect_of(k).height() for k in range(3)}) == 1


def test_a_held_out_scan_is_a_hollow_bar(strip: ResidualStrip) -> None:
    image = strip.grab().toImage()
    inside = [image.pixelColor(at(strip, k) - QPoint(0, 4)).blue() for k in (1, 2)]
    assert inside[0] > 180
    assert inside[1] < 80


def test_a_click_on_a_bar_or_beside_it_goes_to_its_scan(strip: ResidualStrip, asked: list[float]) -> None:
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=at(strip, 1))
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint(at(strip, 2).x() + 9, 12))  # above a low bar
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=QPoint((at(strip, 1).x() + at(strip, 2).x()) // 2, 30))
    QTest.mouseClick(strip, Qt.MouseButton.RightButton, pos=at(strip, 0))
    assert asked == [1.0, 4.0]
    move(strip, at(strip, 0))
    assert strip.cursor().shape() == Qt.CursorShape.PointingHandCursor


def test_resting_on_a_bar_tells_value_scan_and_role(strip: ResidualStrip) -> None:
    place = at(strip, 0)
    QApplication.sendEvent(strip, QHelpEvent(QEvent.Type.ToolTip, place, strip.mapToGlobal(place)))
    assert QToolTip.text().splitlines()[:3] == ["NRMSE 0.2000 in the mask", "a, t = 0 years", "reference"]


def test_keys_go_from_bar_to_bar_and_enter_goes_to_the_scan(strip: ResidualStrip, asked: list[float]) -> None:
    strip.set_time(3.0)
    assert strip.accessibleDescription() == NOTHING
    QTest.keyClick(strip, Qt.Key.Key_Return)  # nothing chosen yet
    QTest.keyClick(strip, Qt.Key.Key_Right)  # the nearest to the cursor
    assert "d, t = 4 years" in strip.accessibleDescription()
    QTest.keyClick(strip, Qt.Key.Key_Right)  # there is none further
    QTest.keyClick(strip, Qt.Key.Key_Left)
    assert "b, t = 1 years" in strip.accessibleDescription()
    QTest.keyClick(strip, Qt.Key.Key_Return)
    assert asked == [1.0]
    strip.set_metric("ssim")
    assert strip.accessibleName() == "Residual of each scan, SSIM"
    assert strip.accessibleDescription().startswith("SSIM 0.9500")
    strip.set_residuals([])
    QTest.keyClick(strip, Qt.Key.Key_Left)
    assert asked == [1.0]
    assert strip.accessibleDescription() == NOTHING


def test_a_score_that_is_missing_has_no_bar(strip: ResidualStrip, asked: list[float]) -> None:
    live = [{**row, "neighbours": {"nrmse_mask": 0.1}} for row in ROWS if "neighbours" in row]
    strip.set_residuals(residuals_of(live, "neighbours", NAMES), "while it fits")
    assert strip.describe(0).endswith("while it fits")
    place = at(strip, 1)
    strip.set_metric("ssim")
    assert strip.rect_of(1) is None
    assert strip.bar_at(QPointF(place)) is None
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, pos=place)
    assert asked == []
