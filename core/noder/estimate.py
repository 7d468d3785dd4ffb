"""What a fit will take, before it runs: minutes and memory from the size, the scans, the settings and this machine.

Time is counted in looks: what this machine, with its threads, takes for one voxel of one scan in one evaluation of the
default losses, which `pace` measures in a moment. How many looks the parts of a fit take a voxel, and how many bytes,
was measured once: `bench/bench_estimate.py` prints what is said here beside what a fit then takes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from noder.fit_config import FitConfig, choose_device, seen_scans
from noder.flow import halved_grid
from noder.grid import Grid, Triple
from noder.methods import PRESETS, NephiSettings, NoderSettings, Problem, Settings
from noder.methods.nephi_pair import n_nodes, plan_of, sizes_of
from noder.methods.noder import turns_of
from noder.methods.problem import Level, pyramid
from noder.methods.published import PublishedDecoder, PublishedSettings
from noder.methods.settings import FieldSettings, decoder_of
from noder.methods.siren import ModulatedSiren
from noder.methods.svf import SvfSettings
from noder.series import ImageSeries

_PROBE: Triple = (48, 48, 48)
_PROBE_S = 0.08


@dataclass(frozen=True)
class Cost:
    """What an iteration takes: looks a voxel and scan; a control point and once, for four steps; a carrier's voxel.

    The last for four steps of a flow, or a scan of an exponential. Of NePhi, a look is one of both directions, and a
    control point is a weight of a network at a node. The bytes are those of a level: a voxel, a voxel and scan, a
    carrier's voxel, and a control point. A carrier is the grid that velocities are carried on; steps are those of the
    ODE.
    """

    looks: float
    carrier: float
    control: float
    once: float
    voxel_bytes: float
    scan_bytes: float
    carrier_bytes: float
    control_bytes: float


COSTS: dict[str, Cost] = {
    "displacement": Cost(0.95, 0, 35, 385_000, 48, 17, 0, 3200),
    "exponential": Cost(0.95, 2, 35, 385_000, 60, 12, 100, 3200),
    "flow": Cost(0.95, 30, 35, 500_000, 60, 45, 420, 3200),
    "pairs": Cost(0.95, 2, 1, 50_000, 80, 12, 100, 100),
    "published": Cost(3.3, 0, 65, 200_000, 170, 12, 0, 3200),
    "nephi": Cost(6.0, 0, 0.0075, 400_000, 260, 0, 0, 2000),
}
AROUND = 4.4
"""Looks a voxel and seen scan before the first step and after the last: mask, levels, gains."""

SCORING = {"displacement": 20.0, "published": 22.0, "exponential": 28.0, "flow": 57.0, "pairs": 28.0, "nephi": 40.0}
"""Looks a voxel to score one scan."""

SCORING_BYTES = 150.0
VOXEL_BYTES = 4.0


@dataclass(frozen=True)
class Estimate:
    """`seconds` in all, of which `scoring` come after the fit; `memory` (bytes) at its peak, over an empty program.

    `new_memory` is what of it is still to be taken: some scans may have been read already. `device`: where it runs.
    """

    seconds: float
    scoring: float
    memory: float
    new_memory: float
    device: str

    def words(self) -> str:
        """What it takes, for people: "about 2 min, 1.4 GiB of memory"."""
        where = " of GPU memory" if self.device.startswith("cuda") else " of memory"
        return f"about {duration(self.seconds)}, {size(self.memory)}{where}"


def estimate(series: ImageSeries, config: FitConfig, look: float | None = None) -> Estimate:
    """What a fit of the series will take on its device, within a third or so; nothing is read and little is computed.

    As if the mask filled the image: of a small one only the box is computed at full size.

    `look`: seconds a look, None for those of this machine with the threads of this moment. Raises UsageError for a
    configuration that cannot be meant.
    """
    config = config.resolved()
    assert config.settings is not None  # resolved() has set it
    device = str(choose_device(config.device))
    seen, scored = len(seen_scans(series, config)), len(series.scans) - len(config.exclude)
    pace_here = _kept_pace(device, torch.get_num_threads()) if look is None else look
    grid, cost = series.grid, COSTS[_kind(config.settings)]
    fit_looks, level_bytes = _stages(grid, config.settings, seen, cost)
    scoring = scored * grid.n_voxels * SCORING[_kind(config.settings)]
    around = AROUND * grid.n_voxels * seen
    data = VOXEL_BYTES * grid.n_voxels * (scored + seen)
    memory = data + max(level_bytes, (SCORING_BYTES + VOXEL_BYTES * seen) * grid.n_voxels)
    loaded = sum(scan.image.n_bytes for scan in series.scans if scan.image.is_loaded)
    return Estimate(
        (fit_looks + around + scoring) * pace_here, scoring * pace_here, memory, max(0.0, memory - loaded), device
    )


def together(each: Sequence[Estimate], workers: int = 1) -> Estimate:
    """Several fits, shared by `workers` processes: these share the threads, and so save little time."""
    largest = max(each, key=lambda one: one.memory)
    at_once = min(workers, len(each))
    return replace(
        largest,
        seconds=sum(one.seconds for one in each),
        scoring=sum(one.scoring for one in each),
        memory=at_once * largest.memory,
        new_memory=at_once * largest.new_memory,
    )


def remedy(series: ImageSeries, config: FitConfig, free: float | None = None, workers: int = 1) -> str:
    """A sentence where a fit, or one in each of `workers` processes, needs more memory than is free; else "".

    `free` in bytes, None: asked of the system. It offers the preset that leaves out full size where that one fits.
    """
    config = config.resolved()
    needed = estimate(series, config, look=1.0)
    free = available_memory(needed.device) if free is None else free
    if free is None or workers * needed.new_memory <= free:
        return ""
    if workers > 1:
        return (
            f"{workers} fits at a time need {size(workers * needed.new_memory)}, and {size(free)} are free: use fewer."
        )
    start = f"This fit needs {size(needed.new_memory)} of memory, and {size(free)} are free."
    for name in ("balanced", "fast"):
        smaller = replace(config, preset=name, settings=None)
        if name not in PRESETS[config.method] or smaller.resolved().settings == config.settings:
            continue
        takes = estimate(series, smaller, look=1.0).new_memory
        if takes <= free:
            how = ", which works at half the resolution," if name == "fast" else ""
            return f"{start} The preset '{name}'{how} needs {size(takes)}."
    on_gpu = " or use the CPU," if needed.device.startswith("cuda") else ""
    return f"{start} No preset needs so little: close other programs,{on_gpu} or resample the scans to larger voxels."


def available_memory(device: str = "cpu") -> float | None:
    """Bytes that a fit may take without the system swapping or ending it; None where nobody tells."""
    if device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(torch.device(device))[0])
    found = [value for value in (_proc_available(), _cgroup_available()) if value is not None]
    if found:
        return min(found)
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def pace(device: str, clock: Callable[[], float] | None = None) -> float:
    """Seconds a look: the shortest of those in about a tenth of a second, since other programs only make them longer.

    Compiles the kernels where they have never run.
    """
    grid, on = Grid(_PROBE, np.eye(4)), torch.device(device)
    clock = clock or _clock(on)
    settings = NoderSettings()
    decoder = decoder_of(grid, settings)
    chance = torch.Generator().manual_seed(0)
    images = tuple(torch.randn(1, *_PROBE, generator=chance).to(on) for _ in range(2))
    level = Level(Problem(images, (0.0, 1.0), torch.ones(_PROBE, device=on), grid), decoder, (1, 1, 1), settings)
    c = 0.3 * torch.randn(3, *decoder.shape, generator=chance).to(on)
    level.displacement_losses(c, 1)
    taken: list[float] = []
    end = time.perf_counter() + _PROBE_S
    while len(taken) < 3 or time.perf_counter() < end:
        started = clock()
        level.displacement_losses(c, 1)
        if on.type == "cuda":
            torch.cuda.synchronize(on)
        taken.append(clock() - started)
    return min(taken) / grid.n_voxels


def duration(seconds: float) -> str:
    """Seconds as a person says them: "20 s", "3 min", "1.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds / 5) * 5 if seconds > 10 else round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """Bytes as a person says them: "350 MiB", "1.4 GiB"."""
    mib = n_bytes / 2**20
    return f"{mib / 1024:.1f} GiB" if mib >= 1000 else f"{max(10, round(mib, -1)):.0f} MiB"


def _clock(device: torch.device) -> Callable[[], float]:
    """This thread's own time on the processor: a window that is being built beside it would hold the probe up tenfold.

    Of the wall on Windows, which counts a thread's time in steps of 15 ms, and on a GPU.
    """
    return time.thread_time if device.type == "cpu" and sys.platform != "win32" else time.perf_counter


@lru_cache(maxsize=8)
def _kept_pace(device: str, threads: int) -> float:
    return pace(device)


def _kind(settings: Settings) -> str:
    if isinstance(settings, PublishedSettings):
        return "published"
    if isinstance(settings, SvfSettings):
        return "pairs"
    return "nephi" if isinstance(settings, NephiSettings) else settings.map


def _stages(grid: Grid, settings: Settings, seen: int, cost: Cost) -> tuple[float, float]:
    """Looks of all iterations, and bytes of the largest level."""
    pairs = seen - 1
    if isinstance(settings, NephiSettings):
        return _chained(grid, settings, pairs, cost)
    alone = isinstance(settings, SvfSettings)
    if isinstance(settings, PublishedSettings):
        levels, decoder = [((1, 1, 1), settings.epochs)], PublishedDecoder(grid, settings.box)
        controls, carried = int(np.prod(decoder.shape)), [0]
    else:
        assert isinstance(settings, FieldSettings)
        levels = pyramid(grid, settings.iterations)
        made = decoder_of(grid, settings)
        controls = int(np.prod(made.shape))
        moves = cost.carrier > 0
        carried = [
            halved_grid(grid.coarsen(factors), made, rough=max(factors) > 1).n_voxels if moves else 0
            for factors, _ in levels
        ]
    steps = max(settings.time_steps, pairs) / 4 if isinstance(settings, NoderSettings) else 1.0
    looks, most = 0.0, 0.0
    for (factors, count), carrier in zip(levels, carried, strict=True):
        voxels = grid.coarsen(factors).n_voxels
        at_once = 1.0 if alone else pairs / turns_of(settings, pairs)
        times = steps if _kind(settings) == "flow" else at_once
        work = steps * (cost.control * controls + cost.once) + times * cost.carrier * carrier
        looks += count * (pairs if alone else 1) * (cost.looks * voxels * at_once + work)
        held = voxels * (cost.voxel_bytes + cost.scan_bytes * (1 if alone else pairs))
        held += (steps if _kind(settings) == "flow" else 1) * cost.carrier_bytes * carrier
        most = max(most, held + cost.control_bytes * controls)
    return looks, most


def _chained(grid: Grid, settings: NephiSettings, pairs: int, cost: Cost) -> tuple[float, float]:
    """The same of a chain of pairs, one after the other."""
    looks, most, weights = 0.0, 0.0, sum(p.numel() for p in ModulatedSiren(sizes_of(settings)).parameters())
    for plan in plan_of(grid, settings):
        for factors, count in plan.levels:
            voxels, nodes = grid.coarsen(factors).n_voxels, n_nodes(grid, plan, factors)
            looks += pairs * count * (cost.looks * voxels + cost.control * nodes * weights + cost.once)
            most = max(most, cost.voxel_bytes * voxels + cost.control_bytes * nodes)
    return looks, most


def _proc_available() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def _cgroup_available() -> float | None:
    """What a container may still take, where it has a limit."""
    folder = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            return float(int((folder / limit).read_text()) - int((folder / used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return None
