"""What a method is given, what it tells of each step, and the losses of a map at one resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder import kernels
from noder.decoder import Decoder, Matrices, apply_separable, apply_transposed
from noder.fields import warp_voxels
from noder.grid import Grid, Triple, block_mean
from noder.regularity import FORMS, Folding
from noder.similarity import LocalNCC


@dataclass(frozen=True, eq=False)
class Problem:
    """The seen scans of a series: `images` (1,I,J,K) with unit standard deviation in `mask` (I,J,K), all on `grid`.

    `taus` are their times in spans: 0 for the reference, which comes first, 1 for the last.
    """

    images: tuple[Tensor, ...]
    taus: tuple[float, ...]
    mask: Tensor
    grid: Grid

    @property
    def voxel_mm(self) -> float:
        """The finest spacing: the unit of settings and coefficients."""
        return min(self.grid.spacing)


@dataclass(frozen=True)
class Iteration:
    """One step of an optimisation: its stage, its cost beside other steps, weighted losses by name."""

    stage: str
    cost: float
    losses: dict[str, float]


class Weights(Protocol):
    """The settings that the losses of a level read."""

    @property
    def window(self) -> int:
        """Width of the similarity's window in voxels of the finest axis."""

    @property
    def smoothness(self) -> float:
        """Weight of `regularity.Smoothness`."""

    @property
    def boundary(self) -> float:
        """Weight of `regularity.Boundary`."""

    @property
    def folding(self) -> float:
        """Weight of `regularity.Folding`."""


class Matching:
    """How unlike a warped image is to each of `others` (1,I,J,K), and the gradient of that in the displacement.

    `moving` is sampled at x + u(x) + `offset`, u in voxels; `weight` (I,J,K) is the weight of each window.
    """

    def __init__(
        self, moving: Tensor, others: Sequence[Tensor], ncc: LocalNCC, weight: Tensor, offset: float = 0.0
    ) -> None:
        self._moving, self._ncc, self._weight, self._offset = moving, ncc, weight, offset
        self._fixed = [ncc.prepare(image) for image in others]
        self._room: _Room | None = None

    def __call__(self, u: Tensor, scan: int) -> tuple[float, Tensor]:
        """For u (3,I,J,K) and `others[scan - 1]`; the gradient (3,I,J,K) stands until the next call."""
        where = u + self._offset if self._offset else u
        if kernels.usable(u, self._moving) and u.dtype == torch.float32:
            return self._compiled(where, scan)
        where = where.clone().requires_grad_()
        loss = self._ncc(self._fixed[scan - 1], warp_voxels(self._moving, where), self._weight)
        (gradient,) = torch.autograd.grad(loss, where)
        return float(loss.detach()), gradient

    def _compiled(self, u: Tensor, scan: int) -> tuple[float, Tensor]:
        self._room = room = self._room or _Room.of(cast(Triple, tuple(u.shape[1:])))
        kernels.warp(self._moving[0].numpy(), u.numpy(), room.value, room.gradient)
        loss, _ = self._ncc.correlate(self._fixed[scan - 1], room.value, self._weight, room.maps, room.gradient)
        return loss, torch.from_numpy(room.gradient)


@dataclass(frozen=True)
class _Room:
    """Arrays that the kernels write into again and again: fresh ones cost as much as filling them."""

    value: NDArray[np.float32]
    gradient: NDArray[np.float32]
    maps: NDArray[np.float32]

    @classmethod
    def of(cls, shape: Triple) -> _Room:
        field = (3, *shape)
        return cls(np.empty(shape, np.float32), np.empty(field, np.float32), np.empty(field, np.float32))


class Level:
    """The losses on images reduced by `factors`, each with its gradient; the first image is warped onto the others.

    All losses are shares of the mean over the scans, weighted by the settings.
    """

    def __init__(self, problem: Problem, decoder: Decoder, factors: Triple, settings: Weights) -> None:
        self.settings = settings
        self.grid = problem.grid.coarsen(factors)
        self.name = "full size" if max(factors) == 1 else f"1/{max(factors)} size"
        device = problem.mask.device
        self._share = 1 / (len(problem.images) - 1)
        weight = block_mean(problem.mask[None].float(), factors)[0]
        weight = weight * (self._share / weight.sum())
        matrices = decoder.matrices(self.grid)
        self._matrices = cast(Matrices, tuple(m.to(device) for m in matrices))
        self._to_voxel = (
            torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=torch.float32, device=device)
            * problem.voxel_mm
        )
        self._forms = {name: form(matrices, self.grid, problem.voxel_mm).to(device) for name, form in FORMS.items()}
        ncc = LocalNCC(window_voxels(self.grid, settings.window))
        moving, *others = [block_mean(image, factors) for image in problem.images]
        self._matching = Matching(moving, others, ncc, weight)

    def displacement(self, c: Tensor) -> Tensor:
        """Coefficients (3,a,b,c) -> displacement (3,I,J,K) in voxels of this level."""
        return apply_separable(self._matrices, (self._to_voxel @ c.flatten(1)).reshape(c.shape))

    def taken_back(self, gradient: Tensor) -> Tensor:
        """The transpose of `displacement`: a gradient (3,I,J,K) in the displacement -> one in the coefficients."""
        found = apply_transposed(self._matrices, gradient)
        return (self._to_voxel.T @ found.flatten(1)).reshape(found.shape)

    def match(self, u: Tensor, scan: int) -> tuple[dict[str, float], Tensor]:
        """Similarity of the warped reference to scan number `scan` (1 is the second image), and folding of u.

        With their gradient in u (3,I,J,K), which stands until the next call.
        """
        u = u.detach().contiguous()
        similarity, gradient = self._matching(u, scan)
        losses = {"similarity": similarity}
        scale = self._share * self.settings.folding / Folding.count(u)
        if scale > 0:
            losses["folding"] = scale * Folding().add_gradient(u, gradient, scale)
        return losses, gradient

    def regularity(self, c: Tensor) -> tuple[dict[str, float], Tensor]:
        """Smoothness and boundary of the displacement W c, from the coefficients alone, and their gradient in c."""
        losses, total = {}, torch.zeros_like(c)
        for name, form in self._forms.items():
            weight = self._share * float(getattr(self.settings, name))
            if weight > 0:
                value, gradient = form.with_gradient(c.detach())
                losses[name] = weight * float(value)
                total += weight * gradient
        return losses, total

    def displacement_losses(self, c: Tensor, scan: int) -> tuple[dict[str, float], Tensor]:
        """All losses of phi = id + W c at one scan, and their gradient in c."""
        losses, gradient = self.match(self.displacement(c.detach()), scan)
        regular, regular_gradient = self.regularity(c)
        return {**losses, **regular}, self.taken_back(gradient) + regular_gradient


def added(each: Iterable[dict[str, float]]) -> dict[str, float]:
    """Sums by name."""
    totals: dict[str, float] = {}
    for losses in each:
        for name, value in losses.items():
            totals[name] = totals.get(name, 0.0) + value
    return totals


def pyramid(grid: Grid, counts: tuple[int, int, int]) -> list[tuple[Triple, int]]:
    """Reduction an axis and number of iterations, at a quarter, a half and full size; thick slices are reduced less."""
    return [(_factors(grid, f), count) for f, count in zip((4, 2, 1), counts, strict=True) if count > 0]


def window_voxels(grid: Grid, width: int) -> Triple:
    """An odd number of voxels an axis, as wide in mm as `width` voxels of the finest axis, and at least 3."""
    reach = width * min(grid.spacing)
    x, y, z = (max(3, 2 * int(reach / h / 2) + 1) for h in grid.spacing)
    return x, y, z


def _factors(grid: Grid, reduction: int) -> Triple:
    voxel = min(grid.spacing)
    wanted = [max(1, round(reduction * voxel / h)) for h in grid.spacing]
    x, y, z = (min(f, max(1, n // 8)) for f, n in zip(wanted, grid.shape, strict=True))
    return x, y, z
