"""Regions as the window knows them: a label map of one scan, names, colours, and what was measured. No Qt, no torch."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from noder.image import Image
    from noder.label_names import LabelName
    from noder.labels import LabelMap
    from noder.regions import RegionVolumes
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory

Colour = tuple[int, int, int]

# Okabe and Ito's, which colour-blind readers tell apart, in an order that stands out on grey
_COLOURS: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (204, 121, 167), (213, 94, 0), (0, 114, 178),
)  # fmt: skip
_GOLDEN = 0.61803398875


@dataclass(frozen=True)
class RegionLook:
    """How regions are drawn over the slices: `fill` is the opacity of their colours, `own` the scans' own labels too.

    `hidden`: labels that are neither drawn nor plotted.
    """

    visible: bool = True
    fill: float = 0.3
    outline: bool = True
    own: bool = True
    hidden: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Brush:
    """What a stroke paints: a disc in the slice or a ball, with a label; 0 erases."""

    radius_mm: float = 4.0
    ball: bool = False
    label: int = 1
    erases: bool = False

    @property
    def paints(self) -> int:
        """The label that voxels get."""
        return 0 if self.erases else self.label


@dataclass(frozen=True, eq=False)
class OwnLabels:
    """The labels that a scan has of its own: `values` (I,J,K) on the series' grid, `mm3` in their own voxels."""

    values: NDArray[np.integer[Any]]
    mm3: Mapping[int, float]


@dataclass(frozen=True, eq=False)
class ShownRegions:
    """A label map drawn on `image`, a scan of the series; `numbers` are its labels, `own` those of each scan.

    `source`: the file that it was read from, None for one that was drawn; `changed` since it was read or saved.
    `saved_in`: the file that holds what was drawn, on the reference's grid. `own_files` and `names_file` were given for
    `own` and `names`. `own_of`: the scans' own labels by their place among the scans that were given
    (`ImageSeries.frames`), also of those that are not used now; `own_for`: the places that `own_files` have a volume
    for, () for all.
    """

    labels: LabelMap
    image: Image
    numbers: tuple[int, ...]
    names: Mapping[int, LabelName] = field(default_factory=dict)
    own: tuple[OwnLabels | None, ...] = ()
    source: Path | None = None
    changed: bool = False
    saved_in: Path | None = None
    own_of: Mapping[int, OwnLabels] = field(default_factory=dict)
    own_files: tuple[Path, ...] = ()
    own_for: tuple[int, ...] = ()
    names_file: Path | None = None

    @property
    def file(self) -> Path | None:
        """The file that holds the label map as it is now; None where there is none."""
        return self.saved_in or (None if self.changed else self.source)

    @property
    def time(self) -> float:
        """Of the scan that it was drawn on."""
        return self.labels.time

    def name(self, label: int) -> str:
        """What a label is called."""
        return self.names[label].name if label in self.names else f"label {label}"

    def colour(self, label: int) -> Colour:
        """That of the table of names, else one of ours."""
        named = self.names[label].colour if label in self.names else None
        return named or label_colour(label)

    def used_in(self, series: ImageSeries, time: float) -> ShownRegions:
        """The same for the scans of `series`, that of the label map at `time`."""
        own = tuple(self.own_of.get(frame) for frame in series.frames) if self.own_of else ()
        if (time, own) == (self.time, self.own):
            return self
        return replace(self, labels=replace(self.labels, time=time), own=own)

    def drawn(self, labels: LabelMap, painted: int) -> ShownRegions:
        """The same with voxels painted."""
        numbers = self.numbers if painted in (0, *self.numbers) else tuple(sorted((*self.numbers, painted)))
        return replace(self, labels=labels, numbers=numbers, changed=True, saved_in=None)


@dataclass(frozen=True, eq=False)
class RegionFigures:
    """What was measured of `regions`: `drawn_ml` in their own voxels, `volumes` over time under a `trajectory`."""

    regions: ShownRegions
    drawn_ml: Mapping[int, float]
    volumes: RegionVolumes | None = None
    trajectory: Trajectory | None = None


def label_colour(label: int) -> Colour:
    """A colour for a label that nobody has named: seven that all readers tell apart, then hues far from each other."""
    if 1 <= label <= len(_COLOURS):
        return _COLOURS[label - 1]
    r, g, b = colorsys.hsv_to_rgb(label * _GOLDEN % 1, 0.65 if label % 2 else 0.45, 0.95)
    return round(255 * r), round(255 * g), round(255 * b)
