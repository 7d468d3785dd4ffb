"""The Paths tab: the points that are followed, where they are now, and their curves over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QGridLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.coordinates import sided
from noder_viewer.followed import Followed, Paths
from noder_viewer.number_item import text_item
from noder_viewer.path_curves import Curve, PathCurves

if TYPE_CHECKING:
    from noder.pathlines import Pathline

NUMBER, PLACE, MOVED, SPEED = range(4)
_HEADERS = ("#", "now at (mm)", "moved", "speed")
_TIPS = (
    "Number and colour of the point in every view",
    "Where its tissue is at the time that is shown, RAS mm",
    "mm from where it is in the first scan",
    "mm per unit of time, along its own path",
)
HINT = "Shift+click on a slice, or F at the crosshair, follows the tissue there through time."
WAITING = "…"
ROWS_SHOWN = 5
_REMOVING = (Qt.Key.Key_Delete, Qt.Key.Key_Backspace)
REDRAWN_MS = 30
"""Numbers and lines of the time follow it at most so often: the slices come first."""


class PathPanel(QWidget):
    """Shows followed points; says what the user asks for."""

    follow_requested = Signal()
    remove_requested = Signal(int)
    clear_requested = Signal()
    export_requested = Signal()
    point_requested = Signal(int)
    time_requested = Signal(float)
    step_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._points: tuple[Followed, ...] = ()
        self._paths: Paths | None = None
        self._scans: tuple[float, ...] = ()
        self._unit = "index"
        self._time = 0.0
        self._wanted: int | None = None
        self.hint = QLabel(HINT, self, wordWrap=True)
        self.hint.setProperty("muted", True)
        self.table = self._make_table()
        self.curves = PathCurves(self)
        self.curves.time_requested.connect(self.time_requested)
        self.curves.step_requested.connect(self.step_requested)
        self.follow = self._button("Follow the crosshair", "Follow the tissue at the crosshair (F)")
        self.remove = self._button("Remove", "Follow the selected point no longer (Delete)")
        self.clear = self._button("Clear all", "Follow no point")
        self.export = self._button("Export…", "Write the paths as CSV: times, places, displacements, speeds")
        self.follow.clicked.connect(lambda: self.follow_requested.emit())
        self.remove.clicked.connect(self._remove_selected)
        self.clear.clicked.connect(lambda: self.clear_requested.emit())
        self.export.clicked.connect(lambda: self.export_requested.emit())
        self._later = QTimer(self, interval=REDRAWN_MS, singleShot=True)
        self._later.timeout.connect(self._show_now)
        self._lay_out()
        self.set_points((), None, (), "index", has_map=False)

    @property
    def selected(self) -> int | None:
        """The number of the point whose components are drawn."""
        row = self.table.currentRow()
        return self._points[row].number if 0 <= row < len(self._points) else None

    def select(self, number: int) -> None:
        """Select a point; also one that has just been asked for."""
        self._wanted = number
        if any(point.number == number for point in self._points):
            self._select_wanted()

    def set_points(
        self,
        points: tuple[Followed, ...],
        paths: Paths | None,
        scans: tuple[float, ...],
        unit: str,
        *,
        has_map: bool,
    ) -> None:
        """The points, their paths as far as they are known, the scans' times and the series' unit of time."""
        changed = points != self._points
        self._points, self._paths, self._scans, self._unit = points, paths, scans, unit
        if changed:
            self._fill()
        self.follow.setEnabled(has_map)
        self.export.setEnabled(paths is not None)
        self.clear.setEnabled(bool(points))
        self.remove.setEnabled(self.selected is not None)
        self._draw_curves()
        self._show_now()

    def set_time(self, t: float) -> None:
        """The time that the slices show."""
        self._time = t
        if not self._later.isActive():
            self._later.start()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Delete on the table, which would take the key for a search."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.key() in _REMOVING:
            self._remove_selected()
            return True
        return super().eventFilter(watched, event)

    # --- inside

    def _fill(self) -> None:
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(self._points))
            for row, point in enumerate(self._points):
                for column in range(len(_HEADERS)):
                    self.table.setItem(row, column, text_item(str(point.number) if column == NUMBER else WAITING))
                if (item := self.table.item(row, NUMBER)) is not None:
                    item.setForeground(QColor(point.colour))
        self._select_wanted()

    def _select_wanted(self) -> None:
        """The row of the point that was chosen last, or the last row once that point has gone."""
        numbers = [point.number for point in self._points]
        if self._wanted in numbers:
            self.table.selectRow(numbers.index(self._wanted))
        elif numbers:
            self.table.selectRow(len(numbers) - 1)

    def _show_now(self) -> None:
        """Places, displacements and speeds at the time, and the line in the curves."""
        self._later.stop()
        self.curves.set_time(self._time)
        for row, point in enumerate(self._points):
            line = None if self._paths is None else self._paths.line(point.number)
            for column, text in enumerate(_now(line, self._time), start=PLACE):
                if (item := self.table.item(row, column)) is not None and item.text() != text:
                    item.setText(text)
                    item.setToolTip(text)

    def _draw_curves(self) -> None:
        lines = () if self._paths is None else zip(self._paths.points, self._paths.lines, strict=True)
        curves = [Curve(point.number, point.colour, line) for point, line in lines if point in self._points]
        self.curves.set_curves(curves, self.selected, self._scans, self._unit)
        self.curves.setVisible(bool(self._points))

    def _on_selected(self) -> None:
        self._wanted = self.selected
        self.remove.setEnabled(self.selected is not None)
        self._draw_curves()

    def _on_row(self, row: int, _column: int) -> None:
        if 0 <= row < len(self._points):
            self.point_requested.emit(self._points[row].number)

    def _remove_selected(self) -> None:
        if self.selected is not None:
            self.remove_requested.emit(self.selected)

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setToolTip(tip)
        button.setAccessibleName(text.rstrip("…"))
        return button

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_HEADERS), self)
        table.setHorizontalHeaderLabels(list(_HEADERS))
        for column, tip in enumerate(_TIPS):
            if (item := table.horizontalHeaderItem(column)) is not None:
                item.setToolTip(tip)
        table.setAccessibleName("Followed points")
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + 8)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(28)
        table.setFixedHeight(header.sizeHint().height() + ROWS_SHOWN * table.verticalHeader().defaultSectionSize() + 6)
        table.installEventFilter(self)
        table.itemSelectionChanged.connect(self._on_selected)
        table.cellDoubleClicked.connect(self._on_row)
        table.cellActivated.connect(self._on_row)
        table.setToolTip("A double click puts the crosshair on where the point is now")
        return table

    def _lay_out(self) -> None:
        buttons = QGridLayout()
        for column, button in enumerate((self.remove, self.clear, self.export)):
            buttons.addWidget(button, 0, column)
        layout = QVBoxLayout(self)
        layout.addWidget(self.hint)
        layout.addWidget(self.follow)
        layout.addWidget(self.table)
        layout.addLayout(buttons)
        layout.addWidget(self.curves, 1)
        layout.addStretch(0)


def _now(line: Pathline | None, t: float) -> tuple[str, str, str]:
    """Place, displacement and speed at a time, in words."""
    if line is None:
        return WAITING, WAITING, WAITING
    place = line.at(t)
    r, a, s = place.tolist()
    moved = float(((place - line.origin) ** 2).sum() ** 0.5)
    return sided((r, a, s)).replace("  ", " "), f"{moved:.2f}", f"{line.speed_at(t):.3g}"
