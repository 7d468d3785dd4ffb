"""The kinds of layers that may lie over a slice: colours, arrows and lines. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from noder_viewer.plane import Floats

Colour = tuple[int, int, int]


class OverlayLook(Protocol):
    """The fields of `session.OverlaySettings` that overlays read."""

    @property
    def since(self) -> float | None: ...
    @property
    def jacobian_opacity(self) -> float: ...
    @property
    def jacobian_limit(self) -> float | None: ...
    @property
    def rate_limit(self) -> float | None: ...
    @property
    def quiver_spacing_mm(self) -> float: ...
    @property
    def quiver_scale(self) -> float: ...
    @property
    def grid_spacing_mm(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Stroke:
    """Lines of one colour: x and y (N,) in in-plane mm, nan between two lines. `label` is for the legend."""

    x: Floats
    y: Floats
    colour: Colour
    label: str = ""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines over the picture, with a legend of their colours; `in_footer`: whether it stands below the picture."""

    title: str
    strokes: tuple[Stroke, ...]
    in_footer: bool = True


@dataclass(frozen=True, eq=False)
class Heatmap:
    """`values` (ni,nj) of a `quantity` on the scale [-limit, limit], NaN where `folds` (ni,nj) is set.

    `opacity` 0 to 1; `can_fold`: whether the colour bar has a swatch for folds, which `outline` surrounds. What cannot
    be below 0 is on the scale [0, limit], in the colours of another table: `colormap` is a key of `colormaps.LUTS`.
    """

    title: str
    values: NDArray[np.float32]
    folds: NDArray[np.bool_]
    limit: float
    opacity: float
    quantity: str = "log J"
    can_fold: bool = True
    colormap: str = "log J"
    gamma: float = 1.0
    outline: Stroke | None = None

    @property
    def low(self) -> float:
        """The lower end of the scale."""
        return 0.0 if self.colormap == "spread" else -self.limit

    @property
    def n_folds(self) -> int:
        """Folded voxels on the slice."""
        return int(self.folds.sum())


@dataclass(frozen=True, eq=False)
class Quiver:
    """Arrows in in-plane mm: tails `start` (N,2), true motion `vector` (N,2), drawn `scale` times as long.

    Every tip lies on the tissue that has arrived there; so it is the tails that move when `scale` is not 1.
    """

    title: str
    start: Floats
    vector: Floats
    scale: float

    def segments(self, shortest_mm: float = 0.0) -> tuple[Floats, Floats]:
        """x and y of point pairs: a shaft and both strokes of its head, for arrows drawn at least so long."""
        drawn = self.vector * self.scale
        long_enough = np.hypot(drawn[:, 0], drawn[:, 1]) >= shortest_mm
        start, drawn = self.start[long_enough], drawn[long_enough]
        tip = start + drawn
        head = 0.32 * drawn
        side = np.stack([-head[:, 1], head[:, 0]], axis=1) * 0.5
        points = np.stack([start, tip, tip, tip - head + side, tip, tip - head - side], axis=1).reshape(-1, 2)
        return points[:, 0], points[:, 1]


Overlay = Heatmap | Quiver | Lines
