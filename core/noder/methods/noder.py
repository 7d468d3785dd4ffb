"""NODER: a neural ODE on the coefficients of a displacement field (Bai and Hong, MICCAI 2024, arXiv 2407.13241).

    dz/dt = f_theta(z, t),   z(t_0) = 0,   phi_t(x) = x + (W D(z(t)))(x),   I_t = I_0 o phi_t

W, the decoder and smoothing kernel of the paper, is linear, so the ODE is integrated on a few numbers and the full-size
field is needed only where the loss reads it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from noder.decoder import Decoder
from noder.grid import Grid, Triple
from noder.methods.autoencoder import SHIPPED
from noder.methods.flow_maps import FlowMaps
from noder.methods.latent import LATENTS, make_latent
from noder.methods.ode import GRADIENTS, PIECES, SOLVERS, LatentCurve, hermite, integrate, second_derivatives
from noder.methods.optimiser import course, moments_of, take_moments, under
from noder.methods.problem import Iteration, Level, Problem, added, pyramid
from noder.methods.settings import FieldSettings, decoder_of
from noder.methods.svf import Exponential
from noder.regularity import Magnitude


@dataclass(frozen=True)
class NoderSettings(FieldSettings):
    """What a NODER fit can be told. Lengths are in voxels of the reference's finest axis."""

    time_steps: int = field(
        default=4, metadata={"label": "ODE steps over the span", "unit": "", "range": (2, 100),
                             "help": "Solver steps from the first to the last scan"})  # fmt: skip
    map: str = field(
        default="displacement", metadata={"label": "What is decoded", "unit": "", "range": ("displacement", "flow"),
                                          "help": "The displacement, or a velocity that is sampled at the moving "
                                                  "position: a true flow, with an exact inverse"})  # fmt: skip
    latent: str = field(
        default="rank", metadata={"label": "Latent space", "unit": "", "range": tuple(LATENTS),
                                  "help": "What the ODE moves: control points, a few dozen numbers, or the latent "
                                          "grid of a pre-trained auto-encoder"})  # fmt: skip
    weights: str = field(
        default=SHIPPED, metadata={"label": "Auto-encoder weights", "unit": "", "range": (SHIPPED,), "or_file": True,
                                   "help": "Of the latent space autoencoder: those that come with the program, or a "
                                           "file of noder pretrain"})  # fmt: skip
    solver: str = field(
        default="rk4", metadata={"label": "Solver", "unit": "", "range": SOLVERS,
                                 "help": "How the ODE is integrated"})  # fmt: skip
    gradients: str = field(
        default="backprop", metadata={"label": "Gradients", "unit": "", "range": GRADIENTS,
                                      "help": "Through the solver's steps (exact), the same with less memory, or by "
                                              "the adjoint method"})  # fmt: skip
    acceleration: float = field(
        default=3e-5, metadata={"label": "Acceleration weight", "unit": "1/mm²", "range": (0.0, 1000.0),
                               "help": "Weight of the mean squared second derivative in time, mm per span squared: "
                                       "a large one makes the course linear"})  # fmt: skip


_COST_OF_ODE = 100_000
"""The work of one integration and its gradient, in voxels of image."""


class NoderFit:
    """The optimisation itself, coarse to fine."""

    def __init__(self, problem: Problem, settings: NoderSettings, seed: int) -> None:
        self.problem, self.settings = problem, settings
        self.steps = max(settings.time_steps, len(problem.images) - 1)
        self.decoder = decoder_of(problem.grid, settings)
        device = problem.mask.device
        self.latent = make_latent(settings.latent, self.decoder, seed)
        self.latent.adopt(settings.weights)
        self.latent.to(device)
        self._optimiser = torch.optim.Adam(self.latent.groups(), lr=settings.learning_rate)
        self.step = 0
        self._taus = torch.tensor(problem.taus[1:], dtype=torch.float32, device=device)
        self._nodes = torch.linspace(0, 1, PIECES * self.steps + 1, device=device)
        self._flow: FlowMaps | None = None
        self._size = Magnitude.form(self.decoder.matrices(), problem.grid, problem.voxel_mm).to(device)
        self._stages = pyramid(problem.grid, settings.iterations)
        self.total = sum(count for _, count in self._stages)

    def costs(self) -> list[float]:
        """What each iteration costs, in voxels to work on; tells how much of a fit is left."""
        return [self._cost(factors) for factors, count in self._stages for _ in range(count)]

    def run(self) -> Generator[Iteration, None, None]:
        """From `step` on; yields after every step of Adam."""
        end = 0
        for factors, count in self._stages:
            end += count
            if self.step < end:
                level = Level(self.problem, self.decoder, factors, self.settings)
                self._flow = self._flow_maps(level) if self.settings.map == "flow" else None
                while self.step < end:
                    losses = self._descend(level)
                    yield Iteration(level.name, self._cost(factors), losses)

    def state(self) -> dict[str, Tensor | int | float]:
        """All that a run needs to go on after the last step, bit for bit."""
        kept: dict[str, Tensor | int | float] = {"step": self.step}
        kept |= {f"latent.{name}": value.clone() for name, value in self.latent.state_dict().items()}
        return kept | moments_of(self._optimiser, "adam")

    def load_state(self, state: dict[str, Tensor | int | float]) -> None:
        """Go on from what `state` gave in a fit of the same problem and settings."""
        self.latent.load_state_dict(under("latent", state))
        take_moments(self._optimiser, "adam", state)
        self.step = int(state["step"])

    def curve(self) -> LatentCurve:
        """The trajectory as it is now."""
        return LatentCurve(self.latent, self.steps, self.settings.solver, self.settings.map)

    @staticmethod
    def restore(
        grid: Grid, settings: NoderSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[Decoder, LatentCurve]:
        """Decoder and curve of a saved fit. Raises RuntimeError or KeyError where they do not belong together."""
        decoder = decoder_of(grid, settings)
        latent = make_latent(settings.latent, decoder, seed=0)
        latent.load_state_dict(tensors)
        return decoder, LatentCurve(latent, facts["steps"], settings.solver, settings.map)

    def _descend(self, level: Level) -> dict[str, float]:
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * course(self.step, self.total) * group["share"]
        self._optimiser.zero_grad(set_to_none=True)
        losses = self._backward(level)
        self._optimiser.step()
        self.step += 1
        return losses

    def _backward(self, level: Level) -> dict[str, float]:
        """Gradients of all losses; one scan at a time, so that memory does not grow with their number."""
        states, rates = integrate(self.latent, self.steps, self.settings.solver, self.settings.gradients)
        at_scans = self.latent.coefficients(hermite(states, rates, self._taus))
        c = at_scans.detach()
        bends, bend_gradients, bend_losses = self._acceleration(states, rates)
        if self._flow is None:
            found = [level.displacement_losses(c[k], k + 1) for k in range(len(c))]
            gradient = torch.stack([gradient for _, gradient in found])
            torch.autograd.backward([at_scans, *bends], [gradient, *bend_gradients])
            return added([*(losses for losses, _ in found), bend_losses])
        maps = self._flow(self.latent.coefficients(hermite(states, rates, self._nodes)))
        regular = [level.regularity(each) for each in c]
        # cloned: a level's gradient stands until its next call
        matched = [
            (losses, gradient.clone()) for losses, gradient in (level.match(u, k + 1) for k, u in enumerate(maps))
        ]
        gradients = [torch.stack([gradient for _, gradient in regular]), *(gradient for _, gradient in matched)]
        torch.autograd.backward([at_scans, *maps, *bends], [*gradients, *bend_gradients])
        return added([*(losses for losses, _ in (*matched, *regular)), bend_losses])

    def _acceleration(self, states: Tensor, rates: Tensor) -> tuple[list[Tensor], list[Tensor], dict[str, float]]:
        """Weighted mean over span and voxels of |d^2/dt^2 W c|^2, in mm and spans; nothing without a weight.

        The coefficients that it is taken of, its gradient in them, and its value. Exact for the cubic Hermite.
        """
        if self.settings.acceleration == 0:
            return [], [], {}
        start, end = second_derivatives(states, rates)
        # a^2 + a b + b^2 as two squares: each row costs a pass over B
        squares = torch.cat([math.sqrt(0.75) * (start + end), 0.5 * (start - end)])
        bends = self.latent.coefficients(squares).flatten(0, 1)
        scale = self.settings.acceleration / (3 * self.steps)
        value, gradient = self._size.with_gradient(bends.detach())
        return [bends], [scale * gradient], {"acceleration": scale * float(value)}

    def _flow_maps(self, level: Level) -> FlowMaps:
        exponential = Exponential(self.decoder, level.grid, halved=True).to(self._taus.device)
        return FlowMaps(exponential, self.problem.taus[1:], len(self._nodes) - 1)

    def _cost(self, factors: Triple) -> float:
        return float(self.problem.grid.coarsen(factors).n_voxels * (len(self.problem.images) - 1) + _COST_OF_ODE)
