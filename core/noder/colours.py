"""Colour tables (n, 4) uint8 RGBA that the window and the report share, safe for colour-blind readers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Lut = NDArray[np.uint8]

FOLD = (57, 255, 20)
"""Voxels whose map folds: a green far brighter than the blues and oranges, for colour-blind readers too."""

_SHRINK = ((12, 44, 110), (30, 110, 220), (95, 180, 255), (190, 230, 255))
_GROWTH = ((100, 35, 5), (200, 85, 10), (255, 150, 40), (255, 215, 150))
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


def painted(values: NDArray[np.float32], low: float, high: float, lut: Lut) -> Lut:
    """Values (...) on the scale [low, high] -> RGBA (...,4); what is beyond takes the colour of the end."""
    last = len(lut) - 1
    place = np.nan_to_num((values - low) * (last / max(high - low, 1e-12)))
    coloured: Lut = lut[np.rint(np.clip(place, 0, last)).astype(np.intp)]
    return coloured
