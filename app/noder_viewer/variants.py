"""A fit like another: with another smoothness weight, or by another method with the same settings. No Qt."""

from __future__ import annotations

import dataclasses
from dataclasses import fields, replace
from typing import Any

from noder_viewer.fit_rows import Asked, FitRow, Rows
from noder_viewer.jobs import FitChoice

WEIGHT = "smoothness"
BASELINES = ("geodesic", "piecewise")


def settings_of(choice: FitChoice) -> Any:
    """The settings of a choice, written out."""
    from noder.fit_config import preset_settings

    return choice.settings or preset_settings(choice.method, choice.preset)


def weight_of(asked: Asked) -> float:
    """The smoothness weight of a fit."""
    return float(getattr(settings_of(asked.choice), WEIGHT))


def with_weight(asked: Asked, weight: float) -> Asked:
    """The same fit with another smoothness weight."""
    settings = replace(settings_of(asked.choice), **{WEIGHT: weight})
    return replace(asked, choice=replace(asked.choice, settings=settings))


def variant_name(name: str, weight: float) -> str:
    """What such a fit is called."""
    return f"{name.split(', smoothness')[0]}, smoothness {weight:g}"


def by_method(asked: Asked, method: str) -> Asked:
    """A fit of the same scans by another method: its preset of the same name, with what differs from the preset here.

    What the methods have no word for in common is left to the preset.
    """
    from noder.methods import PRESETS

    choice, presets = asked.choice, PRESETS[method]
    preset = choice.preset if choice.preset in presets else "balanced"
    theirs = presets[preset]
    known = {field.name for field in fields(theirs)}
    wanted = {name: value for name, value in _changed(choice).items() if name in known}
    seeds = choice.seeds if method in ("noder", "nephi") else 1  # there is no chance in the others
    changed = dataclasses.replace(choice, method=method, preset=preset, settings=replace(theirs, **wanted), seeds=seeds)
    return replace(asked, choice=changed, leave_one_out=None)


def _changed(choice: FitChoice) -> dict[str, Any]:
    """The settings that the user has changed from those of the preset."""
    from noder.fit_config import preset_settings

    preset, settings = preset_settings(choice.method, choice.preset), settings_of(choice)
    if type(preset) is not type(settings):
        return {}
    return {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if getattr(settings, field.name) != getattr(preset, field.name)
    }


def like(rows: Rows, asked: Asked) -> FitRow | None:
    """The row that is, or will be, such a fit."""
    there = (row for row in rows if row.status not in ("failed", "cancelled"))
    return next((row for row in there if _alike(row.asked, asked)), None)


def _alike(one: Asked, other: Asked) -> bool:
    facts = [
        (a.hold_out, a.exclude, a.mask, a.choice.method, settings_of(a.choice), a.choice.align, a.choice.intensity)
        for a in (one, other)
    ]
    return facts[0] == facts[1] and one.leave_one_out is None and other.leave_one_out is None
