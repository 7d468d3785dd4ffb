"""Follows points through time: takes picks, has their paths computed in the background, and writes them as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, QTimer
from PySide6.QtWidgets import QFileDialog

from noder.errors import NoderError
from noder_viewer.coordinates import is_inside
from noder_viewer.followed import Followed, free_number, with_point, without_point
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.path_jobs import Followings, FollowPoints, Map
from noder_viewer.playing import axis_span
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session
from noder_viewer.settings import Settings

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

NO_MAP = "There is no map to follow a point along yet: press Start in the Fit panel, then pick the point."
OUTSIDE = "The crosshair lies outside the image: put it on tissue, then follow the point."


class Following(QObject):
    """One controller's followed points."""

    def __init__(
        self, window: MainWindow, session: Session, settings: Settings, presenter: Presenter, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings, self._presenter = window, session, settings, presenter
        self._found: Followings | None = None
        self._lane = Latest(self)
        self._lane.done.connect(self._on_found)
        self._lane.failed.connect(presenter.failed)
        self._turn = QTimer(self, interval=0, singleShot=True)
        self._turn.timeout.connect(self._submit)
        for name in ("followed", "result", "preview", "series", "exclude", "period"):
            session.events[name].connect(self._submit_later)
        panel = window.path_panel
        panel.follow_requested.connect(self.follow_cursor)
        panel.remove_requested.connect(self.remove)
        panel.clear_requested.connect(self.clear)
        panel.export_requested.connect(self.export)
        panel.point_requested.connect(self.go_to)

    @property
    def busy(self) -> bool:
        """Whether paths are being computed."""
        return self._turn.isActive() or self._lane.busy

    def follow(self, axis: int, x_mm: float, y_mm: float) -> None:
        """Put the crosshair at a place on a slice, and follow the tissue there."""
        from noder_viewer.scene import to_mm

        self._presenter.refresh()  # the place is meant on the slice that is asked for next, not on the one before
        scene = self._presenter.scenes.get(axis)
        if scene is not None:
            self._session.cursor_mm = to_mm(scene, x_mm, y_mm)
            self.follow_cursor()

    def follow_cursor(self) -> None:
        """Follow the tissue that the slices show at the crosshair."""
        from noder_viewer.path_marks import picture_time
        from noder_viewer.scene import active_grid

        session, grid = self._session, active_grid(self._session)
        if session.trajectory is None or grid is None:
            session.status = NO_MAP
        elif not is_inside(grid, session.cursor_mm):
            session.status = OUTSIDE
        else:
            number = free_number(session.followed)
            point = Followed(number, session.cursor_mm, picture_time(session))
            session.followed = with_point(session.followed, point)
            self._window.show_panel(self._window.path_panel)
            self._window.path_panel.select(number)

    def remove(self, number: int) -> None:
        """Follow one point no longer."""
        self._session.followed = without_point(self._session.followed, number)

    def remove_selected(self) -> None:
        """Follow the point that is selected in the panel no longer."""
        if (number := self._window.path_panel.selected) is not None:
            self.remove(number)

    def clear(self) -> None:
        """Follow none."""
        self._session.followed = ()

    def go_to(self, number: int) -> None:
        """Put the crosshair on where a point is now."""
        from noder_viewer.path_marks import picture_time

        line = None if self._session.paths is None else self._session.paths.line(number)
        if line is not None:
            r, a, s = line.at(picture_time(self._session)).tolist()
            self._session.cursor_mm = (r, a, s)

    def export(self) -> None:
        """Ask where to write the paths as a table."""
        if self._session.paths is None:
            self._session.status = "No point is followed: Shift and click on a slice picks one."
            return
        start = str(self._settings.folder("export") / "paths.csv")
        name, _ = QFileDialog.getSaveFileName(self._window, "Write the paths of the points", start, "CSV (*.csv)")
        if name:
            path = Path(name)
            self._settings.set_folder("export", path.parent)
            self.write(path if path.suffix else path.with_suffix(".csv"))

    def write(self, path: Path) -> None:
        """Write the paths as a table."""
        from noder.pathlines import write_paths

        paths, series = self._session.paths, self._session.series
        if paths is None or series is None:
            return
        numbered = [(point.number, line) for point, line in zip(paths.points, paths.lines, strict=True)]
        try:
            write_paths(path, numbered, series.unit)
        except NoderError as error:
            self._window.banner.set_message(str(error))
        else:
            self._session.status = f"Wrote {path}"

    def shut_down(self) -> None:
        """Stop what runs."""
        self._turn.stop()
        self._lane.shut_down()

    def _submit_later(self) -> None:
        self._turn.start()

    def _submit(self) -> None:
        session = self._session
        if session.trajectory is None or not session.followed:
            self._lane.cancel()
            session.paths = self._found = None
            return
        along = self._map(session.trajectory)
        known = self._found.paths if self._found is not None and self._found.along.is_like(along) else None
        self._lane.submit(FollowPoints(along, session.followed, known), interrupt=not along.is_preview)

    def _map(self, trajectory: Trajectory) -> Map:
        """Steps at all scans that are shown; as far beyond them as the timeline goes, of a loop once round."""
        session = self._session
        span = axis_span(session.times[0], session.times[-1], session.period)
        return Map(trajectory, session.times, span, session.preview is not None)

    def _on_found(self, found: object) -> None:
        found = cast(Followings, found)
        if not self._session.followed or self._session.trajectory is None:
            return  # all were removed meanwhile
        self._found = found
        self._session.paths = found.paths
