"""Pathlines on slices and in space, as data: where they lie, how strong they are, and what rides on them."""

import doubles
import numpy as np
import pytest

from noder.grid import Grid
from noder.pathlines import path_times, pathlines
from noder_viewer.followed import COLOURS, Followed, Paths, free_number, with_point, without_point
from noder_viewer.path_marks import FADES, path_marks, paths_in_space, picture_time
from noder_viewer.plane import Plane
from noder_viewer.scene import slice_scene


def following(grid: Grid | None = None, **changes: object) -> doubles.SessionDouble:
    """A session that follows two points: 1 in the first frame's picture, 2 in that of t = 1."""
    session = doubles.session(grid, **changes)
    centre = np.array(session.trajectory.centre)
    axes = session.grid.direction
    places = [tuple((centre + axes @ np.array(arm)).tolist()) for arm in ([8.0, 2.0, 0.0], [-3.0, 5.0, 9.0])]
    points = (Followed(1, places[0], 0.0), Followed(2, places[1], 1.0))
    times = path_times(session.times, -0.24, 2.24)
    lines = pathlines(session.trajectory, places, [0.0, 1.0], times)
    session.followed, session.paths = points, Paths(points, tuple(lines))
    return session


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_marker_is_where_the_tissue_is_now_and_passes_where_it_was_picked(grid: Grid, axis: int) -> None:
    session = following(grid, time=1.0)
    plane = Plane.through(session.grid, axis, session.cursor_mm)
    marks = path_marks(session, plane)
    assert marks is not None
    first, second = marks.markers
    centre = np.array(session.trajectory.centre)
    now = centre + 1.1 * (np.array(session.followed[0].place_mm) - centre)  # it has grown by 10 % since t = 0
    assert first.place == pytest.approx(plane.to_plane(now), abs=1e-2)
    assert second.place == pytest.approx(plane.to_plane(np.array(session.followed[1].place_mm)), abs=1e-2)
    assert (first.number, first.colour) == (1, COLOURS[0])


def test_a_path_is_solid_near_the_slice_and_faded_away_from_it() -> None:
    session = following(time=0.0)
    plane = Plane.through(session.grid, 2, session.cursor_mm)
    marks = path_marks(session, plane)
    assert marks is not None
    of = {colour: [s.strength for s in marks.strokes if s.colour == colour] for colour in COLOURS[:2]}
    assert set(of[COLOURS[0]]) == {1.0}
    assert max(of[COLOURS[1]]) < 1.0
    assert min(of[COLOURS[1]]) >= FADES[-1][1]
    assert [s.strength for s in marks.strokes] == sorted(s.strength for s in marks.strokes)  # the strong ones on top


def test_what_is_extrapolated_is_dashed_and_the_rest_is_whole() -> None:
    session = following()
    plane = Plane.through(session.grid, 2, session.cursor_mm)
    marks = path_marks(session, plane)
    assert marks is not None
    strokes = [s for s in marks.strokes if s.colour == COLOURS[0]]
    line = session.paths.lines[0]
    centre, arm = np.array(session.trajectory.centre), np.array(session.followed[0].place_mm)
    ends = plane.to_plane(np.array([centre + (1 + 0.1 * t) * (arm - centre) for t in (0.0, 2.0)]))
    solid = np.concatenate([s.points for s in strokes if not s.dashed])
    np.testing.assert_allclose([solid[0], solid[-1]], ends, atol=1e-2)
    dashed = np.concatenate([s.points for s in strokes if s.dashed])
    assert len(dashed) + len(solid) == len(line.times) + 2  # neighbours share their ends
    assert np.hypot(*(dashed - plane.to_plane(centre)).T).max() > np.hypot(*(solid - plane.to_plane(centre)).T).max()


def test_there_is_a_dot_at_every_scan() -> None:
    session = following()
    marks = path_marks(session, Plane.through(session.grid, 0, session.cursor_mm))
    assert marks is not None
    assert [dot.number for dot in marks.dots] == [1, 1, 1, 2, 2, 2]


def test_only_the_markers_are_new_when_the_time_is() -> None:
    session = following(time=0.0)
    first = slice_scene(session, 2)
    session.time = 1.5
    later = slice_scene(session, 2)
    assert first is not None
    assert later is not None
    assert later.paths.strokes is first.paths.strokes
    assert later.paths.markers != first.paths.markers
    assert slice_scene(session, 2).paths is later.paths
    session.paths = None
    bare = slice_scene(session, 2)
    assert bare.paths is None
    assert not bare.differs_in_crosshair_only(later)


def test_side_by_side_the_observed_scan_is_bare() -> None:
    scene = slice_scene(following(show="side by side"), 2)
    assert scene is not None
    assert [scene.paths_on(image) is None for image in scene.images] == [True, False]


def test_an_observed_picture_has_its_own_time() -> None:
    session = following(show="observed", time=1.4)
    assert picture_time(session) == 1.0
    session.show = "prediction"
    assert picture_time(session) == 1.4


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()])
def test_in_space_segments_follow_the_path_with_gaps_where_it_is_extrapolated(grid: Grid) -> None:
    session = following(grid, time=2.0)
    space = paths_in_space(session)
    assert space is not None
    line = session.paths.lines[0]
    within = int((~line.extrapolated).sum()) - 1
    beyond = len(line.times) - 1 - within
    own = [k for k, colour in enumerate(space.colours) if colour == COLOURS[0]]
    assert within < len(own) < within + beyond
    assert len(space.segments) == len(space.colours)
    np.testing.assert_allclose(space.markers[0], line.at(2.0), atol=1e-6)
    assert space.numbers == [1, 2]
    assert len(space.dots) == len(space.dot_colours) == 6
    session.paths = None
    assert paths_in_space(session) is None


def test_numbers_are_given_again_and_others_stay() -> None:
    followed: tuple[Followed, ...] = ()
    for k in range(3):
        followed = with_point(followed, Followed(free_number(followed), (k, 0, 0), 0.0))
    assert [point.number for point in followed] == [1, 2, 3]
    followed = without_point(followed, 2)
    assert free_number(followed) == 2
    followed = with_point(followed, Followed(2, (9, 9, 9), 1.0))
    assert [point.number for point in followed] == [1, 2, 3]
    assert len({point.colour for point in followed}) == 3
