"""The maps of several stages in one, and what is done about their last few folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from noder.grid import Grid
from noder.methods.nephi_losses import Maps, Stage
from noder.methods.svf import composed
from noder.regularity import Folding
from noder.separable import Separable

_LEAST = 0.03
"""Determinants under this are mended: what a file holds in a few digits must not fold either."""

_ROUNDS = 60
_READ = 0.2
"""A node belongs to a fold where it weighs more than this in it."""

_SHRINK = 0.25
"""Part of its displacement that a node loses in a round, where a fold reads it."""


def composed_maps(stages: Sequence[Stage], grid: Grid) -> Maps | None:
    """phi - id of all stages, and of their inverses, (3,I,J,K) in voxels each; None for no stage."""
    return composed_on(stages, grid) if stages else None


def composed_on(stages: Sequence[Stage], grid: Grid) -> Maps:
    """The same for one stage or more, on any grid along the axes of theirs."""
    total: Maps | None = None
    for stage in stages:
        decode = Separable(stage.decoder.matrices(grid)).to(stage.codes.whole.device)
        c, back = (_in_voxels(stage, inverse, grid) for inverse in (False, True))
        u, v = decode(c if stage.damping is None else c * stage.damping), decode(back)
        total = (u, v) if total is None else (u + composed(total[0], u), total[1] + composed(v, total[1]))
    assert total is not None
    return total


def mended(stage: Stage, grid: Grid, previous: Maps | None) -> Stage:
    """The stage, damped at the nodes around the folds of phi_1 o ... o phi_k on the voxels of `grid`.

    A penalty weighs each fold against the similarity, and leaves some. Where the maps before do not fold, damping this
    one enough does not either; `previous` are those maps.
    """
    decode = Separable(stage.decoder.matrices(grid)).to(stage.codes.whole.device)
    c = _in_voxels(stage, False, grid)
    damping = torch.ones_like(c[0])
    for _ in range(_ROUNDS):
        u = decode(c * damping)
        total = (u if previous is None else u + composed(previous[0], u)).contiguous()
        gradient = torch.zeros_like(total)
        if Folding(_LEAST).add_gradient(total, gradient, 1.0) == 0:
            break
        folded = (gradient.abs().sum(0, keepdim=True) > 0).to(c)
        damping = damping * (1 - _SHRINK * _around(decode.transposed(folded)[0]))
    return replace(stage, damping=damping)


def _in_voxels(stage: Stage, inverse: bool, grid: Grid) -> Tensor:
    """Coefficients of a direction (3,a,b,c) in voxels along the axes of `grid`, before any damping."""
    with torch.no_grad():
        c = stage.fields()[inverse].coefficients(stage.codes)
    unit_mm = min(stage.decoder.grid.spacing)
    to_voxel = torch.as_tensor(grid.inverse_affine[:3, :3] * unit_mm, dtype=c.dtype, device=c.device)
    return (to_voxel @ c.flatten(1)).reshape(c.shape)


def _around(weights: Tensor) -> Tensor:
    """1 at the nodes (a,b,c) that folded voxels read, fading out over the next ones."""
    touched = (weights > _READ).to(weights)[None, None]
    return torch.maximum(touched, F.avg_pool3d(touched, 3, stride=1, padding=1, count_include_pad=False))[0, 0]
