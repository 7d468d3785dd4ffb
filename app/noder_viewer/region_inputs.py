"""What regions are read from: a label map and the scan that it was drawn on, the scans' own labels, names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QComboBox, QFileDialog, QFormLayout, QSizePolicy, QWidget

from noder_viewer.file_rows import IMAGES, FileRow, captioned, local_paths
from noder_viewer.region_jobs import RegionFiles

NAMES = "Tables of names (*.txt *.tsv *.csv *.label *.lut);;All files (*)"


class FilesRow(FileRow):
    """One file or several, which may be left out."""

    def __init__(self, title: str, tip: str, kinds: str, parent: QWidget | None = None) -> None:
        self.paths: tuple[Path, ...] = ()
        super().__init__(title, tip, kinds, parent)

    def set_path(self, path: Path | None) -> None:
        self.set_paths(() if path is None else (path,))

    def set_paths(self, paths: Sequence[Path]) -> None:
        """Show `paths` as what is chosen."""
        self.paths = tuple(paths)
        super().set_path(self.paths[0] if self.paths else None)
        if len(self.paths) > 1:
            self.name.setText(f"{len(self.paths)} files")
            self.name.setToolTip("\n".join(map(str, self.paths)))

    def browse(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, self.title, str(self.folder), self.kinds)
        if names:
            self._take_all([Path(name) for name in names])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(path.is_file() for path in local_paths(event.mimeData())):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [path for path in local_paths(event.mimeData()) if path.is_file()]
        if paths:
            event.acceptProposedAction()
            self._take_all(paths)

    def _take_all(self, paths: list[Path]) -> None:
        self.folder = paths[0].parent
        self.set_paths(paths)
        self.changed.emit()


class RegionInputs(QWidget):
    """Rows of files; `changed` with every choice of the user's."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: tuple[float, ...] = ()
        self.labels = FileRow("Labels", "A label map of one scan, or a 4D one with a volume for each scan", IMAGES)
        self.scan = QComboBox()
        self.scan.setAccessibleName("Drawn on")
        self.scan.setToolTip("The scan that the label map was drawn on: from there it is carried to all times")
        self.scan.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.own = FilesRow(
            "The scans' own labels",
            "Labels that were drawn on each scan, as points of the curve: one 4D file,\n"
            "or a file for each scan in the order in which the scans were given",
            IMAGES,
        )
        self.names = FileRow(
            "Names", "Names of the labels: lines of a number and a name, BIDS, ITK-SNAP or FreeSurfer", NAMES
        )
        form = QFormLayout(self)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, row in (("Labels", self.labels), ("Drawn on", self.scan), ("Own", self.own), ("Names", self.names)):
            form.addRow(captioned(text, row), row)
        self.labels.changed.connect(self._on_labels)
        self.scan.activated.connect(self._on_scan)
        for other in (self.own, self.names):
            other.changed.connect(self.changed)
        self._now = 0.0

    def set_scans(self, labels: Sequence[str], times: Sequence[float], unit: str) -> None:
        """The scans to choose from."""
        self._times = tuple(times)
        suffix = "" if unit == "index" else f" {unit}"
        self.scan.clear()
        self.scan.addItems([f"t = {t:.4g}{suffix}: {label}" for label, t in zip(labels, times, strict=True)])

    def set_now(self, t: float, drawn_at: float | None) -> None:
        """The time that is shown: labels that are dropped now were most likely drawn on the scan nearest to it."""
        self._now = t
        if self._times:
            self.scan.setCurrentIndex(self._nearest(t if drawn_at is None else drawn_at))

    def set_labels(self, path: Path | None) -> None:
        """The file that is in use; None for labels that were drawn, or none."""
        self.labels.set_path(path)

    def set_given(self, own: Sequence[Path], names: Path | None, *, own_in_labels: bool = False) -> None:
        """The files that are in use beside it; `own_in_labels`: it is itself a 4D one that has the scans' own."""
        self.own.set_paths(own)
        if own_in_labels and not own:
            self.own.name.setText("as Labels (4D)")
            self.own.name.setToolTip("The file of Labels has a volume for each scan")
        self.names.set_path(names)

    @property
    def time(self) -> float:
        """Of the scan that is chosen."""
        return self._times[self.scan.currentIndex()] if self._times else 0.0

    def files(self) -> RegionFiles:
        """What is chosen."""
        return RegionFiles(self.labels.path, self.time, self.own.paths, self.names.path)

    def clear(self) -> None:
        """Forget what was chosen."""
        self.labels.set_path(None)
        self.own.set_paths(())
        self.names.set_path(None)

    def _nearest(self, t: float) -> int:
        return min(range(len(self._times)), key=lambda k: abs(self._times[k] - t))

    def _on_labels(self) -> None:
        if self._times and self.labels.path is not None:
            self.scan.setCurrentIndex(self._nearest(self._now))
        self.changed.emit()

    def _on_scan(self) -> None:
        self.changed.emit()
