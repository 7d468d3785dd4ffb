"""Keeps the read-out up to date: places and values at once, what the map says of a place as soon as it is computed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject

from noder_viewer.jobs import Reporter, share_cores
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.plane import Point
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder_viewer.reading import Known


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

    def __init__(self, window: MainWindow, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session = window, session
        self._place: Point | None = None
        self._known: Known | None = None
        self.lane = Latest(self)
        self.lane.done.connect(self._on_known)

    def read(self, mm: Point | None) -> None:
        """Read a place in RAS mm, or the crosshair's; a series is open."""
        from noder_viewer.coordinates import is_inside
        from noder_viewer.reading import map_shown

        self._place = mm
        point, trajectory = self._session.cursor_mm if mm is None else mm, map_shown(self._session)
        self._show()
        if trajectory is not None and is_inside(trajectory.grid, point):
            self.lane.submit(AskMap(dataclasses.replace(self._session), point))

    def _show(self) -> None:
        from noder_viewer.reading import UNKNOWN, read_out

        self._window.set_read_out(read_out(self._session, self._place, self._known or UNKNOWN))

    def _on_known(self, known: object) -> None:
        self._known = cast("Known", known)
        if self._session.series is not None:
            self._show()
