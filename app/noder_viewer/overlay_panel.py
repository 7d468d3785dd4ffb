"""What is shown at a time and what is drawn over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QVBoxLayout,
    QWidget,
)
from superqt import QDoubleRangeSlider

from noder_viewer.compare_bar import CompareBar
from noder_viewer.deformation_boxes import GridBox, RateBox, contours_box, folds_box, form, spin
from noder_viewer.meter_box import MeterBox
from noder_viewer.preset_menu import PresetMenu
from noder_viewer.session import CARRIES, SHOWS, OverlaySettings
from noder_viewer.since_row import SinceRow
from noder_viewer.when import per_unit

_TITLES = {
    "observed": "Observed",
    "prediction": "Prediction",
    "difference": "Difference",
    "side by side": "Both",
}
_TIPS = {
    "observed": "The scan nearest in time, as it is (1)",
    "prediction": "What the fit says at this time (2)",
    "difference": "Prediction minus the nearest scan (3)",
    "side by side": "Observed and prediction next to each other (4)",
}

_SPREAD_TIP = (
    "How far the displacements of fits from several seeds differ in each place: their standard deviation;\n"
    "shown in place of growth. It is the spread of chance alone: what all fits get wrong alike it does not show."
)
_NO_SPREAD = "There is none yet: set Fit > Settings > Number of seeds to 2 or more and press Start."


class OverlayPanel(QWidget):
    """Switches and sliders of the pictures; `x_requested` says what the user wants."""

    show_requested = Signal(str)
    carry_requested = Signal(str)
    overlays_requested = Signal(object)
    window_requested = Signal(float, float)
    auto_window_requested = Signal()
    preset_requested = Signal(str)
    radiological_requested = Signal(bool)
    since_now_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._overlays = OverlaySettings()
        self._loading = False
        self._make_deformation()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addLayout(self._make_shows())
        self.compare = CompareBar(brief=True)
        layout.addWidget(self.compare)
        layout.addLayout(self._make_carry())
        layout.addWidget(self._make_window())
        layout.addWidget(self.since)
        layout.addWidget(self._make_jacobian())
        layout.addWidget(self.rate)
        layout.addLayout(_indented(self._make_brightness()))
        layout.addLayout(_indented(self._make_spread()))
        layout.addLayout(self._make_opacity())
        layout.addWidget(self._make_quiver())
        layout.addWidget(self.grid)
        layout.addLayout(_indented(self.contours))
        layout.addLayout(_indented(self.folds))
        layout.addWidget(self.meter)
        self.radiological = QCheckBox("Radiological (patient's right on the left)")
        self.radiological.clicked.connect(self.radiological_requested)
        layout.addLayout(_indented(self.radiological))
        layout.addStretch(1)
        self.set_available(has_series=False, has_trajectory=False)
        self.set_ensemble(there=False)
        self.set_pair(False)

    def set_show(self, show: str) -> None:
        """Mark what is shown; none of the buttons where it is none of `SHOWS`."""
        self._group.setExclusive(False)  # a comparison of a pair is none of these
        for name, button in self.shows.items():
            button.setChecked(name == show)
        self._group.setExclusive(True)

    def set_pair(self, shown: bool) -> None:
        """A pair has more to show."""
        self.compare.setVisible(shown)

    def set_carry(self, carry: str) -> None:
        """Mark which scans are carried, a key of `CARRIES`."""
        self.carry.setCurrentIndex(self.carry.findData(carry))

    def set_overlays(self, overlays: OverlaySettings) -> None:
        """Show the overlays' settings."""
        self._loading = True
        self._overlays = overlays
        self.since.set_since(overlays.since)
        self.jacobian.setChecked(overlays.jacobian)
        self.rate.setChecked(overlays.rate)
        self.rate.limit.setValue(overlays.rate_limit or 0.0)
        self.grid.setChecked(overlays.grid)
        self.grid.spacing.setValue(overlays.grid_spacing_mm)
        self.contours.setChecked(overlays.contours)
        self.folds.setChecked(overlays.folds)
        self.meter.setChecked(overlays.meter)
        self.brightness.setChecked(overlays.brightness)
        self.spread.setChecked(overlays.spread)
        self.opacity.setValue(round(100 * overlays.jacobian_opacity))
        self._set_opacity_enabled()
        self.limit.setValue(overlays.jacobian_limit or 0.0)
        self.quiver.setChecked(overlays.quiver)
        self.spacing.setValue(overlays.quiver_spacing_mm)
        self.scale.setValue(overlays.quiver_scale)
        self._loading = False

    def set_window_range(self, lo: float, hi: float) -> None:
        """Limits of the grey levels: the range of the scans."""
        self._loading = True
        self.window_slider.setRange(lo, max(hi, lo + 1e-6))
        for box in (self.lo, self.hi):
            box.setRange(lo - (hi - lo), hi + (hi - lo))
            box.setDecimals(_decimals(hi - lo))
            box.setSingleStep(max((hi - lo) / 100, 10 ** -_decimals(hi - lo)))
        self._loading = False

    def set_window(self, lo: float, hi: float) -> None:
        """Show the grey levels in use."""
        self._loading = True
        self.lo.setValue(lo)
        self.hi.setValue(hi)
        bottom, top = self.window_slider.minimum(), self.window_slider.maximum()
        self.window_slider.setValue((min(max(lo, bottom), top), min(max(hi, bottom), top)))
        self._loading = False

    def set_ct(self, ct: bool) -> None:
        """Whether the presets of CT make sense."""
        self.presets.set_ct(ct)

    def set_scans(self, times: Sequence[float], names: Sequence[str], unit: str) -> None:
        """The scans since which motion may be counted, and what rates are counted by."""
        self.since.set_scans(times, names, unit)
        self.rate.limit.setSuffix(f" % {per_unit(unit)}")
        self.since.set_since(self._overlays.since)

    def set_radiological(self, on: bool) -> None:
        """Show the side convention."""
        self.radiological.setChecked(on)

    def set_available(self, *, has_series: bool, has_trajectory: bool) -> None:
        """Switch off what there is nothing for yet."""
        for widget in (self.window_box, self.radiological, self.shows["observed"]):
            widget.setEnabled(has_series)
        for show in ("prediction", "difference", "side by side"):
            self.shows[show].setEnabled(has_trajectory)
        motion = (self.since, self.rate, self.grid, self.contours, self.folds, self.meter)
        for box in (self.jacobian, self.brightness, self.quiver, self.carry, *motion):
            box.setEnabled(has_trajectory)
        self._set_opacity_enabled()

    def set_ensemble(self, *, there: bool) -> None:
        """Whether there are fits from several seeds that could differ."""
        self.spread.setEnabled(there)
        self.spread.setToolTip(_SPREAD_TIP if there else f"{_SPREAD_TIP}\n{_NO_SPREAD}")
        self._set_opacity_enabled()

    def _make_deformation(self) -> None:
        self.since, self.rate, self.grid, self.meter = SinceRow(), RateBox(), GridBox(), MeterBox()
        self.contours, self.folds = contours_box(), folds_box()
        self.since.since_requested.connect(self._on_since)
        self.since.now_requested.connect(self.since_now_requested)
        for box in (self.rate.limit, self.grid.spacing):
            box.valueChanged.connect(self._on_overlays)
        for switch in (self.rate, self.grid, self.contours, self.folds, self.meter):
            switch.clicked.connect(self._on_overlays)

    def _make_shows(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        self.shows: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        for position, show in enumerate(SHOWS):
            button = QPushButton(_TITLES[show])
            button.setCheckable(True)
            button.setToolTip(_TIPS[show])
            button.setObjectName(show)
            self._group.addButton(button)
            self.shows[show] = button
            grid.addWidget(button, position // 2, position % 2)
        self._group.buttonClicked.connect(self._on_show)
        return grid

    def _make_carry(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.carry = QComboBox()
        for carry, text in CARRIES.items():
            self.carry.addItem(text, carry)
        self.carry.setToolTip(
            "A prediction moves what was seen to the wanted time: the scans before and after it, blended,\n"
            "or the first scan alone (what the method's paper does)."
        )
        self.carry.activated.connect(self._on_carry)
        row.addWidget(QLabel("Predict from"))
        row.addWidget(self.carry, 1)
        return row

    def _make_window(self) -> QGroupBox:
        self.window_box = QGroupBox("Grey levels")
        self.window_slider = QDoubleRangeSlider(Qt.Orientation.Horizontal)
        self.window_slider.valueChanged.connect(self._on_slider)
        self.window_slider.setAccessibleName("Grey levels")
        self.lo, self.hi = QDoubleSpinBox(), QDoubleSpinBox()
        for box, tip in ((self.lo, "Black at this value"), (self.hi, "White at this value")):
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_window)
        auto = QPushButton("Auto")
        auto.setToolTip("The 1st to the 99th percentile of all scans (A)")
        auto.clicked.connect(self.auto_window_requested)
        row = QHBoxLayout()
        row.addWidget(self.lo, 1)
        row.addWidget(QLabel("to"))
        row.addWidget(self.hi, 1)
        self.presets = PresetMenu(self.preset_requested, self)
        second = QHBoxLayout()
        second.addWidget(auto, 1)
        second.addWidget(self.presets, 1)
        layout = QVBoxLayout(self.window_box)
        layout.setContentsMargins(8, 4, 8, 6)
        layout.addWidget(self.window_slider)
        layout.addLayout(row)
        layout.addLayout(second)
        return self.window_box

    def _make_jacobian(self) -> QGroupBox:
        self.jacobian = self._switch("Growth: log J, above 0 where tissue is larger")
        self.jacobian.setToolTip("J = volume at this time / volume in the reference; folded voxels are marked")
        self.limit = spin(0.0, 5.0, 0.05, "", "Half width of the colours in log J")
        self.limit.setDecimals(2)
        self.limit.setSpecialValueText("automatic")
        self.limit.setPrefix("± ")
        self.limit.valueChanged.connect(self._on_overlays)
        form(self.jacobian).addRow("Colours", self.limit)
        return self.jacobian

    def _make_brightness(self) -> QCheckBox:
        self.brightness = QCheckBox("Brightness: change since the reference")
        self.brightness.setToolTip(
            "What the intensity model of the fit adds to the carried reference, in the scans' own values;\n"
            "shown in place of growth"
        )
        self.brightness.clicked.connect(self._on_overlays)
        return self.brightness

    def _make_spread(self) -> QCheckBox:
        self.spread = QCheckBox("Spread of the seeds: SD in mm")
        self.spread.clicked.connect(self._on_overlays)
        return self.spread

    def _make_opacity(self) -> QHBoxLayout:
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(5, 100)
        self.opacity.setAccessibleName("Opacity of growth, its rate or brightness")
        self.opacity.setToolTip("Of the colours of growth, its rate or brightness over the image")
        self.opacity.valueChanged.connect(self._on_overlays)
        self.opacity_label = QLabel("Opacity")
        row = QHBoxLayout()
        row.setContentsMargins(8, 0, 8, 0)
        row.addWidget(self.opacity_label)
        row.addWidget(self.opacity, 1)
        return row

    def _set_opacity_enabled(self) -> None:
        """There is something to see through where colours lie over the image."""
        shown = self._overlays.jacobian or self._overlays.rate or self._overlays.brightness
        on = (self.jacobian.isEnabled() and shown) or (self.spread.isEnabled() and self._overlays.spread)
        self.opacity.setEnabled(on)
        self.opacity_label.setEnabled(on)

    def _make_quiver(self) -> QGroupBox:
        self.quiver = self._switch("Motion: arrows along it, in the slice")
        self.quiver.setToolTip("From where the tissue was in the reference to where it is now")
        self.spacing = spin(1.0, 50.0, 0.5, " mm", "Distance between arrows: smaller is denser")
        self.scale = spin(0.1, 20.0, 0.5, " ×", "1 draws arrows at their true length")
        for box in (self.spacing, self.scale):
            box.valueChanged.connect(self._on_overlays)
        rows = form(self.quiver)
        rows.addRow("Spacing", self.spacing)
        rows.addRow("Length", self.scale)
        return self.quiver

    def _switch(self, title: str) -> QGroupBox:
        """A group whose title switches an overlay."""
        box = QGroupBox(title)
        box.setProperty("switch", True)
        box.setCheckable(True)
        box.clicked.connect(self._on_overlays)
        return box

    def _on_show(self) -> None:
        button = self._group.checkedButton()
        if button is not None:
            self.show_requested.emit(button.objectName())

    def _on_carry(self) -> None:
        self.carry_requested.emit(self.carry.currentData())

    def _on_overlays(self) -> None:
        if self._loading:
            return
        wanted = self._overlays
        for name, box in self._switches():
            if box.isChecked() != getattr(self._overlays, name):
                wanted = wanted.switched(name, on=box.isChecked())
        wanted = dataclasses.replace(
            wanted,
            jacobian_opacity=self.opacity.value() / 100,
            jacobian_limit=self.limit.value() or None,
            rate_limit=self.rate.limit.value() or None,
            grid_spacing_mm=self.grid.spacing.value(),
            quiver_spacing_mm=self.spacing.value(),
            quiver_scale=self.scale.value(),
        )
        self.overlays_requested.emit(wanted)

    def _switches(self) -> tuple[tuple[str, QGroupBox | QCheckBox], ...]:
        return (
            ("jacobian", self.jacobian),
            ("rate", self.rate),
            ("brightness", self.brightness),
            ("spread", self.spread),
            ("quiver", self.quiver),
            ("grid", self.grid),
            ("contours", self.contours),
            ("folds", self.folds),
            ("meter", self.meter),
        )

    def _on_since(self, since: object) -> None:
        wanted = since if isinstance(since, float) else None
        self.overlays_requested.emit(dataclasses.replace(self._overlays, since=wanted))

    def _on_slider(self) -> None:
        if not self._loading:
            levels: tuple[float, ...] = self.window_slider.value()
            self.window_requested.emit(float(levels[0]), float(levels[-1]))

    def _on_window(self) -> None:
        if not self._loading:
            self.window_requested.emit(self.lo.value(), self.hi.value())


def _indented(box: QCheckBox) -> QHBoxLayout:
    """In line with the switches of the groups."""
    row = QHBoxLayout()
    row.setContentsMargins(6, 0, 0, 0)
    row.addWidget(box)
    return row


def _decimals(span: float) -> int:
    """Digits behind the point so that a hundredth of `span` can be told apart."""
    return next((digits for digits in range(6) if span * 10**digits >= 100), 6)
