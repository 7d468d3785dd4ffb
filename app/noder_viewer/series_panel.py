"""The table of scans: name, time, what the fit may do with each, and where the time came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from noder_viewer import theme

UNITS = ("index", "ms", "s", "days", "weeks", "months", "years")
NUMBER, NAME, TIME, INCLUDE, HOLD_OUT, SOURCE = range(6)
_HEADERS = ("#", "Scan", "Time", "Use", "Hold out", "From")
_CHANGES = Qt.ItemFlag.ItemIsEditable | Qt.ItemFlag.ItemIsUserCheckable
_TIPS = (
    "Position in the series, counted from 0",
    "File, and volume of a 4D file",
    "Double-click to edit",
    "Unchecked: the fit does not see this scan and it is not scored",
    "Checked: the fit does not see this scan; it is scored afterwards",
    "Where the time was read",
)


@dataclass(frozen=True)
class ScanRow:
    """One line of the table; `role` is "reference", "seen", "held out" or "excluded"."""

    name: str
    time: float
    source: str
    role: str
    tip: str = ""


class _ElideRight(QStyledItemDelegate):
    """Sources begin with what matters, while names often end with it."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


class SeriesPanel(QWidget):
    """Shows scans and emits what the user wants of them; it changes nothing by itself."""

    times_requested = Signal(list, str)
    hold_out_requested = Signal(object)
    exclude_requested = Signal(object)
    mask_requested = Signal(object)
    browse_mask_requested = Signal()
    browse_times_requested = Signal()
    scan_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows: list[ScanRow] = []
        self._mask: Path | None = None
        self._loading = self._locked = False
        self.summary = QLabel("No series")
        self.summary.setWordWrap(True)
        self.summary.setProperty("muted", True)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.hint.setProperty("warning", True)
        self.hint.hide()
        self.table = self._make_table()
        self.unit = QComboBox()
        self.unit.addItems(UNITS)
        self.unit.setEditable(True)
        self.unit.setMinimumWidth(90)
        self.unit.setToolTip("The unit of the times. It changes the word, not the numbers.")
        self.unit.textActivated.connect(self._on_unit)
        if (line := self.unit.lineEdit()) is not None:
            line.editingFinished.connect(self._on_unit)
        self.browse_times = QPushButton("Times from file…")
        self.browse_times.setToolTip("Numbers in the order in which the scans were given, a table, or a JSON sidecar")
        self.browse_times.clicked.connect(self.browse_times_requested)
        self.use_mask = QCheckBox("Mask")
        self.use_mask.setToolTip("Only voxels inside count in the fit and in the scores. Without one it is estimated.")
        self.use_mask.clicked.connect(self._on_use_mask)
        self.mask_name = QLabel()
        self.mask_name.setProperty("muted", True)
        self.mask_name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.browse_mask = QPushButton("Choose…")
        self.browse_mask.clicked.connect(self.browse_mask_requested)
        self._lay_out()
        self.set_rows([], "index")
        self.set_mask(None)

    def set_rows(self, rows: list[ScanRow], unit: str, summary: str = "") -> None:
        """Show `rows`; `summary` is one line on size and spacing."""
        self._rows = rows
        self.summary.setText(summary if rows else "Drop scans on the window, or open them from the File menu.")
        self.unit.setCurrentText(unit)
        self._fill()
        self.setEnabled(bool(rows))

    def set_hint(self, text: str) -> None:
        """A line under the table; empty for none."""
        self.hint.setText(text)
        self.hint.setVisible(bool(text))

    def set_mask(self, path: Path | None) -> None:
        """Show the mask in use."""
        self._mask = path or self._mask
        self.use_mask.setChecked(path is not None)
        self.mask_name.setText("estimated" if path is None else path.name)
        self.mask_name.setToolTip("" if path is None else str(path))

    def set_locked(self, locked: bool) -> None:
        """While a fit runs nothing that it depends on may change."""
        for widget in (self.unit, self.browse_times, self.use_mask, self.browse_mask):
            widget.setEnabled(not locked)
        if locked != self._locked:
            self._locked = locked
            self._fill()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:  # the colours of its words are those of the former look
            self._fill()

    def _fill(self) -> None:
        self._loading = True
        self.table.setRowCount(len(self._rows))
        for position, row in enumerate(self._rows):
            for column, item in enumerate(_items(position, row)):
                if self._locked:
                    item.setFlags(item.flags() & ~_CHANGES)
                self.table.setItem(position, column, item)
        self._loading = False

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_HEADERS))
        table.setAccessibleName("Scans")
        table.setTabKeyNavigation(False)  # Tab goes on, the arrows go through the cells
        table.setHorizontalHeaderLabels(list(_HEADERS))
        for column, tip in enumerate(_TIPS):
            if (item := table.horizontalHeaderItem(column)) is not None:
                item.setToolTip(tip)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(24)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setWordWrap(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(SOURCE, QHeaderView.ResizeMode.Stretch)
        header.setMaximumSectionSize(170)
        header.setMinimumSectionSize(28)
        table.setItemDelegateForColumn(SOURCE, _ElideRight(table))
        table.itemChanged.connect(self._on_item_changed)
        table.cellClicked.connect(self._on_cell_clicked)
        return table

    def _lay_out(self) -> None:
        units = QHBoxLayout()
        units.addWidget(QLabel("Time unit"))
        units.addWidget(self.unit)
        units.addStretch(1)
        units.addWidget(self.browse_times)
        mask = QHBoxLayout()
        mask.addWidget(self.use_mask)
        mask.addWidget(self.mask_name, 1)
        mask.addWidget(self.browse_mask)
        self.setMinimumWidth(300)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.summary)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.hint)
        layout.addLayout(units)
        layout.addLayout(mask)

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        if self._loading:
            return
        if item.column() == TIME:
            self._request_times()
        elif item.column() == HOLD_OUT:
            self.hold_out_requested.emit(self._checked(HOLD_OUT, Qt.CheckState.Checked))
        elif item.column() == INCLUDE:
            self.exclude_requested.emit(self._checked(INCLUDE, Qt.CheckState.Unchecked))

    def _on_cell_clicked(self, row: int, column: int) -> None:
        if column in (NUMBER, NAME, SOURCE):
            self.scan_requested.emit(row)

    def _on_unit(self) -> None:
        if not self._loading and self._rows:
            self._request_times()

    def _on_use_mask(self, wanted: bool) -> None:
        if wanted and self._mask is None:
            self.use_mask.setChecked(False)
            self.browse_mask_requested.emit()
        else:
            self.mask_requested.emit(self._mask if wanted else None)

    def _request_times(self) -> None:
        texts = [_text(self.table, row, TIME) for row in range(self.table.rowCount())]
        self.times_requested.emit(texts, self.unit.currentText().strip())

    def _checked(self, column: int, state: Qt.CheckState) -> frozenset[int]:
        """Rows in that state; the reference in row 0 has no boxes."""
        items = ((row, self.table.item(row, column)) for row in range(1, self.table.rowCount()))
        return frozenset(row for row, item in items if item is not None and item.checkState() == state)


def _text(table: QTableWidget, row: int, column: int) -> str:
    item = table.item(row, column)
    return "" if item is None else item.text().strip()


def _items(position: int, row: ScanRow) -> list[QTableWidgetItem]:
    texts = (str(position), row.name, f"{row.time:g}", "", "", row.source)
    items = [QTableWidgetItem(text) for text in texts]
    selectable = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
    for column, item in enumerate(items):
        item.setFlags(selectable | Qt.ItemFlag.ItemIsEditable if column == TIME else selectable)
        item.setToolTip(row.tip or row.name)
    items[TIME].setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    items[SOURCE].setForeground(QColor(theme.MUTED))
    items[SOURCE].setToolTip(row.source)
    if position == 0:  # the reference: every map starts from it, so it can be neither left out nor held out
        items[NAME].setToolTip(f"{row.tip or row.name}\nThe reference: the fit carries this scan through time.")
        items[INCLUDE].setText("ref")
        items[INCLUDE].setToolTip("The reference is always used")
        return items
    checkable = selectable | Qt.ItemFlag.ItemIsUserCheckable
    items[INCLUDE].setFlags(checkable)
    items[INCLUDE].setCheckState(_state(row.role != "excluded"))
    items[HOLD_OUT].setFlags(checkable)
    items[HOLD_OUT].setCheckState(_state(row.role == "held out"))
    if row.role == "excluded":
        for column in (NUMBER, NAME, TIME):
            items[column].setForeground(QColor("#5d6370"))
        items[HOLD_OUT].setFlags(Qt.ItemFlag.ItemIsSelectable)
    return items


def _state(on: bool) -> Qt.CheckState:
    return Qt.CheckState.Checked if on else Qt.CheckState.Unchecked
