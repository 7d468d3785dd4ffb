"""The estimate before a fit beside what the fit then takes: seconds and peak memory, by size and settings.

    OMP_WAIT_POLICY=passive python bench/bench_estimate.py [--large] [--raw]

Each case runs in a process of its own with a few iterations a level; seconds are those of the processor, with one
thread, so that a busy machine matters little. --raw prints what the table of `noder.estimate` was made from.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
from _machine import described, machine, peak_mib, reset_peak, resident_mib

SMALL = [
    ("64x64x64", 5, "noder", "balanced"),
    ("96x96x96", 3, "noder", "balanced"),
    ("64x64x64", 3, "noder", "flow"),
    ("64x64x64", 3, "geodesic", "balanced"),
    ("64x64x64", 3, "noder", "published"),
]
LARGE = [
    ("144x176x144", 3, "noder", "balanced"),
    ("144x176x144", 7, "noder", "balanced"),
    ("144x176x144", 3, "noder", "fast"),
    ("144x176x144", 3, "noder", "flow"),
    ("144x176x144", 3, "geodesic", "balanced"),
    ("144x176x144", 3, "noder", "published"),
]
FEW = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="at 144x176x144: minutes")
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--case", nargs=4)
    args = parser.parse_args()
    if args.case:
        shape, n, method, preset = args.case
        print(json.dumps(measured(tuple(map(int, shape.split("x"))), int(n), method, preset)))
        return
    print(described(machine()))
    print(f"{'size':>12} scans {'method':>9} {'preset':>9} | {'CPU-s':>8} {'said':>8} | {'MiB':>6} {'said':>6}")
    for shape, n, method, preset in LARGE if args.large else SMALL:
        command = [sys.executable, __file__, "--case", shape, str(n), method, preset]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{shape:>12} {n:>5} {method:>9} {preset:>9} | failed: {done.stderr.strip().splitlines()[-1]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{shape:>12} {n:>5} {method:>9} {preset:>9} | {found['seconds']:8.1f} {found['said_seconds']:8.1f} |"
            f" {found['mib']:6.0f} {found['said_mib']:6.0f}"
        )
        if args.raw:
            print(json.dumps(found))


def measured(shape: tuple[int, int, int], n: int, method: str, preset: str) -> dict[str, Any]:
    """A fit with a few iterations a level, its processor seconds stretched to the preset's number of iterations."""
    import torch

    from noder import kernels
    from noder.estimate import estimate, pace
    from noder.fit import fit, fit_steps
    from noder.fit_config import FitConfig, preset_settings

    torch.set_num_threads(1)
    kernels.warm_up().join()
    full = preset_settings(method, "balanced" if preset == "flow" else preset)
    full = replace(full, map="flow") if preset == "flow" else full
    counts = [
        name for name in ("epochs", "coarse_iterations", "middle_iterations", "fine_iterations") if hasattr(full, name)
    ]
    few = replace(full, **{name: min(FEW, getattr(full, name)) for name in counts})
    tiny = {name: min(1, getattr(few, name)) for name in counts}
    fit(series((16, 16, 16), 2), FitConfig(method=method, settings=replace(few, **tiny)))  # imports and caches
    look = min(pace("cpu", time.process_time) for _ in range(3))
    data = series(shape, n)
    said = estimate(data, FitConfig(method=method, settings=full, device="cpu"), look)
    release_free_memory()
    reset_peak()
    base, before, by_stage = resident_mib(), time.process_time(), {}
    steps = fit_steps(data, FitConfig(method=method, settings=few, device="cpu"))
    for progress in steps:
        now, peak = time.process_time(), peak_mib() - base
        by_stage.setdefault(progress.stage, []).append((now - before, peak))
        reset_peak()
        before = time.process_time()
    end = time.process_time() - before
    stages = {name: {"first": t[0][0], "median": float(np.median([s for s, _ in t[1:]] or [t[0][0]])), "n": len(t),
                     "mib": max(m for _, m in t)} for name, t in by_stage.items()}  # fmt: skip
    seconds = end + sum(stage["first"] + stage["median"] * (stage["n"] - 1) for stage in stages.values())
    per_iteration = [stage["median"] for name, stage in stages.items() if name != "scoring"]
    more = [getattr(full, name) - getattr(few, name) for name in counts if getattr(few, name)]
    pairs = n - 1 if method in ("geodesic", "piecewise") else 1
    if pairs > 1:
        per_iteration = per_iteration[: len(more)]
    seconds += sum(pairs * count * each for count, each in zip(more, per_iteration, strict=True))
    return {
        "case": [*shape, n, method, preset], "look": look, "stages": stages, "end": end, "seconds": seconds,
        "mib": max(stage["mib"] for stage in stages.values()), "said_seconds": said.seconds,
        "said_mib": said.memory / 2**20,
    }  # fmt: skip


def release_free_memory() -> None:
    """Hand back to the system what is free inside this process: a fit would take it first, and it would not be seen."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def series(shape: tuple[int, int, int], n: int) -> Any:
    """A ball of smooth noise that moves by two voxels."""
    from scipy import ndimage

    from noder.grid import Grid
    from noder.image import Image
    from noder.series import ImageSeries

    coarse = np.random.default_rng(0).normal(size=[max(4, s // 6) for s in shape])
    still = ndimage.zoom(coarse, np.divide(shape, coarse.shape), order=1)
    radius = np.sqrt(sum(x**2 for x in np.meshgrid(*(np.linspace(-1, 1, s) for s in shape), indexing="ij")))
    still = ((radius < 0.85) * (500 + 100 * still)).astype(np.float32)
    volumes = [ndimage.shift(still, (2 * k / (n - 1), 0, 0), order=1, mode="nearest") for k in range(n)]
    grid = Grid(shape, np.eye(4))
    images = [Image.from_array(volume, grid, f"scan_{k}") for k, volume in enumerate(volumes)]
    return ImageSeries.from_images(images, list(range(n)), "years")


if __name__ == "__main__":
    main()
