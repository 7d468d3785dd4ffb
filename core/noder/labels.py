"""Label maps of one scan: read onto the series' grid, matched to its scans, and carried through time by the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.decoder import Matrices, apply_separable
from noder.errors import InputError
from noder.grid import Grid, Triple
from noder.image import Image, volumes_in
from noder.preprocess import read_on_grid
from noder.separable import cubic_matrix
from noder.series import ImageSeries
from noder.trajectory import Trajectory

Labels = NDArray[np.integer[Any]]

NEAR_EVERY = 3
"""Voxels between the points at which a map is evaluated for the screen."""
_THICK = 1.5
_LOST = 0.01
_TIE = 1e-6
_SLAB = 16


@dataclass(frozen=True, eq=False)
class LabelMap:
    """Whole numbers `values` (I,J,K) on `grid`, 0 for nothing, drawn at `time`; `notes` say what was done to them."""

    values: Labels
    grid: Grid
    time: float
    name: str
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """The numbers in use, rising, without 0."""
        return tuple(int(v) for v in np.unique(self.values) if v != 0)

    @cached_property
    def is_empty(self) -> bool:
        """Whether nothing is labelled."""
        return not self.values.any()

    @cached_property
    def box(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The lowest and the highest voxel index (3,) of all that is labelled. Raises ValueError for nothing."""
        where = np.array(np.nonzero(self.values))
        if not where.size:
            raise ValueError(f"{self.name} holds no label")
        return where.min(axis=1), where.max(axis=1)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel."""
        return _voxel_mm3(self.grid)


@dataclass(frozen=True)
class LabelFile:
    """One label volume as it is stored: a file, and which of its volumes (None: it holds one)."""

    path: Path
    volume: int | None = None

    def volumes_mm3(self) -> dict[int, float]:
        """Volume of each label in the file's own voxels, in mm3. Raises InputError."""
        image = Image.open(self.path, self.volume)
        values, counts = np.unique(whole_numbers(image.numpy(), self.path.name), return_counts=True)
        image.release()
        size = _voxel_mm3(image.stored_grid)
        return {int(v): float(n) * size for v, n in zip(values, counts, strict=True) if v != 0}


def read_labels(path: Path, series: ImageSeries, time: float) -> LabelMap:
    """The label map in `path`, drawn at `time`, on the series' grid.

    Of a 4-D file with a volume for each scan it is the volume of the scan at `time`. Another grid is resampled by
    nearest neighbour, and labels of a scan that was aligned follow its alignment; notes say so, and how much of a label
    was lost. Raises InputError for values that are no whole numbers from 0 up, and where no label lies on the grid.
    """
    scan = next((k for k, t in enumerate(series.times) if t == time), None)
    file = _volume_of(path, series, scan, time)
    alignment = None if scan is None else series.scans[scan].image.alignment
    values, notes = read_on_grid(path, series.grid, file.volume, alignment)
    found = LabelMap(whole_numbers(values, path.name), series.grid, time, path.name, notes)
    if not found.labels:
        raise InputError(
            f"{path.name} holds no label on the scans' grid, only zeros. Give a label map drawn on these scans."
        )
    return replace(found, notes=(*notes, *_losses(found, file))) if notes else found


def whole_numbers(values: NDArray[Any], name: str) -> NDArray[np.int32]:
    """Labels as int32. Raises InputError for fractions, negative numbers and such that are no numbers."""
    labels = np.rint(values)
    odd = ~((labels == values) & (values >= 0) & (values < 2**31))
    if odd.any():
        raise InputError(
            f"{name} holds {values[odd].flat[0]:g}: a label map has whole numbers from 0 up. Is it an image, or "
            "probabilities? Give the label map."
        )
    whole: NDArray[np.int32] = labels.astype(np.int32)
    return whole


def label_volumes(series: ImageSeries, labels: Path) -> Sequence[int]:
    """Which volume of a 4-D label file belongs to each scan.

    It has one for each scan of the series, or for each scan of what the series was selected from. Raises InputError.
    """
    return _matched(series, volumes_in(labels), f"{labels.name} holds {volumes_in(labels)} label volumes")


def scan_labels(series: ImageSeries, given: Sequence[Path | str]) -> list[LabelFile | None]:
    """The scans' own labels, None for a scan without.

    `given` is one 4-D file, or a file for each scan in their order (as for `label_volumes`), or `K=FILE` for scan K of
    the series alone (0 is the first in time). Raises InputError for another number of files and an unknown scan.
    """
    texts = [str(each) for each in given]
    if texts and all(_number_of(text) is not None for text in texts):
        return _numbered(series, texts)
    files = [_existing(Path(text)) for text in texts]
    if len(files) == 1 and volumes_in(files[0]) > 1:
        return [LabelFile(files[0], volume) for volume in label_volumes(series, files[0])]
    order = _matched(series, len(files), f"{len(files)} files of labels were given")
    return [LabelFile(files[k]) for k in order]


def own_labels(series: ImageSeries, labels: Path, given: Sequence[Path | str]) -> list[LabelFile | None]:
    """`scan_labels` of what is `given`; of nothing: those of `labels`, if it holds a volume for each scan."""
    if given:
        return scan_labels(series, given)
    return scan_labels(series, [labels]) if volumes_in(labels) > 1 else [None] * len(series.scans)


def carried(trajectory: Trajectory, labels: LabelMap, t: float, grid: Grid | None = None, every: int = 1) -> Labels:
    """The labels on `grid` (default: the reference's) at time t, carried along the flow from the time they were drawn.

    Each label's indicator is interpolated and the largest wins. `every`: as in `tissue_index`.
    """
    grid = grid or trajectory.grid
    if t == labels.time and grid is trajectory.grid:
        return labels.values
    slabs = [grid] if every > 1 else _slabs(grid)
    parts = [_read(labels, tissue_index(trajectory, slab, t, labels.time, every)) for slab in slabs]
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def tissue_index(trajectory: Trajectory, grid: Grid, t: float, t_a: float, every: int = 1) -> NDArray[np.float64]:
    """Where the tissue on the voxels of `grid` at time t is at time t_a: indices (I,J,K,3) of the reference's voxels.

    It is T = phi_a^-1 o phi_t, the pull that makes what was drawn at t_a lie on the frame at t. `every` n-th voxel is
    evaluated, with cubics in between: a smooth map needs no more for the screen.
    """
    coarse, matrices = thinned(grid, every)
    points = coarse.points()
    moved = trajectory.between(points, t_a, t) if t != t_a else points * 0
    away = trajectory.grid.to_index(points + moved) - trajectory.grid.to_index(points)
    if matrices is not None:
        away = apply_separable(matrices, away.movedim(-1, 0).float()).movedim(0, -1).double()
    index: NDArray[np.float64] = (trajectory.grid.to_index(grid.points()) + away).numpy()
    return index


def majority(values: Labels, index: NDArray[np.float64]) -> Labels:
    """Labels (I,J,K) at voxel indices (...,3): of the trilinear weights of its corners, the label with the most wins.

    As if each label's indicator were interpolated and the largest taken, the smaller label where two are equal; edge
    labels go on beyond the edge.
    """
    last = np.array(values.shape) - 1
    at = np.clip(index.reshape(-1, 3), 0, last)
    below = np.minimum(at.astype(np.intp), np.maximum(last - 1, 0))
    part, ends = at - below, (below, np.minimum(below + 1, last))
    sides = list(product((0, 1), repeat=3))
    corners = np.stack([values[ends[i][:, 0], ends[j][:, 1], ends[k][:, 2]] for i, j, k in sides])
    found = corners[0].copy()
    mixed = (corners != corners[0]).any(axis=0)
    shares = [np.where(side, part[mixed], 1 - part[mixed]).prod(axis=1) for side in np.array(sides, dtype=bool)]
    found[mixed] = _heaviest(corners[:, mixed], np.stack(shares))
    whole: Labels = found.reshape(index.shape[:-1])
    return whole


def _read(labels: LabelMap, index: NDArray[np.float64]) -> Labels:
    """The labels at voxel indices (...,3); most of an image lies beside all of them."""
    if labels.is_empty:
        return np.zeros(index.shape[:-1], dtype=labels.values.dtype)
    low, high = labels.box
    near = ((index > low - 1) & (index < high + 1)).all(axis=-1)
    found = np.zeros(index.shape[:-1], dtype=labels.values.dtype)
    found[near] = majority(labels.values, index[near])
    return found


def _heaviest(corners: Labels, weights: NDArray[np.float64]) -> Labels:
    """Of labels and weights (8,N): the label (N,) whose weights sum up to the most."""
    sums = np.stack([(weights * (corners == corner)).sum(axis=0) for corner in corners])
    best = sums >= sums.max(axis=0) - _TIE
    heaviest: Labels = np.where(best, corners, np.iinfo(corners.dtype).max).min(axis=0)
    return heaviest


def thinned(grid: Grid, every: int) -> tuple[Grid, Matrices | None]:
    """About every n-th voxel of `grid` from the first to the last, each one along thick slices.

    The matrices lead back by cubics, with `apply_separable`; None where nothing was left out.
    """
    strides = [every if h < _THICK * min(grid.spacing) and n >= 2 * every else 1 for h, n in _axes(grid)]
    shape = [-(-(n - 1) // f) + 1 for f, n in zip(strides, grid.shape, strict=True)]
    if shape == list(grid.shape):
        return grid, None
    affine = grid.affine.copy()
    affine[:3, :3] *= [(n - 1) / (m - 1) if m > 1 else 1.0 for n, m in zip(grid.shape, shape, strict=True)]
    x, y, z = (cubic_matrix(m, n) for m, n in zip(shape, grid.shape, strict=True))
    return Grid((shape[0], shape[1], shape[2]), affine), (x, y, z)


def _axes(grid: Grid) -> list[tuple[float, int]]:
    return list(zip(grid.spacing, grid.shape, strict=True))


def _slabs(grid: Grid) -> list[Grid]:
    """Across the first axis: the float64 points of a whole grid would take much memory."""
    n, (_, *ends) = grid.shape[0], grid.shape
    stops: list[Triple] = [(min(k + _SLAB, n), ends[0], ends[1]) for k in range(0, n, _SLAB)]
    return [grid.crop((k, 0, 0), stop) for k, stop in zip(range(0, n, _SLAB), stops, strict=True)]


def _volume_of(path: Path, series: ImageSeries, scan: int | None, time: float) -> LabelFile:
    if volumes_in(_existing(path)) == 1:
        return LabelFile(path)
    if scan is None:
        times = ", ".join(f"{t:g}" for t in series.times)
        raise InputError(
            f"{path.name} holds a label volume for each scan, and no scan is at t = {time:g}. Choose one of: {times}."
        )
    return LabelFile(path, label_volumes(series, path)[scan])


def _losses(found: LabelMap, file: LabelFile) -> list[str]:
    """Labels that resampling has changed by more than a hundredth: cut off by the grid, or thinner than its voxels."""
    counts = dict(zip(*np.unique(found.values, return_counts=True), strict=True))
    notes = []
    for label, own in file.volumes_mm3().items():
        here = float(counts.get(label, 0)) * found.voxel_mm3
        if abs(here - own) > _LOST * own:
            notes.append(f"label {label}: {own / 1000:.4g} ml in the file, {here / 1000:.4g} ml on the scans' grid.")
    return notes


def _matched(series: ImageSeries, n: int, what: str) -> Sequence[int]:
    if n == len(series.scans) and n != series.n_given:
        kept = sorted(series.frames)  # the labels stand in the order given, the scans in that of time
        return [kept.index(frame) for frame in series.frames]
    if n == series.n_given:
        return series.frames
    raise InputError(
        f"{what}; the series has {len(series.scans)} scans of {series.n_given} given. "
        "Give one label volume for each of them, in their order."
    )


def _numbered(series: ImageSeries, texts: Sequence[str]) -> list[LabelFile | None]:
    found: list[LabelFile | None] = [None] * len(series.scans)
    for text in texts:
        k, path = _number_of(text), _existing(Path(text.partition("=")[2]))
        if k is None or k >= len(found):
            raise InputError(f"{text}: there is no scan {k}. The series has scans 0 to {len(found) - 1}.")
        if (n := volumes_in(path)) > 1:
            raise InputError(f"{path.name} holds {n} volumes where the labels of scan {k} are wanted: give a 3D file.")
        found[k] = LabelFile(path)
    return found


def _number_of(text: str) -> int | None:
    number = text.partition("=")[0].strip() if "=" in text else ""
    return int(number) if number.isdecimal() else None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"The label map {path} does not exist. Give the path of an image file of whole numbers.")
    return path


def _voxel_mm3(grid: Grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3])))
