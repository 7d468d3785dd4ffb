"""What leave-one-out has found: the verdict, a plot over time and a table, which can be written as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSplitter,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from noder.errors import NoderError
from noder_viewer.exporting import unused
from noder_viewer.fit_rows import METHODS
from noder_viewer.left_out_plot import LeftOutPlot
from noder_viewer.number_item import NumberItem, text_item
from noder_viewer.restyle import set_property
from noder_viewer.session import SCORES
from noder_viewer.settings import Settings

if TYPE_CHECKING:
    from noder.leave_one_out import LeftOut

_MEANING = (
    "Each scan is predicted by fits that never saw it. A method's own column: the scans before and after, carried "
    "along its map and blended; “first”: the first scan carried. Blend, nearest and unchanged need no fit."
)
_MOST_ROWS = 8
"""That the table shows without being scrolled, at least."""


class LeftOutDialog(QDialog):
    """Shows one leave-one-out; emits `written(key, path)` once its table has been written."""

    written = Signal(int, object)

    def __init__(self, settings: Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowFlag(Qt.WindowType.WindowMaximizeButtonHint, True)
        self._settings, self._key, self._unit = settings, 0, ""
        self._found: LeftOut | None = None
        self.verdict, self.meaning = QLabel(), QLabel(_MEANING)
        self.verdict.setWordWrap(True)
        self.verdict.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.meaning.setWordWrap(True)
        self.meaning.setProperty("muted", True)
        self.score = QComboBox()
        self.score.setAccessibleName("Score")
        for name, words in SCORES.items():
            self.score.addItem(words, name)
        self.score.activated.connect(self._refresh)
        self.plot = LeftOutPlot()
        self.table = _table()
        self.write = QPushButton("Write CSV…")
        self.write.clicked.connect(self._on_write)
        self.close_button = QPushButton("Close")
        self.close_button.clicked.connect(self.close)
        self.message = QLabel()
        self._lay_out()
        self.resize(980, 680)

    def set_found(self, key: int, name: str, found: LeftOut, unit: str) -> None:
        """Show what was found, of the row with that key."""
        self._key, self._found, self._unit = key, found, unit
        self.setWindowTitle(name)
        stopped = ["Stopped early: these scans have been left out by all methods."] if found.stopped else []
        self.verdict.setText("\n".join([*stopped, *found.notes]) or "No scan was left out by all refits.")
        self.write.setEnabled(bool(found.rows))
        self.message.clear()
        self._refresh()

    def write_csv(self, path: Path) -> None:
        """Write the whole table."""
        from noder.atomic import write_text
        from noder.tables import left_out_csv

        if self._found is None:
            return
        try:
            write_text(path, left_out_csv(self._found, self._unit))
        except NoderError as error:
            self._say(str(error), "error")
            return
        self._settings.set_folder("export", path.parent)
        self._say(f"Written to {path}", "muted")
        self.written.emit(self._key, path)

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(QLabel("Score in the mask"))
        top.addWidget(self.score)
        top.addStretch(1)
        bottom = QHBoxLayout()
        bottom.addWidget(self.message, 1)
        bottom.addWidget(self.write)
        bottom.addWidget(self.close_button)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.plot)
        split.addWidget(self.table)
        split.setStretchFactor(0, 1)
        column = QVBoxLayout(self)
        for widget in (self.verdict, self.meaning):
            column.addWidget(widget)
        column.addLayout(top)
        column.addWidget(split, 1)
        column.addLayout(bottom)

    def _refresh(self) -> None:
        found, score = self._found, str(self.score.currentData())
        names = predictions(found)
        rows = [] if found is None else found.rows
        unit = "" if self._unit == "index" else f" ({self._unit})"
        scores = {words(name): [row[name].get(score, float("nan")) for row in rows] for name in names}
        times, beyond = [row["time"] for row in rows], [bool(row["extrapolated"]) for row in rows]
        self.plot.set_scores(times, beyond, scores, (f"time of the left-out scan{unit}", self.score.currentText()))
        self._fill(found, names, score)

    def _fill(self, found: LeftOut | None, names: list[str], score: str) -> None:
        table, rows = self.table, [] if found is None else found.rows
        means = [] if found is None else [("mean within", found.within), ("mean beyond", found.beyond)]
        means = [(where, scores) for where, scores in means if scores]
        table.setColumnCount(2 + len(names))
        table.setHorizontalHeaderLabels(["Scan", "Time", *map(words, names)])
        table.setRowCount(len(rows) + len(means))
        for k, row in enumerate(rows):
            beyond = ", extrapolated" if row["extrapolated"] else ""
            cells = [row[name].get(score) for name in names]
            self._row(k, f"{row['index']}{beyond}", f"{row['time']:g}", cells, score, row["name"])
        for k, (where, scores) in enumerate(means, start=len(rows)):
            self._row(k, where, "", [scores[name].get(score) for name in names], score, where)
        table.setMinimumHeight(_height(table))

    def _row(self, k: int, scan: str, time: str, cells: list[Any], score: str, tip: str) -> None:
        self.table.setItem(k, 0, text_item(scan, tip))
        self.table.setItem(k, 1, text_item(time))
        values = [float("nan") if cell is None else float(cell) for cell in cells]
        best = _best(values, score)
        for column, value in enumerate(values, start=2):
            item = NumberItem(value, 2 if score.startswith("psnr") else 4)
            if value == best:
                font = QFont(item.font())
                font.setBold(True)
                item.setFont(font)
                item.setToolTip("Best of its line")
            self.table.setItem(k, column, item)

    def _on_write(self) -> None:
        start = str(unused(self._settings.folder("export") / "leave-one-out.csv"))
        name, _ = QFileDialog.getSaveFileName(self, "Write the table", start, "CSV (*.csv)")
        if name:
            path = Path(name)
            self.write_csv(path if path.suffix else path.with_suffix(".csv"))

    def _say(self, text: str, tone: str) -> None:
        self.message.setText(text)
        set_property(self.message, "error", tone == "error")
        set_property(self.message, "muted", tone == "muted")


def predictions(found: LeftOut | None) -> list[str]:
    """The kinds of prediction that were scored, in their order."""
    if found is None or not found.rows:
        return []
    return [name for name, value in found.rows[0].items() if isinstance(value, dict)]


def words(prediction: str) -> str:
    """A kind of prediction as the head of its column."""
    method, _, first = prediction.partition(" ")
    return f"{METHODS.get(method, method.capitalize())}{', first' if first else ''}"


def _best(values: list[float], score: str) -> float:
    known = [value for value in values if value == value]
    if not known:
        return float("nan")
    return min(known) if score.startswith("nrmse") else max(known)


def _height(table: QTableWidget) -> int:
    """Of a table with all of its rows, of many with whole ones, and its lower bar."""
    rows = min(table.rowCount(), _MOST_ROWS) * table.verticalHeader().defaultSectionSize()
    head, bar = table.horizontalHeader().sizeHint().height(), table.horizontalScrollBar().sizeHint().height()
    return head + rows + bar + 2 * table.frameWidth()


def _table() -> QTableWidget:
    table = QTableWidget()
    table.setAccessibleName("Scores of the left-out scans")
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(22)
    table.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
    table.setTabKeyNavigation(False)
    table.setWordWrap(False)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    return table
