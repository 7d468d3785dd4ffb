"""What a slice view draws once and keeps: the same to see as if it were drawn each time."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import doubles
import numpy as np
import pytest
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage, QPainter, QTransform
from PySide6.QtWidgets import QApplication, QHBoxLayout, QStyleOptionGraphicsItem, QWidget
from window_kit import shown_slice

from noder_viewer import slice_paint, slice_written
from noder_viewer.scene import cursor_at_index, slice_scene
from noder_viewer.session import OverlaySettings
from noder_viewer.slice_picture import Picture, coloured, indexed
from noder_viewer.slices import SliceView

SIZE = (560, 460)
BOTH = OverlaySettings(jacobian=True, quiver=True, quiver_spacing_mm=6)


@pytest.fixture
def make(qtbot: Any) -> Any:
    def view_of(session: Any, size: tuple[int, int] = SIZE, axis: int = 2) -> SliceView:
        return shown_slice(qtbot, session, axis, size)

    return view_of


def pixels(widget: QWidget) -> np.ndarray:
    """(height, width, 3) of what is on screen."""
    return array(widget.grab().toImage())


def array(image: QImage) -> np.ndarray:
    """(height, width, 3) of an image."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    return raw[..., 2::-1].astype(int)


def show(view: SliceView, session: Any) -> np.ndarray:
    """What is seen after the session has changed."""
    view.set_scene(slice_scene(session, view.axis))
    QApplication.processEvents()
    return pixels(view)


def change_slice(session: Any) -> None:
    session.cursor_mm = cursor_at_index(session, 2, 20)


# the levels have as many digits as before: bars of another width would be drawn again for that alone
CHANGES: dict[str, Callable[[Any], None]] = {
    "window levels": lambda session: setattr(session, "window", (0.0, 4000.0)),
    "convention": lambda session: setattr(session, "radiological", True),
    "colour map": lambda session: setattr(session, "show", "difference"),
    "side by side": lambda session: setattr(session, "show", "side by side"),
    "no overlays": lambda session: setattr(session, "overlays", OverlaySettings()),
    "scale of log J": lambda session: setattr(session, "overlays", replace(BOTH, jacobian_limit=0.3)),
    "scale of arrows": lambda session: setattr(session, "overlays", replace(BOTH, quiver_scale=2.0)),
    "slice": change_slice,
    "time": lambda session: setattr(session, "time", 2.5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen_as_in_a_view_made_anew(make: Any, name: str) -> None:
    session = doubles.session(overlays=BOTH)
    view = make(session)
    before = pixels(view)
    CHANGES[name](session)
    after = show(view, session)
    assert not np.array_equal(after, before)
    assert np.array_equal(after, pixels(make(session)))


def test_there_and_back_looks_as_at_first(make: Any) -> None:
    session = doubles.session(overlays=BOTH)
    view = make(session)
    before = pixels(view)
    session.radiological, session.window = True, (0.0, 500.0)
    assert not np.array_equal(show(view, session), before)
    session.radiological, session.window = False, (0.0, 1000.0)
    assert np.array_equal(show(view, session), before)


def test_a_resized_view_is_seen_as_one_made_so_large(make: Any) -> None:
    session = doubles.session(overlays=BOTH)
    view = make(session)
    view.resize(440, 520)
    QApplication.processEvents()
    assert np.array_equal(pixels(view), pixels(make(session, (440, 520))))


def test_another_font_is_seen_as_in_a_view_made_with_it(make: Any) -> None:
    session = doubles.session(overlays=BOTH)
    views = make(session), SliceView(2)
    larger = views[0].font()
    larger.setPointSizeF(larger.pointSizeF() * 1.4)
    for view in views:
        view.setFont(larger)
    fresh = views[1]
    fresh.resize(*SIZE)
    fresh.set_scene(slice_scene(session, 2))
    fresh.show()
    QApplication.processEvents()
    assert np.array_equal(pixels(views[0]), pixels(fresh))
    fresh.close()


def test_bars_switched_off_leave_nothing_behind(make: Any) -> None:
    session = doubles.session(overlays=BOTH)
    view, hidden = make(session), make(session)
    hidden.set_bars_visible(False)
    QApplication.processEvents()
    assert not np.array_equal(pixels(hidden), pixels(view))
    hidden.set_bars_visible(True)
    QApplication.processEvents()
    assert np.array_equal(pixels(hidden), pixels(view))


def test_an_emptied_view_keeps_nothing_on_screen(make: Any) -> None:
    view, empty = make(doubles.session(overlays=BOTH)), SliceView(2)
    view.set_scene(None)
    empty.resize(*SIZE)
    empty.show()
    QApplication.processEvents()
    assert np.array_equal(pixels(view), pixels(empty))
    empty.close()


def test_a_step_in_time_draws_no_bar_and_no_name(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = doubles.session(overlays=BOTH)
    view, drawn = make(session), []
    for owner, name in ((slice_paint, "paint_badge"), (slice_paint, "paint_letter"), (slice_written, "paint_bars")):
        monkeypatch.setattr(owner, name, lambda *_args, name=name: drawn.append(name))
    session.time = 1.5
    show(view, session)
    assert drawn == []
    session.radiological = True
    show(view, session)
    assert {"paint_badge", "paint_letter", "paint_bars"} <= set(drawn)


def test_a_step_in_time_paints_each_of_three_views_once(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session, window = doubles.session(overlays=BOTH), QWidget()
    qtbot.addWidget(window)
    layout, views, painted = QHBoxLayout(window), [SliceView(axis) for axis in range(3)], []
    for view in views:
        layout.addWidget(view)
    window.resize(1200, 420)
    window.show()
    for view in views:
        show(view, session)
        paint = view._canvas.paintEvent
        monkeypatch.setattr(
            view._canvas, "paintEvent", lambda event, view=view, paint=paint: painted.append(view.axis) or paint(event)
        )
    QApplication.processEvents()
    painted.clear()
    session.time = 1.5
    for view in views:
        view.set_scene(slice_scene(session, view.axis))
    for _ in range(3):
        QApplication.processEvents()
    assert sorted(painted) == [0, 1, 2]


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("kind", ["indexed", "coloured"])
def test_each_pixel_shows_the_voxel_that_it_lies_in(qtbot: Any, kind: str, flip: int) -> None:
    """Qt stretches images of some formats into a rectangle that it rounds to whole pixels."""
    places = np.random.default_rng(0).integers(0, 256, (37, 29), np.uint8)
    colours = np.dstack([places, places, places, np.full_like(places, 255)])
    image = indexed(places, "gray") if kind == "indexed" else coloured(colours)
    frame = QRectF(-3.3, 5.7, 29 * 1.1, 37 * 0.9)
    item, screen = Picture(), QImage(240, 260, QImage.Format.Format_RGB32)
    screen.fill(0)
    item.show_image(image, frame)
    painter = QPainter(screen)
    painter.setTransform(QTransform(flip * 6.13, 0, 0, -5.87, 120.4 - flip * 12.65 * 6.13, 130.2 + 22.35 * 5.87))
    item.paint(painter, QStyleOptionGraphicsItem())
    painter.end()
    columns = np.floor(((np.arange(240) + 0.5 - 120.4) / (flip * 6.13) + 12.65 - frame.x()) / 1.1).astype(int)
    rows = np.floor(((np.arange(260) + 0.5 - 130.2) / -5.87 + 22.35 - frame.y()) / 0.9).astype(int)
    inside = ((rows >= 0) & (rows < 37))[:, None] & ((columns >= 0) & (columns < 29))[None]
    expected = np.where(inside, places[rows.clip(0, 36)[:, None], columns.clip(0, 28)[None]], 0)
    assert np.array_equal(array(screen), np.repeat(expected[..., None], 3, -1))
