"""Regions on a slice as data: where outlines lie, at which time, whose labels, and what is hidden."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import doubles
import numpy as np
import pytest

from noder.label_names import LabelName
from noder.labels import LabelMap
from noder_viewer.plane import Plane
from noder_viewer.reading import read_out
from noder_viewer.region_layers import edges, region_layers
from noder_viewer.region_state import OwnLabels, RegionLook, ShownRegions, label_colour
from noder_viewer.scene import slice_scene
from noder_viewer.session import OverlaySettings


def cube(grid, label=2):
    values = np.zeros(grid.shape, dtype=np.int32)
    values[14:26, 19:31, 10:20] = label
    return values


def session_with(look=None, own=(), time=0.0, **changes):
    session = doubles.session(time=time, **changes)
    labels = LabelMap(cube(session.grid), session.grid, 0.0, "cube")
    image = session.series.scans[0].image
    names = {2: LabelName("LV cavity", (10, 200, 30))}
    session.regions = ShownRegions(labels, image, (2,), names, own)
    session.region_look = look or RegionLook()
    return session


def layer_of(session, axis=2, kind="prediction"):
    scene = slice_scene(session, axis)
    return scene.regions.get(kind)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid(20)])
def test_outlines_run_along_the_faces_of_the_voxels(axis, grid):
    session = session_with(grid=grid)
    plane = Plane.through(grid, axis, session.cursor_mm)
    lines = layer_of(session, axis).outlines[2]
    (low, high) = np.argwhere(cube(grid)).min(0) - 0.5, np.argwhere(cube(grid)).max(0) + 0.5
    corners = plane.to_plane(np.stack([grid.to_mm(low), grid.to_mm(high)]))
    assert lines.reshape(-1, 2).min(0) == pytest.approx(corners.min(0))
    assert lines.reshape(-1, 2).max(0) == pytest.approx(corners.max(0))
    a, b = plane.axes
    around = 2 * ((high - low)[a] * grid.spacing[a] + (high - low)[b] * grid.spacing[b])
    assert np.linalg.norm(lines[:, 0] - lines[:, 1], axis=1).sum() == pytest.approx(around)


def test_two_regions_that_touch_share_the_edge_between_them():
    plane = Plane(doubles.ras_grid((4, 4, 1)), 2, 0)
    values = np.zeros((4, 4), dtype=np.int32)
    values[1, 1], values[2, 1] = 1, 7
    found = edges(values, plane)
    assert {label: len(lines) for label, lines in found.items()} == {1: 4, 7: 4}


def test_labels_follow_the_tissue_and_their_own_time_is_theirs():
    session = session_with()
    drawn = layer_of(session).values
    session.time = 2.0
    grown = layer_of(session).values
    assert (drawn == cube(session.grid)[..., 15].take(range(50), axis=1)).all() or drawn.sum() > 0
    factor = (1 + 0.1 * 2.0) ** 2
    assert (grown > 0).sum() == pytest.approx(factor * (drawn > 0).sum(), rel=0.1)
    middle = [np.argwhere(values).mean(0) for values in (drawn, grown)]
    assert middle[0] == pytest.approx(middle[1], abs=0.6)


@pytest.mark.parametrize("over", [{"overlays": OverlaySettings(jacobian=True)}, {"show": "difference"}])
def test_over_colours_regions_are_outlines_alone(over):
    session = session_with(RegionLook(outline=False), **over)
    layer = layer_of(session, kind=session.show)
    assert layer.fill is None
    assert set(layer.outlines) == {2}
    session.overlays, session.show = OverlaySettings(grid=True), "prediction"
    assert layer_of(session).fill is not None


def test_side_by_side_each_picture_has_its_own_time():
    session = session_with(show="side by side", time=1.4)
    scene = slice_scene(session, 2)
    observed, predicted = (scene.regions_on(image) for image in scene.images)
    session.time, session.show = 1.0, "prediction"
    assert (observed.values == layer_of(session).values).all()
    assert (predicted.values > 0).sum() > (observed.values > 0).sum()


def test_without_a_map_labels_are_seen_at_their_scan_alone():
    session = session_with(trajectory=None, show="observed")
    assert layer_of(session, kind="observed").values.any()
    session.time = 2.0
    assert layer_of(session, kind="observed") is None


def test_a_scans_own_labels_come_at_that_scan():
    grid = doubles.ras_grid()
    own = OwnLabels(np.roll(cube(grid, 5), 3, axis=0).astype(np.uint8), {5: 1.0})
    session = session_with(own=(None, own, None), time=1.0)
    assert list(layer_of(session).own) == [5]
    assert "own dashed" in layer_of(session).title
    session.time = 1.2
    assert layer_of(session).own == {}
    session.time, session.region_look = 1.0, RegionLook(own=False)
    assert layer_of(session).own == {}


def test_hidden_labels_and_hidden_regions_are_not_drawn():
    session = session_with(RegionLook(hidden=frozenset({2})))
    layer = layer_of(session)
    assert not layer.values.any()
    assert layer.outlines == {}
    assert layer.legend == ()
    session.region_look = RegionLook(visible=False)
    assert slice_scene(session, 2).regions == {}


def test_fill_has_the_colour_of_the_table_and_the_opacity_of_the_slider():
    layer = layer_of(session_with(RegionLook(fill=0.5)))
    inside = layer.fill[layer.values == 2]
    assert (inside == (10, 200, 30, 128)).all()
    assert not layer.fill[layer.values == 0].any()
    assert layer.legend == (("LV cavity", (10, 200, 30)),)
    assert layer_of(session_with(RegionLook(fill=0.0, outline=False))).outlines  # else there would be nothing to see


def test_the_same_regions_are_the_same_layer_and_another_look_is_not():
    session = session_with()
    first, again = slice_scene(session, 2), slice_scene(session, 2)
    assert first.differs_in_crosshair_only(again)
    session.region_look = replace(session.region_look, fill=0.9)
    assert not first.differs_in_crosshair_only(slice_scene(session, 2))


def test_the_read_out_names_the_region():
    session = session_with()
    assert read_out(session).text.endswith("LV cavity")
    assert "LV cavity" not in read_out(session, tuple(session.grid.to_mm(np.zeros(3)).tolist())).text


def test_a_pair_has_no_regions():
    session = session_with()
    plane = Plane.through(session.grid, 2, session.cursor_mm)
    session.pair = SimpleNamespace()
    assert region_layers(session, plane, ()) == {}


def test_colours_of_neighbouring_labels_differ():
    colours = [label_colour(label) for label in range(1, 40)]
    assert len(set(colours)) == len(colours)
    for one, other in pairwise(colours):
        assert np.abs(np.subtract(one, other)).sum() > 60
