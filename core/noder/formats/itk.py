"""Reader of MetaImage and NRRD, by SimpleITK; ITK's world is LPS, and here is where it ends."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from noder.errors import InputError
from noder.formats.volume_file import (
    Matrix,
    VolumeFile,
    Volumes,
    damaged,
    grid_of,
    require_numbers,
    spatial_shape,
)


def read_itk(path: Path) -> VolumeFile:
    """.mha, .mhd, .nrrd and .nhdr. Raises InputError."""
    import SimpleITK as sitk

    _require_detached_data(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as fault:
        raise damaged(path, OSError(str(fault).split("ERROR:")[-1])) from fault
    dtype = _itk_dtype(path, reader)
    shape, n_volumes = spatial_shape(path, tuple(reader.GetSize()))
    grid, notes = grid_of(path, shape, _itk_affine(reader))
    step = (float(reader.GetSpacing()[3]), "") if n_volumes > 1 and reader.GetSpacing()[3] != 1 else None

    def load_all() -> Volumes:
        try:
            image = sitk.ReadImage(str(path))
        except RuntimeError as fault:
            raise OSError(str(fault).split("ERROR:")[-1]) from fault
        raw = sitk.GetArrayFromImage(image).T.reshape((*shape, n_volumes))
        return lambda k: raw[..., k]

    return VolumeFile(path, grid, n_volumes, dtype, step, tuple(notes), None, load_all)


def _itk_dtype(path: Path, reader: Any) -> np.dtype[Any]:
    import SimpleITK as sitk

    name = sitk.GetPixelIDValueAsString(reader.GetPixelID())
    if "complex" in name:
        require_numbers(path, np.dtype(np.complex64))
    if reader.GetNumberOfComponents() > 1 or "vector" in name or "label" in name:
        raise InputError(f"{path} holds colours or vectors ({name}): give an image of one value a voxel.")
    kind = "float" if "float" in name else "uint" if "unsigned" in name else "int"
    return np.dtype(f"{kind}{''.join(c for c in name if c.isdigit())}")


def _itk_affine(reader: Any) -> Matrix:
    """ITK's world is LPS: x and y change sign on the way to RAS."""
    n = reader.GetDimension()
    affine = np.eye(4)
    m = min(n, 3)
    affine[:m, :m] = np.reshape(reader.GetDirection(), (n, n))[:m, :m] * np.array(reader.GetSpacing())[:m]
    affine[:m, 3] = reader.GetOrigin()[:m]
    return np.asarray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, dtype=np.float64)


def _require_detached_data(path: Path) -> None:
    if not path.name.lower().endswith((".mhd", ".nhdr")):
        return
    text = path.read_bytes()[:20000].decode("latin-1")
    named = re.search(r"(?im)^(?:ElementDataFile\s*=|data ?file:)[ \t]*(\S[^\r\n]*)", text)
    if named is None:
        raise InputError(f"{path} does not name the file of its voxels: copy or download it again.")
    name = named[1].strip()
    if not re.match(r"LOCAL$|LIST|.*%", name) and not (path.parent / name).is_file():
        raise InputError(f"{path} lacks its voxels: put {name} into the same folder.")
