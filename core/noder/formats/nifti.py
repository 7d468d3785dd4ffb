"""Reader of NIfTI-1, NIfTI-2 and MGH, by nibabel."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.imageglobals import LoggingOutputSuppressor
from nibabel.spatialimages import HeaderDataError, HeaderTypeError, ImageDataError
from numpy.typing import NDArray

from noder.errors import InputError
from noder.formats.volume_file import (
    FAULTS,
    Matrix,
    Triple,
    VolumeFile,
    Volumes,
    damaged,
    grid_of,
    require_numbers,
    spatial_shape,
)
from noder.grid import Grid

_FAULTS = (*FAULTS, ImageFileError, HeaderDataError, HeaderTypeError, ImageDataError)
_TIME_UNITS = {8: "s", 16: "ms", 24: "us"}
_MM_PER_UNIT = {1: ("metres", 1e3), 3: ("micrometres", 1e-3)}
_MISMATCH_MM = 0.1
_DEFLATE_LIMIT = 1100  # deflate never packs more than 1032 to 1


def read_nifti(path: Path) -> VolumeFile:
    header_path = _pair_header(path)
    raw = _raw_nifti_header(header_path)
    try:
        with LoggingOutputSuppressor():
            image = _nifti_class(path, raw).from_filename(path)
            shape, n_volumes = spatial_shape(path, image.shape, int(image.header["intent_code"]))
            affine, notes = _nifti_affine(image.header)
            step = _nifti_step(image.header) if n_volumes > 1 else None
    except _FAULTS as fault:
        raise damaged(path, fault) from fault
    affine, unit_notes = _to_mm(affine, int(image.header["xyzt_units"]) & 7)
    notes += unit_notes + _scaling_notes(raw)
    return _from_nibabel(path, image, shape, n_volumes, affine, step, notes)


def _pair_header(path: Path) -> Path:
    """The file that holds the header: `path`, or for the data of a pair its .hdr. Raises where the other is missing."""
    is_data = (suffix_of(path) or "").startswith(".img")
    other = pair_partner(path)
    if other is None or other.is_file():
        return other if is_data and other is not None else path
    lost = "header" if is_data else "voxels"
    raise InputError(f"{path} lacks its {lost}: put {other.name} into the same folder.")


def pair_partner(path: Path) -> Path | None:
    """The .img of a .hdr and the other way round, whether it exists or not; None for single files."""
    suffix = suffix_of(path) or ""
    kind = suffix[:4]
    if kind not in (".hdr", ".img"):
        return None
    other = suffix.replace(kind, ".img" if kind == ".hdr" else ".hdr")
    upper = path.name[-len(suffix) :].isupper()
    return path.with_name(path.name[: -len(suffix)] + (other.upper() if upper else other))


def _raw_nifti_header(path: Path) -> bytes:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if packed != path.name.lower().endswith(".gz"):
        ending = "compressed: add .gz to" if packed else "not compressed: take .gz off"
        raise InputError(f"{path} is {ending} its name.")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            raw = file.read(nib.Nifti2Header.sizeof_hdr)
    except _FAULTS as fault:
        raise damaged(path, fault) from fault
    if len(raw) < nib.Nifti1Header.sizeof_hdr:
        raise InputError(f"{path} is too short for an image ({len(raw)} bytes): copy or download it again.")
    return raw


_PAIRS = {b"n+1\0": False, b"ni1\0": True, b"n+2\0": False, b"ni2\0": True}


def _nifti_class(path: Path, raw: bytes) -> Any:
    first, second = raw[344:348], raw[4:8]
    if first in _PAIRS:
        return nib.Nifti1Pair if _PAIRS[first] else nib.Nifti1Image
    if second in _PAIRS:
        return nib.Nifti2Pair if _PAIRS[second] else nib.Nifti2Image
    if not (suffix_of(path) or "").startswith(".nii") and nib.AnalyzeHeader.may_contain_header(raw[:348]):
        raise InputError(f"{path} is Analyze 7.5, which cannot tell left from right: convert it to NIfTI.")
    raise InputError(f"{path} is not a NIfTI file, whatever its name says: give the image itself.")


def _nifti_affine(header: Any) -> tuple[Matrix, list[str]]:
    """sform before qform before the bare voxel sizes, each only where usable, and what there is to say about it."""
    sform, qform = (
        _usable(header.get_sform, header["sform_code"]),
        _usable(header.get_qform, header["qform_code"]),
    )
    notes = [
        f"the {name} of the header is unusable and was ignored"
        for name, found in (("sform", sform), ("qform", qform))
        if found is None and int(header[f"{name}_code"]) > 0
    ]
    if sform is not None:
        return sform, notes + (
            _disagreement(header.get_data_shape(), sform, qform) if qform is not None else []
        )
    if qform is not None:
        return qform, notes
    notes.append(
        "the header has neither sform nor qform: left and right are guessed (stored right to left, as in Analyze), "
        "and the place in space is unknown"
    )
    return np.asarray(header.get_base_affine(), dtype=np.float64), notes


def _usable(form: Callable[[], Any], code: Any) -> Matrix | None:
    if int(code) <= 0:
        return None
    try:
        affine = np.asarray(form(), dtype=np.float64)
        Grid((1, 1, 1), affine)
    except (ValueError, HeaderDataError):
        return None
    return affine


def _disagreement(shape: tuple[int, ...], sform: Matrix, qform: Matrix) -> list[str]:
    space = cast(Triple, tuple([*shape[:3], 1, 1][:3]))
    corners = Grid(space, sform).corners_mm - Grid(space, qform).corners_mm
    gap = float(np.linalg.norm(corners, axis=1).max())
    return [f"sform and qform disagree by {gap:.3g} mm: the sform is used"] if gap > _MISMATCH_MM else []


def _nifti_step(header: Any) -> tuple[float, str] | None:
    step, code = float(header["pixdim"][4]), int(header["xyzt_units"]) & 56
    unit = _TIME_UNITS.get(code, "")
    usable = np.isfinite(step) and step > 0 and (unit or step != 1) and code not in (32, 40, 48)
    return (round(step, 6), unit) if usable else None


def _to_mm(affine: Matrix, unit: int) -> tuple[Matrix, list[str]]:
    if unit not in _MM_PER_UNIT:
        return affine, []
    name, factor = _MM_PER_UNIT[unit]
    scaled = affine.copy()
    scaled[:3] *= factor
    return scaled, [f"the header is in {name}: converted to mm"]


def _scaling_notes(raw: bytes) -> list[str]:
    newer = raw[4:8] in _PAIRS
    kind = nib.Nifti2Header if newer else nib.Nifti1Header
    header: Any = kind(raw[: kind.sizeof_hdr], check=False)
    sizes = header["pixdim"][1 : 1 + min(3, max(1, int(header["dim"][0])))]
    notes = ["scl_slope is 0: voxel values are used as stored"] if float(header["scl_slope"]) == 0 else []
    return notes + (
        ["negative voxel sizes in the header: their sign is ignored"] if (sizes < 0).any() else []
    )


def read_mgh(path: Path) -> VolumeFile:
    try:
        with LoggingOutputSuppressor():
            image: Any = nib.MGHImage.from_filename(path)
            shape, n_volumes = spatial_shape(path, image.shape)
            zooms = [float(z) for z in image.header.get_zooms()]
    except _FAULTS as fault:
        raise damaged(path, fault) from fault
    step = (zooms[3], "ms") if n_volumes > 1 and zooms[3] > 0 else None
    placed = int(image.header["goodRASFlag"]) == 1
    notes = [] if placed else ["the header gives no place in space: coronal at the origin is assumed"]
    return _from_nibabel(path, image, shape, n_volumes, np.asarray(image.affine, np.float64), step, notes)


def _from_nibabel(
    path: Path,
    image: Any,
    shape: Triple,
    n_volumes: int,
    affine: Matrix,
    step: tuple[float, str] | None,
    notes: list[str],
) -> VolumeFile:
    dtype = np.dtype(image.get_data_dtype())
    require_numbers(path, dtype)
    holder = (image.file_map.get("image") or image.file_map["header"]).filename
    packed = str(holder).lower().endswith((".gz", ".mgz"))
    size, needed = Path(holder).stat().st_size, dtype.itemsize * n_volumes * int(np.prod(shape, dtype=object))
    if needed > size * (_DEFLATE_LIMIT if packed else 1):
        raise damaged(path, OSError(f"the header promises {needed} bytes of voxels, the file has {size}"))
    proxy = image.dataobj.reshape((*shape, n_volumes))
    load_one = None if packed else lambda k: np.asarray(proxy[..., k])
    grid, more = grid_of(path, shape, affine)
    return VolumeFile(
        path,
        grid,
        n_volumes,
        dtype,
        step,
        (*notes, *more),
        load_one,
        lambda: _scaled(proxy, proxy.get_unscaled()),
    )


def _scaled(proxy: Any, raw: NDArray[Any]) -> Callable[[int], NDArray[Any]]:
    slope, intercept = proxy.slope, proxy.inter
    if (slope, intercept) == (1, 0):
        return lambda k: raw[..., k]
    return lambda k: raw[..., k] * np.float64(slope) + np.float64(intercept)


