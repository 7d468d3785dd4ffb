"""A fit that was killed goes on from its checkpoint and comes to the same bits."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_kit import SHORT, moving_series

from noder import fit as fitting
from noder.errors import InputError
from noder.fit import FitResult, fit, fit_steps
from noder.fit_config import FitConfig
from noder.image import write_volume
from noder.methods import PRESETS, Settings
from noder.series import ImageSeries

QUICK = {"coarse_iterations": 4, "middle_iterations": 5, "fine_iterations": 4}
KINDS: dict[str, Settings] = {
    "exponential": SHORT,
    "in turns": replace(SHORT, **QUICK),
    "displacement": replace(SHORT, map="displacement"),
    "flow": replace(SHORT, map="flow", latent="rank", **QUICK),
    "geodesic": replace(PRESETS["geodesic"]["balanced"], **QUICK),
    "piecewise": replace(PRESETS["piecewise"]["balanced"], **QUICK),
    "published": replace(PRESETS["noder"]["published"], epochs=8),
}


def weights(result: FitResult) -> dict[str, torch.Tensor]:
    return result.model.tensors()


def killed_after(steps: int, series: ImageSeries, config: FitConfig, path: Path) -> None:
    running = fit_steps(series, config, path)
    for _ in range(steps):
        next(running)
    running.close()


@pytest.fixture(autouse=True)
def at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "CHECKPOINT_EVERY_S", 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_fit_resumes_to_equal_bits(kind: str, tmp_path: Path) -> None:
    series, _ = moving_series(times=[0.0, 1.0, 2.0, 3.0]) if kind == "in turns" else moving_series()
    config = FitConfig(settings=KINDS[kind])
    whole = fit(series, config)
    path = tmp_path / "checkpoint.safetensors"
    killed_after(10 if kind == "in turns" else 7, series, config, path)
    resumed = fit(series, config, path, resume=True)
    assert [p.step for p in resumed.history] == [p.step for p in whole.history]
    assert [p.losses for p in resumed.history] == [p.losses for p in whole.history]
    assert weights(resumed).keys() == weights(whole).keys()
    assert all(torch.equal(weights(resumed)[name], value) for name, value in weights(whole).items())


def test_a_checkpoint_of_another_fit_is_refused(tmp_path: Path) -> None:
    series, _ = moving_series()
    path = tmp_path / "checkpoint.safetensors"
    killed_after(2, series, FitConfig(settings=SHORT), path)
    with pytest.raises(InputError, match="other scans"):
        fit(series, FitConfig(settings=SHORT, seed=1), path, resume=True)
    other, _ = moving_series(mm_per_time=0.5)
    with pytest.raises(InputError, match="other scans"):
        fit(other, FitConfig(settings=SHORT), path, resume=True)


def test_a_damaged_checkpoint_is_told_in_a_sentence_and_none_is_a_fresh_start(tmp_path: Path) -> None:
    series, _ = moving_series()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"no such thing")
    with pytest.raises(InputError, match="cannot be read"):
        fit(series, FitConfig(settings=SHORT), path, resume=True)
    path.unlink()
    steps = fit_steps(series, FitConfig(settings=SHORT), path, resume=True)
    assert next(steps).step == 1
    steps.close()


def test_the_command_killed_in_the_middle_resumes_to_the_same_file(tmp_path: Path) -> None:
    """With the signal that nothing can catch."""
    series, _ = moving_series()
    paths = []
    for k, scan in enumerate(series.scans):
        paths.append(str(tmp_path / f"scan_{k}.nii.gz"))
        write_volume(Path(paths[-1]), scan.image.numpy(), scan.image.grid)
    often = "import noder.fit; noder.fit.CHECKPOINT_EVERY_S = 0.1; from noder.cli import main; main()"
    settings = [f"--set={name}={value}" for name, value in {**QUICK, "middle_iterations": 60}.items()]

    def command(out: str, *more: str) -> list[str]:
        return [sys.executable, "-c", often, "fit", *paths, "-o", str(tmp_path / out), "--quiet", *settings, *more]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command("whole"), check=True, env=environment, capture_output=True)
    running = subprocess.Popen(command("killed"), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "killed" / "checkpoint.safetensors"
    until = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < until:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert checkpoint.exists()
    assert not (tmp_path / "killed" / "result.json").exists()
    subprocess.run(command("killed", "--resume"), check=True, env=environment, capture_output=True)
    model = "model.safetensors"
    assert (tmp_path / "killed" / model).read_bytes() == (tmp_path / "whole" / model).read_bytes()
    assert not checkpoint.exists()
