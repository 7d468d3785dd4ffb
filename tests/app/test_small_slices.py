"""What a small slice view leaves out, so that its picture and what explains its colours stay."""

from dataclasses import replace
from unittest.mock import MagicMock

import doubles
import pytest
from PySide6.QtCore import QRectF, QSizeF
from PySide6.QtGui import QFont, QPainter

from noder_viewer.methods_view import MethodsView
from noder_viewer.region_layers import RegionLayer
from noder_viewer.region_paint import paint_legend
from noder_viewer.scene import slice_scene
from noder_viewer.session import Methods, OverlaySettings
from noder_viewer.slice_bars import bars_of, fitting
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slice_paint import header_of, is_small

SMALL, LARGE = QSizeF(196, 180), QSizeF(400, 300)


@pytest.fixture
def fonts(qapp):
    return Fonts(QFont())


def test_the_bar_of_grey_levels_gives_way_before_that_of_growth():
    bars = bars_of(slice_scene(doubles.session(overlays=OverlaySettings(jacobian=True)), 2))
    assert [bar.title for bar in fitting(bars, 300.0, 13.0)] == ["intensity", "log J"]
    assert [bar.title for bar in fitting(bars, 100.0, 13.0)] == ["log J"]
    assert len(fitting(bars[:1], 10.0, 13.0)) == 1


def test_a_small_view_has_one_line_for_its_title_and_the_warning_beside_the_badge(fonts):
    scene = slice_scene(doubles.session(time=3.5), 2)
    scene = replace(scene, badge="RAS", title="Axial S 18.1 mm and a long way on", extrapolated=True)
    scene = replace(scene, images=(replace(scene.images[0], title="a title of many words " * 5),))
    small, large = (header_of(scene, fonts, size, 60.0) for size in (SMALL, LARGE))
    assert (small.title_lines, small.badge_below, small.warns_above) == (1, True, True)
    assert large.title_lines > 1
    assert not large.warns_above
    assert is_small(scene, SMALL)
    assert not is_small(replace(scene, brief=True), SMALL)  # a tile of the lightbox has no other words


def test_panes_beside_each_other_have_bars_all_or_none(qtbot):
    view = MethodsView()
    qtbot.addWidget(view)
    view.set_axis(2)
    view.resize(400, 400)
    for panes in (("a",), ("a", "b", "c", "d")):
        view.set_choices(dict.fromkeys("abcd", "x"), list(panes), Methods(True, 2, panes))
        view.set_scenes([slice_scene(doubles.session(), 2)] * len(panes), [""] * len(panes))
        assert {bool(each._bars_shown()) for each in view.views[: len(panes)]} == {len(panes) == 1}
    view.resize(900, 400)
    view.show()
    assert all(each._bars_shown() for each in view.views)


@pytest.mark.parametrize(("room", "says"), [(1.0, ["one", "two", "three", "drawn"]), (0.8, ["one", "two", "…"])])
def test_a_legend_that_is_too_long_says_so(fonts, room, says):
    names = tuple((name, (255, 0, 0)) for name in ("one", "two", "three"))
    layer = RegionLayer(None, None, {}, {}, names, {}, "drawn")
    whole = sum(fonts.width(name) + 25 for name, _ in names) + 20 + fonts.width("drawn")
    painter = MagicMock(spec=QPainter)
    paint_legend(painter, QRectF(0, 0, whole * room, 20), layer, fonts)
    written = [call.args[-1] for call in painter.drawText.call_args_list]
    assert written[: len(says) - 1] == says[:-1]
    assert (written[-1] == "…") == (says[-1] == "…")
