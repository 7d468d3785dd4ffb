"""Start and stop a fit, its settings, its progress and what came out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QSplitter,
    QTextBrowser,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from noder_viewer import theme
from noder_viewer.card_view import CardView
from noder_viewer.curves import LossCurves
from noder_viewer.fits_list import FitsList
from noder_viewer.jobs import FitChoice, FitChoices
from noder_viewer.restyle import set_property
from noder_viewer.settings_form import SettingsForm

if TYPE_CHECKING:
    from noder.fit_config import FitConfig

DEVICES = {"auto": "Automatic (GPU if there is one)", "cpu": "CPU", "cuda": "GPU"}
ALIGN = {"none": "No", "rigid": "Rigidly", "affine": "Affinely (takes growth out)"}
_RESULT_HINT = "After a fit: scores of each scan, and what the scans can and cannot support."


class FitPanel(QWidget):
    """Preset, settings, Start and Stop, curves, report. Emits what the user wants; shows what it is told."""

    start_requested = Signal(object)
    stop_requested = Signal()
    pause_requested = Signal()
    choice_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: FitChoices | None = None
        self._config: FitConfig | None = None
        self._ready, self._fitting = False, False
        self.preset, self.method, self.device = QComboBox(), QComboBox(), QComboBox()
        self.preset.setToolTip("A set of settings: faster, or more accurate")
        self.preset.activated.connect(self._on_preset)
        self.method.setToolTip("How the map is found: a neural ODE, or one of the baselines it is compared with")
        self.method.activated.connect(self._on_method)
        self.form = SettingsForm()
        self.form.changed.connect(self._on_settings_changed)
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Equal seeds give equal fits on one machine")
        self.seeds = QSpinBox()
        self.seeds.setRange(1, 20)
        self.seeds.setToolTip(
            "Fits from this many seeds, one after the other: the first is shown, the others tell what is\n"
            "uncertain (spread in the Display panel, a band on the timeline)"
        )
        self.seeds.valueChanged.connect(self.choice_changed)
        self.match = QCheckBox("Match brightness to the first scan")
        self.match.setToolTip("One gain and one offset for each scan, measured in the mask")
        self.match.setChecked(True)
        self.match.toggled.connect(self.choice_changed)
        self.intensity = QCheckBox("Let brightness change slowly in each place")
        self.intensity.setToolTip("What no motion explains, such as contrast that fills; shown as a map of its own (B)")
        self.align = QComboBox()
        for name, text in ALIGN.items():
            self.align.addItem(text, name)
        self.align.activated.connect(self.choice_changed)
        self.align.setToolTip("Move every scan onto the first before the fit; a mask helps where skull and neck differ")
        self.device.activated.connect(self.choice_changed)
        self.estimate = QLabel()
        self.estimate.setWordWrap(True)
        self.set_estimate("")
        self.start = QPushButton("Start")
        self.start.setProperty("primary", True)
        self.start.clicked.connect(self.request_start)
        self.pause = QPushButton("Pause")
        self.pause.clicked.connect(self.pause_requested)
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("Stop and keep the best there is")
        self.stop.clicked.connect(self.stop_requested)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setProperty("muted", True)
        self.card, self.fits = CardView(), FitsList()
        self.curves = LossCurves()
        self.report = QTextBrowser()
        self.report.setAccessibleName("Report of the fit")
        small = self.report.font()
        small.setPointSizeF(small.pointSizeF() * 0.9)
        self.report.document().setDefaultFont(small)
        self._lay_out()
        self.set_report("")
        self._refresh()

    def set_choices(self, choices: FitChoices) -> None:
        """Fill in presets, methods and devices, once known."""
        self._choices = choices
        self.method.clear()
        self.method.addItems(list(choices.presets))
        self._fill_presets(choices.default_preset)
        self.device.clear()
        for name, text in DEVICES.items():
            if name != "cuda" or choices.has_gpu:
                self.device.addItem(text, name)
        self._rows.setRowVisible(self.method, len(choices.presets) > 1)
        self._rows.setRowVisible(self.device, choices.has_gpu)
        if self._config is not None:
            self.set_config(self._config)
        self._refresh()

    @property
    def is_ready(self) -> bool:
        """Whether the choices are known."""
        return self._choices is not None

    def set_preset(self, name: str) -> None:
        """Choose a preset by its name."""
        self.preset.setCurrentIndex(max(0, self.preset.findData(name)))
        self._on_preset()

    def set_method(self, name: str) -> None:
        """Choose a method, and of its presets the one of the same name."""
        self.method.setCurrentText(name)
        self._on_method()

    def set_align(self, kind: str) -> None:
        """Choose how scans are aligned, a key of `ALIGN`."""
        self.align.setCurrentIndex(max(0, self.align.findData(kind)))
        self.choice_changed.emit()

    def halve(self) -> None:
        """Choose settings that never use the images at full size."""
        if "fast" in self._presets() and not self.is_changed:
            self.set_preset("fast")
        else:
            self.form.set_settings(dataclasses.replace(self.form.settings(), fine_iterations=0))
            self._on_settings_changed()

    @property
    def is_changed(self) -> bool:
        """Whether the settings are other than the preset's."""
        return bool(self.form.settings() != self._presets().get(self.preset.currentData()))

    def set_config(self, config: FitConfig) -> None:
        """Show how a fit was made: all but the device, which is this machine's. Kept until the choices are known."""
        self._config = config
        if self._choices is None:
            return
        self._config = None
        self.method.setCurrentText(config.method)
        self._fill_presets(config.preset)
        self.set_preset(config.preset)
        self.seed.setValue(config.seed)
        self.match.setChecked(config.match_intensity)
        self.intensity.setChecked(config.intensity)
        self.align.setCurrentText(ALIGN[config.align])
        if config.settings is not None and config.settings != self._presets().get(config.preset):
            self.form.set_settings(config.settings)
            self._on_settings_changed()

    def set_state(self, *, ready: bool, fitting: bool, stopping: bool = False, paused: bool = False) -> None:
        """`ready`: there is a series that can be fitted. While `fitting`, what is started waits in the list."""
        self._ready, self._fitting = ready, fitting
        self.start.setText("Queue" if fitting else "Start")
        self.pause.setText("Resume" if paused else "Pause")
        self.stop.setText("Stopping…" if stopping else "Stop")
        self._refresh(stopping)

    def set_progress(self, fraction: float | None, text: str) -> None:
        """`fraction` 0..1, None = unknown (the bar runs); `text` says the stage and the time left."""
        self.bar.setRange(0, 0 if fraction is None else 1000)
        if fraction is not None:
            self.bar.setValue(round(1000 * fraction))
        self.message.setText(text)

    def set_estimate(self, text: str, *, fits: bool = True) -> None:
        """What the fit will take; in the colour of a warning where it does not fit. Empty for nothing."""
        self.estimate.setText(text)
        self.estimate.setVisible(bool(text))
        set_property(self.estimate, "muted", fits)
        set_property(self.estimate, "warning", not fits)

    def set_curves(self, steps: list[int], values: dict[str, list[float]]) -> None:
        """Losses by name over the steps so far."""
        self.curves.set_history(steps, values)

    def clear_curves(self) -> None:
        """Before a new fit."""
        self.curves.clear()

    def set_report(self, html: str) -> None:
        """Scores and notes as HTML; empty: a hint."""
        self.report.document().setDefaultStyleSheet(f".muted {{ color: {theme.MUTED}; }}")
        self.report.setHtml(html or f"<p class='muted'>{_RESULT_HINT}</p>")

    def choice(self) -> FitChoice:
        """What stands in the panel. Raises ValueError for a setting that does not parse."""
        return FitChoice(
            method=self.method.currentText() or "noder",
            preset=self.preset.currentData() or "balanced",
            settings=None if self._choices is None else self.form.settings(),
            device=self.device.currentData() or "auto",
            seed=self.seed.value(),
            seeds=self.seeds.value(),
            match_intensity=self.match.isChecked(),
            intensity=self.intensity.isChecked(),
            align=str(self.align.currentData()),
        )

    def request_start(self) -> None:
        """What the Start button does."""
        try:
            choice = self.choice()
        except ValueError as error:
            self.message.setText(str(error))
            return
        self.start_requested.emit(choice)

    def _lay_out(self) -> None:
        self._rows = QFormLayout()
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows.addRow("Method", self.method)
        self._rows.addRow("Preset", self.preset)
        self._rows.addRow("Align scans", self.align)
        self._rows.addRow("Device", self.device)
        self._rows.setRowVisible(self.method, False)
        self._rows.setRowVisible(self.device, False)
        self.more = QToolButton()
        self.more.setText("Settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.more.setArrowType(Qt.ArrowType.RightArrow)
        self.more.setAutoRaise(True)
        self.more.toggled.connect(self._on_more)
        self.form.add_row("Seed", self.seed)
        self.form.add_row("Number of seeds", self.seeds)
        self.form.add_row("", self.match)
        self.form.add_row("", self.intensity)
        self.form.hide()
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.pause, 1)
        buttons.addWidget(self.stop, 1)
        top = QWidget()
        layout = QVBoxLayout(top)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(self._rows)
        layout.addWidget(self.more)
        layout.addWidget(self.form)
        layout.addWidget(self.card)
        layout.addWidget(self.estimate)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.message)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        for widget, height in ((self.fits, 0), (self.curves, 150), (self.report, 200)):
            widget.setMinimumHeight(height)
            split.addWidget(widget)
        split.setSizes([130, 200, 240])
        outer = QVBoxLayout(self)
        outer.setContentsMargins(8, 8, 8, 8)
        outer.addWidget(top)
        outer.addWidget(split, 1)

    def _on_more(self, shown: bool) -> None:
        self.form.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    def _presets(self) -> dict[str, Any]:
        """Those of the method that is chosen."""
        return {} if self._choices is None else self._choices.presets.get(self.method.currentText(), {})

    def _fill_presets(self, chosen: str) -> None:
        self.preset.clear()
        for name in self._presets():
            self.preset.addItem(name.capitalize(), name)
        self.preset.setCurrentIndex(max(0, self.preset.findData(chosen)))
        self._on_preset()

    def _on_method(self) -> None:
        self._fill_presets(self.preset.currentData())

    def _on_preset(self) -> None:
        name = self.preset.currentData()
        if name in self._presets():
            self.form.set_settings(self._presets()[name])
            self.more.setText("Settings")
            self.choice_changed.emit()

    def _on_settings_changed(self) -> None:
        self.more.setText("Settings (changed)")
        self.choice_changed.emit()

    def _refresh(self, stopping: bool = False) -> None:
        known = self._choices is not None
        self.start.setEnabled(known and self._ready)
        queued = "Add a fit with these settings to the list; it begins when the others are done"
        self.start.setToolTip((queued if self._fitting else "") if known else "The engine is still loading")
        self.pause.setEnabled(self._fitting and not stopping)
        self.stop.setEnabled(self._fitting and not stopping)
        for widget in (self.preset, self.method, self.align, self.device, self.form):
            widget.setEnabled(known)
        self.bar.setVisible(self._fitting)
