"""Overlays: their signs, their scales and their colours."""

import doubles
import numpy as np
import pytest

from noder_viewer.colormaps import FOLD, LUTS, paint
from noder_viewer.overlays import (
    MAX_QUIVER_SCALE,
    OVERLAYS,
    SCALES,
    Quiver,
    brightening,
    jacobian_limit,
    log_jacobian,
    motion_arrows,
    spread,
    spread_limit,
    suggested_quiver_scale,
)
from noder_viewer.plane import Plane
from noder_viewer.session import OverlaySettings

LOOK = OverlaySettings(jacobian=True, quiver=True, quiver_spacing_mm=4.0)


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid(30)])
def test_growing_tissue_has_log_j_above_0_and_arrows_outwards(grid) -> None:
    trajectory = doubles.session(grid).trajectory
    plane = Plane(grid, 2, 15)
    heat = log_jacobian(trajectory, 1.0, plane, LOOK)
    np.testing.assert_allclose(heat.values, 3 * np.log(1.1), rtol=1e-5)
    assert heat.values.shape == plane.shape
    assert heat.title == "log J, growth > 0"
    arrows = motion_arrows(trajectory, 1.0, plane, LOOK)
    centre = plane.to_plane(np.array(trajectory.centre))
    away = arrows.start - centre
    assert ((away * arrows.vector).sum(axis=1) > 0).all()
    # true length: the tissue at x was at x / 1.1
    tips = arrows.start + arrows.vector
    np.testing.assert_allclose(arrows.vector, (tips - centre) * (1 - 1 / 1.1), atol=1e-5)
    assert "where tissue went" in arrows.title


def test_brightness_is_in_the_scans_own_values_on_a_round_scale() -> None:
    trajectory = doubles.session().trajectory
    plane = Plane(trajectory.grid, 1, 25)
    heat = brightening(trajectory, 1.5, plane, LOOK)
    assert heat.values.shape == plane.shape
    assert (heat.values == 15.0).all()
    assert (heat.quantity, heat.limit, heat.n_folds, heat.can_fold) == ("brightness", 20.0, 0, False)
    trajectory.intensity = None
    assert "no intensity model" in brightening(trajectory, 1.5, plane, LOOK).title


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid(30)])
def test_the_spread_is_the_sd_over_the_seeds_in_mm_and_follows_the_time(grid) -> None:
    trajectory = doubles.session(grid).trajectory
    trajectory.others = tuple(
        doubles.GrowingTrajectory(grid, trajectory.volume, rate, trajectory.centre) for rate in (0.2, 0.3)
    )
    plane = Plane(grid, 2, 15)
    away = np.linalg.norm(plane.slice_grid.points().numpy().squeeze(2) - np.array(trajectory.centre), axis=-1)
    for t in (1.0, 2.0):
        heat = spread(trajectory, t, plane, LOOK)
        shares = [1 / (1 + rate * t) - 1 for rate in (0.1, 0.2, 0.3)]
        np.testing.assert_allclose(heat.values, away * np.std(shares, ddof=1), rtol=1e-4, atol=1e-5)
        assert (heat.low, heat.quantity, heat.can_fold) == (0.0, "SD mm", False)
    assert "over 3 seeds, mm" in heat.title
    assert spread_limit(trajectory) == heat.limit
    colours = paint(np.array([[0.0, heat.limit]], np.float32), heat.limit, 0.5, np.zeros((1, 2), bool), "spread", 0.0)
    assert colours[0, 0, 3] == 0  # where all seeds agree the image is bare
    assert colours[0, 1, 3] == 128


def test_a_fit_from_one_seed_says_that_it_has_no_spread() -> None:
    trajectory = doubles.session().trajectory
    heat = spread(trajectory, 1.0, Plane(trajectory.grid, 0, 15), LOOK)
    assert not heat.values.any()
    assert "one seed" in heat.title


def test_one_colour_map_takes_the_place_of_another() -> None:
    both = OverlaySettings(quiver=True).switched("jacobian", on=True).switched("brightness", on=True)
    assert (both.jacobian, both.brightness, both.quiver) == (False, True, True)
    assert both.switched("spread", on=True).brightness is False
    off = both.switched("brightness", on=False).switched("quiver", on=False)
    assert (off.jacobian, off.brightness, off.quiver) == (False, False, False)


def test_arrow_tips_stay_on_the_lattice_whatever_their_scale() -> None:
    trajectory = doubles.session().trajectory
    plane = Plane(trajectory.grid, 1, 25)
    tips = []
    for scale in (1.0, 3.0):
        arrows = motion_arrows(trajectory, 1.0, plane, OverlaySettings(quiver_spacing_mm=5, quiver_scale=scale))
        tips.append(arrows.start + scale * arrows.vector)
        assert ("drawn 3×" in arrows.title) == (scale == 3)
    np.testing.assert_allclose(*tips, atol=1e-9)
    steps = np.diff(np.unique(tips[0][:, 0].round(6)))
    np.testing.assert_allclose(steps, 5)


def test_a_head_sits_at_the_tip_and_points_along_the_arrow() -> None:
    x, y = Quiver("", np.array([[1.0, 2.0]]), np.array([[4.0, 0.0]]), 2.0).segments()
    pairs = np.stack([x, y], axis=1).reshape(3, 2, 2)
    np.testing.assert_allclose(pairs[0], [[1, 2], [9, 2]])
    np.testing.assert_allclose(pairs[1:, 0], [[9, 2], [9, 2]])
    assert (pairs[1:, 1, 0] < 9).all()
    assert sorted(np.sign(pairs[1:, 1, 1] - 2)) == [-1, 1]


def test_arrows_too_short_to_be_seen_are_not_drawn() -> None:
    quiver = Quiver("", np.zeros((3, 2)), np.array([[0.4, 0.0], [1.0, 1.0], [0.0, 3.0]]), 2.0)
    x, y = quiver.segments(1.0)
    assert len(x) == len(y) == 2 * 6
    np.testing.assert_allclose([x[1], y[1]], [2.0, 2.0])


def test_no_motion_draws_no_arrows() -> None:
    trajectory = doubles.session().trajectory
    arrows = motion_arrows(trajectory, 0.0, Plane(trajectory.grid, 2, 15), LOOK)
    assert len(arrows.start) == 0
    assert len(arrows.segments()[0]) == 0


def test_folds_are_marked_and_never_a_number() -> None:
    trajectory = doubles.session().trajectory
    trajectory.fold = True
    heat = log_jacobian(trajectory, 1.0, Plane(trajectory.grid, 2, 15), LOOK)
    assert heat.n_folds == 1
    assert heat.folds[0, 0]
    assert np.isnan(heat.values[0, 0])
    colours = paint(heat.values, heat.limit, 0.3, heat.folds)
    assert tuple(colours[0, 0]) == (*FOLD, 255)  # whatever the opacity


def test_the_scale_of_log_j_is_one_for_all_slices_and_holds_the_extremes() -> None:
    trajectory = doubles.session().trajectory
    limit = jacobian_limit(trajectory)
    assert limit in SCALES
    assert limit >= 3 * np.log(1.2)  # at the last scan, t = 2
    assert limit == log_jacobian(trajectory, 0.1, Plane(trajectory.grid, 0, 2), LOOK).limit


def test_the_suggested_scale_makes_small_motion_visible_and_leaves_large_motion_true() -> None:
    trajectory = doubles.session().trajectory
    trajectory.rate = 0.001
    assert 10 < suggested_quiver_scale(trajectory, 8.0) <= MAX_QUIVER_SCALE
    trajectory.rate = 1e-5
    assert suggested_quiver_scale(trajectory, 8.0) == MAX_QUIVER_SCALE
    trajectory.rate = 0.5
    assert suggested_quiver_scale(trajectory, 8.0) == 1.0


def test_colours_are_clear_at_0_and_tell_growth_from_shrinking() -> None:
    values = np.array([[-0.5, 0.0, 0.5]], np.float32)
    shrink, still, growth = paint(values, 0.5, 0.6, np.zeros((1, 3), bool))[0].astype(int)
    assert still[3] == 0
    assert paint(values * 0.2, 0.5, 0.6, np.zeros((1, 3), bool))[0, 2, 3] < 0.15 * 255  # anatomy stays readable
    assert growth[3] == shrink[3] == round(0.6 * 255)
    assert growth[0] > growth[2] + 80  # orange
    assert shrink[2] > shrink[0] + 80  # blue
    assert all(lut.shape[1] == 4 and lut.dtype == np.uint8 for lut in LUTS.values())


@pytest.mark.parametrize("name", sorted(OVERLAYS))
def test_every_overlay_has_its_switch(name: str) -> None:
    assert isinstance(getattr(OverlaySettings(), name), bool)
