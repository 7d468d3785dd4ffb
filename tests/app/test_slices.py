"""What is seen on a slice view and what the mouse asks for: orientation, places, steps."""

from typing import Any

import doubles
import numpy as np
import pytest
from doubles import move
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QHelpEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from window_kit import shown_slice

from noder_viewer import slice_mouse, slice_paint
from noder_viewer.colormaps import ARROW, FOLD
from noder_viewer.scene import cursor_at_index, slice_scene, to_mm
from noder_viewer.session import OverlaySettings
from noder_viewer.slice_bars import bars_of
from noder_viewer.slices import SliceView

NO_KEYS = Qt.KeyboardModifier.NoModifier
BRIGHT = (28, 37, 20)
"""A voxel in the phantom's block: to the patient's right, front and top of the middle."""


@pytest.fixture
def make(qtbot: Any) -> Any:
    def view_of(axis: int, session: Any, size: tuple[int, int] = (520, 460)) -> SliceView:
        return shown_slice(qtbot, session, axis, size)

    return view_of


def at_bright(**changes: Any) -> Any:
    """A session whose cursor is in the bright block."""
    session = doubles.session(**{"time": 0.0, **changes})
    session.cursor_mm = tuple(session.grid.to_mm(np.array(BRIGHT, float)).tolist())
    return session


def pixels(view: QWidget) -> np.ndarray:
    """(height, width, 3) of what is on screen."""
    image = view.grab().toImage().convertToFormat(view.grab().toImage().Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return raw[..., 2::-1].astype(int)


def brightest(view: SliceView) -> np.ndarray:
    """Mean place (x, y) of white pixels inside the picture (titles and bars are outside)."""
    seen = pixels(view)
    rect = view._rect(0).toRect().adjusted(24, 24, -24, -24)
    part = seen[rect.top() : rect.bottom(), rect.left() : rect.right()]
    rows, columns = np.nonzero((part > 240).all(-1))
    assert len(rows) > 20
    return np.array([columns.mean() + rect.left(), rows.mean() + rect.top()])


def viewport(view: SliceView) -> QWidget:
    return view._canvas.viewport()


def wheel(view: SliceView, angle: int, where: QPointF, keys: Qt.KeyboardModifier = NO_KEYS) -> None:
    place = viewport(view).mapToGlobal(where)
    event = QWheelEvent(
        where,
        place,
        QPoint(),
        QPoint(0, angle),
        Qt.MouseButton.NoButton,
        keys,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(viewport(view), event)


@pytest.mark.parametrize("radiological", [False, True])
@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid(15)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bright_voxel_lies_on_its_side_of_the_screen(make: Any, axis: int, grid: Any, radiological: bool) -> None:
    session = at_bright(grid=grid, radiological=radiological)
    view = make(axis, session)
    scene = slice_scene(session, axis)
    place, middle = brightest(view), view._rect(0).center()
    # the block is to the patient's right, front and top
    on_left = place[0] < middle.x() - 10
    assert on_left == (axis == 0 or radiological)  # sagittal: anterior is on the left
    assert place[1] < middle.y() - 10
    letters = scene.letters
    assert (letters.left if on_left else letters.right) == ("A" if axis == 0 else "R")
    assert letters.top == ("A" if axis == 2 else "S")


@pytest.mark.parametrize("radiological", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_click_on_what_is_bright_asks_for_its_place(make: Any, qtbot: Any, axis: int, radiological: bool) -> None:
    session = at_bright(grid=doubles.oblique_grid(15), radiological=radiological)
    view = make(axis, session)
    target = QPoint(*brightest(view).round().astype(int))
    with qtbot.waitSignal(view.cursor_requested) as asked:
        QTest.mouseClick(viewport(view), Qt.MouseButton.LeftButton, pos=target)
    mm = to_mm(slice_scene(session, axis), *asked.args[1:])
    assert asked.args[0] == axis
    voxel = session.grid.to_index(np.array(mm))
    block = np.argwhere(doubles.phantom(session.grid) == 1000)
    assert (voxel >= block.min(0) - 1).all()
    assert (voxel <= block.max(0) + 1).all()


def test_the_crosshair_meets_where_the_click_was(make: Any, qtbot: Any) -> None:
    session = at_bright(radiological=True)
    view = make(2, session)
    target = QPoint(200, 190)
    with qtbot.waitSignal(view.cursor_requested) as asked:
        QTest.mouseClick(viewport(view), Qt.MouseButton.LeftButton, pos=target)
    session.cursor_mm = to_mm(slice_scene(session, 2), *asked.args[1:])
    scene = slice_scene(session, 2)
    view.set_scene(scene)
    cross = view.to_pixel(*scene.crosshair)
    assert (cross - QPointF(target)).manhattanLength() < 1.5


def test_the_wheel_steps_one_slice_and_steps_add_up_until_they_are_answered(make: Any) -> None:
    session = doubles.session()
    view, asked = make(2, session), []
    view.index_requested.connect(lambda axis, index: asked.append((axis, index)))
    now, middle = slice_scene(session, 2).index, QPointF(200, 200)
    wheel(view, 120, middle)
    wheel(view, 120, middle)
    assert asked == [(2, now + 1), (2, now + 2)]
    session.cursor_mm = cursor_at_index(session, 2, now + 2)
    view.set_scene(slice_scene(session, 2))
    wheel(view, -120, middle)
    assert asked[-1] == (2, now + 1)
    wheel(view, 40, middle)
    wheel(view, 40, middle)
    assert len(asked) == 3  # a touch pad's small turns
    wheel(view, 40, middle)
    assert asked[-1] == (2, now + 2)


def test_the_wheel_stops_at_the_last_slice(make: Any) -> None:
    session = doubles.session()
    session.cursor_mm = cursor_at_index(session, 2, 29)
    view, asked = make(2, session), []
    view.index_requested.connect(lambda *args: asked.append(args))
    wheel(view, 120, QPointF(200, 200))
    assert asked == []


def test_ctrl_and_wheel_zooms_about_the_mouse_and_a_double_click_with_it_shows_all(make: Any) -> None:
    view, asked = make(2, doubles.session()), []
    view.index_requested.connect(lambda *args: asked.append(args))
    where, fitted = QPointF(150, 260), view.camera.px_per_mm
    before = view.camera.to_plane(view._rect(0), where)
    wheel(view, 240, where, Qt.KeyboardModifier.ControlModifier)
    assert view.camera.px_per_mm == pytest.approx(fitted * 1.44)
    assert view.camera.to_plane(view._rect(0), where) == pytest.approx(before)
    assert asked == []
    ctrl = Qt.KeyboardModifier.ControlModifier
    QTest.mouseDClick(viewport(view), Qt.MouseButton.LeftButton, ctrl, QPoint(200, 200))
    assert view.camera.px_per_mm == pytest.approx(fitted)


@pytest.mark.parametrize("button", [Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton])
def test_a_drag_pans_and_sets_no_crosshair(make: Any, button: Qt.MouseButton) -> None:
    view, asked = make(1, doubles.session(radiological=True)), []
    view.cursor_requested.connect(lambda *args: asked.append(args))
    start = view.camera.to_plane(view._rect(0), QPointF(200, 200))
    QTest.mousePress(viewport(view), button, pos=QPoint(200, 200))
    move(viewport(view), QPoint(215, 210))
    move(viewport(view), QPoint(240, 230))
    QTest.mouseRelease(viewport(view), button, pos=QPoint(240, 230))
    assert view.camera.to_plane(view._rect(0), QPointF(240, 230)) == pytest.approx(start)
    assert asked == []


def test_a_right_drag_asks_for_grey_levels(make: Any) -> None:
    view, asked = make(2, doubles.session(window=(100.0, 500.0))), []
    view.levels_requested.connect(lambda *args: asked.append(args))
    QTest.mousePress(viewport(view), Qt.MouseButton.RightButton, pos=QPoint(200, 200))
    move(viewport(view), QPoint(350, 200))
    wide = asked[-1]
    move(viewport(view), QPoint(200, 100))
    brighter = asked[-1]
    QTest.mouseRelease(viewport(view), Qt.MouseButton.RightButton, pos=QPoint(200, 100))
    assert wide == pytest.approx((-100, 700))  # twice as wide about the same middle
    assert brighter[1] - brighter[0] == pytest.approx(400)
    assert brighter[0] < 100


def test_hovering_tells_the_place_and_leaving_is_told(make: Any) -> None:
    view, seen, left = make(2, doubles.session()), [], []
    view.hovered.connect(lambda *args: seen.append(args))
    view.left.connect(lambda: left.append(True))
    move(viewport(view), QPoint(180, 220))
    assert seen[-1] == pytest.approx((2, *view.camera.to_plane(view._rect(0), QPointF(180, 220))))
    move(viewport(view), QPoint(view.width() - 5, 220))  # over the colour bars
    assert left


def test_voxels_are_drawn_to_scale(make: Any) -> None:
    grid = doubles.ras_grid((40, 40, 10), (1.0, 1.0, 4.0))
    session = doubles.session(grid, show="observed", time=0.0)
    session.series.scans[0].image.array[:] = 1000.0
    view = make(1, session)
    rect = view._rect(0)
    white = (pixels(view) > 250).all(-1)[:, : int(rect.right()) - 30]
    rows, columns = np.nonzero(white)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=3)  # 40 x 1 mm and 10 x 4 mm


def test_two_pictures_side_by_side_look_at_the_same_place(make: Any) -> None:
    session = at_bright(show="side by side")
    view = make(2, session, (800, 460))
    wheel(view, 120, QPointF(200, 200), Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()
    first, second = view._rect(0), view._rect(1)
    assert first.size() == second.size()
    assert second.left() > first.right() - 1
    bright = [
        (pixels(view)[r.toRect().top() : r.toRect().bottom(), r.toRect().left() : r.toRect().right()])
        for r in (first, second)
    ]
    places = [np.argwhere((part[30:-30, 30:-30] > 240).all(-1)).mean(0) for part in bright]
    np.testing.assert_allclose(*places, atol=2)
    session.show = "prediction"
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    assert view._rect(0).width() > 1.8 * first.width()


def test_overlays_are_seen_and_go_again(make: Any) -> None:
    session = doubles.session()
    session.trajectory.fold = True
    view = make(2, session)
    plain = pixels(view)
    session.overlays = OverlaySettings(jacobian=True, jacobian_opacity=1.0, quiver=True, quiver_spacing_mm=6)
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    overlaid = pixels(view)
    rect = view._rect(0).toRect()
    part = overlaid[rect.top() : rect.bottom(), rect.left() : rect.right()]
    assert (part[..., 0] > part[..., 2] + 60).mean() > 0.1  # orange: growth
    assert (np.abs(part - FOLD).sum(-1) < 12).sum() > 10
    assert (np.abs(part - ARROW).sum(-1) < 30).sum() > 100
    session.overlays = OverlaySettings()
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    assert np.array_equal(pixels(view), plain)


def test_arrows_point_outwards_on_the_flipped_screen_too(make: Any) -> None:
    session = doubles.session(radiological=True, overlays=OverlaySettings(quiver=True, quiver_spacing_mm=6))
    view, scene = make(2, session), slice_scene(session, 2)
    quiver, middle = scene.overlays["quiver"], view._rect(0).center()
    for start, vector in zip(quiver.start, quiver.vector, strict=True):
        tail, tip = view.to_pixel(*start), view.to_pixel(*(start + vector))
        assert QPointF.dotProduct(tip - tail, tail - middle) > 0


def test_only_what_changed_is_drawn_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True, quiver=True))
    view = make(2, session)
    pane, calls = view._panes[0], []
    for item, name in ((pane.image, "show_image"), (pane.heat, "show_image"), (pane.arrows, "setData")):
        monkeypatch.setattr(item, name, lambda *_args, name=name, **_kw: calls.append(name))
    session.cursor_mm = (5.0, 5.0, session.cursor_mm[2])
    view.set_scene(slice_scene(session, 2))
    assert calls == []
    session.window = (0.0, 300.0)
    view.set_scene(slice_scene(session, 2))
    assert calls == ["show_image"]


def test_titles_name_slice_convention_and_picture(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = doubles.session(
        radiological=True, time=2.5, overlays=OverlaySettings(jacobian=True, quiver=True, quiver_scale=2)
    )
    written: list[str] = []
    monkeypatch.setattr(slice_paint, "_draw_elided", lambda _painter, _rect, text: written.append(text))
    make(2, session)
    assert "Axial I 1.0 mm · 15/30" in written
    assert "prediction at t = 2.5 years, neighbouring scans carried" in written
    assert "log J, growth > 0, frame at t = 2.5 years" in written
    assert "motion, drawn 2×: arrows point where tissue went" in written


def test_the_name_of_an_oblique_slice_says_what_its_millimetres_are(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(slice_mouse.QToolTip, "showText", lambda _place, text, _widget: told.append(text))
    for grid in (doubles.oblique_grid(34), doubles.ras_grid()):
        view = make(2, doubles.session(grid))
        for y in (8, view.height() // 2):  # on the name, and on the picture
            place = QPoint(30, y)
            under = view.childAt(place) or view
            help_there = QHelpEvent(QEvent.Type.ToolTip, under.mapFrom(view, place), view.mapToGlobal(place))
            QApplication.sendEvent(under, help_there)
    assert told == [slice_mouse.OBLIQUE, "", "", ""]


def test_colour_bars_have_units_and_the_width_they_need(make: Any) -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True), window=(-1000.0, 12345.0))
    view = make(2, session)
    bars = bars_of(slice_scene(session, 2))
    assert [bar.title for bar in bars] == ["intensity", "log J"]
    assert bars[1].low == -bars[1].high
    assert view.width() - view._rect(0).right() >= view.fontMetrics().horizontalAdvance("12345") + 10


def test_an_empty_view_says_what_to_do_and_asks_for_nothing(make: Any) -> None:
    view = SliceView(0)
    view.resize(300, 300)
    view.show()
    asked: list[Any] = []
    view.cursor_requested.connect(lambda *args: asked.append(args))
    view.set_message("Drop a series here")
    QTest.mouseClick(viewport(view), Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    wheel(view, 120, QPointF(100, 100))
    assert asked == []
    assert pixels(view).std() > 1
    view.set_scene(slice_scene(doubles.session(), 0))
    QApplication.processEvents()
    assert pixels(view).std() > 5
    view.set_scene(None)
    view.close()


def test_a_view_that_was_emptied_shows_the_next_scene_as_large(make: Any) -> None:
    session = doubles.session()
    view = make(2, session)
    before, place = pixels(view), view._rect(0)
    for _ in range(2):
        view.set_scene(None)
        QApplication.processEvents()
        view.set_scene(slice_scene(session, 2))
        QApplication.processEvents()
        assert view._rect(0) == place
    assert np.array_equal(pixels(view), before)


def test_a_new_grid_is_shown_whole(make: Any) -> None:
    view = make(2, doubles.session())
    wheel(view, 1200, QPointF(200, 200), Qt.KeyboardModifier.ControlModifier)
    large = doubles.ras_grid((90, 90, 30))
    view.set_scene(slice_scene(doubles.session(large), 2))
    rect = view._rect(0)
    assert rect.contains(view.to_pixel(-45, -45))
    assert rect.contains(view.to_pixel(45, 45))


def test_a_double_click_leaves_the_crosshair_where_it_was(make: Any) -> None:
    session = doubles.session()
    view, before = make(2, session), slice_scene(session, 2).crosshair

    def put(_axis: int, x: float, y: float) -> None:
        session.cursor_mm = to_mm(slice_scene(session, 2), x, y)
        view.set_scene(slice_scene(session, 2))

    view.cursor_requested.connect(put)
    for place in (QPoint(150, 160), QPoint(260, 210)):
        QTest.mouseDClick(viewport(view), Qt.MouseButton.LeftButton, pos=place)
        assert slice_scene(session, 2).crosshair == pytest.approx(before)


def test_side_by_side_the_overlays_lie_on_the_prediction_alone(make: Any) -> None:
    overlays = OverlaySettings(jacobian=True, quiver=True)
    view = make(2, doubles.session(show="side by side", overlays=overlays), (900, 460))
    observed, predicted = view._panes
    assert [item.isVisible() for item in (observed.heat, observed.arrows)] == [False, False]
    assert [item.isVisible() for item in (predicted.heat, predicted.arrows)] == [True, True]


def test_arrows_that_would_be_dots_appear_when_zoomed_in(make: Any) -> None:
    session = doubles.session(overlays=OverlaySettings(quiver=True, quiver_spacing_mm=6))
    session.trajectory.rate = 0.02
    view = make(2, session)
    fitted = len(view._panes[0].arrows.getData()[0])
    wheel(view, 1200, QPointF(200, 200), Qt.KeyboardModifier.ControlModifier)
    assert len(view._panes[0].arrows.getData()[0]) > fitted


@pytest.mark.parametrize("size", [(220, 260), (385, 340), (700, 500)])
@pytest.mark.parametrize("show", ["prediction", "side by side"])
def test_name_number_and_convention_are_never_cut(make: Any, monkeypatch: Any, size: Any, show: str) -> None:
    cut = []
    fit = slice_paint._fit

    def watched(text: str, *rest: Any) -> str:
        fitted = fit(text, *rest)
        cut.extend([text] if fitted != text else [])
        return fitted

    monkeypatch.setattr(slice_paint, "_fit", watched)
    session = doubles.session(doubles.oblique_grid(34), show=show, time=2.5)
    for axis in range(3):
        make(axis, session, size)
    assert [text for text in cut if "mm ·" in text or "OLOGICAL" in text] == []
    if size[0] > 600:
        assert cut == []


def test_a_crosshair_that_moves_paints_only_its_lines(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True, quiver=True))
    view, painted = make(2, session), []
    paint = view._canvas.paintEvent
    monkeypatch.setattr(view._canvas, "paintEvent", lambda event: painted.append(event.region()) or paint(event))
    session.cursor_mm = (session.cursor_mm[0] + 6, session.cursor_mm[1] - 5, session.cursor_mm[2])
    view.set_scene(slice_scene(session, 2))
    QApplication.processEvents()
    area = sum(r.width() * r.height() for region in painted for r in region)
    assert 0 < area < 0.15 * view.width() * view.height()
    moved = pixels(view)
    view._canvas.viewport().update()
    QApplication.processEvents()
    assert np.array_equal(moved, pixels(view))


def test_a_view_that_was_emptied_shows_the_next_scene_in_its_place(qtbot):
    """A hidden box lost its place in the layout: the next picture was drawn into nothing."""
    view = shown_slice(qtbot, doubles.session(), 2, (300, 280))
    place = view._rect(0)
    view.set_scene(None)
    view.set_message("waiting")
    QApplication.processEvents()
    view.set_scene(slice_scene(doubles.session(), 2))
    QApplication.processEvents()
    assert view._rect(0) == place
    assert view.camera.px_per_mm > 1
