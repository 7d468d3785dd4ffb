"""How far what the screen shows is from what is written: places, log J and image of slices, by the size of the motion.

    python bench/bench_screen.py [--size 182 218 182]

The map is the exponential of random control points, as rough as the default decoder has them. A slice takes longer
steps on fewer points (`Flow.near_on`), reads inverses between every second voxel, and samples linearly in float32.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from _machine import described, machine
from torch import Tensor
from torch.nn.functional import avg_pool3d

from noder.carriers import SeenScan
from noder.flow import Flow
from noder.grid import Grid
from noder.methods.noder import NoderSettings
from noder.methods.settings import decoder_of
from noder.trajectory import Trajectory

MEANS = (1.0, 2.0, 4.0, 8.0)
TIMES = (0.0, 1.0)


def main() -> None:
    """Print a table, each row the worst of three slices across the middle."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, nargs=3, default=(182, 218, 182))
    shape = tuple(parser.parse_args().size)
    print(described(machine()))
    print("mean motion  largest | place, mean  largest | log J, mean  largest  |log J| | image, NRMSE   (voxels)")
    for size in MEANS:
        trajectory, largest = moving(Grid(shape, np.eye(4)), size)
        rows = np.array([errors(trajectory, axis) for axis in range(3)]).max(axis=0)
        print("{:11.1f} {:8.1f} | {:11.4f} {:8.3f} | {:11.4f} {:8.3f} {:8.3f} | {:12.4f}".format(size, largest, *rows),
              flush=True)  # fmt: skip


def errors(trajectory: Trajectory, axis: int) -> list[float]:
    """Of the slice across the middle at three quarters of the way."""
    t, grid = 0.75 * TIMES[-1], trajectory.grid.slice(axis, trajectory.grid.shape[axis] // 2)
    assert trajectory.flow is not None
    index = trajectory.grid.to_index(grid.points())
    axes = [index.movedim(-1, 0)[k].flatten().unique().float() for k in range(3)]
    exact_place = (trajectory.flow.forward(index, t) - index).movedim(-1, 0)
    place = (trajectory.flow.near_on(axes, t) - exact_place).norm(dim=0)
    exact = trajectory.jacobian(t, grid, exact=True).log()
    growth = (trajectory.jacobian(t, grid).log() - exact).abs()
    written = trajectory.predict(t, grid, carry="first", exact=True)
    image = trajectory.predict(t, grid, carry="first") - written
    nrmse = float(image.square().mean().sqrt() / (written.max() - written.min()))
    return [*map(float, (place.mean(), place.max(), growth.mean(), growth.max(), exact.abs().mean())), nrmse]


def moving(grid: Grid, size: float) -> tuple[Trajectory, float]:
    """A map that moves by `size` voxels on average at the end, and its largest motion there."""
    generator = torch.Generator().manual_seed(0)
    decoder = decoder_of(grid, NoderSettings())
    noise = torch.randn((3, *decoder.shape), generator=generator)
    direction = avg_pool3d(noise[None], 3, 1, 1)[0]
    velocity = Flow(decoder, lambda _: direction, None)
    moved = _size(velocity, grid)
    direction = direction * (size / float(moved.mean()))
    volumes = [avg_pool3d(torch.rand((1, *grid.shape), generator=generator)[None], 5, 1, 2)[0] for _ in TIMES]
    scans = [SeenScan(k, t, f"scan {k}", volumes[k]) for k, t in enumerate(TIMES)]

    def course(t: float) -> Tensor:
        return direction * t

    flow = Flow(decoder, course, None)
    return Trajectory(decoder, course, scans, "index", None, flow), float(_size(flow, grid).max())


def _size(flow: Flow, grid: Grid) -> Tensor:
    """|phi - id| at every third voxel, in voxels, after one unit of time."""
    index = grid.to_index(grid.coarsen((3, 3, 3)).points())
    return (flow.forward(index, 1.0) - index).norm(dim=-1)


if __name__ == "__main__":
    main()
