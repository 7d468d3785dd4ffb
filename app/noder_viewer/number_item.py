"""A cell of a table that is shown rounded and sorted by its whole value."""

from __future__ import annotations

import math

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QTableWidgetItem

_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable


class NumberItem(QTableWidgetItem):
    """A number; NaN stands for none, and is sorted last."""

    def __init__(self, value: float, digits: int = 2) -> None:
        super().__init__("–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−"))
        self.value = value
        self.setFlags(_FLAGS)
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        if not isinstance(other, NumberItem):
            return bool(super().__lt__(other))
        return (math.isnan(self.value), self.value) < (math.isnan(other.value), other.value)


def text_item(text: str, tip: str = "") -> QTableWidgetItem:
    """A cell that cannot be edited."""
    item = QTableWidgetItem(text)
    item.setFlags(_FLAGS)
    item.setToolTip(tip or text)
    return item
