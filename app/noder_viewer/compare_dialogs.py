"""Two small questions: which methods to fit beside the shown one, and how to leave each scan out in turn."""

from __future__ import annotations

import os
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.fit_rows import LeaveOneOut


@dataclass(frozen=True)
class MethodLine:
    """A method that can be fitted; `is_there`: the list has such a fit. `on`: wanted unless the user says otherwise."""

    method: str
    name: str
    is_there: bool
    on: bool


class BaselinesDialog(QDialog):
    """Emits `queue_requested(list of methods)`: those that are checked and not there yet."""

    queue_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Compare methods")
        self.words = _muted("")
        self.boxes: dict[str, QCheckBox] = {}
        self._rows = QVBoxLayout()
        self.buttons, self.queue = _buttons(self, "Compare")
        self.buttons.accepted.connect(self._on_accepted)
        column = QVBoxLayout(self)
        column.addWidget(self.words)
        column.addLayout(self._rows)
        column.addWidget(self.buttons)
        self.setMinimumWidth(420)

    def set_methods(self, name: str, lines: list[MethodLine]) -> None:
        """`name`: the fit whose scans and settings the others take over."""
        self.words.setText(
            f"Fits with the held-out scans, mask and settings of “{name}” are queued, and shown side by side."
        )
        for box in self.boxes.values():
            box.setParent(None)
            box.deleteLater()
        self.boxes = {}
        for line in lines:
            box = QCheckBox(f"{line.name}{' (there already)' if line.is_there else ''}")
            box.setChecked(line.is_there or line.on)
            box.setEnabled(not line.is_there)
            self._rows.addWidget(box)
            self.boxes[line.method] = box

    def _on_accepted(self) -> None:
        wanted = [method for method, box in self.boxes.items() if box.isEnabled() and box.isChecked()]
        self.queue_requested.emit(wanted)
        self.accept()


class LeaveOneOutDialog(QDialog):
    """Emits `queue_requested(LeaveOneOut)`; `changed` whenever what it will take is to be told anew."""

    queue_requested = Signal(object)
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Leave one out")
        self.words, self.estimate = _muted(""), _muted("")
        self.baselines = QCheckBox("The linear baselines too (three fits a scan)")
        self.baselines.setChecked(True)
        self.baselines.toggled.connect(self.changed)
        self.workers = QSpinBox()
        self.workers.setRange(1, max(1, min(64, os.cpu_count() or 1)))
        self.workers.setAccessibleName("Processes")
        self.workers.setToolTip("More share the fits; each needs the memory of a fit, and they cannot be paused")
        self.workers.valueChanged.connect(self.changed)
        self.buttons, self.queue = _buttons(self, "Queue")
        self.buttons.accepted.connect(self._on_accepted)
        rows = QFormLayout()
        rows.addRow(self.words)
        rows.addRow(self.baselines)
        rows.addRow("Processes", self.workers)
        rows.addRow(self.estimate)
        column = QVBoxLayout(self)
        column.addLayout(rows)
        column.addWidget(self.buttons)
        self.setMinimumWidth(440)

    def set_pattern(self, name: str, n_scans: int) -> None:
        """`name`: the fit whose settings are used; `n_scans` can be left out."""
        self.words.setText(
            f"Each of {n_scans} scans is predicted by fits that never saw it, with the settings of “{name}”, beside "
            "the linear blend, the nearest scan and the first one. Boxes of held-out scans do not count here."
        )
        self.queue.setEnabled(n_scans > 1)
        self.estimate.setText("")

    def set_estimate(self, words: str) -> None:
        """What it will take."""
        self.estimate.setText(words)

    def how(self) -> LeaveOneOut:
        """What is chosen."""
        return LeaveOneOut(self.baselines.isChecked(), self.workers.value())

    def _on_accepted(self) -> None:
        self.queue_requested.emit(self.how())
        self.accept()


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("muted", True)
    return label


def _buttons(dialog: QDialog, words: str) -> tuple[QDialogButtonBox, QPushButton]:
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
    accept = buttons.addButton(words, QDialogButtonBox.ButtonRole.AcceptRole)
    accept.setProperty("primary", True)
    buttons.rejected.connect(dialog.reject)
    return buttons, accept
