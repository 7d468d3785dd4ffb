"""Since when motion and growth are counted: the reference, a scan, or any time."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QLabel, QWidget

REFERENCE, NOW, OTHER = "the reference", "the time shown now", "another time"
_TIP = "Motion, arrows, grid, contours and log J are counted from this time on; the rate of growth needs no such time"


class SinceRow(QWidget):
    """A list of scans and a box for any time; None stands for the reference."""

    since_requested = Signal(object)
    now_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._times: list[float] = []
        self.scans = QComboBox()
        self.scans.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.scans.setMinimumContentsLength(10)
        self.scans.setAccessibleName("Motion and growth since")
        self.scans.setToolTip(_TIP)
        self.scans.activated.connect(self._on_scan)
        self.time = QDoubleSpinBox()
        self.time.setAccessibleName("Time since when motion and growth are counted")
        self.time.setToolTip("Any time; beyond the scans it is extrapolated")
        self.time.setKeyboardTracking(False)
        self.time.valueChanged.connect(self._on_time)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 0, 8, 0)
        label = QLabel("&Since")
        label.setBuddy(self.scans)
        row.addWidget(label)
        row.addWidget(self.scans, 1)
        row.addWidget(self.time)

    def set_scans(self, times: Sequence[float], names: Sequence[str], unit: str) -> None:
        """What there is to choose from; the first scan is the reference."""
        self._times = list(times)
        with QSignalBlocker(self.scans), QSignalBlocker(self.time):
            self.scans.clear()
            self.scans.addItem(REFERENCE, None)
            for t, name in list(zip(times, names, strict=True))[1:]:
                self.scans.addItem(name, t)
            self.scans.addItem(NOW, NOW)
            if times:
                span = (times[-1] - times[0]) or 1.0
                self.time.setRange(times[0] - span, times[-1] + span)
                self.time.setDecimals(next((digits for digits in range(5) if span * 10**digits >= 1000), 5))
                self.time.setSingleStep(max(span / 40, 10.0 ** -self.time.decimals()))
            self.time.setSuffix("" if unit in ("index", "unspecified") else f" {unit}")

    def set_since(self, since: float | None) -> None:
        """Show the time in use."""
        with QSignalBlocker(self.scans), QSignalBlocker(self.time):
            if (other := self.scans.findText(OTHER)) >= 0:
                self.scans.removeItem(other)
            if since is not None and since not in self._times[1:]:
                self.scans.addItem(OTHER, since)
            self.scans.setCurrentIndex(next((k for k in range(self.scans.count()) if self._is(k, since)), 0))
            if since is not None or self._times:
                self.time.setValue(self._times[0] if since is None else since)

    def _is(self, item: int, since: float | None) -> bool:
        data = self.scans.itemData(item)
        return bool(data == since) if data is not None else since is None

    def _on_scan(self) -> None:
        chosen = self.scans.currentData()
        if chosen == NOW:
            self.now_requested.emit()
        else:
            self.since_requested.emit(chosen)

    def _on_time(self) -> None:
        t = self.time.value()
        self.since_requested.emit(None if self._times and t == self._times[0] else t)
