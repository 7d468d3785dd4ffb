"""The published NODER, written plainly: float64, full grid, torch's own autograd. The preset is tested against it.

    OMP_NUM_THREADS=1 python bench/oracle.py --check [--size 64] [--epochs 20] [--adjoint] [--precision double]

prints the losses of both, epoch by epoch. The facts are those of Bai and Hong, MICCAI 2024 (arXiv 2407.13241) and of
the code published with it, but channel k of a field always belongs to axis k, and times are as given. Images have any
size: the velocity's grid has ceil(n/4) points an axis, its two trilinear upsamplings give up to three voxels too many,
and the first n are kept before the box is applied.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchdiffeq import odeint, odeint_adjoint

from noder.grid import Grid
from noder.methods.problem import Problem
from noder.methods.published import PRECISIONS, PublishedFit, PublishedSettings

EPSILON = 1e-5


class Velocity(nn.Module):
    """v(t, phi) for the state phi (1,3,I,J,K) in [-1,1], float64."""

    def __init__(self, shape: Sequence[int], box: int = 15) -> None:
        super().__init__()
        self.shape, self.box = tuple(shape), box
        self.coarse = [-(-n // 4) for n in shape]
        sizes = [n // 2 for n in shape]
        self.convolutions = nn.ModuleList()
        for channels in (3, 32, 32, 32, 32):
            self.convolutions.append(nn.Conv3d(channels, 32, 3, stride=2, padding=1, padding_mode="replicate"))
            sizes = [-(-n // 2) for n in sizes]
        self.fuse = nn.Linear(2 * 32 * math.prod(sizes), 32)
        self.write = nn.Linear(32, 3 * math.prod(self.coarse))
        self.double()

    def forward(self, t: Tensor, phi: Tensor) -> Tensor:
        """The rate of change of the state, the same shape."""
        x = F.interpolate(phi, scale_factor=0.5, mode="trilinear", align_corners=False)
        for k, convolution in enumerate(self.convolutions):
            x = convolution(x)
            x = torch.relu(x) if k < 4 else x
        x = x.flatten()
        x = self.write(torch.relu(self.fuse(torch.cat([x, t * torch.ones_like(x)]))))
        x = x.reshape(1, 3, *self.coarse)
        for _ in range(2):
            x = F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)
        i, j, k = self.shape
        return window_sums(x[:, :, :i, :j, :k], self.box) / self.box**3


class Oracle:
    """A fit of `images` (I,J,K), reference first, at `times` in any unit; one RK4 step between neighbouring times.

    The network starts from the seed with torch's default initialisation, drawn in float32.
    """

    def __init__(
        self,
        images: Sequence[Tensor],
        times: Sequence[float],
        seed: int = 0,
        *,
        adjoint: bool = False,
        window: int = 21,
        box: int = 15,
        smoothness: float = 0.05,
        boundary: float = 0.0001,
        learning_rate: float = 0.005,
    ) -> None:
        self.images = [image.double() for image in images]
        self.times = torch.tensor(times, dtype=torch.float64)
        self.window, self.smoothness, self.boundary = window, smoothness, boundary
        self.integrate: Callable[..., Tensor] = odeint_adjoint if adjoint else odeint
        shape = self.images[0].shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = Velocity(shape, box)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=learning_rate, amsgrad=True)
        axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
        self.identity = torch.stack(torch.meshgrid(*axes, indexing="ij"))[None]

    def displacements(self) -> Tensor:
        """(scans,3,I,J,K) in voxels at all times: half the change of the state times the number of voxels."""
        states = self.integrate(self.network, self.identity, self.times, method="rk4")
        size = torch.tensor(self.images[0].shape, dtype=torch.float64).reshape(3, 1, 1, 1)
        return (states - self.identity)[:, 0] / 2 * size

    def losses(self) -> dict[str, Tensor]:
        """Weighted losses by name, each the mean over the scans after the first."""
        parts: dict[str, list[Tensor]] = {"similarity": [], "smoothness": [], "boundary": []}
        for u, image in zip(self.displacements()[1:], self.images[1:], strict=True):
            parts["similarity"].append(1 - local_cc(image, warp(self.images[0], u), self.window).mean())
            parts["smoothness"].append(self.smoothness * gradient_energy(u))
            parts["boundary"].append(self.boundary * sum(face_energy(u, axis) for axis in (1, 2, 3)))
        return {name: torch.stack(values).mean() for name, values in parts.items()}

    def step(self) -> dict[str, float]:
        """One epoch; the losses before it."""
        self.optimiser.zero_grad()
        losses = self.losses()
        torch.stack(list(losses.values())).sum().backward()
        self.optimiser.step()
        return {name: float(value.detach()) for name, value in losses.items()}


def window_sums(x: Tensor, width: int) -> Tensor:
    """Sums over cubes of `width` around every voxel along the last three axes, zeros outside, by running sums."""
    half = width // 2
    for axis in (-3, -2, -1):
        pad = [0, 0] * (-axis - 1) + [half + 1, half]
        running = F.pad(x, pad).cumsum(axis)
        n = x.shape[axis]
        x = running.narrow(axis, width, n) - running.narrow(axis, 0, n)
    return x


def local_cc(fixed: Tensor, moved: Tensor, width: int) -> Tensor:
    """Squared local correlation (I,J,K)."""
    volume = width**3
    f, m, ff, mm, fm = (window_sums(x, width) for x in (fixed, moved, fixed * fixed, moved * moved, fixed * moved))
    cross = fm - f * m / volume
    return cross * cross / ((ff - f * f / volume) * (mm - m * m / volume) + EPSILON)


def warp(moving: Tensor, u: Tensor) -> Tensor:
    """`moving` (I,J,K) at x + u(x), zeros outside."""
    axes = [torch.arange(n, dtype=torch.float64) for n in moving.shape]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij")) + u
    last = torch.tensor(moving.shape, dtype=torch.float64).reshape(3, 1, 1, 1) - 1
    where = (2 * index / last - 1).movedim(0, -1).flip(-1)
    return F.grid_sample(moving[None, None], where[None], padding_mode="zeros", align_corners=True)[0, 0]


def gradient_energy(u: Tensor) -> Tensor:
    """Sum over the axes of the mean squared forward difference, a mean over the components too."""
    return sum((u.diff(dim=axis) ** 2).mean() for axis in (1, 2, 3))


def face_energy(u: Tensor, axis: int) -> Tensor:
    """Mean over the plane of |u|^2 on the near plus the far face across `axis`."""
    return sum((u.select(axis, end) ** 2).sum(0).mean() for end in (0, -1))


def known_series(shape: Sequence[int], times: Sequence[float], seed: int = 3) -> list[Tensor]:
    """Float32 images from 0 to 1: a textured ball on black, 1 % noise, under a smooth warp that slows down in time."""
    generator = torch.Generator().manual_seed(seed)
    texture = 0.3 + sum(smooth_noise(shape, cell, generator) for cell in (8, 4, 2)) / 3
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) for n in shape]
    x, y, z = torch.meshgrid(*axes, indexing="ij")
    still = texture * torch.sigmoid((0.8 - (x * x + y * y + z * z).sqrt()) * 20)
    bump = (1 - x * x) * (1 - y * y) * (1 - z * z)
    push = torch.stack([bump * torch.cos(2 * y), bump * torch.sin(3 * z), bump * torch.cos(2 * x) / 2])
    images = []
    for t in times:
        moved = warp(still, max(shape) / 16 * (1 - math.exp(-t / 2)) * push)
        moved = moved * (1 + 0.01 * torch.randn(still.shape, generator=generator, dtype=torch.float64))
        images.append(((moved - moved.min()) / (moved.max() - moved.min())).float())
    return images


def smooth_noise(shape: Sequence[int], cell: int, generator: torch.Generator) -> Tensor:
    """Random values every `cell` voxels, linear between."""
    coarse = [-(-n // cell) + 1 for n in shape]
    noise = torch.rand(1, 1, *coarse, generator=generator, dtype=torch.float64)
    return F.interpolate(noise, size=tuple(shape), mode="trilinear", align_corners=True)[0, 0]


def preset(images: Sequence[Tensor], times: Sequence[float], seed: int = 0, **settings: Any) -> PublishedFit:
    """The preset on the same images and times."""
    span = times[-1] - times[0]
    i, j, k = images[0].shape
    problem = Problem(
        tuple(image[None] for image in images),
        tuple((t - times[0]) / span for t in times),
        torch.ones(i, j, k, dtype=torch.bool),
        Grid((i, j, k), np.eye(4)),
    )
    return PublishedFit(problem, PublishedSettings(span=span, **settings), seed)


def check(size: int, epochs: int, adjoint: bool, precision: str) -> None:
    """Print the losses of the oracle and of the preset side by side, and the largest difference."""
    times = [0.0, 1.0, 2.0, 4.0, 5.0]
    images = known_series((size, size, size), times)
    oracle = Oracle(images, times, adjoint=adjoint)
    gradients = "adjoint" if adjoint else "backprop"
    steps = preset(images, times, epochs=epochs, gradients=gradients, precision=precision).run()
    print(f"{size}^3, {len(times)} scans, {gradients}, {precision} precision, {torch.get_num_threads()} thread(s)")
    names = ("similarity", "smoothness", "boundary")
    print(
        f"{'epoch':>5}  " + "  ".join(f"{name:^23}" for name in (*names, "total")) + f"  {'s oracle':>8} {'preset':>7}"
    )
    worst = 0.0
    for epoch in range(1, epochs + 1):
        started = time.process_time()
        slow = oracle.step()
        between = time.process_time()
        fast = next(steps).losses
        ended = time.process_time()
        pairs = [(slow[name], fast[name]) for name in names]
        pairs.append((sum(slow.values()), sum(fast.values())))
        worst = max(worst, abs(pairs[-1][1] / pairs[-1][0] - 1))
        print(f"{epoch:5d}  " + "  ".join(f"{a:11.6f} {b:11.6f}" for a, b in pairs)
              + f"  {between - started:8.2f} {ended - between:7.2f}")  # fmt: skip
    print(f"largest relative difference of the total: {worst:.1e} (three digits: under 5e-4)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the preset's losses with the oracle's")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--adjoint", action="store_true", help="gradients by the adjoint method, as published")
    parser.add_argument("--precision", choices=PRECISIONS, default="single", help="of the preset's network")
    args = parser.parse_args()
    if args.check:
        check(args.size, args.epochs, args.adjoint, args.precision)
    else:
        print("python bench/oracle.py --check compares the preset with the oracle; it takes some minutes")


if __name__ == "__main__":
    main()
