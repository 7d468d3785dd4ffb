"""The similarity that NePhi was published with: the correlation of two images over random points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from noder.grid import sample_at_index
from noder.similarity import stable_sum

_FEWEST = 256


class RandomPoints:
    """1 - NCC of `fixed` at random points x of `mask` with `moving` at phi(x); images (1,I,J,K), all on one grid.

    `part` is how many of the voxels in the mask are read in a step (about 2 % as published, Tian et al. 2024).
    """

    def __init__(self, moving: Tensor, fixed: Tensor, mask: Tensor, part: float) -> None:
        self._moving, self._fixed = moving, fixed
        self._inside = mask.nonzero()
        self._count = max(_FEWEST, round(part * len(self._inside)))

    def __call__(self, phi: Callable[[Tensor], Tensor], chance: torch.Generator) -> Tensor:
        """`phi` moves voxel indices (N,3); the loss is differentiable in what it depends on."""
        chosen = torch.randint(len(self._inside), (self._count,), generator=chance)
        within = torch.rand((self._count, 3), generator=chance).to(self._moving) - 0.5
        x = self._inside[chosen.to(self._inside.device)] + within
        fixed = sample_at_index(self._fixed, x)[0]
        return 1 - correlation(fixed, sample_at_index(self._moving, phi(x))[0])


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's, of values (N,); 0 where one is constant."""
    a, b = a - stable_sum(a) / len(a), b - stable_sum(b) / len(b)
    norm = (stable_sum(a * a) * stable_sum(b * b)).sqrt()
    return stable_sum(a * b) / norm.clamp(min=1e-12)
