"""Penalties on a displacement field: small frozen objects, called with u in mm (3,I,J,K).

For u = W c, with a separable W, the quadratic ones need no field: `form` turns them into small matrices on c.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from noder import kernels
from noder.decoder import Matrices, apply_separable
from noder.fields import determinant
from noder.grid import Grid, Triple
from noder.similarity import stable_sum

_SMALL = 2**16


@dataclass(frozen=True)
class Smoothness:
    """Mean squared spatial gradient of the displacement, mm/mm (Bai and Hong 2024, L_smooth)."""

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Sum over axes and components of the mean squared forward difference divided by the spacing."""
        return _total(_mean(u.diff(dim=axis + 1) ** 2) / h**2 * 3 for axis, h in _extended_axes(u, grid))

    @staticmethod
    def form(matrices: Matrices, grid: Grid, unit_mm: float = 1.0) -> QuadraticForm:
        """The same as a function of the coefficients, in units of `unit_mm`; `matrices` are W's on `grid`."""
        means = [_gram(m) / len(m) for m in matrices]
        terms = []
        for axis, (m, h) in enumerate(zip(matrices, grid.spacing, strict=True)):
            if len(m) > 1:
                slopes = _gram(m.double().diff(dim=0)) / ((len(m) - 1) * h**2) * unit_mm**2
                terms.append(_replaced(means, axis, slopes))
        return QuadraticForm(terms)


@dataclass(frozen=True)
class Boundary:
    """Mean squared displacement on the six faces of the grid, mm^2 (Bai and Hong 2024, L_boundary)."""

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Mean over the faces of |u|^2."""
        axes = _extended_axes(u, grid)
        faces = [u.select(axis + 1, end) for axis, _ in axes for end in (0, -1)]
        return _total(_mean(face**2) * 3 for face in faces) / max(len(faces), 1)

    @staticmethod
    def form(matrices: Matrices, grid: Grid, unit_mm: float = 1.0) -> QuadraticForm:
        """The same as a function of the coefficients, in units of `unit_mm`; `matrices` are W's on `grid`."""
        means = [_gram(m) / len(m) for m in matrices]
        axes = [axis for axis, m in enumerate(matrices) if len(m) > 1]
        terms = []
        for axis in axes:
            both = _gram(matrices[axis][[0, -1]]) * unit_mm**2 / (2 * len(axes))
            terms.append(_replaced(means, axis, both))
        return QuadraticForm(terms)


@dataclass(frozen=True)
class Magnitude:
    """Mean squared displacement over all voxels, mm^2."""

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Mean of |u|^2."""
        return _mean(u**2) * 3

    @staticmethod
    def form(matrices: Matrices, grid: Grid, unit_mm: float = 1.0) -> QuadraticForm:
        """The same as a function of the coefficients, in units of `unit_mm`; `matrices` are W's on `grid`."""
        x, y, z = (_gram(m) / len(m) for m in matrices)
        return QuadraticForm([(x * unit_mm**2, y, z)])


@dataclass(frozen=True, eq=False)
class QuadraticForm:
    """sum over terms of c . (X x Y x Z) c, for coefficients c (3,a,b,c); matrices (n,n) in float64, one an axis."""

    terms: list[Matrices]

    def __call__(self, c: Tensor) -> Tensor:
        """In float64 where c is small: tiny products differ by thread in float32."""
        return self.with_gradient(c)[0]

    def with_gradient(self, c: Tensor) -> tuple[Tensor, Tensor]:
        """The value and its gradient in c."""
        exact = c.double() if c.numel() < _SMALL else c
        half = torch.zeros_like(exact)
        for x, y, z in self.terms:
            half += apply_separable((x.to(exact), y.to(exact), z.to(exact)), exact)
        return stable_sum(exact * half).to(c.dtype), (2 * half).to(c.dtype)

    def to(self, device: torch.device) -> QuadraticForm:
        """The same on another device."""
        return QuadraticForm([(x.to(device), y.to(device), z.to(device)) for x, y, z in self.terms])


@dataclass(frozen=True)
class Folding:
    """Mean squared shortfall of the determinant under `least`, over the eight corners of every cell.

    This is what keeps a displacement that no flow made invertible; the eight corners are those that the report counts.
    Few corners fall short, so the gradient is taken at those alone.
    """

    least: float = 0.25

    def __call__(self, u: Tensor, grid: Grid) -> Tensor:
        """Mean over cells and corners of max(0, least - det)^2. Every axis needs two voxels or more."""
        to_voxel = torch.as_tensor(grid.inverse_affine[:3, :3].copy(), dtype=u.dtype, device=u.device)
        with torch.no_grad():
            corner, across, signs = self._short(torch.einsum("ab,bijk->aijk", to_voxel, u))
        flat = u.flatten(1)
        at_corner = _take(flat, corner)
        columns = [
            to_voxel @ ((_take(flat, other) - at_corner) * sign) for other, sign in zip(across, signs, strict=True)
        ]
        short = self.least - determinant(columns)
        return stable_sum(short * short) / self.count(u)

    def in_voxels(self, u: Tensor) -> Tensor:
        """The same for u in voxels of its own grid (float32); compiled on the CPU."""
        if not kernels.usable(u):
            return self(u, Grid(cast(Triple, tuple(u.shape[1:])), np.eye(4)))
        short: Tensor = _Shortfall.apply(u, self.least)  # type: ignore[no-untyped-call]
        return short / self.count(u)

    def add_gradient(self, u: Tensor, gradient: Tensor, scale: float) -> float:
        """Sum (not mean) of the squared shortfalls of u in voxels; `scale` times its gradient is added in place."""
        if kernels.usable(u, gradient):
            return kernels.shortfall(u.numpy(), self.least, gradient.numpy(), scale)[0]
        u = u.clone().requires_grad_()
        total = self.in_voxels(u) * self.count(u)
        gradient += scale * torch.autograd.grad(total, u)[0]
        return float(total.detach())

    @staticmethod
    def count(u: Tensor) -> int:
        """Corners of all cells of a field (3,I,J,K)."""
        return 8 * math.prod(n - 1 for n in u.shape[1:])

    def _short(self, v: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Flat voxel index of every corner that falls short, of its neighbour in the cell along each axis, and +-1."""
        steps = [v.diff(dim=axis + 1) for axis in range(3)]
        shape = [n - 1 for n in v.shape[1:]]
        strides = (v.shape[2] * v.shape[3], v.shape[3], 1)
        found = []
        for ends in product((0, 1), repeat=3):
            cells = (determinant([_corner(steps[k], k, shape, ends) for k in range(3)]) < self.least).nonzero()
            corner = ((cells + cells.new_tensor(ends)) * cells.new_tensor(strides)).sum(-1)
            turns = cells.new_tensor([1 - 2 * end for end in ends])[:, None].expand(3, len(cells))
            found.append((corner, turns))
        corner, turns = torch.cat([c for c, _ in found]), torch.cat([t for _, t in found], dim=1)
        across = [corner + turns[k] * strides[k] for k in range(3)]
        return corner, across, [turns[k].to(v.dtype) for k in range(3)]


class _Shortfall(torch.autograd.Function):
    """The compiled sum of squared shortfalls, with its gradient."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, least: float) -> Tensor:
        total, gradient = kernels.shortfall(u.detach().contiguous().numpy(), least)
        ctx.save_for_backward(torch.from_numpy(gradient))
        return u.new_tensor(total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.saved_tensors[0] * upstream, None


FORMS: dict[str, Callable[[Matrices, Grid, float], QuadraticForm]] = {
    "smoothness": Smoothness.form,
    "boundary": Boundary.form,
}
"""The penalties that need only coefficients."""


def _corner(step: Tensor, axis: int, shape: list[int], ends: tuple[int, ...]) -> Tensor:
    """Differences along `axis` on the edge of each cell that meets the corner at `ends`."""
    for other in range(3):
        if other != axis and step.shape[other + 1] > shape[other]:
            step = step.narrow(other + 1, ends[other], shape[other])
    return step


def _take(flat: Tensor, index: Tensor) -> Tensor:
    """Columns of (3,N) by `gather`: the gradient of plain indexing is summed in an order that varies with threads."""
    return flat.gather(1, index.expand(len(flat), -1))


def _extended_axes(u: Tensor, grid: Grid) -> list[tuple[int, float]]:
    """Axes with more than one voxel, and their spacing in mm."""
    return [(axis, h) for axis, h in enumerate(grid.spacing) if u.shape[axis + 1] > 1]


def _gram(matrix: Tensor) -> Tensor:
    exact = matrix.double()
    return exact.T @ exact


def _replaced(matrices: list[Tensor], axis: int, matrix: Tensor) -> Matrices:
    x, y, z = (matrix if k == axis else matrices[k] for k in range(3))
    return x, y, z


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()


def _mean(values: Tensor) -> Tensor:
    return stable_sum(values) / values.numel()
