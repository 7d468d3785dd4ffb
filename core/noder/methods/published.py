"""The published NODER, exactly, on coefficients (Bai and Hong, MICCAI 2024, arXiv 2407.13241, and the code with it).

The published ODE moves all points of the grid, in [-1,1], by a velocity that is indexed by the start voxel: a network
ends in a grid of 1/4 size, two trilinear upsamplings and a box average. These three are linear and separable, so that

    phi(t) = identity + W c(t),   dc/dt = f_theta(H identity + (H W) c, t),   c(t_0) = 0

with W one matrix an axis and H the halving of the state that the network reads. Runge-Kutta steps are linear too: the
ODE on c, 64 times fewer numbers, gives the published states up to rounding. The penalties are quadratic forms of c,
and the similarity reads the full field of one scan at a time.

Channel k of a state belongs to axis k, and the displacement in voxels is half the change of the state times the number
of voxels. Box, window and penalties count voxels: nothing here knows millimetres, nor the mask.
"""

from __future__ import annotations

import copy
import math
from bisect import bisect_right
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchdiffeq import odeint, odeint_adjoint

from noder.decoder import Matrices, SeparableDecoder, apply_separable, apply_transposed
from noder.errors import UsageError
from noder.grid import Grid, Triple
from noder.methods.curve import Kind
from noder.methods.optimiser import moments_of, take_moments, under
from noder.methods.problem import Iteration, Matching, Problem, added
from noder.regularity import Boundary, Smoothness
from noder.similarity import LocalNCC

GRADIENTS = ("backprop", "checkpoint", "adjoint")
PRECISIONS = {"single": torch.float32, "double": torch.float64}
_EPSILON = 1e-5


@dataclass(frozen=True)
class PublishedSettings:
    """What the published fit can be told; the defaults are the published values. Lengths are in voxels."""

    epochs: int = field(
        default=300, metadata={"label": "Epochs", "unit": "", "range": (1, 5000),
                               "help": "Steps of the optimiser, each on all scans at full size"})  # fmt: skip
    learning_rate: float = field(
        default=0.005, metadata={"label": "Learning rate", "unit": "", "range": (0.00001, 0.1),
                                 "help": "Learning rate of Adam with AMSGrad"})  # fmt: skip
    smoothness: float = field(
        default=0.05, metadata={"label": "Smoothness weight", "unit": "", "range": (0.0, 10.0),
                                "help": "Weight of the mean squared difference between neighbours"})  # fmt: skip
    boundary: float = field(
        default=0.0001, metadata={"label": "Boundary weight", "unit": "1/voxel²", "range": (0.0, 10.0),
                                  "help": "Weight of the mean squared displacement on the faces"})  # fmt: skip
    window: int = field(
        default=21, metadata={"label": "Similarity window", "unit": "voxels", "range": (3, 41),
                              "help": "Odd width of the window of the local cross-correlation"})  # fmt: skip
    box: int = field(
        default=15, metadata={"label": "Smoothing kernel", "unit": "voxels", "range": (1, 41),
                              "help": "Odd width of the averaging kernel on the velocity"})  # fmt: skip
    span: float = field(
        default=1.0, metadata={"label": "Time from first to last scan", "unit": "", "range": (0.001, 1000.0),
                               "help": "As the network sees it; the published code counts years"})  # fmt: skip
    gradients: str = field(
        default="backprop", metadata={"label": "Gradients", "unit": "", "range": GRADIENTS,
                                      "help": "Back-propagation is exact; with checkpoints it takes less memory and "
                                              "more time; the adjoint method is the published one"})  # fmt: skip
    precision: str = field(
        default="single", metadata={"label": "Precision", "unit": "", "range": tuple(PRECISIONS),
                                    "help": "Of the network; single is the published one. Its rounding can open or "
                                            "close a unit, and later epochs then differ"})  # fmt: skip


@dataclass(frozen=True)
class PublishedDecoder(SeparableDecoder):
    """u = W c: trilinear upsampling by 2, twice, and a box average with zeros outside.

    Control point k lies at voxel 4k + 1.5 whatever the size: where that is no multiple
    of 4, the upsampled field has up to three voxels too many, and those at the end are left out before the average.
    """

    grid: Grid
    box: int = 15

    @property
    def shape(self) -> Triple:
        """Number of control points along each axis: a quarter of the voxels, rounded up."""
        a, b, c = (-(-n // 4) for n in self.grid.shape)
        return a, b, c

    def at_voxels(self, axis: int, index: NDArray[np.int_]) -> NDArray[np.float64]:
        """(len(index), n): the rows of `exact`."""
        weights: NDArray[np.float64] = self.exact(axis).numpy()[index]
        return weights

    def exact(self, axis: int) -> Tensor:
        """(voxels, control points) in float64: all voxels along an axis."""
        return _columns(self.grid.shape[axis], self.box)


class PublishedNetwork(nn.Module):
    """f_theta: time and coefficients (3,a,b,c) of the state -> their rate of change.

    Five convolutions of stride 2 read the halved state; the time is repeated to the number of their features; two
    linear layers follow. torch's default initialisation, drawn in the published order.
    """

    def __init__(self, decoder: PublishedDecoder, channels: int = 32) -> None:
        super().__init__()
        self.shape = decoder.shape
        layers: list[nn.Module] = []
        sizes, width = [n // 2 for n in decoder.grid.shape], 3
        for _ in range(5):
            layers += [nn.Conv3d(width, channels, 3, stride=2, padding=1, padding_mode="replicate"), nn.ReLU()]
            sizes, width = [-(-n // 2) for n in sizes], channels
        self.read = nn.Sequential(*layers[:-1], nn.Flatten(0))
        self.fuse = nn.Linear(2 * channels * math.prod(sizes), channels)
        self.write = nn.Linear(channels, 3 * math.prod(self.shape))
        points = [torch.linspace(-1, 1, n, dtype=torch.float64)[:, None] for n in decoder.grid.shape]
        halved = torch.meshgrid(*(_resize(axis, 0.5)[:, 0] for axis in points), indexing="ij")
        self.register_buffer("identity", torch.stack(halved), persistent=False)
        for axis, name in enumerate(("half_x", "half_y", "half_z")):
            self.register_buffer(name, _resize(decoder.exact(axis), 0.5), persistent=False)

    def forward(self, t: Tensor, c: Tensor) -> Tensor:
        """dc/dt at time t."""
        halving = cast(Matrices, (self.half_x, self.half_y, self.half_z))
        features: Tensor = self.read((cast(Tensor, self.identity) + apply_separable(halving, c))[None])
        rate: Tensor = self.write(torch.relu(self.fuse(torch.cat([features, t.expand_as(features)]))))
        return rate.reshape(3, *self.shape)


def make_network(decoder: PublishedDecoder, precision: str, seed: int) -> PublishedNetwork:
    """A fresh network; the seed is the only source of chance in a fit."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return PublishedNetwork(decoder).to(PRECISIONS[precision])


def integrate(network: PublishedNetwork, times: Sequence[float], gradients: str = "backprop") -> Tensor:
    """c (n,3,a,b,c) at `times`: one Runge-Kutta step, torchdiffeq's 3/8 rule, from each to the next."""
    like = network.write.bias
    start, at = like.new_zeros(3, *network.shape), like.new_tensor(times)
    rate: Any = network
    if gradients == "checkpoint":
        rate = lambda t, c: checkpoint(network, t, c, use_reentrant=False)  # noqa: E731
    solve = odeint_adjoint if gradients == "adjoint" else odeint
    return cast(Tensor, solve(rate, start, at, method="rk4"))


class PublishedCurve:
    """c(tau), in voxels of the finest axis along RAS mm axes: cubic Hermite on states and rates at the visits.

    Beyond the visits the ODE goes on in whole steps of the mean interval, so that no query changes an answer.
    """

    kind: Kind = "displacement"

    def __init__(self, network: PublishedNetwork, taus: Sequence[float], span: float, grid: Grid) -> None:
        self.network = copy.deepcopy(network).cpu().requires_grad_(False)
        self.taus, self.span = tuple(taus), span
        self._step = (self.taus[-1] - self.taus[0]) / (len(self.taus) - 1)
        self._to_ras = torch.as_tensor(grid.affine[:3, :3] * _half_sizes(grid) / min(grid.spacing))
        states = integrate(self.network, [tau * span for tau in self.taus])
        self._nodes = {k: (c, self._rate(k, c)) for k, c in enumerate(states)}

    def __call__(self, tau: float) -> Tensor:
        """Coefficients (3,a,b,c) at tau spans after the first visit."""
        k = self._before(tau)
        (c, rate), (c_next, rate_next) = self._node(k), self._node(k + 1)
        step = self._tau(k + 1) - self._tau(k)
        s = (tau - self._tau(k)) / step
        start, end = (1 + 2 * s) * (1 - s) ** 2, s * s * (3 - 2 * s)
        bend = step * (s * (1 - s) ** 2 * rate + s * s * (s - 1) * rate_next)
        c = (start * c + end * c_next + bend).double()
        return (self._to_ras @ c.flatten(1)).reshape(c.shape).float()

    def tensors(self) -> dict[str, Tensor]:
        """The weights of the network."""
        return self.network.state_dict()

    def facts(self) -> dict[str, Any]:
        """The times of the visits."""
        return {"taus": list(self.taus)}

    def _before(self, tau: float) -> int:
        """Number of the last node at or before tau (0 is the first visit), so that another one follows."""
        last = len(self.taus) - 1
        if self.taus[0] <= tau <= self.taus[last]:
            return min(bisect_right(self.taus, tau) - 1, last - 1)
        end = 0 if tau < self.taus[0] else last
        return end + math.floor((tau - self.taus[end]) / self._step)

    def _visit(self, k: int) -> int:
        return min(max(k, 0), len(self.taus) - 1)

    def _tau(self, k: int) -> float:
        return self.taus[self._visit(k)] + (k - self._visit(k)) * self._step

    def _node(self, k: int) -> tuple[Tensor, Tensor]:
        """State and rate at node k, one Runge-Kutta step beyond the neighbour towards the visits."""
        towards = 1 if k > 0 else -1
        for nearer in range(self._visit(k), k, towards):
            beyond = nearer + towards
            if beyond not in self._nodes:
                c = self._nodes[nearer][0]
                times = c.new_tensor([self._tau(nearer) * self.span, self._tau(beyond) * self.span])
                c = odeint(self.network, c, times, method="rk4")[1]
                self._nodes[beyond] = c, self._rate(beyond, c)
        return self._nodes[k]

    def _rate(self, k: int, c: Tensor) -> Tensor:
        """dc/dtau at node k."""
        rate: Tensor = self.network(c.new_tensor(self._tau(k) * self.span), c)
        return rate * self.span


class PublishedFit:
    """The published optimisation: Adam with AMSGrad, all scans in each step, no mask, images from 0 to 1.

    Raises UsageError for even widths; the rest of the settings is checked before a fit.
    """

    def __init__(self, problem: Problem, settings: PublishedSettings, seed: int) -> None:
        _check(settings)
        self.problem, self.settings = problem, settings
        self.decoder = PublishedDecoder(problem.grid, settings.box)
        device = problem.images[0].device
        self.network = make_network(self.decoder, settings.precision, seed).to(device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate, amsgrad=True)
        self.total, self.epoch = settings.epochs, 0
        images = [unit_range(image) for image in problem.images]
        # one voxel of zeros around: sampling that goes on at the border then sees zeros outside
        window = (settings.window,) * 3
        ncc = LocalNCC(window, floor=0.0, epsilon=_EPSILON / settings.window**6, padded=True)
        self._share = 1 / (len(images) - 1)
        weight = torch.full_like(images[0][0], self._share / images[0].numel())
        self._matching = Matching(F.pad(images[0], (1,) * 6), images[1:], ncc, weight, origin=(1, 1, 1))
        x, y, z = (self.decoder.exact(axis).to(device) for axis in range(3))
        self._matrices = (x.float(), y.float(), z.float())
        voxels = Grid(problem.grid.shape, np.eye(4))
        # published: the mean is over the components too, and over one pair of faces at a time
        self._penalties = {
            "smoothness": (settings.smoothness / 3, Smoothness.form((x, y, z), voxels)),
            "boundary": (settings.boundary * 6, Boundary.form((x, y, z), voxels)),
        }
        self._to_voxels = torch.as_tensor(_half_sizes(problem.grid), device=device).reshape(3, 1, 1, 1)

    def costs(self) -> list[float]:
        """Every epoch costs the same: the voxels that it looks at."""
        return [float(self.problem.grid.n_voxels * (len(self.problem.images) - 1))] * self.total

    def run(self) -> Generator[Iteration, None, None]:
        """The epochs that are left; yields after every step of Adam."""
        while self.epoch < self.total:
            self.optimiser.zero_grad(set_to_none=True)
            losses = self.backward()
            self.optimiser.step()
            self.epoch += 1
            yield Iteration("full size", self.costs()[0], losses)

    def backward(self) -> dict[str, float]:
        """Gradients of the loss, a mean over the scans after the first; its parts, weighted.

        One scan at a time, so that memory does not grow with their number.
        """
        times = [tau * self.settings.span for tau in self.problem.taus]
        states = integrate(self.network, times, self.settings.gradients)
        gradients = torch.zeros_like(states)
        found = []
        for k in range(1, len(states)):
            losses, gradients[k] = self._losses(states[k].detach(), k)
            found.append(losses)
        states.backward(gradients)
        return added(found)

    def curve(self) -> PublishedCurve:
        """The trajectory of the network as it is."""
        return PublishedCurve(self.network, self.problem.taus, self.settings.span, self.problem.grid)

    @staticmethod
    def restore(
        grid: Grid, settings: PublishedSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[PublishedDecoder, PublishedCurve]:
        """Decoder and curve of a saved fit. Raises RuntimeError or KeyError where they do not belong together."""
        decoder = PublishedDecoder(grid, settings.box)
        network = make_network(decoder, settings.precision, seed=0)
        network.load_state_dict(tensors)
        return decoder, PublishedCurve(network, facts["taus"], settings.span, grid)

    def state(self) -> dict[str, Tensor | int | float]:
        """All that it takes to go on bit for bit: the epoch, the network and the optimiser's moments."""
        state: dict[str, Tensor | int | float] = {"epoch": self.epoch}
        state |= {f"network.{name}": value.clone() for name, value in self.network.state_dict().items()}
        return state | moments_of(self.optimiser, "optimiser")

    def load_state(self, state: dict[str, Tensor | int | float]) -> None:
        """Go on from what `state` gave in a fit of the same problem and settings."""
        self.epoch = int(state["epoch"])
        self.network.load_state_dict(under("network", state))
        take_moments(self.optimiser, "optimiser", state)

    def _losses(self, c: Tensor, scan: int) -> tuple[dict[str, float], Tensor]:
        """What a scan adds to the weighted losses at the coefficients c of the state, and the gradient in c."""
        c = (c * self._to_voxels).double()
        similarity, gradient = self._matching(apply_separable(self._matrices, c.float()), scan)
        total = apply_transposed(self._matrices, gradient).double()
        losses = {"similarity": similarity}
        for name, (weight, form) in self._penalties.items():
            value, slope = form.with_gradient(c)
            losses[name] = self._share * weight * float(value)
            total += self._share * weight * slope
        return losses, total * self._to_voxels


def unit_range(image: Tensor) -> Tensor:
    """From 0 to 1, as the published images are: warp and window go on with zeros outside."""
    low, high = image.amin(), image.amax()
    return (image - low) / (high - low).clamp(min=1e-12)


def _half_sizes(grid: Grid) -> NDArray[np.float64]:
    """(3,): the voxels that a change of the state by 1 stands for."""
    return np.array(grid.shape, dtype=np.float64) / 2


@lru_cache(maxsize=16)
def _columns(n: int, box: int) -> Tensor:
    """(n, ceil(n/4)) float64: the decoder along an axis of n voxels."""
    finer = _resize(_resize(torch.eye(-(-n // 4), dtype=torch.float64), 2), 2)
    return _band(n, box) @ finer[:n] / box


def _band(n: int, width: int) -> Tensor:
    """(n,n) float64: row i sums the window of `width` around i, zeros outside."""
    index = torch.arange(n)
    return ((index[:, None] - index[None]).abs() <= width // 2).double()


def _resize(columns: Tensor, factor: float) -> Tensor:
    """(n,k) -> (floor(n * factor), k): linear interpolation down the columns, as torch resizes images."""
    resized = F.interpolate(columns.T[None], scale_factor=factor, mode="linear", align_corners=False)
    return resized[0].T.contiguous()


def _check(settings: PublishedSettings) -> None:
    for name in ("window", "box"):
        width = getattr(settings, name)
        if width % 2 == 0:
            raise UsageError(f"{name} = {width} cannot be used: choose an odd number of voxels.")
