"""The time as a number: any can be typed, and a scan's time as it is written elsewhere is exactly that scan's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtWidgets import QDoubleSpinBox, QWidget

MOST_DECIMALS = 4
"""For the sake of scans' times; a fine step of the arrows may want more."""
_SAME = 0.005
"""Of a step of the arrows: nearer than anybody sees on the axis."""


class TimeBox(QDoubleSpinBox):
    """Emits `valueChanged` with the number as it stands there: `exact` tells the scan's own time."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent, decimals=3)
        self._times: tuple[float, ...] = ()
        self.setKeyboardTracking(False)
        self.setToolTip("Time: any value can be typed")
        self.setAccessibleName("Time")

    def set_axis(self, times: Sequence[float], low: float, high: float, step: float) -> None:
        """The scans' times, the ends of the axis, and how far an arrow goes."""
        self._times = tuple(times)
        self.setRange(low, high)
        self.setDecimals(_decimals(times, step))
        self.setSingleStep(step)

    def exact(self, value: float) -> float:
        """The time of the scan that stands there as `value`, else `value`."""
        return self._scan_near(value, 0.5 * 10.0 ** -self.decimals())

    def valueFromText(self, text: str) -> float:
        value = super().valueFromText(text)
        _, _, behind = text.partition(self.locale().decimalPoint())
        digits = len(behind) - len(behind.lstrip("0123456789"))
        return self._scan_near(value, min(0.5 * 10.0**-digits, _SAME * self.singleStep()))

    def _scan_near(self, value: float, apart: float) -> float:
        nearest = min(self._times, key=lambda t: abs(t - value), default=math.inf)
        return nearest if abs(nearest - value) <= apart * (1 + 1e-9) else value


def _decimals(times: Sequence[float], step: float) -> int:
    """Two more than the step has, and enough for all of `times` where `MOST_DECIMALS` are."""
    least = max(0, 2 - math.floor(math.log10(step)))
    whole = (d for d in range(least, MOST_DECIMALS) if all(abs(round(t, d) - t) <= 1e-9 * step for t in times))
    return next(whole, max(least, MOST_DECIMALS))
