"""From the session to the slices: places, sides, pictures, and what is not computed twice."""

import gc
import weakref
from dataclasses import replace

import doubles
import numpy as np
import pytest
import torch

from noder.grid import Grid
from noder.image import Image
from noder.series import ImageSeries
from noder_viewer.frames import default_window, thumbnail, thumbnail_times, volume_scene
from noder_viewer.plane import Plane
from noder_viewer.recent import Recent
from noder_viewer.scene import cursor_at_index, slice_scene, to_mm
from noder_viewer.session import OverlaySettings, Session


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_place_on_a_slice_is_the_voxel_that_is_drawn_there(grid: Grid, axis: int) -> None:
    plane = Plane(grid, axis, 7)
    a, b = plane.axes
    voxel = np.zeros(3)
    voxel[[a, b, axis]] = 3, 11, 7
    (x0, y0), (dx, dy) = plane.origin, plane.spacing
    mm = plane.to_mm(x0 + 3 * dx, y0 + 11 * dy)
    np.testing.assert_allclose(grid.to_index(np.array(mm)), voxel, atol=1e-9)
    np.testing.assert_allclose(plane.to_plane(np.array(mm)), [x0 + 3 * dx, y0 + 11 * dy], atol=1e-9)


def test_without_obliqueness_places_on_a_slice_are_ras_millimetres() -> None:
    grid = doubles.ras_grid()
    scene = slice_scene(doubles.session(grid, cursor_mm=(4.0, -3.0, 9.0)), 1)
    assert scene is not None
    assert scene.crosshair == pytest.approx((4.0, 9.0))
    assert to_mm(scene, 5.0, -7.0) == pytest.approx((5.0, scene.plane.position_mm, -7.0))


def test_letters_and_flips_of_both_conventions() -> None:
    planes = [Plane(doubles.ras_grid(), axis, 0) for axis in range(3)]
    radiological = ["".join(vars(p.letters(radiological=True)).values()) for p in planes]
    neurological = ["".join(vars(p.letters(radiological=False)).values()) for p in planes]
    assert radiological == ["APSI", "RLSI", "RLAP"]  # left, right, top, bottom
    assert neurological == ["APSI", "LRSI", "LRAP"]
    assert [p.flipped(radiological=True) for p in planes] == [True, True, True]
    assert [p.flipped(radiological=False) for p in planes] == [True, False, False]


def test_an_oblique_grid_says_so() -> None:
    scene = slice_scene(doubles.session(doubles.oblique_grid(20), radiological=True), 2)
    assert scene is not None
    assert scene.badge.startswith("RADIOLOGICAL")
    assert "oblique" in scene.badge
    assert scene.title.startswith("Axial ⊥ ")  # along the normal: the crosshair beside it is in RAS mm, and differs
    straight = slice_scene(doubles.session(), 2)
    assert straight is not None
    assert straight.badge == "NEUROLOGICAL"
    assert straight.title.startswith("Axial S ") or straight.title.startswith("Axial I ")


def test_nothing_open_shows_nothing() -> None:
    assert slice_scene(Session(), 2) is None
    assert volume_scene(Session()) is None
    assert thumbnail(Session(), 0.0) is None


def test_a_real_session_without_a_fit_shows_the_nearest_scan_that_is_not_excluded() -> None:
    grid = doubles.ras_grid((16, 17, 18))
    images = [Image.from_array(np.full(grid.shape, 10.0 * k, np.float32), grid, f"s{k}") for k in range(3)]
    session = Session(series=ImageSeries.from_images(images, [0, 1, 2]), show="prediction", time=1.1)
    for exclude, value in ((frozenset(), 10.0), (frozenset({1}), 20.0)):
        session.exclude = exclude
        scene = slice_scene(session, 0)
        assert scene is not None
        assert scene.images[0].kind == "observed"
        assert (scene.images[0].data == value).all()


def test_the_pictures_of_each_choice() -> None:
    session = doubles.session(time=1.0)
    session.trajectory.rate = 0.0
    session.trajectory.volume = torch.from_numpy(doubles.phantom(session.grid))[None] + 5
    kinds = {}
    for show in ("prediction", "observed", "difference", "side by side"):
        session.show = show
        scene = slice_scene(session, 2)
        assert scene is not None
        kinds[show] = [image.kind for image in scene.images]
        if show == "difference":  # the prediction is 5 above the phantom, scan 1 is 1 above it
            np.testing.assert_allclose(scene.images[0].data, 4, atol=0.01)
            assert scene.images[0].levels == (-500, 500)
    assert kinds == {
        "prediction": ["prediction"],
        "observed": ["observed"],
        "difference": ["difference"],
        "side by side": ["observed", "prediction"],
    }


def test_equal_input_computes_nothing_again() -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True, quiver=True))
    first = slice_scene(session, 2)
    session.trajectory.calls.clear()
    session.cursor_mm = (3.0, 2.0, session.cursor_mm[2])  # the axial slice stays
    session.window = (10.0, 200.0)
    second = slice_scene(session, 2)
    assert first is not None
    assert second is not None
    assert session.trajectory.calls == []
    assert second.images[0].data is first.images[0].data
    assert second.overlays["jacobian"] is first.overlays["jacobian"]
    session.time = 1.5
    third = slice_scene(session, 2)
    assert third is not None
    assert third.images[0].data is not first.images[0].data


def test_a_slice_never_asks_for_a_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True, quiver=True))
    sizes = []
    predict = type(session.trajectory).predict

    def watched(self: object, t: float, grid: Grid, carry: str) -> torch.Tensor:
        sizes.append(grid.n_voxels)
        return predict(self, t, grid, carry)  # type: ignore[arg-type]

    monkeypatch.setattr(type(session.trajectory), "predict", watched)
    slice_scene(session, 2)
    assert sizes == [40 * 50]


def test_results_go_with_their_owner() -> None:
    class Owner:
        pass

    recent, owner = Recent(per_owner=2), Owner()
    made = []
    for key in ("a", "b", "a", "c", "a", "b"):
        recent.get(owner, key, lambda key=key: made.append(key) or key)
    assert made == ["a", "b", "c", "b"]  # the least recently used one had gone
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_the_wheel_moves_the_cursor_along_one_axis_only() -> None:
    session = doubles.session(doubles.oblique_grid(), cursor_mm=(2.0, 3.0, 4.0))
    before = session.grid.to_index(np.array(session.cursor_mm))
    after = session.grid.to_index(np.array(cursor_at_index(session, 1, 9)))
    np.testing.assert_allclose(after, [before[0], 9, before[2]], atol=1e-9)
    assert cursor_at_index(session, 1, 999) == pytest.approx(cursor_at_index(session, 1, 49))


def test_thumbnails_and_the_volume_are_small() -> None:
    grid = doubles.ras_grid((90, 60, 40), (1.0, 1.0, 3.0))
    session = doubles.session(grid, overlays=OverlaySettings(quiver=True))
    frame = thumbnail(session, 0.5, axis=2, size=30)
    assert frame is not None
    assert frame.data.shape == (30, 20)
    assert frame.spacing == pytest.approx((3.0, 3.0))
    scene = volume_scene(session, max_voxels=60_000)
    assert scene is not None
    assert scene.data.shape == scene.grid.shape
    assert scene.data.size <= 60_000
    assert scene.grid.spacing == pytest.approx((2.0, 2.0, 3.0))  # the long voxels stay
    away = scene.points - np.array(session.trajectory.centre)
    assert ((away * scene.vectors).sum(axis=1) > 0).all()  # tissue grows: all arrows point outwards
    assert thumbnail_times(0, 3, 3) == [0.5, 1.5, 2.5]


def test_the_arrows_of_the_volume_stay_in_tissue() -> None:
    session = doubles.session(overlays=OverlaySettings(quiver=True))
    scene = volume_scene(session)
    assert scene is not None
    tips = torch.from_numpy(scene.points + scene.vectors)
    values = scene.grid.sample(torch.from_numpy(scene.data)[None], tips)[0]
    assert len(tips) > 20
    assert bool((values > 50).all())
    session.overlays = replace(session.overlays, quiver=False)
    bare = volume_scene(session)
    assert bare is not None
    assert len(bare.points) == 0


def test_grey_levels_leave_out_the_background_and_single_bright_voxels() -> None:
    volume = np.zeros((40, 40, 40), np.float32)
    volume[10:30, 10:30, 10:30] = np.linspace(50, 150, 8000).reshape(20, 20, 20)
    volume[20, 20, 20] = 1e5
    low, high = default_window(volume)
    assert low == 0
    assert high > 100
    assert default_window(np.full((4, 4, 4), 7, np.float32)) == (7, 8)
