"""NODER: a neural ODE on the coefficients of a displacement field (Bai and Hong, MICCAI 2024, arXiv 2407.13241).

    dz/dt = f_theta(z, t),   z(t_0) = 0,   c(t) = D(z(t)),   I_t = I_0 o phi_t

    phi_t = id + W c(t) ("displacement", the paper's)   or   exp(W c(t)) ("exponential")
    or   d phi/dt = (W c'(t))(phi) ("flow")

W, the decoder and smoothing kernel of the paper, is linear, so the ODE is integrated on a few numbers and the full-size
field is needed only where the loss reads it.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, cast, get_args

import torch
from torch import Tensor

from noder.decoder import Decoder
from noder.grid import Grid, Triple
from noder.methods.autoencoder import SHIPPED
from noder.methods.curve import Kind
from noder.methods.flow_maps import FlowMaps
from noder.methods.latent import LATENTS, make_latent
from noder.methods.ode import GRADIENTS, PIECES, SOLVERS, LatentCurve, hermite, integrate, second_derivatives
from noder.methods.optimiser import course, moments_of, take_moments, under
from noder.methods.problem import Iteration, Level, Problem, added, pyramid
from noder.methods.settings import FieldSettings, decoder_of
from noder.methods.svf import Exponential, carried_losses, exponential_losses
from noder.regularity import Magnitude


@dataclass(frozen=True)
class NoderSettings(FieldSettings):
    """What a NODER fit can be told. Lengths are in voxels of the reference's finest axis."""

    time_steps: int = field(
        default=4, metadata={"label": "ODE steps over the span", "unit": "", "range": (2, 100),
                             "help": "Solver steps from the first to the last scan"})  # fmt: skip
    map: str = field(
        default="exponential", metadata={"label": "What is decoded", "unit": "", "range": get_args(Kind),
                                          "help": "The displacement; its stationary log-velocity; or a velocity that "
                                                  "is sampled at the moving position, a true flow. The last two have "
                                                  "exact inverses"})  # fmt: skip
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
    turns: int = field(
        default=2, metadata={"label": "Steps to look at all scans", "unit": "", "range": (1, 8),
                             "help": "With more scans than this after the first, a step looks at every second "
                                     "(third, ...) of them in turn"})  # fmt: skip
    acceleration: float = field(
        default=5e-5, metadata={"label": "Acceleration weight", "unit": "1/voxel²", "range": (0.0, 1000.0),
                               "help": "Weight of the mean squared second derivative in time, voxels per span squared: "
                                       "a large one makes the course linear"})  # fmt: skip
    straightness: float = field(
        default=2e-3, metadata={"label": "Pull on small bends", "unit": "1/voxel", "range": (0.0, 1000.0),
                               "help": "Weight of the second derivative in time where it is small: bends that only "
                                       "noise asks for are given up, large ones stay"})  # fmt: skip


_SMALL_BEND, _NO_BEND = 0.1, 0.02
"""Voxels per span squared: up to the first all the straightness pulls; below the second a course counts as straight."""

_COST_OF_ODE = 100_000
"""The work of one integration and its gradient, in voxels of image."""

Losses = dict[str, float]


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
        self._optimiser = torch.optim.Adam(self.latent.groups(), lr=settings.learning_rate, fused=True)
        self.step = 0
        self._taus = torch.tensor(problem.taus[1:], dtype=torch.float32, device=device)
        self._nodes = torch.linspace(0, 1, PIECES * self.steps + 1, device=device)
        self._exponential: Exponential | None = None
        self._flow: FlowMaps | None = None
        self._turns = turns_of(settings, len(problem.images) - 1)
        self._latest: dict[int, Losses] = {}
        self._bends = Magnitude.form(self.decoder.matrices(), problem.grid).to(device)
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
                whole = self.settings.map == "displacement"  # others look for folds on their carrier
                level = Level(self.problem, self.decoder, factors, self.settings, whole=whole)
                self._begin(level)
                while self.step < end:
                    losses = self._descend(level)
                    yield Iteration(level.name, self._cost(factors), losses)

    def state(self) -> dict[str, Tensor | int | float]:
        """All that a run needs to go on after the last step, bit for bit."""
        kept: dict[str, Tensor | int | float] = {"step": self.step}
        kept |= {f"latent.{name}": value.clone() for name, value in self.latent.state_dict().items()}
        kept |= {f"losses.{k}.{name}": loss for k, losses in self._latest.items() for name, loss in losses.items()}
        return kept | moments_of(self._optimiser, "adam")

    def load_state(self, state: dict[str, Tensor | int | float]) -> None:
        """Go on from what `state` gave in a fit of the same problem and settings."""
        self.latent.load_state_dict(under("latent", state))
        take_moments(self._optimiser, "adam", state)
        self.step = int(state["step"])
        self._latest = {}
        for key, value in state.items():
            if key.startswith("losses."):
                _, scan, name = key.split(".")
                self._latest.setdefault(int(scan), {})[name] = float(value)

    def curve(self) -> LatentCurve:
        """The trajectory as it is now."""
        return LatentCurve(self.latent, self.steps, self.settings.solver, cast(Kind, self.settings.map))

    @staticmethod
    def restore(
        grid: Grid, settings: NoderSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[Decoder, LatentCurve]:
        """Decoder and curve of a saved fit. Raises RuntimeError or KeyError where they do not belong together."""
        decoder = decoder_of(grid, settings)
        latent = make_latent(settings.latent, decoder, seed=0)
        latent.load_state_dict(tensors)
        return decoder, LatentCurve(latent, facts["steps"], settings.solver, cast(Kind, settings.map))

    def _descend(self, level: Level) -> Losses:
        for group in self._optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * course(self.step, self.total) * group["share"]
        self._optimiser.zero_grad(set_to_none=True)
        losses = self._backward(level)
        self._optimiser.step()
        self.step += 1
        return losses

    def _backward(self, level: Level) -> Losses:
        """Gradients of all losses; one scan at a time, so that memory does not grow with their number.

        What it tells of a scan that this step does not look at is what was found last.
        """
        states, rates = integrate(self.latent, self.steps, self.settings.solver, self.settings.gradients)
        ends, gradients, losses = self._acceleration(states, rates)
        looked_at = [k for k in range(len(self._taus)) if (k + self.step) % self._turns == 0]
        if self._flow is None:
            maps = list(self.latent.coefficients(hermite(states, rates, self._taus)))
        else:
            nodes = self.latent.coefficients(hermite(states, rates, self._nodes))
            maps = self._flow(nodes)
            path_ends, path_gradients, path_losses = self._paths(level, self._flow, nodes)
            ends, gradients, losses = [*ends, path_ends], [*gradients, path_gradients], losses | path_losses
        for k in looked_at:
            self._latest[k], gradient = self._losses(level, maps[k].detach(), k + 1)
            ends.append(maps[k])
            gradients.append(self._turns * gradient)
        torch.autograd.backward(ends, gradients)
        return added([*self._latest.values(), losses])

    def _losses(self, level: Level, found: Tensor, scan: int) -> tuple[Losses, Tensor]:
        """All losses of a map at one scan, and their gradient; `found` is what makes it, or a flow's map itself."""
        if self._exponential is None:
            return level.displacement_losses(found, scan)
        if self._flow is None:
            return exponential_losses(level, self._exponential, found, scan)
        return carried_losses(level, self._exponential, found, scan)

    def _paths(self, level: Level, flow: FlowMaps, nodes: Tensor) -> tuple[Tensor, Tensor, Losses]:
        """What of a flow's pieces must be smooth, with the gradient and the losses of that."""
        combined, weights = flow.regularised()
        paths = torch.tensordot(combined.to(nodes.device), nodes.diff(dim=0), 1)
        found = [level.regularity(path, weight) for path, weight in zip(paths.detach(), weights, strict=True)]
        return paths, torch.stack([gradient for _, gradient in found]), added(losses for losses, _ in found)

    def _acceleration(self, states: Tensor, rates: Tensor) -> tuple[list[Tensor], list[Tensor], Losses]:
        """acceleration * r^2 + straightness * s log(1 + r/s), r^2 the mean over span and voxels of |d^2/dt^2 W c|^2.

        The coefficients that it is taken of, its gradient in them, and its value; exact for the cubic Hermite; r in
        voxels, s a small bend. The square is that of a smoothing spline. The logarithm (Candes, Wakin and Boyd 2008)
        gives up what only noise asks for: its pull on a small bend does not fade with it, and on a large one is weak.
        """
        squared, small = self.settings.acceleration, self.settings.straightness * _SMALL_BEND
        if squared == small == 0:
            return [], [], {}
        start, end = second_derivatives(states, rates)
        # a^2 + a b + b^2 as two squares: each row costs a pass over B
        squares = torch.cat([math.sqrt(0.75) * (start + end), 0.5 * (start - end)])
        bends = self.latent.coefficients(squares).flatten(0, 1)
        share = 1 / (3 * self.steps)
        value, gradient = self._bends.with_gradient(bends.detach())
        mean = share * float(value)
        root = math.sqrt(mean + _NO_BEND**2)
        pull = squared + small / (_SMALL_BEND + root) / (2 * root)
        loss = squared * mean + small * math.log((_SMALL_BEND + root) / (_SMALL_BEND + _NO_BEND))
        return [bends], [share * pull * gradient], {"acceleration": loss}

    def _begin(self, level: Level) -> None:
        """What maps need on a level, where they are more than W c."""
        if self.settings.map == "displacement":
            return
        on = Exponential.at(level, self.decoder).to(self._taus.device)
        self._exponential = on
        if self.settings.map == "flow":
            self._flow = FlowMaps(on, self.problem.taus[1:], len(self._nodes) - 1)

    def _cost(self, factors: Triple) -> float:
        scans = len(self.problem.images) - 1
        looks = scans / turns_of(self.settings, scans)
        return self.problem.grid.coarsen(factors).n_voxels * looks + _COST_OF_ODE


def turns_of(settings: Any, scans: int) -> int:
    """How many steps share the `scans` after the first; 1 for methods without turns.

    As good as all scans in every step, for half the work (measured on the cine and on known motion).
    """
    turns = getattr(settings, "turns", 1)
    return turns if scans > turns else 1
