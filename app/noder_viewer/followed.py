"""Points that the user follows through time: what was picked, and what came out. No Qt, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noder_viewer.plane import Point

if TYPE_CHECKING:
    from noder.pathlines import Pathline

COLOURS = ("#ff9f1c", "#2ec4b6", "#f78bff", "#ffe066", "#ff6b6b", "#9be564", "#b8a4ff", "#7fd1ff")
"""Of points by their number: told apart by their lightness too, bright on a dark ground and on grey tissue."""


@dataclass(frozen=True)
class Followed:
    """A point that was picked at `place_mm` (RAS) in the picture of `time`; its number stays, from 1."""

    number: int
    place_mm: Point
    time: float

    @property
    def colour(self) -> str:
        """Its colour in every view."""
        return COLOURS[(self.number - 1) % len(COLOURS)]


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths of points under one map, in the order of `points`."""

    points: tuple[Followed, ...]
    lines: tuple[Pathline, ...]

    def line(self, number: int) -> Pathline | None:
        """The path of one point."""
        found = (line for point, line in zip(self.points, self.lines, strict=True) if point.number == number)
        return next(found, None)


def free_number(followed: tuple[Followed, ...]) -> int:
    """The smallest number that no point has."""
    taken = {point.number for point in followed}
    return next(n for n in range(1, len(taken) + 2) if n not in taken)


def with_point(followed: tuple[Followed, ...], point: Followed) -> tuple[Followed, ...]:
    """One more, in the order of their numbers."""
    return tuple(sorted((*followed, point), key=lambda each: each.number))


def without_point(followed: tuple[Followed, ...], number: int) -> tuple[Followed, ...]:
    """One less."""
    return tuple(point for point in followed if point.number != number)
