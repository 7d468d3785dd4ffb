"""A series: one subject's scans with their times, sorted and checked; headers only until voxels are used."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from noder.errors import InputError
from noder.grid import Grid
from noder.image import Image
from noder.scan_files import scans_in
from noder.time_sources import find_times, times_from_file
from noder.times import Given, Timing, finite_number, given_times, known_unit

OFFER_TO_ALIGN = "aligning them rigidly to the first (--align rigid) would bring them together"
"""How every note ends that offers an alignment: such notes go once the scans are aligned."""


@dataclass(frozen=True)
class Scan:
    """One image, its time in the series' unit, and where that time came from."""

    image: Image
    time: float
    time_source: str


@dataclass(frozen=True)
class ImageSeries:
    """Scans on one grid, sorted by time; the first is the reference.

    `frames[k]` is where scan k was in what was given, before selection and sorting; `n_given` counts that.
    """

    scans: tuple[Scan, ...]
    unit: str
    frames: tuple[int, ...]
    n_given: int
    notes: tuple[str, ...] = ()

    @classmethod
    def from_paths(
        cls,
        paths: Path | str | Iterable[Path | str],
        *,
        times: Sequence[float | str] | None = None,
        times_from: Path | str | None = None,
        unit: str | None = None,
        frames: slice | None = None,
        resample: bool = False,
        nan_to_zero: bool = False,
        at_least: int = 2,
    ) -> ImageSeries:
        """Several 3-D files, one 4-D file or a folder; reads headers only.

        `frames` selects from what was given, before sorting. Times are `times` (one a kept scan), or those in
        `times_from`, or what the best source says that knows every kept scan; `unit` converts or names their
        unit. `resample` puts scans on other grids onto the reference's; `nan_to_zero` replaces voxels that
        are not finite. Raises InputError for fewer than `at_least` scans, equal or unreadable times,
        different grids and unusable files, UsageError for an unknown unit.
        """
        given, notes = scans_in([paths] if isinstance(paths, str | Path) else paths)
        kept = _selected(given, frames, at_least)
        timing = _timing(kept, len(given), times, times_from).in_unit(unit)
        images = [Image.open(scan.path, scan.volume, nan_to_zero=nan_to_zero) for scan in kept]
        positions = [scan.position for scan in kept]
        series = _sorted_series(images, timing, positions, len(given), (*notes, *timing.notes))
        series = series._on_one_grid(resample)
        return replace(series, notes=(*series.notes, *_notes_of([scan.image for scan in series.scans])))

    @classmethod
    def from_images(cls, images: Sequence[Image], times: Sequence[float], unit: str = "index") -> ImageSeries:
        """A series of images in memory, which must share one grid. Raises InputError."""
        timing = Timing(tuple(map(float, times)), known_unit(unit), ("given",) * len(images))
        return _sorted_series(images, timing, range(len(images)), len(images), ())._on_one_grid(resample=False)

    def __len__(self) -> int:
        return len(self.scans)

    @property
    def times(self) -> list[float]:
        """The time of each scan, rising."""
        return [scan.time for scan in self.scans]

    @property
    def reference(self) -> Scan:
        """The first scan in time."""
        return self.scans[0]

    @property
    def grid(self) -> Grid:
        """The reference's closest-RAS grid, which is every scan's."""
        return self.reference.image.grid

    def with_times(self, times: Sequence[float], unit: str | None = None) -> ImageSeries:
        """The same scans at other times (one for each, in the present order), sorted anew."""
        if len(times) != len(self.scans):
            raise InputError(f"{len(times)} times for {len(self.scans)} scans. Give one time for each scan.")
        values = tuple(finite_number(t, s.image.name) for t, s in zip(times, self.scans, strict=True))
        timing = Timing(values, known_unit(unit or self.unit), _sources_after_edit(self, values, unit))
        images = [scan.image for scan in self.scans]
        return _sorted_series(images, timing, self.frames, self.n_given, self.notes)

    def with_times_from(self, path: Path | str) -> ImageSeries:
        """The same scans at the times in a file, as `from_paths` takes `times_from`; without a unit there, in this one.

        Rows without names of scans are in the order in which the scans were given. Raises InputError.
        """
        order = sorted(range(len(self.scans)), key=self.frames.__getitem__)
        images = [self.scans[k].image for k in order]
        frames = [self.frames[k] for k in order]
        given = [Given(i.path or Path(i.name), i.volume, k) for i, k in zip(images, frames, strict=True)]
        timing = times_from_file(path, self.n_given, given)
        if timing.unit == "unspecified":
            timing = replace(timing, unit=self.unit)
        return _sorted_series(images, timing, frames, self.n_given, (*self.notes, *timing.notes))

    def between(self, first: int, last: int) -> ImageSeries:
        """The scans at the positions `first` to `last`, both kept; the earliest is the reference. Raises InputError."""
        kept = self.scans[first : last + 1]
        if len(kept) < 2:
            raise InputError(f"A series needs at least 2 scans, and this would leave {len(kept)}. Keep more.")
        if first and any(scan.image.is_resampled for scan in kept):
            raise InputError(
                f"Later scans were put onto the grid of {self.reference.image.name}, which has to stay. "
                "Open the others without it."
            )
        return replace(self, scans=kept, frames=self.frames[first : last + 1])

    def with_images(self, images: Sequence[Image]) -> ImageSeries:
        """The same scans with other images, one for each in the present order, and the notes on those."""
        stale = _notes_of([scan.image for scan in self.scans])
        notes = [note for note in self.notes if note not in stale and not note.endswith(OFFER_TO_ALIGN)]
        scans = tuple(replace(scan, image=image) for scan, image in zip(self.scans, images, strict=True))
        return replace(self, scans=scans, notes=(*notes, *_notes_of(images)))

    def check(self) -> None:
        """Read every scan; raises the first InputError (damaged data, voxels that are not finite)."""
        for scan in self.scans:
            scan.image.numpy()

    def _on_one_grid(self, resample: bool) -> ImageSeries:
        first = self.reference.image
        strangers = [scan.image for scan in self.scans if not scan.image.grid.matches(first.grid)]
        if not strangers:
            return self
        if not resample:
            raise InputError(_grid_difference(strangers[0], first, len(strangers)), remedy="resample")
        scans = [
            replace(scan, image=scan.image.resampled_onto(first)) if scan.image in strangers else scan
            for scan in self.scans
        ]
        offer = f"the files lie on different grids, and perhaps in different positions: {OFFER_TO_ALIGN}"
        return replace(self, scans=tuple(scans), notes=(*self.notes, offer))


def _selected(given: list[Given], frames: slice | None, at_least: int) -> list[Given]:
    kept = given if frames is None else given[frames]
    if len(kept) >= at_least:
        return kept
    names = ", ".join(scan.name for scan in kept) or "none"
    asked = "" if frames is None else f" (frames {_spelled(frames)} of the {len(given)} given)"
    raise InputError(
        f"A series needs at least {at_least} scans, and this is {len(kept)}{asked}: {names}. "
        "Give more 3-D files, one 4-D file or a folder."
    )


def _spelled(frames: slice) -> str:
    parts = (frames.start, frames.stop) if frames.step is None else (frames.start, frames.stop, frames.step)
    return ":".join("" if part is None else str(part) for part in parts)


def _timing(
    kept: list[Given], n_given: int, times: Sequence[float | str] | None, times_from: Path | str | None
) -> Timing:
    if times is not None:
        return given_times(times, n_given, kept, "times given")
    return find_times(kept) if times_from is None else times_from_file(times_from, n_given, kept)


def _sorted_series(
    images: Sequence[Image], timing: Timing, positions: Sequence[int], n_given: int, notes: tuple[str, ...]
) -> ImageSeries:
    order = sorted(range(len(images)), key=timing.times.__getitem__)
    for a, b in pairwise(order):
        if np.isclose(timing.times[a], timing.times[b], rtol=1e-12, atol=0):
            raise InputError(
                f"{_called(images[a])} and {_called(images[b])} are both at time {timing.times[a]:g} "
                f"{timing.unit} ({timing.sources[b]}): give each scan its own time."
            )
    scans = tuple(Scan(images[k], timing.times[k], timing.sources[k]) for k in order)
    return ImageSeries(scans, timing.unit, tuple(positions[k] for k in order), n_given, notes)


def _sources_after_edit(series: ImageSeries, times: Sequence[float], unit: str | None) -> tuple[str, ...]:
    kept = unit is None or known_unit(unit) == series.unit
    pairs = zip(series.scans, times, strict=True)
    return tuple(scan.time_source if kept and scan.time == time else "given" for scan, time in pairs)


def _called(image: Image) -> str:
    return str(image.path) if image.path is not None and image.volume is None else image.name


def _grid_difference(image: Image, first: Image, n_strangers: int) -> str:
    mine, theirs = image.grid, first.grid
    if mine.shape != theirs.shape:
        what = f"{_by(mine.shape)} voxels, and {_called(first)} has {_by(theirs.shape)}"
    elif not np.allclose(mine.spacing, theirs.spacing, rtol=1e-3):
        what = f"voxels of {_mm(mine.spacing)}, and {_called(first)} of {_mm(theirs.spacing)}"
    else:
        gap = float(np.linalg.norm(mine.corners_mm - theirs.corners_mm, axis=1).max())
        what = f"its corners up to {gap:.3g} mm away from those of {_called(first)}"
    others = f" (and {n_strangers - 1} more scans differ)" if n_strangers > 1 else ""
    return f"{_called(image)} has {what}{others}: resample onto the first scan, or give scans on one grid."


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(n) for n in sizes)


def _mm(spacing: Sequence[float]) -> str:
    return " x ".join(f"{s:.4g}" for s in spacing) + " mm"


def _notes_of(images: Sequence[Image]) -> list[str]:
    """What each image's header shows, once for each file or once for all that share it."""
    by_note: dict[str, list[str]] = {}
    for image in images:
        # a volume of a 4-D file shares the notes of its file, but its alignment is its own
        name = image.name if image.path is None or image.alignment is not None else image.path.name
        for note in image.header_notes:
            by_note.setdefault(note, []).append(name)
    every = len({image.path for image in images})
    return [_with_names(note, list(dict.fromkeys(names)), every) for note, names in by_note.items()]


def _with_names(note: str, names: list[str], n_files: int) -> str:
    if len(names) == n_files and n_files > 1:
        return f"all files: {note}"
    return f"{', '.join(names)}: {note}"
