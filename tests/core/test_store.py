"""A fit as a folder: equal fits are equal files, it opens again bit-equal, and damage is said in a sentence."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import SHORT, moving_series

from noder.errors import InputError
from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.image import write_volume
from noder.series import ImageSeries
from noder.spread import seeds_steps
from noder.store import load_result, save_result


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    series, grid = moving_series()
    for k, scan in enumerate(series.scans):
        write_volume(folder / f"scan_{k}.nii.gz", scan.image.numpy(), grid)
    return folder


def fitted(scans: Path, **choices: object) -> FitResult:
    paths = [scans / f"scan_{k}.nii.gz" for k in range(4)]
    series = ImageSeries.from_paths(paths, times=[0, 1, 2, 3], unit="years")
    return fit(series, FitConfig(settings=SHORT, **choices))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def result(scans: Path) -> FitResult:
    return fitted(scans, hold_out=(1,))


def test_it_opens_again_with_bit_equal_predictions_report_and_history(
    result: FitResult, scans: Path, tmp_path: Path
) -> None:
    save_result(result, tmp_path / "out")
    again = load_result(tmp_path / "out")
    for t in (0.4, 3.0, 4.2):
        assert torch.equal(again.trajectory.predict(t), result.trajectory.predict(t))
    assert again.report == result.report
    assert again.config == result.config
    assert again.gains == result.gains
    assert [step.losses for step in again.history] == [step.losses for step in result.history]


def test_the_maps_of_other_seeds_are_kept_and_open_again_bit_equal(scans: Path, tmp_path: Path) -> None:
    series = ImageSeries.from_paths([scans / f"scan_{k}.nii.gz" for k in range(4)], times=[0, 1, 2, 3], unit="years")
    steps = seeds_steps(series, FitConfig(settings=replace(SHORT, fine_iterations=0), seed=5), 3)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        several = end.value
    out = tmp_path / "out"
    save_result(several, out)
    assert {path.name for path in out.glob("model*")} == {
        "model.safetensors", "model_seed_6.safetensors", "model_seed_7.safetensors",
    }  # fmt: skip
    again = load_result(out)
    grid = again.series.grid
    for mine, theirs in zip(again.trajectory.others, several.trajectory.others, strict=True):
        assert torch.equal(mine.field(grid, 2.2).u, theirs.field(grid, 2.2).u)
        assert not torch.equal(mine.field(grid, 2.2).u, again.trajectory.field(grid, 2.2).u)
    save_result(again, tmp_path / "twice")
    assert (tmp_path / "twice" / "model_seed_7.safetensors").read_bytes() == (
        out / "model_seed_7.safetensors"
    ).read_bytes()
    save_result(fitted(scans), out)  # of one seed: the others' models belong to no fit any more
    assert [path.name for path in out.glob("model*")] == ["model.safetensors"]
    (tmp_path / "twice" / "model_seed_6.safetensors").unlink()
    with pytest.raises(InputError, match="model_seed_6"):
        load_result(tmp_path / "twice")


def test_result_json_says_what_the_readme_promises(result: FitResult, tmp_path: Path) -> None:
    save_result(result, tmp_path)
    described = json.loads((tmp_path / "result.json").read_text())
    assert described["times"] == [0, 1, 2, 3]
    assert described["time_unit"] == "years"
    for key in ("config", "metrics", "folds", "versions", "seed", "device", "seconds", "peak_memory_mib"):
        assert key in described
    assert [row["role"] for row in described["metrics"]] == ["reference", "held out", "seen", "seen"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.safetensors", "result.json", "run.log"]


def test_equal_fits_are_equal_model_files_and_another_seed_is_not(
    result: FitResult, scans: Path, tmp_path: Path
) -> None:
    for name, other in (
        ("a", result),
        ("b", fitted(scans, hold_out=(1,))),
        ("c", fitted(scans, hold_out=(1,), seed=1)),
    ):
        save_result(other, tmp_path / name)
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_scans_that_moved_with_the_result_are_found(result: FitResult, scans: Path, tmp_path: Path) -> None:
    save_result(result, scans / "out")
    shutil.copytree(scans, tmp_path / "moved")
    hidden = scans.with_name("hidden")
    scans.rename(hidden)
    try:
        again = load_result(tmp_path / "moved" / "out")
        assert again.series.scans[2].image.path == tmp_path / "moved" / "scan_2.nii.gz" or "moved" in str(
            again.series.scans[2].image.path
        )
    finally:
        hidden.rename(scans)


@pytest.mark.parametrize("damage", ["gone", "changed", "json", "model", "format"])
def test_damage_is_a_sentence_that_names_the_file(result: FitResult, scans: Path, tmp_path: Path, damage: str) -> None:
    shutil.copytree(scans, tmp_path / "s", ignore=shutil.ignore_patterns("out"))
    fresh, out = fitted(tmp_path / "s"), tmp_path / "out"
    save_result(fresh, out)
    victim = tmp_path / "s" / "scan_2.nii.gz"
    if damage == "gone":
        victim.unlink()
    elif damage == "changed":
        write_volume(victim, np.zeros((24, 24, 24), np.float32), fresh.series.grid)
    elif damage == "json":
        victim = out / "result.json"
        victim.write_text(victim.read_text()[:200])
    elif damage == "model":
        victim = out / "model.safetensors"
        victim.write_bytes(victim.read_bytes()[:500])
    else:
        victim = out / "result.json"
        victim.write_text("{}")
    with pytest.raises(InputError, match=victim.name.replace(".", r"\.")):
        load_result(out)
