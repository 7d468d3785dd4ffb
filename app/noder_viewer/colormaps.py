"""Colours of the pictures: tables (n, 4) uint8 RGBA, safe for colour-blind readers, on a dark ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lut = NDArray[np.uint8]

FOLD = (57, 255, 20)
"""Voxels whose map folds: a green far brighter than the blues and oranges, for colour-blind readers too."""
ARROW = (250, 250, 245)
CROSSHAIR = (74, 163, 255)

_SHRINK = ((12, 44, 110), (30, 110, 220), (95, 180, 255), (190, 230, 255))
_GROWTH = ((100, 35, 5), (200, 85, 10), (255, 150, 40), (255, 215, 150))
_OVER_SHRINK = ((30, 105, 255), (45, 145, 255), (110, 215, 255))
_OVER_GROWTH = ((240, 90, 0), (255, 130, 15), (255, 205, 70))
_OVER_SPREAD = ((150, 80, 235), (235, 90, 190), (255, 240, 150))
_NEUTRAL = (38, 38, 42)


def grey() -> Lut:
    """Black to white."""
    ramp = np.arange(256, dtype=np.uint8)
    return np.stack([ramp, ramp, ramp, np.full_like(ramp, 255)], axis=1)


def diverging(n: int = 256) -> Lut:
    """Blue through near black to orange, with lightness symmetric about the middle; opaque."""
    anchors = np.array([*_SHRINK[::-1], _NEUTRAL, *_GROWTH], dtype=np.float64)
    where = np.linspace(0, len(anchors) - 1, n)
    rgb = np.stack([np.interp(where, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)
    return np.hstack([rgb.round().astype(np.uint8), np.full((n, 1), 255, np.uint8)])


def overlay() -> Lut:
    """Blue to orange over an image: clear at 0, opaque only at the ends; 0 has an entry of its own.

    Unlike `diverging` it stays bright near 0: a dark veil over the image would look like a finding.
    """
    away = np.linspace(-1, 1, 257)
    stops = (0.0, 0.5, 1.0)
    shrink = [np.interp(-away, stops, channel) for channel in zip(*_OVER_SHRINK, strict=True)]
    growth = [np.interp(away, stops, channel) for channel in zip(*_OVER_GROWTH, strict=True)]
    alpha = 255 * np.abs(away)
    return np.stack([*np.where(away < 0, shrink, growth), alpha], axis=1).round().astype(np.uint8)


def overlay_from_0() -> Lut:
    """Violet to pale yellow over an image: clear at 0, opaque at the end; of what cannot be below 0."""
    away = np.linspace(0, 1, 257)
    rgb = [np.interp(away, (0.0, 0.5, 1.0), channel) for channel in zip(*_OVER_SPREAD, strict=True)]
    return np.stack([*rgb, 255 * np.minimum(1.0, 1.6 * away)], axis=1).round().astype(np.uint8)


LUTS: dict[str, Lut] = {
    "gray": grey(),
    "difference": diverging(),
    "log J": overlay(),
    "spread": overlay_from_0(),
}


def paint(
    values: NDArray[np.float32],
    limit: float,
    opacity: float,
    folds: NDArray[np.bool_],
    colormap: str = "log J",
    low: float | None = None,
) -> Lut:
    """Values (ni,nj) on the scale [low, limit] -> RGBA (ni,nj,4); `folds` in a colour of their own.

    `low` None: -limit. `colormap` is a key of `LUTS`.
    """
    lut = LUTS[colormap].copy()
    lut[:, 3] = np.rint(lut[:, 3] * opacity).astype(np.uint8)
    last, low = len(lut) - 1, -limit if low is None else low
    place = (np.nan_to_num(values, nan=0.0) - low) * (last / (limit - low))
    rgba: Lut = lut[np.rint(np.clip(place, 0, last)).astype(np.intp)]
    rgba[folds] = (*FOLD, 255)
    return rgba


def places(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Grey values as places in a table of 256 colours, which Qt draws as a palette image."""
    scale = 255.0 / max(high - low, 1e-12)
    placed = np.clip((values - np.float32(low)) * np.float32(scale), 0, 255)
    return np.ascontiguousarray(placed.astype(np.uint8))
