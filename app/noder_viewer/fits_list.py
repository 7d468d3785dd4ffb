"""The list of fits: what runs, what waits, what there is; a line is shown, renamed, moved, saved, removed."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, Signal
from PySide6.QtGui import QAction, QColor, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer import theme
from noder_viewer.number_item import NumberItem, text_item

NAME, STATUS, SCORE = range(3)
_HEADERS = (("Fit", "Double-click to rename"), ("State", ""), ("NRMSE", "Mean in the mask, over the held-out scans"))
_UNBOUNDED = 16_777_215
"""Qt's own word for a height without a limit."""
_EMPTY = "Fits are listed here. Start while one runs adds another that waits its turn."


@dataclass(frozen=True)
class FitLine:
    """What one line shows; `can`: names of what may be done with it, of "show", "move", "save", "cancel"."""

    key: int
    name: str
    status: str
    score: float | None = None
    tip: str = ""
    is_shown: bool = False
    is_bad: bool = False
    can: frozenset[str] = frozenset()


class FitsList(QWidget):
    """Shows lines and emits what the user wants of them; it changes nothing by itself."""

    show_requested = Signal(int)
    rename_requested = Signal(int, str)
    remove_requested = Signal(int)
    move_requested = Signal(int, int)
    save_requested = Signal(int)
    cancel_requested = Signal(int)
    again_requested = Signal(int)
    variant_requested = Signal()
    compare_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._lines: tuple[FitLine, ...] = ()
        self._pending: tuple[FitLine, ...] | None = None
        self._loading = False
        self.table = self._make_table()
        self.empty = QLabel(_EMPTY)
        self.empty.setWordWrap(True)
        self.empty.setProperty("muted", True)
        self.variant = _button("New fit with…", "The same with another smoothness weight, beside it", self)
        self.compare = _button("Compare…", "Fit the linear baselines as well, and see all side by side", self)
        self.earlier = _tool("▲", "Earlier in the queue (Alt+Up)", self)
        self.later = _tool("▼", "Later in the queue (Alt+Down)", self)
        self.remove = _tool("✕", "Cancel or remove the fit (Delete)", self)
        self.variant.clicked.connect(self.variant_requested)
        self.compare.clicked.connect(self.compare_requested)
        self.earlier.clicked.connect(self._on_earlier)
        self.later.clicked.connect(self._on_later)
        self.remove.clicked.connect(self._on_remove)
        self.table.installEventFilter(self)  # the table would keep the arrows for itself
        self._lay_out()
        self._refresh()

    @property
    def selected(self) -> FitLine | None:
        """The line under the cursor."""
        row = self.table.currentRow()
        return self._lines[row] if 0 <= row < len(self._lines) else None

    def set_lines(self, lines: tuple[FitLine, ...]) -> None:
        """Show the list, once no name is being edited; the line under the cursor stays under it."""
        self._pending = lines if self.table.state() == QAbstractItemView.State.EditingState else None
        if lines == self._lines or self._pending is not None:
            return
        before, old, self._loading = self.selected, self._lines, True
        self._lines = lines
        self._fill(old if len(old) == len(lines) else ())
        key = before.key if before is not None else next((line.key for line in lines if line.is_shown), 0)
        row = next((k for k, line in enumerate(lines) if line.key == key), -1)
        if row != self.table.currentRow():
            self.table.setCurrentCell(row, NAME)
        self._loading = False
        self._refresh()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:  # the colours of its words are those of the former look
            self._loading = True
            self._fill(())
            self._loading = False

    def set_available(self, *, fits: bool) -> None:
        """`fits`: there is a series that could be fitted again."""
        self.variant.setEnabled(fits)
        self.compare.setEnabled(fits)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return super().eventFilter(watched, event)
        alt = Qt.KeyboardModifier.AltModifier
        keys = {
            (Qt.Key.Key_Delete, False): self._on_remove,
            (Qt.Key.Key_Up, True): self._on_earlier,
            (Qt.Key.Key_Down, True): self._on_later,
        }
        slot = keys.get((Qt.Key(event.key()), bool(event.modifiers() & alt)))
        if slot is None:
            return super().eventFilter(watched, event)
        slot()
        return True

    def _fill(self, old: tuple[FitLine, ...]) -> None:
        """Only the lines that differ: a running one changes twenty times a second."""
        self.table.setRowCount(len(self._lines))
        for row, line in enumerate(self._lines):
            if not old or old[row] != line:
                for column, item in enumerate(_items(line)):
                    self.table.setItem(row, column, item)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, len(_HEADERS), self)
        table.setAccessibleName("Fits")
        table.setMinimumHeight(76)
        table.setHorizontalHeaderLabels([words for words, _ in _HEADERS])
        for column, (_, tip) in enumerate(_HEADERS):
            if (item := table.horizontalHeaderItem(column)) is not None:
                item.setToolTip(tip)
        table.verticalHeader().hide()
        table.verticalHeader().setDefaultSectionSize(22)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        table.customContextMenuRequested.connect(self._open_menu)
        header = table.horizontalHeader()
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(STATUS, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(SCORE, QHeaderView.ResizeMode.ResizeToContents)
        header.setMaximumSectionSize(150)
        table.currentCellChanged.connect(self._on_current)
        table.cellClicked.connect(self._on_clicked)
        table.itemChanged.connect(self._on_item_changed)
        table.itemDelegate().closeEditor.connect(self._on_edited, Qt.ConnectionType.QueuedConnection)
        return table

    def _lay_out(self) -> None:
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.variant)
        row.addWidget(self.compare)
        row.addStretch(1)
        for tool in (self.earlier, self.later, self.remove):
            row.addWidget(tool)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.empty)
        column.addWidget(self.table, 1)
        column.addLayout(row)

    def _refresh(self) -> None:
        line = self.selected
        can = frozenset() if line is None else line.can
        self.empty.setVisible(not self._lines)
        self.table.setVisible(bool(self._lines))
        self.setMaximumHeight(_UNBOUNDED if self._lines else self.minimumSizeHint().height() + 12)
        self.earlier.setEnabled("move" in can)
        self.later.setEnabled("move" in can)
        self.remove.setEnabled(line is not None)

    def _on_current(self, row: int, *_: int) -> None:
        if not self._loading and 0 <= row < len(self._lines):
            self._refresh()
            self.show_requested.emit(self._lines[row].key)

    def _on_clicked(self, row: int, _column: int) -> None:
        """A click on the line under the cursor: another may have been shown since by itself."""
        if 0 <= row < len(self._lines):
            self.show_requested.emit(self._lines[row].key)

    def _on_item_changed(self, item: QTableWidgetItem) -> None:
        if not self._loading and item.column() == NAME:
            self.rename_requested.emit(self._lines[item.row()].key, item.text().strip())

    def _on_edited(self) -> None:
        if self._pending is not None:
            self.set_lines(self._pending)

    def _on_earlier(self) -> None:
        if (line := self.selected) is not None and "move" in line.can:
            self.move_requested.emit(line.key, -1)

    def _on_later(self) -> None:
        if (line := self.selected) is not None and "move" in line.can:
            self.move_requested.emit(line.key, 1)

    def _on_remove(self) -> None:
        if (line := self.selected) is not None:
            (self.cancel_requested if "cancel" in line.can else self.remove_requested).emit(line.key)

    def _on_menu(self) -> None:
        action, line = self.sender(), self.selected
        if not isinstance(action, QAction) or line is None:
            return
        if action.data() == "rename":
            self.table.edit(self.table.model().index(self.table.currentRow(), NAME))
        elif action.data() == "save":
            self.save_requested.emit(line.key)
        elif action.data() == "again":
            self.again_requested.emit(line.key)
        else:
            self._on_remove()

    def menu(self) -> QMenu | None:
        """What may be done with the line under the cursor."""
        line = self.selected
        if line is None:
            return None
        menu = QMenu(self)
        last = ("cancel", "Cancel") if "cancel" in line.can else ("remove", "Remove")
        for name, words in (("rename", "Rename"), ("save", "Save…"), ("again", "Queue again"), last):
            action = menu.addAction(words)
            action.setData(name)
            action.setEnabled(name in line.can or name in ("rename", "remove"))
            action.triggered.connect(self._on_menu)
        return menu

    def _open_menu(self, place: QPoint) -> None:
        if (menu := self.menu()) is not None:
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.table.viewport().mapToGlobal(place))


def _button(text: str, tip: str, parent: QWidget) -> QPushButton:
    button = QPushButton(text, parent)
    button.setToolTip(tip)
    return button


def _tool(text: str, tip: str, parent: QWidget) -> QToolButton:
    button = QToolButton(parent)
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    return button


def _items(line: FitLine) -> list[QTableWidgetItem]:
    name, status = QTableWidgetItem(line.name), text_item(line.status, line.tip)
    name.setToolTip(line.tip)
    if line.is_shown:
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        name.setForeground(QColor(theme.ACCENT))
    status.setForeground(QColor(theme.ERROR if line.is_bad else theme.MUTED))
    return [name, status, NumberItem(float("nan") if line.score is None else line.score, 4)]
