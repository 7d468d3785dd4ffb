"""The best linear auto-encoder of deformation fields, in closed form: where the training of the bent one starts."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from noder.methods.autoencoder import LATENT, REACH, STRIDE, Autoencoder, blocked

_RIDGE = 1e-6
_BLOCK = STRIDE + 2 * REACH
_AT_ONCE = 16


def linear_start(autoencoder: Autoencoder, fields: Tensor, weight: Tensor) -> None:
    """Make both halves the linear ones that suit `fields` (n,3,*NODES) best, in place, on the CPU.

    The encoder projects overlapping blocks, faded out at their edges, onto their principal components; the decoder is
    the least-squares way from 27 latent points back to the block of nodes at their centre. A block counts as much as
    `weight` (*NODES) does in it, on average.
    """
    weights = F.avg_pool3d(weight[None], STRIDE).flatten()
    fade = torch.hann_window(_BLOCK + 2, periodic=False)[1:-1]
    fade = fade[:, None, None] * fade[:, None] * fade
    encoder, decoder = autoencoder.encoder.linear, autoencoder.decoder.linear
    encoder.weight.data = _components(fields.cpu(), fade, weights) * fade
    with torch.no_grad():
        latents = torch.cat([encoder(_padded(part, REACH)) for part in fields.cpu().split(_AT_ONCE)])
    decoder.weight.data = _way_back(latents, fields.cpu(), weights).reshape(decoder.weight.shape)


def channel_scale(autoencoder: Autoencoder, fields: Tensor) -> Tensor:
    """(C,): root mean square of each latent channel over that of the fields, a length in nodes."""
    with torch.no_grad():
        parts = [autoencoder.encoder(part).square().sum((0, 2, 3, 4)) for part in fields.split(_AT_ONCE)]
    per_point = torch.stack(parts).sum(0) / (len(fields) * math.prod(LATENT[1:]))
    return (per_point / fields.square().sum(1).mean()).sqrt()


def _components(fields: Tensor, fade: Tensor, weights: Tensor) -> Tensor:
    """(C,3,_BLOCK,_BLOCK,_BLOCK): the principal components of faded blocks."""
    gram = torch.zeros(2 * (3 * fade.numel(),), dtype=torch.float64)
    for part in fields.split(_AT_ONCE):
        rows = _rows(_padded(part, REACH), _BLOCK, STRIDE, fade)
        gram += _gram(rows, rows, weights)
    components: Tensor = torch.linalg.eigh(gram).eigenvectors.flip(1)[:, : LATENT[0]]
    return components.T.float().reshape(LATENT[0], 3, *fade.shape)


def _way_back(latents: Tensor, fields: Tensor, weights: Tensor) -> Tensor:
    """(3 STRIDE^3, 27 C): least squares from the 27 latent points around a block to its nodes."""
    n = 27 * LATENT[0]
    gram, cross = (torch.zeros((n, m), dtype=torch.float64) for m in (n, 3 * STRIDE**3))
    for latent, part in zip(latents.split(_AT_ONCE), fields.split(_AT_ONCE), strict=True):
        rows = _rows(_padded(latent, 1), 3, 1)
        gram += _gram(rows, rows, weights)
        cross += _gram(rows, blocked(part).movedim(1, -1).flatten(0, 3), weights)
    ridge = _RIDGE * gram.diagonal().mean() * torch.eye(n, dtype=gram.dtype)
    solution: Tensor = torch.linalg.solve(gram + ridge, cross)
    return solution.T.float()


def _padded(volume: Tensor, by: int) -> Tensor:
    return F.pad(volume, (by,) * 6, mode="replicate")


def _rows(volume: Tensor, width: int, stride: int, fade: Tensor | float = 1.0) -> Tensor:
    """(n,C,...) -> a row for each window, times `fade`: (n windows, C width^3)."""
    windows = volume.unfold(2, width, stride).unfold(3, width, stride).unfold(4, width, stride) * fade
    return windows.permute(0, 2, 3, 4, 1, 5, 6, 7).flatten(4).flatten(0, 3)


def _gram(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the products of rows; `weights` are those of one field's blocks.

    In double precision: single would leave more noise in its small eigenvalues than the ridge drowns.
    """
    return a.double().T @ (b * weights.repeat(len(b) // len(weights))[:, None]).double()
