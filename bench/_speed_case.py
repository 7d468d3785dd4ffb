"""One measurement of `bench_noder.py`, alone in its process: `python _speed_case.py JSON` prints JSON.

Memory is the peak over what is resident once everything is imported and compiled, and the images are loaded.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch
from _ball import ball_series, end_point_error
from _machine import peak_mib, reset_peak, resident_mib
from _methods import config_of
from oracle import Oracle
from published_code import PublishedCode

from noder.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from noder.fit import make_trajectory
from noder.grid import Grid
from noder.image import Image
from noder.methods import FITS, Problem
from noder.methods.noder import turns_of
from noder.preprocess import foreground, standardised
from noder.series import ImageSeries

Case = dict[str, Any]
WARM_UP = (24, 24, 24)


def main() -> None:
    case = json.loads(sys.argv[1])
    torch.set_num_threads(case["threads"])
    print(json.dumps(MEASURES[case["measure"]](case)))


def epochs(case: Case) -> Case:
    """Median seconds of an epoch, and the peak of memory."""
    images = _loaded(case)
    warm = ball_series(WARM_UP, case["times"])
    for _ in zip(range(2), stepper(case, warm)(), strict=False):
        pass
    before = _base()
    steps = stepper(case, images)()
    walls, cpus, losses = [], [], []
    for _ in range(case["warm_up"] + case["epochs"]):
        wall, cpu = time.perf_counter(), time.process_time()
        losses.append(next(steps))
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    first = case["warm_up"]
    return {
        "wall": median(walls[first:]), "cpu": median(cpus[first:]), "peak_mib": peak_mib() - before,
        "epochs": case["epochs"], "last_losses": losses[-1],
    }  # fmt: skip


def gradients(case: Case) -> Case:
    """Writes the gradient of one epoch at a given state to a file; seconds and memory of the epochs."""
    images = _loaded(case)
    for _ in zip(range(2), _fit(case["text"], ball_series(WARM_UP, case["times"]), case["times"]).run(), strict=False):
        pass
    state, out = Path(case["state"]), Path(case["out"])
    before = _base()
    fit = _fit(case["text"], images, case["times"])
    if state.exists():
        kept = read_checkpoint(state, "")
        assert kept is not None
        fit.load_state(kept.state)
    else:
        for _ in zip(range(case["epochs"]), fit.run(), strict=False):
            pass
        write_checkpoint(state, Checkpoint(fit.state(), [], 0.0), "")
        return {}
    steps = fit.run()
    next(steps)
    network = getattr(fit, "network", None) or fit.latent  # type: ignore[attr-defined]
    gradient = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    np.save(out, gradient.double().numpy())
    walls = []
    for _ in range(2):
        wall = time.perf_counter()
        next(steps)
        walls.append(time.perf_counter() - wall)
    return {"wall": min(walls), "peak_mib": peak_mib() - before}


def quality(case: Case) -> Case:
    """A whole fit: seconds, and the end-point errors at `held` times, at its end and at steps along it."""
    times = case["times"]
    images = _loaded(case)
    for _ in zip(range(2), _fit(case["text"], ball_series(WARM_UP, times), times).run(), strict=False):
        pass
    fit = _fit(case["text"], images, times)
    series = _series(images, times)
    cpu = wall = 0.0
    course = []
    steps = fit.run()
    for step in range(1, fit.total + 1):
        at, cpu_at = time.perf_counter(), time.process_time()
        next(steps)
        wall += time.perf_counter() - at
        cpu += time.process_time() - cpu_at
        if step % case["every"] == 0 or step == fit.total:
            trajectory = make_trajectory(fit.decoder, fit.curve(), series, range(len(times)), {})
            errors = [end_point_error(trajectory.field(series.grid, t).u, t) for t in case["held"]]
            course.append({"step": step, "wall": wall, "cpu": cpu, "errors": errors})
    return {"total": fit.total, "wall": wall, "cpu": cpu, "errors": course[-1]["errors"], "course": course}


def make(case: Case) -> Case:
    """Writes the images of a series to a file: what makes them shall not be in the memory that is measured."""
    np.save(case["out"], torch.stack(ball_series(case["shape"], case["times"])).numpy())
    return {}


MEASURES: dict[str, Callable[[Case], Case]] = {
    "epochs": epochs, "gradients": gradients, "quality": quality, "make": make,
}  # fmt: skip


def stepper(case: Case, images: list[torch.Tensor]) -> Callable[[], Iterator[dict[str, float]]]:
    """Makes the fit when called, and then an epoch a step."""

    def run() -> Iterator[dict[str, float]]:
        if case["engine"] == "fit":
            fit = _fit(case["text"], images, case["times"])
            turns = turns_of(fit.settings, len(images) - 1)
            for step, iteration in enumerate(fit.run(), start=1):
                if step % turns == 0:  # an epoch has looked at every scan
                    yield iteration.losses
        slow = (
            PublishedCode(Path(case["folder"]), images, case["times"])
            if case["engine"] == "published code"
            else Oracle(images, case["times"])
        )
        while True:
            yield slow.step()

    return run


def _fit(text: str, images: list[torch.Tensor], times: list[float]) -> Any:
    span = times[-1] - times[0]
    if text.startswith("published"):
        text += f"{',' if ':' in text else ':'}span={span}"
    settings = config_of(text, ()).settings
    i, j, k = images[0].shape
    grid = Grid((i, j, k), np.eye(4))
    mask = foreground([image.numpy() for image in images], grid)
    scans = tuple(standardised(image.numpy(), mask) for image in images)
    problem = Problem(scans, tuple((t - times[0]) / span for t in times), torch.from_numpy(mask), grid)
    return FITS[type(settings)](problem, settings, 0)  # type: ignore[call-arg]


def _series(images: list[torch.Tensor], times: list[float]) -> ImageSeries:
    i, j, k = images[0].shape
    grid = Grid((i, j, k), np.eye(4))
    return ImageSeries.from_images([Image.from_array(v, grid, str(n)) for n, v in enumerate(images)], times)


def _loaded(case: Case) -> list[torch.Tensor]:
    return list(torch.from_numpy(np.load(case["images"])))


def _base() -> float:
    reset_peak()
    return resident_mib()


if __name__ == "__main__":
    main()
