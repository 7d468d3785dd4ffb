"""The best state of a fit so far, which is what a stopped fit keeps."""

from __future__ import annotations

from collections import deque

from noder.methods.curve import Curve
from noder.methods.problem import Iteration

FULL_SIZE = "full size"
_WINDOW = 4
"""Steps whose mean loss is compared: a single step looks at a part of the scans only."""


class Best:
    """Keeps the curve with the smallest total loss at full size; losses of coarser images tell nothing about it."""

    def __init__(self) -> None:
        self.curve: Curve | None = None
        self.step = 0
        self._least = float("inf")
        self._recent: deque[float] = deque(maxlen=_WINDOW)

    def add(self, iteration: Iteration) -> None:
        """Take note of a step's losses."""
        if iteration.stage == FULL_SIZE:
            self._recent.append(sum(iteration.losses.values()))

    def offer(self, curve: Curve, step: int) -> None:
        """Keep the curve after `step`, if the last steps were better than those of the one that is kept."""
        if len(self._recent) < _WINDOW:
            return
        mean = sum(self._recent) / _WINDOW
        if mean < self._least:
            self._least, self.curve, self.step = mean, curve, step
