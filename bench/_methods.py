"""The methods that the quality tables compare, by a short text, and their fits.

A text is METHOD[:SETTING=VALUE,...]: `noder:latent=rank,map=flow`, `geodesic`; what it does not name is the preset
"balanced". `published` is NODER with the published settings.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace

from noder.errors import NoderError
from noder.fit import FitResult, fit_steps
from noder.fit_config import FitConfig
from noder.methods import PRESETS, Settings
from noder.series import ImageSeries


def usual() -> dict[str, str]:
    """Name of a row -> text of its method: the default first, what else NODER can be, and the baselines."""
    return {
        "NODER rank, exponential": "noder",
        "NODER rank, displacement": "noder:map=displacement",
        "NODER rank, flow": "noder:map=flow",
        "NODER grid, exponential": "noder:latent=grid",
        "NODER autoencoder, displacement": "noder:latent=autoencoder,map=displacement",
        "geodesic": "geodesic",
        "piecewise": "piecewise",
        "NePhi chain": "nephi",
    }


def config_of(text: str, hold_out: tuple[int, ...], exclude: tuple[int, ...] = (), seed: int = 0) -> FitConfig:
    """The fit that a text means. Raises KeyError for an unknown method or setting."""
    name, _, changes = text.partition(":")
    method, preset = ("noder", name) if name in PRESETS["noder"] else (name, "balanced")
    settings = PRESETS[method][preset]
    kinds = {each.name: type(getattr(settings, each.name)) for each in fields(settings)}
    pairs = (change.split("=", 1) for change in changes.split(",") if change)
    settings = replace(settings, **{key: kinds[key](value) for key, value in pairs})
    return FitConfig(method, preset, settings, hold_out, exclude, seed=seed)


@dataclass(frozen=True)
class Fitted:
    """A fit that was not scored, and what it took; `settings` as they were used."""

    result: FitResult
    cpu: float
    wall: float
    settings: Settings


def fitted(series: ImageSeries, config: FitConfig) -> Fitted:
    """Fit without scoring. Raises NoderError for what cannot be fitted (weights that are not there, for instance)."""
    steps = fit_steps(series, config)
    cpu, wall = time.process_time(), time.monotonic()
    stop = None
    try:
        while True:
            progress = steps.send(stop)
            if progress.stage == "scoring" and stop is None:
                cpu, wall = time.process_time() - cpu, time.monotonic() - wall
                stop = True
    except StopIteration as end:
        settings = config.resolved().settings
        assert settings is not None
        return Fitted(end.value, cpu, wall, settings)


__all__ = ["Fitted", "NoderError", "config_of", "fitted", "usual"]
