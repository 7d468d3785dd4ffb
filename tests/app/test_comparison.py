"""What is painted of a pair: before, after, squares, flicker, both directions, and where its landmarks are."""

import dataclasses

import nibabel
import numpy as np
import pytest
from pair_kit import SHIFT, choice_of, opened, pushed, registered, texture, true_map, write_pair
from PySide6.QtGui import QColor
from window_kit import shown_slice

from noder.image import Image
from noder_viewer.comparison import odd_squares, readings, wants_inverse
from noder_viewer.landmark_marks import errors_after, errors_before, places
from noder_viewer.plane import Plane
from noder_viewer.reading import read_out
from noder_viewer.scene import slice_scene
from noder_viewer.session import COMPARISONS, Session
from noder_viewer.shown_pair import ShownPair
from noder_viewer.slice_marks import DOT
from noder_viewer.words import pair_notes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_pair(tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="module")
def shown(files):
    return registered(choice_of(files))


@pytest.fixture
def session(shown):
    return session_of(shown)


def session_of(shown: ShownPair, **others) -> Session:
    result = None if shown.registration is None else shown.registration.fit
    window = shown.levels[1]
    given = {"time": 1.0, "show": "after", "carry": "first", "window": window, **others}
    return Session(series=shown.pair.series, result=result, pair=shown, **given)


def picture(session: Session, show: str, axis: int = 2, **others) -> np.ndarray:
    return slice_scene(dataclasses.replace(session, show=show, **others), axis).images[0].data


def title(session: Session, show: str, **others) -> str:
    return slice_scene(dataclasses.replace(session, show=show, **others), 2).images[0].title


def scan(session: Session, position: int, axis: int = 2) -> np.ndarray:
    plane = Plane.through(session.grid, axis, session.cursor_mm)
    return session.series.scans[position].image.numpy().take(plane.index, axis=axis)


def alike(one: np.ndarray, other: np.ndarray) -> float:
    inner = (slice(4, -4), slice(4, -4))
    return float(np.corrcoef(one[inner].ravel(), other[inner].ravel())[0, 1])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_before_is_what_the_initial_alignment_laid_there(session, axis):
    """Known from the texture itself: neither the map nor the resampling is asked."""
    plane = Plane.through(session.grid, axis, session.cursor_mm)
    truth = texture(plane.slice_grid.points().numpy()).squeeze(axis)
    assert alike(picture(session, "before", axis), truth) > 0.995


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_after_lies_on_the_fixed_image(session, axis):
    fixed = scan(session, 1, axis)
    assert alike(picture(session, "after", axis), fixed) > 0.97 > alike(picture(session, "before", axis), fixed)


def test_the_other_direction_lies_on_the_moving_image(session):
    moving = scan(session, 0)
    back = {"pulled": "fixed", "time": 0.0}
    assert np.array_equal(picture(session, "before", **back), scan(session, 1))
    assert alike(picture(session, "after", **back), moving) > 0.97 > alike(scan(session, 1), moving)


def test_the_way_there_ends_at_the_images_themselves(session):
    """At the time where nothing has moved yet each direction shows its own image."""
    assert np.allclose(picture(session, "after", time=0.0), scan(session, 0), atol=1e-3)
    assert np.allclose(picture(session, "after", pulled="fixed", time=1.0), scan(session, 1), atol=1e-3)


@pytest.mark.parametrize(("pulled", "time", "position"), [("moving", 1.0, 1), ("fixed", 0.0, 0)])
def test_squares_show_the_images_in_turn(session, pulled, time, position):
    plane = Plane.through(session.grid, 2, session.cursor_mm)
    odd = odd_squares(plane, 6.0)
    mixed = picture(session, "checkerboard", pulled=pulled, time=time, square_mm=6.0)
    after = picture(session, "after", pulled=pulled, time=time)
    assert np.array_equal(mixed[~odd], scan(session, position)[~odd])
    assert np.array_equal(mixed[odd], after[odd])
    assert 0.3 < odd.mean() < 0.7
    assert not np.array_equal(mixed, picture(session, "checkerboard", pulled=pulled, time=time, square_mm=9.0))


def test_a_square_has_its_size_in_mm_along_both_axes(session):
    plane = Plane.through(session.grid, 0, session.cursor_mm)
    odd = odd_squares(plane, 8.0)
    for axis, step in enumerate(plane.spacing):
        line = odd[:, 0] if axis == 0 else odd[0, :]
        edges = np.flatnonzero(np.diff(line.astype(int))) + 1
        assert len(edges) >= 2
        assert np.abs(edges * step - 8.0 * np.arange(1, len(edges) + 1)).max() <= step


def test_flicker_shows_one_and_the_other(session):
    assert np.array_equal(picture(session, "flicker", flicker=False), scan(session, 1))
    assert np.array_equal(picture(session, "flicker", flicker=True), picture(session, "after"))
    assert title(session, "flicker", flicker=False) == "flicker: fixed (fixed.nii.gz)"
    assert "moving (moving.nii.gz) pulled onto fixed" in title(session, "flicker", flicker=True)


def test_the_picture_says_which_image_and_which_direction(session):
    assert title(session, "after") == "after: moving (moving.nii.gz) pulled onto fixed (fixed.nii.gz)"
    assert title(session, "after", pulled="fixed", time=0.0).startswith(
        "after: fixed (fixed.nii.gz) pulled onto moving"
    )
    assert "on its way" in title(session, "after", time=0.4)
    assert "t = 0.4" in title(session, "after", time=0.4)
    laid = "before: moving (moving.nii.gz), laid on fixed (fixed.nii.gz) by the transform file"
    assert title(session, "before") == laid
    assert title(session, "before", pulled="fixed") == "before: fixed (fixed.nii.gz), not deformed"
    assert "squares of 7 mm" in title(session, "checkerboard", square_mm=7.0)


def test_a_read_out_tells_both_images(session):
    at = dataclasses.replace(session, show="checkerboard")
    words = [word for word, _ in readings(at, Plane.through(at.grid, 2, at.cursor_mm))]
    assert words == ["fixed", "pulled"]
    voxel = at.grid.to_index(np.array(at.cursor_mm)).round().astype(int)
    assert f"fixed {at.series.scans[1].image.numpy()[tuple(voxel)]:.4g}" in read_out(at).text


def test_without_a_map_there_is_the_image_as_it_was_laid(files):
    bare = session_of(opened(choice_of(files)))
    for show in COMPARISONS[1:]:
        assert "being computed" in title(bare, show, flicker=True), show
    assert np.array_equal(picture(bare, "after"), scan(bare, 0))


def test_a_comparison_without_a_pair_is_none(session):
    series_only = dataclasses.replace(session, pair=None, show="checkerboard")
    assert series_only.show_shown == "prediction"
    assert dataclasses.replace(series_only, result=None).show_shown == "observed"
    assert not wants_inverse(dataclasses.replace(series_only, pulled="fixed"))


def test_images_of_other_scales_are_seen_alike(shown):
    """A moving image of a hundredth of the values: its grey levels follow, and squares can be compared."""
    (lo, hi), fixed = shown.levels
    other = dataclasses.replace(shown, levels=((lo / 100, hi / 100), fixed))
    session = session_of(other)
    a, b = other.scale
    assert a == pytest.approx((fixed[1] - fixed[0]) / (hi - lo) * 100)
    before = slice_scene(dataclasses.replace(session, show="before"), 2).images[0]
    assert before.levels == pytest.approx((lo / 100, hi / 100))
    plane = Plane.through(session.grid, 2, session.cursor_mm)
    odd = odd_squares(plane, session.square_mm)
    mixed, after = picture(session, "checkerboard"), picture(session, "after")
    assert np.allclose(mixed[odd], a * after[odd] + b, rtol=1e-4)
    difference = slice_scene(dataclasses.replace(session, show="difference"), 2).images[0].data
    assert np.allclose(difference, a * after + b - scan(session, 1), atol=abs(a) * 0.1)
    assert session_of(shown).pair.scale == (1.0, 0.0)  # one scale stays as it is


class TestLandmarks:
    def test_errors_are_those_of_the_scores(self, session, shown):
        before, after = errors_before(shown), errors_after(session)
        assert before.mean() == pytest.approx(shown.scores["initial"]["tre_mean_mm"], abs=1e-4)
        assert after.mean() == pytest.approx(shown.scores["tre_mean_mm"], abs=1e-4)
        assert after.mean() < 0.5 * before.mean()

    def test_before_they_are_apart_by_the_known_push(self, session, shown, files):
        dots, rings = places(dataclasses.replace(session, show="before"), shown)
        assert np.allclose(dots, files.places, atol=1e-4)
        assert np.allclose(rings, pushed(files.places), atol=1e-4)

    def test_at_the_end_the_dot_is_the_fixed_landmark(self, session, shown, files):
        dots, rings = places(session, shown)
        assert np.allclose(dots, files.places, atol=1e-4)
        assert np.linalg.norm(rings - dots, axis=1).mean() < 1.5

    def test_at_the_start_the_ring_is_the_moving_landmark(self, session, shown, files):
        dots, rings = places(dataclasses.replace(session, time=0.0), shown)
        assert np.allclose(rings + SHIFT, true_map(files.places), atol=1e-4)
        lengths = np.linalg.norm(rings - dots, axis=1)
        assert np.allclose(lengths, errors_after(session), atol=0.05)  # a pure shift leaves lengths as they are

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("radiological", [False, True])
    def test_they_are_painted_on_the_tissue_they_mark(self, qtbot, shown, files, axis, radiological):
        """The fixed image is stored flipped and oblique: the voxel comes from its file's affine, read by nibabel."""
        place, fixed = files.places[3], shown.pair.fixed
        stored = nibabel.load(files.fixed)
        marked = np.zeros(stored.shape, np.float32)
        marked[tuple((np.linalg.inv(stored.affine) @ [*place, 1.0])[:3].round().astype(int))] = 1.0
        voxel = np.argwhere(Image.from_array(marked, fixed.stored_grid, "marked").numpy())[0]
        session = session_of(shown, cursor_mm=tuple(place), radiological=radiological)
        plane = slice_scene(session, axis).plane
        x, y = (plane.origin[k] + voxel[plane.axes[k]] * plane.spacing[k] for k in (0, 1))
        view = shown_slice(qtbot, session, axis, (420, 420))
        there, painted = view.to_pixel(x, y), _pixels(view, DOT)
        apart = np.hypot(painted[:, 0] - there.x(), painted[:, 1] - there.y()).min()
        assert apart <= 0.75 * max(plane.spacing) * view.camera.px_per_mm
        assert plane.index == voxel[axis]

    def test_swapped_images_take_their_columns(self, files):
        choice = choice_of(files, landmarks=files.landmarks, swapped=True, initial="none", labels=(None, None))
        turned = opened(dataclasses.replace(choice, fixed=choice.moving, moving=choice.fixed)).landmarks
        assert np.allclose(turned.moving, files.places, atol=1e-4)
        assert np.allclose(turned.fixed, true_map(files.places), atol=1e-4)

    def test_only_those_near_the_slice_are_drawn(self, session, files):
        scene = slice_scene(dataclasses.replace(session, cursor_mm=(0.0, 0.0, 0.0)), 2)
        away = np.abs(scene.plane.grid.to_index(files.places)[:, 2] - scene.index) * scene.plane.grid.spacing[2]
        assert set(scene.marks.rows) == set(np.flatnonzero(away <= 3.0))
        assert 0 < len(scene.marks.rows) < len(files.places)

    def test_they_can_be_switched_off(self, session):
        off = dataclasses.replace(session, overlays=session.overlays.switched("landmarks", on=False))
        assert slice_scene(session, 2).marks is not None
        assert slice_scene(off, 2).marks is None


def _pixels(view, colour: QColor) -> np.ndarray:
    """Where (N,2) a view is painted in about `colour`."""
    image = view.grab().toImage()
    ratio = image.devicePixelRatio()
    found = [
        (x / ratio, y / ratio)
        for x in range(image.width())
        for y in range(image.height())
        if _apart(image.pixelColor(x, y), colour) < 30
    ]
    return np.array(found).reshape(-1, 2)


def _apart(one: QColor, other: QColor) -> int:
    return max(abs(one.red() - other.red()), abs(one.green() - other.green()), abs(one.blue() - other.blue()))


def test_notes_are_sentences_that_name_files_as_they_are_called(files):
    lines = pair_notes(opened(choice_of(files, masks=files.masks[::-1]))).splitlines()  # each on the other grid
    assert any("_mask.nii.gz lies on another grid" in line for line in lines)
    assert not any(line.startswith(("Fixed_mask", "Moving_mask")) for line in lines)
    assert all(line.endswith(".") and not line.endswith("..") for line in lines)
