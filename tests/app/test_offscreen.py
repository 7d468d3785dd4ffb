"""Pictures that are painted off screen are those of the screen, the right way round, with what was asked for."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import combinations
from typing import Any

import doubles
import numpy as np
import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QWidget
from window_kit import shown_slice

from noder_viewer.camera import Camera
from noder_viewer.movie_job import pixels
from noder_viewer.offscreen import Offscreen
from noder_viewer.picture_look import AXES, SLICES, Look, cells, framed, pixel_ratio, stamp_of
from noder_viewer.scene import SliceScene, slice_scene
from noder_viewer.session import OverlaySettings

BOTH = OverlaySettings(jacobian=True, quiver=True, quiver_spacing_mm=6)
SIZE = (560, 460)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def views(qtbot: Any) -> Any:
    """Lays views out anew for each picture of a test, as the window does."""
    parent = QWidget()
    qtbot.addWidget(parent)
    kept = Offscreen(parent)

    def lay_out(axes: tuple[int, ...], size: tuple[int, int] = SIZE, ratio: float = 1.0, **options: Any) -> Offscreen:
        kept.rest()
        kept.lay_out(axes, size, ratio, **{"looks": {}, **options})
        return kept

    return lay_out


def scene_of(session: Any, axis: int = 2, look: Look | None = None, stamp: str = "t = 1.00 years") -> SliceScene:
    scene = slice_scene(session, axis)
    assert scene is not None
    return framed(scene, look or Look(), stamp)


def drawn(image: QImage) -> np.ndarray:
    return pixels(image).astype(int)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("show", ["prediction", "difference", "side by side"])
def test_a_picture_is_what_the_screen_shows(qtbot: Any, views: Any, axis: int, show: str) -> None:
    session = doubles.session(overlays=BOTH, show=show)
    on_screen = drawn(shown_slice(qtbot, session, axis, SIZE).grab().toImage())
    scene = slice_scene(session, axis)
    assert scene is not None
    assert np.array_equal(drawn(views((axis,)).picture([scene])), on_screen)


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()], ids=["straight", "oblique"])
@pytest.mark.parametrize("radiological", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_bright_block_lies_towards_right_front_and_top(
    views: Any, grid: Any, radiological: bool, axis: int
) -> None:
    """It is to the patient's right (0.4 of the half width), in front (0.5) and above the middle (0.35)."""
    middle = (np.array(grid.shape) - 1) / 2
    cursor = tuple(grid.to_mm(middle * (1 + np.array([0.4, 0.5, 0.35]))).tolist())
    session = doubles.session(
        grid, radiological=radiological, cursor_mm=cursor, show="observed", window=(700.0, 1001.0)
    )
    bare = Look(stamp=False, bars=False, letters=False, badge=False)
    image = drawn(views((axis,), bars=False).picture([scene_of(session, axis, bare)])).mean(axis=2)
    inside = image[60:-20, 20:-20]
    rows, columns = np.nonzero(inside > 180)
    assert len(rows) > 50
    left, above = columns.mean() < inside.shape[1] / 2, rows.mean() < inside.shape[0] / 2
    assert left == (True if axis == 0 else radiological)
    assert above


class TestLook:
    def test_each_part_is_there_when_asked_for_and_not_else(self, views: Any) -> None:
        session = doubles.session(overlays=BOTH)
        bare = Look(stamp=False, bars=False, letters=False, badge=False, crosshair=False)
        without = drawn(views((2,), bars=False).picture([scene_of(session, look=bare)]))
        changed: dict[str, np.ndarray] = {}
        for name in ("stamp", "letters", "badge", "crosshair"):
            look = replace(bare, **{name: True})
            changed[name] = (drawn(views((2,), bars=False).picture([scene_of(session, look=look)])) != without).any(2)
        for name, where in changed.items():
            assert where.sum() > 50, name
        for one, other in combinations(("stamp", "letters", "badge"), 2):
            assert not (changed[one] & changed[other]).any(), (one, other)
        rows, columns = np.nonzero(changed["stamp"])
        assert 30 < rows.min() <= rows.max() < 0.25 * SIZE[1]
        assert columns.max() < 0.4 * SIZE[0]
        rows, columns = np.nonzero(changed["badge"])
        assert rows.max() < 30
        assert columns.min() > 0.5 * SIZE[0]

    def test_colour_bars_stand_in_a_strip_at_the_right(self, views: Any) -> None:
        session = doubles.session(overlays=BOTH)
        scene = scene_of(session)
        strip = drawn(views((2,)).picture([scene]))[60:-20, -50:]
        assert strip.reshape(-1, 3).std(axis=0).max() > 30
        assert (np.abs(strip - (57, 255, 20)).sum(axis=2) < 10).any()  # the swatch of folds
        empty = drawn(views((2,), bars=False).picture([scene]))
        assert not (np.abs(empty - (57, 255, 20)).sum(axis=2) < 10).any()

    def test_extrapolated_times_are_stamped_as_such(self, views: Any) -> None:
        inside, beyond = doubles.session(time=1.0), doubles.session(time=2.5)
        warning = (224, 176, 64)
        seen = []
        for session in (inside, beyond):
            corner = drawn(views((2,)).picture([scene_of(session)]))[40:70, 10:220]
            seen.append(int((np.abs(corner - warning).sum(axis=2) < 30).sum()))
        assert seen[0] == 0
        assert seen[1] > 20


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (640, 480), (500, 900), (1600, 500), (801, 803)])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_views_stand_side_by_side_within_the_picture(n: int, width: int, height: int) -> None:
    found = cells(n, width, height)
    assert len(found) == n
    taken = np.zeros((height, width), int)
    for x, y, w, h in found:
        assert w > 0
        assert h > 0
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
        taken[y : y + h, x : x + w] += 1
    assert taken.max() == 1
    assert taken.mean() > 0.97


def test_a_large_picture_has_larger_letters_not_more_room(views: Any) -> None:
    session = doubles.session(overlays=BOTH)
    small = drawn(views(AXES[SLICES], (960, 540)).picture([scene_of(session, axis) for axis in AXES[SLICES]]))
    large = drawn(views(AXES[SLICES], (1920, 1080), 2.0).picture([scene_of(session, axis) for axis in AXES[SLICES]]))
    assert large.shape == (1080, 1920, 3)
    halved = large.reshape(540, 2, 960, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved - small).mean() < 7  # what is laid out otherwise is 28 away
    assert [pixel_ratio(*size) for size in ((640, 480), (1280, 720), (1920, 1080), (3840, 2160))] == [
        1.0,
        1.0,
        1.5,
        3.0,
    ]


def test_what_the_user_has_zoomed_to_is_what_is_pictured(qtbot: Any, views: Any) -> None:
    session = doubles.session(show="observed")
    view = shown_slice(qtbot, session, 2, SIZE)
    camera = Camera(5.0, -4.0, view.camera.px_per_mm * 3, fitted=False)
    view.set_camera(camera)
    on_screen = drawn(view.grab().toImage())
    scene = slice_scene(session, 2)
    assert scene is not None
    zoomed = views((2,), looks={2: (camera, QSize(*SIZE))}).picture([scene])
    assert np.array_equal(drawn(zoomed), on_screen)
    assert not np.array_equal(drawn(views((2,)).picture([scene])), on_screen)


class TestSvg:
    @pytest.fixture
    def root(self, views: Any) -> ElementTree.Element:
        session = doubles.session(overlays=BOTH)
        scenes = [
            scene_of(session, axis, Look(crosshair=True), "" if axis != 2 else "t = 1.00 years") for axis in (2, 0)
        ]
        return ElementTree.fromstring(views((2, 0), (900, 400)).svg(scenes))

    def test_letters_numbers_and_titles_are_text(self, root: ElementTree.Element) -> None:
        words = [" ".join((node.text or "").split()) for node in root.iter(f"{SVG}text")]
        for text in ("NEUROLOGICAL", "t = 1.00 years", "1000", "log J", "A", "P", "L", "R", "S", "I", "fold"):
            assert text in words, text
        assert any(word.startswith("prediction at t = 1 years") for word in words)

    def test_the_right_of_a_neurological_picture_is_right(self, root: ElementTree.Element) -> None:
        axial = root.findall(f"{SVG}svg")[0]
        places = {(node.text or "").strip(): float(node.attrib["x"]) for node in axial.iter(f"{SVG}text")}
        assert places["L"] < places["R"]

    def test_arrows_are_lines_and_only_pictures_are_pixels(self, root: ElementTree.Element) -> None:
        assert len(root.findall(f"{SVG}svg")) == 2
        for view in root.findall(f"{SVG}svg"):
            images = list(view.iter(f"{SVG}image"))
            # the slice, its heat map, and the ramps of two colour bars
            assert len(images) == 4
            assert all(image.attrib["{http://www.w3.org/1999/xlink}href"].startswith("data:") for image in images)
            strokes = [node for node in [*view.iter(f"{SVG}path"), *view.iter(f"{SVG}polyline")] if node is not None]
            assert len(strokes) > 3

    def test_names_in_one_view_are_not_those_of_the_other(self, root: ElementTree.Element) -> None:
        names = [node.attrib["id"] for node in root.iter(f"{SVG}clipPath")]
        assert len(names) == len(set(names))
        used = re.findall(r"url\(#([^)]+)\)", ElementTree.tostring(root, encoding="unicode"))
        assert used
        assert set(used) <= set(names)


@pytest.mark.parametrize(
    ("t", "step", "unit", "words"),
    [
        (203.0, 12.0, "days", "t = 203 days"),
        (0.5, 0.02, "years", "t = 0.50 years"),
        (-1.0, 0.5, "s", "t = −1.0 s"),
        (3.0, 1.0, "index", "t = 3"),
        (3.25, 0.0, "", "t = 3.250"),
    ],
)
def test_a_stamp_tells_frames_apart(t: float, step: float, unit: str, words: str) -> None:
    assert stamp_of(t, step, unit) == words
