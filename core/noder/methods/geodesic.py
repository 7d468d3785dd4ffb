"""The linear baseline: simple geodesic regression, and its piecewise-linear variant.

Every seen scan is registered with the reference by a stationary velocity field, I_i = I_0 o exp(W c_i), each for itself
(`noder.methods.svf`). Simple geodesic regression (Hong et al., MICCAI 2012; FPSGR: Ding et al., 2019) then takes one
log-velocity for all times, the least-squares slope w = sum_i t_i c_i / sum_i t_i^2, and phi_t = exp(t W w).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from noder.decoder import Decoder
from noder.grid import Grid
from noder.methods.curve import Kind
from noder.methods.problem import Iteration, Problem
from noder.methods.settings import decoder_of
from noder.methods.svf import Registration, SvfSettings, costs_of


@dataclass(frozen=True)
class GeodesicSettings(SvfSettings):
    """What a geodesic regression can be told."""

    residual_power: float = field(
        default=0.0, metadata={"label": "Trust in residuals", "unit": "", "range": (0.0, 4.0),
                               "help": "A scan's weight is its similarity loss to the power of minus this; 0, as "
                                       "published, weights by time alone"})  # fmt: skip


@dataclass(frozen=True)
class PiecewiseSettings(SvfSettings):
    """What a piecewise-linear regression can be told."""


class GeodesicCurve:
    """tau -> tau * slope, the log-velocity of a geodesic; `slope` (3,a,b,c) in voxels of the finest axis a span."""

    kind: Kind = "exponential"

    def __init__(self, slope: Tensor) -> None:
        self.slope = slope

    def __call__(self, tau: float) -> Tensor:
        """Log-velocity coefficients (3,a,b,c) at any time in spans."""
        return tau * self.slope

    def rate(self, tau: float) -> Tensor:
        """Its derivative per span, the same at all times."""
        return self.slope

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds of it."""
        return {"slope": self.slope}

    def facts(self) -> dict[str, Any]:
        """Nothing beside the tensors."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> GeodesicCurve:
        """Inverse of `tensors`. Raises KeyError."""
        return cls(tensors["slope"])


class PiecewiseCurve:
    """Linear in time between the log-velocities of the scans; before and after them the nearest slope goes on.

    `taus` (n,) float64 in spans, ascending, begin with 0; `nodes` (n,3,a,b,c) with zeros, the reference's.
    """

    kind: Kind = "exponential"

    def __init__(self, taus: Tensor, nodes: Tensor) -> None:
        self.taus, self.nodes = taus, nodes
        self._times: list[float] = taus.tolist()

    def __call__(self, tau: float) -> Tensor:
        """Log-velocity coefficients (3,a,b,c) at any time in spans."""
        k = self._interval(tau)
        part = (tau - self._times[k]) / (self._times[k + 1] - self._times[k])
        return (1 - part) * self.nodes[k] + part * self.nodes[k + 1]

    def rate(self, tau: float) -> Tensor:
        """Its derivative per span; at a scan that of the interval after it."""
        k = self._interval(tau)
        return (self.nodes[k + 1] - self.nodes[k]) / (self._times[k + 1] - self._times[k])

    def tensors(self) -> dict[str, Tensor]:
        """What a file holds of it."""
        return {"taus": self.taus, "nodes": self.nodes}

    def facts(self) -> dict[str, Any]:
        """Nothing beside the tensors."""
        return {}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> PiecewiseCurve:
        """Inverse of `tensors`. Raises KeyError."""
        return cls(tensors["taus"], tensors["nodes"])

    def _interval(self, tau: float) -> int:
        after = sum(t <= tau for t in self._times[1:-1])
        return int(after)


class _PairwiseFit:
    """The registrations of the reference with each other scan, one after the other."""

    def __init__(self, problem: Problem, settings: SvfSettings, seed: int) -> None:
        """`seed` changes nothing: there is no chance in it."""
        self.problem, self.settings = problem, settings
        self.decoder = decoder_of(problem.grid, settings)
        self.pairs = len(problem.images) - 1
        self._costs = costs_of(problem.grid, settings) * self.pairs
        self.total = len(self._costs)
        self._done: list[tuple[Tensor, float]] = []
        self._running = self._registration()

    def costs(self) -> list[float]:
        """What each iteration costs, in voxels to work on; tells how much of a fit is left."""
        return self._costs

    def run(self) -> Generator[Iteration, None, None]:
        """Yields after every step of Adam; goes on after the steps of a loaded state."""
        while len(self._done) < self.pairs:
            name = f"scan {len(self._done) + 1} of {self.pairs}"
            for step in self._running.run():
                yield Iteration(f"{name}, {step.stage}", step.cost, step.losses)
            self._done.append((self._running.coefficients.detach().cpu(), self._running.residual))
            if len(self._done) < self.pairs:
                self._running = self._registration()

    def state(self) -> dict[str, Tensor | int | float]:
        """All that a run needs to go on after the last step, bit for bit."""
        kept: dict[str, Tensor | int | float] = {"done": len(self._done)}
        for k, (coefficients, residual) in enumerate(self._done):
            kept |= {f"coefficients.{k}": coefficients.clone(), f"residual.{k}": residual}
        return kept | {f"running.{name}": value for name, value in self._running.state().items()}

    def load_state(self, state: dict[str, Tensor | int | float]) -> None:
        """Take over what `state` gave."""
        self._done = []
        for k in range(int(state["done"])):
            coefficients = state[f"coefficients.{k}"]
            if isinstance(coefficients, Tensor):
                self._done.append((coefficients.clone(), float(state[f"residual.{k}"])))
        if len(self._done) < self.pairs:
            self._running = self._registration()
        running = {name.removeprefix("running."): value for name, value in state.items() if name.startswith("running.")}
        self._running.load_state(running)

    def found(self) -> tuple[list[float], list[Tensor], list[float]]:
        """Times, log-velocities (3,a,b,c) on the CPU and similarity losses of the scans registered so far."""
        pairs = list(self._done)
        if len(pairs) < self.pairs:
            pairs.append((self._running.coefficients.detach().cpu().clone(), self._running.residual))
        taus = list(self.problem.taus[1 : 1 + len(pairs)])
        return taus, [c for c, _ in pairs], [residual for _, residual in pairs]

    def _registration(self) -> Registration:
        problem = self.problem
        fixed, moving = problem.images[1 + len(self._done)], problem.images[0]
        return Registration(fixed, moving, problem.mask, problem.grid, self.decoder, self.settings)


class GeodesicFit(_PairwiseFit):
    """Simple geodesic regression. Its settings are a `GeodesicSettings`."""

    settings: GeodesicSettings

    def curve(self) -> GeodesicCurve:
        """The regression of the scans registered so far."""
        taus, coefficients, residuals = self.found()
        weights = [max(residual, 1e-3) ** -self.settings.residual_power for residual in residuals]
        return GeodesicCurve(slope_of(taus, coefficients, weights))

    @staticmethod
    def restore(
        grid: Grid, settings: GeodesicSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[Decoder, GeodesicCurve]:
        """Decoder and curve of a saved fit. Raises KeyError where they do not belong together."""
        return decoder_of(grid, settings), GeodesicCurve.from_tensors(tensors)


class PiecewiseFit(_PairwiseFit):
    """Piecewise-linear log-velocities. Its settings are a `PiecewiseSettings`."""

    def curve(self) -> PiecewiseCurve:
        """Through the log-velocities of the scans registered so far."""
        taus, coefficients, _ = self.found()
        nodes = [torch.zeros_like(coefficients[0]), *coefficients]
        return PiecewiseCurve(torch.tensor([0.0, *taus], dtype=torch.float64), torch.stack(nodes))

    @staticmethod
    def restore(
        grid: Grid, settings: PiecewiseSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[Decoder, PiecewiseCurve]:
        """Decoder and curve of a saved fit. Raises KeyError where they do not belong together."""
        return decoder_of(grid, settings), PiecewiseCurve.from_tensors(tensors)


def slope_of(taus: Sequence[float], coefficients: Sequence[Tensor], weights: Sequence[float] | None = None) -> Tensor:
    """Least-squares slope through the origin: sum_i g_i t_i c_i / sum_i g_i t_i^2, with weights g_i (default: all 1).

    Times in spans, none of them all 0. Hong et al. 2012, eq. of the initial velocity; Ding et al. 2019.
    """
    g = [1.0] * len(taus) if weights is None else weights
    whole = sum(w * t * t for w, t in zip(g, taus, strict=True))
    parts = [(w * t / whole) * c for w, t, c in zip(g, taus, coefficients, strict=True)]
    return torch.stack(parts).sum(0)
