"""What a fit will do and what speaks against it, before it runs: facts, concerns, and what can be done about them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool3d

from noder.errors import NoderError
from noder.estimate import duration, estimate, remedy, together
from noder.fit_config import FitConfig, seen_scans
from noder.preprocess import Mask, foreground, match, read_mask
from noder.series import OFFER_TO_ALIGN, ImageSeries

REMEDIES: dict[str, str] = {
    "align": "Align rigidly",
    "mask": "One mask for all",
    "match": "Match brightness",
    "half": "Half resolution",
    "linear": "Linear model",
    "drop": "Drop scan {}",
}
"""What can be done about a concern, by name, as a button says it; "drop 5" is done to scan 5."""

LINEAR = ("geodesic", "piecewise")
UNLIKE = 0.6
"""Correlation with the first scan, in the mask at low resolution, under which a scan is called unlike it."""
STEADY = 0.8
"""Gains between this and its inverse need no word."""
_NEAR = 0.02
"""Part of the usual gap in time under which two scans count as made at one time."""
_LONG_S = 900.0
_LOOK_AXIS = 48


@dataclass(frozen=True)
class ScanLook:
    """What one scan looks like in the mask beside the first, neither carried to the other.

    `median`, `low` and `high` (5th and 95th percentile) are grey levels; `gain` and `offset` would give it the first
    one's mean and spread; `correlation` with it at low resolution; `shift_mm` between the centres of brightness.
    """

    index: int
    name: str
    median: float
    low: float
    high: float
    gain: float
    offset: float
    correlation: float
    shift_mm: float


@dataclass(frozen=True)
class Look:
    """What reading the scans has shown; `mask_share` is the part of the volume inside the mask."""

    scans: tuple[ScanLook, ...]
    mask_name: str
    mask_share: float


@dataclass(frozen=True)
class Concern:
    """A sentence that speaks against the fit as it would start now, and names of `REMEDIES`, with a number for drop."""

    sentence: str
    remedies: tuple[str, ...] = ()
    is_warning: bool = True


@dataclass(frozen=True)
class Card:
    """`facts`: what will happen, each with its title."""

    facts: tuple[tuple[str, str], ...]
    concerns: tuple[Concern, ...]


def look(series: ImageSeries, mask: Path | None = None, exclude: Collection[int] = ()) -> Look:
    """Read the scans that are used. Raises InputError for scans or a mask that cannot be read."""
    used = [k for k in range(len(series)) if k not in exclude]
    inside, name = _mask(series, mask, used)
    first, coarse_mask = series.reference.image.numpy(), _coarse(torch.from_numpy(inside.astype(np.float32)))
    coarse_first = _coarse(torch.from_numpy(first))
    scans = []
    for k in used:
        volume = series.scans[k].image.numpy()
        low, median, high = np.percentile(volume[inside], (5, 50, 95)).tolist()
        gain = match(volume, first, inside)
        coarse = _coarse(torch.from_numpy(volume))
        alike = _correlation(coarse, coarse_first, coarse_mask > 0.5)
        shift = _shift(series, _bright(coarse, coarse_mask), _bright(coarse_first, coarse_mask))
        label = series.scans[k].image.name
        scans.append(ScanLook(k, label, median, low, high, gain.gain, gain.offset, alike, shift))
    return Look(tuple(scans), name, float(inside.mean()))


def card(series: ImageSeries, config: FitConfig, seen: Look, seeds: int = 1) -> Card:
    """The card of a fit; nothing is read. Raises UsageError for a configuration that cannot be meant."""
    config = config.resolved()
    facts = (
        ("Scans", _scans(series, config)),
        ("Grid", _grid(series)),
        ("Times", _times(series)),
        ("Brightness", _brightness(config, seen)),
        ("Mask", f"{seen.mask_name}, {100 * seen.mask_share:.0f} % of the volume"),
        ("Takes", together([estimate(series, config)] * seeds).words()),
    )
    concerns = [
        *_too_few(series, config),
        *_near_times(series, config),
        *_apart(series, config, seen),
        *_drift(config, seen),
        *_no_mask(config, seen),
        *_too_much(series, config),
    ]
    return Card(facts, tuple(concerns))


def remedy_words(name: str) -> str:
    """A remedy as a button says it."""
    word, _, number = name.partition(" ")
    return REMEDIES[word].format(number)


def format_card(made: Card) -> str:
    """A card as text for the command line."""
    lines = [f"{title.lower():<12} {words}" for title, words in made.facts]
    lines += [f"{'warning' if c.is_warning else 'note'}: {c.sentence}" for c in made.concerns]
    return "\n".join(lines)


# Facts


def _scans(series: ImageSeries, config: FitConfig) -> str:
    seen = len(seen_scans(series, config))
    words = [f"{seen} seen"]
    words += [f"{len(config.hold_out)} held out"] if config.hold_out else []
    words += [f"{len(config.exclude)} left out"] if config.exclude else []
    return ", ".join(words)


def _grid(series: ImageSeries) -> str:
    grid = series.grid
    shape, spacing = " x ".join(map(str, grid.shape)), " x ".join(f"{h:.3g}" for h in grid.spacing)
    stored = list(dict.fromkeys(scan.image.raw.stored_grid.orientation for scan in series.scans))
    words = f"{shape} voxels of {spacing} mm, stored {' and '.join(stored)}"
    moved = sum(scan.image.is_resampled and scan.image.alignment is None for scan in series.scans)
    aligned = sum(scan.image.alignment is not None for scan in series.scans)
    words += f"; {moved} of {len(series)} resampled onto the first" if moved else ""
    words += f"; {aligned} of {len(series)} aligned to the first" if aligned else ""
    return words if moved or aligned else f"{words}; none needs resampling"


def _times(series: ImageSeries) -> str:
    unit = "" if series.unit == "index" else f" {series.unit}"
    sources = list(dict.fromkeys(scan.time_source for scan in series.scans))
    told = ", ".join(sources[:2]) + (f" and {len(sources) - 2} more sources" if len(sources) > 2 else "")
    return f"{series.times[0]:.6g} to {series.times[-1]:.6g}{unit}, from: {told}"


def _brightness(config: FitConfig, seen: Look) -> str:
    gains = [scan.gain for scan in seen.scans[1:]] or [1.0]
    medians = [scan.median for scan in seen.scans]
    told = f"median {min(medians):.4g} to {max(medians):.4g}, gain to the first {min(gains):.2f} to {max(gains):.2f}"
    return f"{told}; {'matched' if config.match_intensity else 'not matched'}"


# Concerns


def _too_few(series: ImageSeries, config: FitConfig) -> list[Concern]:
    n = len(seen_scans(series, config))
    if n > 3 or config.method in LINEAR:
        return []
    return [Concern(f"The fit sees {n} scans: with so few the linear model is the safe one.", ("linear",))]


def _near_times(series: ImageSeries, config: FitConfig) -> list[Concern]:
    used = [k for k in range(len(series)) if k not in config.exclude]
    gaps = [(series.times[b] - series.times[a], a, b) for a, b in pairwise(used)]
    found = [] if len(gaps) < 2 else [g for g in gaps if g[0] < _NEAR * float(np.median([gap for gap, _, _ in gaps]))]
    concerns = [
        Concern(f"Scans {a} and {b} were made at nearly one time ({gap:.3g} {series.unit} apart).", (f"drop {b}",))
        for gap, a, b in found
    ]
    if {scan.time_source for scan in series.scans} == {"index"}:
        words = "No file tells the times, so that scans count as equally far apart: type them into the table if not."
        concerns.append(Concern(words, is_warning=False))
    return concerns


def _apart(series: ImageSeries, config: FitConfig, seen: Look) -> list[Concern]:
    align = ("align",) if config.align == "none" and all(s.image.alignment is None for s in series.scans) else ()
    note = next((note for note in series.notes if note.endswith(OFFER_TO_ALIGN)), "")
    concerns = [Concern(f"Scans are {note.partition(';')[0]}.", align)] if note and align else []
    unlike = [scan for scan in seen.scans[1:] if scan.correlation < UNLIKE]
    for scan in unlike[:3]:
        words = (
            f"Scan {scan.index} is unlike the first (correlation {scan.correlation:.2f}, centres {scan.shift_mm:.1f} "
            "mm apart): it lies elsewhere, or its motion is large."
        )
        concerns.append(Concern(words, (*(() if note else align), f"drop {scan.index}")))
    if len(unlike) > 3:
        concerns.append(Concern(f"{len(unlike) - 3} more scans are unlike the first.", () if note else align))
    return concerns


def _drift(config: FitConfig, seen: Look) -> list[Concern]:
    away = [scan for scan in seen.scans[1:] if not STEADY <= scan.gain <= 1 / STEADY]
    if not away or config.match_intensity:
        return []
    worst = max(away, key=lambda scan: abs(math.log(max(scan.gain, 1e-6))))
    words = f"Brightness drifts: scan {worst.index} needs a gain of {worst.gain:.2f} to look like the first"
    return [Concern(f"{words}, and it would be taken for anatomy.", ("match",))]


def _no_mask(config: FitConfig, seen: Look) -> list[Concern]:
    if config.mask is not None:
        return []
    if config.align != "none":
        words = "No mask: neck, table and air count in the alignment too."
        return [Concern(words, ("mask",))]
    words = "No mask: each fit estimates its own from the scans it sees, so that scores of fits differ in their voxels."
    return [Concern(words, ("mask",), is_warning=False)]


def _too_much(series: ImageSeries, config: FitConfig) -> list[Concern]:
    can_halve = getattr(config.settings, "fine_iterations", 0) > 0
    half = ("half",) if can_halve else ()
    try:
        words = remedy(series, config)
    except NoderError:
        return []
    if words:
        return [Concern(words, half)]
    takes = estimate(series, config).seconds
    if takes > _LONG_S and can_halve:
        return [Concern(f"This takes {duration(takes)}.", half, is_warning=False)]
    return []


# What is looked at


def _mask(series: ImageSeries, path: Path | None, used: Sequence[int]) -> tuple[Mask, str]:
    if path is not None:
        return read_mask(path, series.grid)[0], path.name
    return foreground([series.scans[k].image.numpy() for k in used], series.grid), "estimated"


def _coarse(volume: Tensor) -> Tensor:
    """(i,j,k): block means, `_LOOK_AXIS` voxels along an axis or a little more."""
    factors = [max(1, n // _LOOK_AXIS) for n in volume.shape]
    found: Tensor = avg_pool3d(volume[None, None], factors)[0, 0]
    return found


def _correlation(one: Tensor, other: Tensor, inside: Tensor) -> float:
    if int(inside.sum()) < 2:
        return 1.0
    a, b = one[inside].double(), other[inside].double()
    a, b = a - a.mean(), b - b.mean()
    norm = float(a.norm() * b.norm())
    return float((a * b).sum()) / norm if norm > 0 else 1.0


def _bright(coarse: Tensor, mask: Tensor) -> Tensor:
    """What stands out over the darkest voxel of the mask; 0 outside of it."""
    inside = mask > 0.5
    return coarse if not bool(inside.any()) else (coarse - coarse[inside].min()).clamp(min=0) * inside


def _shift(series: ImageSeries, one: Tensor, other: Tensor) -> float:
    """Millimetres between the centres of brightness of two coarse images."""
    steps = [h * n / m for h, n, m in zip(series.grid.spacing, series.grid.shape, one.shape, strict=True)]
    away = [(_centre(one, axis) - _centre(other, axis)) * step for axis, step in enumerate(steps)]
    return math.hypot(*away)


def _centre(volume: Tensor, axis: int) -> float:
    weights = volume.double().sum(dim=[k for k in range(3) if k != axis])
    total = float(weights.sum())
    return float((weights * torch.arange(len(weights))).sum()) / total if total > 0 else 0.0
