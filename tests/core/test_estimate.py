"""What is said before a fit: it follows size, scans and settings, offers what fits, and its memory is about right."""

import itertools
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_kit import box_grid

from noder.estimate import available_memory, duration, estimate, pace, remedy, size, together
from noder.fit_config import FitConfig, preset_settings
from noder.image import Image
from noder.methods import PRESETS
from noder.series import ImageSeries

EVERY = [(method, preset) for method, presets in PRESETS.items() for preset in presets]
LOOK = 5e-8


def series(n_voxels: int = 24, scans: int = 4) -> ImageSeries:
    grid = box_grid(n_voxels)
    images = [Image.from_array(np.zeros(grid.shape, np.float32), grid, f"scan_{k}") for k in range(scans)]
    return ImageSeries.from_images(images, list(range(scans)), "years")


def said(config: FitConfig | None = None, n_voxels: int = 24, scans: int = 4):
    return estimate(series(n_voxels, scans), config or FitConfig(device="cpu"), LOOK)


@pytest.mark.parametrize(("method", "preset"), EVERY)
def test_more_voxels_and_more_scans_take_more(method: str, preset: str) -> None:
    config = FitConfig(method=method, preset=preset, device="cpu")
    few = said(config)
    for more in (said(config, n_voxels=48), said(config, scans=8)):
        assert more.seconds > few.seconds
        assert more.scoring > few.scoring
        assert more.memory > few.memory
    assert said(replace(config, hold_out=(1, 2))).seconds < few.seconds


def test_iterations_count_and_the_pace_of_the_machine_scales_all() -> None:
    settings = preset_settings("noder", "balanced")
    once = replace(settings, coarse_iterations=0, middle_iterations=0, fine_iterations=100)
    a = said(FitConfig(settings=once, device="cpu"))
    b = said(FitConfig(settings=replace(once, fine_iterations=200), device="cpu"))
    c = said(FitConfig(settings=replace(once, fine_iterations=300), device="cpu"))
    assert c.seconds - b.seconds == pytest.approx(b.seconds - a.seconds)
    assert (a.memory, a.scoring) == (c.memory, c.scoring)
    slow = estimate(series(), FitConfig(settings=once, device="cpu"), 3 * LOOK)
    assert slow.seconds == pytest.approx(3 * a.seconds)


def test_leaving_out_full_size_takes_less_time_and_memory() -> None:
    for method in ("noder", "geodesic"):
        fast, balanced = (
            said(FitConfig(method=method, preset=preset, device="cpu"), n_voxels=96, scans=9)
            for preset in ("fast", "balanced")
        )
        assert fast.seconds < 0.7 * balanced.seconds
        assert fast.memory < balanced.memory or method == "geodesic"  # one pair at a time: scoring takes more


def test_what_does_not_fit_is_offered_the_preset_that_does() -> None:
    data, config = series(64, 12), FitConfig(device="cpu")
    needs = {preset: estimate(data, replace(config, preset=preset), LOOK).new_memory for preset in ("fast", "balanced")}
    assert remedy(data, config, needs["balanced"] + 1) == ""
    between = (needs["fast"] + needs["balanced"]) / 2
    assert "preset 'fast', which works at half the resolution" in remedy(data, config, between)
    assert size(needs["fast"]) in remedy(data, config, between)
    assert remedy(data, replace(config, preset="fast"), between) == ""
    assert "No preset needs so little" in remedy(data, config, needs["fast"] / 2)
    assert "3 fits at a time" in remedy(data, config, 2 * needs["balanced"], workers=3)
    assert "preset" not in remedy(data, replace(config, preset="fast"), needs["fast"] / 2).replace("No preset", "")


def test_scans_that_were_read_already_need_no_memory_again() -> None:
    data = series()
    before = estimate(data, FitConfig(device="cpu"), LOOK)
    data.scans[0].image.numpy()
    after = estimate(data, FitConfig(device="cpu"), LOOK)
    assert before.new_memory - after.new_memory == data.scans[0].image.n_bytes
    assert before.memory == after.memory


def test_several_fits_take_their_time_and_as_much_memory_as_run_at_once() -> None:
    one = said()
    assert together([one] * 6, workers=2).seconds == pytest.approx(6 * one.seconds)
    assert together([one] * 6, workers=2).memory == pytest.approx(2 * one.memory)
    assert together([one], workers=4).memory == one.memory


@pytest.mark.parametrize(("platform", "ticks"), [("linux", 1e-3), ("win32", 100.0)])
def test_what_else_the_program_does_meanwhile_is_not_part_of_the_pace(
    platform: str, ticks: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while a window is built: a look is a millisecond of its thread's own time, and minutes on the wall.

    Windows counts a thread's time too coarsely, and has to go by the wall.
    """
    own, wall = itertools.count(step=1e-3), itertools.count(step=100.0)
    monkeypatch.setattr(time, "thread_time", lambda: float(next(own)))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(wall)))
    monkeypatch.setattr(sys, "platform", platform)
    assert pace("cpu") == pytest.approx(ticks / 48**3)


def test_the_pace_is_measured_and_the_memory_asked_for() -> None:
    assert 1e-10 < pace("cpu") < 1e-4
    free = available_memory()
    assert free is None or free > 2**20


def test_numbers_are_said_as_people_say_them() -> None:
    assert [duration(s) for s in (0.2, 7.4, 43, 200, 9000)] == ["1 s", "7 s", "45 s", "3 min", "2.5 h"]
    assert [size(b * 2**20) for b in (3, 347, 1434)] == ["10 MiB", "350 MiB", "1.4 GiB"]
    assert said().words() == f"about {duration(said().seconds)}, {size(said().memory)} of memory"


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak of a part of a run")
def test_the_memory_said_is_that_taken_within_a_factor_of_two() -> None:
    code = """
import ctypes, sys; sys.path.insert(0, sys.argv[1])
from dataclasses import replace
from pathlib import Path
from engine_kit import box_grid, moving_series
from noder.estimate import estimate
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.methods import NoderSettings
def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])
few = FitConfig(settings=NoderSettings(coarse_iterations=1, middle_iterations=1, fine_iterations=2), device="cpu")
fit(moving_series(box_grid(16))[0], few)
series = moving_series(box_grid(72), times=[0.0, 1.0, 2.0])[0]
ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is free inside the process would be taken first, and not be seen
Path("/proc/self/clear_refs").write_text("5")
base = status("VmRSS")
fit(series, few)
print(estimate(series, few, 1.0).memory / (status("VmHWM") - base))
"""
    folder = str(Path(__file__).parent)
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 2
