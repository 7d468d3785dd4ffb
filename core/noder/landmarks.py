"""Corresponding points of two images, from a table of ITK or of Slicer."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noder.errors import InputError, UsageError
from noder.grid import Grid

Points = NDArray[np.float64]
SPACES = ("LPS", "RAS")
_TO_RAS = {"LPS": np.array([-1.0, -1.0, 1.0]), "RAS": np.ones(3)}
_COLUMNS = 6


@dataclass(frozen=True, eq=False)
class Landmarks:
    """The same places in the fixed and in the moving image, (N,3) in RAS mm each."""

    fixed: Points
    moving: Points

    def check(self, fixed: Grid, moving: Grid, name: str) -> None:
        """Raise InputError where a point lies outside its image."""
        for points, grid, which in ((self.fixed, fixed, "fixed"), (self.moving, moving, "moving")):
            index = grid.to_index(points)
            outside = np.flatnonzero(((index < -0.5) | (index > np.array(grid.shape) - 0.5)).any(axis=-1))
            if len(outside):
                k = int(outside[0])
                where = ", ".join(f"{v:.1f}" for v in points[k])
                raise InputError(
                    f"{name}: {len(outside)} of {len(points)} landmarks lie outside the {which} image, the first in "
                    f"row {k + 1} at R {where} mm. Check which image is which, and --landmarks-space (LPS or RAS)."
                )


def read_landmarks(path: Path, space: str) -> Landmarks:
    """Rows of fixed x, y, z, moving x, y, z in mm, with a line of names or without.

    Raises InputError for another table, UsageError for an unknown `space`.
    """
    if space not in SPACES:
        raise UsageError(f"There is no space '{space}' for landmarks. Choose from: {', '.join(SPACES)}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of landmarks ({error}).") from error
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if rows and not _is_numeric(rows[0]):
        rows = rows[1:]
    if not rows:
        raise InputError(f"{path} holds no landmarks: give rows of fixed x, y, z and moving x, y, z in mm.")
    values = np.array([_numbers(row, number, path) for number, row in enumerate(rows, start=1)])
    return Landmarks(values[:, :3] * _TO_RAS[space], values[:, 3:] * _TO_RAS[space])


def _numbers(row: Sequence[str], number: int, path: Path) -> list[float]:
    if len(row) != _COLUMNS or not _is_numeric(row):
        raise InputError(
            f"{path}, row {number}: '{','.join(row)}' is not fixed x, y, z and moving x, y, z in mm. "
            "Give six numbers separated by commas."
        )
    return [float(cell) for cell in row]


def _is_numeric(row: Sequence[str]) -> bool:
    try:
        return bool(np.isfinite([float(cell) for cell in row]).all())
    except ValueError:
        return False
