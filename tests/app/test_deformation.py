"""Deformation and growth over slices: warped grid, contours, rate, folds, and all of it since any time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import doubles
import numpy as np
import pytest
import torch

from noder.fields import DisplacementField
from noder.grid import Grid
from noder_viewer.colormaps import CONTOURS, FOLD
from noder_viewer.growth_maps import folded, folds, growth_rate, log_jacobian, outline, rate_limit
from noder_viewer.lattice import coordinates, sampling, spread
from noder_viewer.motion_lines import coloured_levels, contours, level_sets, motion, round_levels, warped_grid
from noder_viewer.overlays import OVERLAYS, motion_arrows
from noder_viewer.plane import Plane
from noder_viewer.scene import slice_scene
from noder_viewer.session import OverlaySettings
from noder_viewer.slice_bars import bars_of
from noder_viewer.when import per_unit, since_words

GRIDS = {
    "RAS": doubles.ras_grid(),
    "oblique": doubles.oblique_grid(30),
    "thick": Grid((30, 20, 8), np.diag([1, 1, 4, 1])),
}
LOOK = OverlaySettings(grid_spacing_mm=4.0)


def growing(grid: Grid, **changes: Any) -> doubles.GrowingTrajectory:
    """Tissue that grows about the middle of the grid by a tenth a year."""
    centre = tuple(grid.to_mm((np.array(grid.shape) - 1) / 2).tolist())
    return doubles.GrowingTrajectory(grid, torch.zeros(1, *grid.shape), centre=centre, **changes)


def lines_of(stroke: Any) -> list[np.ndarray]:
    """The lines of a stroke, (N,2) each."""
    points = np.stack([stroke.x, stroke.y], axis=1)
    breaks = np.flatnonzero(np.isnan(points[:, 0]))
    return [part[~np.isnan(part[:, 0])] for part in np.split(points, breaks) if len(part) > 1]


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_grid_lines_lie_where_the_tissue_of_straight_lines_has_gone(name: str, axis: int) -> None:
    grid = GRIDS[name]
    trajectory, plane = growing(grid), Plane(grid, axis, grid.shape[axis] // 2)
    (stroke,) = warped_grid(trajectory, 2.0, plane, LOOK).strokes
    centre = plane.to_plane(np.array(trajectory.centre))
    seen = set()
    for line in lines_of(stroke):
        away = line - centre
        along = int(np.ptp(away[:, 0]) > np.ptp(away[:, 1]))  # the coordinate that stays
        place = away[:, along].mean()
        np.testing.assert_allclose(away[:, along], place, atol=1e-5)
        seen.add((along, round(place / (1.2 * 4.0), 4)))  # lines 4 mm apart have grown to 4.8
    assert all(number == round(number) for _, number in seen)
    half = [(n - 1) * h / 2 for n, h in zip(plane.shape, plane.spacing, strict=True)]
    assert len(seen) == sum(2 * int(size / 4.8) + 1 for size in half)


def test_tissue_that_leaves_the_slice_takes_the_lines_of_the_slice_it_came_to() -> None:
    """With a shear across the slice a line must bend by what lies in the slice now, not by what has left it."""
    grid = doubles.ras_grid()
    trajectory = growing(grid)

    def shear(points: torch.Tensor, t: float) -> torch.Tensor:
        """Tissue moves up by 5 mm, and to the right by its place in the reference above the middle."""
        return torch.stack([-(points[..., 2] - 5), 0 * points[..., 0], 0 * points[..., 0] - 5], dim=-1)

    trajectory.displacement = shear  # type: ignore[method-assign]
    plane = Plane(grid, 2, 15)
    (stroke,) = warped_grid(trajectory, 1.0, plane, LOOK).strokes
    upright = [line[:, 0].mean() for line in lines_of(stroke) if np.ptp(line[:, 0]) < 1e-6]
    place = plane.to_mm(0.0, 0.0)[2] - 5
    assert {round(float((x - place) % 4.0), 4) % 4.0 for x in upright} == {0.0}


@pytest.mark.parametrize("name", GRIDS)
def test_contours_have_the_length_of_the_motion_in_mm(name: str) -> None:
    grid = GRIDS[name]
    trajectory, plane = growing(grid), Plane(grid, 2, grid.shape[2] // 2 + 2)
    layer = contours(trajectory, 2.0, plane, LOOK)
    drawn = 0
    for stroke, (level, colour) in zip(layer.strokes, coloured_levels(trajectory), strict=True):
        assert stroke.colour == colour
        assert stroke.label.split() == [f"{level:g}", "mm"][: 1 + (level == coloured_levels(trajectory)[-1][0])]
        for line in lines_of(stroke):
            points = torch.tensor([plane.to_mm(*place) for place in line.tolist()], dtype=torch.float64)
            length = np.linalg.norm(motion(trajectory, 2.0, points), axis=1)
            np.testing.assert_allclose(length, level, rtol=0.05, atol=0.05)
            drawn += 1
    assert drawn > 0


@pytest.mark.parametrize(
    ("largest", "wanted"),
    [(7.3, [0.2, 0.5, 1, 2, 5]), (10.0, [0.5, 1, 2, 5, 10]), (0.06, [0.01, 0.02, 0.05]), (0.004, []), (0.0, [])],
)
def test_contours_are_at_round_lengths_up_to_the_largest(largest: float, wanted: list[float]) -> None:
    assert round_levels(largest, 5) == wanted


def test_levels_and_colours_are_one_set_for_all_times_and_slices() -> None:
    trajectory = growing(doubles.ras_grid())
    labels = [
        [
            (stroke.label, stroke.colour)
            for stroke in contours(trajectory, t, Plane(trajectory.grid, axis, 3), LOOK).strokes
        ]
        for t in (0.0, 0.4, 2.0)
        for axis in range(3)
    ]
    assert all(row == labels[0] for row in labels)
    assert labels[0][-1][1] == CONTOURS[-1]


def test_since_a_time_counts_from_there_in_arrows_grid_contours_and_growth() -> None:
    grid = doubles.ras_grid()
    trajectory, plane, look = growing(grid), Plane(grid, 2, 15), replace(LOOK, since=1.0)
    arrows = motion_arrows(trajectory, 2.0, plane, look)
    centre = plane.to_plane(np.array(trajectory.centre))
    tips = arrows.start + arrows.scale * arrows.vector
    np.testing.assert_allclose(arrows.vector, (tips - centre) * (1 - 1.1 / 1.2), atol=1e-5)
    heat = log_jacobian(trajectory, 2.0, plane, look)
    np.testing.assert_allclose(heat.values, 3 * np.log(1.2 / 1.1), rtol=1e-4)
    assert heat.values.shape == plane.shape
    (stroke,) = warped_grid(trajectory, 2.0, plane, look).strokes
    upright = sorted(
        {round(float(line[:, 0].mean() - centre[0]), 3) for line in lines_of(stroke) if np.ptp(line[:, 0]) < 1e-4}
    )
    np.testing.assert_allclose(np.diff(upright), 4 * 1.2 / 1.1, atol=2e-3)
    nothing = contours(trajectory, 1.0, plane, look)
    assert all(len(stroke.x) == 0 for stroke in nothing.strokes)
    for title in (arrows.title, heat.title, nothing.title, warped_grid(trajectory, 2.0, plane, look).title):
        assert "since t = 1 years" in title


def test_growth_backwards_in_time_is_shrinking() -> None:
    grid = doubles.ras_grid()
    heat = log_jacobian(growing(grid), 0.5, Plane(grid, 1, 20), replace(LOOK, since=2.0))
    np.testing.assert_allclose(heat.values, 3 * np.log(1.05 / 1.2), rtol=1e-4)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("since", [None, 2.0])
def test_the_rate_of_growth_is_in_percent_a_year_whatever_the_time_since_when(name: str, since: float | None) -> None:
    grid = GRIDS[name]
    trajectory = growing(grid)
    for axis, index in ((0, 0), (1, 7), (2, grid.shape[2] - 1)):
        heat = growth_rate(trajectory, 1.0, Plane(grid, axis, index), replace(LOOK, since=since))
        assert heat.values.shape == Plane(grid, axis, index).shape
        np.testing.assert_allclose(heat.values, 100 * 3 * 0.1 / 1.1, rtol=2e-3)  # 3 d/dt log(1 + 0.1 t)
    assert heat.title == "growth rate in % per year, growth > 0"
    assert heat.quantity == "rate, %/year"
    assert heat.limit == rate_limit(trajectory) == 50.0
    assert growth_rate(trajectory, 1.0, Plane(grid, 0, 4), replace(LOOK, rate_limit=7.0)).limit == 7.0


def test_folds_are_those_of_the_corners_and_are_outlined_around_every_voxel() -> None:
    grid = doubles.ras_grid((8, 9, 7), (1.0, 1.0, 2.0))
    trajectory = growing(grid)
    u = torch.zeros(3, *grid.shape)
    u[0, 4, 4, 3] = 1.2  # the voxel has passed its neighbour: central differences do not see it
    field = DisplacementField(u, grid)
    trajectory.near = lambda axes, t: u[:, *(slice(int(a[0]), int(a[-1]) + 1) for a in axes)]  # type: ignore[assignment, misc]
    wanted = field.corner_determinant() <= 0
    for axis, index in ((0, 4), (1, 4), (2, 3), (2, 0)):
        plane = Plane(grid, axis, index)
        assert np.array_equal(folded(trajectory, float(axis), plane), wanted.select(axis, index).numpy())
    plane = Plane(grid, 2, 3)
    heat = log_jacobian(trajectory, 2.0, plane, LOOK)
    assert heat.n_folds == 2
    assert np.isnan(heat.values[heat.folds]).all()
    (drawn,) = folds(trajectory, 2.0, plane, LOOK).strokes
    assert drawn.colour == heat.outline.colour == FOLD
    assert np.array_equal(drawn.x, heat.outline.x, equal_nan=True)


def test_an_outline_runs_around_the_outside_of_what_is_marked() -> None:
    plane = Plane(doubles.ras_grid((6, 5, 4), (2.0, 3.0, 1.0)), 2, 1)
    marked = np.zeros(plane.shape, dtype=bool)
    marked[1:3, 0] = True
    lines = lines_of(outline(marked, plane))
    lengths = sorted(float(np.linalg.norm(line[1] - line[0])) for line in lines)
    assert lengths == [2.0, 2.0, 2.0, 2.0, 3.0, 3.0]  # two voxels wide, no line between them
    x, y = plane.origin
    corners = np.concatenate(lines)
    np.testing.assert_allclose([corners.min(0), corners.max(0)], [[x + 1, y - 1.5], [x + 5, y + 1.5]])
    assert len(outline(np.zeros(plane.shape, dtype=bool), plane).x) == 0


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_sampled_points_reach_from_edge_to_edge(name: str, axis: int) -> None:
    plane = Plane(GRIDS[name], axis, 5)
    points = sampling(plane)
    x, y = coordinates(points, plane)
    (x0, y0), (dx, dy), (nx, ny) = plane.origin, plane.spacing, plane.shape
    np.testing.assert_allclose([x[0], x[-1], y[0], y[-1]], [x0, x0 + dx * (nx - 1), y0, y0 + dy * (ny - 1)])
    on_plane = plane.to_plane(points.points().numpy())
    ours = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1)
    np.testing.assert_allclose(on_plane.reshape(ours.shape), ours, atol=1e-9)
    straight = (2 * ours[..., 0] - ours[..., 1]).astype(np.float32)
    i, j = np.meshgrid(np.arange(nx), np.arange(ny), indexing="ij")
    wanted = 2 * (x0 + dx * i) - (y0 + dy * j)
    np.testing.assert_allclose(spread(straight, plane), wanted, atol=1e-3)


def test_large_slices_are_not_looked_at_voxel_by_voxel() -> None:
    grid = Grid((600, 500, 40), np.diag([0.4, 0.4, 2.0, 1.0]))
    for axis in range(3):
        assert max(sampling(Plane(grid, axis, 3)).shape) <= 97


def test_level_sets_of_a_line_of_points_are_nothing() -> None:
    assert level_sets(np.zeros(1), np.arange(3.0), np.arange(3.0)[None], [1.0]) == []


def test_rates_are_counted_by_one_unit_and_titles_name_the_time_since_when() -> None:
    units = ("years", "days", "s", "ms", "min", "hours", "index", "unspecified")
    wanted = ["year", "day", "s", "ms", "min", "hour", "scan", "unit of time"]
    assert [per_unit(unit) for unit in units] == [f"per {word}" for word in wanted]
    trajectory = growing(doubles.ras_grid())
    assert since_words(trajectory, None) == ""
    assert since_words(trajectory, 0.5) == " since t = 0.5 years"
    trajectory.unit = "index"
    assert since_words(trajectory, 2.0) == " since t = 2"


def test_every_overlay_may_lie_over_every_slice_at_once_and_the_same_is_not_made_twice() -> None:
    on = dict.fromkeys(OVERLAYS, True)
    session = doubles.session(overlays=OverlaySettings(**on))
    for axis in range(3):
        scene, again = slice_scene(session, axis), slice_scene(session, axis)
        assert list(scene.overlays) == list(OVERLAYS)
        assert all(again.overlays[name] is layer for name, layer in scene.overlays.items())


def test_the_legend_names_folds_once_with_or_without_colours() -> None:
    for look, wanted in (
        (OverlaySettings(folds=True), [True]),
        (OverlaySettings(folds=True, jacobian=True), [False, True]),
        (OverlaySettings(folds=True, brightness=True), [True, False]),
        (OverlaySettings(rate=True), [False, True]),
        (OverlaySettings(), [False]),
    ):
        scene = slice_scene(doubles.session(overlays=look), 2)
        assert [bar.folds for bar in bars_of(scene)] == wanted


def test_growth_and_its_rate_take_each_others_place() -> None:
    rate = OverlaySettings(jacobian=True, grid=True).switched("rate", on=True)
    assert (rate.jacobian, rate.rate, rate.grid) == (False, True, True)
    assert rate.switched("jacobian", on=True).rate is False
