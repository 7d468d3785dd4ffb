"""How well a pair is registered, before and after: correlation, labels, landmarks, and what the map does to space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.errors import InputError
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.image import Image
from noder.landmarks import Landmarks
from noder.metrics import dice
from noder.pair import FIXED, MOVING, Pair
from noder.register import Registration
from noder.registration.pair import correlation_of

SHOWN_AT = (0.25, 0.5, 0.75, 1.0)
"""Places on the timeline whose folds are counted."""
SCORES = (
    "ncc", "dice", "dice_mean", "tre_mean_mm", "tre_median_mm", "tre_max_mm", "folds_percent", "folds_percent_at",
    "min_determinant", "sd_log_jacobian", "inverse_consistency_mm", "seconds", "peak_gib", "initial",
)  # fmt: skip
"""All that `scores` may find."""


@dataclass(frozen=True)
class Truth:
    """What is known of a pair beside its images; None where it is not."""

    fixed_labels: Path | None = None
    moving_labels: Path | None = None
    landmarks: Landmarks | None = None

    def check(self) -> None:
        """Raise InputError for labels of one image alone."""
        if (self.fixed_labels is None) != (self.moving_labels is None):
            missing = "--moving-labels" if self.moving_labels is None else "--fixed-labels"
            raise InputError(f"Labels of one image alone score nothing: give {missing} too.")


def scores(registration: Registration, truth: Truth) -> dict[str, Any]:
    """The final scores, and those of the initial transform under "initial"; lengths in mm."""
    pair, trajectory = registration.pair, registration.fit.trajectory
    field = trajectory.field(pair.frame, 1.0)
    still = DisplacementField(torch.zeros_like(field.u), pair.frame)
    mask = torch.from_numpy(pair.mask)
    n = int(mask.sum())
    over = {f"{s:g}": round(100 * trajectory.field(pair.frame, s).folds(mask) / n, 6) for s in SHOWN_AT[:-1]}
    folds = round(100 * field.folds(mask) / n, 6)
    return {
        **_of_map(pair, field, truth),
        "folds_percent": folds,
        "folds_percent_at": {**over, "1": folds},
        "min_determinant": round(float(field.corner_determinant()[mask].min()), 4),
        "sd_log_jacobian": _sd_log(field.jacobian_determinant()[mask]),
        "inverse_consistency_mm": _consistency(registration, field, mask),
        "seconds": round(registration.fit.provenance.seconds, 2),
        "peak_gib": _gib(registration.fit.provenance.peak_memory_mib),
        "initial": _of_map(pair, still, truth),
    }


def _of_map(pair: Pair, field: DisplacementField, truth: Truth) -> dict[str, Any]:
    found: dict[str, Any] = {"ncc": _ncc(pair, field)}
    if truth.fixed_labels is not None and truth.moving_labels is not None:
        overlap = _dice(pair, field, truth.fixed_labels, truth.moving_labels)
        found["dice"] = {str(label): round(value, 4) for label, value in overlap.items()}
        found["dice_mean"] = round(float(np.nanmean(list(overlap.values()))), 4)
    if truth.landmarks is not None:
        away = target_errors(pair, field, truth.landmarks)
        found["tre_mean_mm"] = round(float(away.mean()), 4)
        found["tre_median_mm"] = round(float(np.median(away)), 4)
        found["tre_max_mm"] = round(float(away.max()), 4)
    return found


def target_errors(pair: Pair, field: DisplacementField, landmarks: Landmarks) -> NDArray[np.float64]:
    """(N,): distance in mm between each moving landmark and where its fixed one is carried to."""
    points = torch.from_numpy(landmarks.fixed)
    carried = pair.to_moving(points + field.at(points))
    away: NDArray[np.float64] = (carried - torch.from_numpy(landmarks.moving)).norm(dim=-1).numpy()
    return away


def _ncc(pair: Pair, field: DisplacementField) -> float:
    moving, fixed = (pair.series.scans[k].image for k in (MOVING, FIXED))
    warped = field.warp(moving.tensor(), pair.frame)[0].numpy()
    return round(correlation_of(fixed.numpy()[pair.mask].astype(float), warped[pair.mask].astype(float)), 5)


def _dice(pair: Pair, field: DisplacementField, fixed: Path, moving: Path) -> dict[int, float]:
    """On the voxels of the fixed labels; the moving ones are read once, at their nearest voxel."""
    ours, theirs = Image.open(fixed), Image.open(moving)
    grid: Grid = ours.grid
    points: Tensor = grid.points()
    carried = pair.to_moving(points + field.at(points))
    warped = theirs.grid.sample(theirs.tensor(), carried, outside="zero", nearest=True)[0].numpy()
    return dice(ours.numpy().round().astype(np.int64), warped.round().astype(np.int64))


def _sd_log(determinant: Tensor) -> float | None:
    """Of log J over what does not fold."""
    positive = determinant[determinant > 0]
    return round(float(positive.double().log().std()), 4) if len(positive) > 1 else None


def _consistency(registration: Registration, field: DisplacementField, mask: Tensor) -> float:
    """Mean |phi^-1(phi(x)) - x| in the mask, of the inverse that is written, as files are read: linear."""
    pair = registration.pair
    every = (2, 2, 2) if min(pair.frame.shape) > 8 else (1, 1, 1)
    inverse = registration.fit.trajectory.inverse_field(pair.frame, 1.0)
    points = pair.frame.points()[tuple(slice(None, None, k) for k in every)]
    inside = mask[tuple(slice(None, None, k) for k in every)]
    there = points[inside]
    there = there + field.at(there)
    back = there + inverse.at(there)
    return round(float((back - points[inside]).norm(dim=-1).mean()), 5)


def _gib(mib: float | None) -> float | None:
    return None if mib is None else round(mib / 1024, 3)
