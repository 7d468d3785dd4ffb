"""Leave-one-out: every scan but the reference predicted by fits that never saw it, beside the baselines.

Each refit is cold: mask, gains, span and map are found again without the scan. Leaving out the last scan makes its
prediction an extrapolation, which is scored apart. Each method is scored as a fit of its own with that scan held out,
and all are scored in one mask; the trivial rows are those of the chosen method's fit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from noder.errors import UsageError
from noder.evaluate import SAFE_MODEL, rows_of
from noder.fit import Watch, fit_steps
from noder.fit_config import FitConfig, seen_scans
from noder.linearity import linearity_index
from noder.methods import PRESETS
from noder.metrics import SCORES
from noder.series import ImageSeries
from noder.workers import Workers

Row = dict[str, Any]

BASELINES = ("geodesic", "piecewise")
TRIVIAL = ("blend", "nearest", "unchanged")
_SCORE = "nrmse_mask"


@dataclass(frozen=True)
class LeftOut:
    """`rows`, one a left-out scan, with scores by prediction; their means within the scans and beyond the last.

    A prediction is named after its method, with " first" where only the first scan is carried, or is a trivial one.
    `stopped`: not all refits were made; rows that lack one are left out.
    """

    method: str
    rows: list[Row]
    within: dict[str, dict[str, float]]
    beyond: dict[str, dict[str, float]]
    notes: tuple[str, ...]
    stopped: bool = False


@dataclass(frozen=True)
class LeftOutProgress:
    """Refits done, as a number that may be broken, of how many; seconds since the start and to come."""

    done: float
    total: int
    seconds: float
    seconds_left: float | None


@dataclass(frozen=True)
class Refit:
    """One refit: what is fitted and which scan it leaves out."""

    config: FitConfig
    index: int

    def run(self, series: ImageSeries) -> Generator[float, bool | None, Row | None]:
        """Yields the share that is done; sending True ends it with None."""
        config = replace(self.config, hold_out=(self.index,))
        steps = fit_steps(series, config)
        try:
            progress = next(steps)
            while progress.stage != "scoring":
                if (yield progress.step / (progress.total + 1)):
                    return None
                progress = next(steps)
            steps.send(True)  # of its rows one is wanted
        except StopIteration as end:
            result = end.value
        mask, name = result.mask()
        others = set(range(len(series.scans))) - {self.index}
        row = list(rows_of(result.trajectory, series, others, result.gains, mask))[self.index]
        return {**row, "mask": name, "linearity_index": linearity_index(result.trajectory, mask)}


def leave_one_out_steps(
    series: ImageSeries, config: FitConfig, *, baselines: bool = True, workers: int = 1
) -> Generator[LeftOutProgress, bool | None, LeftOut]:
    """Refit without each scan in turn, by the method and, unless told not to, by the baselines: three fits a scan.

    `workers` processes share the refits, and the threads, evenly; the results do not depend on their number. Sending
    True stops with the rows that are complete. Raises UsageError for fewer than three seen scans or a number of
    workers that cannot be meant, and as `fit_steps` does.
    """
    refits = refits_of(series, config, baselines)
    if not 1 <= workers <= 64:
        raise UsageError(f"{workers} workers cannot be used: give a number from 1 to 64.")
    watch, stopped = Watch(), False
    found: dict[tuple[str, int], Row] = {}
    with Workers(series, refits, workers) as running:
        for done, finished in running:
            for k, row in finished:
                found[refits[k].config.method, refits[k].index] = row
            seconds = watch.seconds
            left = seconds / done * (len(refits) - done) if done > 0.1 else None
            held_since = time.monotonic()
            if (yield LeftOutProgress(done, len(refits), seconds, left)):
                stopped = True
                break
            watch.hold(held_since)
    return judged(config.method, series, found, [config.method, *_baselines(config, baselines)], stopped)


def refits_of(series: ImageSeries, config: FitConfig, baselines: bool) -> list[Refit]:
    """All refits, scan by scan. Raises UsageError where there are too few scans, or some held out already."""
    config = config.resolved()
    if config.hold_out:
        raise UsageError("Leave-one-out holds out every scan in turn: leave out --hold-out.")
    scans = seen_scans(series, config)[1:]
    if len(scans) < 2:
        raise UsageError("Leave-one-out needs three scans or more: with the reference, one must be left to fit.")
    configs = [config, *(_baseline(config, name) for name in _baselines(config, baselines))]
    return [Refit(each, k) for k in scans for each in configs]


def judged(
    method: str, series: ImageSeries, found: dict[tuple[str, int], Row], methods: Sequence[str], stopped: bool = False
) -> LeftOut:
    """The rows of all refits found, and what they say."""
    complete = [k for k in range(len(series.scans)) if all((name, k) in found for name in methods)]
    rows = [_row({name: found[name, k] for name in methods}, method) for k in complete]
    within, beyond = ([row for row in rows if row["extrapolated"] is out] for out in (False, True))
    notes = _notes(method, within, beyond, n_seen=len({k for _, k in found}))
    return LeftOut(method, rows, _means(within), _means(beyond), notes, stopped)


def predictions(row: Row) -> list[str]:
    """The kinds of prediction that a row scores, in their order."""
    return [name for name, value in row.items() if isinstance(value, dict)]


def _baselines(config: FitConfig, wanted: bool) -> list[str]:
    return [name for name in BASELINES if name != config.method] if wanted else []


def _baseline(config: FitConfig, method: str) -> FitConfig:
    preset = config.preset if config.preset in PRESETS[method] else "balanced"
    return replace(config, method=method, preset=preset, settings=None).resolved()


def _row(by_method: dict[str, Row], method: str) -> Row:
    """One scan's row of all methods."""
    main = by_method[method]
    kept = ("index", "name", "time", "role", "extrapolated", "rule", "mask", "linearity_index")
    row = {key: main[key] for key in kept}
    for name, other in by_method.items():
        facts = {key: other[key] for key in ("folds", "smallest_determinant")}
        row[name] = {**other["neighbours"], **facts}
        row[f"{name} first"] = {**other["first"], **facts}
    return row | {name: main[name] for name in TRIVIAL}


def _means(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    if not rows:
        return {}
    keys = [key for key in rows[0]["blend"] if key.removesuffix("_mask") in SCORES]
    return {
        name: {key: float(np.mean([row[name][key] for row in rows])) for key in keys} for name in predictions(rows[0])
    }


def _notes(method: str, within: Sequence[Row], beyond: Sequence[Row], n_seen: int) -> tuple[str, ...]:
    notes = [_verdict(method, within)] if within else []
    for row in beyond:
        best = min(predictions(row), key=lambda name: float(row[name][_SCORE]))
        other = "" if best == method else f"; {method} has {row[method][_SCORE]:.4f}"
        notes.append(
            f"Scan {row['index']} lies beyond the scans that its refits saw: its row is extrapolation. The best there "
            f"is {best} ({row[best][_SCORE]:.4f}){other}."
        )
    if n_seen <= 3:  # each refit sees as many scans as there are left-out ones
        notes.append(SAFE_MODEL)
    return tuple(notes)


def _verdict(method: str, rows: Sequence[Row]) -> str:
    """Whether the method earns its keep: its scores against those of the best other prediction, scan by scan.

    Within the noise: the mean difference is smaller than its standard error.
    """
    others = [name for name in predictions(rows[0]) if name.removesuffix(" first") != method]
    score = {name: np.array([row[name][_SCORE] for row in rows]) for name in (method, *others)}
    best = min(others, key=lambda name: float(score[name].mean()))
    gain = score[best] - score[method]
    error = float(gain.std(ddof=1)) / math.sqrt(len(rows)) if len(rows) > 1 else math.inf
    mine, theirs = float(score[method].mean()), float(score[best].mean())
    figures = (
        f"mean NRMSE in the mask {mine:.4f} against {theirs:.4f} of the best other row, {best} "
        f"({100 * (mine / theirs - 1):+.1f} %; better in {int((gain > 0).sum())} of {len(rows)})"
    )
    if gain.mean() > error:
        return f"Within the scans {method} predicts best: {figures}."
    if -gain.mean() > error:
        return f"Within the scans {best} predicts better than {method}: {figures}. Use the simpler one."
    noise = "one scan alone cannot tell" if len(rows) == 1 else "no difference beyond the noise between scans"
    return f"Within the scans {method} and {best} cannot be told apart ({noise}): {figures}. The simpler one is safe."
