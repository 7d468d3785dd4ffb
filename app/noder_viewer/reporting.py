"""Writes the report of the fit that is shown, in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog

from noder_viewer.exporting import unused
from noder_viewer.jobs import Reporter, share_cores
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.session import Session
from noder_viewer.settings import Settings

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.plane import Point
    from noder.report_regions import Measured


@dataclass(frozen=True)
class WriteReport:
    """The page of a fit at the place, time and side that the window shows, with its regions; returns its path."""

    result: FitResult
    path: Path
    radiological: bool
    cursor_mm: Point
    time: float
    window: tuple[float, float]
    measured: Measured | None = None

    def __call__(self, task: Reporter) -> Path:
        from noder.report_page import ReportLook, write_report

        share_cores(leave_one=True)
        look = ReportLook(self.radiological, self.cursor_mm, self.time, self.window, self.measured)
        return write_report(self.path, self.result, look)


class Reporting(QObject):
    """Emits `written(path)` or `failed(sentence)`."""

    written = Signal(object)
    failed = Signal(str)

    def __init__(self, window: MainWindow, session: Session, settings: Settings, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings = window, session, settings
        self._lane = Latest(self)
        self._lane.done.connect(self._on_written)
        self._lane.failed.connect(self._on_failed)

    def ask(self) -> None:
        """Ask where to write the report."""
        start = str(unused(self._settings.folder("export") / "report.html"))
        name, _ = QFileDialog.getSaveFileName(self._window, "Export a report", start, "Web page (*.html)")
        if name:
            path = Path(name)
            self.write(path if path.suffix else path.with_suffix(".html"))

    def write(self, path: Path) -> None:
        """Write the report of the fit that is shown."""
        session = self._session
        if session.result is None:
            return
        self._settings.set_folder("export", path.parent)
        session.status = f"Writing {path.name}…"
        look = session.radiological, session.cursor_mm, session.time, session.window
        self._lane.submit(WriteReport(session.result, path, *look, _measured(session)))

    def shut_down(self) -> None:
        """Wait for what is being written."""
        self._lane.shut_down()

    def _on_written(self, path: object) -> None:
        if isinstance(path, Path):
            self._session.status = f"{path.name} written to {path.parent}"
            self.written.emit(path)

    def _on_failed(self, error: object) -> None:
        self._session.status = "The report was not written"
        self._window.banner.set_message(str(error))
        self.failed.emit(str(error))


def _measured(session: Session) -> Measured | None:
    """The regions' volumes as they are in the window, where they are of the fit and the labels that are shown."""
    figures, result = session.region_figures, session.result
    if figures is None or figures.volumes is None or figures.regions is not session.regions:
        return None
    if result is None or figures.trajectory is not result.trajectory:  # still being measured anew
        return None
    from noder.report_regions import Measured

    return Measured(figures.volumes, figures.regions.names)
