"""The sample cine, ED to ES, as a case of the quality tables: its box, its trivial rows, its scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from noder.image import Image
from noder.metrics import dice, nrmse, psnr, ssim
from noder.series import ImageSeries
from noder.trajectory import Trajectory
from noder_viewer.resources import sample_labels, sample_series

ED, ES = 2, 13
SLICES = slice(3, 15)
KEPT = {
    "2, 13": (2, 13),
    "2, 7, 13": (2, 7, 13),
    "2, 6, 10, 13": (2, 6, 10, 13),
    "every second": (2, 4, 6, 8, 10, 12),
}
REFERENCE = {
    "2, 13": ("nearest .175/.903/32.1", "blend .159/.915/32.5", "unchanged .291/.800/27.7"),
    "2, 7, 13": ("nearest .128/.945/34.4", "blend .106/.958/35.9", "unchanged .288/.802/27.9"),
    "2, 6, 10, 13": ("nearest .102/.962/36.4", "blend .074/.977/38.8", "unchanged .282/.808/28.2"),
    "every second": ("nearest .085/.974/37.6", "blend .041/.991/43.9", ""),
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Cine:
    """The sample series with `kept` phases; the other phases between the first and the last kept one are withheld."""

    kept: tuple[int, ...]

    @cached_property
    def series(self) -> ImageSeries:
        """Phases 2 to 13."""
        return ImageSeries.from_paths(sample_series())

    @cached_property
    def labels(self) -> list[np.ndarray]:
        """Label maps (I,J,K) of the phases, in closest RAS."""
        return [Image.open(sample_labels(), k).numpy() for k in range(ES - ED + 1)]

    @property
    def withheld(self) -> tuple[int, ...]:
        """Positions in the series of the scored phases."""
        return tuple(k - ED for k in range(ED, max(self.kept)) if k not in self.kept)

    @property
    def unseen(self) -> tuple[int, ...]:
        """Positions of all phases that the fit does not see."""
        return tuple(k - ED for k in range(ED, ES + 1) if k not in self.kept)

    def scores_of_fit(self, trajectory: Trajectory) -> dict[str, Row]:
        """Means over the withheld phases of what is predicted in both ways."""
        image, times = self.series.reference.image, self.series.times
        found: dict[str, Row] = {}
        for carry in ("neighbours", "first"):
            rows = []
            for k in self.withheld:
                predicted = trajectory.predict(times[k], carry=carry, exact=True)[0].numpy()
                source = 0 if carry == "first" else self._nearest(k)
                rows.append(self._row(k, image.to_stored(predicted), self._carried(trajectory, source, k)))
            found[carry] = _mean(rows)
        return found

    def trivial(self) -> dict[str, Row]:
        """Means over the withheld phases of what needs no fit."""
        stored = [scan.image.to_stored(scan.image.numpy()) for scan in self.series.scans]
        found: dict[str, list[Row]] = {"linear blend": [], "nearest scan": [], "first scan unchanged": []}
        for k in self.withheld:
            before, after = self._around(k)
            part = (k - before) / (after - before)
            near = self._nearest(k)
            blend = (1 - part) * stored[before] + part * stored[after]
            found["linear blend"].append(self._row(k, blend, self.labels[near]))
            found["nearest scan"].append(self._row(k, stored[near], self.labels[near]))
            found["first scan unchanged"].append(self._row(k, stored[0], self.labels[0]))
        return {name: _mean(rows) for name, rows in found.items()}

    def _carried(self, trajectory: Trajectory, source: int, k: int) -> np.ndarray:
        """The labels of scan `source` pulled to scan k, by nearest voxel."""
        t_a, t_b, grid = self.series.times[source], self.series.times[k], self.series.grid
        points = grid.points()
        where = points + trajectory.between(points, t_a, t_b)
        labels = torch.from_numpy(self.labels[source].astype(np.float32))[None]
        return grid.sample(labels, where, nearest=True)[0].numpy()

    def _row(self, k: int, predicted: np.ndarray, labels: np.ndarray) -> Row:
        image = self.series.reference.image
        true = self.series.scans[k].image
        truth, test = image.to_stored(true.numpy())[self._box], predicted[self._box]
        overlap = dice(*(image.to_stored(m)[..., SLICES] for m in (labels, self.labels[k])), labels=(1, 2))
        spread = float(np.ptp(truth))
        return {
            "nrmse": nrmse(truth, test), "ssim": ssim(truth, test, spread), "psnr": psnr(truth, test, spread),
            "cavity": overlap[1], "myocardium": overlap[2],
        }  # fmt: skip

    @cached_property
    def _box(self) -> tuple[slice, slice, slice]:
        """The box of ED's labels in the stored order, 10 voxels wider in plane."""
        where = np.nonzero(self.series.reference.image.to_stored(self.labels[0]))
        x, y = (slice(max(0, w.min() - 10), w.max() + 11) for w in where[:2])
        return x, y, SLICES

    def _around(self, k: int) -> tuple[int, int]:
        seen = [phase - ED for phase in self.kept]
        return max(s for s in seen if s < k), min(s for s in seen if s > k)

    def _nearest(self, k: int) -> int:
        return min((phase - ED for phase in self.kept), key=lambda s: abs(s - k))


def _mean(rows: list[Row]) -> Row:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
