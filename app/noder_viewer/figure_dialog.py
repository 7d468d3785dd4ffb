"""Which picture to save, how large and with what on it: the picture dialog. `Figures` does the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.movie_plan import LARGEST, SMALLEST
from noder_viewer.picture_look import AXES, VOLUME, WINDOW, Look
from noder_viewer.picture_options import FileRow, LookBoxes, ViewBox, named

SCALES = {"1×, as on screen": 1, "2×": 2, "4×, for print": 4}
"""Pixels of the picture to one of the view: letters and lines keep their size, and grow sharper."""
SVG = ".svg"


@dataclass(frozen=True)
class FigureRequest:
    """`what`: a key of `picture_look.VIEWS`; `size` in the view's own pixels, `scale` pixels of a PNG to each."""

    path: Path
    what: str
    size: tuple[int, int]
    scale: int
    look: Look


class FigureDialog(QDialog):
    """Does not block the window. Emits `figure_requested(FigureRequest)`; is told what came of it."""

    figure_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Save picture")
        self._sizes: Mapping[str, tuple[int, int]] = {}
        self.view, self.look, self.scale = ViewBox(), LookBoxes(), named(QComboBox(), "Scale")
        self.look.boxes["stamp"].setChecked(False)  # the title tells the time
        for words, factor in SCALES.items():
            self.scale.addItem(words, factor)
        self.scale.setCurrentIndex(1)
        self.width_px = named(QSpinBox(minimum=SMALLEST, maximum=LARGEST), "Width")
        self.height_px = named(QSpinBox(minimum=SMALLEST, maximum=LARGEST), "Height")
        self.file = FileRow("Save picture")
        self.result_size, self.message = QLabel(), QLabel(wordWrap=True)
        self.result_size.setProperty("muted", True)
        self.save, self.close_button = QPushButton("Save", default=True), QPushButton("Close", autoDefault=False)
        self.save.setProperty("primary", True)
        self._lay_out()
        self.view.currentIndexChanged.connect(self._on_view)
        for box in (self.width_px, self.height_px):
            box.valueChanged.connect(self._say_size)
        self.scale.currentIndexChanged.connect(self._say_size)
        self.file.changed.connect(self._say_size)
        self.save.clicked.connect(self.request_figure)
        self.close_button.clicked.connect(self.close)

    def set_views(self, sizes: Mapping[str, tuple[int, int]]) -> None:
        """The views that there are, and how large each is on screen."""
        self._sizes = sizes
        self.view.set_possible(VOLUME, VOLUME in sizes, "Open the 3D view first")
        self._on_view()

    def set_saved(self, text: str, *, failed: bool = False) -> None:
        """What came of it."""
        self.save.setEnabled(True)
        self.message.setText(text)
        self.message.setProperty("error", failed)
        self.message.style().polish(self.message)  # a style sheet's selector is not read again by itself
        self._say_size()

    def request_figure(self) -> None:
        """What the Save button does."""
        path = self.file.path()
        if path is None:
            self.set_saved("Choose a file to write to.", failed=True)
            return
        view = self.view.chosen()
        path = path if path.suffix else path.with_suffix(".png")
        if path.suffix.lower() not in _suffixes(view):
            known = " or ".join(_suffixes(view))
            self.set_saved(f"{path.name} cannot be written of this view. End its name in {known}.", failed=True)
            return
        self.save.setEnabled(False)
        size = self.width_px.value(), self.height_px.value()
        self.figure_requested.emit(FigureRequest(path, view, size, self.scale.currentData(), self.look.look()))

    def _on_view(self) -> None:
        view = self.view.chosen()
        self.look.set_view(view, stamps_window=False)
        width, height = self._sizes.get(view, (640, 480))
        for box, value in ((self.width_px, width), (self.height_px, height)):
            box.setEnabled(view != WINDOW)
            box.setValue(value)
        self.file.set_filters(";;".join(_FILTERS[suffix] for suffix in _suffixes(view)))
        self._say_size()

    def _say_size(self) -> None:
        factor, path = self.scale.currentData(), self.file.path()
        vector = path is not None and path.suffix.lower() == SVG
        self.scale.setEnabled(not vector)
        words = f"{self.width_px.value() * factor} × {self.height_px.value() * factor} pixels"
        words = "letters and lines as vectors, the picture embedded" if vector else words
        there = "; takes the place of the file that is there" if path is not None and path.is_file() else ""
        self.result_size.setText(words + there)

    def _lay_out(self) -> None:
        size = QHBoxLayout()
        for widget in (self.width_px, QLabel("×"), self.height_px, QLabel("at"), self.scale):
            size.addWidget(widget)
        size.addStretch(1)
        form = QFormLayout()
        form.addRow("View", self.view)
        form.addRow("With", self.look)
        form.addRow("Size", size)
        form.addRow("File", self.file)
        form.addRow("", self.result_size)
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.close_button)
        buttons.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.message)
        layout.addStretch(1)
        layout.addLayout(buttons)
        self.setMinimumWidth(460)


_FILTERS = {".png": "PNG (*.png)", SVG: "SVG (*.svg)"}


def _suffixes(view: str) -> tuple[str, ...]:
    """Of slices letters and lines can stay vectors; all else is pixels."""
    return tuple(_FILTERS) if view in AXES else (".png",)
