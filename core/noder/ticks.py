"""Round numbers for axes, colour bars and legends."""

from __future__ import annotations

import math


def nice_step(at_least: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is not below `at_least` (> 0)."""
    power = 10.0 ** math.floor(math.log10(at_least))
    return next(f * power for f in (1, 2, 5, 10) if f * power >= at_least * (1 - 1e-9))


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most `most` + 1 round numbers from `low` to `high`."""
    step = nice_step((high - low) / max(most, 1))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def words(value: float) -> str:
    """A number as short as a label wants it, with a true minus sign."""
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", "−")
