"""Strokes on a label map: what they paint in mm, on which slice, and that undoing gives back what was there."""

import doubles
import numpy as np
import pytest

from noder.labels import LabelMap
from noder_viewer.brush import Drawing
from noder_viewer.plane import Plane
from noder_viewer.region_state import Brush

GRIDS = {"anisotropic": doubles.ras_grid(spacing=(0.8, 1.0, 3.0)), "oblique": doubles.oblique_grid(25)}


def drawing_on(grid):
    return Drawing(LabelMap(np.zeros(grid.shape, dtype=np.int32), grid, 0.0, "drawn"))


def at(grid, *index):
    return tuple(grid.to_mm(np.array(index, dtype=float)).tolist())


def stroke(drawing, plane, points, brush):
    drawing.begin()
    for point in points:
        drawing.paint(plane, point, brush)
    return drawing.end()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", GRIDS)
def test_a_disc_has_its_radius_in_mm_and_stays_on_its_slice(name, axis):
    grid, drawing = GRIDS[name], drawing_on(GRIDS[name])
    centre = (20, 25, 15)
    plane = Plane(grid, axis, centre[axis])
    assert stroke(drawing, plane, [at(grid, *centre)], Brush(8.0, label=3))
    painted = np.argwhere(drawing.labels.values == 3)
    assert set(painted[:, axis]) == {centre[axis]}
    away = np.linalg.norm(grid.to_mm(painted.astype(float)) - at(grid, *centre), axis=1)
    assert away.max() <= 8.001
    a, b = plane.axes
    area = len(painted) * grid.spacing[a] * grid.spacing[b]
    assert area == pytest.approx(np.pi * 64, rel=0.12)


@pytest.mark.parametrize("name", GRIDS)
def test_a_ball_has_its_volume_in_mm3(name):
    grid, drawing = GRIDS[name], drawing_on(GRIDS[name])
    stroke(drawing, Plane(grid, 2, 15), [at(grid, 20, 25, 15)], Brush(7.0, ball=True))
    volume = (drawing.labels.values == 1).sum() * drawing.labels.voxel_mm3
    assert volume == pytest.approx(4 / 3 * np.pi * 7**3, rel=0.1)


def test_a_fast_hand_leaves_no_gap():
    grid = GRIDS["anisotropic"]
    drawing = drawing_on(grid)
    stroke(drawing, Plane(grid, 2, 10), [at(grid, 5, 25, 10), at(grid, 35, 25, 10)], Brush(1.5))
    assert (drawing.labels.values[5:36, 25, 10] == 1).all()
    assert drawing.labels.values.sum() == drawing.labels.values[..., 10].sum()


def test_a_brush_smaller_than_a_voxel_paints_the_voxel_under_it():
    grid = GRIDS["anisotropic"]
    drawing = drawing_on(grid)
    stroke(drawing, Plane(grid, 0, 12), [at(grid, 12, 7.4, 3.3)], Brush(0.2, label=2))
    assert np.argwhere(drawing.labels.values).tolist() == [[12, 7, 3]]


def test_beside_the_image_nothing_is_painted_and_nothing_breaks():
    grid = GRIDS["anisotropic"]
    drawing = drawing_on(grid)
    assert not stroke(drawing, Plane(grid, 2, 4), [at(grid, -30, 25, 4)], Brush(2.0))
    assert stroke(drawing, Plane(grid, 2, 4), [at(grid, 0, 0, 4)], Brush(5.0, ball=True))
    assert drawing.labels.values[0, 0, 4] == 1


def test_undo_and_redo_give_the_voxels_back_stroke_by_stroke():
    grid = GRIDS["anisotropic"]
    drawing, plane = drawing_on(grid), Plane(grid, 2, 15)
    states = [drawing.labels.values]
    for label, place in ((1, 20), (2, 22), (0, 21)):
        brush = Brush(4.0, label=label or 1, erases=label == 0)
        stroke(drawing, plane, [at(grid, place, 25, 15)], brush)
        states.append(drawing.labels.values)
    assert [int(values.max()) for values in states] == [0, 1, 2, 2]
    assert (states[3] == 0)[21, 25, 15]
    for values in states[2::-1]:
        assert drawing.can_undo
        drawing.undo()
        assert (drawing.labels.values == values).all()
    assert not drawing.can_undo
    drawing.redo()
    assert (drawing.labels.values == states[1]).all()
    stroke(drawing, plane, [at(grid, 5, 5, 15)], Brush())
    assert not drawing.can_redo  # what was taken back is past once something else is drawn


def test_what_was_there_before_a_stroke_is_not_painted_into():
    """The curves are measured in another thread from the very array that was shown."""
    grid = GRIDS["anisotropic"]
    drawing = drawing_on(grid)
    before = drawing.labels
    stroke(drawing, Plane(grid, 2, 15), [at(grid, 20, 25, 15)], Brush())
    assert not before.values.any()


def test_a_stroke_that_changes_nothing_is_none():
    grid = GRIDS["anisotropic"]
    drawing = drawing_on(grid)
    assert not stroke(drawing, Plane(grid, 2, 15), [at(grid, 20, 25, 15)], Brush(erases=True))
    assert not drawing.can_undo
