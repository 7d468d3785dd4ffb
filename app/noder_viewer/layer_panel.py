"""The Layers panel: what lies over what, and how the chosen layer looks."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.colormaps import HEAT_MAPS, IMAGE_MAPS
from noder_viewer.layer_list import LayerList
from noder_viewer.layer_rows import LayerRow
from noder_viewer.layers import LANDMARKS


class LayerPanel(QWidget):
    """Shows the rows of `layer_rows` and says what the user wants with them."""

    add_requested = Signal()
    remove_requested = Signal(str)
    move_requested = Signal(str, int)
    look_requested = Signal(str, object)  # key, changes of its Look by name
    window_requested = Signal(str, float, float)
    labels_requested = Signal(str, bool)
    outline_requested = Signal(str, bool)
    bars_requested = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[LayerRow] = []
        self._loading = False
        self.list = LayerList()
        self.list.currentRowChanged.connect(self._show_chosen)
        self.add, self.remove = QPushButton("Add…"), QPushButton("Remove")
        self.up, self.down = QPushButton("Up"), QPushButton("Down")
        self.colours, self.gamma, self.opacity = QComboBox(), QDoubleSpinBox(), QSlider(Qt.Orientation.Horizontal)
        self.lo, self.hi = QDoubleSpinBox(), QDoubleSpinBox()
        self.labels, self.outline = QCheckBox("Whole numbers are labels"), QCheckBox("Outlines alone")
        self.bars = QCheckBox("Colour bars")
        self._name = QLabel()
        self._lay_out()
        self._connect()
        self.set_rows([])

    def set_rows(self, rows: Sequence[LayerRow]) -> None:
        """Show these layers, the front one first."""
        if list(rows) != self._rows or not rows:
            self._rows = list(rows)
            self.list.set_rows(rows)
        self._show_chosen()

    def set_bars(self, on: bool) -> None:
        """Whether colour bars are shown."""
        self.bars.setChecked(on)

    @property
    def chosen(self) -> LayerRow | None:
        """The row that is chosen."""
        key = self.list.chosen
        return next((row for row in self._rows if row.key == key), None)

    def _show_chosen(self) -> None:
        row = self.chosen
        self._loading = True
        self.remove.setEnabled(row is not None and row.is_own)
        movable = row is not None and row.key != LANDMARKS
        self.up.setEnabled(movable)
        self.down.setEnabled(movable)
        self._name.setText("" if row is None else row.name)
        form, kind = self._form, "lines" if row is None else row.kind
        own = row is not None and row.is_own
        form.setRowVisible(self.colours, kind in ("image", "heat"))
        form.setRowVisible(self.gamma, kind in ("image", "heat", "spread"))
        form.setRowVisible(self.opacity, kind != "lines")
        form.setRowVisible(self._levels, kind == "image" and own)
        form.setRowVisible(self.labels, own)
        form.setRowVisible(self.outline, kind == "labels")
        if row is not None:
            self._fill(row)
        self._loading = False

    def _fill(self, row: LayerRow) -> None:
        words = HEAT_MAPS if row.kind == "heat" else {name: name for name in IMAGE_MAPS}
        if [self.colours.itemData(k) for k in range(self.colours.count())] != list(words):
            self.colours.clear()
            for name, text in words.items():
                self.colours.addItem(text[0].upper() + text[1:], name)
        self.colours.setCurrentIndex(max(self.colours.findData(row.look.colormap), 0))
        self.gamma.setValue(row.look.gamma)
        self.opacity.setValue(round(100 * row.look.opacity))
        self.labels.setChecked(row.kind == "labels")
        self.outline.setChecked(row.outline)
        for box, value in zip((self.lo, self.hi), row.window, strict=True):
            box.setSingleStep(max((row.window[1] - row.window[0]) / 50, 1e-3))
            box.setValue(value)

    def _lay_out(self) -> None:
        self.gamma.setRange(0.1, 5.0)
        self.gamma.setSingleStep(0.1)
        self.gamma.setToolTip("Above 1 the middle is darker, below 1 brighter")
        self.opacity.setRange(0, 100)
        for box, name in ((self.lo, "Black at this value"), (self.hi, "White at this value")):
            box.setRange(-1e9, 1e9)
            box.setDecimals(3)
            box.setAccessibleName(name)
            box.setToolTip(name)
        for spin in (self.gamma, self.lo, self.hi):
            spin.setKeyboardTracking(False)
        self.add.setToolTip("An image or a label map of a file, on any grid: it lies over the slices")
        self._levels = QWidget()
        levels = QHBoxLayout(self._levels)
        levels.setContentsMargins(0, 0, 0, 0)
        levels.addWidget(self.lo, 1)
        levels.addWidget(self.hi, 1)
        buttons = QGridLayout()  # two by two: narrow enough for a large font
        for k, button in enumerate((self.add, self.up, self.remove, self.down)):
            buttons.addWidget(button, k // 2, k % 2)
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, widget in (("Colours", self.colours), ("Gamma", self.gamma), ("Opacity", self.opacity)):
            self._form.addRow(text, widget)
        self._form.addRow("Levels", self._levels)
        self._form.addRow(self.labels)
        self._form.addRow(self.outline)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.addWidget(self.list, 1)
        column.addLayout(buttons)
        column.addWidget(self._name)
        column.addLayout(self._form)
        column.addWidget(self.bars)

    def _connect(self) -> None:
        self.add.clicked.connect(self.add_requested)
        self.remove.clicked.connect(lambda: self._say(lambda row: self.remove_requested.emit(row.key)))
        self.up.clicked.connect(lambda: self._say(lambda row: self.move_requested.emit(row.key, -1)))
        self.down.clicked.connect(lambda: self._say(lambda row: self.move_requested.emit(row.key, 1)))
        self.colours.activated.connect(lambda: self._look(colormap=self.colours.currentData()))
        self.gamma.valueChanged.connect(lambda value: self._look(gamma=round(value, 3)))
        self.opacity.valueChanged.connect(lambda value: self._look(opacity=value / 100))
        self.lo.valueChanged.connect(self._on_levels)
        self.hi.valueChanged.connect(self._on_levels)
        self.labels.clicked.connect(lambda on: self._say(lambda row: self.labels_requested.emit(row.key, on)))
        self.outline.clicked.connect(lambda on: self._say(lambda row: self.outline_requested.emit(row.key, on)))
        self.bars.clicked.connect(self.bars_requested)

    def _look(self, **changes: object) -> None:
        self._say(lambda row: self.look_requested.emit(row.key, changes))

    def _on_levels(self) -> None:
        self._say(lambda row: self.window_requested.emit(row.key, self.lo.value(), self.hi.value()))

    def _say(self, emit: object) -> None:
        row = self.chosen
        if row is not None and not self._loading and callable(emit):
            emit(row)
