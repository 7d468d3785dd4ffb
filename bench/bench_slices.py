"""How long one step of the mouse wheel takes: image, log J and quiver of a slice, computed and painted.

    python bench/bench_slices.py [--size 182 218 182] [--steps 60] [--threads 1]

The trajectory is a real one with random smooth coefficients and three scans, so the prediction carries and
blends two scans along the flow. Times are wall clock from the wanted index to the painted widget, on the
offscreen platform.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
import torch
from _machine import pace
from PySide6.QtWidgets import QApplication

from noder.carriers import SeenScan
from noder.flow import Flow
from noder.grid import Grid
from noder.image import Image
from noder.methods.noder import NoderSettings
from noder.methods.settings import decoder_of
from noder.series import ImageSeries
from noder.trajectory import Trajectory
from noder_viewer.scene import cursor_at_index, slice_scene
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.slices import SliceView

TIMES = (0.0, 1.0, 2.0)


def main() -> None:
    """Print a table: median and 95th percentile in ms."""
    options = arguments()
    torch.set_num_threads(options.threads)
    application = QApplication(sys.argv)
    state = make_session(tuple(options.size))
    views = [SliceView(axis) for axis in range(3)]
    for view in views:
        view.resize(480, 420)
        view.show()
    print(f"grid {'x'.join(map(str, options.size))}, {options.threads} torch thread(s), {options.steps} steps")
    print(pace())
    print(f"{'step of the wheel':34} {'median ms':>10} {'p95 ms':>8}")
    for axis, name in enumerate(("sagittal", "coronal", "axial")):
        report(f"{name}, one view", wheel(application, state, views[axis : axis + 1], axis, options.steps))
    report("axial, all three views redrawn", wheel(application, state, views, 2, options.steps))
    report("time, all three views", play(application, state, views, options.steps))


def wheel(application: QApplication, state: Session, views: list[SliceView], axis: int, steps: int) -> list[float]:
    """Step through the slices of `axis`, from a quarter of the volume on."""
    first = state.grid.shape[axis] // 4

    def move(step: int) -> None:
        state.cursor_mm = cursor_at_index(state, axis, first + step)

    return measure(application, state, views, move, steps)


def play(application: QApplication, state: Session, views: list[SliceView], steps: int) -> list[float]:
    """Step through time."""

    def move(step: int) -> None:
        state.time = TIMES[-1] * (step + 1.5) / (steps + 3)

    return measure(application, state, views, move, steps)


def measure(
    application: QApplication,
    state: Session,
    views: list[SliceView],
    move: Callable[[int], None],
    steps: int,
) -> list[float]:
    """Seconds of each step, the first two left out (first use of caches and fonts)."""
    seconds = []
    for step in range(steps + 2):
        began = time.perf_counter()
        move(step)
        for view in views:
            view.set_scene(slice_scene(state, view.axis))
        application.processEvents()
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


def make_session(shape: tuple[int, int, int]) -> Session:
    """Three noisy scans of a blob, and a smooth random motion of a few mm between them."""
    grid = Grid(shape, np.diag([1.0, 1.0, 1.0, 1.0]))
    generator = torch.Generator().manual_seed(0)
    decoder = decoder_of(grid, NoderSettings())
    direction = 4 * torch.randn((3, *decoder.shape), generator=generator)

    def course(t: float) -> torch.Tensor:
        return direction * (t / TIMES[-1])

    volumes = [volume(shape, generator) for _ in TIMES]
    scans = [SeenScan(k, t, f"scan {k}", volumes[k]) for k, t in enumerate(TIMES)]
    images = [Image.from_array(v[0].numpy(), grid, f"scan {k}") for k, v in enumerate(volumes)]
    middle = tuple((np.array(shape) / 2).tolist())
    trajectory = Trajectory(decoder, course, scans, "index", None, Flow(decoder, course, None))
    session = Session(series=ImageSeries.from_images(images, TIMES), cursor_mm=middle, window=(0.0, 1.2))
    session.result = SimpleNamespace(trajectory=trajectory)  # type: ignore[assignment]
    session.overlays = OverlaySettings(jacobian=True, quiver=True)
    session.time = 0.7
    return session


def volume(shape: tuple[int, int, int], generator: torch.Generator) -> torch.Tensor:
    """(1,I,J,K): a ball with noise."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    ball = (sum(a**2 for a in axes) < 0.6).float()  # type: ignore[union-attr]
    return (ball + 0.1 * torch.rand(shape, generator=generator))[None]


def report(name: str, seconds: list[float]) -> None:
    """One row of the table."""
    middle, late = np.percentile(np.array(seconds) * 1000, [50, 95])
    print(f"{name:34} {middle:10.1f} {late:8.1f}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=3, default=(182, 218, 182))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    return parser.parse_args()


if __name__ == "__main__":
    main()
