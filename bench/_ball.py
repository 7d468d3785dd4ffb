"""A textured ball under a smooth warp that slows down in time: the series of the speed figures, of any size."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from oracle import smooth_noise, warp
from torch import Tensor

RADIUS = 0.8


def ball_series(shape: Sequence[int], times: Sequence[float], seed: int = 3) -> list[Tensor]:
    """Float32 images (I,J,K) from 0 to 1 with 1 % noise; the first is at rest where its time is 0."""
    generator = torch.Generator().manual_seed(seed)
    texture = 0.3 + sum(smooth_noise(shape, cell, generator) for cell in (8, 4, 2)) / 3
    x, y, z = _axes(shape)
    still = texture * torch.sigmoid((RADIUS - (x * x + y * y + z * z).sqrt()) * 20)
    images = []
    for t in times:
        moved = warp(still, ball_displacement(shape, t))
        moved = moved * (1 + 0.01 * torch.randn(still.shape, generator=generator, dtype=torch.float64))
        images.append(((moved - moved.min()) / (moved.max() - moved.min())).float())
    return images


def ball_displacement(shape: Sequence[int], t: float) -> Tensor:
    """phi_t - id (3,I,J,K) in voxels, float64: zero on the faces, 1.3 to 1.9 voxels on average in a ball of 64^3."""
    x, y, z = _axes(shape)
    bump = (1 - x * x) * (1 - y * y) * (1 - z * z)
    push = torch.stack([bump * torch.cos(2 * y), bump * torch.sin(3 * z), bump * torch.cos(2 * x) / 2])
    return max(shape) / 16 * (1 - math.exp(-t / 2)) * push


def end_point_error(u: Tensor, t: float) -> float:
    """Mean distance in the ball between id + u (3,I,J,K), in voxels, and the true map at t."""
    shape = u.shape[1:]
    x, y, z = _axes(shape)
    away = (u.double() - ball_displacement(shape, t)).norm(dim=0)
    return float(away[x * x + y * y + z * z < RADIUS**2].mean())


def _axes(shape: Sequence[int]) -> tuple[Tensor, ...]:
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
    return torch.meshgrid(*axes, indexing="ij")
