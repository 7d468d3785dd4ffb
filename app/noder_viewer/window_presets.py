"""Grey levels at a keystroke: from the scans themselves, or those of CT. Pure functions, no Qt."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noder_viewer.frames import robust_range, sparse
from noder_viewer.pictures import Levels, Picture
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from noder.image import Image
    from noder.series import ImageSeries
    from noder_viewer.session import Session

AUTO, FULL = "auto", "full"
CT: dict[str, tuple[str, Levels]] = {
    "lung": ("CT lung", (-1350.0, 150.0)),
    "soft": ("CT soft tissue", (-160.0, 240.0)),
    "bone": ("CT bone", (-500.0, 1300.0)),
    "brain": ("CT brain", (0.0, 80.0)),
}
"""Words and Hounsfield units (black, white): level and width -600/1500, 40/400, 400/1800 and 40/80, as is customary."""
PRESETS = {AUTO: "Auto: 1st to 99th percentile", FULL: "Full range", **{name: words for name, (words, _) in CT.items()}}
_recent = Recent(per_owner=2)
_AIR, _PADDING, _TISSUE, _METAL = -300.0, -4096.0, 60.0, 32767.0


def looks_like_ct(value_range: Levels) -> bool:
    """Whether values can be Hounsfield units: air far below 0, tissue above it, nothing that no scanner writes."""
    lowest, highest = value_range
    return _PADDING <= lowest <= _AIR and _TISSUE <= highest <= _METAL


def preset(session: Session, name: str) -> Levels:
    """The grey levels of a preset, a key of `PRESETS`, in the values of the scans (of a pair: of the fixed image).

    "auto" is the 1st to 99th percentile of all scans that are not excluded, taken together. Raises ValueError while no
    series is open.
    """
    if name in CT:
        return CT[name][1]
    if name == FULL:
        return session.value_range
    if session.pair is not None:
        return session.pair.levels[1]
    if session.series is None:
        raise ValueError("no series is open: there are no grey levels to choose")
    return shared_levels(session.series, session.exclude)


def shared_levels(series: ImageSeries, exclude: Collection[int] = ()) -> Levels:
    """One robust range of all scans but the excluded ones; reads those that have never been read."""
    scans = series.scans
    return robust_range([_looked(scan.image, len(scans)).sample for k, scan in enumerate(scans) if k not in exclude])


def range_of(image: Image, n_scans: int) -> Levels:
    """The smallest and largest value of one of `n_scans`; remembered, with what `shared_levels` needs."""
    return _looked(image, n_scans).value_range


@dataclass(frozen=True, eq=False)
class _Looked:
    sample: Picture
    value_range: Levels


def _looked(image: Image, n_scans: int) -> _Looked:
    def compute() -> _Looked:
        values = image.numpy()
        return _Looked(sparse(values, n_scans).copy(), (float(values.min()), float(values.max())))

    return _recent.get(image, n_scans, compute)
