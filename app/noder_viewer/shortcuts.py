"""The sheet of shortcuts (F1 or ?), made from the same table as the menus: searched, and printed."""

from __future__ import annotations

import html

from PySide6.QtGui import QKeySequence
from PySide6.QtPrintSupport import QPrintDialog, QPrinter
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLineEdit, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.action_search import rows


def sheet_rows(typed: str = "") -> dict[str, list[tuple[str, str]]]:
    """Title of a group -> (keys, what they do), those that all typed words fit."""
    return {
        title: [(" or ".join(map(_native, keys)), meaning) for keys, meaning in lines]
        for title, lines in rows(typed).items()
    }


def sheet_html(typed: str = "") -> str:
    """The sheet as a page of two columns; the reader colours the class `muted`."""
    groups = [_group(title, lines) for title, lines in sheet_rows(typed).items()]
    if not groups:
        return "<p class='muted'>No shortcut has all these words.</p>"
    half = _balanced_split([group.count("<tr>") for group in groups])
    cells = "".join(f"<td width='50%'>{''.join(part)}</td>" for part in (groups[:half], groups[half:]))
    return f"<table width='100%' cellspacing='0' cellpadding='8'><tr>{cells}</tr></table>"


class ShortcutSheet(QDialog):
    """Two columns of keys and gestures; does not block the window."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Shortcuts")
        self.typed, self.page = QLineEdit(), QTextBrowser()
        self.typed.setPlaceholderText("Search keys and what they do")
        self.typed.setAccessibleName("Search the shortcuts")
        self.typed.setClearButtonEnabled(True)
        self.typed.textChanged.connect(self._show)
        self.page.setAccessibleName("Shortcuts")
        self.printing, close = QPushButton("Print…"), QPushButton("Close")
        self.printing.clicked.connect(self._print)
        close.clicked.connect(self.close)
        for button in (self.printing, close):
            button.setAutoDefault(False)  # Enter in the line searches
        buttons = QHBoxLayout()
        buttons.addStretch(1)
        buttons.addWidget(self.printing)
        buttons.addWidget(close)
        outer = QVBoxLayout(self)
        outer.addWidget(self.typed)
        outer.addWidget(self.page, 1)
        outer.addLayout(buttons)
        self._show()
        self.resize(820, 640)

    def print_on(self, printer: QPrinter) -> None:
        """Print what is shown, black on white."""
        document = self.page.document().clone()
        document.setDefaultStyleSheet("")
        document.setHtml(f"<h2>noder-viewer: shortcuts</h2>{sheet_html(self.typed.text())}")
        document.print_(printer)

    def _show(self) -> None:
        self.page.document().setDefaultStyleSheet(f".muted {{ color: {theme.MUTED}; }}")
        self.page.setHtml(sheet_html(self.typed.text()))

    def _print(self) -> None:
        printer = QPrinter()
        dialog = QPrintDialog(printer, self)
        if dialog.exec() == QDialog.DialogCode.Accepted:
            self.print_on(printer)


def _native(keys: str) -> str:
    return QKeySequence(keys).toString(QKeySequence.SequenceFormat.NativeText) or keys


def _group(title: str, lines: list[tuple[str, str]]) -> str:
    body = "".join(
        f"<tr><td width='45%'><b>{html.escape(keys)}</b></td><td>{html.escape(meaning)}</td></tr>"
        for keys, meaning in lines
    )
    return f"<h3>{html.escape(title)}</h3><table width='100%' cellpadding='2'>{body}</table>"


def _balanced_split(lengths: list[int]) -> int:
    total, seen = sum(lengths) + 2 * len(lengths), 0
    for position, length in enumerate(lengths):
        seen += length + 2
        if 2 * seen >= total:
            return position + 1
    return len(lengths)
