"""The state of the window."""

import dataclasses
import subprocess
import sys
from types import SimpleNamespace

import pytest

from noder_viewer.session import OverlaySettings, Session
from noder_viewer.words import outcome, pending


def test_a_change_is_told_once_and_no_change_never():
    told = []
    session = Session()
    session.events.time.connect(lambda new, old: told.append((new, old)))
    session.time = 2.0
    session.time = 2.0
    assert told == [(2.0, 0.0)]


def test_overlays_change_as_a_whole():
    told = []
    session = Session()
    session.events.overlays.connect(told.append)
    session.overlays = dataclasses.replace(session.overlays, jacobian=True)
    session.overlays = OverlaySettings(jacobian=True)
    assert told == [OverlaySettings(jacobian=True)]


def test_the_preview_is_shown_before_the_result():
    session = Session(result=SimpleNamespace(trajectory="fitted"))
    assert session.trajectory == "fitted"
    session.preview = "preview"
    assert session.trajectory == "preview"


def test_the_first_scan_is_carried_until_the_neighbours_inverses_are_there():
    trajectory = SimpleNamespace(is_prepared=False)
    session = Session(result=SimpleNamespace(trajectory=trajectory))
    assert (session.carry, session.carry_shown) == ("neighbours", "first")
    trajectory.is_prepared = True
    assert session.carry_shown == "neighbours"


def test_roles():
    series = SimpleNamespace(times=[0.0, 1.0, 2.0, 3.0])
    session = Session(series=series, hold_out=frozenset({1}), exclude=frozenset({3}))
    assert session.roles() == ("reference", "held out", "seen", "excluded")
    assert Session().roles() == ()


@pytest.mark.parametrize(
    ("activity", "fitting"), [("", False), ("opening", False), ("fitting", True), ("stopping", True)]
)
def test_a_fit_runs_until_it_has_stopped(activity, fitting):
    assert Session(activity=activity).is_fitting is fitting


def test_the_fit_that_is_shown_keeps_its_roles():
    series = SimpleNamespace(times=[0.0, 1.0, 2.0])
    config = SimpleNamespace(hold_out=(1,), exclude=(), mask=None)
    session = Session(series=series, result=SimpleNamespace(config=config), hold_out=frozenset({1}))
    assert (session.roles(), pending(session)) == (session.roles_shown(), "")
    session.hold_out, session.exclude = frozenset(), frozenset({2})
    assert session.roles() == ("reference", "seen", "excluded")
    assert session.roles_shown() == ("reference", "held out", "seen")
    assert "next fit" in pending(session)
    session.preview = "of the fit with these boxes"
    assert session.roles_shown() == session.roles()


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (SimpleNamespace(rows=[{"folds": 0}, {"folds": 7}, {}], folds=7), "7 folded voxels"),
        (SimpleNamespace(rows=[{"folds": 0}], folds=0), "no folds"),
        (None, "folds not counted at full size"),
    ],
)
def test_folds_are_those_of_the_report(report, words):
    last = SimpleNamespace(step=40, seconds=2.0, folds=0)  # counted on a coarser grid
    result = SimpleNamespace(history=[last], report=report, stopped=report is None, n_seeds=1)
    assert outcome(Session(result=result)).endswith(f"after 40 steps, 2 s, {words}")
    result.n_seeds, result.provenance = 2, SimpleNamespace(seconds=5.0)
    assert outcome(Session(result=result)).endswith(f"after 40 steps from each of 2 seeds, 5 s in all, {words}")


def test_a_snapshot_brings_the_series_back():
    session = Session(series="a", result="fit of a", hold_out=frozenset({1}), time=3.0, radiological=True)
    kept = session.snapshot()
    session.series, session.result, session.hold_out, session.time = "b", None, frozenset(), 0.0
    session.radiological = False
    session.restore(kept)
    assert (session.series, session.result, session.hold_out, session.time) == ("a", "fit of a", {1}, 3.0)
    assert session.radiological is False  # a choice of the user's, not of the series


def test_neither_qt_nor_torch_is_needed():
    code = "import sys, noder_viewer.session; print(sorted({'torch', 'PySide6'} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_copy_for_a_job_has_no_signals_until_somebody_listens():
    session = Session(time=1.0)
    heard = []
    session.events.time.connect(heard.append)
    copy = dataclasses.replace(session, time=2.0)
    copy.time = 3.0
    assert "events" not in copy.__dict__
    assert (heard, session.time) == ([], 1.0)
    copy.events.time.connect(heard.append)
    copy.time = 4.0
    session.time = 5.0
    assert heard == [4.0, 5.0]
