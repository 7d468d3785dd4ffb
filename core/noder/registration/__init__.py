"""Registration of one image to another: SimpleITK finds the place coarsely, Gauss-Newton the exact one.

Samples are drawn with a fixed seed and summed in one order: equal scans give equal matrices on any number of cores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noder.alignment import Alignment, Kind
from noder.errors import InputError
from noder.image import Image
from noder.registration.pair import SMALLEST_AXIS, Mask, Pair, correlation_of, moved
from noder.registration.refine import refined
from noder.registration.search import best_start

__all__ = ["Glance", "Mask", "glance", "register"]

_MOVED_CELLS = 0.3
"""Parts of a cell of the level looked at (whose error is a tenth of it) that a moved scan must be away."""
_MISFIT_LEFT = 0.9
"""Part of the misfit (1 - correlation in the foreground) that a look may leave where it calls a scan moved."""


def register(fixed: Image, moving: Image, kind: str, mask: Mask | None = None) -> Alignment:
    """The rigid or affine map, fixed -> moving, that makes `moving` most similar to `fixed`.

    `mask` (I,J,K) is on the fixed image's grid. Raises InputError for images that cannot be compared.
    """
    pair = Pair.of(fixed, moving, mask)
    levels = pair.levels()
    found = best_start(pair, levels[0])
    for mm in levels[1:] or levels:
        if found is not None:
            found = refined(pair.at(mm), found, kind)
    finest = pair.at(levels[-1])
    before = finest.correlation(np.eye(4))
    after = 0.0 if found is None else finest.correlation(found)
    failed = found is None or after < before
    matrix = np.eye(4) if found is None or failed else found
    middle = fixed.grid.corners_mm.mean(axis=0)
    shift = float(np.linalg.norm(matrix[:3, :3] @ middle + matrix[:3, 3] - middle))
    rows = tuple(tuple(row) for row in matrix.tolist())
    name: Kind = "affine" if kind == "affine" else "rigid"
    return Alignment(name, fixed.name, rows, shift, before, after, failed)


@dataclass(frozen=True)
class Glance:
    """What a quick rigid look has found: the mean displacement of the foreground, and its correlation."""

    displacement_mm: float
    correlation_before: float
    correlation_after: float
    resolution_mm: float

    @property
    def is_moved(self) -> bool:
        """Whether a rigid alignment would clearly bring the two together."""
        far = self.displacement_mm > _MOVED_CELLS * self.resolution_mm
        return far and 1 - self.correlation_after < _MISFIT_LEFT * (1 - self.correlation_before)


def glance(fixed: Image, moving: Image) -> Glance | None:
    """How far `moving` seems to lie from `fixed`, at two coarse levels; None where that cannot be told."""
    if min(*fixed.grid.shape, *moving.grid.shape) < SMALLEST_AXIS:
        return None
    try:
        pair = Pair.of(fixed, moving)
    except InputError:  # an empty or damaged scan: reading it for the fit has the words
        return None
    levels = pair.levels()[:2]
    pair = pair.at(levels[-1])
    found = best_start(pair, levels[0])
    if found is None:
        return None
    found = refined(pair, found, "rigid")
    points, ours = pair.samples()
    points, ours = points[ours > ours.mean()], ours[ours > ours.mean()]
    before, after = (correlation_of(ours, pair.look_up(where)[0]) for where in (points, moved(found, points)))
    away = float(np.linalg.norm(moved(found, points) - points, axis=-1).mean())
    return Glance(away, before, after, levels[-1])
