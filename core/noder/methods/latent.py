"""Latent spaces of NODER: what the numbers z are that the ODE moves, how they move, and the field they stand for.

    dz/dt = f_theta(z, t),   z(t_0) = 0,   c(t) = D(z(t)) - D(z(t_0))

c are coefficients on the control grid (3,a,b,c), in voxels of the finest axis along the RAS axes; the linear decoder W
of `noder.decoder` makes the field of them (Bai and Hong, MICCAI 2024: phi(t) = K * Decoder(z(t))).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noder.decoder import Decoder, Matrices, apply_separable
from noder.methods.autoencoder import LATENT, FieldDecoder, onto_control_points, read_weights, voxel_in_nodes

BOTTLENECK = 32
_HARMONICS = 2
_DRIFT = 0.5
_CLOCK = 1 + 2 * _HARMONICS
_TUNING = 0.02
"""The step of a pre-trained layer beside that of the others: it starts near its goal."""


class Latent(nn.Module):
    """z (r,), its rate and the map c = B z; B starts at zero, so that a fresh trajectory is the identity.

    The last entry of z belongs to the bias of B: it is the time since the start. `written` is what a row of B fills,
    the control grid of `decoder` unless told otherwise.
    """

    def __init__(self, decoder: Decoder, written: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.shape = decoder.shape
        self.write = nn.Parameter(torch.zeros(BOTTLENECK + 1, *(written or (3, *decoder.shape))))

    def adopt(self, weights: str) -> None:
        """Take over what was learned before the fit, from a file or the "shipped" one; most learn all in the fit."""

    def groups(self) -> list[dict[str, Any]]:
        """The parameters as an optimiser takes them, with the `share` of its step that each group moves by."""
        return [{"params": list(self.parameters()), "share": 1.0}]

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
    """`rank`: a few dozen numbers moved by a smooth MLP, with a learned linear decoder onto the control grid.

        dz/dt = a + g(z, t),   g = 0 at the start

    A fresh trajectory runs at a constant rate: it bends only as far as the scans ask for it. With two scans, which say
    nothing of the course between them, it stays the linear regression.
    """

    def __init__(self, decoder: Decoder) -> None:
        super().__init__(decoder)
        self.drift = nn.Parameter(torch.randn(BOTTLENECK) * _DRIFT)
        self.bend = nn.Sequential(nn.Linear(BOTTLENECK + _CLOCK, BOTTLENECK), nn.Tanh(), _silent(BOTTLENECK))

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """A constant, and an MLP of z and the time."""
        h: Tensor = self.drift + self.bend(torch.cat([z[:-1], clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])])


class GridLatent(Latent):
    """`grid`: the control points themselves, moved by the velocity network; fixed linear decoder.

    Strided convolutions read the control points, a small bottleneck fuses them with the time, and a linear map B
    returns to the grid. As f_theta ends in B, every state is c = B z: integrating the few numbers z is exactly the same
    trajectory for a fraction of the work.
    """

    def __init__(self, decoder: Decoder, channels: int = 16) -> None:
        super().__init__(decoder)
        layers: list[nn.Module] = []
        size, width = [-(-n // 2) for n in self.shape], 3
        while max(size) > 3:
            layers += [nn.Conv3d(width, channels, 3, stride=2, padding=1, padding_mode="replicate"), nn.Tanh()]
            size, width = [-(-n // 2) for n in size], channels
        self.read = nn.Sequential(*layers, nn.Flatten())
        self.fuse = _fuse(width * math.prod(size) + _CLOCK)

    def groups(self) -> list[dict[str, Any]]:
        """The network moves by a tenth of the step of B: by a whole one its last activation saturates, dead to time."""
        network = [*self.read.parameters(), *self.fuse.parameters()]
        return [{"params": [self.write], "share": 1.0}, {"params": network, "share": 0.1}]

    def shared(self) -> tuple[Tensor, ...]:
        """B as the convolutions see it: (r, 3, a/2, b/2, c/2)."""
        return (F.avg_pool3d(self.write, 2, ceil_mode=True),)

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """The velocity network on the halved control points."""
        (halved,) = shared
        state = (z @ halved.flatten(1)).reshape(1, *halved.shape[1:])
        h: Tensor = self.fuse(torch.cat([self.read(state)[0], clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])])


class AutoencoderLatent(Latent):
    """`autoencoder`: the latent grid of an auto-encoder of deformation fields; its decoder is tuned during the fit.

        displacement = K * (D(z(t)) - D(z(t_0))),   z(t_0) = E(identity)

    E(0) = 0 and D(0) = 0 exactly (`noder.methods.autoencoder`), so that neither term is computed, and the encoder is
    not needed. Strided convolutions read the latent grid, which is fused with the time; the last layer starts at zero
    and writes each channel in its own size, so that a step means about as many voxels as in other latent spaces. The
    decoded field is brought to the control points along one axis after the other; the box average of W is K.
    """

    scale: Tensor
    turn: Tensor

    def __init__(self, decoder: Decoder, channels: int = 16) -> None:
        super().__init__(decoder, (math.prod(LATENT),))
        self.decode = FieldDecoder()
        self.register_buffer("scale", torch.ones(LATENT[0]))
        halved = math.prod(-(-n // 2) for n in LATENT[1:])
        self.read = nn.Sequential(
            nn.Conv3d(LATENT[0], channels, 3, stride=2, padding=1, padding_mode="replicate"), nn.Tanh(), nn.Flatten()
        )
        self.fuse = _fuse(channels * halved + _CLOCK)
        matrices, turn = onto_control_points(decoder)
        for axis, matrix in enumerate(matrices):
            self.register_buffer(f"onto_{axis}", matrix, persistent=False)
        self.register_buffer("turn", turn, persistent=False)
        self.voxel = voxel_in_nodes(decoder)

    def adopt(self, weights: str) -> None:
        """The decoder and the sizes of its channels. Raises InputError for an unusable file."""
        learned, _ = read_weights(weights)
        self.decode.load_state_dict(learned.decoder.state_dict())
        self.scale.copy_(learned.scale)

    def groups(self) -> list[dict[str, Any]]:
        """The decoder is tuned with smaller steps."""
        fresh = [self.write, *self.read.parameters(), *self.fuse.parameters()]
        return [{"params": fresh, "share": 1.0}, {"params": list(self.decode.parameters()), "share": _TUNING}]

    def start(self) -> Tensor:
        """z(t_0) = E(identity) = 0."""
        return self.write.new_zeros(math.prod(LATENT))

    def shared(self) -> tuple[Tensor, ...]:
        """How far each entry of z moves where the field moves by a voxel, and the last layer in these sizes."""
        unit = self.voxel * self.scale[:, None].expand(LATENT[0], math.prod(LATENT[1:])).flatten()
        return unit, self.write * unit

    def rate(self, t: Tensor, z: Tensor, *shared: Tensor) -> Tensor:
        """The velocity network on the latent grid."""
        unit, write = shared
        h: Tensor = self.fuse(torch.cat([self.read((z / unit).reshape(1, *LATENT))[0], clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])]) @ write

    def coefficients(self, z: Tensor) -> Tensor:
        """z (n,r) -> c (n,3,a,b,c)."""
        field = self.decode(z.reshape(len(z), *LATENT)).flatten(0, 1)
        onto = cast(Matrices, tuple(getattr(self, f"onto_{axis}") for axis in range(3)))
        c = apply_separable(onto, field).reshape(len(z), 3, -1)
        return (self.turn @ c).reshape(len(z), 3, *self.shape)


LATENTS: dict[str, type[RankLatent] | type[GridLatent] | type[AutoencoderLatent]] = {
    "rank": RankLatent,
    "grid": GridLatent,
    "autoencoder": AutoencoderLatent,
}


def make_latent(name: str, decoder: Decoder, seed: int) -> Latent:
    """A fresh latent space for the control points of `decoder`; the seed is the only source of chance in a fit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LATENTS[name](decoder)


def _silent(features: int) -> nn.Linear:
    """A linear map that starts at zero."""
    layer = nn.Linear(features, features)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _fuse(features: int) -> nn.Sequential:
    """A smooth activation keeps the bottleneck alive, and the velocity smooth in time."""
    return nn.Sequential(nn.Linear(features, BOTTLENECK), nn.Tanh(), nn.Linear(BOTTLENECK, BOTTLENECK), nn.Tanh())


def clock(t: Tensor) -> Tensor:
    """The time in spans as the dynamics see it: linear, and a few waves."""
    t = t.reshape(1)
    waves: list[Any] = [wave(math.pi * k * t) for k in range(1, _HARMONICS + 1) for wave in (torch.sin, torch.cos)]
    return torch.cat([2 * t - 1, *waves])
