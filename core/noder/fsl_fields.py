"""Displacement fields as FSL reads them: a relative warp in FSL's scaled-voxel millimetres, intent 2006."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from noder.fields import DisplacementField
from noder.grid import Grid
from noder.image import write_volume

INTENT_FSL_FIELD = 2006


def fsl_matrix(grid: Grid) -> NDArray[np.float64]:
    """(4,4): voxel index of a stored grid -> FSL's mm, in which x is flipped where the affine is right-handed."""
    scale = np.diag([*grid.spacing, 1.0])
    if np.linalg.det(grid.affine[:3, :3]) > 0:
        flip = np.diag([-1.0, 1.0, 1.0, 1.0])
        flip[0, 3] = (grid.shape[0] - 1) * grid.spacing[0]
        scale = flip @ scale
    return scale


def write_fsl_field(path: Path, field: DisplacementField, moving: Grid) -> None:
    """Write `field`, which pulls an image on the stored grid `moving` onto its own, for applywarp and fslpy.

    d = M_moving(A_moving^-1 (x + u)) - M_fixed(A_fixed^-1 x), with M from voxels to FSL's mm. Raises OutputError.
    """
    index = field.grid.indices().numpy()
    carried = field.points().numpy()
    there = _apply(fsl_matrix(moving) @ moving.inverse_affine, carried)
    here = _apply(fsl_matrix(field.grid), index)
    write_volume(path, (there - here).astype(np.float32), field.grid, intent=INTENT_FSL_FIELD)


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]
