"""The warped grid and the surfaces of equal motion in space, as data and on the canvas."""

from __future__ import annotations

from typing import Any

import doubles
import numpy as np
import pytest
import torch
from PySide6.QtTest import QTest

from noder.grid import Grid
from noder_viewer.colormaps import GRID
from noder_viewer.deformation3d import arrow_colours, deformation3d, surfaces, warped_lines
from noder_viewer.frames import volume_scene
from noder_viewer.motion_lines import coloured_levels, motion
from noder_viewer.plane import to_axes
from noder_viewer.session import OverlaySettings
from noder_viewer.volume import VolumeView
from noder_viewer.volume_motion import LENGTHS, MOTION, WARPED, legend_html

GRIDS = {"RAS": doubles.ras_grid(), "oblique": doubles.oblique_grid(30)}


def growing(grid: Grid) -> doubles.GrowingTrajectory:
    centre = tuple(grid.to_mm((np.array(grid.shape) - 1) / 2).tolist())
    return doubles.GrowingTrajectory(grid, torch.zeros(1, *grid.shape), centre=centre)


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("since", "grown"), [(None, 1.2), (1.0, 1.2 / 1.1)])
def test_lines_are_carried_to_where_their_tissue_is(name: str, since: float | None, grown: float) -> None:
    grid = GRIDS[name]
    trajectory, look = growing(grid), OverlaySettings(grid=True, grid_spacing_mm=5.0, since=since)
    start, along, every = warped_lines(trajectory, 2.0, look, np.ones(grid.shape, dtype=bool), grid)
    assert every == 5.0
    away = to_axes(grid, start - np.array(trajectory.centre)) / grown
    direction = to_axes(grid, along) / grown
    for axis in range(3):
        own = np.abs(direction[:, axis]) > 1
        np.testing.assert_allclose(np.abs(direction[own, axis]), 5 / 3, rtol=1e-6)
        others = [k for k in range(3) if k != axis]
        np.testing.assert_allclose(direction[own][:, others], 0, atol=1e-6)
        np.testing.assert_allclose(away[own][:, others] / 5, np.rint(away[own][:, others] / 5), atol=1e-6)
        assert own.sum() > 50


def test_lines_are_drawn_where_there_is_tissue_and_not_too_many() -> None:
    grid = GRIDS["oblique"]
    tissue = np.zeros(grid.shape, dtype=bool)
    tissue[:20] = True
    look = OverlaySettings(grid=True, grid_spacing_mm=1.5)
    start, along, every = warped_lines(growing(grid), 2.0, look, tissue, grid)
    assert every == 6.0  # at most twelve lines along the longest side of 58 mm, and a multiple of 1.5 mm
    ends = np.concatenate([start, start + along])
    assert (grid.to_index(ends)[:, 0] < 20).all()
    assert len(start) > 50


@pytest.mark.parametrize("name", GRIDS)
def test_every_place_on_a_surface_has_moved_by_its_length(name: str) -> None:
    grid = GRIDS[name]
    trajectory = growing(grid)
    vertices, faces, colours = surfaces(trajectory, 2.0, None)
    lengths = np.linalg.norm(motion(trajectory, 2.0, torch.from_numpy(vertices)), axis=1)
    by_colour = {tuple(np.array(colour) / 255): level for level, colour in coloured_levels(trajectory)}
    wanted = np.array([by_colour[tuple(colour)] for colour in colours])
    np.testing.assert_allclose(lengths, wanted, rtol=0.1)
    assert len(set(wanted)) == 3
    assert (faces.min(), faces.max()) == (0, len(vertices) - 1)


def test_arrows_have_the_colour_of_the_level_that_they_reach() -> None:
    trajectory = growing(GRIDS["RAS"])
    levels = coloured_levels(trajectory)
    lengths = np.array([level * 1.01 for level, _ in levels] + [1e-3])
    wanted = [colour for _, colour in levels] + [levels[0][1]]
    np.testing.assert_allclose(arrow_colours(lengths, trajectory, None) * 255, wanted)


def test_what_is_switched_off_is_not_made_and_the_legend_names_the_rest() -> None:
    grid = GRIDS["RAS"]
    trajectory, tissue = growing(grid), np.ones(grid.shape, dtype=bool)
    plain = deformation3d(trajectory, 2.0, OverlaySettings(grid=True, grid_spacing_mm=5.0), tissue, grid)
    assert (len(plain.faces), plain.legend, plain.title) == (0, (), "grid of 5 mm")
    both = deformation3d(trajectory, 2.0, OverlaySettings(contours=True, since=1.0), tissue, grid)
    assert len(both.start) == 0
    assert [float(label) for _, label in both.legend] == [level for level, _ in coloured_levels(trajectory, 1.0)]
    assert both.title == "mm moved since t = 1 years"
    assert legend_html(both).endswith("mm moved since t = 1 years")
    assert legend_html(None) == ""
    assert volume_scene(doubles.session()).deformation is None


@pytest.mark.gl
def test_the_canvas_shows_hides_and_colours_them(qtbot: Any) -> None:
    view = VolumeView()
    qtbot.addWidget(view)
    view.resize(420, 360)
    view.show()
    view.build()
    session = doubles.session(overlays=OverlaySettings(grid=True, contours=True, quiver=True, grid_spacing_mm=8.0))
    view.set_scene(volume_scene(session))
    qtbot.waitUntil(lambda: {WARPED, LENGTHS, MOTION} <= {layer.name for layer in view.viewer.layers}, timeout=30_000)
    layers = view.viewer.layers
    np.testing.assert_allclose(layers[WARPED].edge_color[0, :3] * 255, GRID, atol=1)
    assert len({tuple(row) for row in layers[MOTION].edge_color.round(3).tolist()}) > 1
    assert view._legend.isVisible()
    session.overlays = OverlaySettings()
    view.set_scene(volume_scene(session))
    qtbot.waitUntil(lambda: not any(layers[name].visible for name in (WARPED, LENGTHS, MOTION)), timeout=30_000)
    assert not view._legend.isVisible()
    session.overlays = OverlaySettings(grid=True, contours=True)
    view.set_scene(volume_scene(session))
    qtbot.waitUntil(lambda: layers[WARPED].visible and layers[LENGTHS].visible, timeout=30_000)
    layers[LENGTHS].visible = False  # the user's wish
    session.time = 1.5
    view.set_scene(volume_scene(session))
    QTest.qWait(300)
    assert not layers[LENGTHS].visible
    view.close_viewer()
