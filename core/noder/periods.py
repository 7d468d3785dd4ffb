"""Periodic time, such as a heart beat: how long a cycle is, who says so, and how nearly a fitted map closes it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from noder.errors import InputError
from noder.image import stem_of
from noder.preprocess import Mask
from noder.series import ImageSeries
from noder.thinned import thinned
from noder.times import SECONDS, as_float, read_json, unit_named
from noder.trajectory import Trajectory

KEY = "Period"
"""In a JSON sidecar: the length of a cycle in "TimeUnit"."""

_JUMP_VOXELS = 60_000


@dataclass(frozen=True)
class Period:
    """The length of a cycle in the series' unit; `source` says where it came from, `stated` whether a file says it."""

    length: float
    source: str
    stated: bool


@dataclass(frozen=True)
class Jump:
    """Distance in mm between the map a period after the reference and the identity, over the mask: mean and largest.

    0 would close the cycle. `extrapolated`: no scan was seen that late, so the map there is a guess.
    """

    mean_mm: float
    max_mm: float
    extrapolated: bool


def known_period(series: ImageSeries) -> Period | None:
    """What a sidecar beside the first scan says, else the volumes times the step of one 4-D file; None: nobody knows.

    Volumes times step is a cycle only if the file holds one whole: `source` says so. Raises InputError for a sidecar
    whose period is no length.
    """
    return _of_sidecar(series) or _of_steps(series)


def jump_at(trajectory: Trajectory, period: float, mask: Mask) -> Jump:
    """How far the map a period after the reference is from the identity, on about sixty thousand voxels.

    Raises UsageError where that time lies far outside the scans.
    """
    few, t = thinned(trajectory.grid, _JUMP_VOXELS), trajectory.t_first + period
    inside = torch.from_numpy(np.ascontiguousarray(few.pick_mask(mask)))
    distance = trajectory.field(few.grid, t).u.norm(dim=0)[inside]
    return Jump(float(distance.mean()), float(distance.max()), trajectory.is_extrapolated(t))


def _of_sidecar(series: ImageSeries) -> Period | None:
    path = series.reference.image.path
    sidecar = None if path is None else path.with_name(f"{stem_of(path)}.json")
    described = read_json(sidecar) if sidecar is not None and sidecar.is_file() else {}
    if sidecar is None or KEY not in described:
        return None
    length = as_float(described[KEY])
    if length is None or not (length > 0 and math.isfinite(length)):
        raise InputError(f"{sidecar}: {KEY} '{described[KEY]}' is no length of time. Give a number above 0.")
    unit = unit_named(str(described.get("TimeUnit", "")))
    if unit in SECONDS and series.unit in SECONDS:
        length *= SECONDS[unit] / SECONDS[series.unit]
    elif unit != series.unit:
        return None  # the times are in another measure than the file's, so that its number says nothing
    return Period(length, sidecar.name, stated=True)


def _of_steps(series: ImageSeries) -> Period | None:
    images = [scan.image for scan in series.scans]
    one_file = len({image.path for image in images}) == 1 and all(image.volume is not None for image in images)
    if not one_file or len(images) < 2:
        return None
    steps = np.diff(series.times) / np.diff(series.frames)
    step = float(steps[0])
    if not (step > 0 and np.allclose(steps, step, rtol=1e-6)):
        return None
    source = f"{series.n_given} volumes of {step:.4g} {series.unit}, if they are one whole cycle"
    return Period(series.n_given * step, source, stated=False)
