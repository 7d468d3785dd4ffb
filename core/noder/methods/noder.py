"""NODER: a neural ODE on a coarse grid of displacement coefficients (Bai and Hong, MICCAI 2024, arXiv 2407.13241).

    d c/dt = f_theta(c, t),   c(t_0) = 0,   phi_t(x) = x + (W c(t))(x),   I_t = I_0 o phi_t

W, the decoder and smoothing kernel of the paper, is linear, so the ODE is integrated on c and the full-size field is
needed only where the loss reads it. The step grid is fixed by the span of the scans: asking for more times never
changes an answer.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchdiffeq import odeint

from noder.decoder import Decoder, apply_separable
from noder.errors import UsageError
from noder.grid import Grid, Triple, block_mean, sample_at_index
from noder.regularity import REGULARITIES
from noder.similarity import LocalNCC


@dataclass(frozen=True)
class NoderSettings:
    """What a NODER fit can be told. Lengths are in voxels of the reference's finest axis."""

    control_spacing: float = field(
        default=5.0, metadata={"label": "Control points every", "unit": "voxels", "range": (2.0, 20.0),
                               "help": "Distance between the coefficients of the field"})  # fmt: skip
    smoothing: float = field(
        default=10.0, metadata={"label": "Smoothing kernel", "unit": "voxels", "range": (1.0, 40.0),
                                "help": "Width of the averaging kernel on the field"})  # fmt: skip
    window: int = field(
        default=9, metadata={"label": "Similarity window", "unit": "voxels", "range": (3, 31),
                             "help": "Width of the window of the local cross-correlation"})  # fmt: skip
    smoothness: float = field(
        default=0.6, metadata={"label": "Smoothness weight", "unit": "", "range": (0.0, 10.0),
                               "help": "Weight of the mean squared gradient of the displacement (mm/mm)"})  # fmt: skip
    boundary: float = field(
        default=0.01, metadata={"label": "Boundary weight", "unit": "1/mm²", "range": (0.0, 10.0),
                                "help": "Weight of the mean squared displacement on the image's faces"})  # fmt: skip
    folding: float = field(
        default=100.0, metadata={"label": "Folding weight", "unit": "", "range": (0.0, 10000.0),
                                 "help": "Weight of the penalty on determinants under 0.25"})  # fmt: skip
    learning_rate: float = field(
        default=0.02, metadata={"label": "Step", "unit": "voxels", "range": (0.0001, 0.2),
                                "help": "Learning rate of Adam; the last layer writes voxels"})  # fmt: skip
    coarse_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/4", "unit": "", "range": (0, 2000),
                              "help": "Iterations on images reduced four times"})  # fmt: skip
    middle_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/2", "unit": "", "range": (0, 2000),
                              "help": "Iterations on images reduced twice"})  # fmt: skip
    fine_iterations: int = field(
        default=60, metadata={"label": "Iterations at full size", "unit": "", "range": (0, 2000),
                              "help": "Iterations on the images as they are"})  # fmt: skip
    time_steps: int = field(
        default=4, metadata={"label": "ODE steps over the span", "unit": "", "range": (2, 100),
                             "help": "Runge-Kutta steps from the first to the last scan"})  # fmt: skip


FARTHEST_SPANS = 10
"""How far beyond the scans a prediction may be asked for: farther out it says nothing about the subject."""

_COST_OF_ODE = 100_000
"""The work of one integration and its gradient, in voxels of image."""

PRESETS: dict[str, NoderSettings] = {
    "fast": NoderSettings(coarse_iterations=40, middle_iterations=60, fine_iterations=0),
    "balanced": NoderSettings(),
}


class VelocityNetwork(nn.Module):
    """f_theta: coefficients (3,a,b,c) in voxels and time in spans -> their rate of change per span.

    Strided convolutions read the state, a small bottleneck fuses it with the time, and a linear map returns to the
    grid. That last map starts at zero, so that the trajectory starts as the identity; a smooth activation keeps the
    bottleneck alive and the velocity smooth in time.

    As f_theta always ends in that linear map B, every state is c = B z, and the ODE is integrated on the few numbers z:
    exactly the same trajectory for a fraction of the work. The last entry of z belongs to the bias of B and is the
    time since the start.
    """

    def __init__(self, shape: Triple, channels: int = 16, bottleneck: int = 32, harmonics: int = 2) -> None:
        super().__init__()
        self.shape = shape
        self.harmonics = harmonics
        layers: list[nn.Module] = []
        size, width = [-(-n // 2) for n in shape], 3
        while max(size) > 3:
            layers += [
                nn.Conv3d(width, channels, 3, stride=2, padding=1, padding_mode="replicate"),
                nn.Tanh(),
            ]
            size, width = [-(-n // 2) for n in size], channels
        self.read = nn.Sequential(*layers, nn.Flatten())
        features = width * math.prod(size) + 1 + 2 * harmonics
        self.fuse = nn.Sequential(
            nn.Linear(features, bottleneck), nn.Tanh(), nn.Linear(bottleneck, bottleneck), nn.Tanh()
        )
        self.write = nn.Parameter(torch.zeros(bottleneck + 1, 3, *shape))

    def halved_basis(self) -> Tensor:
        """B as the convolutions see it: (bottleneck+1, 3, a/2, b/2, c/2)."""
        return F.avg_pool3d(self.write, 2, ceil_mode=True)

    def forward(self, t: Tensor, z: Tensor, halved: Tensor) -> Tensor:
        """dz/dt at time t; `halved` is `halved_basis()`, the same for all steps of an integration."""
        state = (z @ halved.flatten(1)).reshape(1, *halved.shape[1:])
        h: Tensor = self.fuse(torch.cat([self.read(state)[0], self._clock(t)]))
        return torch.cat([h, torch.ones_like(h[:1])])

    def _clock(self, t: Tensor) -> Tensor:
        t = t.reshape(1)
        waves = [wave(math.pi * k * t) for k in range(1, self.harmonics + 1) for wave in (torch.sin, torch.cos)]
        return torch.cat([2 * t - 1, *waves])


class NoderCurve:
    """c(t) in mm for any time t: states on a step grid fixed by the span, cubic Hermite between the steps.

    `basis` is B (r,3,a,b,c), `states` and `rates` are z and dz/dt (n,r) at the steps. Beyond the span the ODE goes on
    in whole steps of the same length; without a network (a snapshot of a running fit) the last rate goes on.
    """

    def __init__(
        self,
        basis: Tensor,
        states: Tensor,
        rates: Tensor,
        span: tuple[float, float],
        voxel_mm: float,
        network: VelocityNetwork | None = None,
    ) -> None:
        self.span = span
        self.voxel_mm = voxel_mm
        self.steps = len(states) - 1
        self._basis = basis
        self.network = network
        self._nodes = {k: (states[k], rates[k]) for k in range(len(states))}
        self._last: tuple[float, Tensor] | None = None

    @classmethod
    def solve(cls, network: VelocityNetwork, steps: int, span: tuple[float, float], voxel_mm: float) -> NoderCurve:
        """Integrate the network over the span; the curve lives on the CPU and keeps a copy of the network."""
        network = copy.deepcopy(network).cpu().requires_grad_(False)
        states, rates = integrate(network, steps)
        return cls(network.write, states, rates, span, voxel_mm, network)

    def __call__(self, t: float) -> Tensor:
        """Coefficients (3,a,b,c) in mm."""
        tau = (t - self.span[0]) / (self.span[1] - self.span[0])
        if not -FARTHEST_SPANS <= tau <= 1 + FARTHEST_SPANS:
            raise UsageError(
                f"The time {t:g} lies more than {FARTHEST_SPANS} times the span of the scans "
                f"({self.span[0]:g} to {self.span[1]:g}) away from them. Choose a time nearer to the scans."
            )
        last = self._last  # another thread may replace it at any moment
        if last is None or last[0] != t:
            last = self._last = (t, combine(self._basis, self._between_steps(tau)) * self.voxel_mm)
        return last[1]

    def _between_steps(self, tau: float) -> Tensor:
        position = tau * self.steps
        k = math.floor(position)
        if 0 <= position <= self.steps:
            k = min(k, self.steps - 1)
        elif self.network is None:
            end = 0 if position < 0 else self.steps
            state, rate = self._nodes[end]
            return state + rate * ((position - end) / self.steps)
        return _hermite(self._node(k), self._node(k + 1), position - k, 1 / self.steps)

    def _node(self, k: int) -> tuple[Tensor, Tensor]:
        """State and rate after k steps (k may be negative), one Runge-Kutta step beyond the neighbour towards 0."""
        if k in self._nodes:
            return self._nodes[k]
        network = self.network
        if network is None:
            raise RuntimeError("a snapshot has no network to integrate")
        halved = network.halved_basis()
        towards = 1 if k > 0 else -1
        start = self.steps if k > 0 else 0
        for nearer in range(start, k, towards):
            if nearer + towards not in self._nodes:
                times = torch.tensor([nearer / self.steps, (nearer + towards) / self.steps])
                state = odeint(lambda t, z: network(t, z, halved), self._nodes[nearer][0], times, method="rk4")[1]
                self._nodes[nearer + towards] = state, network(times[1], state, halved)
        return self._nodes[k]


def integrate(network: VelocityNetwork, steps: int) -> tuple[Tensor, Tensor]:
    """z and dz/dt (steps+1, r) from 0 to 1, one Runge-Kutta step (torchdiffeq's rk4) an interval."""
    device = network.write.device
    halved = network.halved_basis()
    times = torch.linspace(0, 1, steps + 1, device=device)
    start = torch.zeros(len(network.write), device=device)
    states = odeint(lambda t, z: network(t, z, halved), start, times, method="rk4")
    rates = torch.stack([network(t, z, halved) for t, z in zip(times, states, strict=True)])
    return states, rates


def combine(basis: Tensor, z: Tensor) -> Tensor:
    """c = B z: (r,3,a,b,c) and (r,) -> (3,a,b,c)."""
    return (z @ basis.flatten(1)).reshape(basis.shape[1:])


def _hermite(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], s: float, step: float) -> Tensor:
    """Cubic Hermite interpolation at part s of a step between two (state, rate)."""
    start, end = (1 + 2 * s) * (1 - s) ** 2, s * s * (3 - 2 * s)
    return start * a[0] + end * b[0] + step * (s * (1 - s) ** 2 * a[1] + s * s * (s - 1) * b[1])


@dataclass(frozen=True)
class Iteration:
    """One step of the optimisation: weighted losses by name, and the state of the curve."""

    stage: str
    cost: float
    losses: dict[str, float]
    states: Tensor
    rates: Tensor


class NoderFit:
    """The optimisation itself. `images` (1,I,J,K) with unit standard deviation in `mask`, `taus` their times in spans.

    The first image is the reference, at tau 0.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        taus: Sequence[float],
        mask: Tensor,
        grid: Grid,
        settings: NoderSettings,
        seed: int,
    ) -> None:
        self.images, self.taus, self.mask, self.grid, self.settings = images, taus, mask, grid, settings
        self.voxel_mm = min(grid.spacing)
        self.steps = max(settings.time_steps, len(images) - 1)
        self.decoder = make_decoder(grid, settings)
        self.network = make_network(self.decoder, seed).to(mask.device)
        self.stages = [stage for stage in make_stages(grid, settings) if stage[1] > 0]
        self.total = sum(count for _, count in self.stages)

    def costs(self) -> list[float]:
        """What each iteration costs, in voxels to work on; tells how much of a fit is left."""
        return [
            _cost(self.grid.coarsen(factors), len(self.images)) for factors, count in self.stages for _ in range(count)
        ]

    def run(self) -> Generator[Iteration, None, None]:
        """Coarse to fine; yields after every step of Adam."""
        optimiser = torch.optim.Adam(self.network.parameters(), lr=self.settings.learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        for factors, count in self.stages:
            level = _Level(self, factors)
            for _ in range(count):
                optimiser.zero_grad(set_to_none=True)
                states, rates = integrate(self.network, self.steps)
                losses = level.backward(states, rates)
                optimiser.step()
                schedule.step()
                yield Iteration(level.name, level.cost, losses, states.detach(), rates.detach())

    def curve(self, span: tuple[float, float]) -> NoderCurve:
        """The trajectory of the network as it is."""
        return NoderCurve.solve(self.network, self.steps, span, self.voxel_mm)

    def _rate(self, step: int) -> float:
        """Warm up over ten steps, then a cosine down to a tenth."""
        return min(1.0, (step + 1) / 10) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / max(self.total, 1))))


class _Level:
    """The losses on images reduced by `factors`."""

    def __init__(self, fit: NoderFit, factors: Triple) -> None:
        self.fit = fit
        self.grid = fit.grid.coarsen(factors)
        self.name = "full size" if max(factors) == 1 else f"1/{max(factors)} size"
        self.cost = _cost(self.grid, len(fit.images))
        device = fit.mask.device
        weight = block_mean(fit.mask[None].float(), factors)[0]
        self.weight = weight / weight.sum()
        self.matrices = tuple(m.to(device) for m in fit.decoder.matrices(self.grid))
        self.index = self.grid.indices().float().to(device)
        self.to_voxel = torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=torch.float32, device=device)
        self.similarity = LocalNCC(_window(self.grid, fit.settings.window))
        images = [block_mean(image, factors) for image in fit.images]
        self.moving = images[0]
        self.fixed = [self.similarity.prepare(image) for image in images[1:]]

    def backward(self, states: Tensor, rates: Tensor) -> dict[str, float]:
        """Gradients of all losses; one scan at a time, so that memory does not grow with their number."""
        totals: dict[str, float] = {}
        coefficients, gradients = [], []
        for tau, fixed in zip(self.fit.taus[1:], self.fixed, strict=True):
            c = combine(self.fit.network.write, _at(states, rates, tau))
            leaf = c.detach().requires_grad_()
            losses = self._losses(leaf, fixed)
            torch.stack(list(losses.values())).sum().backward()
            coefficients.append(c)
            gradients.append(leaf.grad)
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
        torch.autograd.backward(coefficients, gradients)
        return totals

    def _losses(self, c: Tensor, fixed: tuple[Tensor, ...]) -> dict[str, Tensor]:
        u = apply_separable(self.matrices, c) * self.fit.voxel_mm  # type: ignore[arg-type]
        where = self.index + torch.einsum("ab,bijk->ijka", self.to_voxel, u)
        moved = sample_at_index(self.moving, where)
        share = 1 / len(self.fixed)
        losses = {"similarity": share * self.similarity(fixed, moved, self.weight)}
        for name, penalty in REGULARITIES.items():
            weight = float(getattr(self.fit.settings, name))
            if weight > 0:
                losses[name] = share * weight * penalty(u, self.grid)
        return losses


def make_decoder(grid: Grid, settings: NoderSettings) -> Decoder:
    """The decoder W on the reference's grid."""
    voxel = min(grid.spacing)
    return Decoder.in_mm(grid, settings.control_spacing * voxel, settings.smoothing * voxel)


def make_network(decoder: Decoder, seed: int) -> VelocityNetwork:
    """A fresh velocity network; the seed is the only source of chance in a fit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VelocityNetwork(decoder.shape)


def make_stages(grid: Grid, settings: NoderSettings) -> list[tuple[Triple, int]]:
    """Reduction an axis and number of iterations, coarse to fine; thick slices are reduced less."""
    counts = (settings.coarse_iterations, settings.middle_iterations, settings.fine_iterations)
    return [(_factors(grid, f), count) for f, count in zip((4, 2, 1), counts, strict=True)]


def _cost(grid: Grid, n_images: int) -> float:
    return float(grid.n_voxels * (n_images - 1) + _COST_OF_ODE)


def _at(states: Tensor, rates: Tensor, tau: float) -> Tensor:
    steps = len(states) - 1
    k = min(int(tau * steps), steps - 1)
    return _hermite((states[k], rates[k]), (states[k + 1], rates[k + 1]), tau * steps - k, 1 / steps)


def _factors(grid: Grid, reduction: int) -> Triple:
    voxel = min(grid.spacing)
    wanted = [max(1, round(reduction * voxel / h)) for h in grid.spacing]
    x, y, z = (min(f, max(1, n // 8)) for f, n in zip(wanted, grid.shape, strict=True))
    return x, y, z


def _window(grid: Grid, width: int) -> Triple:
    """An odd number of voxels an axis, as wide in mm as `width` voxels of the finest axis, and at least 3."""
    reach = width * min(grid.spacing)
    x, y, z = (max(3, 2 * int(reach / h / 2) + 1) for h in grid.spacing)
    return x, y, z
