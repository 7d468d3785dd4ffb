"""Methods side by side as data: what each pane shows of scans whose values are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from doubles import ArrayImage, GrowingTrajectory, ras_grid

from noder.carriers import SeenScan
from noder.preprocess import Gain
from noder_viewer import methods_scene
from noder_viewer.fit_rows import Asked, FitRow
from noder_viewer.jobs import FitChoice
from noder_viewer.session import Methods, Session

GRID = ras_grid((16, 18, 12))
TIMES = (0.0, 1.0, 3.0, 4.0)
LEVELS = (10.0, 20.0, 40.0, 80.0)
HELD_OUT, EXCLUDED = 1, 3
GAIN = Gain(2.0, 5.0)


class Fitted(GrowingTrajectory):
    """Sees the scans 0 and 2, matched; predicts a level that tells what it was asked for."""

    def __init__(self, images, level):
        super().__init__(GRID, images[0].tensor(), times=[0.0, 3.0])
        self.seen = (
            SeenScan(0, 0.0, "a", images[0].tensor()),
            SeenScan(2, 3.0, "c", images[2].tensor(), gain=GAIN),
        )
        self.level, self.asked = level, []

    @property
    def scans(self):
        return self.seen

    def predict(self, t, grid=None, carry="neighbours", *, without=None):
        self.asked.append((t, carry, without))
        return torch.full((1, *(grid or GRID).shape), self.level)


@pytest.fixture
def session():
    images = [ArrayImage(np.full(GRID.shape, level), GRID, f"scan_{k}.nii") for k, level in enumerate(LEVELS)]
    scans = tuple(SimpleNamespace(image=image, time=t) for image, t in zip(images, TIMES, strict=True))
    series = SimpleNamespace(scans=scans, unit="days", grid=GRID, times=list(TIMES), reference=scans[0])
    roles = ("reference", "held out", "seen", "excluded")
    rows = []
    for key, (level, score) in enumerate(((111.0, 0.1), (222.0, 0.2)), start=1):
        report = [
            {"role": role, "gain": 1.0, "offset": 0.0, "neighbours": {"nrmse_mask": score + k},
             "blend": {"nrmse_mask": 0.5 + k}, "nearest": {"nrmse_mask": 0.7 + k}}
            for k, role in enumerate(roles)
        ]  # fmt: skip
        result = SimpleNamespace(
            trajectory=Fitted(images, level), series=series, report=SimpleNamespace(rows=report),
            config=SimpleNamespace(hold_out=(HELD_OUT,), exclude=(EXCLUDED,)),
        )  # fmt: skip
        rows.append(FitRow(key, f"fit number {key}", Asked(series, FitChoice()), "done", result=result))
    return Session(
        series=series, fits=tuple(rows), shown_fit=1, result=rows[0].result, window=(0.0, 100.0), time=1.0,
        exclude=frozenset({EXCLUDED}), hold_out=frozenset({HELD_OUT}),
        methods=Methods(True, 2, ("observed", "fit 1", "fit 2", "blend")),
    )  # fmt: skip


def image(session, pane):
    return methods_scene.pane_scene(session, pane).images[0]


def level(session, pane):
    values = np.unique(image(session, pane).data)
    assert len(values) == 1
    return float(values[0])


def test_each_pane_shows_its_own_fit_and_its_own_score(session):
    assert (level(session, "fit 1"), level(session, "fit 2")) == (111.0, 222.0)
    assert methods_scene.score(session, "fit 1") == pytest.approx(1.1)
    assert methods_scene.score(session, "fit 2") == pytest.approx(1.2)
    assert "fit number 2: NRMSE 1.2000 at scan 1 (held out)" in image(session, "fit 2").title
    assert session.result is session.fits[0].result  # looking changes nothing


def test_trivial_predictions_are_made_of_seen_scans_as_they_were_matched(session):
    third = 2 * LEVELS[2] + 5
    assert level(session, "observed") == LEVELS[1]
    assert level(session, "nearest") == LEVELS[0]  # scan 1 was not seen
    assert level(session, "unchanged") == LEVELS[0]
    assert level(session, "blend") == pytest.approx(2 / 3 * LEVELS[0] + 1 / 3 * third)
    session.time = 2.0
    assert level(session, "nearest") == third
    session.time = 9.0
    assert level(session, "blend") == third


def test_an_observed_scan_is_never_extrapolated_and_what_is_made_of_seen_ones_is_beyond_them(session):
    session.time = 3.5  # scan 3 comes later, and was not seen
    scenes = {pane: methods_scene.pane_scene(session, pane) for pane in ("observed", "fit 1", "nearest", "blend")}
    assert [scene.extrapolated for scene in scenes.values()] == [False, True, True, True]
    assert [scene.beyond for scene in scenes.values()] == ["", *["0.5 days beyond the last scan seen"] * 3]
    session.time = 9.0
    assert not methods_scene.pane_scene(session, "observed").extrapolated


def test_at_the_time_of_a_seen_scan_nothing_is_predicted_from_itself(session):
    session.time = 3.0
    assert level(session, "observed") == LEVELS[2]
    assert level(session, "nearest") == LEVELS[0]
    assert level(session, "blend") == LEVELS[0]
    image(session, "fit 1")
    assert session.fits[0].result.trajectory.asked[-1] == (3.0, "neighbours", 1)
    assert "without itself" in image(session, "fit 1").title
    session.carry = "first"
    image(session, "fit 1")
    assert session.fits[0].result.trajectory.asked[-1] == (3.0, "first", None)


def test_equal_looks_give_the_very_same_pictures(session):
    for pane in ("observed", "fit 1", "blend", "nearest"):
        assert image(session, pane).data is image(session, pane).data


def test_differences_are_against_the_observed_scan(session):
    session.methods = Methods(True, 2, what="difference")
    assert level(session, "fit 2") == 222.0 - LEVELS[1]
    assert image(session, "fit 2").colormap == "difference"
    assert image(session, "fit 2").levels == (-50.0, 50.0)
    assert level(session, "observed") == LEVELS[1]


def test_panes_of_fits_that_have_gone_are_left_out(session):
    session.fits = session.fits[1:]
    assert methods_scene.shown_panes(session) == ("observed", "fit 2", "blend")
    assert list(methods_scene.choices(session)) == ["fit 2", "observed", "nearest", "blend", "unchanged"]


def test_the_shown_fit_stands_first(session):
    session.shown_fit = 2
    assert methods_scene.standard_panes(session) == ("observed", "fit 2", "fit 1", "blend")
    session.fits = ()
    assert methods_scene.standard_panes(session) == ("observed", "blend", "nearest")


def test_panes_are_changed_added_and_taken_away():
    methods = Methods(panes=("observed", "blend"))
    assert methods_scene.with_pane(methods, 1, "nearest").panes == ("observed", "nearest")
    assert methods_scene.with_pane(methods, 2, "fit 1").panes == ("observed", "blend", "fit 1")
    assert methods_scene.with_pane(methods, 0, "").panes == ("blend",)
    four = Methods(panes=("observed",) * 4)
    assert len(methods_scene.with_pane(four, 4, "blend").panes) == 4


def test_without_a_fit_there_is_no_score_and_the_boxes_say_what_is_seen(session):
    session.fits, session.result, session.shown_fit = (), None, 0
    assert level(session, "blend") == pytest.approx(2 / 3 * LEVELS[0] + 1 / 3 * LEVELS[2])
    assert "not scored" in image(session, "blend").title
    assert methods_scene.score(session, "blend") is None
