"""The live meter of the map, and the row that says since when."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import doubles
import pytest
import torch
from PySide6.QtCore import QObject, Qt
from PySide6.QtTest import QTest
from window_kit import TIMEOUT_MS, make_controller

import noder_viewer.metering as metering_module
from noder.soundness import Soundness, soundness
from noder_viewer.meter_box import WAITING, MeterBox, soundness_words
from noder_viewer.metering import Metering
from noder_viewer.overlay_panel import OverlayPanel
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.since_row import NOW, OTHER, REFERENCE, SinceRow


@dataclass
class Result:
    """What the session keeps of a fit."""

    trajectory: Any


def growing() -> doubles.GrowingTrajectory:
    grid = doubles.ras_grid((10, 12, 8))
    return doubles.GrowingTrajectory(grid, torch.zeros(1, *grid.shape))


@pytest.fixture
def made(qtbot: Any) -> Any:
    """A meter on a session with a map."""
    box, session, parent = MeterBox(), Session(), QObject()
    qtbot.addWidget(box)
    metering = Metering(box, session, parent)
    yield box, session, metering
    metering.shut_down()


def test_the_meter_follows_the_time_in_the_background(qtbot: Any, made: Any) -> None:
    box, session, metering = made
    soundness(growing(), 2.0)  # what is compiled, is compiled here
    assert box.words.text() == WAITING
    with qtbot.waitSignal(metering.shown, timeout=TIMEOUT_MS):
        session.result = Result(growing())
    with qtbot.waitSignal(metering.shown, timeout=TIMEOUT_MS):
        session.time = 2.0
    text = box.words.text()
    assert text.startswith("t = 2: no folds")
    assert "smallest determinant 0.579" in text  # 1 / 1.2^3
    assert "inverse off by" in text


def test_many_steps_in_time_are_not_queued_up(qtbot: Any, made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    box, session, metering = made
    measured, may_go = [], threading.Event()

    def slow(trajectory: Any, t: float) -> Soundness:
        measured.append(t)
        may_go.wait(20)
        return Soundness(t, 0, 0.0, 1.0, 0.0, 0.0)

    monkeypatch.setattr("noder.soundness.soundness", slow)
    monkeypatch.setattr(metering_module, "SOON_MS", 1)
    session.result = Result(growing())
    qtbot.waitUntil(lambda: measured == [0.0], timeout=TIMEOUT_MS)
    for k in range(1, 21):
        session.time = k / 10
        qtbot.wait(2)
    may_go.set()
    qtbot.waitUntil(lambda: box.words.text().startswith("t = 2:"), timeout=TIMEOUT_MS)
    assert measured == [0.0, 2.0]
    assert not metering.busy


def test_a_preview_is_measured_and_a_map_of_before_is_not_shown(qtbot: Any, made: Any, monkeypatch: Any) -> None:
    box, session, metering = made
    old, new = growing(), growing()
    counts = {id(old): 7, id(new): 0}
    monkeypatch.setattr(
        "noder.soundness.soundness", lambda trajectory, t: Soundness(t, counts[id(trajectory)], 0.01, -0.2, 0.0, 0.0)
    )
    with qtbot.waitSignal(metering.shown, timeout=TIMEOUT_MS):
        session.result = Result(old)
    assert "7 folded voxels (1 %)" in box.words.text()
    assert box.words.property("error")
    with qtbot.waitSignal(metering.shown, timeout=TIMEOUT_MS):
        session.preview = new
    assert "no folds" in box.words.text()
    assert not box.words.property("error")


def test_switched_off_it_measures_nothing_and_on_again_it_does(qtbot: Any, made: Any) -> None:
    box, session, metering = made
    session.overlays = OverlaySettings(meter=False)
    trajectory = growing()
    session.result = Result(trajectory)
    assert not metering.busy
    assert box.words.text() == WAITING
    with qtbot.waitSignal(metering.shown, timeout=TIMEOUT_MS):
        session.overlays = OverlaySettings()
    assert "no folds" in box.words.text()
    session.overlays = OverlaySettings(meter=False)
    assert box.words.text() == WAITING


def test_one_fold_is_one_voxel() -> None:
    text = soundness_words(Soundness(1.0, 1, 2e-5, -0.25, 0.01, 1.5), "1 years")
    assert text.splitlines() == [
        "t = 1 years: 1 folded voxel (0.002 %)",
        "smallest determinant −0.25",
        "inverse off by 0.01 mm (mean), 1.5 mm (max)",
    ]
    small = soundness_words(Soundness(1.0, 0, 0.0, 0.5, 4e-7, 2e-4), "1")
    assert small.endswith("inverse off by < 0.001 mm (mean), < 0.001 mm (max)")


@pytest.fixture
def row(qtbot: Any) -> SinceRow:
    made = SinceRow()
    qtbot.addWidget(made)
    made.set_scans([0.0, 1.5, 4.0], ["first", "second", "third"], "years")
    return made


def items(row: SinceRow) -> list[str]:
    return [row.scans.itemText(k) for k in range(row.scans.count())]


def test_the_row_offers_the_reference_every_other_scan_and_now(qtbot: Any, row: SinceRow) -> None:
    assert items(row) == [REFERENCE, "second", "third", NOW]
    row.set_since(None)
    assert (row.scans.currentText(), row.time.value()) == (REFERENCE, 0.0)
    assert row.time.suffix() == " years"
    wanted = [(1, 1.5), (2, 4.0), (0, None)]
    for key, since in wanted:
        with qtbot.waitSignal(row.since_requested) as asked:
            row.scans.setCurrentIndex(key)
            row.scans.activated.emit(key)
        assert asked.args == [since]
    with qtbot.waitSignal(row.now_requested):
        row.scans.setCurrentIndex(3)
        row.scans.activated.emit(3)


def test_any_time_can_be_typed_and_is_called_another_time(qtbot: Any, row: SinceRow) -> None:
    row.show()
    row.time.setFocus()
    row.time.selectAll()
    with qtbot.waitSignal(row.since_requested) as asked:
        QTest.keyClicks(row.time, "2.25")
        QTest.keyClick(row.time, Qt.Key.Key_Return)
    assert asked.args == [2.25]
    row.set_since(2.25)
    assert (row.scans.currentText(), row.time.value()) == (OTHER, 2.25)
    row.set_since(4.0)
    assert items(row) == [REFERENCE, "second", "third", NOW]
    assert row.scans.currentText() == "third"


def test_setting_the_row_asks_for_nothing(qtbot: Any, row: SinceRow) -> None:
    with qtbot.assertNotEmitted(row.since_requested):
        for since in (1.5, 2.0, None, 0.7):
            row.set_since(since)
        row.set_scans([0.0, 1.0], ["a", "b"], "days")
        row.set_since(None)


def test_the_panel_asks_for_what_is_switched_and_typed(qtbot: Any) -> None:
    panel = OverlayPanel()
    qtbot.addWidget(panel)
    panel.set_available(has_series=True, has_trajectory=True)
    asked: list[OverlaySettings] = []
    panel.overlays_requested.connect(asked.append)
    now = OverlaySettings()
    for name in ("rate", "grid", "contours", "folds", "meter"):
        panel.set_overlays(now)
        box = getattr(panel, name)
        box.setChecked(not box.isChecked())
        box.clicked.emit()
        assert asked[-1] == now.switched(name, on=not getattr(now, name)), name
    panel.grid.spacing.setValue(6.0)
    assert asked[-1].grid_spacing_mm == 6.0
    panel.rate.limit.setValue(3.5)
    assert asked[-1].rate_limit == 3.5
    panel.set_scans([0.0, 2.0], ["a", "b"], "years")
    assert panel.rate.limit.suffix() == " % per year"
    panel.since.since_requested.emit(2.0)
    assert asked[-1] == replace(now, since=2.0)
    count = len(asked)
    panel.set_overlays(OverlaySettings(since=2.0, rate=True, rate_limit=9.0, grid_spacing_mm=3.0))
    assert (panel.since.scans.currentText(), panel.rate.isChecked(), panel.rate.limit.value()) == ("b", True, 9.0)
    assert (panel.grid.spacing.value(), panel.opacity.isEnabled(), len(asked)) == (3.0, True, count)


def test_every_control_has_a_name_for_those_who_do_not_see_it(qtbot: Any) -> None:
    panel = OverlayPanel()
    qtbot.addWidget(panel)
    named = (panel.since.scans, panel.since.time, panel.rate.limit, panel.grid.spacing, panel.meter.words)
    assert all(widget.accessibleName() for widget in named)


def test_every_action_of_deformation_and_growth_changes_what_is_shown(qtbot: Any, tmp_path: Any) -> None:
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    session, actions = controller.session, controller.window.actions_by_name
    session.result = Result(growing())
    session.time = 1.5
    for name in ("toggle_rate", "toggle_grid", "toggle_contours", "toggle_folds", "toggle_meter"):
        before = session.overlays
        actions[name].setEnabled(True)
        actions[name].trigger()
        switch = name.removeprefix("toggle_")
        assert session.overlays == before.switched(switch, on=not getattr(before, switch)), name
    for name, since in (("since_now", 1.5), ("since_reference", None)):
        actions[name].setEnabled(True)
        actions[name].trigger()
        assert session.overlays.since == since, name
    session.time = 0.0
    actions["since_now"].trigger()
    assert session.overlays.since is None  # the reference's own time
    session.overlays = replace(session.overlays, since=1.0)
    session.events.series.emit(None, None)
    assert session.overlays.since is None  # a time of another series means nothing
    session.result = None
    controller.shut_down()
