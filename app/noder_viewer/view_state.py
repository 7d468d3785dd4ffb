"""How things are looked at, as plain values: from the session and back into it. Pure functions, no Qt."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, get_args

from noder_viewer import session as session_module
from noder_viewer.followed import Followed
from noder_viewer.session import Session

_OTHERWISE_KEPT = {
    "series", "result", "preview", "pair", "progress", "kept", "fits", "shown_fit", "methods", "hold_out", "exclude",
    "mask", "saved_in", "value_range", "flicker", "paths", "layers", "regions", "region_figures", "brush", "project",
    "changed", "undoable", "redoable", "activity", "status",
}  # fmt: skip
"""Fields of the session that are no view: data, what a project holds elsewhere, and what passes."""
OF_A_SIDE = ("time", "cursor_mm", "window", "show", "carry", "period", "followed")
"""What a series and a pair have each for themselves."""
_MOVING = ("time", "cursor_mm")


def view_of(session: Session) -> dict[str, Any]:
    """Field -> value, as JSON holds it; what JSON cannot hold, such as an image, is left out."""
    values = {field.name: plain(getattr(session, field.name)) for field in _fields()}
    return {name: value for name, value in values.items() if _is_plain(value)}


def lasting_view(session: Session) -> dict[str, Any]:
    """The same without what moves all the time: a changed place or time is no change of a project."""
    return {name: value for name, value in view_of(session).items() if name not in _MOVING}


def set_view(session: Session, view: Mapping[str, Any]) -> None:
    """Take over what `view_of` gave; names and values that this version does not know are passed over."""
    for field in _fields():
        if field.name in view:
            before = getattr(session, field.name)
            setattr(session, field.name, _revived(view[field.name], before, str(field.type), vars(session_module)))


def revived(value: Any, like: Any) -> Any:
    """What `plain` gave, in the type of `like`, which is kept where the two do not go together."""
    return _revived(value, like, "", {})


def plain(value: Any) -> Any:
    """A value as JSON holds it: tables for dataclasses, lists for tuples and sets."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return sorted(value) if isinstance(value, frozenset) else value


def _fields() -> list[dataclasses.Field[Any]]:
    return [field for field in dataclasses.fields(Session) if field.name not in _OTHERWISE_KEPT]


def _revived(value: Any, like: Any, kind: str, names: Mapping[str, Any]) -> Any:
    """`value` in the type of `like`, which is kept where the two do not go together.

    `kind` is the field's annotation, and `names` are those of the module that it stands in.
    """
    if dataclasses.is_dataclass(like) and not isinstance(like, type) and isinstance(value, Mapping):
        fields = [field for field in dataclasses.fields(like) if field.name in value]
        names = vars(sys.modules[type(like).__module__])
        changes = {f.name: _revived(value[f.name], getattr(like, f.name), str(f.type), names) for f in fields}
        return dataclasses.replace(like, **changes)
    if kind.startswith("tuple[Followed") and isinstance(value, list):
        return _points(value, like)
    if isinstance(like, tuple) and isinstance(value, list) and len(value) == len(like):
        return tuple(_revived(new, old, "", names) for new, old in zip(value, like, strict=True))
    if kind.startswith("tuple[str") and isinstance(value, list):
        return tuple(value) if all(isinstance(item, str) for item in value) else like
    if isinstance(like, frozenset) and isinstance(value, list):
        return frozenset(value) if all(map(_is_number, value)) else like
    if like is None or value is None:
        return value if "None" in kind and (value is None or _is_number(value)) else like
    if isinstance(like, str):
        allowed = get_args(names.get(kind))
        return value if isinstance(value, str) and (not allowed or value in allowed) else like
    if isinstance(like, bool) or not _is_number(like):
        return value if type(value) is type(like) else like
    return type(like)(value) if _is_number(value) else like


def _points(rows: list[Any], like: tuple[Followed, ...]) -> tuple[Followed, ...]:
    try:
        places = [(float(r), float(a), float(s)) for r, a, s in (row["place_mm"] for row in rows)]
        return tuple(Followed(int(row["number"]), at, row["time"]) for row, at in zip(rows, places, strict=True))
    except (KeyError, TypeError, ValueError):
        return like


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
