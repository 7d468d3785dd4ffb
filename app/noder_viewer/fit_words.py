"""A row of the list of fits in words: its state, its main figure, all of it. Pure functions, no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from noder_viewer.fit_rows import FitRow

if TYPE_CHECKING:
    from noder.fit import FitProgress, FitResult

LEAVE_ONE_OUT = "leave-one-out"
"""The stage of a leave-one-out's progress, which counts refits in hundredths."""


def status_words(row: FitRow, progress: FitProgress | None = None) -> str:
    """The state of a row in few words; `progress` of the one that runs."""
    if row.is_active:
        return _active_words(row, progress)
    if row.status == "failed":
        return f"failed: {row.error}"
    if row.result is not None:
        folds = folds_words(row.result) if row.result.report is not None else "not scored"
        seeds = f"{row.result.n_seeds} seeds, " if row.result.n_seeds > 1 else ""
        return f"{row.status}, {folds}, {seeds}{duration(row.result.provenance.seconds)}"
    if row.left_out is not None:
        return f"{row.status}, {len(row.left_out.rows)} scans left out"
    return row.status


def _active_words(row: FitRow, progress: FitProgress | None) -> str:
    if progress is None or not progress.total:
        return row.status
    words = f"{'' if row.status == 'running' else row.status} {percent(progress)} %".strip()
    return words if progress.seconds_left is None else f"{words}, {duration(progress.seconds_left)} left"


def percent(progress: FitProgress) -> int:
    """How much is done."""
    return int(100 * progress.step / progress.total) if progress.total else 0


def duration(seconds: float) -> str:
    """Seconds up to two minutes, else minutes."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def folds_words(result: FitResult) -> str:
    """Folds at full size; those that are counted during a fit, on its coarser grid, would say too little."""
    if result.report is None:
        return "folds not counted at full size"
    n = max((int(row.get("folds", 0)) for row in result.report.rows), default=result.report.folds)
    return "no folds" if n == 0 else f"{n} folded voxels"


def main_score(row: FitRow) -> float | None:
    """Mean NRMSE in the mask over the held-out scans (the seen ones where none was), predicted by the neighbours."""
    if row.left_out is not None:
        return _value(row.left_out.within.get(row.left_out.method, {}))
    report = None if row.result is None else row.result.report
    return None if report is None else _value(report.summary.get("neighbours", {}))


def _value(scores: dict[str, Any]) -> float | None:
    value = scores.get("nrmse_mask")
    return None if value is None else float(value)


def tip(row: FitRow) -> str:
    """All that a line has no room for."""
    choice, asked = row.asked.choice, row.asked
    lines = [f"{choice.method}, preset {choice.preset}, seed {choice.seed}"]
    weight = getattr(choice.settings, "smoothness", None)
    lines += [] if weight is None else [f"smoothness weight {weight:g}"]
    lines += [f"held out: {_listed(asked.hold_out)}"] if asked.hold_out else []
    lines += [f"left out altogether: {_listed(asked.exclude)}"] if asked.exclude else []
    lines += [f"aligned {choice.align}ly"] if choice.align != "none" else []
    lines += [f"saved in {row.saved_in}"] if row.saved_in is not None else []
    return "\n".join([*lines, *([row.error] if row.error else [])])


def _listed(positions: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(positions)))
