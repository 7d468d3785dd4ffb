"""A neural displacement on nodes: decoders, codes, and what is asked of them. Distances are in the box of the images.

The box from the centre of the first voxel to that of the last is [-1,1] along each axis of the closest-RAS grid. The
networks write parts of it (`Sizes.unit` of a half), so that weights serve images of any size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.composition import Box
from noder.decoder import Matrices, apply_separable, as_tensor
from noder.grid import Grid, Triple
from noder.methods.nodes import NodeDecoder
from noder.methods.siren import Decoders, ModulatedSiren, Placed, Sizes
from noder.trilinear import trilinear

CODE_START = 0.1
"""Standard deviation of fresh codes: enough to be told from 0, where the identity lies."""


@dataclass(frozen=True, eq=False)
class Codes:
    """The latent code of a pair: `whole` (G,) for the image, `local` (C,a,b,c) from corner to corner of the box."""

    whole: Tensor
    local: Tensor

    @classmethod
    def fresh(cls, sizes: Sizes, shape: Triple, seed: int) -> Codes:
        """Small random codes."""
        chance = torch.Generator().manual_seed(seed)
        whole = CODE_START * torch.randn(sizes.global_code, generator=chance)
        return cls(whole, CODE_START * torch.randn((sizes.local_code, *shape), generator=chance))

    def finer(self, shape: Triple) -> Codes:
        """The same code at every point, with local codes at more places an axis where `shape` has more."""
        wanted = [max(n, m) for n, m in zip(shape, self.local.shape[1:], strict=True)]
        x, y, z = (
            as_tensor(_linear(m, n)).to(self.local.device) if n > m else torch.eye(m, device=self.local.device)
            for m, n in zip(self.local.shape[1:], wanted, strict=True)
        )
        return Codes(self.whole, apply_separable((x, y, z), self.local))

    def parameters(self) -> list[Tensor]:
        """Both, to be optimised in place."""
        return [self.whole, self.local]

    def learnable(self) -> Codes:
        """A copy that gradients are gathered for."""
        return Codes(self.whole.detach().clone().requires_grad_(), self.local.detach().clone().requires_grad_())

    def detached(self) -> Codes:
        """A copy that stands."""
        return Codes(self.whole.detach().cpu().clone(), self.local.detach().cpu().clone())

    def to(self, device: torch.device) -> Codes:
        """On another device."""
        return Codes(self.whole.to(device), self.local.to(device))

    def prior(self) -> Tensor:
        """Mean square of all codes (Park et al. 2019, as NePhi takes it)."""
        return torch.cat([self.whole.flatten(), self.local.flatten()]).square().mean()


class NeuralField:
    """f of one direction of a pair, on the nodes of a `NodeDecoder` and at any point."""

    def __init__(self, decoder: NodeDecoder, network: ModulatedSiren) -> None:
        self.decoder, self.network = decoder, network
        self._matrices: dict[tuple[Triple, tuple[tuple[int, int], ...]], Matrices] = {}
        grid = decoder.grid
        half = [float(network.unit) * (n - 1) / 2 * h for n, h in zip(grid.shape, grid.spacing, strict=True)]
        self._turn = as_tensor(grid.direction * np.array(half) / min(grid.spacing))

    def coefficients(self, codes: Codes, box: Box | None = None) -> Tensor:
        """f at the nodes in `box` (3,a,b,c), in voxels of the finest axis along RAS."""
        box = box or _all(self.decoder.nodes)
        local = apply_separable(self._interpolation(codes, box), codes.local)
        moved = self.network(self._placed(box, local), codes.whole, local.flatten(1).T)
        turned: Tensor = self._turn.to(moved) @ moved.T
        return turned.reshape(3, *local.shape[1:])

    def normalised(self, x: Tensor, codes: Codes) -> Tensor:
        """x + f(x, z(x)) at points (N,3) in [-1,1], there; differentiable twice."""
        sizes = torch.tensor(codes.local.shape[1:], dtype=x.dtype, device=x.device)
        local = trilinear(codes.local, (x + 1) / 2 * (sizes - 1))
        at = self.network.placed(self.network.features(x))
        moved: Tensor = self.network.unit * self.network(at, codes.whole, local)
        return x + moved

    def _placed(self, box: Box, like: Tensor) -> Placed:
        """Kept for all nodes: their features, and where the weights stand what the network makes of them."""
        if box != _all(self.decoder.nodes):
            return self.network.placed(self.network.features(_points(self.decoder.nodes, box).to(like)))
        if any(weight.requires_grad for weight in self.network.parameters()):
            return self.network.placed(self._all_features.to(like))
        return self._all_placed

    @cached_property
    def _all_placed(self) -> Placed:
        points = _points(self.decoder.nodes, _all(self.decoder.nodes)).to(self.network.frequencies)
        return self.network.placed(self.network.features(points))

    @cached_property
    def _all_features(self) -> Tensor:
        with torch.no_grad():
            frequencies = self.network.frequencies
            every: Tensor = self.network.features(_points(self.decoder.nodes, _all(self.decoder.nodes)).to(frequencies))
            return every

    def _interpolation(self, codes: Codes, box: Box) -> Matrices:
        shape = cast(Triple, tuple(codes.local.shape[1:]))
        key = (shape, tuple((part.start, part.stop) for part in box))
        if key not in self._matrices:
            x, y, z = (
                as_tensor(_linear(m, n)[part]).to(codes.local.device)
                for m, n, part in zip(shape, self.decoder.nodes, box, strict=True)
            )
            self._matrices = {key: (x, y, z), **dict(list(self._matrices.items())[:7])}
        return self._matrices[key]


def fields_of(decoder: NodeDecoder, decoders: Decoders) -> tuple[NeuralField, NeuralField]:
    """The forward and the inverse field."""
    return NeuralField(decoder, decoders.of(inverse=False)), NeuralField(decoder, decoders.of(inverse=True))


def gradient_inverse_consistency(forwards: NeuralField, inverse: NeuralField, codes: Codes, x: Tensor) -> Tensor:
    """Mean squared gradient of phi_inv(phi(x)) - x at points (N,3) in [-1,1], exactly (GradICON, Tian et al. 2023)."""
    x = x.detach().requires_grad_()
    left = inverse.normalised(forwards.normalised(x, codes), codes) - x
    rows = [torch.autograd.grad(left[:, axis].sum(), x, create_graph=True)[0] for axis in range(3)]
    return torch.stack(rows).square().sum() / len(x)


def code_shape(grid: Grid, voxels: float) -> Triple:
    """Local codes every so many voxels of the finest axis, or a little nearer; two or more an axis."""
    decoder = NodeDecoder.every(grid, voxels)
    x, y, z = (max(2, n) for n in decoder.nodes)
    return x, y, z


def _all(nodes: Triple) -> Box:
    x, y, z = (slice(0, n) for n in nodes)
    return x, y, z


def _points(nodes: Sequence[int], box: Box) -> Tensor:
    """(N,3) in [-1,1]: the nodes in `box`."""
    axes = [torch.linspace(-1, 1, n)[part] for n, part in zip(nodes, box, strict=True)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)


def _linear(m: int, n: int) -> NDArray[np.float64]:
    """(n,m): linear interpolation from m codes to n nodes, corner to corner."""
    where = np.linspace(0, m - 1, n)
    first = np.minimum(where.astype(int), m - 2)
    matrix, rows = np.zeros((n, m)), np.arange(n)
    matrix[rows, first], matrix[rows, first + 1] = 1 - (where - first), where - first
    return matrix
