"""What the fits share of Adam: the course of its step, and its moments as tensors of a checkpoint."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

State = dict[str, Tensor | int | float]
_WARM_UP = 10


def course(step: int, total: int) -> float:
    """The part of the learning rate at a step: up over ten steps, then a cosine down to a tenth."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / max(total, 1))))


def moments_of(optimiser: torch.optim.Optimizer, prefix: str) -> State:
    """The optimiser's tensors as "prefix.parameter.name", copied."""
    states = optimiser.state_dict()["state"]
    return {f"{prefix}.{k}.{name}": value.clone() for k, kept in states.items() for name, value in kept.items()}


def take_moments(optimiser: torch.optim.Optimizer, prefix: str, state: State) -> None:
    """Take over what `moments_of` gave of an optimiser of the same parameters."""
    moments: dict[int, dict[str, Tensor]] = {}
    for name, value in under(prefix, state).items():
        k, _, moment = name.partition(".")
        moments.setdefault(int(k), {})[moment] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})


def under(prefix: str, state: Mapping[str, Tensor | int | float]) -> dict[str, Tensor]:
    """The tensors named "prefix.name", by name."""
    start = f"{prefix}."
    return {
        name.removeprefix(start): value
        for name, value in state.items()
        if name.startswith(start) and isinstance(value, Tensor)
    }
