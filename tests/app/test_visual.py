"""What the widgets paint, beside stored pictures: NODER_RENEW_PICTURES=1 pytest tests/app/test_visual.py renews them.

Look at each renewed picture in tests/data/visual before it is committed.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import visual_scenes as scenes
from likeness import difference, pixels
from PySide6.QtGui import QColor, QFont, QFontDatabase, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from visual_scenes import NONE, OVERLAYS, Painter, session

from noder_viewer import theme
from noder_viewer.frames import volume_scene
from noder_viewer.palettes import DARK, LIGHT
from noder_viewer.region_state import RegionLook
from noder_viewer.volume import VolumeView

FOLDER = Path(__file__).parents[1] / "data" / "visual"
ALIKE = 12.0
"""The largest `likeness.difference` of a picture from its stored one: other glyphs make up to 6, what is wrong 19."""
ALIKE_3D = 30.0
"""OpenGL drivers differ more."""
PICTURES: dict[str, Callable[[Painter], QImage]] = {
    "three slices": scenes.three_slices,
    "radiological": lambda painter: scenes.three_slices(painter, session(radiological=True)),
    **{name: lambda painter, name=name: scenes.overlay(painter, name) for name in OVERLAYS},
    "regions": lambda painter: scenes.three_slices(painter, scenes.regions_session()),
    "before and after": scenes.before_and_after,
    "lightbox": scenes.lightbox,
    "methods side by side": scenes.side_by_side,
    "timeline": scenes.timeline,
    "panel": scenes.show_panel,
}


def dejavu():
    """The font of the stored pictures, from matplotlib where the system has none."""
    found = importlib.util.find_spec("matplotlib")
    if "DejaVu Sans" not in QFontDatabase.families() and found is not None and found.origin is not None:
        for file in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
            QFontDatabase.addApplicationFont(str(Path(found.origin).parent / "mpl-data" / "fonts" / "ttf" / file))
    font = QFont("DejaVu Sans")
    font.setPixelSize(12)
    return font


@pytest.fixture
def painter(qtbot):
    """Widgets in the dark look and one font; what the program had is put back."""
    app = QApplication.instance()
    before = app.font(), app.palette(), app.styleSheet(), app.style().name()
    app.setFont(dejavu())
    theme.apply(app, DARK)
    yield Painter(qtbot)
    app.setStyle(before[3])
    app.setPalette(before[1])
    app.setStyleSheet(before[2])
    app.setFont(before[0])


def stored(name):
    path = FOLDER / f"{name.replace(' ', '_')}.png"
    image = QImage(str(path))
    assert not image.isNull(), f"{path} is missing: see the first line of this file"
    return pixels(image)


def compare(name, image, alike=ALIKE):
    if os.environ.get("NODER_RENEW_PICTURES"):
        FOLDER.mkdir(parents=True, exist_ok=True)
        assert image.save(str(FOLDER / f"{name.replace(' ', '_')}.png"), "PNG", 0)
    found = difference(pixels(image), stored(name))
    assert found <= alike, f"{name} differs by {found:.1f}"


@pytest.mark.parametrize("name", PICTURES)
def test_it_looks_as_it_did(painter, name):
    compare(name, PICTURES[name](painter))


@pytest.mark.parametrize("name", ["timeline", "panel"])
def test_it_looks_as_it_did_in_the_light_look(painter, name):
    theme.apply(QApplication.instance(), LIGHT)
    compare(f"{name} light", PICTURES[name](painter))


@pytest.mark.gl
def test_the_3d_canvas_looks_as_it_did(painter, qtbot):
    view = VolumeView()
    view.build()
    made = session(1.0, replace(NONE, quiver=True))

    def fill():
        view.set_scene(volume_scene(made))
        for _ in range(100):  # OpenGL canvases come up some frames late
            QTest.qWait(100)
            if pixels(view.grab().toImage()).std() > 20:
                break
        QTest.qWait(300)

    image = painter.grab(view, 360, 340, fill)
    view.close_viewer()
    assert pixels(image)[60:-60, 60:-60].std() > 5
    compare("volume", image, ALIKE_3D)


class TestWhatMustNotPass:
    """Each of these is far from the stored picture: what is tolerated hides none of them."""

    @pytest.mark.parametrize("name", PICTURES)
    def test_a_mirrored_picture(self, name):
        picture = stored(name)
        for mirrored in (picture[:, ::-1], picture[::-1]):
            assert difference(mirrored, picture) > ALIKE

    @pytest.mark.parametrize("name", PICTURES)
    def test_an_empty_canvas(self, name):
        picture = stored(name)
        ground = np.array(QColor(DARK.background).getRgb()[:3], dtype=np.float32)
        for empty in (np.zeros_like(picture), np.broadcast_to(ground, picture.shape)):
            assert difference(empty, picture) > ALIKE

    def test_a_mirrored_or_empty_3d_canvas(self):
        picture = stored("volume")
        for wrong in (picture[:, ::-1], picture[::-1], np.zeros_like(picture)):
            assert difference(wrong, picture) > ALIKE_3D

    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_a_flipped_axis_of_the_image_alone(self, painter, axis):
        """Letters, crosshair and frame stay where they are."""
        made = session()
        made.trajectory.volume = made.trajectory.volume.flip(axis + 1)
        assert difference(pixels(scenes.three_slices(painter, made)), stored("three slices")) > ALIKE

    @pytest.mark.parametrize("name", OVERLAYS)
    def test_a_missing_overlay(self, painter, name):
        assert difference(pixels(scenes.overlay(painter, name, NONE)), stored(name)) > ALIKE

    def test_folds_without_the_rate(self, painter):
        rate = replace(OVERLAYS["rate and folds"][0], rate=False)
        assert difference(pixels(scenes.overlay(painter, "rate and folds", rate)), stored("rate and folds")) > ALIKE

    @pytest.mark.parametrize("name", ["jacobian", "quiver", "warped grid", "contours"])
    def test_an_overlay_of_the_mirrored_map(self, painter, name):
        """The image is right, and what lies over it is not."""
        chosen, time = OVERLAYS[name]
        made, bare = session(time, chosen), session(time)
        made.trajectory.displacement = mirrored(made.trajectory, "displacement")
        made.trajectory.jacobian = lambda t, grid=None: bare.trajectory.jacobian(t, grid).flip(0)
        made.trajectory.predict = bare.trajectory.predict
        assert difference(pixels(scenes.two_slices(painter, made)), stored(name)) > ALIKE

    @pytest.mark.parametrize(
        ("name", "colormap"), [("jacobian", "purple and green"), ("rate and folds", "purple and green")]
    )
    def test_another_colour_map(self, painter, name, colormap):
        look = replace(OVERLAYS[name][0], colormap=colormap)
        assert difference(pixels(scenes.overlay(painter, name, look)), stored(name)) > ALIKE

    def test_missing_regions(self, painter):
        assert difference(pixels(scenes.three_slices(painter)), stored("regions")) > ALIKE
        hidden = scenes.regions_session(replace(RegionLook(), visible=False))
        assert difference(pixels(scenes.three_slices(painter, hidden)), stored("regions")) > ALIKE

    @pytest.mark.parametrize("part", ["bars", "hatching"])
    def test_a_timeline_without_a_part(self, painter, part):
        assert difference(pixels(scenes.timeline(painter, **{part: False})), stored("timeline")) > ALIKE

    def test_a_pair_that_has_not_been_registered(self, painter):
        picture = scenes.before_and_after(painter, registered=False)
        assert difference(pixels(picture), stored("before and after")) > ALIKE

    @pytest.mark.parametrize("name", ["timeline", "panel"])
    def test_the_other_look(self, name):
        assert difference(stored(name), stored(f"{name} light")) > ALIKE


def mirrored(trajectory, name):
    """The displacement of the map seen in a mirror at r = 0."""
    real = getattr(trajectory, name)

    def flipped(points_mm, t):
        turn = points_mm.new_tensor([-1.0, 1.0, 1.0])
        return real(points_mm * turn, t) * turn

    return flipped


@pytest.mark.parametrize("name", PICTURES)
def test_two_pixels_aside_pass(name):
    picture = stored(name)
    assert difference(picture[2:, 2:], picture) <= ALIKE


@pytest.mark.parametrize("drawn", ["no antialiasing", "other hinting"])
@pytest.mark.parametrize("name", ["three slices", "contours", "timeline", "lightbox", "panel"])
def test_glyphs_of_another_machine_pass(painter, name, drawn):
    font = dejavu()
    if drawn == "no antialiasing":
        font.setStyleStrategy(QFont.StyleStrategy.NoAntialias)
    else:
        font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    QApplication.instance().setFont(font)
    assert difference(pixels(PICTURES[name](painter)), stored(name)) <= ALIKE
