"""What a registration was asked for beside its two images: so much that it can be asked for again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noder.grid import Grid
from noder.landmarks import Landmarks, read_landmarks
from noder.methods import NephiSettings
from noder.pair_scores import Truth

Sides = tuple[Path | None, Path | None]
"""A file of the fixed image and one of the moving one."""


@dataclass(frozen=True)
class Given:
    """Files that score the pair, and how it was to be registered; its masks are those of the `Pair`.

    `swapped`: the landmarks' columns are moving, fixed. `initial`: as `open_pair` takes it. `settings`: lengths in
    voxels of the fixed image, None: those of the preset.
    """

    labels: Sides = (None, None)
    landmarks: Path | None = None
    space: str = "LPS"
    swapped: bool = False
    initial: str | Path = "none"
    preset: str = "balanced"
    settings: NephiSettings | None = None
    device: str = "auto"
    max_seconds: float | None = None

    def truth(self, fixed: Grid, moving: Grid) -> Truth:
        """Read what is known of a pair on these grids.

        Raises InputError for labels of one image alone, for another table, and for landmarks outside of their image,
        UsageError for an unknown space.
        """
        truth = Truth(*self.labels, self._landmarks(fixed, moving))
        truth.check()
        return truth

    def _landmarks(self, fixed: Grid, moving: Grid) -> Landmarks | None:
        if self.landmarks is None:
            return None
        found = read_landmarks(self.landmarks, self.space)
        if self.swapped:
            found = Landmarks(found.moving, found.fixed)
        found.check(fixed, moving, self.landmarks.name)
        return found
