"""A fitted map as a safetensors file: weights and what they are, so that equal fits are equal files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from noder.decoder import SeparableDecoder
from noder.errors import InputError
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.intensity import Brightness
from noder.methods import FITS, Settings
from noder.methods.curve import Curve
from noder.stored_files import What

MODEL = "model.safetensors"
_BRIGHTNESS = "brightness"
_OF: dict[What, tuple[str, str, str]] = {
    "fit": ("the fit of other scans", "a fitted model", "Fit the series again"),
    "registration": ("the registration of other images", "the map of a registration", "Register the pair again"),
}


def model_bytes(model: Curve, config: FitConfig, grid: Grid, brightness: Brightness | None = None) -> bytes:
    """The content of the file, of a fit on `grid`."""
    weights = {name: value.contiguous() for name, value in model.tensors().items()}
    if brightness is not None:
        weights[_BRIGHTNESS] = brightness.terms.contiguous()
    described = {
        "method": config.method,
        "settings": settings_as_dict(config.settings),
        "seed": config.seed,
        "shape": list(grid.shape),
        "affine": grid.affine.tolist(),
        "facts": model.facts(),
        "brightness": None if brightness is None else {"stride": brightness.stride, "span": brightness.span},
    }
    return save(weights, metadata={"model": json.dumps(described, sort_keys=True)})


def read_model(path: Path, grid: Grid, what: What = "fit") -> tuple[SeparableDecoder, Curve, Brightness | None]:
    """What `model_bytes` wrote. Raises InputError where it is damaged, or belongs to another grid."""
    others, meant, again = _OF[what]
    try:
        with safe_open(path, framework="pt") as file:
            model = json.loads((file.metadata() or {})["model"])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if tuple(model["shape"]) != grid.shape or not np.allclose(model["affine"], grid.affine):
            raise InputError(f"{path} belongs to {others}. {again}.")
        settings = settings_from_dict(model["settings"])
        terms, about = weights.pop(_BRIGHTNESS, None), model.get("brightness")
        brightness = None if terms is None else Brightness(terms, tuple(about["stride"]), tuple(about["span"]))
        return *FITS[type(settings)].restore(grid, settings, weights, model["facts"]), brightness
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as {meant} ({error}). {again}.") from error


def settings_as_dict(settings: Settings | None) -> dict[str, Any] | None:
    """Settings of any method, with the name of their class."""
    return None if settings is None else {"class": type(settings).__name__, **asdict(settings)}


def settings_from_dict(described: Mapping[str, Any]) -> Settings:
    """The settings that `settings_as_dict` described. Raises KeyError or TypeError where this version knows others."""
    kinds = {kind.__name__: kind for kind in FITS}
    values = {name: value for name, value in described.items() if name != "class"}
    settings: Settings = kinds[described["class"]](**values)
    return settings
