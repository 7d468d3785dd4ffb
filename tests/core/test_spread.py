"""The spread over seeds: against numbers known beforehand, and as a fit from several seeds tells it."""

from dataclasses import replace

import pytest
import torch
from engine_kit import SHORT, box_grid, moving_series

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.ensemble import displacement_sd, maps_of, root_mean_square
from noder.errors import UsageError
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.spread import seeds_steps, spread_at
from noder.trajectory import Trajectory

CONFIG = FitConfig(settings=replace(SHORT, middle_iterations=5, fine_iterations=0), hold_out=(2,))


def run(config: FitConfig, seeds: int, stop_at: int | None = None):
    series, _ = moving_series()
    steps, seen = seeds_steps(series, config, seeds), []
    try:
        progress = next(steps)
        while True:
            seen.append(progress)
            progress = steps.send(True if stop_at is not None and len(seen) == stop_at else None)
    except StopIteration as end:
        return seen, end.value


def test_the_spread_of_known_shifts_is_their_standard_deviation() -> None:
    """Three maps shift by 1, 2 and 3 mm a unit of time along x; the image is a ramp of 10 a mm."""
    grid = box_grid(20, 1.0)
    decoder = Decoder.in_mm(grid, 4.0, 4.0)
    ramp = 10 * grid.points()[..., 0].float()[None]

    def shifting(mm: float) -> Trajectory:
        c = torch.zeros(3, *decoder.shape)
        c[0] = mm
        scans = [SeenScan(0, 0.0, "a", ramp), SeenScan(1, 4.0, "b", torch.zeros_like(ramp))]
        return Trajectory(decoder, lambda t: t * c, scans, "years")

    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[5:9, 5:15, 5:15] = True
    found = spread_at([shifting(mm) for mm in (1.0, 2.0, 3.0)], 2.0, mask, without=1)
    assert found["displacement_sd_mm"] == pytest.approx(2.0, rel=1e-4)  # sd of 2, 4, 6
    assert found["displacement_mm"] == pytest.approx(4.0, rel=1e-4)
    assert found["prediction_sd"] == pytest.approx(20.0, rel=1e-3)
    assert found["prediction_sd_relative"] == pytest.approx(
        20 / float((ramp[0][mask] + 40).square().mean().sqrt()), rel=1e-3
    )
    assert spread_at([shifting(2.0)] * 3, 2.0, mask)["displacement_sd_mm"] == 0


def test_the_first_fit_is_shown_and_the_maps_of_the_others_are_kept() -> None:
    series, _ = moving_series()
    seen, result = run(CONFIG, 3)
    alone = fit(series, CONFIG)
    assert torch.equal(result.trajectory.predict(2.5), alone.trajectory.predict(2.5))
    assert result.report.rows == alone.report.rows
    assert len(result.history) == 15
    assert result.n_seeds == 3
    seconds = [p.seconds for p in seen]
    assert seconds == sorted(seconds)  # of all fits so far, not of each alone
    assert result.provenance.seconds >= seconds[-1]
    assert [row["index"] for row in result.report.spread] == [1, 2, 3, None]
    assert [row["extrapolated"] for row in result.report.spread] == [False, False, False, True]
    assert result.report.spread[-1]["time"] == pytest.approx(4.5)
    assert all(row["seeds"] == 3 and row["displacement_sd_mm"] > 0 for row in result.report.spread)
    assert "3 fits from the seeds 0 to 2 differ" in " ".join(result.report.notes)
    steps = [p.step for p in seen if "scoring" not in p.stage]
    assert steps == list(range(1, 46))
    assert {p.total for p in seen} == {45}
    second = fit(series, replace(CONFIG, seed=1)).trajectory
    assert torch.equal(result.trajectory.others[0].field(second.grid, 2.5).u, second.field(second.grid, 2.5).u)
    assert all(other.scans is result.trajectory.scans for other in result.trajectory.others)
    assert len(result.other_models) == 2
    mask = torch.from_numpy(result.mask()[0])
    sd = displacement_sd(maps_of(result.trajectory), second.grid, 4.5)
    assert root_mean_square(sd, mask) == pytest.approx(result.report.spread[-1]["displacement_sd_mm"], rel=0.02)
    assert alone.trajectory.others == ()
    with pytest.raises(ValueError, match="two maps or more"):
        displacement_sd(maps_of(alone.trajectory), second.grid, 4.5)
    assert all(p.trajectory is None for p in seen if p.stage.startswith("seed"))


def test_stopping_leaves_the_spread_to_the_fits_that_are_done() -> None:
    _, early = run(CONFIG, 3, stop_at=4)
    assert early.stopped
    assert early.report is None
    assert early.trajectory.others == ()
    _, later = run(CONFIG, 3, stop_at=15 + 5 + 15 + 4)  # the first, its scoring, the second, some of the third
    assert not later.stopped
    assert later.report.spread[0]["seeds"] == 2
    assert len(later.trajectory.others) == len(later.other_models) == 1


@pytest.mark.parametrize(
    ("config", "seeds", "words"),
    [(FitConfig(), 0, "0 seeds"), (FitConfig(method="geodesic"), 3, "no chance in the method geodesic")],
)
def test_seeds_that_cannot_be_meant_are_refused(config: FitConfig, seeds: int, words: str) -> None:
    series, _ = moving_series()
    with pytest.raises(UsageError, match=words):
        next(seeds_steps(series, config, seeds))
