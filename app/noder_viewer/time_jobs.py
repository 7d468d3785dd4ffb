"""What the timeline shows of a fit, computed in the background: residuals, the spread over time, a period's jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from noder_viewer.jobs import FitChoice, Reporter, make_config, share_cores
from noder_viewer.recent import Recent
from noder_viewer.residuals import Residual

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.periods import Jump
    from noder.preprocess import Mask
    from noder.trajectory import Trajectory
    from noder_viewer.session import Session

LIVE_VOXELS = 12_000
"""Enough for a bar, and some milliseconds a scan: the fit needs the processor."""
SPREAD_VOXELS = 6_000
SPREAD_TIMES = 25

_recent = Recent(per_owner=2)


@dataclass(frozen=True)
class Band:
    """The spread over seeds along the axis: the root mean square in the mask of the displacement's SD, in mm."""

    seeds: int
    times: tuple[float, ...]
    sd_mm: tuple[float, ...]

    def at(self, t: float) -> float:
        """The spread at a time, in mm."""
        return float(np.interp(t, self.times, self.sd_mm))

    def most_within(self, first: float, last: float) -> float:
        """The largest between two times, in mm: beyond the scans seeds differ more and more, as far as one looks."""
        inside = [sd for t, sd in zip(self.times, self.sd_mm, strict=True) if first < t < last]
        return max([*inside, self.at(first), self.at(last)])


@dataclass(frozen=True)
class Score:
    """Score each scan of a fit whose report lacks it, by the rule of carrying that is shown; reports growing rows."""

    result: FitResult
    carry: str

    def __call__(self, task: Reporter) -> list[dict[str, Any]]:
        from noder.evaluate import rows_of

        share_cores(leave_one=True)
        result, rows = self.result, []
        mask = _mask_of(result)
        for row in rows_of(result.trajectory, result.series, result.config.exclude, result.gains, mask, self.carry):
            rows.append(row)
            task.report(list(rows))
        return rows


@dataclass(frozen=True)
class ScoreLive:
    """The seen scans against a preview, the first one carried to them: a quick look at every n-th voxel.

    A structural similarity of every n-th voxel would be another number than that of all: it waits for the fit's end.
    """

    session: Session
    preview: Trajectory

    def __call__(self, task: Reporter) -> list[Residual]:
        from noder.metrics import ncc, nrmse
        from noder.preprocess import match
        from noder.thinned import thinned

        share_cores(leave_one=True)
        few = thinned(self.preview.grid, LIVE_VOXELS)
        mask, found = few.pick_mask(_live_mask(self.session)), []
        for scan in self.preview.scans[1:]:
            task.check_cancelled()
            carried = self.preview.predict(scan.time, few.grid, carry="first")[0].numpy()
            volume = np.ascontiguousarray(few.pick(scan.volume[0].numpy()))
            gain = match(volume, carried, mask)
            truth = gain.gain * volume + gain.offset
            scores = {"nrmse": nrmse(truth, carried, mask), "ncc": ncc(truth, carried, mask)}
            found.append(Residual(scan.time, scan.name, "seen", "while it fits: the first scan carried", scores))
        return found


@dataclass(frozen=True)
class Spread:
    """How far the seeds of a fit differ along the axis."""

    result: FitResult
    span: tuple[float, float]

    def __call__(self, task: Reporter) -> Band:
        import torch

        from noder.ensemble import displacement_sd, maps_of, root_mean_square
        from noder.thinned import thinned

        share_cores(leave_one=True)
        maps = maps_of(self.result.trajectory)
        few = thinned(maps[0].grid, SPREAD_VOXELS)
        mask = torch.from_numpy(np.ascontiguousarray(few.pick_mask(_mask_of(self.result))))
        times, spread = spread_times(maps[0].times, self.span), []
        for t in times:
            task.check_cancelled()
            spread.append(root_mean_square(displacement_sd(maps, few.grid, t), mask))
        return Band(len(maps), tuple(times), tuple(spread))


@dataclass(frozen=True)
class MeasureJump:
    """How nearly the map closes a period."""

    result: FitResult
    period: float

    def __call__(self, task: Reporter) -> Jump:
        from noder.periods import jump_at

        share_cores(leave_one=True)
        return jump_at(self.result.trajectory, self.period, _mask_of(self.result))


def spread_times(scans: Sequence[float], span: tuple[float, float]) -> list[float]:
    """Even times over the axis, and those of the scans: at the reference all maps are the identity."""
    even = np.linspace(*span, SPREAD_TIMES).tolist()
    return sorted({*even, *(t for t in scans if span[0] <= t <= span[1])})


def _mask_of(result: FitResult) -> Mask:
    """The mask that the report's scores are taken in; found once a fit."""
    return _recent.get(result.trajectory, "mask", lambda: result.mask()[0])


def _live_mask(session: Session) -> Mask:
    """The mask that the fit that runs will be scored in."""
    from noder.fit import mask_of

    series = session.series
    if series is None:
        raise ValueError("no series is open: there is nothing to score")
    config = make_config(session, FitChoice())
    key = ("mask", config.hold_out, config.exclude, config.mask)
    return _recent.get(series.reference.image, key, lambda: mask_of(series, config)[0])
