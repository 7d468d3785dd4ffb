"""What a method is given, what it tells of each step, and the losses of a map at one resolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from noder.decoder import Decoder, apply_separable
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


class Level:
    """The losses on images reduced by `factors`; the first image is warped onto each of the others."""

    def __init__(self, problem: Problem, decoder: Decoder, factors: Triple, settings: Weights) -> None:
        self.settings = settings
        self.grid = problem.grid.coarsen(factors)
        self.name = "full size" if max(factors) == 1 else f"1/{max(factors)} size"
        device = problem.mask.device
        weight = block_mean(problem.mask[None].float(), factors)[0]
        self.weight = weight / weight.sum()
        matrices = decoder.matrices(self.grid)
        self.matrices = tuple(m.to(device) for m in matrices)
        self._to_voxel = (
            torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=torch.float32, device=device)
            * problem.voxel_mm
        )
        self._forms = {name: form(matrices, self.grid, problem.voxel_mm).to(device) for name, form in FORMS.items()}
        self._similarity = LocalNCC(window_voxels(self.grid, settings.window))
        images = [block_mean(image, factors) for image in problem.images]
        self.moving = images[0]
        self._fixed = [self._similarity.prepare(image) for image in images[1:]]

    @property
    def share(self) -> float:
        """The part of one scan in the mean over all."""
        return 1 / len(self._fixed)

    def displacement(self, c: Tensor) -> Tensor:
        """Coefficients (3,a,b,c) -> displacement (3,I,J,K) in voxels of this level."""
        along_axes = (self._to_voxel @ c.flatten(1)).reshape(c.shape)
        return apply_separable(cast("tuple[Tensor, Tensor, Tensor]", self.matrices), along_axes)

    def data_losses(self, u: Tensor, scan: int) -> dict[str, Tensor]:
        """Similarity of the warped reference to scan number `scan` (1 is the first warped to), and folding of u."""
        moved = warp_voxels(self.moving, u)
        losses = {"similarity": self.share * self._similarity(self._fixed[scan - 1], moved, self.weight)}
        if self.settings.folding > 0:
            losses["folding"] = self.share * self.settings.folding * Folding().in_voxels(u)
        return losses

    def regularity_losses(self, c: Tensor) -> dict[str, Tensor]:
        """Smoothness and boundary of the displacement W c, from the coefficients alone."""
        weights = {name: float(getattr(self.settings, name)) for name in self._forms}
        return {name: self.share * weights[name] * form(c) for name, form in self._forms.items() if weights[name] > 0}

    def losses(self, c: Tensor, scan: int) -> dict[str, Tensor]:
        """All losses of the displacement W c at one scan."""
        return {**self.data_losses(self.displacement(c), scan), **self.regularity_losses(c)}


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
