"""Integration of a latent space by torchdiffeq, and the curve that comes of it.

The step grid is fixed by the span of the scans: asking for more times never changes an answer, and torchdiffeq is asked
for whole steps only (it interpolates linearly between them). Between the steps stands a cubic Hermite.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchdiffeq import odeint, odeint_adjoint

from noder.methods.curve import Kind
from noder.methods.latent import Latent

SOLVERS = ("rk4", "euler", "midpoint", "dopri5")
PIECES = 2
"""Pieces of constant velocity that a flow takes in a step of the ODE."""

GRADIENTS = ("backprop", "checkpoint", "adjoint")


class _Rate(nn.Module):
    """dz/dt as torchdiffeq calls it."""

    def __init__(self, latent: Latent, shared: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.latent, self.values = latent, shared

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """dz/dt (r,)."""
        return self.latent.rate(t, z, *self.values)


def integrate(latent: Latent, steps: int, solver: str = "rk4", gradients: str = "backprop") -> tuple[Tensor, Tensor]:
    """z and dz/dt (steps+1, r) from 0 to 1, in whole steps.

    `gradients`: "backprop" through the solver, exact; "checkpoint", the same with each step computed twice; "adjoint",
    an ODE of its own backwards in time, whose memory does not grow with the steps and whose gradient is approximate.
    """
    shared = latent.shared()
    rate = _Rate(latent, shared)
    times = torch.linspace(0, 1, steps + 1, device=latent.write.device)
    start = latent.start()
    if gradients == "checkpoint":
        states = _checkpointed(rate, start, times, solver)
    elif gradients == "adjoint":
        # the parameters alone: what is shared hangs on them, and would be counted twice
        states = odeint_adjoint(rate, start, times, method=solver, adjoint_params=tuple(latent.parameters()))
    else:
        states = odeint(rate, start, times, method=solver)
    rates = torch.stack([rate(t, z) for t, z in zip(times, states, strict=True)])
    return states, rates


def hermite(states: Tensor, rates: Tensor, taus: Tensor) -> Tensor:
    """z (n,r) at times `taus` (n,) in spans, from states and rates (steps+1, r) at whole steps."""
    steps = len(states) - 1
    k = (taus * steps).floor().clamp(0, steps - 1).long()
    s = (taus * steps - k)[:, None]
    a, b = (k, k + 1)
    start, end = (1 + 2 * s) * (1 - s) ** 2, s * s * (3 - 2 * s)
    # index_select sums its gradient row by row, in one order
    z: Tensor = start * states.index_select(0, a) + end * states.index_select(0, b)
    bend: Tensor = s * (1 - s) ** 2 * rates.index_select(0, a) + s * s * (s - 1) * rates.index_select(0, b)
    return z + bend / steps


def second_derivatives(states: Tensor, rates: Tensor) -> tuple[Tensor, Tensor]:
    """Second derivatives of `hermite` per span squared, (steps,r) at the start and at the end of each step.

    They are linear in between, so that the mean square over a step is (a^2 + a b + b^2) / 3.
    """
    steps = len(states) - 1
    rise, a, b = 6 * steps * states.diff(dim=0), rates[:-1], rates[1:]
    return steps * (rise - 4 * a - 2 * b), steps * (2 * a + 4 * b - rise)


class LatentCurve:
    """tau -> c (3,a,b,c) for any time in spans; the ODE goes on beyond the span in whole steps of the same length.

    Keeps a copy of the latent space on the CPU.
    """

    def __init__(self, latent: Latent, steps: int, solver: str = "rk4", kind: Kind = "displacement") -> None:
        self.kind = kind
        self.latent = copy.deepcopy(latent).cpu().requires_grad_(False)
        self.steps, self.solver = steps, solver
        self._shared = self.latent.shared()
        states, rates = integrate(self.latent, steps, solver)
        self._nodes = {k: (states[k], rates[k]) for k in range(steps + 1)}

    def __call__(self, tau: float) -> Tensor:
        """Coefficients in voxels of the finest axis."""
        return self.latent.coefficients(self.state(tau)[None])[0]

    def tensors(self) -> dict[str, Tensor]:
        """The weights of the latent space."""
        return self.latent.state_dict()

    def facts(self) -> dict[str, Any]:
        """The number of steps, and of a flow's pieces."""
        return {"steps": self.steps, "pieces": PIECES * self.steps}

    def state(self, tau: float) -> Tensor:
        """z (r,)."""
        position = tau * self.steps
        k = math.floor(position)
        if position == self.steps:
            k -= 1
        (z_a, rate_a), (z_b, rate_b) = self._node(k), self._node(k + 1)
        part = torch.tensor([position - k])
        return hermite(torch.stack([z_a, z_b]), torch.stack([rate_a, rate_b]) / self.steps, part)[0]

    def _node(self, k: int) -> tuple[Tensor, Tensor]:
        """State and rate after k steps (k may be negative), one step beyond the neighbour towards 0."""
        towards = 1 if k > 0 else -1
        start = self.steps if k > 0 else 0
        for nearer in range(start, k, towards):
            if nearer + towards not in self._nodes:
                self._nodes[nearer + towards] = self._step(nearer, nearer + towards)
        return self._nodes[k]

    def _step(self, a: int, b: int) -> tuple[Tensor, Tensor]:
        rate = _Rate(self.latent, self._shared)
        times = torch.tensor([a / self.steps, b / self.steps])
        state = odeint(rate, self._nodes[a][0], times, method=self.solver)[1]
        return state, rate(times[1], state)


def _checkpointed(rate: _Rate, start: Tensor, times: Tensor, solver: str) -> Tensor:
    def step(z: Tensor, pair: Tensor, *_: Tensor) -> Any:
        return odeint(rate, z, pair, method=solver)[1]

    states = [start]
    for k in range(len(times) - 1):
        states.append(checkpoint(step, states[-1], times[k : k + 2], *rate.values, use_reentrant=False))
    return torch.stack(states)
