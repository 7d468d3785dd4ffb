"""The landmarks of a pair with their errors: sorted on click, and a row puts the crosshair there."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QCheckBox, QHeaderView, QLabel, QTableWidget, QVBoxLayout, QWidget

from noder_viewer.number_item import NumberItem

Points = NDArray[np.float64]
NUMBER, BEFORE, AFTER = range(3)
_HEADERS = ("#", "before", "after", "fixed R", "A", "S", "moving R", "A", "S")
_TIPS = (
    "Row of the table that was read, from 1",
    "mm from where the initial alignment carries the fixed landmark to the moving landmark",
    "mm from where the map carries the fixed landmark to the moving landmark",
    *("The landmark of the fixed image, RAS mm",) * 3,
    *("The landmark of the moving image, RAS mm, as the image is stored",) * 3,
)
CONVENTION = (
    "Dot: where the map carries the landmark of the fixed image. Ring: the landmark of the moving image.\n"
    "The line between them is the error. Both ride on the tissue as it is shown: at t = 1 they stand in the fixed\n"
    "image's space (the dot is the fixed landmark as it was set), at t = 0 in the moving image's. “Before” shows them\n"
    "without the map. Drawn on slices at most 3 mm away from the dot."
)


class LandmarkTable(QWidget):
    """Shows landmarks; emits the row in the file (from 0) that the user clicked."""

    row_requested = Signal(int)
    shown_requested = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fixed: Points | None = None
        self.visible_box = QCheckBox("Show: dot fixed, ring moving, line error")
        self.visible_box.setToolTip(CONVENTION + " (L)")
        self.visible_box.clicked.connect(self.shown_requested)
        self.hint = QLabel("No landmarks: choose a table of fixed and moving points above, and press Start.")
        self.hint.setWordWrap(True)
        self.hint.setProperty("muted", True)
        self.table = self._make_table()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(self.visible_box)
        layout.addWidget(self.hint)
        layout.addWidget(self.table, 1)
        self.set_landmarks(None, None, None, None)

    def set_landmarks(
        self, fixed: Points | None, moving: Points | None, before: Points | None, after: Points | None
    ) -> None:
        """(N,3) RAS mm each, and errors (N,) in mm; None for none."""
        known = fixed is not None and moving is not None
        self.hint.setVisible(not known)
        self.visible_box.setEnabled(known)
        if fixed is None or moving is None:
            self._fixed = None
            self.table.setRowCount(0)
            return
        self.table.setSortingEnabled(False)  # a row would move away while it is being filled
        if fixed is not self._fixed:
            self._fill(fixed, moving)
        for row in range(len(fixed)):
            item = self.table.item(row, NUMBER)
            number = round(item.value) - 1 if isinstance(item, NumberItem) else row
            for column, errors in ((BEFORE, before), (AFTER, after)):
                self.table.setItem(row, column, NumberItem(math.nan if errors is None else float(errors[number])))
        self.table.setSortingEnabled(True)

    def set_marks_visible(self, shown: bool) -> None:
        """Whether the landmarks are drawn on the slices."""
        self.visible_box.setChecked(shown)

    def _fill(self, fixed: Points, moving: Points) -> None:
        self._fixed = fixed
        self.table.setRowCount(len(fixed))
        for row in range(len(fixed)):
            self.table.setItem(row, NUMBER, NumberItem(row + 1, 0))
            for column, value in enumerate((*fixed[row].tolist(), *moving[row].tolist()), start=AFTER + 1):
                self.table.setItem(row, column, NumberItem(value, 1))

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_HEADERS))
        table.setHorizontalHeaderLabels(list(_HEADERS))
        for column, tip in enumerate(_TIPS):
            if (item := table.horizontalHeaderItem(column)) is not None:
                item.setToolTip(tip)
        table.setAccessibleName("Landmarks")
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(22)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setMinimumSectionSize(30)
        header.setSortIndicator(NUMBER, Qt.SortOrder.AscendingOrder)
        table.cellClicked.connect(self._on_cell)
        table.cellActivated.connect(self._on_cell)
        return table

    def _on_cell(self, row: int, _column: int) -> None:
        item = self.table.item(row, NUMBER)
        if isinstance(item, NumberItem):
            self.row_requested.emit(round(item.value) - 1)
