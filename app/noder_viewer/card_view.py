"""The card above Start: what will happen, what speaks against it, and a button for what can be done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFormLayout, QFrame, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from noder.card import Card, Concern


class CardView(QFrame):
    """Shows a card; emits `remedy_requested(name)` for its buttons, names as in `noder.card.REMEDIES`."""

    remedy_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.head = QToolButton()
        self.head.setCheckable(True)
        self.head.setAutoRaise(True)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.head.setToolTip("What the fit will do, before it starts")
        self.head.setText("Before the fit")
        self.head.toggled.connect(self._on_head)
        self._facts = QWidget()
        self._rows = QFormLayout(self._facts)
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(2)
        self._concerns = QVBoxLayout()
        self._concerns.setSpacing(4)
        self.buttons: dict[str, QPushButton] = {}
        self._card: Card | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 6)
        column.setSpacing(4)
        column.addWidget(self.head)
        column.addWidget(self._facts)
        column.addLayout(self._concerns)
        self.head.setChecked(True)
        self.set_card(None)

    def set_card(self, card: Card | None) -> None:
        """Show a card; None hides it."""
        self.setVisible(card is not None)
        if card is None or card == self._card:
            return
        self._card = card
        warnings = sum(concern.is_warning for concern in card.concerns)
        words = "" if not warnings else f"  —  {warnings} warning{'s' if warnings > 1 else ''}"
        self.head.setText(f"Before the fit{words}")
        self._fill_facts(card)
        self._fill_concerns(card)

    def set_open(self, is_open: bool) -> None:
        """Show the facts, or the concerns alone."""
        self.head.setChecked(is_open)

    def set_locked(self, locked: bool) -> None:
        """While scans are read or a fit runs the set-up stays as it is."""
        for button in self.buttons.values():
            button.setEnabled(not locked)

    def _fill_facts(self, card: Card) -> None:
        while self._rows.rowCount():
            self._rows.removeRow(0)
        for title, words in card.facts:
            self._rows.addRow(_label(title, "muted"), _label(words, ""))

    def _fill_concerns(self, card: Card) -> None:
        _empty(self._concerns)
        self.buttons = {}
        for concern in card.concerns:
            self._concerns.addWidget(self._concern(concern))

    def _concern(self, concern: Concern) -> QWidget:
        from noder.card import remedy_words

        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(_label(concern.sentence, "warning" if concern.is_warning else "muted"))
        for name in concern.remedies:
            button = self.buttons.get(name)
            if button is None:
                button = self.buttons[name] = QPushButton(remedy_words(name))
                button.setProperty("remedy", name)
                button.setAccessibleDescription(concern.sentence)
                button.clicked.connect(self._on_remedy)
                column.addWidget(button, 0, Qt.AlignmentFlag.AlignLeft)
        return box

    def _on_head(self, is_open: bool) -> None:
        self._facts.setVisible(is_open)
        self.head.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)

    def _on_remedy(self) -> None:
        button = self.sender()
        if isinstance(button, QPushButton):
            self.remedy_requested.emit(str(button.property("remedy")))


def _label(text: str, tone: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    if tone:
        label.setProperty(tone, True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    return label


def _empty(layout: QVBoxLayout) -> None:
    while (item := layout.takeAt(0)) is not None:
        widget = item.widget()
        if widget is not None:
            widget.setParent(None)
            widget.deleteLater()
