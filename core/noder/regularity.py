"""Penalties on a displacement field: small frozen objects, called with u in mm (3,I,J,K)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from noder.fields import determinant
from noder.grid import Grid
from noder.similarity import stable_sum


@dataclass(frozen=True)
class Smoothness:
    """Mean squared spatial gradient of the displacement, mm/mm (Bai and Hong 2024, L_smooth)."""

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Sum over axes and components of the mean squared forward difference divided by the spacing."""
        return _total(_mean(u.diff(dim=axis + 1) ** 2) / h**2 * 3 for axis, h in _extended_axes(u, grid))


@dataclass(frozen=True)
class Boundary:
    """Mean squared displacement on the six faces of the grid, mm^2 (Bai and Hong 2024, L_boundary)."""

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Mean over the faces of |u|^2."""
        axes = _extended_axes(u, grid)
        faces = [u.select(axis + 1, end) for axis, _ in axes for end in (0, -1)]
        return _total(_mean(face**2) * 3 for face in faces) / max(len(faces), 1)


@dataclass(frozen=True)
class Folding:
    """Mean squared shortfall of the determinant under `least`, over the eight corners of every cell.

    This is what keeps a displacement that no flow made invertible; the eight corners are those that the report counts.
    """

    least: float = 0.25

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Mean over cells and corners of max(0, least - det)^2."""
        to_voxel = torch.as_tensor(grid.inverse_affine[:3, :3].copy(), dtype=u.dtype, device=u.device)
        v = torch.einsum("ab,bijk->aijk", to_voxel, u)
        steps = [v.diff(dim=axis + 1) if v.shape[axis + 1] > 1 else torch.zeros_like(v) for axis in range(3)]
        shape = [max(n - 1, 1) for n in v.shape[1:]]
        corners = [[_corner(steps[axis], axis, shape, end) for axis in range(3)] for end in product((0, 1), repeat=3)]
        return _total(_mean((self.least - determinant(corner)).clamp(min=0) ** 2) for corner in corners) / 8


REGULARITIES: dict[str, Smoothness | Boundary | Folding] = {
    "smoothness": Smoothness(),
    "boundary": Boundary(),
    "folding": Folding(),
}


def _corner(step: Tensor, axis: int, shape: list[int], ends: tuple[int, ...]) -> Tensor:
    """Differences along `axis` on the edge of each cell that meets the corner at `ends`."""
    for other in range(3):
        if other != axis and step.shape[other + 1] > shape[other]:
            step = step.narrow(other + 1, ends[other], shape[other])
    return step


def _extended_axes(u: Tensor, grid: Grid) -> list[tuple[int, float]]:
    """Axes with more than one voxel, and their spacing in mm."""
    return [(axis, h) for axis, h in enumerate(grid.spacing) if u.shape[axis + 1] > 1]


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _mean(values: Tensor) -> Tensor:
    return stable_sum(values) / values.numel()
