"""What belongs on a picture that leaves the window, and where several slices stand in it. Pure functions, no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from noder_viewer.plane import Letters
from noder_viewer.scene import SliceScene

AXIAL, CORONAL, SAGITTAL, SLICES, VOLUME, WINDOW = "axial", "coronal", "sagittal", "slices", "3d", "window"
VIEWS: dict[str, str] = {
    SLICES: "Three slices",
    AXIAL: "Axial slice",
    CORONAL: "Coronal slice",
    SAGITTAL: "Sagittal slice",
    VOLUME: "3D view",
    WINDOW: "Whole window",
}
"""What can be pictured -> its words."""
AXES: dict[str, tuple[int, ...]] = {AXIAL: (2,), CORONAL: (1,), SAGITTAL: (0,), SLICES: (2, 0, 1)}
"""Those that are made of slices -> their axes, in the order of the window."""
GAP = 4
"""Pixels between slices."""
WIDE, TALL = 2.2, 0.75
"""Ratios of width to height from which slices stand in a row, or below which in a column."""

Cell = tuple[int, int, int, int]


@dataclass(frozen=True)
class Look:
    """What is written on the slices beside their titles. `stamp`: the time, on the picture itself."""

    stamp: bool = True
    bars: bool = True
    letters: bool = True
    badge: bool = True
    crosshair: bool = False


def framed(scene: SliceScene, look: Look, stamp: str = "") -> SliceScene:
    """The scene with what `look` leaves out taken away, and a time stamp."""
    return replace(
        scene,
        stamp=stamp if look.stamp else "",
        badge=scene.badge if look.badge else "",
        letters=scene.letters if look.letters else Letters("", "", "", ""),
        crosshair=scene.crosshair if look.crosshair else (math.nan, math.nan),
    )


def stamp_of(t: float, step: float, unit: str) -> str:
    """A time with as many digits as tell frames apart that are `step` apart: all stamps of a movie are as long."""
    digits = min(max(0, -math.floor(math.log10(step))), 6) if step > 0 else 3
    return f"t = {t:.{digits}f}{'' if unit in ('', 'index') else f' {unit}'}".replace("-", "−")


def cells(n: int, width: int, height: int) -> list[Cell]:
    """Where `n` views (1 to 3) stand in so many pixels: (x, y, width, height) of each.

    In a row, in a column, or a large one beside two small ones, whichever leaves them the most room.
    """
    if n == 1:
        return [(0, 0, width, height)]
    if width >= WIDE * height or (n == 2 and width >= height):
        return [(x, 0, w, height) for x, w in _parts(width, n)]
    if n == 2 or width <= TALL * height:
        return [(0, y, width, h) for y, h in _parts(height, n)]
    left = (width - GAP) * 3 // 5
    small = [(left + GAP, y, width - left - GAP, h) for y, h in _parts(height, 2)]
    return [(0, 0, left, height), *small]


def pixel_ratio(width: int, height: int) -> float:
    """How many pixels of a picture stand for one of the window: letters and lines grow with a large picture."""
    return min(max(1.0, round(2 * min(width, height) / 720) / 2), 4.0)


def _parts(length: int, n: int) -> list[tuple[int, int]]:
    """Start and length of `n` equal parts with gaps between."""
    ends = [round((length + GAP) * k / n) for k in range(n + 1)]
    return [(start, end - start - GAP) for start, end in pairwise(ends)]
