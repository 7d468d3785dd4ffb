"""Asks for the smoothness weight of a new fit beside another."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.fit_rows import Asked
from noder_viewer.variants import variant_name, weight_of, with_weight

_FACTORS = (("÷ 4", 0.25), ("÷ 2", 0.5), ("× 2", 2.0), ("× 4", 4.0))


class VariantDialog(QDialog):
    """Emits `queue_requested(Asked, name)` for a fit like the pattern with the weight that was chosen."""

    queue_requested = Signal(object, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("New fit with another weight")
        self._pattern: Asked | None = None
        self._name = ""
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.words.setProperty("muted", True)
        self.weight = QDoubleSpinBox()
        self.weight.setDecimals(4)
        self.weight.setRange(0.0, 10.0)
        self.weight.setSingleStep(0.1)
        self.weight.setAccessibleName("Smoothness weight")
        self.weight.valueChanged.connect(self._on_weight)
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the new fit")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.queue = self.buttons.addButton("Queue", QDialogButtonBox.ButtonRole.AcceptRole)
        self.queue.setProperty("primary", True)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        self._lay_out()

    def set_pattern(self, asked: Asked, name: str) -> None:
        """The fit that the new one is like."""
        self._pattern, self._name = asked, name
        weight = weight_of(asked)
        self.words.setText(f"A fit like “{name}” (weight {weight:g}), which stays as it is.")
        self.weight.setValue(2 * weight if weight else 0.1)
        self._on_weight()
        self.weight.selectAll()
        self.weight.setFocus()

    def _lay_out(self) -> None:
        factors = QHBoxLayout()
        factors.setSpacing(4)
        for words, factor in _FACTORS:
            button = QPushButton(words)
            button.setAutoDefault(False)
            button.setAccessibleName(f"The present weight {words}")
            button.setProperty("factor", factor)
            button.clicked.connect(self._on_factor)
            factors.addWidget(button)
        rows = QFormLayout()
        rows.addRow(self.words)
        rows.addRow("Smoothness weight", self.weight)
        rows.addRow("", factors)
        rows.addRow("Name", self.name)
        column = QVBoxLayout(self)
        column.addLayout(rows)
        column.addWidget(self.buttons, 0, Qt.AlignmentFlag.AlignBottom)
        self.setMinimumWidth(420)

    def _on_factor(self) -> None:
        button = self.sender()
        if self._pattern is not None and isinstance(button, QPushButton):
            self.weight.setValue(float(button.property("factor")) * weight_of(self._pattern))

    def _on_weight(self) -> None:
        self.name.setText(variant_name(self._name, self.weight.value()))
        same = self._pattern is not None and self.weight.value() == weight_of(self._pattern)
        self.queue.setEnabled(not same)
        self.queue.setToolTip("That is the weight of the fit there is" if same else "")

    def _on_accepted(self) -> None:
        if self._pattern is not None:
            self.queue_requested.emit(with_weight(self._pattern, self.weight.value()), self.name.text().strip())
        self.accept()
