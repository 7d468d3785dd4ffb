"""Reader of NIfTI-1, NIfTI-2 and MGH, by nibabel."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.freesurfer.mghformat import MGHError
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
    is_sane,
    require_numbers,
    spatial_shape,
)
from noder.grid import Grid

_FAULTS = (*FAULTS, ImageFileError, HeaderDataError, HeaderTypeError, ImageDataError, MGHError, TypeError)
_TIME_UNITS = {8: "s", 16: "ms", 24: "us"}
_MM_PER_UNIT = {1: ("metres", 1e3), 3: ("micrometres", 1e-3)}
_MISMATCH_MM = 0.1
_DEFLATE_LIMIT = 1100  # deflate never packs more than 1032 to 1


def read_nifti(path: Path) -> VolumeFile:
    """NIfTI-1 or -2, one file or a .hdr/.img pair (by either name). Raises InputError."""
    raw = _raw_nifti_header(_header_file(path))
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


_PAIR = re.compile(r"\.(hdr|img)(\.gz)?$", re.IGNORECASE)


def pair_partner(path: Path) -> Path | None:
    """The .img of a .hdr and the other way round, whether it exists or not; None for single files."""
    found = _PAIR.search(path.name)
    if found is None:
        return None
    other = "img" if found[1].lower() == "hdr" else "hdr"
    other = other.upper() if found[1].isupper() else other
    return path.with_name(f"{path.name[: found.start()]}.{other}{found[2] or ''}")


def _header_file(path: Path) -> Path:
    """Where the header is: in `path`, or beside the data of a pair. Raises where one of a pair is missing."""
    other = pair_partner(path)
    if other is None:
        return path
    is_data = path.name.lower().endswith((".img", ".img.gz"))
    if not other.is_file():
        lost = "header" if is_data else "voxels"
        raise InputError(f"{path} lacks its {lost}: put {other.name} into the same folder.")
    return other if is_data else path


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


# How the magic says that header and data are two files.
_PAIRS = {b"n+1\0": False, b"ni1\0": True, b"n+2\0": False, b"ni2\0": True}


def _nifti_class(path: Path, raw: bytes) -> Any:
    first, second = raw[344:348], raw[4:8]
    if first in _PAIRS:
        return nib.Nifti1Pair if _PAIRS[first] else nib.Nifti1Image
    if second in _PAIRS:
        return nib.Nifti2Pair if _PAIRS[second] else nib.Nifti2Image
    if _PAIR.search(path.name) and nib.AnalyzeHeader.may_contain_header(raw[:348]):
        raise InputError(f"{path} is Analyze 7.5, which cannot tell left from right: convert it to NIfTI.")
    raise InputError(f"{path} is not a NIfTI file, whatever its name says: give the image itself.")


def _nifti_affine(header: Any) -> tuple[Matrix, list[str]]:
    """sform before qform before bare voxel sizes, each only where usable; and what there is to say."""
    forms = {name: _usable(header, name) for name in ("sform", "qform")}
    notes = [
        f"the {name} of the header is unusable and was ignored"
        for name, form in forms.items()
        if form is None and int(header[f"{name}_code"]) > 0
    ]
    sform, qform = forms["sform"], forms["qform"]
    if sform is not None and qform is not None:
        notes += _disagreement(header.get_data_shape(), sform, qform)
    best = sform if sform is not None else qform
    if best is None:
        return np.asarray(header.get_base_affine(), dtype=np.float64), [*notes, _NO_FORM]
    return best, notes


_NO_FORM = (
    "neither sform nor qform is set: left and right are guessed (stored right to left, as in Analyze), "
    "the place in space is unknown"
)


def _usable(header: Any, name: str) -> Matrix | None:
    if int(header[f"{name}_code"]) <= 0:
        return None
    try:
        affine = np.asarray(header.get_sform() if name == "sform" else header.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError):
        return None
    return affine if is_sane(affine) else None


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
    kind: Any = nib.Nifti2Header if newer else nib.Nifti1Header
    header: Any = kind(raw[: kind.sizeof_hdr], check=False)
    sizes = header["pixdim"][1 : 1 + min(3, max(1, int(header["dim"][0])))]
    odd = {
        "scl_slope is 0: voxel values are used as stored": float(header["scl_slope"]) == 0,
        "negative voxel sizes in the header: their sign is ignored": bool((sizes < 0).any()),
        "voxel sizes of 0 in the header: 1 is assumed where no affine says otherwise": bool((sizes == 0).any()),
    }
    return [note for note, holds in odd.items() if holds]


def read_mgh(path: Path) -> VolumeFile:
    """FreeSurfer's .mgh and .mgz. Raises InputError."""
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
    holder = Path((image.file_map.get("image") or image.file_map["header"]).filename)
    packed = holder.name.lower().endswith((".gz", ".mgz"))
    _require_size(path, holder, dtype.itemsize * n_volumes * int(np.prod(shape, dtype=object)), packed)
    proxy = image.dataobj.reshape((*shape, n_volumes))
    grid, more = grid_of(path, shape, affine)

    def load_one(k: int) -> NDArray[Any]:
        return np.asarray(proxy[..., k])

    def load_all() -> Volumes:
        return _scaled(proxy, _unpacked(holder, proxy))

    one = None if packed else load_one
    return VolumeFile(path, grid, n_volumes, dtype, step, (*notes, *more), one, load_all)


def _require_size(path: Path, holder: Path, needed: int, packed: bool) -> None:
    size = holder.stat().st_size
    if needed > size * (_DEFLATE_LIMIT if packed else 1):
        raise damaged(path, OSError(f"the header promises {needed} bytes of voxels, the file has {size}"))


def _unpacked(holder: Path, proxy: Any) -> NDArray[Any]:
    """All voxels of a compressed file in their stored type.

    Read to the end, where nibabel stops after the last voxel: only there does gzip compare its checksum.
    """
    values = np.empty(int(np.prod(proxy.shape)), proxy.dtype)
    target = values.view(np.uint8).data
    done = 0
    with gzip.open(holder) as file:
        file.seek(proxy.offset)
        while done < len(target):
            count = file.readinto(target[done:])
            if not count:
                raise EOFError(f"{done} of {len(target)} bytes of voxels are there")
            done += count
        while file.read(1 << 20):
            pass
    return values.reshape(proxy.shape, order="F")


def _scaled(proxy: Any, raw: NDArray[Any]) -> Volumes:
    slope, intercept = proxy.slope, proxy.inter
    if (slope, intercept) == (1, 0):
        return lambda k: raw[..., k]
    return lambda k: raw[..., k] * np.float64(slope) + np.float64(intercept)
