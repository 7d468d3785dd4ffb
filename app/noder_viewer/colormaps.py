"""Colours of the pictures: tables (n, 4) uint8 RGBA, safe for colour-blind readers, on a dark ground."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from noder.colours import FOLD, Lut, diverging, grey

ARROW = (250, 250, 245)
GRID = (70, 225, 205)
CONTOURS = ((155, 140, 255), (225, 60, 140), (255, 110, 20), (255, 180, 20), (255, 238, 170))
"""Iso-lines of motion, from short to long: apart for colour-blind readers too, and brighter as they grow."""
CROSSHAIR = (74, 163, 255)

_OVER_SHRINK = ((30, 105, 255), (45, 145, 255), (110, 215, 255))
_OVER_GROWTH = ((240, 90, 0), (255, 130, 15), (255, 205, 70))
_OVER_PURPLE = ((150, 60, 220), (180, 100, 240), (225, 175, 255))
_OVER_GREEN = ((20, 150, 60), (60, 190, 80), (170, 240, 150))
_OVER_RED = ((215, 25, 35), (245, 70, 60), (255, 165, 140))
_OVER_SPREAD = ((150, 80, 235), (235, 90, 190), (255, 240, 150))
_Stops = tuple[tuple[int, int, int], ...]


def overlay(below: _Stops, above: _Stops) -> Lut:
    """Two colours over an image: clear at 0, opaque only at the ends; 0 has an entry of its own.

    Unlike `diverging` it stays bright near 0: a dark veil over the image would look like a finding.
    """
    away = np.linspace(-1, 1, 257)
    stops = (0.0, 0.5, 1.0)
    shrink = [np.interp(-away, stops, channel) for channel in zip(*below, strict=True)]
    growth = [np.interp(away, stops, channel) for channel in zip(*above, strict=True)]
    alpha = 255 * np.abs(away)
    return np.stack([*np.where(away < 0, shrink, growth), alpha], axis=1).round().astype(np.uint8)


def sequential(*anchors: tuple[int, int, int]) -> Lut:
    """256 opaque colours through evenly spaced ones."""
    where = np.linspace(0, len(anchors) - 1, 256)
    rgb = [np.interp(where, np.arange(len(anchors)), channel) for channel in zip(*anchors, strict=True)]
    return np.stack([*rgb, np.full(256, 255.0)], axis=1).round().astype(np.uint8)


def overlay_from_0() -> Lut:
    """Violet to pale yellow over an image: clear at 0, opaque at the end; of what cannot be below 0."""
    away = np.linspace(0, 1, 257)
    rgb = [np.interp(away, (0.0, 0.5, 1.0), channel) for channel in zip(*_OVER_SPREAD, strict=True)]
    return np.stack([*rgb, 255 * np.minimum(1.0, 1.6 * away)], axis=1).round().astype(np.uint8)


LUTS: dict[str, Lut] = {
    "gray": grey(),
    "inverted gray": np.concatenate([grey()[::-1, :3], grey()[:, 3:]], axis=1),
    "hot": sequential((0, 0, 0), (130, 0, 0), (255, 20, 0), (255, 150, 0), (255, 255, 40), (255, 255, 255)),
    "bone": sequential((0, 0, 0), (60, 60, 84), (116, 136, 148), (180, 212, 212), (255, 255, 255)),
    "viridis": sequential(
        (68, 1, 84),
        (71, 44, 122),
        (59, 81, 139),
        (44, 113, 142),
        (33, 144, 141),
        (39, 173, 129),
        (92, 200, 99),
        (170, 220, 50),
        (253, 231, 37),
    ),
    "magma": sequential(
        (0, 0, 4),
        (28, 16, 68),
        (79, 18, 123),
        (129, 37, 129),
        (181, 54, 122),
        (229, 80, 100),
        (251, 135, 97),
        (254, 194, 135),
        (252, 253, 191),
    ),
    "cividis": sequential(
        (0, 34, 78),
        (18, 53, 112),
        (59, 73, 108),
        (87, 93, 109),
        (112, 113, 115),
        (138, 134, 120),
        (165, 156, 116),
        (195, 179, 105),
        (254, 232, 56),
    ),
    "red": sequential((0, 0, 0), (255, 60, 50)),
    "green": sequential((0, 0, 0), (60, 230, 90)),
    "difference": diverging(),
    "log J": overlay(_OVER_SHRINK, _OVER_GROWTH),
    "purple and green": overlay(_OVER_PURPLE, _OVER_GREEN),
    "blue and red": overlay(_OVER_SHRINK, _OVER_RED),
    "spread": overlay_from_0(),
}
IMAGE_MAPS = ("gray", "inverted gray", "hot", "bone", "viridis", "magma", "cividis", "red", "green")
"""For images; of those with colours viridis, magma and cividis are even in lightness."""
HEAT_MAPS = {"log J": "blue and orange", "purple and green": "purple and green", "blue and red": "blue and red"}
"""For what has a sign and 0 in the middle -> words."""
LABELS = np.array(
    [
        (86, 180, 233),
        (230, 159, 0),
        (0, 190, 140),
        (240, 228, 66),
        (230, 120, 180),
        (230, 100, 30),
        (150, 130, 255),
        (120, 220, 90),
        (255, 150, 140),
        (60, 220, 230),
        (200, 190, 120),
        (190, 110, 220),
    ],
    dtype=np.uint8,
)
"""Colours of labels 1, 2, ...; more of them begin again."""


def lut(name: str, gamma: float = 1.0) -> Lut:
    """A table of `LUTS` with a gamma: of the distance from the middle where the map has a sign."""
    return _bent(name, gamma) if gamma != 1.0 else LUTS[name]


@lru_cache(64)
def _bent(name: str, gamma: float) -> Lut:
    table = LUTS[name]
    part = np.linspace(0, 1, len(table))
    if name in HEAT_MAPS or name == "difference":
        part = 0.5 + 0.5 * np.sign(part - 0.5) * np.abs(2 * part - 1) ** gamma
    else:
        part = part**gamma
    return table[np.rint(part * (len(table) - 1)).astype(np.intp)]


def paint_labels(labels: NDArray[np.float32], opacity: float, *, outline: bool) -> Lut:
    """Labels (ni,nj) -> RGBA (ni,nj,4): a colour each, 0 and NaN clear; `outline`: voxels at an edge alone."""
    whole = np.rint(np.nan_to_num(labels, nan=0.0)).astype(np.intp)
    rgba = np.zeros((*whole.shape, 4), np.uint8)
    shown = whole > 0
    if outline:
        edge = np.zeros(whole.shape, dtype=bool)
        for axis in (0, 1):
            differs = np.diff(whole, axis=axis) != 0
            before, after = [slice(None)] * 2, [slice(None)] * 2
            before[axis], after[axis] = slice(None, -1), slice(1, None)
            edge[tuple(before)] |= differs
            edge[tuple(after)] |= differs
        shown &= edge
    rgba[shown, :3] = LABELS[(whole[shown] - 1) % len(LABELS)]
    rgba[shown, 3] = round(255 * opacity)
    return rgba


def paint_image(values: NDArray[np.float32], low: float, high: float, table: Lut, opacity: float) -> Lut:
    """Values (ni,nj) between `low` and `high` -> RGBA (ni,nj,4); NaN is clear."""
    inside = np.isfinite(values)
    rgba: Lut = table[places(np.nan_to_num(values, nan=low), low, high)]
    rgba[..., 3] = np.where(inside, round(255 * opacity), 0)
    return rgba


def paint(
    values: NDArray[np.float32],
    limit: float,
    opacity: float,
    folds: NDArray[np.bool_],
    colormap: str = "log J",
    low: float | None = None,
    gamma: float = 1.0,
) -> Lut:
    """Values (ni,nj) on the scale [low, limit] -> RGBA (ni,nj,4); `folds` in a colour of their own.

    `low` None: -limit. `colormap` is a key of `LUTS`.
    """
    table = lut(colormap, gamma).copy()
    table[:, 3] = np.rint(table[:, 3] * opacity).astype(np.uint8)
    last, low = len(table) - 1, -limit if low is None else low
    step = last / (limit - low)
    place = values * np.float32(step)
    place += np.float32(0.5 - low * step)
    np.nan_to_num(place, copy=False, nan=0.5 - low * step)  # as 0
    colours = table.view(np.uint32)[:, 0]  # a colour at once: four channels one by one take three times as long
    rgba: Lut = colours.take(np.clip(place, 0, last, out=place).astype(np.int32)).view(np.uint8)
    rgba = rgba.reshape(*values.shape, 4)
    rgba[folds] = (*FOLD, 255)
    return rgba


def places(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Grey values as places in a table of 256 colours, which Qt draws as a palette image."""
    scale = 255.0 / max(high - low, 1e-12)
    placed = np.clip((values - np.float32(low)) * np.float32(scale), 0, 255)
    return np.ascontiguousarray(placed.astype(np.uint8))
