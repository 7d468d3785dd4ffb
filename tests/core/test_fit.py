"""The fit as a generator: progress, stopping, roles of scans, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import SHORT, box_grid, moving_series

from noder.errors import InputError, UsageError
from noder.fit import FitResult, fit, fit_steps
from noder.fit_config import FitConfig
from noder.image import Image
from noder.series import ImageSeries


def run(series: ImageSeries, config: FitConfig, stop_after: int | None = None) -> tuple[list, FitResult]:
    steps, seen = fit_steps(series, config), []
    try:
        progress = next(steps)
        while True:
            seen.append(progress)
            progress = steps.send(True if stop_after is not None and len(seen) >= stop_after else None)
    except StopIteration as end:
        return seen, end.value


def test_progress_counts_up_names_its_losses_and_ends_with_scores() -> None:
    series, _ = moving_series()
    seen, result = run(series, FitConfig(settings=SHORT, hold_out=(2,)))
    assert [p.step for p in seen if p.stage != "scoring"] == list(range(1, 36))
    assert [p.stage for p in seen[35:]] == ["scoring"] * 5
    assert set(seen[0].losses) == {"similarity", "smoothness", "boundary", "folding", "acceleration"}
    assert seen[34].losses["similarity"] < 0.5 * seen[25].losses["similarity"] or seen[34].losses["similarity"] < 0.1
    assert seen[-1].folds == 0
    assert any(p.trajectory is not None for p in seen)
    assert not result.stopped
    assert [row["role"] for row in result.report.rows] == ["reference", "seen", "held out", "seen"]


def test_a_preview_is_the_trajectory_at_that_step() -> None:
    series, grid = moving_series()
    seen, result = run(series, FitConfig(settings=SHORT))
    last = [p.trajectory for p in seen if p.trajectory is not None][-1]
    assert torch.allclose(last.field(grid, 2.5).u, result.trajectory.field(grid, 2.5).u, atol=0.15)
    first = next(p.trajectory for p in seen if p.trajectory is not None)
    assert float(first.field(grid, 3.0).u.abs().max()) < 0.1


def test_stopping_keeps_what_there_is_and_it_can_be_scored_later() -> None:
    series, grid = moving_series()
    seen, result = run(series, FitConfig(settings=SHORT), stop_after=20)
    assert len(seen) == 20
    assert result.stopped
    assert result.report is None
    assert float(result.trajectory.field(grid, 3.0).u.abs().max()) > 0.1
    assert len(result.scored().report.rows) == 4


def test_stopping_while_it_scores_keeps_the_whole_fit() -> None:
    series, _ = moving_series()
    seen, result = run(series, FitConfig(settings=SHORT), stop_after=37)
    assert seen[-1].stage == "scoring"
    assert len(seen) == 37
    assert not result.stopped
    assert result.report is None
    assert len(result.history) == 35


def replaced(series: ImageSeries, index: int, array: np.ndarray) -> ImageSeries:
    images = [
        Image.from_array(array if k == index else scan.image.numpy(), series.grid, scan.image.name)
        for k, scan in enumerate(series.scans)
    ]
    return ImageSeries.from_images(images, series.times, series.unit)


@pytest.mark.parametrize("role", ["hold_out", "exclude"])
def test_what_the_fit_has_not_seen_changes_no_prediction(role: str) -> None:
    """Every voxel of the unseen scan is corrupted: weights, masks, gains and predictions are bit-equal."""
    series, _ = moving_series()
    noise = np.random.default_rng(0).normal(5000, 900, series.grid.shape).astype(np.float32)
    config = FitConfig(settings=SHORT, **{role: (2,)})
    clean, corrupted = fit(series, config), fit(replaced(series, 2, noise), config)
    for t in (0.5, 2.0, 2.5, 4.0):
        for carry in ("neighbours", "first"):
            assert torch.equal(clean.trajectory.predict(t, carry=carry), corrupted.trajectory.predict(t, carry=carry))
    assert clean.trajectory.times == [0.0, 1.0, 3.0]


def test_a_brighter_scan_is_matched_and_the_flag_switches_it_off() -> None:
    series, _ = moving_series()
    bright = replaced(series, 3, series.scans[3].image.numpy() * 1.5 + 40)
    matched = fit(bright, FitConfig(settings=SHORT))
    assert matched.gains[3].gain == pytest.approx(1 / 1.5, rel=0.05)
    assert matched.gains[0].gain == 1
    raw = fit(bright, FitConfig(settings=SHORT, match_intensity=False))
    assert float(raw.trajectory.predict(3.0).mean()) > 1.4 * float(matched.trajectory.predict(3.0).mean())


def test_gain_is_not_taken_from_anatomy() -> None:
    """A bright ball that shrinks is no change of brightness."""
    grid = box_grid(32, 1.0)
    radius = (grid.indices() - 15.5).norm(dim=-1)
    from engine_kit import texture

    balls = [
        (100 + 400 * torch.sigmoid(2 * (r - radius)) + 0.03 * texture(grid, 5)[0]).float().numpy() for r in (10, 8.5)
    ]
    images = [Image.from_array(ball, grid, f"ball_{k}") for k, ball in enumerate(balls)]
    result = fit(ImageSeries.from_images(images, [0, 1], "years"), FitConfig(preset="balanced"))
    assert result.gains[1].gain == pytest.approx(1, abs=0.03)
    assert balls[0].std() / balls[1].std() > 1.1  # what moments of the unregistered scans would say


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (FitConfig(hold_out=(0,)), "scan 0"),
        (FitConfig(hold_out=(9,)), "scans 0 to 3"),
        (FitConfig(exclude=(1,), hold_out=(2, 3)), "at least one more"),
        (FitConfig(method="magic"), "noder"),
        (FitConfig(preset="slow"), "balanced"),
        (FitConfig(device="toaster"), "toaster"),
    ],
)
def test_configurations_that_cannot_be_meant_are_refused_in_a_sentence(config: FitConfig, words: str) -> None:
    series, _ = moving_series()
    with pytest.raises(UsageError, match=words):
        fit(series, config)


def test_sixteen_voxels_an_axis_are_enough_and_fifteen_are_refused() -> None:
    series, grid = moving_series(box_grid(16))
    trajectory = fit(series, FitConfig(settings=SHORT)).trajectory
    assert trajectory.field(grid, 3.0).u.shape == (3, 16, 16, 16)
    small, _ = moving_series(box_grid(15))
    with pytest.raises(InputError, match="15 x 15 x 15"):
        fit(small, FitConfig(settings=SHORT))


def test_settings_out_of_their_range_are_refused_with_their_value() -> None:
    series, _ = moving_series()
    for change in ({"learning_rate": float("nan")}, {"window": 0}, {"smoothing": -1.0}, {"fine_iterations": -5}):
        with pytest.raises(UsageError, match=next(iter(change))):
            fit(series, FitConfig(settings=replace(SHORT, **change)))
    none = replace(SHORT, coarse_iterations=0, middle_iterations=0, fine_iterations=0)
    with pytest.raises(UsageError, match="iterations"):
        fit(series, FitConfig(settings=none))


def test_a_held_out_scan_that_cannot_be_read_is_told_before_the_fit() -> None:
    series, _ = moving_series()
    holed = series.scans[2].image.numpy().copy()
    holed[3, 3, 3] = np.nan
    steps = fit_steps(replaced(series, 2, holed), FitConfig(settings=SHORT, hold_out=(2,)))
    with pytest.raises(InputError, match="scan_2"):
        next(steps)
