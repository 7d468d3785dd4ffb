"""NePhi's decoder: a sine network that is gated by a modulation network (Tian et al., ECCV 2024, arXiv 2309.07322).

    phi(x) = x + f(x, z(x)),   z(x) = [global code; local codes, linear between their grid points, at x]

The synthesis network reads Fourier features of x (Tancik et al. 2020) through sines (Sitzmann et al. 2020); each of its
layers is multiplied by one of the modulation network, which reads the code (Mehta et al. 2021). The last layer starts
at zero, so that phi starts as the identity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN_FREQUENCY = 30.0
"""Frequency of the sines after the first layer (Sitzmann et al. 2020); 1 in the first."""


@dataclass(frozen=True)
class Sizes:
    """Lengths of the two codes, number of Fourier frequencies, width and number of the hidden layers.

    `unit` is the part of half the box of the images that a network's 1 stands for: some voxels of a usual image.
    """

    global_code: int = 16
    local_code: int = 32
    frequencies: int = 32
    hidden: int = 64
    layers: int = 2
    unit: float = 0.05

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Sizes:
        """Those of decoders whose tensors have the names of `Decoders.state_dict`, beside their codes."""
        layers = sum(1 for name in tensors if name.startswith("forwards.synthesis.") and name.endswith(".weight"))
        hidden, unit = tensors["forwards.last.weight"].shape[1], float(tensors["forwards.unit"])
        whole, local = len(tensors["codes.whole"]), len(tensors["codes.local"])
        return cls(whole, local, tensors["forwards.frequencies"].shape[1], hidden, layers, unit)


@dataclass(frozen=True, eq=False)
class Placed:
    """What a network makes of points alone, before it reads a code: (N,hidden) each."""

    hidden: Tensor
    """The first layer of the synthesis network."""
    gates: tuple[Tensor, ...]
    """What the features give to each layer of the modulation network."""


class ModulatedSiren(nn.Module):
    """f of points, by their Fourier features (N, 2 frequencies), the whole code (G,) and local ones (N,L) -> (N,3)."""

    frequencies: Tensor
    unit: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.randn(3, sizes.frequencies))
        self.register_buffer("unit", torch.tensor(sizes.unit, dtype=torch.float64))
        features, codes = 2 * sizes.frequencies, sizes.global_code + sizes.local_code
        widths = [features] + [sizes.hidden] * sizes.layers
        self.synthesis = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        gates = [0] + [sizes.hidden] * (sizes.layers - 1)
        self.modulation = nn.ModuleList(nn.Linear(codes + features + gate, sizes.hidden) for gate in gates)
        self.last = nn.Linear(sizes.hidden, 3)
        self._start()

    def features(self, x: Tensor) -> Tensor:
        """Sines and cosines of points (N,3) in [-1,1]."""
        angles = 2 * math.pi * (x @ self.frequencies)
        return torch.cat([angles.sin(), angles.cos()], dim=-1)

    def placed(self, features: Tensor) -> Placed:
        """What stays the same for every code, while the weights do: a third of the work."""
        width = features.shape[-1]
        gates = tuple(F.linear(features, layer.weight[:, -width:], layer.bias) for layer in self._gates())
        return Placed(torch.sin(self.synthesis[0](features)), gates)

    def forward(self, at: Placed, whole: Tensor, local: Tensor) -> Tensor:
        """f; the inputs of a layer are multiplied one by one, since side by side they would take twice the memory."""
        hidden, gate = at.hidden, None
        for k, (layer, of_place) in enumerate(zip(self._gates(), at.gates, strict=True)):
            gate = torch.sin(_modulated(layer, gate, whole, local, of_place))
            if k > 0:
                hidden = torch.sin(HIDDEN_FREQUENCY * self.synthesis[k](hidden))
            hidden = hidden * gate
        moved: Tensor = self.last(hidden)
        return moved

    def _gates(self) -> list[nn.Linear]:
        return [cast(nn.Linear, layer) for layer in self.modulation]

    def _start(self) -> None:
        for k, layer in enumerate(self.synthesis):
            assert isinstance(layer, nn.Linear)
            n = layer.in_features
            reach = math.sqrt(6 / n) / HIDDEN_FREQUENCY if k else 1 / n
            nn.init.uniform_(layer.weight, -reach, reach)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)


def _modulated(layer: nn.Linear, gate: Tensor | None, whole: Tensor, local: Tensor, of_place: Tensor) -> Tensor:
    """The layer of [gate, whole, local, features]; the whole code is one for all points."""
    before = 0 if gate is None else gate.shape[-1]
    of_gate, of_whole, of_local, _ = layer.weight.split(
        [before, len(whole), local.shape[-1], layer.in_features - before - len(whole) - local.shape[-1]], dim=1
    )
    total = torch.addmm(of_place + of_whole @ whole, local, of_local.T)
    return total if gate is None else torch.addmm(total, gate, of_gate.T)


class Decoders(nn.Module):
    """A forward and an inverse f, fresh; the seed is the only source of chance."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        self.sizes = sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.forwards, self.inverse = ModulatedSiren(sizes), ModulatedSiren(sizes)

    def scaled_by(self, factor: float) -> None:
        """Let the networks' 1 stand for so many times as much."""
        for network in (self.forwards, self.inverse):
            network.unit.mul_(factor)

    def of(self, *, inverse: bool) -> ModulatedSiren:
        """The one of a direction."""
        return self.inverse if inverse else self.forwards
