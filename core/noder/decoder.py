"""The linear, separable map from a coarse grid of coefficients to a displacement field."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.grid import Grid, Triple

Matrices = tuple[Tensor, Tensor, Tensor]


class SeparableDecoder(ABC):
    """Any u = W c with one matrix an axis: linear between voxels, constant beyond the first and the last."""

    grid: Grid
    """Where u lives."""

    @property
    @abstractmethod
    def shape(self) -> Triple:
        """Number of control points along each axis."""

    @abstractmethod
    def at_voxels(self, axis: int, index: NDArray[np.int_]) -> NDArray[np.float64]:
        """(len(index), n): the weights of the control points at whole voxels along an axis."""

    def rows(self, axis: int, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """(len(index), n): the same at any voxel coordinates."""
        last = self.grid.shape[axis] - 1
        index = np.clip(index, 0, last)
        below = np.floor(index).astype(int)
        part = (index - below)[:, None]
        below_weights, above_weights = self.at_voxels(axis, below), self.at_voxels(axis, np.minimum(below + 1, last))
        weights: NDArray[np.float64] = (1 - part) * below_weights + part * above_weights
        return weights

    def slopes(self, axis: int, index: NDArray[np.float64]) -> NDArray[np.float64]:
        """(len(index), n): derivative of `rows` per voxel by central differences, one-sided at the border."""
        last = self.grid.shape[axis] - 1
        ahead, behind = np.clip(index + 1, 0, last), np.clip(index - 1, 0, last)
        gap = np.maximum(ahead - behind, 1e-9)[:, None]
        slopes: NDArray[np.float64] = (self.rows(axis, ahead) - self.rows(axis, behind)) / gap
        return slopes

    def matrices(self, grid: Grid | None = None) -> Matrices:
        """The three matrices for the voxels of `grid`, which must be aligned with the decoder's (the default)."""
        axes = (
            aligned_axes(self.grid, grid) if grid is not None else [np.arange(n, dtype=float) for n in self.grid.shape]
        )
        if axes is None:
            raise ValueError("the axes of the grid are not parallel to the decoder's")
        return cast(Matrices, tuple(as_tensor(self.rows(axis, index)) for axis, index in enumerate(axes)))


@dataclass(frozen=True)
class Decoder(SeparableDecoder):
    """u = W c: linear upsampling of control points, then a box average, as one matrix an axis.

    This is the smoothing kernel K and the decoder of Bai and Hong (MICCAI 2024), eq. phi(t) = K * Decoder(z(t)), for a
    latent space that is a grid of control points. `spacing` and `width` are the control spacing and the box in voxels
    of `grid`, one an axis; the box may be any real width, its average is taken exactly.
    """

    grid: Grid
    spacing: tuple[float, float, float]
    width: tuple[float, float, float]

    @classmethod
    def in_mm(cls, grid: Grid, spacing_mm: float, width_mm: float) -> Decoder:
        """Control points every `spacing_mm` and a box of `width_mm`, but never finer than the voxels."""
        spacing = tuple(max(1.0, spacing_mm / s) for s in grid.spacing)
        width = tuple(max(0.5, width_mm / s) for s in grid.spacing)
        return cls(grid, cast("tuple[float, float, float]", spacing), cast("tuple[float, float, float]", width))

    @property
    def shape(self) -> Triple:
        """Number of control points along each axis."""
        return cast(Triple, tuple(len(self._control_points(axis)) for axis in range(3)))

    def _control_points(self, axis: int) -> NDArray[np.float64]:
        """Voxel coordinates of the control points; they reach beyond the grid as far as the box does."""
        h, w, n = self.spacing[axis], self.width[axis], self.grid.shape[axis]
        beyond = int(np.ceil(w / 2 / h + 1e-9))
        inside = int(np.ceil((n - 1) / h - 1e-9))
        start = ((n - 1) - inside * h) / 2
        return (start + h * np.arange(-beyond, inside + beyond + 1)).astype(np.float64)

    def at_voxels(self, axis: int, index: NDArray[np.int_]) -> NDArray[np.float64]:
        """(len(index), n): a triangle around each control point, averaged over the box."""
        h, w = self.spacing[axis], self.width[axis]
        offset = index[:, None] - self._control_points(axis)[None]
        return (_hat_integral((offset + w / 2) / h) - _hat_integral((offset - w / 2) / h)) * (h / w)


def as_tensor(matrix: NDArray[np.float64]) -> Tensor:
    """float32 tensor of a small matrix."""
    return torch.as_tensor(matrix, dtype=torch.float32)


def apply_separable(matrices: Matrices, coefficients: Tensor) -> Tensor:
    """(C,a,b,c) -> (C,I,J,K): one matrix product an axis; an axis of one voxel (a slice) goes first."""
    x, y, z = matrices
    for axis in range(3):
        if len(matrices[axis]) == 1:
            flat = torch.tensordot(coefficients, matrices[axis][0], dims=([axis + 1], [0]))
            first, second = (matrices[other] for other in range(3) if other != axis)
            thin: Tensor = (first @ flat) @ second.T
            return thin.unsqueeze(axis + 1)
    n, a = coefficients.shape[:2]
    out = (x @ coefficients.reshape(n, a, -1)).reshape(n, len(x), *coefficients.shape[2:])
    return (y @ out) @ z.T


def apply_transposed(matrices: Matrices, field: Tensor) -> Tensor:
    """(C,I,J,K) -> (C,a,b,c): the transpose of `apply_separable`, which takes a gradient back to the coefficients."""
    x, y, z = matrices
    n, i = field.shape[:2]
    out = y.T @ (field @ z)
    return (x.T @ out.reshape(n, i, -1)).reshape(n, x.shape[1], *out.shape[2:])


def aligned_axes(reference: Grid, grid: Grid) -> list[NDArray[np.float64]] | None:
    """Voxel coordinates in `reference` of the planes of `grid` along each axis; None where they are not parallel."""
    matrix = reference.inverse_affine @ grid.affine
    off = matrix[:3, :3] - np.diag(np.diag(matrix[:3, :3]))
    if np.abs(off).max() * max(grid.shape) > 1e-4:
        return None
    return [matrix[axis, 3] + matrix[axis, axis] * np.arange(n) for axis, n in enumerate(grid.shape)]


def _hat_integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Integral from -inf to x of the triangle max(0, 1 - |s|)."""
    x = np.clip(x, -1, 1)
    return np.where(x < 0, (x + 1) ** 2 / 2, 1 - (1 - x) ** 2 / 2)
