"""Two volumes to be compared, at any level of a pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from noder.alignment import Matrix
from noder.errors import InputError
from noder.grid import Grid, Triple, block_mean
from noder.image import Image
from noder.itk_fields import orthogonal_grid

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

SEED = 1
SMALLEST_AXIS = 8
_SAMPLES = 100_000
_CELLS = 24
"""Cells along the longest axis at the coarsest level."""
_SMOOTHING = 0.7
"""Standard deviation in cells of the level."""
_LEAST_OVERLAP = 0.05
"""Part of the samples that must lie in the moving image for a correlation to mean anything."""


@dataclass(frozen=True)
class Pair:
    """Two volumes (I,J,K), each on its grid at right angles, and where the fixed one is looked at."""

    fixed: Volume
    fixed_grid: Grid
    moving: Volume
    moving_grid: Grid
    mask: Mask | None = None

    @classmethod
    def of(cls, fixed: Image, moving: Image, mask: Mask | None = None) -> Pair:
        """The voxels of two images; `mask` on the fixed one's grid. Raises InputError."""
        for image in (fixed, moving):
            if min(image.grid.shape) < SMALLEST_AXIS:
                raise InputError(
                    f"{image.name} has an axis of {min(image.grid.shape)} voxels; alignment needs at least "
                    f"{SMALLEST_AXIS}. Fit without alignment."
                )
        (ours, our_grid), (theirs, their_grid) = _prepared(fixed), _prepared(moving)
        if mask is not None and our_grid is not fixed.grid:
            there = torch.from_numpy(mask.astype(np.float32))[None]
            mask = fixed.grid.sample(there, our_grid.points(), outside="zero", nearest=True)[0].numpy() > 0
        return cls(ours, our_grid, theirs, their_grid, mask)

    def levels(self) -> list[float]:
        """Millimetres of a cell from coarse to fine, halved each time; the last is the finest voxel."""
        grid, finest = self.fixed_grid, min(self.fixed_grid.spacing)
        mm = max(n * h for n, h in zip(grid.shape, grid.spacing, strict=True)) / _CELLS
        levels = []
        while mm > 1.4 * finest:
            levels.append(mm)
            mm /= 2
        return [*levels, finest]

    def at(self, mm: float) -> Pair:
        """Both as block means with cells of about `mm`, a little smoothed.

        Without it noise, which an interpolation lessens, would draw scans that lie alike half a tenth of a voxel apart.
        """
        a, b = _factors(self.fixed_grid, mm), _factors(self.moving_grid, mm)
        mask = None if self.mask is None else _means(self.mask.astype(np.float32), a) > 0
        ours, theirs = self.fixed_grid.coarsen(a), self.moving_grid.coarsen(b)
        fixed, moving = _smooth(_means(self.fixed, a), ours, mm), _smooth(_means(self.moving, b), theirs, mm)
        return Pair(fixed, ours, moving, theirs, mask)

    def samples(self) -> tuple[Matrix, NDArray[np.float64]]:
        """RAS mm (N,3) and values (N,) of the fixed volume's voxels in the mask: all, or a fixed random choice."""
        chosen = np.arange(self.fixed.size) if self.mask is None else np.flatnonzero(self.mask)
        if len(chosen) > _SAMPLES:
            chosen = np.sort(np.random.default_rng(SEED).choice(chosen, _SAMPLES, replace=False))
        index = np.stack(np.unravel_index(chosen, self.fixed.shape), axis=-1).astype(np.float64)
        return moved(self.fixed_grid.affine, index), self.fixed.ravel()[chosen].astype(np.float64)

    @cached_property
    def _spline(self) -> NDArray[np.float64]:
        from scipy import ndimage

        coefficients: NDArray[np.float64] = ndimage.spline_filter(
            self.moving, order=3, output=np.float64, mode="mirror"
        )
        return coefficients

    def look_up(self, points_mm: Matrix) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The moving volume, by cubic B-splines, at RAS mm (N,3), and which points lie in it.

        Not linear: what that blurs between two slices is more like the other scan, and the two part by part of a slice.
        """
        from scipy import ndimage

        index = moved(self.moving_grid.inverse_affine, points_mm)
        inside = np.all((index >= 0) & (index <= np.array(self.moving.shape) - 1), axis=-1)
        index = np.clip(index, 0, np.array(self.moving.shape) - 1)  # the edge value goes on
        values = ndimage.map_coordinates(self._spline, index.T, order=3, mode="mirror", prefilter=False)
        return values, np.asarray(inside)

    def correlation(self, matrix: Matrix) -> float:
        """Of the samples with the moving volume pulled through `matrix`; 0 where the two hardly overlap."""
        points, ours = self.samples()
        theirs, inside = self.look_up(moved(matrix, points))
        return correlation_of(ours[inside], theirs[inside]) if inside.mean() > _LEAST_OVERLAP else 0.0


def moved(matrix: Matrix, points: Matrix) -> Matrix:
    """A (4,4) matrix at points (N,3); no BLAS, whose last digits depend on the number of threads."""
    x, y, z = points.T
    return np.stack([row[0] * x + row[1] * y + row[2] * z + row[3] for row in matrix[:3]], axis=-1)


def correlation_of(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's; 0 where one is constant or both are empty."""
    if len(a) == 0:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0


def _prepared(image: Image) -> tuple[Volume, Grid]:
    """Voxels without the brightest and darkest 0.1 %, which would outweigh the rest, on a grid that ITK can hold."""
    loaded = image.is_loaded
    values, grid = image.numpy(), orthogonal_grid(image.grid)
    if grid is not image.grid:
        values = image.grid.sample(image.tensor(), grid.points())[0].numpy()
    low, high = np.percentile(values.ravel()[:: max(1, values.size // 500_000)], (0.1, 99.9))
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not loaded:
        image.release()
    if not high > low:
        raise InputError(f"Every voxel of {image.name} has the value {low:g}: there is nothing to align.")
    return np.clip(values, np.float32(low), np.float32(high)), grid


def _factors(grid: Grid, mm: float) -> Triple:
    a, b, c = (max(1, min(round(mm / h), n // SMALLEST_AXIS)) for n, h in zip(grid.shape, grid.spacing, strict=True))
    return a, b, c


def _means(volume: Volume, factors: Triple) -> Volume:
    means: Volume = block_mean(torch.from_numpy(volume)[None], factors)[0].numpy()
    return means


def _smooth(volume: Volume, grid: Grid, mm: float) -> Volume:
    """Equally along all axes: two grids that lie askew must show one thing."""
    from scipy import ndimage

    smooth: Volume = ndimage.gaussian_filter(volume, [_SMOOTHING * mm / h for h in grid.spacing])
    return smooth
