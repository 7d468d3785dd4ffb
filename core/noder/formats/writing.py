"""Writing NIfTI: a whole file under its name, or nothing."""

from __future__ import annotations

import errno
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from noder.errors import OutputError
from noder.grid import Grid


@contextmanager
def written_atomically(path: Path | str) -> Iterator[Path]:
    """A temporary name beside `path`, same suffixes, that becomes `path` on success and else vanishes.

    Raises OutputError, naming `path`, where the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.parent / f".{uuid.uuid4().hex}{''.join(path.suffixes[-2:])}"
    try:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            temporary.replace(path)
        finally:
            if temporary.parent.is_dir():
                temporary.unlink(missing_ok=True)
    except OSError as fault:
        raise _not_written(path, fault) from fault


def write_volume(
    path: Path | str,
    array: ArrayLike,
    grid: Grid,
    *,
    intent: int | None = None,
    time_step: float | None = None,
    unit: str | None = None,
    dtype: DTypeLike | None = None,
) -> None:
    """Write NIfTI-1, all or nothing: `array` (X,Y,Z), (X,Y,Z,T) or (X,Y,Z,1,C) in `grid`'s own axis order.

    sform and qform are the grid's affine (a sheared one fits the sform only), units mm and `unit` ("s", "ms",
    "us"; others do not fit NIfTI and are left out). `dtype` None: whole numbers as they are given, since other programs
    take label maps of fractions for images, and the rest as float32. Raises OutputError.
    """
    values = np.asarray(array)
    if values.shape[:3] != grid.shape:
        raise ValueError(f"array {values.shape} does not fit the grid {grid.shape}")
    kind = np.dtype(dtype or (values.dtype if values.dtype.kind in "iu" else np.float32))
    if kind.kind in "iu" and values.dtype.kind == "f":
        values = np.rint(values)
    image: Any = nib.Nifti1Image(values.astype(kind, copy=False), None, dtype=kind)
    image.header.set_sform(grid.affine, code=1)
    image.header.set_qform(grid.affine, code=0 if grid.is_sheared else 1)
    _set_time(image.header, time_step, unit)
    if intent is not None:
        image.header.set_intent(intent)
    with written_atomically(path) as temporary:
        nib.save(image, temporary)


def _set_time(header: Any, step: float | None, unit: str | None) -> None:
    known = {"s": "sec", "ms": "msec", "us": "usec"}.get(unit or "")
    header.set_xyzt_units("mm", known)
    if step is not None and known is not None and header["dim"][0] > 3:
        header["pixdim"][4] = step


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _not_written(path: Path, fault: OSError) -> OutputError:
    if fault.errno in _DISK_FULL:
        return OutputError(f"{path} was not written, the disk is full: free space or choose another folder.")
    reason = fault.strerror or str(fault)
    return OutputError(f"{path} was not written ({reason}): choose a folder that can be written to.")
