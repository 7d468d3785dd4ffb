"""Regions in the window: label maps read or drawn, measured over time in the background, and written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from noder_viewer.brush import Drawing
from noder_viewer.exporting import grab_png
from noder_viewer.jobs import write_picture
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.pictures import nearest_scan, time_words
from noder_viewer.presenter import Presenter
from noder_viewer.region_jobs import Measure, ReadRegions, RegionFiles, SaveLabels, SaveVolumes, empty_regions
from noder_viewer.region_state import Brush, RegionFigures, RegionLook, ShownRegions
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

BACK = "regions back"
"""Key of the banner's button."""
MEASURE_AFTER_MS = 120
"""Regions are measured once they have been still for so long."""


class Measuring(QObject):
    """Emits `changed` when strokes can be undone or redone, or something has begun or ended.

    Of files: `saved(path)`, or `failed(sentence)` for what could not be read, measured or written.
    """

    changed = Signal()
    saved = Signal(object)
    failed = Signal(str)

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter = window, session, presenter
        self._drawing: Drawing | None = None
        self._earlier: ShownRegions | None = None
        self._undrawn: ShownRegions | None = None
        self._painted: set[int] = set()
        self._before_stroke: ShownRegions | None = None
        self._measured: tuple[ShownRegions | None, Trajectory | None] = (None, None)
        self.words, self.reading = "", False
        self._reader, self._measurer, self._writer = Latest(self), Latest(self), Latest(self)
        self._reader.done.connect(self._on_read)
        self._measurer.reported.connect(self._on_progress)
        self._measurer.done.connect(self._on_measured)
        self._writer.done.connect(self._on_written)
        for lane in (self._reader, self._measurer, self._writer):
            lane.failed.connect(self._on_failed)
        self._still = QTimer(self)
        self._still.setSingleShot(True)
        self._still.setInterval(MEASURE_AFTER_MS)
        self._still.timeout.connect(self._measure)
        for name in ("regions", "result"):
            session.events[name].connect(self._on_regions)
        session.events.series.connect(self._on_series)

    @property
    def busy(self) -> bool:
        """Whether something is being read, measured or written."""
        return self._still.isActive() or any(lane.busy for lane in (self._reader, self._measurer, self._writer))

    @property
    def can_undo(self) -> bool:
        """Whether a stroke can be taken back."""
        return self._drawing is not None and self._drawing.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether a stroke can be painted again."""
        return self._drawing is not None and self._drawing.can_redo

    def read(self, files: RegionFiles) -> None:
        """Read what the user has chosen, in the place of what there is."""
        session = self._session
        if session.series is None or session.pair is not None:
            return
        regions = session.regions
        if files.labels is None and regions is not None and regions.source is not None:
            self._put_aside()
            session.regions = None
            return
        same = regions is not None and files.labels is not None and files.labels == regions.source
        drawn = regions is not None and (regions.changed or regions.saved_in is not None)
        if same and drawn and regions is not None and files.time == regions.time:
            files = replace(files, labels=None)  # names or points are added to what was drawn since
        self.reading = True
        self._say("Reading the labels…")
        self._reader.submit(ReadRegions(files, session.series, regions), interrupt=True)

    def set_look(self, look: object) -> None:
        """Choose how regions are drawn."""
        if isinstance(look, RegionLook):
            self._session.region_look = look

    def toggle_visible(self) -> None:
        """Show or hide the regions."""
        look = self._session.region_look
        self._session.region_look = replace(look, visible=not look.visible)

    def set_brush(self, brush: object) -> None:
        """Take a brush into the hand, or put it down: None. With a new one the labels' own scan is shown."""
        session = self._session
        if session.series is None or session.pair is not None:
            return
        if isinstance(brush, Brush) and session.brush is None:
            self._go_to_labels()
        session.brush = brush if isinstance(brush, Brush) else None

    def stroke(self, axis: int, x_mm: float, y_mm: float, begins: bool) -> None:
        """Paint on the slice of `axis`; a stroke at another time than the labels' only goes there."""
        from noder_viewer.scene import to_mm

        session, scene = self._session, self._presenter.scenes.get(axis)
        if session.brush is None or session.series is None or scene is None:
            return
        if begins:
            if session.regions is not None and session.time != session.regions.time:
                self._go_to_labels()
                return
            self._begin()
        if self._drawing is None or not self._drawing.is_drawing or session.regions is None:
            return
        self._drawing.paint(scene.plane, to_mm(scene, x_mm, y_mm), session.brush)
        self._painted.add(session.brush.paints)
        session.regions = session.regions.drawn(self._drawing.labels, session.brush.paints)

    def end_stroke(self) -> None:
        """The mouse button is up."""
        if self._drawing is not None and self._drawing.is_drawing:
            if not self._drawing.end():
                self._session.regions = self._before_stroke
            self._still.start()
            self.changed.emit()

    def undo(self) -> None:
        """Take back the last stroke."""
        if self.can_undo and self._drawing is not None:
            self._drawing.undo()
            self._show_drawing()

    def redo(self) -> None:
        """Paint again what was taken back."""
        if self.can_redo and self._drawing is not None:
            self._drawing.redo()
            self._show_drawing()

    def rename(self, label: int, name: str) -> None:
        """Call a label by another name."""
        from noder.label_names import LabelName

        regions = self._session.regions
        if regions is None or not name.strip() or name.strip() == regions.name(label):
            return
        colour = regions.names[label].colour if label in regions.names else None
        renamed = replace(regions, names={**regions.names, label: LabelName(name.strip(), colour)})
        figures = self._session.region_figures
        self._session.regions = renamed
        if figures is not None:  # a name changes no volume
            self._session.region_figures = replace(figures, regions=renamed)

    def answer(self, key: str) -> None:
        """The banner's button was pressed."""
        if key == BACK and self._earlier is not None:
            self._session.regions, self._earlier = self._earlier, None

    def save_labels(self, path: Path) -> None:
        """Write the label map as NIfTI."""
        session = self._session
        if session.regions is not None and session.series is not None and not self._writer.busy:
            self._writer.submit(SaveLabels(session.regions, session.series, path))

    def save_csv(self, path: Path) -> None:
        """Write the volumes over time as CSV."""
        figures = self._session.region_figures
        if figures is not None and figures.volumes is not None and not self._writer.busy:
            self._writer.submit(SaveVolumes(figures, path))

    def save_png(self, path: Path) -> None:
        """Write the plot as PNG. Raises OutputError."""
        plot = self._window.region_panel.plot.for_file()
        png = grab_png(plot)
        plot.deleteLater()
        self._on_written(write_picture(path, png))

    def set_saved(self, regions: ShownRegions, path: Path) -> None:
        """A file holds `regions` now; what has been drawn since is not in it."""
        session, figures = self._session, self._session.region_figures
        if session.regions is None or session.regions.labels is not regions.labels:
            return
        session.regions = replace(session.regions, changed=False, saved_in=path)
        if figures is not None:  # what was measured of it holds
            session.region_figures = replace(figures, regions=session.regions)

    def shut_down(self) -> None:
        """Stop all that runs."""
        self._still.stop()
        for lane in (self._reader, self._measurer, self._writer):
            lane.shut_down()

    def _begin(self) -> None:
        """A stroke begins, on the labels that there are, or on new ones of the scan nearest to the shown time."""
        session = self._session
        if session.regions is None and session.series is not None and (found := nearest_scan(session)) is not None:
            session.time = found[1].time
            session.regions = empty_regions(session.series, found[1].time)
        if session.regions is None:
            return
        if self._drawing is None or self._drawing.labels is not session.regions.labels:
            self._drawing, self._undrawn = Drawing(session.regions.labels), session.regions
            self._painted = set()
        self._before_stroke = session.regions
        self._drawing.begin()

    def _show_drawing(self) -> None:
        regions, first = self._session.regions, self._undrawn
        if regions is not None and self._drawing is not None:
            drawn = replace(regions.drawn(self._drawing.labels, 0), numbers=self._numbers(regions))
            if first is not None and first.labels is drawn.labels:  # all strokes are undone
                drawn = replace(drawn, changed=first.changed, saved_in=first.saved_in)
            self._session.regions = drawn
        self.changed.emit()

    def _numbers(self, regions: ShownRegions) -> tuple[int, ...]:
        """The labels after strokes were undone or painted again: one that they had brought goes with its voxels."""
        if self._drawing is None or self._undrawn is None:
            return regions.numbers
        before, values = self._undrawn.numbers, self._drawing.labels.values
        drawn = self._painted - {0, *before}
        kept = set(regions.numbers) - drawn
        return tuple(sorted(kept | {label for label in drawn if (values == label).any()}))

    def _go_to_labels(self) -> None:
        session = self._session
        if session.regions is not None and session.time != session.regions.time:
            session.time = session.regions.time
            t = time_words(session, session.time)
            session.status = f"These labels were drawn at t = {t}: they are drawn on there"

    def _put_aside(self) -> None:
        """Labels that were drawn and not saved are about to go: the banner brings them back."""
        regions = self._session.regions
        if regions is not None and regions.changed:
            self._earlier = regions
            words = "The labels that were drawn had not been saved."
            self._window.banner.set_message(words, "info", remedy=(BACK, "Back to the drawn labels"))

    def _on_series(self) -> None:
        """Another series has no regions yet; the same scans at other times keep theirs."""
        session, regions = self._session, self._session.regions
        if regions is None or session.series is None:
            return
        scan = next((s for s in session.series.scans if _same_scan(s.image, regions)), None)
        if scan is None or not session.series.grid.matches(regions.labels.grid):
            session.regions = None
        else:
            session.regions = regions.used_in(session.series, scan.time)

    def _on_regions(self) -> None:
        if self._session.regions is None:
            self._session.region_figures = None
            self._drawing = None
        elif self._drawing is None or not self._drawing.is_drawing:
            self._still.start()
        self.changed.emit()

    def _measure(self) -> None:
        """Measure what is shown now, unless that is known or being measured."""
        session, result = self._session, self._session.result
        regions, trajectory = session.regions, None if result is None else result.trajectory
        figures = session.region_figures
        if regions is None or session.pair is not None:
            return
        if figures is not None and self._measured[1] is not trajectory:
            session.region_figures = None
        elif figures is not None and figures.regions is regions:
            return
        self._measured = (regions, trajectory)
        self._say("Measuring…")
        self._measurer.submit(Measure(regions, trajectory, session.times), interrupt=True)

    def _on_read(self, value: object) -> None:
        self.reading = False
        self._say("")
        if isinstance(value, ShownRegions) and self._session.series is not None:
            if value.image not in [scan.image for scan in self._session.series.scans]:
                return  # another series has been opened meanwhile
            if self._session.regions is not None and value.labels is not self._session.regions.labels:
                self._put_aside()
            self._session.regions = value
            if self._session.brush is not None:
                self._go_to_labels()

    def _on_progress(self, part: object) -> None:
        if isinstance(part, float):
            self._say(f"Measuring… {100 * part:.0f} %")

    def _on_measured(self, figures: object) -> None:
        self._say("")
        if isinstance(figures, RegionFigures) and figures.regions.labels is self._labels():
            regions = self._session.regions
            self._session.region_figures = figures if regions is None else replace(figures, regions=regions)

    def _labels(self) -> object:
        return None if self._session.regions is None else self._session.regions.labels

    def _on_written(self, value: object) -> None:
        if isinstance(value, tuple):
            regions, path = value
            self.set_saved(regions, path)
        else:
            path = value
        self._session.status = f"Written: {path}"
        self.saved.emit(path)

    def _on_failed(self, error: object) -> None:
        self.reading = False
        self._say("")
        self._window.banner.set_message(str(error))
        self.failed.emit(str(error))

    def _say(self, words: str) -> None:
        self.words = words
        self.changed.emit()


def _same_scan(image: object, regions: ShownRegions) -> bool:
    """Whether an image is the scan that the regions were drawn on, laid as it was then."""
    mine = regions.image
    return image is mine or (
        getattr(image, "raw", None) is mine.raw and getattr(image, "alignment", None) == mine.alignment
    )
