"""Rows that take a file: by a drop, by a button, and for images from the scans of the open series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from noder_viewer.elided import ElidedLabel
from noder_viewer.pair_jobs import Source

if TYPE_CHECKING:
    from noder.image import Image

IMAGES = "Images (*.nii *.nii.gz *.hdr *.img *.mgh *.mgz *.mha *.mhd *.nrrd);;All files (*)"
TABLES = "Tables (*.csv *.txt);;All files (*)"
TRANSFORMS = "Transforms (*.tfm *.txt *.mat *.xfm *.h5);;All files (*)"
_WIDEST = "Moving labels"
_CHOOSE, _FILE = "Drop a file, or choose…", "File…"


class FileDrop(QWidget):
    """Takes one file that is dropped on it; `folder` is where its file dialog begins."""

    changed = Signal()

    def __init__(self, title: str, kinds: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.title, self.kinds = title, kinds
        self.folder = Path.home()
        self.setAcceptDrops(True)
        self.setAccessibleName(title)

    def set_path(self, path: Path | None) -> None:
        """Show `path` as what is chosen; None for nothing."""
        raise NotImplementedError

    def browse(self) -> None:
        """Ask for a file."""
        name, _ = QFileDialog.getOpenFileName(self, self.title, str(self.folder), self.kinds)
        if name:
            self._take(Path(name))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if _one_file(event.mimeData()) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _one_file(event.mimeData())
        if path is not None:
            event.acceptProposedAction()
            self._take(path)

    def _take(self, path: Path) -> None:
        self.folder = path.parent
        self.set_path(path)
        self.changed.emit()


class ImageRow(FileDrop):
    """An image: a scan of the open series, or a file; of one that holds several volumes, a spin box asks which."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(title, IMAGES, parent)
        self._source: Source | None = None
        self._scans: list[Source] = []
        self.combo = QComboBox()
        self.combo.setAccessibleName(title)
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.combo.activated.connect(self._on_activated)
        self._counts: dict[Path, int] = {}
        self.volume = QSpinBox()
        self.volume.setAccessibleName(f"Volume of the {title.lower()}")
        self.volume.valueChanged.connect(self._on_volume)
        self.button = QPushButton("Browse…")
        self.button.setToolTip(f"Choose a file: {title.lower()}")
        self.button.clicked.connect(self.browse)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.combo, 1)
        row.addWidget(self.volume)
        row.addWidget(self.button)
        self._fill()

    @property
    def source(self) -> Source | None:
        """What is chosen."""
        return self._source

    def set_source(self, source: Source | None) -> None:
        """Show `source` as what is chosen; one that names nothing is none."""
        if source is not None and source.scan is not None:  # it may have been labelled anew since
            source = next((known for known in self._scans if known.scan is source.scan), source)
        self._source = None if source is None or source.is_empty else source
        self._fill()

    def set_path(self, path: Path | None) -> None:
        self._counts = {}  # a file may have been written anew under its name
        self.set_source(None if path is None else Source(path))

    @property
    def uncounted(self) -> Path | None:
        """The file that is chosen, where nobody has said how many volumes it holds."""
        path = None if self._source is None else self._source.path
        return None if path in self._counts else path

    def set_volumes(self, counts: dict[Path, int]) -> None:
        """How many volumes files hold."""
        self._counts |= counts
        self._fill()

    def set_scans(self, scans: list[tuple[str, Image]]) -> None:
        """The scans of the open series; a choice among others than these is taken back."""
        self._scans = [Source(scan=image, label=label) for label, image in scans]
        chosen = self._source
        if chosen is not None and chosen.scan is not None:
            self._source = next((source for source in self._scans if source.scan is chosen.scan), None)
        self._fill()

    def _fill(self) -> None:
        self._show_volume()
        chosen, self._items = self._source, [None, *self._scans]
        if chosen is not None and chosen.path is not None:
            self._items.append(chosen)
        self.combo.clear()
        for source in self._items:
            self.combo.addItem(_CHOOSE if source is None else source.name)
        self.combo.addItem(_FILE)
        self.combo.setCurrentIndex(self._items.index(chosen) if chosen in self._items else 0)
        self.combo.setToolTip(self._tip(chosen))

    def _show_volume(self) -> None:
        """The spin box, for a file of several volumes alone."""
        chosen = self._source
        n = 1 if chosen is None or chosen.path is None else self._counts.get(chosen.path, 1)
        self.volume.setVisible(n > 1)
        if chosen is None or n == 1:
            return
        self._source = replace(chosen, volume=min(chosen.volume or 0, n - 1))
        self.volume.blockSignals(True)
        self.volume.setRange(0, n - 1)
        self.volume.setValue(self._source.volume or 0)
        self.volume.blockSignals(False)
        self.volume.setToolTip(f"Which of the {n} volumes of {chosen.name}: 0 to {n - 1}")

    def _on_volume(self, volume: int) -> None:
        if self._source is not None:
            self.set_source(replace(self._source, volume=volume))
            self.changed.emit()

    def _tip(self, source: Source | None) -> str:
        if source is None:
            return f"{self.title}: drop a file here, browse for one, or choose a scan of the open series"
        if source.path is not None:
            return str(source.path)
        return (
            f"{source.name} of the open series, as it is stored: on its own voxels, without an alignment to the first"
        )

    def _on_activated(self, index: int) -> None:
        if index == len(self._items):
            self._fill()  # "File…" is no choice by itself
            self.browse()
            return
        self.set_source(self._items[index])
        self.changed.emit()


class FileRow(FileDrop):
    """A file that may be left out."""

    def __init__(self, title: str, tip: str, kinds: str, parent: QWidget | None = None) -> None:
        super().__init__(title, kinds, parent)
        self._path: Path | None = None
        self._tip = tip
        self.name = ElidedLabel()
        self.button = QPushButton("Browse…")
        self.button.setToolTip(tip)
        self.button.clicked.connect(self.browse)
        self.cross = QToolButton()
        self.cross.setText("✕")
        self.cross.setAutoRaise(True)
        self.cross.setToolTip("None")
        self.cross.clicked.connect(self._on_cross)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.name, 1)
        row.addWidget(self.button)
        row.addWidget(self.cross)
        self.setToolTip(tip)
        self.set_path(None)

    @property
    def path(self) -> Path | None:
        """What is chosen."""
        return self._path

    def set_path(self, path: Path | None) -> None:
        self._path = path
        self.name.setText("none" if path is None else path.name)
        self.name.setToolTip(self._tip if path is None else str(path))
        self.name.setProperty("muted", path is None)
        self.name.style().polish(self.name)
        self.cross.setEnabled(path is not None)

    def _on_cross(self) -> None:
        self.set_path(None)
        self.changed.emit()


def local_paths(data: QMimeData) -> list[Path]:
    """The files of a drop."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


def _one_file(data: QMimeData) -> Path | None:
    """The one file of a drop; a folder is for the window: scans, a fit, a registration."""
    paths = local_paths(data)
    return paths[0] if len(paths) == 1 and not paths[0].is_dir() else None


def captioned(text: str, widget: QWidget) -> QLabel:
    """A label for a row, with its tool tip; all are as wide, so that rows of several forms stand in line."""
    label = QLabel(text)
    label.setMinimumWidth(label.fontMetrics().horizontalAdvance(_WIDEST) + 6)
    label.setToolTip(widget.toolTip())
    label.setBuddy(widget)
    return label
