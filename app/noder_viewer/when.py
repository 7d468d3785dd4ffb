"""Times of a trajectory in words. No Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

_PER = {"index": "per scan", "unspecified": "per unit of time"}
_WITHOUT_PLURAL = ("min", "s", "ms", "us")


def per_unit(unit: str) -> str:
    """What a rate is counted by: "per year" of "years"."""
    return _PER.get(unit) or f"per {unit if unit in _WITHOUT_PLURAL else unit.removesuffix('s')}"


def since_words(trajectory: Trajectory, since: float | None) -> str:
    """What a title says of the time since when: nothing of the reference's."""
    if since is None:
        return ""
    unit = "" if trajectory.unit in _PER else f" {trajectory.unit}"
    return f" since t = {since:.4g}{unit}"
