"""What every reader returns, and the checks that all formats share."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from noder.errors import InputError, NoderError, OutOfMemory
from noder.grid import Grid

Triple = tuple[int, int, int]
FloatArray = NDArray[np.float32]
Matrix = NDArray[np.float64]
Volumes = Callable[[int], NDArray[Any]]
"""Gives volume k (X,Y,Z), scaled as the header says."""

FAULTS = (OSError, EOFError, zlib.error, ValueError, KeyError, OverflowError, MemoryError)
"""What gzip and numpy raise on damaged files."""

_FAR_MM = 1e7
_FIELD_INTENTS = (1005, 1006, 1007, *range(2006, 2020))  # NIfTI matrices and vectors, FSL warps


@dataclass(eq=False)
class VolumeFile:
    """An image file whose header was read: one volume or several on one grid, in stored axis order."""

    path: Path
    grid: Grid
    n_volumes: int
    dtype: np.dtype[Any]
    time_step: tuple[float, str] | None
    """Step between volumes and its unit ("" where the header has none); None for one volume or no step."""
    notes: tuple[str, ...]
    load_one: Volumes | None
    """Reads one volume (X,Y,Z) cheaply; None where that costs as much as reading all (compressed files)."""
    load_all: Callable[[], Volumes]
    """Reads all volumes in their stored type; the result gives volume k with the header's scaling."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _held: Volumes | None = field(default=None, repr=False)
    _unread: set[int] = field(default_factory=set, repr=False)

    def read(self, volume: int) -> FloatArray:
        """Volume `volume` as float32 (X,Y,Z) in stored axis order. Raises InputError for damaged data.

        A compressed file of several volumes is unpacked once and held in its stored type until each was read.
        """
        with self._lock, np.errstate(over="ignore", invalid="ignore"):
            try:
                return self._read(volume).astype(np.float32)
            except FAULTS as fault:
                raise damaged(self.path, fault) from fault

    def _read(self, volume: int) -> NDArray[Any]:
        if self.load_one is not None:
            return self.load_one(volume)
        if self._held is None:
            self._held, self._unread = self.load_all(), set(range(self.n_volumes))
        values = self._held(volume)
        self._unread.discard(volume)
        if not self._unread:
            self._held = None
        return values


def damaged(path: Path, fault: BaseException) -> NoderError:
    """The sentence for what a library raised on `path`."""
    if isinstance(fault, MemoryError):
        return OutOfMemory(f"{path} needs more memory than there is: close programs or give a smaller image.")
    reason = " ".join(str(fault).split()) or type(fault).__name__
    return InputError(f"{path} is cut short or damaged ({reason[:200]}): copy or download it again.")


def spatial_shape(path: Path, shape: tuple[int, ...], intent: int = 0) -> tuple[Triple, int]:
    """Split a stored shape into space and number of volumes; raises for anything else than 2-D to 4-D."""
    sizes = [int(n) for n in shape]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if 3000 <= intent < 3100:
        raise InputError(f"{path} is a CIFTI-2 matrix of surface and grey-matter points: give a volume instead.")
    if intent in _FIELD_INTENTS:
        raise InputError(f"{path} holds displacements or vectors (intent {intent}): give the images themselves.")
    if any(n < 1 for n in sizes) or len(sizes) < 2:
        raise InputError(f"{path} holds no volume (its shape is {_by(sizes)}): give a 3-D or 4-D image.")
    if len(sizes) > 4:
        vectors = len(sizes) == 5 and sizes[3] == 1
        kind = "a vector at each voxel (a field?)" if vectors else "more than 4 axes"
        raise InputError(f"{path} holds {kind}, shape {_by(sizes)}: give a 3-D or 4-D image of one value a voxel.")
    space = cast(Triple, tuple([*sizes[:3], 1][:3]))
    return space, sizes[3] if len(sizes) == 4 else 1


def grid_of(path: Path, shape: Triple, affine: Matrix) -> tuple[Grid, list[str]]:
    """The stored grid, and notes on it. Raises InputError for an affine that cannot be meant."""
    if not is_sane(affine):
        raise InputError(f"{path} has voxels without a size, or with an absurd one: mend its header.")
    grid = Grid(shape, affine)
    return grid, ["the axes are not at right angles (sheared affine)"] if grid.is_sheared else []


def is_sane(affine: Matrix) -> bool:
    """Whether an affine is invertible and its millimetres are not astronomical."""
    if not (np.abs(affine) < _FAR_MM).all():
        return False
    try:
        Grid((1, 1, 1), affine)
    except ValueError:
        return False
    return True


def require_numbers(path: Path, dtype: np.dtype[Any]) -> None:
    """Raise InputError for colours, complex numbers and anything else that is not one number a voxel."""
    advice = "give an image of one value a voxel"
    if dtype.names is not None:
        raise InputError(f"{path} holds colours ({''.join(dtype.names)}): {advice}.")
    if dtype.kind == "c":
        raise InputError(f"{path} holds complex numbers: {advice}, such as the magnitude.")
    if dtype.kind not in "iufb":
        raise InputError(f"{path} holds {dtype}, not numbers: {advice}.")


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(n) for n in sizes)
