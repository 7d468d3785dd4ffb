"""What the Regions menu, the tab and the brush ask for: signals to `Measuring`, with the files that it needs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from noder.errors import NoderError
from noder_viewer.main_window import MainWindow
from noder_viewer.measuring import Measuring
from noder_viewer.session import Session
from noder_viewer.settings import Settings


class RegionCommands(QObject):
    """Runs what the user asks of regions; called in the GUI thread only."""

    def __init__(
        self, window: MainWindow, session: Session, settings: Settings, measuring: Measuring, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings, self._measuring = window, session, settings, measuring
        self._connect()

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Name of an action -> what it does."""
        bar, measuring = self._window.region_panel.brush, self._measuring
        return {
            "open_labels": self.open_labels,
            "save_labels": self.save_labels,
            "toggle_regions": measuring.toggle_visible,
            "toggle_brush": partial(self._take, erases=False),
            "toggle_eraser": partial(self._take, erases=True),
            "brush_smaller": partial(bar.resize_brush, larger=False),
            "brush_larger": partial(bar.resize_brush, larger=True),
            "undo_stroke": measuring.undo,
            "redo_stroke": measuring.redo,
            "save_volumes": self.save_volumes,
            "save_region_plot": self.save_plot,
        }

    def open_labels(self) -> None:
        """Show the Regions tab and ask for a label map."""
        self._window.show_panel(self._window.region_panel)
        self._window.region_panel.inputs.labels.browse()

    def save_labels(self) -> bool:
        """Ask where to save the label map; False: nowhere."""
        path = self._ask("Save the labels", "labels.nii.gz", "NIfTI (*.nii.gz *.nii)", ".nii.gz")
        if path is not None:
            self._measuring.save_labels(path)
        return path is not None

    def save_volumes(self) -> None:
        """Ask where to save the volumes."""
        if path := self._ask("Save the volumes over time", "volumes.csv", "CSV (*.csv)", ".csv"):
            self._measuring.save_csv(path)

    def save_plot(self) -> None:
        """Ask where to save the plot."""
        if path := self._ask("Save the plot", "volumes.png", "PNG (*.png)", ".png"):
            try:
                self._measuring.save_png(path)
            except NoderError as error:
                self._window.banner.set_message(str(error))

    def _connect(self) -> None:
        panel, measuring = self._window.region_panel, self._measuring
        panel.files_requested.connect(measuring.read)
        panel.look_requested.connect(measuring.set_look)
        panel.table.renamed.connect(measuring.rename)
        panel.save_csv_requested.connect(self.save_volumes)
        panel.save_png_requested.connect(self.save_plot)
        panel.plot.time_requested.connect(self._set_time)
        panel.brush.brush_requested.connect(measuring.set_brush)
        panel.brush.undo_requested.connect(measuring.undo)
        panel.brush.redo_requested.connect(measuring.redo)
        panel.brush.save_requested.connect(self.save_labels)
        self._window.banner.remedy_requested.connect(measuring.answer)
        for view in self._window.slices:
            view.stroke_requested.connect(measuring.stroke)
            view.stroke_ended.connect(measuring.end_stroke)

    def _take(self, *, erases: bool) -> None:
        self._window.show_panel(self._window.region_panel)
        self._window.region_panel.brush.toggle(erases=erases)

    def _set_time(self, t: float) -> None:
        self._session.time = t

    def _ask(self, title: str, name: str, kinds: str, suffix: str) -> Path | None:
        start = str(self._settings.folder("export") / name)
        chosen, _ = QFileDialog.getSaveFileName(self._window, title, start, kinds)
        if not chosen:
            return None
        path = Path(chosen) if Path(chosen).suffix else Path(chosen + suffix)
        self._settings.set_folder("export", path.parent)
        return path
