"""The Register tab: two images in, start and stop, curves, scores and landmarks out."""

from __future__ import annotations

import dataclasses
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QTabWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.compare_bar import CompareBar
from noder_viewer.curves import LossCurves
from noder_viewer.file_rows import captioned
from noder_viewer.fit_panel import DEVICES
from noder_viewer.jobs import FitChoices
from noder_viewer.landmark_table import LandmarkTable
from noder_viewer.pair_jobs import RegisterChoice
from noder_viewer.register_inputs import RegisterInputs
from noder_viewer.score_table import ScoreTable
from noder_viewer.settings_form import SettingsForm

METHOD = "nephi"
CURVES, SCORES, LANDMARKS = range(3)


class _Tabs(QTabWidget):
    """As high as there is room: asked by width, it would want the height of its longest page and scroll the panel."""

    def hasHeightForWidth(self) -> bool:
        return False


class RegisterPanel(QWidget):
    """Emits what the user wants of a pair, `choice_changed` with every change of the form; shows what it is told."""

    choice_changed = Signal()
    start_requested = Signal(object)
    stop_requested = Signal()
    export_requested = Signal()
    back_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: FitChoices | None = None
        self._chosen: RegisterChoice | None = None
        self._busy = self._free = False
        self.inputs = RegisterInputs()
        self.inputs.changed.connect(self._refresh)
        self.inputs.changed.connect(self.choice_changed)
        self._make_search()
        self._make_buttons()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setProperty("muted", True)
        self.compare = CompareBar()
        self.curves, self.scores, self.landmarks = LossCurves(), ScoreTable(), LandmarkTable()
        self.notes = QLabel()
        self.notes.setWordWrap(True)
        self.notes.setProperty("muted", True)
        self.notes.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._lay_out()
        self.set_state(free=True, busy=False)
        self.set_pair(False, False)
        self.set_back("", False)
        self.set_scores(None, "")

    def heightForWidth(self, width: int) -> int:
        """At least what all rows need below each other: the layout forgets the tabs, whose own wish it ignores."""
        layout = self.layout()
        return max(super().heightForWidth(width), -1 if layout is None else layout.minimumHeightForWidth(width))

    def set_choices(self, choices: FitChoices) -> None:
        """Fill in presets and devices, once known."""
        self._choices = choices
        self.preset.clear()
        for name in self._presets():
            self.preset.addItem(name.capitalize(), name)
        self.preset.setCurrentIndex(max(0, self.preset.findData(choices.default_preset)))
        self.device.clear()
        for name, text in DEVICES.items():
            if name != "cuda" or choices.has_gpu:
                self.device.addItem(text, name)
        self._on_preset()
        self._show_chosen()
        self._refresh()

    def set_preset(self, name: str) -> None:
        """Choose a preset by its name."""
        self.preset.setCurrentIndex(max(0, self.preset.findData(name)))
        self._on_preset()

    def set_device(self, name: str) -> None:
        """Choose a device by its name, where this machine has it."""
        self.device.setCurrentIndex(max(0, self.device.findData(name)))

    def set_state(self, *, free: bool, busy: bool, stopping: bool = False) -> None:
        """`free`: nothing else runs. While `busy` with a pair, what it depends on is locked."""
        self._free, self._busy = free, busy
        self.stop.setText("Stopping…" if stopping else "Stop")
        self._refresh(stopping)

    def set_pair(self, shown: bool, registered: bool) -> None:
        """Whether a pair is on screen, and whether it has been registered."""
        self.compare_box.setEnabled(shown)
        self.export.setEnabled(registered)
        self.fsl.setEnabled(registered)

    def set_back(self, text: str, enabled: bool) -> None:
        """The button that leads back to what was open before; "" hides it."""
        self.back.setText(text)
        self.back.setAccessibleName(text or "Back")
        self.back.setVisible(bool(text))
        self.back.setEnabled(enabled)

    def set_progress(self, fraction: float | None, text: str) -> None:
        """`fraction` 0..1, None = unknown (the bar runs); `text` says the stage and the time left."""
        self.bar.setRange(0, 0 if fraction is None else 1000)
        if fraction is not None:
            self.bar.setValue(round(1000 * fraction))
        self.message.setText(text)

    def set_curves(self, steps: list[int], values: dict[str, list[float]]) -> None:
        """Losses by name over the steps so far."""
        self.curves.set_history(steps, values)

    def set_scores(self, scores: dict[str, Any] | None, notes: str) -> None:
        """What `noder.pair_scores.scores` gave, and what is odd about the pair."""
        self.scores.set_scores(scores)
        self.scores.setVisible(scores is not None)
        self.score_hint.setVisible(scores is None)
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))

    def show_tab(self, tab: int) -> None:
        """Bring `CURVES`, `SCORES` or `LANDMARKS` to the front."""
        self.tabs.setCurrentIndex(tab)

    def change_tab(self, old: int, new: int) -> None:
        """Bring a tab to the front in the place of another; one that the user has chosen stays."""
        if self.tabs.currentIndex() == old:
            self.show_tab(new)

    def choice(self) -> RegisterChoice:
        """What stands in the panel. Raises ValueError for a setting that does not parse."""
        return dataclasses.replace(
            self.inputs.choice(),
            preset=self.preset.currentData() or "balanced",
            settings=None if self._choices is None else self.form.settings(),
            seed=self.seed.value(),
            device=self.device.currentData() or "auto",
            max_seconds=self.seconds.value() or None,
        )

    def set_choice(self, choice: RegisterChoice) -> None:
        """Show how a registration was made: all but the device, which is this machine's."""
        self.inputs.set_choice(choice)
        self._chosen = choice
        self._show_chosen()
        self._refresh()

    def conventions(self) -> tuple[str, ...]:
        """Of the fields to write, from `noder.pair_files.CONVENTIONS`."""
        return ("itk", "fsl") if self.fsl.isChecked() else ("itk",)

    def _show_chosen(self) -> None:
        """Once the presets are known."""
        if self._choices is None or self._chosen is None:
            return
        chosen, self._chosen = self._chosen, None
        self.set_preset(chosen.preset)
        self.seed.setValue(chosen.seed)
        self.seconds.setValue(chosen.max_seconds or 0)
        if chosen.settings is not None and chosen.settings != self._presets().get(chosen.preset):
            self.form.set_settings(chosen.settings)
            self._on_settings_changed()

    def request_start(self) -> None:
        """What the Start button does."""
        if not self.start.isEnabled():
            return
        try:
            choice = self.choice()
        except ValueError as error:
            self.message.setText(str(error))
            return
        self.start_requested.emit(choice)

    def _make_search(self) -> None:
        self.preset, self.device = QComboBox(), QComboBox()
        self.preset.setToolTip("A set of settings: faster, or more accurate")
        self.preset.activated.connect(self._on_preset)
        for box in (self.preset, self.device):
            box.activated.connect(self.choice_changed)
        self.more = QToolButton()
        self.more.setText("Settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setAutoRaise(True)
        self.more.toggled.connect(self._on_more)
        self.form = SettingsForm()
        self.form.changed.connect(self._on_settings_changed)
        self.form.changed.connect(self.choice_changed)
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Equal seeds give equal registrations on one machine")
        self.seconds = QDoubleSpinBox()
        self.seconds.setRange(0, 86_400)
        self.seconds.setDecimals(0)
        self.seconds.setSingleStep(30)
        self.seconds.setSuffix(" s")
        self.seconds.setSpecialValueText("none")
        self.seconds.setToolTip("Stop after this time, with the map so far")
        for number in (self.seed, self.seconds):
            number.valueChanged.connect(self.choice_changed)
        self.form.add_row("Seed", self.seed)
        self.form.add_row("Time limit", self.seconds)
        self.form.hide()

    def _make_buttons(self) -> None:
        self.start = QPushButton("Register")
        self.start.setProperty("primary", True)
        self.start.clicked.connect(self.request_start)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop and keep what there is (Shift+F6)")
        self.stop.clicked.connect(self.stop_requested)
        self.export = QPushButton("Export…")
        self.export.setToolTip(
            "The folder that `noder register` writes: the warped image, the field and its inverse (ITK), the initial\n"
            "transform, and result.json with scores, settings and seed. The window opens it again."
        )
        self.fsl = QCheckBox("for FSL too")
        self.fsl.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.fsl.setToolTip("Also write the field and its inverse as FSL's applywarp reads them")
        self.export.clicked.connect(self.export_requested)
        self.back = QPushButton("Back")
        self.back.setToolTip("Nothing is lost: the same button leads here again")
        self.back.clicked.connect(self.back_requested)

    def _lay_out(self) -> None:
        self._rows = QFormLayout()
        self._rows.setVerticalSpacing(4)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow(captioned("Preset", self.preset), self.preset)
        self._rows.addRow(captioned("Device", self.device), self.device)
        self._rows.setRowVisible(self.device, False)
        buttons, after = QHBoxLayout(), QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.stop, 1)
        after.addWidget(self.export)
        after.addWidget(self.fsl)
        after.addWidget(self.back, 1)
        self.compare_box = QGroupBox("Compare")
        inside = QVBoxLayout(self.compare_box)
        inside.setContentsMargins(8, 4, 8, 6)
        inside.addWidget(self.compare)
        self._make_tabs()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.inputs)
        layout.addLayout(self._rows)
        layout.addWidget(self.more)
        layout.addWidget(self.form)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        layout.addLayout(after)
        layout.addWidget(self.compare_box)
        layout.addWidget(self.tabs, 1)

    def _make_tabs(self) -> None:
        self.score_hint = QLabel(
            "After a registration: scores before and after, in the mask. Labels add Dice, landmarks the distance (TRE)."
        )
        self.score_hint.setWordWrap(True)
        self.score_hint.setProperty("muted", True)
        scores = QWidget()
        column = QVBoxLayout(scores)
        column.setContentsMargins(4, 4, 4, 4)
        column.addWidget(self.score_hint)
        column.addWidget(self.scores, 1)
        column.addWidget(self.notes)
        column.addStretch(0)
        self.tabs = _Tabs()
        self.tabs.setDocumentMode(True)
        self.tabs.setMinimumHeight(290)
        self.tabs.setSizePolicy(
            QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored
        )  # else as large as a plot likes
        for widget, title in ((self.curves, "Curves"), (scores, "Scores"), (self.landmarks, "Landmarks")):
            self.tabs.addTab(widget, title)

    def _presets(self) -> dict[str, Any]:
        return {} if self._choices is None else self._choices.presets.get(METHOD, {})

    def _on_more(self, shown: bool) -> None:
        self.form.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _on_preset(self) -> None:
        name = self.preset.currentData()
        if name in self._presets():
            self.form.set_settings(self._presets()[name])
            self.more.setText("Settings")

    def _on_settings_changed(self) -> None:
        self.more.setText("Settings (changed)")

    def _refresh(self, stopping: bool = False) -> None:
        known = self._choices is not None
        self.start.setEnabled(known and self._free and not self._busy and self.inputs.is_complete)
        self.start.setToolTip(self._why_not() if not self.start.isEnabled() else "Register the pair (F6)")
        self.stop.setEnabled(self._busy and not stopping)
        self.inputs.setEnabled(not self._busy)
        for widget in (self.preset, self.device, self.form):
            widget.setEnabled(known and not self._busy)
        self._rows.setRowVisible(self.device, self._choices is not None and self._choices.has_gpu)
        self.bar.setVisible(self._busy)

    def _why_not(self) -> str:
        if self._choices is None:
            return "The engine is still loading"
        if self._busy or not self._free:
            return "Something else is running"
        return self.inputs.hint.text()
