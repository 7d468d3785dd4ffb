"""Two images that are registered, as the window knows them. No Qt, and no torch at import."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from noder.landmarks import Landmarks
    from noder.pair import Pair
    from noder.pair_given import Given
    from noder.pair_scores import Truth
    from noder.register import Registration

Levels = tuple[float, float]

_ALIKE = 0.5
"""Grey levels whose ends differ by less than this part of their width are one scale, as those of two CTs are."""


@dataclass(frozen=True, eq=False)
class ShownPair:
    """A pair, what is known of it beside its images, and what came out once it has been registered.

    levels: the default grey levels of the moving image and of the fixed one, each in its own values. errors (N,): those
    of the landmarks in mm that the scores sum up. given: what was asked for, to be written with it.
    """

    pair: Pair
    truth: Truth
    levels: tuple[Levels, Levels]
    registration: Registration | None = None
    scores: dict[str, Any] | None = None
    errors: NDArray[np.float64] | None = None
    given: Given | None = None

    @property
    def landmarks(self) -> Landmarks | None:
        """Corresponding points of both images, where they were given."""
        return self.truth.landmarks

    @property
    def names(self) -> tuple[str, str]:
        """Of the moving image and of the fixed one, in words for a picture."""
        return f"moving ({self.pair.moving.name})", f"fixed ({self.pair.fixed.name})"

    @property
    def scale(self) -> tuple[float, float]:
        """(a, b): a value v of the moving image looks like a v + b of the fixed one; (1, 0) on one scale."""
        (lo, hi), (bottom, top) = self.levels
        width = top - bottom
        if abs(lo - bottom) < _ALIKE * width and abs(hi - top) < _ALIKE * width:
            return 1.0, 0.0
        gain = width / (hi - lo)
        return gain, bottom - gain * lo

    def in_moving(self, window: Levels) -> Levels:
        """Grey levels of the fixed image in the values of the moving one."""
        a, b = self.scale
        return (window[0] - b) / a, (window[1] - b) / a
