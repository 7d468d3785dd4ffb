"""Latent spaces of NODER: what the numbers z are that the ODE moves, how they move, and the field they stand for.

    dz/dt = f_theta(z, t),   z(t_0) = 0,   c(t) = D(z(t)) - D(z(t_0))

c are coefficients on the control grid (3,a,b,c), in voxels of the finest axis along the RAS axes; the linear decoder W
of `noder.decoder` makes the field of them (Bai and Hong, MICCAI 2024: phi(t) = K * Decoder(z(t))).
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noder.grid import Triple

BOTTLENECK = 32
_HARMONICS = 2
_CLOCK = 1 + 2 * _HARMONICS


class Latent(nn.Module):
    """z (r,), its rate and the map c = B z; B starts at zero, so that a fresh trajectory is the identity.

    The last entry of z belongs to the bias of B: it is the time since the start.
    """

    def __init__(self, shape: Triple) -> None:
        super().__init__()
        self.shape = shape
        self.write = nn.Parameter(torch.zeros(BOTTLENECK + 1, 3, *shape))

    def start(self) -> Tensor:
        """z(t_0)."""
        return self.write.new_zeros(len(self.write))

    def shared(self) -> tuple[Tensor, ...]:
        """What all evaluations of `rate` in one integration share."""
        return ()

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """dz/dt per span at time t in spans."""
        raise NotImplementedError

    def coefficients(self, z: Tensor) -> Tensor:
        """z (n,r) -> c (n,3,a,b,c)."""
        return (z @ self.write.flatten(1)).reshape(len(z), 3, *self.shape)


class RankLatent(Latent):
    """`rank`: a few dozen numbers moved by a smooth MLP, with a learned linear decoder onto the control grid."""

    def __init__(self, shape: Triple) -> None:
        super().__init__(shape)
        self.move = _fuse(BOTTLENECK + _CLOCK)

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """An MLP of z and the time."""
        h: Tensor = self.move(torch.cat([z[:-1], clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])])


class GridLatent(Latent):
    """`grid`: the control points themselves, moved by the velocity network; fixed linear decoder.

    Strided convolutions read the control points, a small bottleneck fuses them with the time, and a linear map B
    returns to the grid. As f_theta ends in B, every state is c = B z: integrating the few numbers z is exactly the same
    trajectory for a fraction of the work.
    """

    def __init__(self, shape: Triple, channels: int = 16) -> None:
        super().__init__(shape)
        layers: list[nn.Module] = []
        size, width = [-(-n // 2) for n in shape], 3
        while max(size) > 3:
            layers += [nn.Conv3d(width, channels, 3, stride=2, padding=1, padding_mode="replicate"), nn.Tanh()]
            size, width = [-(-n // 2) for n in size], channels
        self.read = nn.Sequential(*layers, nn.Flatten())
        self.fuse = _fuse(width * math.prod(size) + _CLOCK)

    def shared(self) -> tuple[Tensor, ...]:
        """B as the convolutions see it: (r, 3, a/2, b/2, c/2)."""
        return (F.avg_pool3d(self.write, 2, ceil_mode=True),)

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """The velocity network on the halved control points."""
        (halved,) = shared
        state = (z @ halved.flatten(1)).reshape(1, *halved.shape[1:])
        h: Tensor = self.fuse(torch.cat([self.read(state)[0], clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])])


LATENTS: dict[str, type[RankLatent] | type[GridLatent]] = {"rank": RankLatent, "grid": GridLatent}


def make_latent(name: str, shape: Triple, seed: int) -> Latent:
    """A fresh latent space; the seed is the only source of chance in a fit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LATENTS[name](shape)


def _fuse(features: int) -> nn.Sequential:
    """A smooth activation keeps the bottleneck alive, and the velocity smooth in time."""
    return nn.Sequential(nn.Linear(features, BOTTLENECK), nn.Tanh(), nn.Linear(BOTTLENECK, BOTTLENECK), nn.Tanh())


def clock(t: Tensor) -> Tensor:
    """The time in spans as the dynamics see it: linear, and a few waves."""
    t = t.reshape(1)
    waves: list[Any] = [wave(math.pi * k * t) for k in range(1, _HARMONICS + 1) for wave in (torch.sin, torch.cos)]
    return torch.cat([2 * t - 1, *waves])
