"""Ties the session's layout and lightbox to the window: which views are on screen, and what the lightbox shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

from PySide6.QtCore import QObject, QPoint, QTimer, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QApplication

from noder_viewer.jobs import Reporter, import_engine, share_cores
from noder_viewer.layouts import AXIAL, CORONAL, SAGITTAL, VIEWS, VOLUME, Arrangement, Layout, LightboxSettings
from noder_viewer.lightbox import Tile, tile, tile_times
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.plane import Point
from noder_viewer.session import Session
from noder_viewer.settings import Settings

LAYOUT_ACTIONS: dict[Arrangement, str] = {
    "four": "layout_four",
    "large": "layout_large",
    "row": "layout_row",
    "one and two": "layout_one_and_two",
    "lightbox": "layout_lightbox",
}
_LARGE = {"large_axial": AXIAL, "large_sagittal": SAGITTAL, "large_coronal": CORONAL, "large_volume": VOLUME}
_TILES = (
    "series",
    "result",
    "preview",
    "pair",
    "hold_out",
    "exclude",
    "cursor_mm",
    "show",
    "carry",
    "pulled",
    "square_mm",
    "overlays",
    "window",
    "radiological",
    "look",
    "layers",
    "order",
    "layout",
    "lightbox",
)
"""Fields of the session that change the tiles of a lightbox; its time only marks one."""
TILES_AFTER_MS = 30


@dataclass(frozen=True)
class LightboxTiles:
    """The slices of a lightbox, reported as a growing list."""

    session: Session

    def __call__(self, task: Reporter) -> list[Tile]:
        import_engine()
        share_cores(leave_one=True)
        session = self.session
        tiles: list[Tile] = []
        for t in tile_times(session.times, session.lightbox):
            found = tile(session, session.layout.axis, t)
            if found is not None:
                tiles.append(found)
            task.report(list(tiles))
        return tiles


@dataclass(frozen=True)
class ReadTile:
    """All that is known of a place at the time of a tile."""

    session: Session
    place: Point

    def __call__(self, task: Reporter) -> object:
        from noder_viewer.reading import read_out

        share_cores(leave_one=True)
        return read_out(self.session, self.place)


class Arranging(QObject):
    """Lays the window out as the session says, and remembers it. `read(reading)`: what is under the mouse in a tile."""

    failed = Signal(object)
    read = Signal(object)

    def __init__(self, window: MainWindow, session: Session, settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings = window, session, settings
        self._is_down = False
        self._lane, self._readings = Latest(self), Latest(self)
        self._lane.reported.connect(self._on_tiles)
        self._readings.done.connect(self._on_reading)
        for lane in (self._lane, self._readings):
            lane.failed.connect(self.failed)
        self._is_over_a_tile = False
        self._soon = QTimer(self, interval=TILES_AFTER_MS, singleShot=True)
        self._soon.timeout.connect(self._make_tiles)
        session.layout = Layout.from_text(settings.look("layout"))
        session.events.layout.connect(self._show_layout)
        session.events.lightbox.connect(self._show_settings)
        session.events.series.connect(self._show_settings)
        session.events.time.connect(self._mark_time)
        for name in _TILES:
            session.events[name].connect(self._tiles_later)
        box = window.pictures.lightbox
        box.settings_requested.connect(self.set_lightbox)
        box.typed_requested.connect(self._set_typed)
        box.axis_requested.connect(self._set_axis)
        box.place_requested.connect(self._go_to)
        box.hovered.connect(self._read)
        box.left.connect(self._forget)
        box.large_requested.connect(self.enlarge)
        window.full_screen.changed.connect(self._on_full_screen)
        self._show_layout()

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Actions of the View menu."""
        return {
            **{action: partial(self.set_kind, kind) for kind, action in LAYOUT_ACTIONS.items()},
            **{action: partial(self.make_large, view) for action, view in _LARGE.items()},
            "enlarge": self.enlarge_here,
            "next_large": self.next_large,
            "full_screen": self._window.full_screen.toggle,
        }

    @property
    def busy(self) -> bool:
        """Whether tiles are on their way."""
        return self._soon.isActive() or self._lane.busy

    def set_kind(self, kind: Arrangement) -> None:
        """Choose an arrangement."""
        self._leave_methods()
        self._session.layout = self._session.layout.changed(kind)
        self._show_layout()  # an action that is chosen again stays checked

    def make_large(self, view: int) -> None:
        """One view alone."""
        layout = self._session.layout
        if (layout.kind, layout.view) != ("large", view):
            self.enlarge(view)

    def enlarge(self, view: int) -> None:
        """One view alone; if it is so already, back to all of them."""
        self._leave_methods()
        self._session.layout = self._session.layout.enlarged(view)

    def enlarge_here(self) -> None:
        """`enlarge` the view that has the focus or is under the mouse, else the one that was large last."""
        self.enlarge(self._view_here())

    def next_large(self) -> None:
        """In turn one view alone."""
        layout = self._session.layout
        step = 1 if layout.kind == "large" else 0
        self.make_large(VIEWS[(VIEWS.index(layout.view) + step) % len(VIEWS)])

    def set_lightbox(self, settings: object) -> None:
        """Choose the times of the lightbox."""
        if isinstance(settings, LightboxSettings):
            self._session.lightbox = settings

    def shut_down(self) -> None:
        """Show nothing any more, and remember the layout."""
        self._is_down = True
        self._settings.set_look("layout", self._session.layout.to_text())
        self._soon.stop()
        self._lane.shut_down()
        self._readings.shut_down()

    def _leave_methods(self) -> None:
        """Methods side by side would lie over every layout."""
        if self._session.methods.on:
            self._session.methods = dataclasses.replace(self._session.methods, on=False)

    def _view_here(self) -> int:
        pictures, focus = self._window.pictures, QApplication.focusWidget()
        shown = [view for view in VIEWS if pictures.shows(view)]
        for view in shown:
            widget = pictures.views[view]
            if focus is not None and (widget is focus or widget.isAncestorOf(focus)):
                return view
        for view in shown:
            widget = pictures.views[view]
            if widget.rect().contains(widget.mapFromGlobal(QPoint(QCursor.pos()))):
                return view
        return self._session.layout.view

    def _show_layout(self) -> None:
        for kind, action in LAYOUT_ACTIONS.items():
            self._window.set_checked(action, self._session.layout.kind == kind)
        self._window.pictures.set_layout(self._session.layout)
        self._show_settings()

    def _show_settings(self) -> None:
        session, series = self._session, self._session.series
        unit = "" if series is None else series.unit
        self._window.pictures.lightbox.set_settings(session.lightbox, session.layout.axis, unit)

    def _mark_time(self) -> None:
        if self._session.layout.kind == "lightbox":
            self._window.pictures.lightbox.set_time(self._session.time)

    def _tiles_later(self) -> None:
        if self._session.layout.kind == "lightbox" and not self._is_down and not self._soon.isActive():
            self._soon.start()

    def _make_tiles(self) -> None:
        if self._session.series is not None and not self._is_down:
            self._lane.submit(LightboxTiles(dataclasses.replace(self._session)), interrupt=True)

    def _on_tiles(self, tiles: object) -> None:
        session, box = self._session, self._window.pictures.lightbox
        box.set_tiles(cast("list[Tile]", tiles), len(tile_times(session.times, session.lightbox)))
        box.set_time(session.time)

    def _set_typed(self, text: str) -> None:
        from noder_viewer.export_dialog import parse_times

        try:
            typed = tuple(parse_times(text))
        except ValueError as error:
            self.failed.emit(str(error))
            return
        self._session.lightbox = dataclasses.replace(self._session.lightbox, typed=typed)

    def _set_axis(self, axis: int) -> None:
        self._session.layout = dataclasses.replace(self._session.layout, view=axis)

    def _go_to(self, t: float, place: Point) -> None:
        self._session.time = t
        self._session.cursor_mm = place

    def _read(self, t: float, place: Point) -> None:
        self._is_over_a_tile = True
        self._readings.submit(ReadTile(dataclasses.replace(self._session, time=t), place))

    def _forget(self) -> None:
        self._is_over_a_tile = False
        self._readings.cancel()

    def _on_reading(self, reading: object) -> None:
        if self._is_over_a_tile:
            self.read.emit(reading)

    def _on_full_screen(self, on: bool) -> None:
        self._window.set_checked("full_screen", on)
