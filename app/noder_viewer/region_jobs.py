"""What the background threads run for regions: no Qt, and heavy imports stay inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.jobs import Reporter, import_engine, share_cores
from noder_viewer.region_state import OwnLabels, RegionFigures, ShownRegions

if TYPE_CHECKING:
    from noder.alignment import Alignment
    from noder.image import Image
    from noder.labels import LabelFile
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory

BEYOND = 0.12
"""Part of the span that curves go on for before the first and after the last scan, as the timeline does."""
_BEYOND_TIMES = 4


@dataclass(frozen=True)
class RegionFiles:
    """What the user gives: a label map, the time of the scan that it was drawn on, the scans' own labels, names."""

    labels: Path | None
    time: float
    own: tuple[Path, ...] = ()
    names: Path | None = None


@dataclass(frozen=True)
class ReadRegions:
    """Read all of `files` for a series; `drawn` keeps a label map that was drawn, where no file is given for it."""

    files: RegionFiles
    series: ImageSeries
    drawn: ShownRegions | None = None

    def __call__(self, task: Reporter) -> ShownRegions:
        import_engine()
        from noder.image import volumes_in
        from noder.label_names import read_label_names
        from noder.labels import own_labels, read_labels, scan_labels

        share_cores(leave_one=True)
        files, series = self.files, self.series
        names = {} if files.names is None else read_label_names(files.names)
        if files.labels is None:
            own = scan_labels(series, files.own) if files.own else [None] * len(series.scans)
            base = self.drawn or empty_regions(series, files.time)
        else:
            labels = read_labels(files.labels, series, files.time)
            own = own_labels(series, files.labels, files.own)
            base = ShownRegions(labels, _scan_image(series, files.time), labels.labels, source=files.labels)
        found = {}
        for k, file in enumerate(own):
            task.check_cancelled()
            if file is not None:
                found[series.frames[k]] = _own(series, k, file)
        numbers = tuple(sorted({*base.numbers, *(n for one in found.values() for n in one.mm3)}))
        n = len(files.own) if len(files.own) != 1 else volumes_in(files.own[0])
        read = replace(
            base,
            names=names,
            numbers=numbers,
            own_of=found,
            own_files=files.own,
            own_for=() if n in (0, series.n_given) else tuple(sorted(series.frames)),
            names_file=files.names,
        )
        return read.used_in(series, base.time)


@dataclass(frozen=True)
class Measure:
    """The volumes of regions: as drawn, and over time where there is a map. Reports how far it is, 0 to 1."""

    regions: ShownRegions
    trajectory: Trajectory | None
    times: tuple[float, ...]

    def __call__(self, task: Reporter) -> RegionFigures:
        import_engine()
        from noder.ensemble import maps_of
        from noder.regions import region_steps

        share_cores(leave_one=True)
        labels = self.regions.labels
        numbers, counts = np.unique(labels.values, return_counts=True)
        drawn = {int(n): float(c) * labels.voxel_mm3 / 1000 for n, c in zip(numbers, counts, strict=True) if n}
        if self.trajectory is None or not drawn:
            return RegionFigures(self.regions, drawn)
        steps = region_steps(maps_of(self.trajectory), labels, self._wanted(), self._measured())
        try:
            while True:
                done, total = next(steps)
                task.report(done / total)
        except StopIteration as end:
            return RegionFigures(self.regions, drawn, end.value, self.trajectory)

    def _wanted(self) -> list[float]:
        """Those of all scans, and some on both sides of them."""
        first, last = self.times[0], self.times[-1]
        margin = BEYOND * (last - first)
        before = np.linspace(first - margin, first, _BEYOND_TIMES, endpoint=False).tolist()
        after = np.linspace(last + margin, last, _BEYOND_TIMES, endpoint=False).tolist()
        return [*before, *self.times, *reversed(after)]

    def _measured(self) -> Mapping[float, Mapping[int, float]]:
        pairs = zip(self.times, self.regions.own, strict=False)
        return {t: own.mm3 for t, own in pairs if own is not None}


@dataclass(frozen=True)
class SaveLabels:
    """Write a label map as NIfTI: the reference's stored voxels, lying in the space of the scan it was drawn on.

    Of a scan that was aligned they lie where its own file lies, as labels that were drawn elsewhere do: what reads them
    for that scan brings them back by its alignment, and other programs show them on the file. Nothing is resampled.
    """

    regions: ShownRegions
    series: ImageSeries
    path: Path

    def __call__(self, task: Reporter) -> tuple[ShownRegions, Path]:
        self.write()
        return self.regions, self.path

    def write(self) -> None:
        """As `drawn_regions` and `read_labels` read it. Raises OutputError."""
        from noder.atomic import output_errors
        from noder.grid import Grid
        from noder.image import write_volume

        image, values = self.series.reference.image, self.regions.labels.values
        kind = np.uint8 if values.max(initial=0) < 256 else np.uint16 if values.max() < 65536 else np.int32
        stored = np.ascontiguousarray(image.to_stored(values).astype(kind))
        grid, alignment = image.stored_grid, _alignment(self.series, self.regions.time)
        if alignment is not None:
            grid = Grid(grid.shape, alignment.matrix @ grid.affine)
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(self.path, stored, grid)


@dataclass(frozen=True)
class SaveVolumes:
    """Write the volumes over time as CSV."""

    figures: RegionFigures
    path: Path

    def __call__(self, task: Reporter) -> Path:
        from noder.region_tables import write_region_csv

        if self.figures.volumes is None:
            raise ValueError("there are no volumes over time without a fit")
        return write_region_csv(self.path, self.figures.volumes, self.figures.regions.names)


def empty_regions(series: ImageSeries, time: float) -> ShownRegions:
    """An empty label map of the scan at `time`, to draw on."""
    from noder.labels import LabelMap

    values = np.zeros(series.grid.shape, dtype=np.int32)
    return ShownRegions(LabelMap(values, series.grid, time, "drawn labels"), _scan_image(series, time), ())


def drawn_regions(series: ImageSeries, time: float, path: Path) -> ShownRegions:
    """What `SaveLabels` has written of the scan at `time`; nothing may be drawn yet."""
    from noder.labels import LabelMap, whole_numbers
    from noder.preprocess import read_on_grid

    alignment = _alignment(series, time)
    values, notes = read_on_grid(path, series.grid, alignment=alignment)
    notes = notes if alignment is None else ()  # it lies on these voxels, moved as a whole
    labels = LabelMap(whole_numbers(values, path.name), series.grid, time, path.name, notes)
    return ShownRegions(labels, _scan_image(series, time), labels.labels, source=path, saved_in=path)


def rows_of(regions: ShownRegions, figures: RegionFigures | None, t: float) -> list[tuple[int, str, list[float]]]:
    """Label, name, and ml at t, change since the reference in %, rate in % a unit of time; NaN for unknown."""
    nothing = float("nan")
    volumes = None if figures is None else figures.volumes
    drawn: Mapping[int, float] = {} if figures is None else figures.drawn_ml
    known = {} if volumes is None else {label: k for k, label in enumerate(volumes.labels)}
    rows = []
    for label in regions.numbers:
        values = [drawn.get(label, nothing) if volumes is None and t == regions.time else nothing, nothing, nothing]
        if volumes is not None and label in known:
            k = known[label]
            now, start = float(volumes.at(t)[k]), float(volumes.reference_mm3[0, k]) / 1000
            values = [now, 100 * (now / start - 1) if start > 0 else nothing, float(volumes.rates_percent[0, k])]
        rows.append((label, regions.name(label), values))
    return rows


def _alignment(series: ImageSeries, time: float) -> Alignment | None:
    return next((scan.image.alignment for scan in series.scans if scan.time == time), None)


def _scan_image(series: ImageSeries, time: float) -> Image:
    return min(series.scans, key=lambda scan: abs(scan.time - time)).image


def _own(series: ImageSeries, k: int, file: LabelFile) -> OwnLabels:
    from noder.labels import whole_numbers
    from noder.preprocess import read_on_grid

    values, _ = read_on_grid(file.path, series.grid, file.volume, series.scans[k].image.alignment)
    labels = whole_numbers(values, file.path.name)
    return OwnLabels(labels.astype(np.min_scalar_type(labels.max(initial=0))), file.volumes_mm3())
