"""Where playing has come to on the time axis. Pure functions, no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Mode = Literal["loop", "there and back"]
MODES: dict[Mode, str] = {
    "loop": "Loop",
    "there and back": "There and back",
}


BEYOND = 0.12
"""Part of the span that is shown before the first and after the last scan."""


def axis_span(first: float, last: float, period: float | None) -> tuple[float, float]:
    """The times at both ends of the axis: the scans and a margin; of a loop a period, which has nothing beyond."""
    if period is not None:
        return first, max(first + period, last)
    margin = BEYOND * (last - first) or 1.0
    return first - margin, last + margin


@dataclass(frozen=True)
class Cycle:
    """What playing runs through, from `first` on: to the last scan, or a whole period, after which it begins again."""

    first: float
    length: float
    periodic: bool = False
    mode: Mode = "loop"

    @property
    def last(self) -> float:
        """Where it ends: a period later one is at `first` again."""
        return self.first + self.length

    @property
    def turns(self) -> bool:
        """Whether it runs back, too; a period never does."""
        return self.mode == "there and back" and not self.periodic

    def at(self, share: float, start: float) -> float:
        """The time `share` of a cycle after `start`; a cycle there and back is twice as long as the way."""
        along = start - self.first + share * self.length * (2 if self.turns else 1)
        if not self.turns:
            return self.first + along % self.length
        place = along % (2 * self.length)
        return self.first + min(place, 2 * self.length - place)

    def holds(self, t: float) -> bool:
        """Whether a time lies on the way."""
        return self.first <= t < self.last

    def wrapped(self, t: float, origin: float) -> float:
        """A time asked for by a step from `origin`: in a period, a step over either end goes on at the other."""
        if self.periodic and self.first <= origin <= self.last and not self.holds(t) and t != self.last:
            return self.first + (t - self.first) % self.length
        return t
