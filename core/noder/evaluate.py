"""How well a fit predicts its scans, row by row, beside what costs nothing: the trivial predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.grid import Grid
from noder.labels import LabelMap, carried, label_volumes
from noder.linearity import linearity_index
from noder.metrics import SCORES, dice, similarity_scores
from noder.preprocess import Gain, Mask, match, read_on_grid
from noder.series import ImageSeries
from noder.trajectory import Carry, Trajectory

Row = dict[str, Any]

_SLAB = 16

PREDICTORS: dict[str, str] = {
    "neighbours": "the seen scans before and after, carried along the flow and blended",
    "first": "the first scan carried along the flow",
    "blend": "linear blend of the seen scans before and after, not carried",
    "nearest": "the nearest seen scan, not carried",
    "unchanged": "the first scan, not carried",
}
"""Name of each predicted image of a row -> what it is. The last three need no fit."""

SAFE_MODEL = (
    "With three scans or fewer the linear model (method geodesic) is the safe one: it fits one rate of change a point, "
    "which two scans determine and a third one checks. A non-linear course has more freedom than so few scans can pin "
    "down; between them it may follow noise, and beyond them nothing holds it."
)


@dataclass(frozen=True)
class Report:
    """Scores of every scan (`rows`, in the order of the series), their means, and what the scans can support.

    `linearity` is the `linearity_index` of the trajectory; `spread` tells how far fits from several seeds differ, a row
    a time (`noder.spread`), and is empty for a fit from one seed.
    """

    rows: list[Row]
    summary: dict[str, dict[str, float]] = field(default_factory=dict)
    mask: str = ""
    folds: int = 0
    inverse_residual_mm: float = 0.0
    notes: tuple[str, ...] = ()
    linearity: float | None = None
    spread: list[Row] = field(default_factory=list)


def rows_of(
    trajectory: Trajectory,
    series: ImageSeries,
    exclude: Collection[int],
    gains: Mapping[int, Gain],
    mask: Mask,
    only: str | None = None,
) -> Iterator[Row]:
    """Score every scan but the excluded ones against its predictions, in the mask and over the whole volume.

    A held-out scan is matched to the carried reference here, after the fit; a seen one is predicted without itself.
    `only` one of `PREDICTORS`: no other is scored, and no folds are counted.
    """
    scorer = _Scorer(trajectory, series, gains, mask, only)
    for k in range(len(series.scans)):
        yield scorer.excluded(k) if k in exclude else scorer.row(k)


def report_of(trajectory: Trajectory, rows: list[Row], mask: Mask, mask_name: str) -> Report:
    """The report of finished rows."""
    residual = max((trajectory.inverse_residual(t) for t in trajectory.times[1:]), default=0.0)
    folds = max((int(row["folds"]) for row in rows if "folds" in row), default=0)
    linearity = linearity_index(trajectory, mask)
    return Report(rows, _summary(rows), mask_name, folds, residual, supports(trajectory, rows), linearity)


def match_at(trajectory: Trajectory, series: ImageSeries, index: int, mask: Mask, *, exact: bool = True) -> Gain:
    """The gain and offset that match a scan to the reference carried to its time; the reference itself stays.

    Not `exact`: to the reference as the screen shows it, for a fit that has been stopped and must answer at once.
    """
    if index == 0:
        return Gain()
    scan = series.scans[index]
    if exact:
        return match(scan.image.numpy(), predicted(trajectory, scan.time, carry="first")[0].numpy(), mask)
    return match(scan.image.numpy(), trajectory.predict(scan.time, carry="first")[0].numpy(), mask)


def predicted(trajectory: Trajectory, t: float, carry: Carry = "neighbours", without: int | None = None) -> Tensor:
    """`Trajectory.predict`, exact, on the reference's grid: slab by slab, since float64 points need much memory."""
    parts = [trajectory.predict(t, grid, carry, without=without, exact=True) for grid, _ in _slabs(trajectory.grid)]
    return torch.cat(parts, dim=1)


def _slabs(grid: Grid, halo: int = 0) -> Iterator[tuple[Grid, slice]]:
    """The grid in slabs across its first axis with `halo` planes around each, and which of its planes are its own."""
    n, (_, *ends) = grid.shape[0], grid.shape
    for start in range(0, n, _SLAB):
        stop = min(start + _SLAB, n)
        low, high = max(start - halo, 0), min(stop + halo, n)
        yield grid.crop((low, 0, 0), (high, ends[0], ends[1])), slice(start - low, stop - low)


def supports(trajectory: Trajectory, rows: Sequence[Row]) -> tuple[str, ...]:
    """Sentences on what these scans can and cannot support."""
    n, held = len(trajectory.scans), [row for row in rows if row["role"] == "held out"]
    notes = []
    if n == 2:
        notes.append(
            "Two scans were seen: they support a change between the two, not its course in time. What is shown between "
            "them is one smooth path of many, and no speed-up or slow-down can be told from it."
        )
        spread = rows[trajectory.scans[1].index]["log_jacobian_sd"]
        notes.append(
            f"log J spreads by {spread:.2f} (standard deviation in the mask), noise and anatomy in one: read growth "
            "over regions, not voxel by voxel."
        )
    elif n == 3:
        notes.append("Three scans were seen: one bend of the course in time can be told, and noise can look like one.")
    if n <= 3:
        notes.append(SAFE_MODEL)
    if not held:
        notes.append("No scan was held out: no row says how well times without a scan are predicted.")
    beyond = [row["index"] for row in held if row["extrapolated"]]
    if beyond:
        notes.append(
            f"Beyond the last seen scan: {_scans(beyond)}. These rows are extrapolation, which is least certain."
        )
    notes.append(
        f"Predictions before {trajectory.t_first:g} and after {trajectory.t_last:g} {trajectory.unit} "
        "are extrapolation: the course goes on as it was, and no scan has checked it."
    )
    folded = [row["index"] for row in rows if row.get("folds")]
    if folded:
        notes.append(f"The map folds at {_scans(folded)}: where it does, Jacobians mean nothing.")
    return tuple(notes)


def linearity_words(index: float) -> str:
    """A `linearity_index` as a sentence."""
    return (
        f"linearity index {index:.3f}: {100 * index:.1f} % of the squared displacement departs from motion at a "
        "constant rate (0 is linear)"
    )


def _scans(indices: Sequence[int]) -> str:
    return ("scan " if len(indices) == 1 else "scans ") + ", ".join(map(str, indices))


class _Scorer:
    """Rows of one fit; the truth of a row is its scan matched to the reference."""

    def __init__(
        self,
        trajectory: Trajectory,
        series: ImageSeries,
        gains: Mapping[int, Gain],
        mask: Mask,
        only: str | None = None,
    ) -> None:
        self.trajectory, self.series, self.gains, self.mask, self.only = trajectory, series, gains, mask, only
        self.matching = any(gain != Gain() for gain in gains.values())
        self.position = {scan.index: k for k, scan in enumerate(trajectory.scans)}

    def excluded(self, index: int) -> Row:
        """A row without scores."""
        scan = self.series.scans[index]
        return {
            "index": index,
            "name": scan.image.name,
            "time": scan.time,
            "role": "excluded",
            "rule": "not scored",
        }

    def row(self, index: int) -> Row:
        """Scores of one scan."""
        scan, without = self.series.scans[index], self.position.get(index)
        role = "held out" if without is None else "reference" if index == 0 else "seen"
        gain = self._gain(index)
        truth = gain(scan.image.tensor())[0].numpy()
        whole_range = float(truth.max() - truth.min())
        t = scan.time
        row: Row = {
            "index": index, "name": scan.image.name, "time": t, "role": role,
            "rule": self._rule(t, without), "extrapolated": self.trajectory.is_extrapolated(t),
            "gain": gain.gain, "offset": gain.offset,
        }  # fmt: skip
        for name, predicted in self._predictions(t, without).items():
            if self.only in (None, name):
                row[name] = similarity_scores(truth, predicted()[0].numpy(), whole_range, self.mask)
        return row if self.only else {**row, **self._folds(t)}

    def _gain(self, index: int) -> Gain:
        if index in self.gains or not self.matching:
            return self.gains.get(index, Gain())
        return match_at(self.trajectory, self.series, index, self.mask)

    def _rule(self, t: float, without: int | None) -> str:
        names = " and ".join(str(self.trajectory.scans[k].index) for k, _ in self.trajectory.carriers(t, without))
        return f"carried from scan {names}" + (", without itself" if without is not None else "")

    def _predictions(self, t: float, without: int | None) -> dict[str, Callable[[], Tensor]]:
        trajectory, scans = self.trajectory, self.trajectory.scans
        carriers = trajectory.carriers(t, without, by_residual=False)
        nearest = min((k for k in range(len(scans)) if k != without), key=lambda k: abs(scans[k].time - t))
        rows: dict[str, Callable[[], Tensor]] = {
            "neighbours": lambda: predicted(trajectory, t, without=without),
            "first": lambda: predicted(trajectory, t, carry="first"),
            "blend": lambda: torch.stack([w * scans[k].volume for k, w in carriers]).sum(0),
            "nearest": lambda: scans[nearest].volume,
            "unchanged": lambda: scans[0].volume,
        }
        if without == 0:  # the first scan, carried to its own time or not, is itself
            del rows["first"], rows["unchanged"]
        return rows

    def _folds(self, t: float) -> Row:
        slabs = [  # a determinant looks one plane to each side
            self.trajectory.field(grid, t).corner_determinant()[own] for grid, own in _slabs(self.series.grid, halo=1)
        ]
        least = torch.cat(slabs)
        growth = [self.trajectory.jacobian(t, grid, exact=True) for grid, _ in _slabs(self.series.grid)]
        folded = least <= 0
        return {
            "folds": int(folded.sum()),
            "folds_mask": int((folded & torch.from_numpy(self.mask)).sum()),
            "smallest_determinant": float(least.min()),
            "log_jacobian_sd": _growth_spread(torch.cat(growth).numpy()[self.mask]),
        }


def _growth_spread(jacobian: NDArray[np.float32]) -> float:
    """Standard deviation of log J over the voxels that do not fold."""
    growth = jacobian[jacobian > 0]
    return float(np.log(growth).std(dtype=np.float64)) if growth.size else float("nan")


def _summary(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Mean of each score over the held-out rows, or over the seen ones where none was held out."""
    chosen = [row for row in rows if row["role"] == "held out"] or [row for row in rows if row["role"] == "seen"]
    summary: dict[str, dict[str, float]] = {}
    for name in PREDICTORS:
        scores = [row[name] for row in chosen if name in row]
        if scores:
            keys = [key for key in scores[0] if key.removesuffix("_mask") in SCORES]
            summary[name] = {key: float(np.mean([score[key] for score in scores])) for key in keys}
    return summary


def label_rows(trajectory: Trajectory, series: ImageSeries, labels: Path) -> list[Row]:
    """Dice by label of the reference's labels carried to each scan, beside the labels not carried.

    `labels` is one 4-D file with a volume for each scan of the series, or for each scan of what the series was
    selected from. Raises InputError for another number of volumes.
    """
    volumes = label_volumes(series, labels)
    maps = [
        read_on_grid(labels, series.grid, volume, scan.image.alignment)[0]
        for volume, scan in zip(volumes, series.scans, strict=True)
    ]
    return [_label_row(trajectory, series, maps, k) for k in range(len(maps))]


def carried_labels(trajectory: Trajectory, labels: NDArray[Any], t: float) -> NDArray[Any]:
    """The reference's label map (I,J,K) pulled to t: each label's indicator is interpolated, the largest wins."""
    return carried(trajectory, LabelMap(labels.astype(np.int32), trajectory.grid, trajectory.t_first, "labels"), t)


def _label_row(trajectory: Trajectory, series: ImageSeries, maps: Sequence[NDArray[Any]], k: int) -> Row:
    t = series.scans[k].time
    carried = carried_labels(trajectory, maps[0], t)
    return {
        "index": k,
        "time": t,
        "dice": _known(dice(carried, maps[k])),
        "dice_not_carried": _known(dice(maps[0], maps[k])),
    }


def _known(scores: Mapping[int, float]) -> dict[str, float]:
    return {str(label): score for label, score in scores.items() if not math.isnan(score)}
