"""The second row of the timeline: how it plays, the period of a cycle, and what the residual bars measure."""

from __future__ import annotations

import math

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QSizePolicy, QWidget

from noder_viewer.elided import ElidedLabel
from noder_viewer.playing import MODES
from noder_viewer.residuals import METRICS
from noder_viewer.restyle import set_property

_PERIODIC_TIP = (
    "Time is a loop: after one period the first scan comes again, and playing goes round.\n"
    "The fit itself knows nothing of it: beside the period stands how far tissue jumps where it begins again,\n"
    "the distance in mm between the map at its end and the identity (mean and largest in the mask)."
)


class TimeBar(QWidget):
    """Says what the user wants; shows what it is told."""

    mode_requested = Signal(str)
    period_requested = Signal(object)  # a length, or None: time is no loop
    metric_requested = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.mode, self.measure = QComboBox(self), QComboBox(self)
        self.periodic = QCheckBox("Periodic", self)
        self.period = QDoubleSpinBox(self, decimals=3, minimum=1e-6, maximum=1e9, value=1.0)
        self.words = ElidedLabel("", self)
        self._bars = QLabel("&Bars", self)
        self._bars.setBuddy(self.measure)
        self._source = ""
        self._fill()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        for widget in (self.mode, self.periodic, self.period):
            row.addWidget(widget)
        row.addWidget(self.words, 1)
        row.addWidget(self._bars)
        row.addWidget(self.measure)

    def set_unit(self, unit: str) -> None:
        """The unit of the period."""
        self.period.setSuffix(f" {unit}" if unit and unit != "index" else "")

    def set_longest(self, length: float) -> None:
        """No longer period can be typed."""
        if length > 0:
            with QSignalBlocker(self.period):
                self.period.setMaximum(length)

    def set_suggestion(self, length: float, source: str) -> None:
        """A period to begin with, and where it came from in words."""
        self._source = source
        with QSignalBlocker(self.period):
            self.period.setDecimals(min(max(0, 3 - math.floor(math.log10(length))), 9))
            self.period.setValue(length)
            self.period.setSingleStep(length / 100)
        self._say_source()

    def set_period(self, period: float | None) -> None:
        """Show the period in use; None: time is no loop."""
        with QSignalBlocker(self.periodic), QSignalBlocker(self.period):
            self.periodic.setChecked(period is not None)
            if period is not None:
                self.period.setValue(period)
        self.mode.setEnabled(period is None)
        self.set_words("" if period is None else self._source)

    def set_words(self, text: str, *, warning: bool = False) -> None:
        """How nearly the loop closes; a warning where no scan has checked it."""
        self.words.setText(text)
        self._say_source()
        set_property(self.words, "warning", warning)
        set_property(self.words, "muted", not warning)

    def set_metric(self, metric: str) -> None:
        """Show what the bars measure."""
        with QSignalBlocker(self.measure):
            self.measure.setCurrentIndex(self.measure.findData(metric))

    def toggle_periodic(self) -> None:
        """What a click on the switch does."""
        self.periodic.click()

    def toggle_mode(self) -> None:
        """The other way of playing."""
        if self.mode.isEnabled():
            self.mode.setCurrentIndex(1 - self.mode.currentIndex())
            self._on_mode()

    def next_metric(self) -> None:
        """The next thing that the bars measure."""
        self.measure.setCurrentIndex((self.measure.currentIndex() + 1) % self.measure.count())
        self._on_metric()

    def _fill(self) -> None:
        for mode, text in MODES.items():
            self.mode.addItem(text, mode)
        for metric, about in METRICS.items():
            self.measure.addItem(about.title, metric)
        for box, name in ((self.mode, "How it plays"), (self.measure, "Measure of the residual bars")):
            box.setAccessibleName(name)
            box.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
            box.setMinimumWidth(56)  # in a narrow window all give way a little
        self.mode.setToolTip("After the last scan: begin again, or run back")
        self.measure.setToolTip("What the bars under the axis measure, in the mask: higher bars are always worse")
        self.period.setAccessibleName("Period")
        self.period.setMinimumWidth(64)
        self.period.setMaximumWidth(9 * self.period.fontMetrics().averageCharWidth() + 70)
        self.period.setKeyboardTracking(False)
        self.periodic.setToolTip(_PERIODIC_TIP)
        self.mode.activated.connect(self._on_mode)
        self.measure.activated.connect(self._on_metric)
        self.periodic.clicked.connect(self._on_periodic)
        self.period.valueChanged.connect(self._on_length)
        self.words.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self.set_words("")

    def _say_source(self) -> None:
        told = f"The length of one cycle: {self._source or 'type it, no file tells it'}"
        self.period.setToolTip(f"{told}\n{self.words.text()}".rstrip())

    def _on_mode(self) -> None:
        self.mode_requested.emit(self.mode.currentData())

    def _on_metric(self) -> None:
        self.metric_requested.emit(self.measure.currentData())

    def _on_periodic(self, on: bool) -> None:
        self.period_requested.emit(self.period.value() if on else None)

    def _on_length(self, length: float) -> None:
        self._source = "as typed"
        self._say_source()
        if self.periodic.isChecked():
            self.period_requested.emit(length)
