"""The seen scans: which are carried to a time, how much each counts there, and how they are read between voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from noder.grid import sample_at_index
from noder.spline import Spline

LARGEST_RATIO = 4.0
"""Of two scans at the same distance in time, one counts at most so many times as much as the other."""


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan that the fit has seen: its position in the series, its time, and its voxels (1,I,J,K) in closest RAS.

    `residual` says how badly the other scans predict it (`Trajectory.residual`); equal ones count alike.
    """

    index: int
    time: float
    name: str
    volume: Tensor
    residual: float = 1.0

    @cached_property
    def _spline(self) -> Spline:
        return Spline(self.volume)

    def at(self, index: Tensor, *, smooth: bool = False) -> Tensor:
        """The scan (1,...) at voxel indices (...,3): linear between voxels, or `smooth`, by the cubic B-spline."""
        return self._spline.at(index) if smooth else sample_at_index(self.volume.to(index.dtype), index)


def carriers_at(
    t: float, times: Sequence[float], residuals: Sequence[float], without: int | None = None
) -> list[tuple[int, float]]:
    """Positions in `times` (ascending) of the scans before and after t, with their weights, which add up to 1.

    Weights are inverse to distance in time x residual. What changes at random from moment to moment has an error
    variance that grows with the distance, and the best blend then weighs inversely to it: for equal residuals that is
    linear in time. A scan that its neighbours predict badly is worth less; the residual holds their errors and the
    distance to them too, so that it enters by its size, not by its square. At a scan's own time there is that scan
    alone, whatever its residual: a blend is continuous in time. Before the first scan the first, after the last the
    last. `without` leaves one position out.
    """
    known = [(k, time) for k, time in enumerate(times) if k != without]
    before, after = [p for p in known if p[1] <= t], [p for p in known if p[1] >= t]
    if not before or not after:
        return [((before[-1] if before else after[0])[0], 1.0)]
    (a, t_a), (b, t_b) = before[-1], after[0]
    if a == b or t_a == t_b:
        return [(a, 1.0)]
    tiny = 1e-12 * (residuals[a] + residuals[b]) + 1e-300
    worse = (residuals[b] + tiny) / (residuals[a] + tiny)
    part = (t - t_a) / (t_b - t_a + (min(max(worse, 1 / LARGEST_RATIO), LARGEST_RATIO) - 1) * (t_b - t))
    return [(a, 1.0 - part), (b, part)]
