"""Layers of other files on the slices: where they lie, what lies over what, how they are drawn."""

import doubles
import numpy as np
import pytest
from PySide6.QtWidgets import QApplication
from window_kit import shown_slice

from noder.grid import Grid
from noder.image import Image
from noder_viewer.colormaps import HEAT_MAPS, IMAGE_MAPS, LABELS, LUTS, lut, paint, paint_image, paint_labels
from noder_viewer.layers import IMAGE, LANDMARKS, Layer, Look, looks_like_labels, moved, on_slice, stacked
from noder_viewer.plane import Plane
from noder_viewer.scene import slice_scene
from noder_viewer.session import OverlaySettings
from noder_viewer.slice_bars import bars_of

SLOPE = np.array([2.0, -3.0, 5.0])


def turned(name):
    """A grid that covers `doubles.ras_grid` in another orientation."""
    affine = np.diag([1.5, 1.5, 2.5, 1.0])
    if name == "LAS":
        affine[0] *= -1
    elif name == "permuted":
        affine[:3, :3] = affine[:3, [2, 0, 1]]
    elif name == "oblique":
        affine = doubles.oblique_grid(25).affine.copy()
    shape = (70, 70, 70)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def ramp_layer(grid, *, is_labels=False, key="layer 1", **look):
    """An image whose value is linear in RAS mm, so that linear sampling is exact on every grid."""
    where = grid.points().numpy()
    image = Image.from_array((where @ SLOPE + 100).astype(np.float32), grid, "ramp")
    return Layer(key, "ramp.nii", image, is_labels, (-100.0, 300.0), Look("hot", **look))


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "permuted", "oblique"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("main", [doubles.ras_grid(), doubles.oblique_grid()], ids=["straight", "oblique"])
def test_a_layer_of_any_grid_lies_where_it_is_in_the_patient(orientation, axis, main):
    layer, plane = ramp_layer(turned(orientation)), Plane(main, axis, 11)
    expected = (plane.slice_grid.points().numpy() @ SLOPE + 100).squeeze(axis)
    np.testing.assert_allclose(on_slice(layer, plane), expected, atol=2e-3)


def test_outside_of_its_image_a_layer_is_nothing():
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    half = Grid((40, 50, 30), affine)  # from 0 mm on; the slices go from -19.5 mm
    seen = on_slice(ramp_layer(half), Plane(doubles.ras_grid(), 2, 20))
    columns = np.arange(40) - 19.5
    assert np.array_equal(np.isfinite(seen).any(axis=1), columns >= -0.5)


def test_labels_are_never_mixed():
    grid = turned("oblique")
    labels = (np.indices(grid.shape).sum(0) % 7).astype(np.float32)
    layer = Layer("a", "a", Image.from_array(labels, grid, "a"), True, (0, 7), Look())
    seen = on_slice(layer, Plane(doubles.ras_grid(), 1, 25))
    inside = seen[np.isfinite(seen)]
    assert set(np.unique(inside)) == set(range(7))


def test_a_slice_is_sampled_once():
    layer, plane = ramp_layer(turned("LAS")), Plane(doubles.ras_grid(), 2, 4)
    assert on_slice(layer, plane) is on_slice(layer, plane)
    assert on_slice(layer, Plane(plane.grid, 2, 5)) is not on_slice(layer, plane)


def test_what_is_a_label_map():
    assert looks_like_labels(np.array([[[0, 1, 2, 40]]], np.float32))
    assert not looks_like_labels(np.array([[[0, 1.5]]], np.float32))
    assert not looks_like_labels(np.array([[[-1, 0, 3]]], np.float32))
    assert not looks_like_labels(np.arange(512, dtype=np.float32).reshape(8, 8, 8))


def test_new_layers_lie_over_the_image_and_below_the_overlays():
    session = doubles.session(layers=(ramp_layer(turned("LAS")), ramp_layer(turned("LAS"), key="layer 2")))
    order = stacked(session)
    assert order[0] == LANDMARKS
    assert order[-3:] == ("layer 1", "layer 2", IMAGE)
    session.order = ("image", "layer 2", "jacobian")
    order = stacked(session)
    assert order[-4:] == ("layer 1", "image", "layer 2", "jacobian")
    assert "quiver" in order[:4]


def test_layers_move_by_one_and_no_further_than_the_ends():
    order = (LANDMARKS, "quiver", "layer 1", IMAGE)
    assert moved(order, "layer 1", 1) == (LANDMARKS, "quiver", IMAGE, "layer 1")
    assert moved(order, "quiver", -1) == order
    assert moved(order, IMAGE, 1) == order
    assert moved(order, LANDMARKS, 1) == order


def test_tables_have_256_opaque_colours_and_a_gamma_bends_them():
    for name in IMAGE_MAPS:
        assert LUTS[name].shape == (256, 4)
        assert (LUTS[name][:, 3] == 255).all()
    assert lut("gray", 2.0)[128, 0] == pytest.approx(64, abs=1)
    assert lut("gray", 2.0)[255, 0] == 255
    assert lut("gray") is LUTS["gray"]


@pytest.mark.parametrize("name", list(HEAT_MAPS))
def test_heat_maps_are_clear_in_the_middle_and_so_they_are_with_a_gamma(name):
    for gamma in (1.0, 0.5, 2.0):
        table = lut(name, gamma)
        assert table[128, 3] == 0
        assert table[0, 3] == table[256, 3] == 255
        assert abs(int(table[64, 3]) - int(table[192, 3])) <= 2
        assert not np.array_equal(table[0, :3], table[256, :3])
    assert lut(name, 0.5)[192, 3] > lut(name)[192, 3] > lut(name, 2.0)[192, 3]


def test_labels_have_their_colours_and_an_outline_leaves_the_inside_free():
    labels = np.zeros((9, 9), np.float32)
    labels[2:7, 2:7] = 3
    labels[0, 0] = np.nan
    whole = paint_labels(labels, 0.5, outline=False)
    assert tuple(whole[4, 4]) == (*LABELS[2], 128)
    assert whole[0, 0, 3] == 0
    edge = paint_labels(labels, 1.0, outline=True)
    assert edge[4, 4, 3] == 0
    assert tuple(edge[2, 4]) == (*LABELS[2], 255)
    assert edge[1, 4, 3] == 0


def test_an_image_layer_is_clear_where_it_is_not_and_at_its_opacity_where_it_is():
    values = np.array([[np.nan, 0.0, 10.0, 20.0]], np.float32)
    rgba = paint_image(values, 0, 20, lut("gray"), 0.5)
    assert rgba[0, :, 3].tolist() == [0, 128, 128, 128]
    assert rgba[0, 1:, 0].tolist() == [0, 127, 255]
    assert (LUTS["gray"][:, 3] == 255).all()  # the table itself stays


def test_a_heat_map_is_painted_in_the_chosen_colours():
    heat = np.array([[-1.0, 1.0]], np.float32)
    default = paint(heat, 1, 1, np.zeros((1, 2), bool))
    other = paint(heat, 1, 1, np.zeros((1, 2), bool), "blue and red")
    assert np.array_equal(default[0, 0], other[0, 0])
    assert not np.array_equal(default[0, 1], other[0, 1])


def test_the_look_of_the_image_reaches_the_scene_and_its_colour_bar():
    session = doubles.session(look=Look("viridis", 1.5, 0.5))
    scene = slice_scene(session, 2)
    image = scene.images[0]
    assert (image.colormap, image.gamma, image.opacity) == ("viridis", 1.5, 0.5)
    assert (bars_of(scene)[0].lut, bars_of(scene)[0].gamma) == ("viridis", 1.5)
    session.show = "difference"  # whose colours mean something
    assert slice_scene(session, 2).images[0].colormap == "difference"
    session.look = Look(visible=False)
    assert slice_scene(session, 2).images[0].opacity == 0


def test_a_difference_below_a_colour_map_is_grey():
    session = doubles.session(show="difference", look=Look("viridis"), overlays=OverlaySettings(jacobian=True))
    assert [bar.lut for bar in bars_of(slice_scene(session, 2))] == ["gray", "log J"]
    session.overlays = OverlaySettings(quiver=True)
    assert [bar.lut for bar in bars_of(slice_scene(session, 2))] == ["difference"]


def test_overlays_take_colours_and_gamma_and_stay_the_very_same_otherwise():
    session = doubles.session(overlays=OverlaySettings(jacobian=True, colormap="blue and red", gamma=0.7))
    heat = slice_scene(session, 2).overlays["jacobian"]
    assert (heat.colormap, heat.gamma) == ("blue and red", 0.7)
    assert slice_scene(session, 2).overlays["jacobian"] is heat
    assert bars_of(slice_scene(session, 2))[1].lut == "blue and red"


def test_an_image_layer_has_a_colour_bar_with_its_name_and_a_label_map_has_none():
    session = doubles.session(layers=(ramp_layer(turned("RAS")), ramp_layer(turned("RAS"), is_labels=True, key="b")))
    bars = bars_of(slice_scene(session, 2))
    assert [(bar.title, bar.low, bar.high) for bar in bars[1:]] == [("ramp.nii", -100, 300)]


def middle(view):
    """The colour at the crosshair's hole, that is of the picture."""
    image = view.grab().toImage()
    place = view.to_pixel(*view._scene.crosshair)
    return image.pixelColor(round(place.x()), round(place.y())).getRgb()[:3]


@pytest.fixture
def green():
    """A layer that is green all over."""
    grid = turned("RAS")
    image = Image.from_array(np.full(grid.shape, 50, np.float32), grid, "g")
    return Layer("g", "g", image, False, (0.0, 50.0), Look("green"))


def test_what_is_in_front_is_seen(qtbot, green):
    session = doubles.session(layers=(green,), order=("g", "image"))
    view = shown_slice(qtbot, session, 2, (300, 300))
    assert middle(view) == tuple(LUTS["green"][255, :3])
    session.order = ("image", "g")
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    r, g, b = middle(view)
    assert r == g == b
    session.order = ("g", "image")
    session.layers = ()
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    r, g, b = middle(view)
    assert r == g == b


def test_a_hidden_image_leaves_what_lies_below_it(qtbot, green):
    session = doubles.session(layers=(green,), order=("image", "g"), look=Look(visible=False))
    view = shown_slice(qtbot, session, 2, (300, 300))
    assert middle(view) == tuple(LUTS["green"][255, :3])


def test_without_layers_a_pane_has_no_more_items_than_before(qtbot, green):
    session = doubles.session()
    view = shown_slice(qtbot, session, 2, (300, 300))
    pane = view._panes[0]
    before = len(pane.box.childGroup.childItems())
    session.layers = (green,)
    view.set_scene(slice_scene(session, 2))
    assert len(pane.box.childGroup.childItems()) == before + 1
    session.layers = ()
    view.set_scene(slice_scene(session, 2))
    assert len(pane.box.childGroup.childItems()) == before
