"""One 3-D image: a lazy file or an array, shown in the closest RAS orientation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.alignment import Alignment
from noder.errors import InputError
from noder.formats import (
    READERS,
    VolumeFile,
    foreign_kind,
    open_volume_file,
    pair_partner,
    stem_of,
    suffix_of,
    write_volume,
    written_atomically,
)
from noder.grid import Array, Grid
from noder.held import HELD

__all__ = [
    "READERS",
    "Image",
    "foreign_kind",
    "header_time_step",
    "pair_partner",
    "pulled",
    "stem_of",
    "suffix_of",
    "volumes_in",
    "write_volume",
    "written_atomically",
]

FloatArray = NDArray[np.float32]


def volumes_in(path: Path | str) -> int:
    """Number of volumes in a file (1 for 3-D), from its header. Raises InputError."""
    return open_volume_file(path).n_volumes


def header_time_step(path: Path | str) -> tuple[float, str] | None:
    """Step between the volumes of a 4-D file and its unit ("" where the header names none), or None."""
    return open_volume_file(path).time_step


class Image:
    """A 3-D image on a `Grid`; voxels are read at first use and kept until `release`.

    `grid` is the closest-RAS grid of what is shown and fitted, `stored_grid` that of the file: the same
    voxels in another order. Make one with `Image.open` or `Image.from_array`.
    """

    def __init__(
        self,
        load: Callable[[], NDArray[Any]],
        stored_grid: Grid,
        name: str,
        *,
        path: Path | None = None,
        volume: int | None = None,
        dtype: np.dtype[Any] | None = None,
        notes: tuple[str, ...] = (),
        nan_to_zero: bool = False,
        source: Image | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self._load = load
        self._change = stored_grid.reorientation()
        self._nan_to_zero = nan_to_zero
        self._given_notes = notes
        self._source = source
        self.alignment = alignment
        self._lock = threading.RLock()
        self._cached: FloatArray | None = None
        self._n_replaced = 0
        self.stored_grid = stored_grid
        self.grid = stored_grid.reoriented(self._change)
        self.path = path
        self.volume = volume
        self.name = name
        self.dtype = dtype or np.dtype(np.float32)

    @classmethod
    def open(cls, path: Path | str, volume: int | None = None, *, nan_to_zero: bool = False) -> Image:
        """Open a file by its header; `volume` picks one of a 4-D file (needed where there are several).

        Raises InputError, naming the file, for anything but an image of one value a voxel.
        """
        file = open_volume_file(path)
        return cls(
            lambda: file.read(volume or 0),
            file.grid,
            _name(file, volume),
            path=Path(path),
            volume=_require_volume(file, volume),
            dtype=file.dtype,
            notes=file.notes,
            nan_to_zero=nan_to_zero,
        )

    @classmethod
    def from_array(cls, array: NDArray[Any] | Tensor, grid: Grid, name: str) -> Image:
        """An image in memory: `array` (I,J,K) lives on `grid`, which may have any orientation."""
        values = np.asarray(array)
        if values.shape != grid.shape:
            raise ValueError(f"array {values.shape} does not fit the grid {grid.shape}")
        return cls(lambda: values, grid, name, dtype=values.dtype)

    @property
    def header_notes(self) -> tuple[str, ...]:
        """What is odd about the image as far as its header shows."""
        return (*self._source.header_notes, *self._given_notes) if self._source is not None else self._given_notes

    @property
    def notes(self) -> tuple[str, ...]:
        """`header_notes`, and what reading the voxels has shown since."""
        return (*self.header_notes, *self._voxel_notes())

    def _voxel_notes(self) -> tuple[str, ...]:
        if self._source is not None:
            return self._source._voxel_notes()
        if self._n_replaced == 0:
            return ()
        return (f"{_n_voxels(self._n_replaced)} not finite (NaN or infinite): 0 was put there",)

    @property
    def is_resampled(self) -> bool:
        """Whether the voxels were put on another scan's grid."""
        return self._source is not None

    @property
    def raw(self) -> Image:
        """The image on its own grid and in its own place: itself, or what was resampled."""
        return self if self._source is None else self._source

    @property
    def nan_to_zero(self) -> bool:
        """Whether voxels that are not finite are read as 0."""
        return self._source.nan_to_zero if self._source is not None else self._nan_to_zero

    @property
    def n_bytes(self) -> int:
        """Bytes of memory that the voxels take once loaded."""
        return 4 * self.grid.n_voxels

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""
        return self._cached is not None

    def numpy(self) -> FloatArray:
        """float32 (I,J,K) on `grid`, cached: treat it as read-only. Threads may call it at once.

        Raises InputError for damaged data, and for voxels that are not finite (remedy "nan_to_zero").
        """
        with self._lock:
            if self._cached is None:
                stored = np.asarray(self._load()).astype(np.float32, copy=False)
                # a copy, not ascontiguousarray: that keeps the negative stride of a flipped axis of one voxel
                self._cached = np.array(self._change.apply(self._finite(stored)), order="C")
            values = self._cached
        if self.path is not None and self._source is None:  # what was resampled or is in memory alone costs more
            HELD.used(self)
        return values

    def tensor(self) -> Tensor:
        """float32 (1,I,J,K) on `grid`; shares its memory with `numpy()`."""
        return torch.from_numpy(self.numpy())[None]

    def release(self) -> None:
        """Forget the voxels; they are read again at the next use."""
        with self._lock:
            self._cached = None

    def release_if_idle(self) -> bool:
        """`release`, unless another thread is reading the voxels at this moment; returns whether it was done."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._cached = None
        finally:
            self._lock.release()
        return True

    def to_stored(self, array: Array) -> Array:
        """Undo the reorientation: (...,I,J,K) on `grid` -> stored axis order, on `stored_grid`."""
        return self._change.undo(array)

    def replacing_nan(self) -> Image:
        """The same image with 0 in place of voxels that are not finite; `notes` says how many."""
        if self._source is not None:
            return self._source.replacing_nan()._resampled(self.stored_grid, self._given_notes, self.alignment)
        return Image(
            self._load,
            self.stored_grid,
            self.name,
            path=self.path,
            volume=self.volume,
            dtype=self.dtype,
            notes=self._given_notes,
            nan_to_zero=True,
        )

    def resampled_onto(self, other: Image) -> Image:
        """The same image on `other`'s grids: linear, when first read; the edge value beyond the edge."""
        outside = _part_outside(self.grid, other.grid)
        note = f"resampled onto the grid of {other.name} (linear)"
        note += f"; {outside:.0%} of that grid lies outside and takes the edge value" if outside >= 0.005 else ""
        return self._resampled(other.stored_grid, (note,))

    def aligned_onto(self, other: Image, alignment: Alignment) -> Image:
        """The image as stored, pulled through `alignment` onto `other`'s grids in one interpolation, when first read.

        Cubic B-splines, because the other scans would be blurred beside the first by a linear one; within the range of
        the scan's own values, and the edge value beyond the edge.
        """
        return self.raw._resampled(other.stored_grid, (alignment.note(),), alignment)

    def _resampled(self, target: Grid, notes: tuple[str, ...], alignment: Alignment | None = None) -> Image:
        return Image(
            lambda: _resample(self, target) if alignment is None else pulled(self, target, alignment.matrix),
            target,
            self.name,
            path=self.path,
            volume=self.volume,
            dtype=self.dtype,
            notes=notes,
            source=self,
            alignment=alignment,
        )

    def _finite(self, values: FloatArray) -> FloatArray:
        bad = ~np.isfinite(values)
        count = int(bad.sum())
        if count and count == values.size:
            raise InputError(f"{self.name} holds no finite voxel, only NaN or infinite ones: give another file.")
        if count and not self._nan_to_zero:
            where = self.path if self.path is not None and self.volume is None else self.name
            raise InputError(
                f"{where} has {_n_voxels(count)} not finite (NaN or infinite): mend the file, "
                "or have them replaced by 0.",
                remedy="nan_to_zero",
            )
        self._n_replaced = count
        return np.where(bad, np.float32(0), values) if count else values


def _name(file: VolumeFile, volume: int | None) -> str:
    return file.path.name if volume is None or file.n_volumes == 1 else f"{file.path.name}[{volume}]"


def _require_volume(file: VolumeFile, volume: int | None) -> int | None:
    n = file.n_volumes
    if volume is None and n > 1:
        raise InputError(f"{file.path} holds {n} volumes where one is wanted: name one, 0 to {n - 1}.")
    if volume is not None and not 0 <= volume < n:
        raise InputError(f"{file.path} has no volume {volume}: it holds {n}, counted from 0.")
    return volume if n > 1 else None


def _n_voxels(count: int) -> str:
    return "1 voxel that is" if count == 1 else f"{count} voxels that are"


def _part_outside(inner: Grid, target: Grid) -> float:
    """Which part of `target` lies outside `inner`, from a coarse lattice of its voxels."""
    axes = [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in ((n, min(n, 48)) for n in target.shape)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    index = np.asarray(inner.to_index(target.to_mm(lattice)), dtype=np.float64)
    outside = (index < -0.5) | (index > np.array(inner.shape) - 0.5)
    return float(outside.any(axis=-1).mean())


def _resample(image: Image, target: Grid) -> FloatArray:
    """Slab by slab: the float64 points of a whole grid would take six times its image's memory."""
    volume = image.tensor()
    slabs = [image.grid.sample(volume, target.slice(0, k).points())[0] for k in range(target.shape[0])]
    image.release()
    return cast(FloatArray, torch.cat(slabs).numpy())


def pulled(image: Image, target: Grid, matrix: NDArray[np.float64]) -> FloatArray:
    """(I,J,K) on `target`: image (matrix x) at every voxel's RAS mm x, by cubic B-splines."""
    from scipy import ndimage

    values = image.numpy()
    index = image.grid.inverse_affine @ matrix @ target.affine
    moved = ndimage.affine_transform(values, index[:3, :3], index[:3, 3], target.shape, order=3, mode="nearest")
    np.clip(moved, values.min(), values.max(), out=moved)
    image.release()
    return cast(FloatArray, moved)
