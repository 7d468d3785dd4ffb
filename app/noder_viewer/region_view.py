"""From the session to the Regions tab: what changed is shown once, at the next turn of the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer

from noder_viewer.main_window import MainWindow
from noder_viewer.measuring import Measuring
from noder_viewer.pictures import time_words
from noder_viewer.region_jobs import rows_of
from noder_viewer.region_plot import plot_data
from noder_viewer.region_state import label_colour
from noder_viewer.session import Session
from noder_viewer.words import scan_labels

if TYPE_CHECKING:
    from noder.series import ImageSeries

_FIELDS = (
    "series", "pair", "result", "preview", "regions", "region_figures", "region_look", "brush", "time", "activity",
)  # fmt: skip


class RegionView(QObject):
    """Reads the session and calls the tab's setters; it never writes the session."""

    def __init__(self, window: MainWindow, session: Session, measuring: Measuring, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._measuring = window, session, measuring
        self._panel = window.region_panel
        self._scans: ImageSeries | None = None
        self._plotted: tuple[object, ...] = ()
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self.refresh)
        for name in _FIELDS:
            session.events[name].connect(self.mark)
        measuring.changed.connect(self.mark)
        self._panel.percent_requested.connect(self.mark)
        self._panel.brush.label.valueChanged.connect(self.mark)
        self.mark()

    def mark(self, *_: object) -> None:
        """Show all at the next turn of the event loop."""
        if not self._turn.isActive():
            self._turn.start()

    def refresh(self) -> None:
        """Show everything now."""
        self._turn.stop()
        self._show_scans()
        self._show_state()
        self._show_brush()
        self._show_table()
        self._show_plot()

    def shut_down(self) -> None:
        """Show nothing any more."""
        self._turn.stop()

    def _show_scans(self) -> None:
        session, inputs = self._session, self._panel.inputs
        if session.series is not self._scans and session.pair is None:
            self._scans = session.series
            if session.series is not None:
                inputs.set_scans(scan_labels(session.series), session.times, session.series.unit)
                path = session.series.reference.image.path
                for row in (inputs.labels, inputs.own, inputs.names):
                    row.folder = row.folder if path is None else path.absolute().parent
            if session.regions is None and not self._measuring.reading:
                inputs.clear()
        regions = session.regions
        inputs.set_now(session.time, None if regions is None else regions.time)
        if not self._measuring.reading:  # the row shows what is in use, or on its way
            inputs.set_labels(None if regions is None else regions.source)
            if regions is not None:
                points = any(own is not None for own in regions.own)
                inputs.set_given(regions.own_files, regions.names_file, own_in_labels=points)

    def _show_state(self) -> None:
        session, regions, figures = self._session, self._session.regions, self._session.region_figures
        drawable = session.series is not None and session.pair is None
        curves = figures is not None and figures.volumes is not None
        self._panel.set_state(drawable=drawable, has_regions=regions is not None and drawable, has_curves=curves)
        self._panel.set_look(session.region_look)
        self._panel.set_message(self._message())
        self._window.set_checked("toggle_regions", session.region_look.visible)

    def _message(self) -> str:
        session, regions = self._session, self._session.regions
        if self._measuring.words:
            return self._measuring.words
        if session.series is None:
            return "Open a series first."
        if session.pair is not None:
            return "Regions are carried through a series: go back to it first."
        if regions is None:
            return ""
        lines = [f"Drawn at t = {time_words(session, regions.time)}, on {regions.image.name}."]
        lines += [f"{note[0].upper()}{note[1:]}" for note in regions.labels.notes]
        lines += [] if session.result is not None else ["Fit the series: the labels are carried by its map."]
        lines += ["Strokes are not saved yet."] if regions.changed else []
        return " ".join(lines)

    def _show_brush(self) -> None:
        brush, regions = self._session.brush, self._session.regions
        bar = self._panel.brush
        bar.set_brush(brush)
        label = bar.label.value()
        bar.set_colour(label_colour(label) if regions is None else regions.colour(label))
        bar.set_undo(can_undo=self._measuring.can_undo, can_redo=self._measuring.can_redo)
        self._panel.table.select_label(label)
        for view in self._window.slices:
            view.set_brush(None if brush is None else brush.radius_mm)
        self._window.set_checked("toggle_brush", brush is not None and not brush.erases)
        self._window.set_checked("toggle_eraser", brush is not None and brush.erases)

    def _show_table(self) -> None:
        session, regions, table = self._session, self._session.regions, self._panel.table
        if session.series is not None:
            from noder.region_tables import per

            table.set_unit(per(session.series.unit))
        rows = [] if regions is None else rows_of(regions, session.region_figures, session.time)
        colours = [] if regions is None else [regions.colour(label) for label, _, _ in rows]
        table.set_rows(rows, colours, session.region_look.hidden)

    def _show_plot(self) -> None:
        session, figures, regions = self._session, self._session.region_figures, self._session.regions
        self._panel.plot.set_time(session.time)
        hidden, names = session.region_look.hidden, None if regions is None else regions.names
        wanted = (figures, hidden, names, self._panel.percent)
        if len(wanted) == len(self._plotted) and all(a is b for a, b in zip(wanted, self._plotted, strict=True)):
            return
        self._plotted = wanted
        if figures is None or figures.volumes is None or regions is None:
            self._panel.set_plot(None)
            return
        shown = [(n, regions.name(n), regions.colour(n)) for n in regions.numbers if n not in hidden]
        self._panel.set_plot(plot_data(figures.volumes, shown, percent=self._panel.percent))
