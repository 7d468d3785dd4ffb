"""The Regions tab: labels read or drawn, how they are shown, their volumes over time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.brush_bar import BrushBar
from noder_viewer.file_rows import local_paths
from noder_viewer.region_inputs import RegionInputs
from noder_viewer.region_plot import PlotData, RegionPlot
from noder_viewer.region_state import RegionLook
from noder_viewer.region_table import RegionTable

HINT = (
    "Drop a label map here, browse for one, or draw: it is carried from its scan to every time, and its volumes are "
    "plotted below."
)


class RegionPanel(QWidget):
    """Emits what the user wants of regions; shows what it is told."""

    files_requested = Signal(object)
    look_requested = Signal(object)
    percent_requested = Signal(bool)
    save_csv_requested = Signal()
    save_png_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._look = RegionLook()
        self.setAcceptDrops(True)
        self.inputs, self.brush = RegionInputs(), BrushBar()
        self.table, self.plot = RegionTable(), RegionPlot()
        self.inputs.changed.connect(self._on_files)
        self.table.hidden_requested.connect(self._on_hidden)
        self.table.label_requested.connect(self.brush.set_label)
        self.message = QLabel(HINT)
        self.message.setWordWrap(True)
        self.message.setProperty("muted", True)
        self._make_look()
        self._make_buttons()
        self._lay_out()
        self.set_state(drawable=False, has_regions=False, has_curves=False)
        self.set_look(self._look)

    def set_state(self, *, drawable: bool, has_regions: bool, has_curves: bool) -> None:
        """What can be done now: `drawable` with a series, the rest with labels and with their volumes over time."""
        self.inputs.setEnabled(drawable)
        self.brush.set_available(drawable, has_regions)
        self.look_box.setEnabled(has_regions)
        for widget in (self.csv, self.png, self.kind):
            widget.setEnabled(has_curves)

    def set_look(self, look: RegionLook) -> None:
        """Show how regions are drawn."""
        self._look = look
        blockers = [QSignalBlocker(widget) for widget in (self.look_box, self.fill, self.outline, self.own)]
        self.look_box.setChecked(look.visible)
        self.fill.setValue(round(100 * look.fill))
        self.outline.setChecked(look.outline)
        self.own.setChecked(look.own)
        for blocker in blockers:
            blocker.unblock()

    def set_message(self, text: str) -> None:
        """What there is to know; "" for what one can do here."""
        self.message.setText(text or HINT)

    def set_plot(self, data: PlotData | None) -> None:
        """Draw the curves; None for nothing."""
        self.plot.set_data(data)

    @property
    def percent(self) -> bool:
        """Whether the plot shows % instead of ml."""
        return bool(self.kind.currentData())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if self.inputs.isEnabled() and _one_file(local_paths(event.mimeData())) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        path = _one_file(local_paths(event.mimeData()))
        if path is not None:
            event.acceptProposedAction()
            self.inputs.set_labels(path)
            self.inputs.labels.changed.emit()

    def _make_look(self) -> None:
        self.look_box = QGroupBox("Show the regions")
        self.look_box.setProperty("switch", True)
        self.look_box.setCheckable(True)
        self.look_box.setToolTip("Over the slices, carried to the time that is shown")
        self.fill = QSlider(Qt.Orientation.Horizontal)
        self.fill.setRange(0, 100)
        self.fill.setAccessibleName("Opacity of the regions' colours")
        self.fill.setToolTip(
            "Opacity of the colours; at 0 only outlines are drawn.\n"
            "Over a map of colours, as growth or a difference, there are always outlines alone"
        )
        self.outline, self.own = QCheckBox("Outlines"), QCheckBox("Scans' own, dashed")
        self.own.setToolTip("At a scan that has labels of its own: these too, with dashed outlines")
        self.look_box.clicked.connect(self._on_look)
        self.fill.valueChanged.connect(self._on_look)
        for box in (self.outline, self.own):
            box.clicked.connect(self._on_look)
        rows = QVBoxLayout(self.look_box)
        rows.setContentsMargins(8, 4, 8, 6)
        first, second = QHBoxLayout(), QHBoxLayout()
        fill = QLabel("Fill")
        fill.setBuddy(self.fill)
        first.addWidget(fill)
        first.addWidget(self.fill, 1)
        second.addWidget(self.outline)
        second.addWidget(self.own)
        second.addStretch(1)
        rows.addLayout(first)
        rows.addLayout(second)

    def _make_buttons(self) -> None:
        self.kind = QComboBox()
        self.kind.setAccessibleName("What is plotted")
        for text, percent in (("Volume in ml", False), ("Change in %", True)):
            self.kind.addItem(text, percent)
        self.kind.activated.connect(self._on_kind)
        self.csv, self.png = QPushButton("Save CSV…"), QPushButton("Save PNG…")
        self.csv.setToolTip("Volumes of every region over time, with band, measured points and change")
        self.png.setToolTip("The plot as a picture")
        self.csv.clicked.connect(self.save_csv_requested)
        self.png.clicked.connect(self.save_png_requested)

    def _lay_out(self) -> None:
        self.table.setMinimumHeight(100)
        for widget in (self.table, self.plot):  # else as large as they like, and below the window's edge
            widget.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)
        buttons = QHBoxLayout()
        buttons.addWidget(self.kind, 1)
        buttons.addWidget(self.csv)
        buttons.addWidget(self.png)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.inputs)
        layout.addWidget(self.brush)
        layout.addWidget(self.look_box)
        layout.addWidget(self.message)
        layout.addWidget(self.table, 1)
        layout.addLayout(buttons)  # above the plot, which may end below the edge
        layout.addWidget(self.plot, 2)

    def _on_files(self) -> None:
        self.files_requested.emit(self.inputs.files())

    def _on_look(self) -> None:
        self.look_requested.emit(
            replace(
                self._look,
                visible=self.look_box.isChecked(),
                fill=self.fill.value() / 100,
                outline=self.outline.isChecked(),
                own=self.own.isChecked(),
            )
        )

    def _on_hidden(self, hidden: object) -> None:
        if isinstance(hidden, frozenset) and hidden != self._look.hidden:
            self.look_requested.emit(replace(self._look, hidden=hidden))

    def _on_kind(self) -> None:
        self.percent_requested.emit(self.percent)


def _one_file(paths: list[Path]) -> Path | None:
    return paths[0] if len(paths) == 1 and paths[0].is_file() else None
