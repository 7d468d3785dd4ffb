"""How far fits from several seeds differ: what of a fitted course is certain, and what chance has put there."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noder.errors import UsageError
from noder.fit import FitProgress, FitResult, Watch, fit_steps
from noder.fit_config import FitConfig
from noder.methods.svf import SvfSettings
from noder.series import ImageSeries
from noder.trajectory import Trajectory

Row = dict[str, Any]
Steps = Generator[FitProgress, bool | None, FitResult]

MOST_SEEDS = 20
BEYOND_SPANS = 0.5
"""How far beyond the last seen scan, in spans, the spread of the extrapolation is told."""


def seeds_steps(
    series: ImageSeries, config: FitConfig, seeds: int, checkpoint: Path | None = None, resume: bool = False
) -> Steps:
    """`fit_steps`, then the same from each of the next `seeds - 1` seeds: n seeds cost n times the time.

    The result is the first fit with `report.spread`, the maps of the others in `trajectory.others` and the seconds of
    all. Sending True during the first fit stops as in `fit_steps`, later it leaves the spread to the fits that are
    done. Raises as `fit_steps` does, and UsageError for a number of seeds that cannot be meant.
    """
    check_seeds(config, seeds)
    watch = Watch()
    result = yield from _among(fit_steps(series, config, checkpoint, resume), 0, seeds, watch)
    others: list[FitResult] = []
    for k in range(1, seeds):
        if result.stopped or result.report is None:
            return result
        other = yield from _among(fit_steps(series, replace(config, seed=config.seed + k)), k, seeds, watch)
        if other.stopped:
            break
        others.append(other)
    if not others:
        return result
    spread = with_spread(result, others)
    return replace(spread, provenance=replace(spread.provenance, seconds=watch.seconds))


def check_seeds(config: FitConfig, seeds: int) -> None:
    """Raise UsageError for a number of seeds that cannot be meant."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"{seeds} seeds cannot be used: give a number from 1 to {MOST_SEEDS}.")
    if seeds > 1 and isinstance(config.resolved().settings, SvfSettings):
        raise UsageError(f"There is no chance in the method {config.method}: all seeds give one fit. Use 1 seed.")


def with_spread(result: FitResult, others: Sequence[FitResult]) -> FitResult:
    """A scored result with the maps of the next seeds' fits, and in its report the spread over all of them."""
    if result.report is None:
        raise ValueError("a result without a report has no place for the spread")
    mask = torch.from_numpy(result.mask()[0])
    trajectories = [result.trajectory, *(other.trajectory for other in others)]
    rows = [
        {**place, **spread_at(trajectories, place["time"], mask, without)} for place, without in _places(result)
    ]  # fmt: skip
    report = replace(result.report, spread=rows, notes=(*result.report.notes, _sentence(rows, result.config.seed)))
    return replace(
        result,
        report=report,
        trajectory=result.trajectory.beside(trajectories[1:]),
        other_models=tuple(other.model for other in others),
    )


def spread_at(
    trajectories: Sequence[Trajectory], t: float, mask: Tensor, without: int | None = None
) -> dict[str, float]:
    """Standard deviations over the trajectories at a time, root mean square over the mask (I,J,K).

    `displacement_sd_mm` of the vector, beside `displacement_mm`, the root mean square of its mean; `prediction_sd` of
    the predicted image in its own units, and `prediction_sd_relative` over the root mean square of the mean prediction,
    which compares with NRMSE. `without`: as in `Trajectory.predict`.
    """
    moved = torch.stack([each.field(each.grid, t).u[:, mask].double() for each in trajectories])
    shown = torch.stack([each.predict(t, without=without)[0][mask].double() for each in trajectories])
    level = float(shown.mean(0).square().mean().sqrt())
    sd = float(shown.var(0).mean().sqrt())
    return {
        "displacement_sd_mm": float(moved.var(0).sum(0).mean().sqrt()),
        "displacement_mm": float(moved.mean(0).square().sum(0).mean().sqrt()),
        "prediction_sd": sd,
        "prediction_sd_relative": sd / level if level > 0 else float("nan"),
        "seeds": len(trajectories),
    }


def _places(result: FitResult) -> list[tuple[Row, int | None]]:
    """Every scan after the reference that is scored, and one time beyond the last; a seen one is left out of itself."""
    trajectory, found = result.trajectory, []
    position = {scan.index: k for k, scan in enumerate(trajectory.scans)}
    for row in result.report.rows if result.report is not None else []:
        if row["role"] in ("seen", "held out"):
            place = {key: row[key] for key in ("index", "time", "role", "extrapolated")}
            found.append((place, position.get(row["index"])))
    t = trajectory.t_last + BEYOND_SPANS * (trajectory.t_last - trajectory.t_first)
    return [*found, ({"index": None, "time": t, "role": "no scan", "extrapolated": True}, None)]


def _sentence(rows: Sequence[Row], first_seed: int) -> str:
    """The spread in words: where it was checked by nothing, it is the largest."""
    n, beyond = rows[0]["seeds"], rows[-1]
    within = [row for row in rows if not row["extrapolated"]]
    words = f"{n} fits from the seeds {first_seed} to {first_seed + n - 1} differ (standard deviation in the mask)"
    if within:
        most = max(within, key=lambda row: float(row["displacement_sd_mm"]))
        words += f" by {most['displacement_sd_mm']:.2f} mm at most within the scans"
    return (
        f"{words}{' and' if within else ''} by {beyond['displacement_sd_mm']:.2f} mm half a span beyond the last seen "
        "scan. It is the spread of chance alone: what all fits get wrong alike it does not show."
    )


def _among(steps: Steps, k: int, seeds: int, watch: Watch) -> Steps:
    """One fit's progress among that of all; a later one is neither shown nor scored."""
    try:
        progress = next(steps)
        while True:
            watch.add(max(0.0, progress.seconds - watch.seconds))  # those before a checkpoint that it goes on from
            if k and progress.stage == "scoring":
                progress = steps.send(True)
                continue
            told = _told(progress, k, seeds, watch.seconds)
            held_since = time.monotonic()
            wish = yield told
            watch.hold(held_since)
            progress = steps.send(wish)
    except StopIteration as end:
        result: FitResult = end.value
        return result


def _told(progress: FitProgress, k: int, seeds: int, so_far: float) -> FitProgress:
    left = progress.seconds_left
    if left is not None:
        left += (seeds - 1 - k) * (progress.seconds + left)
    return replace(
        progress,
        step=k * progress.total + progress.step,
        total=seeds * progress.total,
        stage=progress.stage if k == 0 else f"seed {k + 1} of {seeds}, {progress.stage}",
        seconds=so_far,
        seconds_left=left,
        trajectory=progress.trajectory if k == 0 else None,
    )
