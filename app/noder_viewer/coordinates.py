"""Places as text, for the clipboard and back: RAS mm, LPS mm, voxel. Pure functions, no Qt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from noder.errors import UsageError
from noder_viewer.plane import Point

if TYPE_CHECKING:
    from noder.grid import Grid

SIDES = ("RL", "AP", "SI")
"""The side of a positive and of a negative coordinate along each axis."""
FORMS = "RAS -12.3 4.5 60, LPS 12.3 -4.5 60, L 12.3 A 4.5 S 60 (mm), or voxel 88 120 61"

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_THREE = rf"\s*[:=]?\s*[\[(]?\s*({_NUMBER})(?:\s*[,;]\s*|\s+)({_NUMBER})(?:\s*[,;]\s*|\s+)({_NUMBER})"
_NAMED = {name: re.compile(rf"\b{name}{_THREE}", re.IGNORECASE) for name in ("RAS", "LPS", "voxel")}
_SIDED = re.compile(rf"\b([RL])\s*({_NUMBER})\s*,?\s*([AP])\s*({_NUMBER})\s*,?\s*([SI])\s*({_NUMBER})", re.IGNORECASE)
_BARE = re.compile(rf"^\s*[\[(]?{_THREE}\s*(?:mm)?\s*[\])]?\s*$")


def voxel_of(grid: Grid, mm: Point) -> tuple[int, int, int]:
    """The voxel (from 0) around a place in RAS mm; outside of the grid too."""
    i, j, k = np.rint(grid.to_index(np.array(mm, dtype=np.float64))).astype(int).tolist()
    return i, j, k


def is_inside(grid: Grid, mm: Point) -> bool:
    """Whether a place in RAS mm lies in a voxel of the grid."""
    return all(0 <= v < n for v, n in zip(voxel_of(grid, mm), grid.shape, strict=True))


def sided(mm: Point, digits: int = 1) -> str:
    """A place or a motion in RAS mm by its sides: "R 12.3  P 4.5  S 60.0"."""
    return "  ".join(f"{pair[int(v < 0)]} {abs(v):.{digits}f}" for pair, v in zip(SIDES, mm, strict=True))


def copied(grid: Grid, mm: Point) -> str:
    """A place in RAS mm as text for other programs, one form a line; voxels along R, A, S, from 0."""
    r, a, s = (0.0 if abs(v) < 5e-4 else v for v in mm)
    voxel = " ".join(map(str, voxel_of(grid, mm)))
    return f"RAS {r:.3f} {a:.3f} {s:.3f} mm\nLPS {-r + 0.0:.3f} {-a + 0.0:.3f} {s:.3f} mm\nvoxel {voxel}"


def parsed(text: str, grid: Grid) -> Point:
    """The place that a text says, in RAS mm: as `copied` writes it, by sides, or three numbers (RAS mm).

    Raises UsageError with a sentence where nothing is recognised or the place lies outside of the grid.
    """
    mm = _read(text.replace("−", "-"), grid)
    if mm is None:
        shown = " ".join(text.split())
        raise UsageError(f"“{shown[:60]}” is no place. Write {FORMS}; three numbers alone are RAS mm.")
    if not is_inside(grid, mm):
        raise UsageError(f"{sided(mm)} mm lies outside the image, which reaches {_reach(grid)}. Choose a place inside.")
    return mm


def _read(text: str, grid: Grid) -> Point | None:
    if (found := _NAMED["RAS"].search(text) or _BARE.match(text)) is not None:
        return _point(found.groups())
    if (found := _NAMED["LPS"].search(text)) is not None:
        left, posterior, s = _point(found.groups())
        return -left, -posterior, s
    if (found := _SIDED.search(text)) is not None:
        r, a, s = (
            float(found[2 * k + 2]) * (1 if found[2 * k + 1].upper() == pair[0] else -1) for k, pair in enumerate(SIDES)
        )
        return r, a, s
    if (found := _NAMED["voxel"].search(text)) is not None:
        r, a, s = grid.to_mm(np.array(_point(found.groups()))).tolist()
        return r, a, s
    return None


def _point(groups: tuple[str, ...]) -> Point:
    x, y, z = map(float, groups)
    return x, y, z


def _reach(grid: Grid) -> str:
    """From the first voxels' centres to the last ones', by sides."""
    low, high = grid.corners_mm.min(axis=0), grid.corners_mm.max(axis=0)
    ends = []
    for pair, a, b in zip(SIDES, low.tolist(), high.tolist(), strict=True):
        ends.append(" to ".join(f"{pair[int(v < 0)]} {abs(v):.1f}" for v in (a, b)))
    return ", ".join(ends) + " mm"
