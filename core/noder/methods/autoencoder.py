"""An auto-encoder of deformation fields: a field on a fixed grid of nodes <-> a small grid of latent numbers.

The paper integrates its ODE in the latent space of such a pair and smooths what comes out (Bai and Hong, MICCAI 2024,
phi(t) = K * Decoder(z(t))). Encoder and decoder are a linear map each, with a bent one on top; neither has a bias and
the bend is odd, so that the identity is 0 on both sides, exactly: E(0) = 0 and D(0) = 0.

**How an image of any size maps onto the nodes.** The box of the image, from the centre of its first voxel to that of
its last, is stretched onto the box of the nodes, each axis of the closest-RAS grid by itself: voxel i of n is node
i (N-1)/(n-1). Displacements are stretched with it: a field is given in nodes along the grid's axes, a part of the box
whatever the size of the voxels. Cubic splines lead from voxels to nodes and from nodes to any place, constant beyond
the box.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from scipy.interpolate import make_interp_spline
from torch import Tensor, nn

from noder.decoder import Decoder, Matrices, apply_separable, as_tensor
from noder.errors import InputError
from noder.grid import Triple
from noder.image import written_atomically
from noder.resources import find_resource

NODES: Triple = (24, 28, 24)
STRIDE = 4
LATENT: tuple[int, int, int, int] = (96, 6, 7, 6)
SHIPPED = "shipped"
_HIDDEN = 32
REACH = 2
"""Nodes that an encoded block reaches beyond its own, on each side."""


class FieldEncoder(nn.Module):
    """Field (n,3,*NODES) in nodes -> latent grid (n,*LATENT); every second block of nodes overlaps its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        width = STRIDE + 2 * REACH
        self.linear = nn.Conv3d(3, LATENT[0], width, STRIDE, bias=False)
        self.bend = nn.Sequential(
            nn.Conv3d(3, _HIDDEN, width, STRIDE, bias=False), nn.Tanh(), _near(_HIDDEN, LATENT[0], start_at_zero=True)
        )

    def forward(self, field: Tensor) -> Tensor:
        """E(u)."""
        around = F.pad(field, (REACH,) * 6, mode="replicate")
        latent: Tensor = self.linear(around) + self.bend(around)
        return latent


class FieldDecoder(nn.Module):
    """Latent grid (n,*LATENT) -> field (n,3,*NODES) in nodes; a block of nodes reads its 27 nearest latent points."""

    def __init__(self) -> None:
        super().__init__()
        values = 3 * STRIDE**3
        self.linear = _near(LATENT[0], values)
        self.bend = nn.Sequential(_near(LATENT[0], _HIDDEN), nn.Tanh(), _near(_HIDDEN, values, start_at_zero=True))

    def forward(self, latent: Tensor) -> Tensor:
        """D(z)."""
        return unblocked(self.linear(latent) + self.bend(latent))


class Autoencoder(nn.Module):
    """Both halves. `scale` (C,): root mean square of each latent channel where that of the field is one node."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = FieldEncoder(), FieldDecoder()
        self.register_buffer("scale", torch.ones(LATENT[0]))

    def forward(self, field: Tensor) -> Tensor:
        """D(E(u)) of fields (n,3,*NODES) in nodes."""
        decoded: Tensor = self.decoder(self.encoder(field))
        return decoded


def make_autoencoder(seed: int) -> Autoencoder:
    """A fresh one; the seed is the only source of chance."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder()


def to_nodes(u: Tensor) -> Tensor:
    """Displacement (3,I,J,K) in voxels of any grid -> (3,*NODES) in nodes."""
    shape = tuple(u.shape[1:])
    matrices = [_spline(n, tuple(np.linspace(0, n - 1, m))) for n, m in zip(shape, NODES, strict=True)]
    return apply_separable(_on(u, matrices), u * _nodes_per_voxel(shape, u))


def to_voxels(field: Tensor, shape: Triple) -> Tensor:
    """Displacement (3,*NODES) in nodes -> (3,*shape) in voxels of a grid of that shape."""
    matrices = [_spline(m, tuple(np.linspace(0, m - 1, n))) for m, n in zip(NODES, shape, strict=True)]
    return apply_separable(_on(field, matrices), field / _nodes_per_voxel(shape, field))


def onto_control_points(decoder: Decoder) -> tuple[Matrices, Tensor]:
    """What leads from a field on the nodes to the coefficients of `decoder`.

    A matrix (control points, nodes) an axis, and (3,3): nodes along the grid's axes -> voxels of the finest axis along
    the RAS axes.
    """
    grid = decoder.grid
    matrices = []
    for axis, (n, m) in enumerate(zip(grid.shape, NODES, strict=True)):
        places = np.clip(decoder._control_points(axis), 0, n - 1) * (m - 1) / (n - 1)
        matrices.append(_spline(m, tuple(places)))
    stretch = [(n - 1) / (m - 1) for n, m in zip(grid.shape, NODES, strict=True)]
    turn = as_tensor(grid.affine[:3, :3] * np.array(stretch) / min(grid.spacing))
    return cast(Matrices, tuple(matrices)), turn


def voxel_in_nodes(decoder: Decoder) -> float:
    """The finest spacing of the decoder's grid in nodes, a mean over the axes."""
    pairs = zip(decoder.grid.shape, decoder.grid.spacing, NODES, strict=True)
    return float(np.mean([min(decoder.grid.spacing) * (m - 1) / ((n - 1) * h) for n, h, m in pairs]))


def blocked(field: Tensor) -> Tensor:
    """(n,3,*NODES) -> (n, 3 STRIDE^3, *latent grid): the inverse of `unblocked`."""
    n, (a, b, c), s = len(field), LATENT[1:], STRIDE
    return field.reshape(n, 3, a, s, b, s, c, s).permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, 3 * s**3, a, b, c)


def unblocked(values: Tensor) -> Tensor:
    """(n, 3 STRIDE^3, *latent grid) -> (n,3,*NODES)."""
    n, (a, b, c), s = len(values), LATENT[1:], STRIDE
    return values.reshape(n, 3, s, s, s, a, b, c).permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, 3, *NODES)


def write_weights(path: Path, autoencoder: Autoencoder, card: dict[str, Any]) -> Path:
    """Write weights and what there is to know of them under `path` at once."""
    weights = {name: value.detach().cpu().contiguous() for name, value in autoencoder.state_dict().items()}
    content = save(weights, metadata={"card": json.dumps(card, sort_keys=True)})
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)
    return path


def read_weights(name: str | Path) -> tuple[Autoencoder, dict[str, Any]]:
    """The auto-encoder of a file, or the "shipped" one, and its card. Raises InputError."""
    path = shipped_weights() if str(name) == SHIPPED else Path(name)
    try:
        with safe_open(path, framework="pt") as file:
            card: dict[str, Any] = json.loads((file.metadata() or {})["card"])
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
        autoencoder = Autoencoder()
        autoencoder.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} cannot be read as an auto-encoder's weights ({error}). "
            "Give a file that `noder pretrain autoencoder` wrote, or use the shipped ones."
        ) from error
    return autoencoder, card


def shipped_weights() -> Path:
    """Where the weights that come with the program lie. Raises NoderError where the installation lacks them."""
    return find_resource(Path(__file__).parents[1], "weights/noder-autoencoder.safetensors")


def _near(given: int, made: int, *, start_at_zero: bool = False) -> nn.Conv3d:
    layer = nn.Conv3d(given, made, 3, padding=1, padding_mode="replicate", bias=False)
    if start_at_zero:
        nn.init.zeros_(layer.weight)
    return layer


def _nodes_per_voxel(shape: Sequence[int], like: Tensor) -> Tensor:
    ratios = [(m - 1) / max(n - 1, 1) for n, m in zip(shape, NODES, strict=True)]
    return like.new_tensor(ratios)[:, None, None, None]


def _on(like: Tensor, matrices: Sequence[Tensor]) -> Matrices:
    x, y, z = (matrix.to(like.device) for matrix in matrices)
    return x, y, z


@lru_cache(maxsize=32)
def _spline(m: int, places: tuple[float, ...]) -> Tensor:
    """(len(places),m): cubic interpolation of m values at 0, 1, ... m-1."""
    basis: NDArray[np.float64] = make_interp_spline(np.arange(m), np.eye(m), k=min(3, m - 1))(np.array(places))
    return as_tensor(basis)
