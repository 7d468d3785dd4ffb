"""What is read of a series after its first scan is on screen: the other scans, their grey levels, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noder_viewer.jobs import Reporter, share_cores
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from noder.errors import InputError
    from noder.image import Image
    from noder.series import ImageSeries

_offers = Recent(per_owner=2)


@dataclass(frozen=True, eq=False)
class Unreadable:
    """A scan whose voxels cannot be used, and why."""

    image: Image
    error: InputError


@dataclass(frozen=True)
class Levels:
    """What needs all scans of a series: one robust range of grey levels, the smallest and the largest value."""

    series: ImageSeries
    window: tuple[float, float]
    value_range: tuple[float, float]


@dataclass(frozen=True)
class ReadRest:
    """Read one scan after another; reports words and `Unreadable`, returns `Levels` of all that can be read."""

    series: ImageSeries

    def __call__(self, task: Reporter) -> Levels:
        from noder.errors import InputError
        from noder_viewer.window_presets import range_of, shared_levels

        share_cores(leave_one=True)
        scans, ranges, unreadable = self.series.scans, [], set()
        for k, scan in enumerate(scans):
            task.report(f"Reading scan {k + 1} of {len(scans)}…")
            try:
                ranges.append(range_of(scan.image, len(scans)))
            except InputError as error:
                unreadable.add(k)
                task.report(Unreadable(scan.image, error))
        lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
        window = shared_levels(self.series, frozenset(unreadable))
        return Levels(self.series, window, (lowest, max(highest, lowest + 1e-6)))


@dataclass(frozen=True)
class LookForOffer:
    """Whether separate files lie apart: the note that offers to align them, "" for none. It takes seconds a scan."""

    series: ImageSeries

    def __call__(self, task: Reporter) -> str:
        from noder.align import offer

        share_cores(leave_one=True)
        compute = lambda: offer(self.series, task.check_cancelled)  # noqa: E731
        return _offers.get(self.series.reference.image, _key(self.series), compute)


def with_known_offer(series: ImageSeries) -> ImageSeries:
    """The series with the note of `LookForOffer`, where that has been found by now."""
    from noder.align import with_offer

    image, key = series.reference.image, _key(series)
    return with_offer(series, _offers.get(image, key, str)) if _offers.has(image, key) else series


def _key(series: ImageSeries) -> frozenset[int]:
    return frozenset(id(scan.image) for scan in series.scans)
