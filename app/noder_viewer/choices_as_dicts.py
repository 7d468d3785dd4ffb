"""The choices of a fit and of a registration as plain values and paths, as a project holds them, and back. No Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noder_viewer.jobs import FitChoice
from noder_viewer.pair_jobs import RegisterChoice, Source

_CHOSEN = ("space", "swapped", "preset", "seed", "device", "max_seconds", "nan_to_zero")


def fit_as_dict(choice: FitChoice) -> dict[str, Any]:
    """The choice of a fit as a project holds it."""
    from noder.model_file import settings_as_dict

    plain = {f.name: getattr(choice, f.name) for f in dataclasses.fields(choice)}
    return {**plain, "settings": settings_as_dict(choice.settings)}


def fit_choice(described: Mapping[str, Any]) -> FitChoice | None:
    """What `fit_as_dict` described; None where this version knows no such settings."""
    known = {f.name for f in dataclasses.fields(FitChoice)}
    values = {name: value for name, value in described.items() if name in known}
    try:
        return FitChoice(**{**values, "settings": _settings(described.get("settings"))})
    except (KeyError, TypeError):
        return None


def register_as_dict(choice: RegisterChoice) -> dict[str, Any]:
    """The choice of a registration as a project holds it: plain values, and paths."""
    from noder.model_file import settings_as_dict

    sources = {"fixed": choice.fixed, "moving": choice.moving}
    return {
        **{side: _path(source) for side, source in sources.items()},
        **{f"{side}_volume": _volume(source) for side, source in sources.items()},
        "masks": list(choice.masks),
        "labels": list(choice.labels),
        "landmarks": choice.landmarks,
        "initial": choice.initial,
        "settings": settings_as_dict(choice.settings),
        **{name: getattr(choice, name) for name in _CHOSEN},
    }


def register_choice(described: Mapping[str, Any]) -> RegisterChoice | None:
    """What `register_as_dict` described; None where this version knows no such settings."""
    try:
        fixed, moving = (Source(described[side], volume=described[f"{side}_volume"]) for side in ("fixed", "moving"))
        return RegisterChoice(
            fixed, moving, _two(described["masks"]), _two(described["labels"]), described["landmarks"],
            initial=described["initial"] or "none", settings=_settings(described["settings"]),
            **{name: described[name] for name in _CHOSEN},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None


def _settings(described: Mapping[str, Any] | None) -> Any:
    from noder.model_file import settings_from_dict

    return None if described is None else settings_from_dict(described)


def _path(source: Source) -> Path | None:
    return source.path if source.scan is None else source.scan.raw.path


def _volume(source: Source) -> int | None:
    return source.volume if source.scan is None else source.scan.raw.volume


def _two(paths: Sequence[Path | None]) -> tuple[Path | None, Path | None]:
    first, second = paths
    return first, second
