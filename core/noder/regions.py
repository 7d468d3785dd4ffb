"""Volumes of regions over time: a label map drawn at one time, carried by the flow of one fit or of several seeds.

A point y of the region at t_a lies at psi(y) = phi_t^-1(phi_a(y)) on the frame at t, so that

    V(t) = int_region det D psi dy = sum over its voxels of det D psi times the volume of a voxel.

At t_a psi is the identity and V is the region's own volume, voxel by voxel; from there the curve is smooth, which the
count of carried labels is not. Where a map folds, its determinant is negative and is summed as such.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from noder.decoder import apply_separable
from noder.errors import InputError
from noder.fields import central_determinant
from noder.labels import LabelFile, LabelMap, thinned
from noder.series import ImageSeries
from noder.trajectory import Trajectory

Floats = NDArray[np.float64]

SPAN_TIMES = 25
"""Times over the seen span at which volumes are always known: the rate does not depend on the times asked for."""
EVERY = 2
"""Voxels between the points at which a map is evaluated: within 0.05 % of all voxels on the sample heart."""
_SAME_TIME = 1e-9


@dataclass(frozen=True, eq=False)
class RegionVolumes:
    """`mm3` (fits, labels, times): what each fit says of each label; the first fit is the one that is shown.

    `reference_mm3` (fits, labels) at the reference's time; `span` is that of the seen scans, beyond which a volume is
    extrapolated. `measured_mm3` (labels, times): of the scans' own labels, NaN at scans that have none, and of a label
    that none of them has.
    """

    labels: tuple[int, ...]
    times: tuple[float, ...]
    unit: str
    span: tuple[float, float]
    drawn_at: float
    mm3: Floats
    reference_mm3: Floats
    measured_mm3: Floats

    @property
    def n_fits(self) -> int:
        """Fits from different seeds."""
        return len(self.mm3)

    @property
    def volume_ml(self) -> Floats:
        """(labels, times): of the fit that is shown."""
        volumes: Floats = self.mm3[0] / 1000
        return volumes

    @property
    def low_ml(self) -> Floats:
        """(labels, times): the lowest of all fits."""
        volumes: Floats = self.mm3.min(axis=0) / 1000
        return volumes

    @property
    def high_ml(self) -> Floats:
        """(labels, times): the highest of all fits."""
        volumes: Floats = self.mm3.max(axis=0) / 1000
        return volumes

    @property
    def measured_ml(self) -> Floats:
        """(labels, times): of the scans' own labels in their own voxels, NaN where there are none."""
        return self.measured_mm3 / 1000

    @property
    def change_percent(self) -> Floats:
        """(labels, times): of the volume against that at the reference's time."""
        change: Floats = 100 * (self.mm3[0] / self.reference_mm3[0][:, None] - 1)
        return change

    @property
    def extrapolated(self) -> tuple[bool, ...]:
        """Of each time: whether it lies beyond the seen scans."""
        first, last = self.span
        return tuple(not first <= t <= last for t in self.times)

    @cached_property
    def rates_percent(self) -> Floats:
        """(fits, labels): 100 times the slope of the least-squares line through ln V over the seen span.

        It is % of the volume a unit of time, as a rate: of 1 % a year for a decade the volume is exp(0.1) times as
        large. Even times weigh the whole course alike, wherever the scans lie. NaN where a volume is not above 0.
        """
        first, last = self.span
        even = np.linspace(first, last, SPAN_TIMES)
        wanted = np.array([_position(self.times, t) for t in even])
        away = even - even.mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            logs = np.where(self.mm3 > 0, np.log(self.mm3), np.nan)[:, :, wanted]
        rates: Floats = 100 * (logs @ away) / float(away @ away)
        return rates

    @cached_property
    def growth_percent(self) -> Floats:
        """(labels, times): 100 d ln V / dt of the fit that is shown, a unit of time, by differences between `times`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            growth: Floats = 100 * np.gradient(np.log(self.mm3[0]), np.array(self.times), axis=-1)
        return growth

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers are, in sentences."""
        first, last = self.span
        fits = f"low and high are the lowest and highest of {self.n_fits} fits from as many seeds"
        band = fits if self.n_fits > 1 else "one fit: no band; `noder fit --seeds 3` makes one"
        return (
            f"volumes before {first:g} and after {last:g} {self.unit} are extrapolated: no scan has checked them",
            f"{band}. What all fits get wrong alike it does not show",
        )

    def at(self, t: float) -> Floats:
        """(labels,) ml of the fit that is shown at any time, linear between `times`."""
        return np.array([np.interp(t, self.times, row) for row in self.volume_ml])


Steps = Generator[tuple[int, int], None, RegionVolumes]


def region_volumes(
    trajectories: Sequence[Trajectory],
    labels: LabelMap,
    times: Sequence[float],
    measured: Mapping[float, Mapping[int, float]] | None = None,
    every: int = EVERY,
) -> RegionVolumes:
    """`region_steps` to the end."""
    steps = region_steps(trajectories, labels, times, measured, every)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        found: RegionVolumes = end.value
        return found


def region_steps(
    trajectories: Sequence[Trajectory],
    labels: LabelMap,
    times: Sequence[float],
    measured: Mapping[float, Mapping[int, float]] | None = None,
    every: int = EVERY,
) -> Steps:
    """Volumes at `times`, at those of `measured` (time -> label -> mm3) and at `SPAN_TIMES` over the seen span.

    Fits of one series from several seeds make the band. The map is evaluated at every n-th voxel, `every`, of the
    region's box. Yields how many of how many evaluations are done. Raises InputError where the label map lies on
    another grid than the fits, or holds no label.
    """
    _check(trajectories, labels)
    shown, measured = trajectories[0], measured or {}
    even = np.linspace(shown.t_first, shown.t_last, SPAN_TIMES).tolist()
    wanted = _distinct([labels.time, shown.t_first, shown.t_last, *measured, *map(float, times), *even])
    box = _Box(labels, every)
    mm3 = np.zeros((len(trajectories), len(box.labels), len(wanted)))
    for s, trajectory in enumerate(trajectories):
        pulled = box.pulled(trajectory)
        for k, t in enumerate(wanted):
            yield s * len(wanted) + k, len(trajectories) * len(wanted)
            mm3[s, :, k] = box.volumes(trajectory, pulled, t)
    known = np.full((len(box.labels), len(wanted)), np.nan)
    marked = set().union(*measured.values())  # a label that no scan has was not drawn on them: that is no volume of 0
    for t, volumes in measured.items():
        known[:, _position(wanted, t)] = [volumes.get(n, 0.0 if n in marked else np.nan) for n in box.labels]
    start = mm3[:, :, _position(wanted, shown.t_first)]
    span = (shown.t_first, shown.t_last)
    return RegionVolumes(box.labels, tuple(wanted), shown.unit, span, labels.time, mm3, start, known)


def measured_volumes(series: ImageSeries, files: Sequence[LabelFile | None]) -> dict[float, dict[int, float]]:
    """Time -> label -> mm3 of the scans' own labels, each in its own voxels; `files` has an entry for each scan."""
    pairs = zip(series.times, files, strict=True)
    return {t: file.volumes_mm3() for t, file in pairs if file is not None}


class _Box:
    """The voxels around the region, and which of them carry which label.

    The map is evaluated at every n-th of them and read by cubics in between: it is smooth, and the determinant of a
    voxel is then as good as that of the whole map.
    """

    def __init__(self, labels: LabelMap, every: int) -> None:
        self.labels, self._map = labels.labels, labels
        where, (low, high) = np.nonzero(labels.values), labels.box
        start, stop = np.maximum(low - 1, 0).tolist(), np.minimum(high + 2, labels.grid.shape).tolist()
        self._grid = labels.grid.crop((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))
        self._coarse, self._matrices = thinned(self._grid, every)
        inside = tuple(axis - a for axis, a in zip(where, start, strict=True))
        self._voxels = np.ravel_multi_index(inside, self._grid.shape)
        self._which = np.searchsorted(np.array(self.labels), labels.values[where])

    def pulled(self, trajectory: Trajectory) -> Tensor:
        """phi_a of the points that are evaluated (i,j,k,3): where they are at the reference's time, in RAS mm."""
        points = self._coarse.points()
        return points + trajectory.displacement(points, self._map.time)

    def volumes(self, trajectory: Trajectory, pulled: Tensor, t: float) -> Floats:
        """(labels,) mm3 at time t: every voxel counts with its determinant."""
        if t == self._map.time:
            weights: Floats = np.ones(len(self._voxels))
        else:
            weights = self._determinant(pulled + trajectory.inverse(pulled, t)).reshape(-1)[self._voxels]
        sums = np.bincount(self._which, weights, minlength=len(self.labels)).astype(np.float64)
        volumes: Floats = sums * self._map.voxel_mm3
        return volumes

    def _determinant(self, moved: Tensor) -> Floats:
        """det D psi on the voxels of the box, of where the points have gone (i,j,k,3) in RAS mm."""
        u = (self._grid.to_index(moved) - self._grid.to_index(self._coarse.points())).movedim(-1, 0)
        u = u.contiguous() if self._matrices is None else apply_separable(self._matrices, u.float())
        found: Floats = central_determinant(u).double().numpy()
        return found


def _distinct(times: Sequence[float]) -> list[float]:
    """Sorted, each once: times that differ by rounding alone are one, and the first of them given stays."""
    found: list[float] = []
    for t in times:
        if not any(_same(t, other) for other in found):
            found.append(t)
    return sorted(found)


def _position(times: Sequence[float], t: float) -> int:
    return next(k for k, other in enumerate(times) if _same(t, other))


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= _SAME_TIME * max(abs(a), abs(b), 1.0)


def _check(trajectories: Sequence[Trajectory], labels: LabelMap) -> None:
    if not trajectories:
        raise ValueError("volumes over time need a fit: none was given")
    if not all(each.grid.matches(labels.grid) for each in trajectories):
        raise InputError(
            f"{labels.name} lies on another grid than the fit ({labels.grid.shape} voxels against "
            f"{trajectories[0].grid.shape}). Read it onto the grid of the series."
        )
    if not labels.labels:
        raise InputError(f"{labels.name} holds no label, only zeros. Draw a region, or give another label map.")
