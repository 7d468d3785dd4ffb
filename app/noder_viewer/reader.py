"""Keeps the read-out up to date: places and values at once, what the map says of a place as soon as it is computed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject

from noder_viewer.awaiting import awaited_scans, with_known_scales
from noder_viewer.jobs import Reporter, share_cores
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.plane import Point
from noder_viewer.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from noder_viewer.reading import Known
    from noder_viewer.scene import SliceScene


@dataclass(frozen=True)
class AskMap:
    """What the map of a snapshot of the session says of a place."""

    session: Session
    point: Point

    def __call__(self, task: Reporter) -> Known:
        from noder_viewer.reading import known_of_map

        share_cores(leave_one=True)
        return known_of_map(self.session, self.point)


class Reader(QObject):
    """Reads one place at a time. What the map says is replaced when it is known: it never flickers in between."""

    def __init__(
        self, window: MainWindow, session: Session, scenes: Mapping[int, SliceScene | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._scenes = window, session, scenes
        self._hovered: tuple[int, float, float] | None = None
        self._place: Point | None = None
        self._known: Known | None = None
        self.lane = Latest(self)
        self.lane.done.connect(self._on_known)

    def read(self, axis: int, x_mm: float, y_mm: float) -> None:
        """Read the place under the mouse, until it leaves the slice."""
        self._hovered = (axis, x_mm, y_mm)
        self.refresh()

    def read_cursor(self) -> None:
        """Read the place at the crosshair."""
        self._hovered = None
        self.refresh()

    def refresh(self) -> None:
        """Read the same place again: something else is shown there."""
        from noder_viewer.coordinates import is_inside
        from noder_viewer.reading import map_shown

        if self._session.series is None or awaited_scans(self._session):  # read again with the pictures
            return
        self._place = self._under_the_mouse()
        trajectory = map_shown(self._session)
        point = self._session.cursor_mm if self._place is None else self._place
        self._show()
        if trajectory is not None and is_inside(trajectory.grid, point):
            self.lane.submit(AskMap(dataclasses.replace(self._session), point))

    def _under_the_mouse(self) -> Point | None:
        from noder_viewer.scene import to_mm

        axis, x_mm, y_mm = self._hovered or (-1, 0.0, 0.0)
        scene = self._scenes.get(axis)
        return None if scene is None else to_mm(scene, x_mm, y_mm)

    def _show(self) -> None:
        from noder_viewer.reading import UNKNOWN, read_out

        self._window.set_read_out(read_out(with_known_scales(self._session), self._place, self._known or UNKNOWN))

    def _on_known(self, known: object) -> None:
        self._known = cast("Known", known)
        if self._session.series is not None and not awaited_scans(self._session):
            self._show()
