"""File formats: one reader for each in `READERS`, and the writer.

A reader looks at the header alone and returns a `VolumeFile`; voxels are read when they are asked for. Every
unusable file becomes an `InputError` that names it, says what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np

from noder.errors import InputError
from noder.formats.itk import read_itk
from noder.formats.nifti import pair_partner, read_mgh, read_nifti
from noder.formats.volume_file import VolumeFile
from noder.formats.writing import write_volume, written_atomically

__all__ = [
    "READERS",
    "VolumeFile",
    "foreign_kind",
    "open_volume_file",
    "pair_partner",
    "stem_of",
    "suffix_of",
    "write_volume",
    "written_atomically",
]

READERS: dict[str, Callable[[Path], VolumeFile]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".hdr": read_nifti,
    ".hdr.gz": read_nifti,
    ".img": read_nifti,
    ".img.gz": read_nifti,
    ".mgh": read_mgh,
    ".mgz": read_mgh,
    ".mgh.gz": read_mgh,
    ".mha": read_itk,
    ".mhd": read_itk,
    ".nrrd": read_itk,
    ".nhdr": read_itk,
}
"""How a name ends -> its reader."""

_open_files: WeakValueDictionary[tuple[str, int, int], VolumeFile] = WeakValueDictionary()


def open_volume_file(path: Path | str) -> VolumeFile:
    """Read the header of `path`; volumes of one file share what was unpacked. Raises InputError."""
    path = Path(path)
    _require_file(path)
    status = path.stat()
    key = (str(path.absolute()), status.st_mtime_ns, status.st_size)
    known = _open_files.get(key)
    if known is None:
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # a damaged header is a sentence, not a warning
                known = _open_files[key] = _reader_of(path)(path)
        except OSError as fault:
            raise InputError(f"{path} cannot be read ({fault.strerror or fault}): check the file.") from fault
    return known


def suffix_of(path: Path) -> str | None:
    """The key of `READERS` that `path`'s name ends with, or None."""
    name = path.name.lower()
    return max((s for s in READERS if name.endswith(s) and name != s), key=len, default=None)


def stem_of(path: Path) -> str:
    """The name without the suffix of its format: "scan" of "scan.nii.gz"."""
    return path.name[: len(path.name) - len(suffix_of(path) or "")]


# Files that are not read


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder, not an image: give the files in it, or the folder as a series.")
    if path.is_symlink() and not path.exists():
        raise InputError(f"{path} is a link to {path.readlink()}, which does not exist: fetch that file first.")
    if not path.exists():
        raise InputError(f"{path} does not exist: check its name and folder.")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): copy or download it again.")


_DICOM = ("a DICOM file", "convert its series with dcm2niix")
_FOREIGN_SUFFIXES = {
    ".dcm": _DICOM,
    ".ima": _DICOM,
    ".mnc": ("a MINC file", "convert it with mnc2nii"),
    ".par": ("a Philips PAR/REC file", "convert it with dcm2niix"),
    ".rec": ("a Philips PAR/REC file", "convert it with dcm2niix"),
    ".head": ("an AFNI file", "convert it with 3dAFNItoNIFTI"),
    ".brik": ("an AFNI file", "convert it with 3dAFNItoNIFTI"),
    ".brik.gz": ("an AFNI file", "convert it with 3dAFNItoNIFTI"),
}
_FOREIGN_STARTS = {
    b"\x89HDF": ("an HDF5 or MINC file", "convert it with mnc2nii"),
    b"CDF": ("a NetCDF or MINC file", "convert it with mnc2nii"),
    b"\x89PNG": ("a PNG picture, without a place in space", "give the scans themselves"),
    b"\xff\xd8\xff": ("a JPEG picture, without a place in space", "give the scans themselves"),
    b"PK\x03\x04": ("a ZIP archive", "unpack it first"),
}


def foreign_kind(path: Path) -> tuple[str, str] | None:
    """What `path` is and what to do with it, where it is a known format that is not read here; else None."""
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:132] == b"DICM":
        return _DICOM
    by_start = next((kind for magic, kind in _FOREIGN_STARTS.items() if start.startswith(magic)), None)
    name = path.name.lower()
    return by_start or next((kind for s, kind in _FOREIGN_SUFFIXES.items() if name.endswith(s)), None)


def _reader_of(path: Path) -> Callable[[Path], VolumeFile]:
    foreign = foreign_kind(path)
    if foreign is not None:
        raise InputError(f"{path} is {foreign[0]}, and only NIfTI, MGH, MetaImage and NRRD are read: {foreign[1]}.")
    suffix = suffix_of(path)
    if suffix is None:
        raise InputError(f"{path} is not an image that is read here: give a file named {', '.join(READERS)}.")
    return READERS[suffix]
