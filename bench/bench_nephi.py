"""What a registration with NePhi takes: memory over the empty program, a step, the dense field, a slice.

    python bench/bench_nephi.py [--mode encoder+io] [--size 175] [--steps 5] [--threads 2]

Two textures of size^3 voxels, the second pushed; times are the medians of `--steps` steps on each size of the images.
The error of the nodes is that of the cubics between them beside the networks evaluated at the voxels themselves.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch
from _machine import described, machine, pace, peak_mib, reset_peak, resident_mib

from noder.composition import Composition
from noder.grid import Grid, sample_at_index
from noder.methods import NephiSettings, Problem
from noder.methods.mending import composed_maps
from noder.methods.nephi import NephiFit
from noder.methods.nephi_pair import plan_of
from noder.methods.nephi_settings import MODES
from noder.methods.neural_field import NeuralField

SLICES = 20
_POINTS = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=MODES[:2], default=MODES[0])
    parser.add_argument("--size", type=int, default=175)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{described(machine())}; {options.threads} threads, {options.size}^3, {options.mode}")
    print(pace())
    problem = pushed(options.size)
    small = NephiFit(pushed(32), short(options.mode, 1), 0)
    for _ in small.run():  # compiles, and takes what torch keeps
        pass
    base = resident_mib()
    reset_peak()
    fit = timed_steps(problem, options.mode, options.steps)
    print(f"peak over base         {peak_mib() - base:8.0f} MiB (the two images are {8 * options.size**3 / 2**20:.0f})")
    timed_maps(fit, problem.grid)


def short(mode: str, count: int) -> NephiSettings:
    """So many steps on each size."""
    return NephiSettings(
        mode=mode, coarse_iterations=count, middle_iterations=count, fine_iterations=count, io_iterations=count
    )


def timed_steps(problem: Problem, mode: str, count: int) -> NephiFit:
    """A short fit through all sizes; prints the median second of a step on each."""
    fit, seconds = NephiFit(problem, short(mode, count), 0), dict[str, list[float]]()
    before = time.perf_counter()
    for iteration in fit.run():
        now = time.perf_counter()
        seconds.setdefault(iteration.stage, []).append(now - before)
        before = time.perf_counter()
    for stage, taken in seconds.items():
        print(f"a step, {stage:24s}{median(taken):6.2f} s")
    counts = [n for plan in plan_of(problem.grid, NephiSettings(mode=mode)) for _, n in plan.levels]
    whole = sum(median(taken) * n for taken, n in zip(seconds.values(), counts, strict=True))
    print(f"all steps of the default preset {whole:8.0f} s; 50 of the last kind {50 * median(taken):6.0f} s")
    return fit


def timed_maps(fit: NephiFit, grid: Grid) -> None:
    """Dense field and slices of the fitted map, and the error of the cubics."""
    curve = fit.curve()
    started = time.perf_counter()
    moved = Composition(grid, curve.parts(lambda t: t, min(grid.spacing)))
    moved.forward(grid.indices().float(), 1.0)
    print(f"the dense field        {time.perf_counter() - started:8.2f} s")
    for what, plane_of, time_of in (
        ("slice at one time", lambda k: grid.shape[0] // 4 + 3 * k, lambda _: 0.5),
        ("slice at a new time", lambda _: grid.shape[0] // 2, lambda k: 0.2 + 0.02 * k),
    ):
        taken = []
        moved = Composition(grid, curve.parts(lambda t: t, min(grid.spacing)))
        for k in range(SLICES):
            axes = [torch.arange(n, dtype=torch.float32) for n in grid.shape]
            axes[k % 3] = torch.tensor([float(plane_of(k))])
            started = time.perf_counter()
            moved.near_on(axes, time_of(k))
            taken.append(time.perf_counter() - started)
        print(f"a {what:21s}{1000 * median(taken):8.0f} ms")
    stage = curve.links[0].stages[-1]
    field = NeuralField(stage.decoder, stage.decoders.forwards)
    chance = torch.Generator().manual_seed(0)
    index = (torch.rand((_POINTS, 3), generator=chance) * (torch.tensor(grid.shape) - 1)).round()
    with torch.no_grad():
        x = 2 * index / (torch.tensor(grid.shape) - 1) - 1
        exact = (field.normalised(x, stage.codes) - x) / 2 * (torch.tensor(grid.shape) - 1)
    maps = composed_maps([stage], grid)
    assert maps is not None
    i, j, k3 = index.long().T
    apart = (maps[0][:, i, j, k3].T - exact).norm(dim=-1)
    print(f"nodes against networks {float(apart.mean()):8.3f} voxel on average, {float(apart.max()):.3f} at most")


def pushed(n: int) -> Problem:
    """A texture of n^3 voxels, and the same pushed by up to four voxels."""
    grid, chance = Grid((n, n, n), np.eye(4)), torch.Generator().manual_seed(0)
    coarse = torch.randn((1, *grid.coarsen((3, 3, 3)).shape), generator=chance)
    still = torch.nn.functional.interpolate(coarse[None], size=grid.shape, mode="trilinear")[0]
    index = grid.indices().float()
    bump = torch.sin(torch.pi * index / (n - 1)).prod(-1) ** 2
    index[..., 0] += 4 * bump
    images = tuple((each / each.std()).contiguous() for each in (still, sample_at_index(still, index)))
    return Problem(images, (0.0, 1.0), torch.ones(grid.shape, dtype=torch.bool), grid)


if __name__ == "__main__":
    main()
