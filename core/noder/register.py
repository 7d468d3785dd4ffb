"""Registration of a pair with NePhi: a generator that yields its progress and returns its result."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import cast

import torch

from noder.fit import FitProgress, FitResult, is_out_of_memory, make_trajectory, out_of_memory
from noder.fit_config import FitConfig, check, choose_device
from noder.methods import NephiSettings, Problem
from noder.methods.nephi import NephiFit
from noder.pair import Pair
from noder.preprocess import standardised
from noder.provenance import Provenance

SETTINGS = NephiSettings()
_SNAPSHOT_EVERY_S = 0.5


@dataclass(frozen=True)
class Registration:
    """A registered pair. `fit` is the series of two times that the window and the exports know: 0 moving, 1 fixed."""

    pair: Pair
    fit: FitResult


def register_steps(
    pair: Pair,
    settings: NephiSettings = SETTINGS,
    seed: int = 0,
    device: str = "auto",
    max_seconds: float | None = None,
) -> Generator[FitProgress, bool | None, Registration]:
    """Register; sending True stops, and so does `max_seconds`: it then returns the map that it has.

    Lengths in `settings` are voxels of the fixed image, whatever the frame. Raises InputError for images that cannot be
    compared, UsageError for settings that cannot be meant, OutOfMemory.
    """
    config = FitConfig(method="nephi", settings=scaled(settings, pair), seed=seed, device=device).resolved()
    check(pair.series, config)
    try:
        return (yield from _steps(pair, config, max_seconds))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        on_gpu = isinstance(error, torch.OutOfMemoryError)
    raise out_of_memory(pair.series, config, on_gpu=on_gpu)


def scaled(settings: NephiSettings, pair: Pair) -> NephiSettings:
    """Lengths in voxels of the fixed image as lengths in those of the frame; windows stay odd."""
    times = min(pair.fixed.grid.spacing) / min(pair.frame.spacing)
    if round(times) == 1:
        return settings
    window = 2 * round((settings.window * times**0.5 - 1) / 2) + 1
    return replace(
        settings,
        node_spacing=settings.node_spacing * times,
        code_spacing=settings.code_spacing * times,
        window=window,
    )


def _steps(
    pair: Pair, config: FitConfig, max_seconds: float | None
) -> Generator[FitProgress, bool | None, Registration]:
    started, history = time.monotonic(), list[FitProgress]()
    fit = NephiFit(_problem(pair, config), cast(NephiSettings, config.settings), config.seed)
    costs, spent, snapshot_at, stopped = fit.costs(), 0.0, 0.0, False
    for step, iteration in enumerate(fit.run(), start=1):
        now = time.monotonic()
        spent += iteration.cost
        left = None if step < 3 else (now - started) / spent * sum(costs[step:])
        trajectory = None
        if now - snapshot_at > _SNAPSHOT_EVERY_S or step == fit.total:
            trajectory, snapshot_at = make_trajectory(fit.decoder, fit.curve(), pair.series, [0, 1], {}), now
        losses, elapsed = iteration.losses, now - started
        progress = FitProgress(step, fit.total, iteration.stage, losses, None, elapsed, left, trajectory)
        history.append(replace(progress, trajectory=None))
        if (yield progress) or (max_seconds is not None and elapsed >= max_seconds):
            stopped = step < fit.total
            break
    curve = fit.curve()
    trajectory = make_trajectory(fit.decoder, curve, pair.series, [0, 1], {})
    provenance = Provenance.of_run(str(choose_device(config.device)), time.monotonic() - started)
    result = FitResult(
        trajectory, pair.series, config, {}, history, provenance, curve, stopped=stopped, notes=pair.notes
    )
    return Registration(pair, result)


def _problem(pair: Pair, config: FitConfig) -> Problem:
    device = choose_device(config.device)
    images = [standardised(scan.image.numpy(), pair.mask, scan.image.name) for scan in pair.series.scans]
    mask = torch.from_numpy(pair.mask).to(device)
    return Problem(tuple(image.to(device) for image in images), (0.0, 1.0), mask, pair.frame)
