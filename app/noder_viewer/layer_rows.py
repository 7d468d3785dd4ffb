"""From the session to the list of layers: one row a layer, the front one first. Pure functions, no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from noder_viewer.layers import IMAGE, LANDMARKS, NAMES, Layer, Levels, Look, stacked

if TYPE_CHECKING:
    from noder_viewer.session import Session

Kind = Literal["image", "heat", "spread", "labels", "lines"]

HEATS = ("jacobian", "rate", "brightness", "spread")
"""Overlays that are drawn in colours; all but the spread have a middle, and colours to choose."""


@dataclass(frozen=True)
class LayerRow:
    """One layer as the list shows it. `is_own`: of a file, so that it can be removed, and has a `window` of its own."""

    key: str
    name: str
    kind: Kind
    look: Look
    is_own: bool = False
    window: Levels = (0.0, 1.0)
    outline: bool = False


def layer_rows(session: Session) -> list[LayerRow]:
    """All layers that there are now; overlays once there is a map to make them of, landmarks where a pair has some."""
    own = {layer.key: layer for layer in session.layers}
    rows = [_own(own[key]) if key in own else _built_in(session, key) for key in stacked(session)]
    return [row for row in rows if _exists(session, row)]


def _exists(session: Session, row: LayerRow) -> bool:
    if row.is_own or row.key == IMAGE:
        return True
    if row.key == LANDMARKS:
        return session.pair is not None and session.pair.landmarks is not None
    return session.trajectory is not None


def _own(layer: Layer) -> LayerRow:
    kind: Kind = "labels" if layer.is_labels else "image"
    return LayerRow(layer.key, layer.name, kind, layer.look, True, layer.window, layer.outline)


def _built_in(session: Session, key: str) -> LayerRow:
    if key == IMAGE:
        return LayerRow(key, f"{NAMES[key]}: {session.show_shown}", "image", session.look)
    overlays, name = session.overlays, NAMES.get(key, key.replace("_", " ").capitalize())
    shown = bool(getattr(overlays, key, True))
    if key in HEATS:
        look = Look(overlays.colormap, overlays.gamma, overlays.jacobian_opacity, shown)
        return LayerRow(key, name, "spread" if key == "spread" else "heat", look)
    return LayerRow(key, name, "lines", Look(visible=shown))
