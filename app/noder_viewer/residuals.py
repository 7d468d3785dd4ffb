"""The residual of each scan as a bar: what is shown of a fit's scores, and in what words. Pure functions, no Qt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from noder_viewer.ticks import words

if TYPE_CHECKING:
    from noder.fit import FitResult

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """A score, the label of the bars' axis, and whether a bar is what is missing to 1: higher is then always worse."""

    title: str
    label: str
    to_1: bool

    def height(self, value: float) -> float:
        """How high a bar for a score is."""
        return max(1 - value, 0.0) if self.to_1 else value


METRICS: dict[str, Metric] = {
    "nrmse": Metric("NRMSE", "NRMSE", to_1=False),
    "ssim": Metric("SSIM", "1 − SSIM", to_1=True),
    "ncc": Metric("NCC", "1 − NCC", to_1=True),
}
"""Name in the scores (in the mask: with `_mask`) -> how it is drawn."""


@dataclass(frozen=True)
class Residual:
    """A scan's scores in the mask by name of the metric; `rule` says what its prediction was made from."""

    time: float
    name: str
    role: str
    rule: str
    scores: Mapping[str, float]
    extrapolated: bool = False

    def height(self, metric: str) -> float | None:
        """How high its bar is; None without that score."""
        value = self.scores.get(metric, math.nan)
        return METRICS[metric].height(value) if math.isfinite(value) else None

    def words(self, metric: str, unit: str) -> str:
        """What the bar says: value, scan, role, and how it was predicted."""
        measure = "" if unit in ("", "index") else f" {unit}"
        value = f"{METRICS[metric].title} {self.scores[metric]:.4f} in the mask"
        role = f"{self.role}, extrapolated" if self.extrapolated else self.role
        return f"{value}\n{self.name}, t = {self.time:.6g}{measure}\n{role}\n{self.rule}".rstrip()


def residuals_of(rows: Sequence[Row], carry: str, names: Sequence[str]) -> list[Residual]:
    """The bars of report rows, as `noder.evaluate.rows_of` makes them, for a rule of carrying; `names` of all scans."""
    return [_residual(row, carry, names[row["index"]]) for row in rows if isinstance(row.get(carry), Mapping)]


def is_complete(result: FitResult, carry: str) -> bool:
    """Whether the report holds every score that can be drawn: not of a stopped fit, nor of an earlier version's."""
    report = result.report
    if report is None:
        return False
    scored = [row[carry] for row in report.rows if isinstance(row.get(carry), Mapping)]
    return bool(scored) and all(f"{metric}_mask" in scores for scores in scored for metric in METRICS)


def top_of(residuals: Sequence[Residual], metric: str) -> float:
    """The upper end of the bars' axis: round, and not below the highest bar."""
    highest = max((residual.height(metric) or 0.0 for residual in residuals), default=0.0)
    return _round_up(highest) if highest > 0 else 1.0


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(f * power for f in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if f * power >= value * (1 - 1e-9))


def tick(value: float) -> str:
    """A number of the bars' axis."""
    return words(value)


def _residual(row: Row, carry: str, name: str) -> Residual:
    scores = {metric: float(row[carry][key]) for metric in METRICS if (key := f"{metric}_mask") in row[carry]}
    rule = "the first scan carried" if carry == "first" else str(row["rule"])
    return Residual(float(row["time"]), name, str(row["role"]), rule, scores, bool(row.get("extrapolated")))
