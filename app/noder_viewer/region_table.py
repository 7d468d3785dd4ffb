"""The regions as a table: which are shown, colours, names, volume now, change and rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from noder_viewer.number_item import NumberItem
from noder_viewer.region_state import Colour

NAME, VOLUME, CHANGE, RATE = range(4)
_TIPS = (
    "Tick what is drawn and plotted; a double click on a name changes it; a click chooses the label that is drawn",
    "ml at the time that is shown",
    "% of the volume at the reference, the first scan in time",
    "Slope of the logarithm of the volume over the seen scans, in %",
)
Row = tuple[int, str, list[float]]


class RegionTable(QTableWidget):
    """A row a label. Emits which labels are hidden, a new name, and the label that was clicked."""

    hidden_requested = Signal(object)
    renamed = Signal(int, str)
    label_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 4, parent)
        self._labels: list[int] = []
        self.setAccessibleName("Regions")
        self.set_unit("")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(24)
        self.setIconSize(QSize(11, 11))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.itemChanged.connect(self._on_changed)
        self.cellClicked.connect(self._on_clicked)

    def set_unit(self, per: str) -> None:
        """The unit of time of the rates, in the singular."""
        self.setHorizontalHeaderLabels(["region", "ml now", "change %", f"% / {per}" if per else "rate"])
        for column, tip in enumerate(_TIPS):
            if (item := self.horizontalHeaderItem(column)) is not None:
                item.setToolTip(tip)

    def set_rows(self, rows: Sequence[Row], colours: Sequence[Colour], hidden: frozenset[int]) -> None:
        """Labels with their names, and ml now, change and rate in %; NaN for what is not known."""
        blocker = QSignalBlocker(self)
        labels = [label for label, _, _ in rows]
        if labels != self._labels:
            self.setRowCount(len(rows))
            self._labels = labels
        rate_digits = _digits([values[-1] for _, _, values in rows])
        for k, ((label, name, values), colour) in enumerate(zip(rows, colours, strict=True)):
            self._set_name(k, label, name, colour, shown=label not in hidden)
            for column, value, digits in zip((VOLUME, CHANGE, RATE), values, (2, 1, rate_digits), strict=True):
                self._set_number(k, column, value, digits)
        blocker.unblock()

    def select_label(self, label: int) -> None:
        """Mark the row of a label."""
        if label in self._labels:
            blocker = QSignalBlocker(self)
            self.selectRow(self._labels.index(label))
            blocker.unblock()
        else:
            self.clearSelection()

    def _set_name(self, row: int, label: int, name: str, colour: Colour, *, shown: bool) -> None:
        item = self.item(row, NAME)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, NAME, item)
        pixmap = QPixmap(22, 22)
        pixmap.fill(QColor(*colour))
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        item.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable | Qt.ItemFlag.ItemIsEditable)
        item.setText(name)
        item.setIcon(pixmap)
        item.setToolTip(f"{name}: label {label}")
        item.setCheckState(Qt.CheckState.Checked if shown else Qt.CheckState.Unchecked)

    def _set_number(self, row: int, column: int, value: float, digits: int) -> None:
        before = self.item(row, column)
        known = isinstance(before, NumberItem) and (before.value == value or (math.isnan(before.value + value)))
        if not known or (isinstance(before, NumberItem) and math.isnan(before.value) != math.isnan(value)):
            self.setItem(row, column, NumberItem(value, digits))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if item.column() != NAME:
            return
        label = self._labels[item.row()]
        names = [self.item(k, NAME) for k in range(len(self._labels))]
        checked = [each is not None and each.checkState() == Qt.CheckState.Checked for each in names]
        self.hidden_requested.emit(frozenset(n for n, on in zip(self._labels, checked, strict=True) if not on))
        self.renamed.emit(label, item.text())

    def _on_clicked(self, row: int, _column: int) -> None:
        self.label_requested.emit(self._labels[row])


def _digits(values: Sequence[float]) -> int:
    """Digits behind the point so that the largest of all has three that count."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=1.0)
    return int(min(max(2 - math.floor(math.log10(max(largest, 1e-6))), 1), 6))
