"""Displacement fields as files of ITK, ANTs and Slicer: LPS vectors in mm. (This and the readers know LPS.)

The file is NIfTI-1 of shape (x,y,z,1,3), float32, intent 1007 (vector); sform = qform = the field's grid.
Intent 1006 is no synonym: ITK flips x and y of its vectors on reading.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from noder.errors import InputError, OutputError
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.image import write_volume

INTENT_VECTOR = 1007
_LPS = np.array([-1.0, -1.0, 1.0])
"""Turns RAS into LPS and back."""


def write_itk_field(path: Path, field: DisplacementField) -> None:
    """Write `field` as a displacement field transform that pulls the moving image onto the field's grid.

    Atomic. Raises OutputError where the file cannot be written, and for a sheared grid, which ITK cannot hold
    (see `orthogonal_grid`).
    """
    if field.grid.is_sheared:
        raise OutputError(
            f"{path}: ITK cannot hold a grid whose axes are not at right angles. "
            "Evaluate the field on an orthogonal grid first."
        )
    ras = field.u.detach().movedim(0, -1).cpu().numpy()
    vectors = (ras * _LPS).astype(np.float32)[:, :, :, None, :]
    write_volume(path, vectors, field.grid, intent=INTENT_VECTOR)


def read_itk_field(path: Path) -> DisplacementField:
    """Read a displacement field that ITK can read (NIfTI with intent 1007, MHA, NRRD); u is RAS mm, float32.

    Raises InputError for a file that is missing, broken, or no 3D field of three components.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path), sitk.sitkVectorFloat32)
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as a displacement field: {_last_line(error)}") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 3:
        raise InputError(
            f"{path} holds {image.GetDimension()} dimensions and {image.GetNumberOfComponentsPerPixel()} "
            "components a voxel: a displacement field has 3 and 3."
        )
    ras = sitk.GetArrayFromImage(image).transpose(2, 1, 0, 3) * _LPS
    u = torch.from_numpy(np.ascontiguousarray(np.moveaxis(ras, -1, 0), dtype=np.float32))
    return DisplacementField(u, _grid_of(image.GetSize(), image.GetDirection(), image.GetSpacing(), image.GetOrigin()))


def orthogonal_grid(grid: Grid) -> Grid:
    """The closest grid at right angles, of the same spacing, that covers all of `grid` (if not itself)."""
    if not grid.is_sheared:
        return grid
    u, _, vt = np.linalg.svd(grid.direction)
    axes = u @ vt
    along = grid.corners_mm @ axes
    low, high = along.min(axis=0), along.max(axis=0)
    steps = np.ceil((high - low) / grid.spacing - 1e-6).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * grid.spacing
    affine[:3, 3] = axes @ low
    return Grid((int(steps[0]) + 1, int(steps[1]) + 1, int(steps[2]) + 1), affine)


def _grid_of(
    size: tuple[int, int, int],
    direction: tuple[float, ...],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
) -> Grid:
    affine: NDArray[np.float64] = np.eye(4)
    affine[:3, :3] = _LPS[:, None] * np.array(direction).reshape(3, 3) * np.array(spacing)
    affine[:3, 3] = _LPS * np.array(origin)
    return Grid(size, affine)


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]
