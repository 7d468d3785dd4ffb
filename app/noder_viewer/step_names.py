"""How a step is called in the Edit menu, after "Undo" and "Redo". Pure, no Qt."""

from __future__ import annotations

import dataclasses
from typing import Any

from noder_viewer.history import Values, changed_fields

_NAMES = {
    "exclude": "use of a scan",
    "hold_out": "hold-out",
    "mask": "change of mask",
    "window": "grey levels",
    "show": "what is shown",
    "carry": "what is carried",
    "pulled": "direction",
    "square_mm": "size of squares",
    "radiological": "side convention",
    "period": "time as a loop",
    "region_look": "look of regions",
    "look": "look of the image",
    "layers": "layers",
    "order": "order of layers",
    "bars": "colour bars",
}
_OVERLAYS = {
    "jacobian": "growth on or off",
    "brightness": "brightness on or off",
    "quiver": "motion on or off",
    "landmarks": "landmarks on or off",
    "jacobian_opacity": "opacity",
    "jacobian_limit": "range of colours",
    "quiver_spacing_mm": "spacing of arrows",
    "quiver_scale": "length of arrows",
}
_REGISTER = {
    "masks": "masks of the pair",
    "labels": "labels of the pair",
    "landmarks": "landmarks of the pair",
    "space": "axes of the landmarks",
    "initial": "initial alignment",
    "device": "change of device",
    "max_seconds": "time limit",
}
_CHOICES = {
    "method": "change of method",
    "preset": "change of preset",
    "align": "change of alignment",
    "device": "change of device",
    "seed": "change of seed",
    "seeds": "change of the number of seeds",
    "match_intensity": "matching of brightness",
    "intensity": "slow change of brightness",
}


def step_name(before: Values, after: Values) -> str:
    """A name for what differs; what the user meant comes first, what followed from it is left out."""
    changed = [name for name in before if before[name] is not after[name] and before[name] != after[name]]
    if "data" in changed:
        return _of_data(before["data"], after["data"])
    first = next((name for name in (*_NAMES, "overlays", "fit", "register") if name in changed), "")
    if first == "overlays":
        return _first(_OVERLAYS, changed_fields(before[first], after[first]), "change of overlays")
    if first == "fit":
        return _of_fit(before[first], after[first])
    if first == "register":
        return _of_register(before[first], after[first])
    return _NAMES.get(first, "change")


def _of_data(before: Any, after: Any) -> str:
    if before.series is not None and after.series is not None and len(before.series) != len(after.series):
        return "choice of scans"
    same_unit = before.series is None or after.series is None or before.series.unit == after.series.unit
    return "change of time" if same_unit else "change of unit"


def _of_fit(before: Any, after: Any) -> str:
    changed = changed_fields(before, after)
    name = next((name for name in _CHOICES if name in changed), None)
    if name is not None:
        return _CHOICES[name]
    return _of_settings(after.settings, changed)


def _of_register(before: Any, after: Any) -> str:
    turned = before.fixed.is_like(after.moving) and before.moving.is_like(after.fixed)
    if turned and not before.fixed.is_like(after.fixed):
        return "swap of the images"
    if before.fixed.is_like(after.fixed) and before.moving.is_like(after.moving):
        changed = changed_fields(before, after)
        name = next((name for name in (*_REGISTER, "preset", "seed") if name in changed), None)
        return {**_CHOICES, **_REGISTER}[name] if name is not None else _of_settings(after.settings, changed)
    return "choice of an image"


def _of_settings(settings: Any, changed: Any) -> str:
    labels = {f.name: str(f.metadata.get("label", f.name)) for f in _fields(settings)}
    return f"change of {_first(labels, changed, 'a setting').lower()}"


def _fields(settings: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ()


def _first(names: dict[str, str], changed: Any, otherwise: str) -> str:
    return next((text for name, text in names.items() if name in changed), otherwise)
