"""Grids and maps for tests: every stored orientation, oblique and anisotropic."""

from __future__ import annotations

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.trajectory import Trajectory

Matrix = NDArray[np.float64]
LPS = np.array([-1.0, -1.0, 1.0])

CODES = ["".join(letters) for order in permutations(("LR", "PA", "IS")) for letters in product(*order)]
"""All 48 orientation codes."""


def affine_of(
    code: str, spacing: tuple[float, float, float], degrees: tuple[float, float, float] = (0, 0, 0)
) -> Matrix:
    """Voxel -> RAS mm of a grid stored as `code`, turned by Euler angles, with an origin far from 0."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, letter in enumerate(code):
        world = "RLAPSI".index(letter) // 2
        affine[world, axis] = spacing[axis] * (1 if letter in "RAS" else -1)
    affine[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = (-41.25, 63.5, 17.75)
    return affine


GRIDS = {
    "RAS": Grid((21, 18, 16), affine_of("RAS", (1.0, 1.0, 1.0))),
    "LAS anisotropic": Grid((21, 18, 12), affine_of("LAS", (1.25, 1.25, 2.5))),
    "PSR": Grid((19, 17, 14), affine_of("PSR", (0.75, 1.5, 2.0))),
    "SLP": Grid((12, 21, 18), affine_of("SLP", (3.0, 1.0, 1.25))),
    "oblique": Grid((20, 18, 13), affine_of("RAS", (0.75, 1.25, 3.0), (23, -14, 31))),
    "oblique LPI": Grid((20, 18, 13), affine_of("LPI", (1.0, 1.5, 2.5), (-12, 27, 9))),
}


def smooth_displacement(points_mm: torch.Tensor, grid: Grid, size_mm: float) -> torch.Tensor:
    """A smooth displacement (...,3) in mm, at most `size_mm` an axis, without symmetry, at (...,3)."""
    low = torch.as_tensor(grid.corners_mm.min(axis=0))
    span = torch.as_tensor(np.ptp(grid.corners_mm, axis=0))
    x, y, z = ((points_mm - low) / span).unbind(-1)
    wave = torch.stack(
        [
            torch.sin(3.1 * y + 1.3 * z),
            torch.cos(2.3 * x - 1.7 * z + 0.4),
            torch.sin(2.1 * x + 2.9 * y + 0.9),
        ],
        dim=-1,
    )
    return size_mm * wave * torch.tensor([1.0, -0.8, 0.6], dtype=wave.dtype)


def smooth_field(grid: Grid, size_mm: float = 1.5) -> DisplacementField:
    """`smooth_displacement` on every voxel of `grid`, float32."""
    u = smooth_displacement(grid.points(), grid, size_mm).movedim(-1, 0).float()
    return DisplacementField(u, grid)


def affine_field(grid: Grid, matrix: Matrix, dtype: torch.dtype = torch.float64) -> DisplacementField:
    """The map x -> c + M (x - c) about the grid's centre c, M (3,3) in RAS mm."""
    centre = torch.as_tensor(grid.corners_mm.mean(axis=0))
    arm = grid.points() - centre
    return DisplacementField((arm @ torch.as_tensor(matrix - np.eye(3)).T).movedim(-1, 0).to(dtype), grid)


def noise(grid: Grid, seed: int = 0) -> torch.Tensor:
    """(1,I,J,K) uniform noise in [0,1): the image that is hardest to interpolate in the same way."""
    return torch.rand((1, *grid.shape), generator=torch.Generator().manual_seed(seed))


def interior(grid: Grid, voxels: int) -> tuple[slice, ...]:
    """The box that leaves out `voxels` at every face."""
    return tuple(slice(voxels, n - voxels) for n in grid.shape)


def all_corners_inside(grid: Grid, points_mm: torch.Tensor) -> torch.Tensor:
    """(...) bool: whether the eight voxels around a point all lie in `grid`."""
    index = grid.to_index(points_mm)
    last = torch.tensor(grid.shape, dtype=index.dtype) - 1
    return ((index >= 0) & (index <= last)).all(dim=-1)


def moving_trajectory(
    stored: Grid, *, size_mm: float = 1.0, unit: str = "years", times: tuple[float, ...] = (0.0, 1.0, 3.0)
) -> Trajectory:
    """A smooth trajectory that was not fitted: random control points a, b move by t a - t^2 b / 4."""
    change = stored.reorientation()
    grid = stored.reoriented(change)
    decoder = Decoder.in_mm(grid, 7.0, 5.0)
    random = torch.Generator().manual_seed(5)
    a, b = (size_mm * (2 * torch.rand((3, *decoder.shape), generator=random) - 1) for _ in range(2))
    scans = [SeenScan(k, t, f"scan{k}", change.apply(noise(stored, k))) for k, t in enumerate(times)]
    return Trajectory(decoder, lambda t: t * a - t**2 / 4 * b, scans, unit, stored)


def growing_trajectory(stored: Grid, radius_mm: float, growth: float = 1.1) -> Trajectory:
    """A ball about the grid's centre whose radius has grown by `growth` at t = 1."""
    change = stored.reorientation()
    grid = stored.reoriented(change)
    decoder = Decoder.in_mm(grid, min(grid.spacing), min(grid.spacing))
    centre = torch.as_tensor(grid.corners_mm.mean(axis=0))
    axes = [torch.as_tensor(decoder._control_points(axis)) for axis in range(3)]
    arm = grid.to_mm(torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)) - centre
    # phi pulls towards the centre; beyond the grown ball and what a voxel around it reads, its pull fades out
    fade = ((2.4 * radius_mm - arm.norm(dim=-1)) / (0.5 * radius_mm)).clamp(0, 1)
    pull = ((1 / growth - 1) * arm * fade[..., None]).movedim(-1, 0).float()
    ball = ((grid.points() - centre).norm(dim=-1) <= radius_mm).float()[None]
    return Trajectory(decoder, lambda t: t * pull, [SeenScan(0, 0.0, "ball", ball)], "years", stored)


def warped_by_sitk(reference: Path, field: Path) -> NDArray[np.float64]:
    """The file `reference` pulled by the file `field` in SimpleITK, in stored axis order; 0 outside."""
    image = sitk.ReadImage(str(reference), sitk.sitkFloat64)
    transform = sitk.DisplacementFieldTransform(sitk.ReadImage(str(field), sitk.sitkVectorFloat64))
    return sitk.GetArrayFromImage(sitk.Resample(image, image, transform, sitk.sitkLinear, 0.0)).T


def warped_by_ants(reference: Path, field: Path) -> NDArray[np.float64]:
    """The same by antsApplyTransforms."""
    ants = pytest.importorskip("ants", reason="antspyx is the oracle")
    image = ants.image_read(str(reference))
    return ants.apply_transforms(image, image, [str(field)], interpolator="linear").numpy()
