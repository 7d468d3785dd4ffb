"""The seen scans: which are carried to a time, how much each counts there, and how they are read between voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from weakref import WeakValueDictionary

from torch import Tensor

from noder.grid import sample_at_index
from noder.preprocess import UNMATCHED, Gain
from noder.spline import Spline

LARGEST_RATIO = 4.0
"""Of two scans at the same distance in time, one counts at most so many times as much as the other."""


@dataclass(frozen=True, eq=False)
class SeenScan:
    """A scan that the fit has seen: its position in the series, its time, and its voxels (1,I,J,K) in closest RAS.

    `gain` matches it to the reference as it is read, so that all fits of a series share the voxels of its images.
    `residual` says how badly the other scans predict it (`Trajectory.residual`); equal ones count alike.
    """

    index: int
    time: float
    name: str
    voxels: Tensor
    residual: float = 1.0
    gain: Gain = UNMATCHED

    @property
    def volume(self) -> Tensor:
        """The matched voxels (1,I,J,K): a copy, unless they needed no matching."""
        return self.gain(self.voxels)

    @cached_property
    def _spline(self) -> Spline:
        return _spline_of(self.voxels)

    def at(self, index: Tensor, *, smooth: bool = False) -> Tensor:
        """The matched scan (1,...) at voxel indices (...,3): linear between voxels, or `smooth`, by the B-spline."""
        read = self._spline.at(index) if smooth else sample_at_index(self.voxels.to(index.dtype), index)
        return self.gain(read)


_splines: WeakValueDictionary[tuple[int, ...], Spline] = WeakValueDictionary()
_splines_lock = Lock()


def _spline_of(voxels: Tensor) -> Spline:
    """One for all scans that share these voxels; it holds them, so that their address is theirs while it lives."""
    key = (voxels.data_ptr(), *voxels.shape, *voxels.stride())
    with _splines_lock:
        found = _splines.get(key)
        if found is None:
            found = _splines[key] = Spline(voxels)
        return found


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
