"""A form made from a settings dataclass: one line a field, from the field's own metadata."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QSpinBox,
    QWidget,
)

UNBOUNDED = 1_000_000
Spin = TypeVar("Spin", QSpinBox, QDoubleSpinBox)


class SettingsForm(QWidget):
    """Edits a frozen dataclass whose fields carry metadata "label", "unit", "help", "range" or choices.

    Fields of numbers, words and booleans become widgets; others (tuples) are edited as text.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings: Any = None
        self._loading = False
        self.editors: dict[str, QWidget] = {}
        self._form = QFormLayout(self)
        self._form.setContentsMargins(0, 4, 0, 4)
        self._form.setHorizontalSpacing(10)
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)

    def add_row(self, label: str, editor: QWidget) -> None:
        """A line of the caller's own, below those of the dataclass; `label` "" for one without."""
        if label:
            self._form.addRow(label, editor)
        else:
            self._form.addRow(editor)

    def set_settings(self, settings: Any) -> None:
        """Show `settings`, a dataclass instance; the lines are made anew where its class is another."""
        self._loading = True
        if type(settings) is not type(self._settings):
            self._build(settings)
        self._settings = settings
        for field in dataclasses.fields(settings):
            _write(self.editors[field.name], getattr(settings, field.name))
        self._loading = False

    def settings(self) -> Any:
        """The dataclass with what the user has typed. Raises ValueError for a text that does not parse."""
        values = {
            field.name: _read(self.editors[field.name], getattr(self._settings, field.name), field)
            for field in dataclasses.fields(self._settings)
        }
        return dataclasses.replace(self._settings, **values)

    def _build(self, settings: Any) -> None:
        for _ in self.editors:
            self._form.removeRow(0)
        self.editors = {}
        for field in dataclasses.fields(settings):
            editor = _editor(getattr(settings, field.name), field.metadata)
            editor.setToolTip(_tip(field.metadata))
            label = QLabel(str(field.metadata.get("label", field.name.replace("_", " "))))
            label.setToolTip(editor.toolTip())
            editor.setAccessibleName(label.text())
            self._connect(editor)
            self._form.insertRow(len(self.editors), label, editor)
            self.editors[field.name] = editor

    def _connect(self, editor: QWidget) -> None:
        if isinstance(editor, QCheckBox):
            editor.clicked.connect(self._on_changed)
        elif isinstance(editor, QComboBox):
            editor.activated.connect(self._on_changed)
        elif isinstance(editor, QLineEdit):
            editor.textEdited.connect(self._on_changed)
        elif isinstance(editor, QSpinBox | QDoubleSpinBox):
            editor.valueChanged.connect(self._on_changed)

    def _on_changed(self) -> None:
        if not self._loading:
            self.changed.emit()


def _tip(metadata: Any) -> str:
    return str(metadata.get("help", ""))


def _editor(value: Any, metadata: Any) -> QWidget:
    limits = metadata.get("range")
    if isinstance(value, bool):
        return QCheckBox()
    if isinstance(value, str) and limits:
        box = QComboBox()
        box.addItems([str(choice) for choice in limits])
        return box
    if isinstance(value, int):
        return _number(QSpinBox(), limits, metadata)
    if isinstance(value, float):
        spin = _number(QDoubleSpinBox(), None, metadata)
        lo, hi = limits or (-UNBOUNDED, UNBOUNDED)
        spin.setDecimals(_decimals(value, float(lo)))
        spin.setRange(float(lo), float(hi))
        spin.setSingleStep(10 ** -min(_decimals(value, float(lo)), 6) if abs(value) < 1 else max(abs(value) / 10, 0.1))
        return spin
    return QLineEdit()


def _number(spin: Spin, limits: Any, metadata: Any) -> Spin:
    if limits:
        spin.setRange(*limits)
    elif isinstance(spin, QSpinBox):
        spin.setRange(-UNBOUNDED, UNBOUNDED)
    unit = metadata.get("unit", "")
    spin.setSuffix(f" {unit}" if unit else "")
    spin.setKeyboardTracking(False)
    return spin


def _decimals(value: float, lo: float) -> int:
    """Digits that show `value` fully, two at least where it is a plain number."""
    text = f"{value:.8f}".rstrip("0")
    return max(len(text.partition(".")[2]) + (1 if 0 < abs(value) < 1 else 0), 1)


def _write(editor: QWidget, value: Any) -> None:
    if isinstance(editor, QCheckBox):
        editor.setChecked(bool(value))
    elif isinstance(editor, QComboBox):
        if editor.findText(str(value)) < 0:  # a file in the place of a name
            editor.addItem(str(value))
        editor.setCurrentText(str(value))
    elif isinstance(editor, QSpinBox | QDoubleSpinBox):
        editor.setValue(value)
    elif isinstance(editor, QLineEdit):
        editor.setText(", ".join(map(str, value)) if isinstance(value, tuple) else "" if value is None else str(value))


def _read(editor: QWidget, old: Any, field: Any) -> Any:
    if isinstance(editor, QCheckBox):
        return editor.isChecked()
    if isinstance(editor, QComboBox):
        return editor.currentText()
    if isinstance(editor, QSpinBox | QDoubleSpinBox):
        return editor.value()
    text = editor.text().strip() if isinstance(editor, QLineEdit) else ""
    return _parse(text, old, str(field.metadata.get("label", field.name)))


def _parse(text: str, old: Any, label: str) -> Any:
    if old is None or isinstance(old, str):
        return text or old
    kind = type(old[0]) if old else float
    try:
        return tuple(kind(part) for part in text.replace(",", " ").split())
    except ValueError:
        raise ValueError(f"{label}: {text!r} is not a list of numbers. Write for example {old}.") from None
