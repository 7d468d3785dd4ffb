"""The command line before and after a fit: the estimate, several seeds, and leave-one-out."""

import json
from pathlib import Path

import pytest
from engine_kit import box_grid, moving_series
from test_cli import noder

from noder.image import write_volume

SHORT = ["--preset", "fast", "--set=coarse_iterations=6", "--set=middle_iterations=4"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four scans of a moving texture, in files of their own."""
    series, grid = moving_series(box_grid(16))
    folder = tmp_path_factory.mktemp("scans")
    paths = [folder / f"scan_{k}.nii.gz" for k in range(4)]
    for path, scan in zip(paths, series.scans, strict=True):
        write_volume(path, scan.image.numpy(), grid)
    return paths


def test_the_estimate_comes_first_and_several_seeds_are_told_apart(scans: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = noder("fit", *scans, "--times", "0,1,2,3", "--hold-out", "2", "--seeds", "2", "-o", out, *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("estimate for 2 fits: about ")
    assert "Spread over 2 seeds" in done.stdout
    assert "linearity index" in done.stdout
    report = json.loads((out / "result.json").read_text())["report"]
    assert [row["index"] for row in report["spread"]] == [1, 2, 3, None]
    assert 0 <= report["linearity"] < 1
    again = noder("evaluate", out, "--json")
    assert json.loads(again.stdout)["linearity"] == report["linearity"]


def test_info_tells_what_each_preset_takes(scans: list[Path]) -> None:
    done = noder("info", *scans, "--times", "0,1,2,3", "--estimate", "--json")
    assert done.returncode == 0, done.stderr
    takes = json.loads(done.stdout)["estimates"]
    assert {"fast", "balanced", "published"} <= set(takes)
    assert takes["fast"]["seconds"] < takes["balanced"]["seconds"] < takes["published"]["seconds"]


def test_leave_one_out_prints_each_scan_beside_the_baselines(scans: list[Path]) -> None:
    done = noder("evaluate", *scans[:3], "--times", "0,1,2", "--leave-one-out", "--workers", "2", *SHORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("estimate for 6 fits: about ")
    head = next(line for line in done.stdout.splitlines() if line.startswith("scan"))
    for name in ("noder", "geodesic", "piecewise", "blend", "nearest", "unchanged"):
        assert f" {name} " in head
    assert "2 (extrapolated)" in done.stdout
    assert "one scan alone cannot tell" in done.stdout
    assert "linear model (method geodesic) is the safe one" in done.stdout


def test_leave_one_out_as_json_holds_every_score(scans: list[Path]) -> None:
    done = noder(
        "evaluate", *scans, "--times", "0,1,2,3", "--leave-one-out", "--no-baselines", "--json", "--quiet", *SHORT
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert [row["index"] for row in found["rows"]] == [1, 2, 3]
    assert set(found["within"]) == {"noder", "noder first", "blend", "nearest", "unchanged"}
    assert found["rows"][0]["noder"]["nrmse_mask"] > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "{a}", "{b}"], "--leave-one-out"),
        (["evaluate", "{a}", "{b}", "--times", "0,1", "--leave-one-out"], "three scans"),
        (["evaluate", "{a}", "{b}", "--leave-one-out", "--labels", "{a}"], "--labels scores a fit"),
        (["evaluate", "{a}", "{b}", "{c}", "--times", "0,1,2", "--leave-one-out", "--workers", "0"], "0 workers"),
        (["fit", "{a}", "{b}", "--times", "0,1", "--seeds", "3", "--method", "geodesic", "-o", "{o}"], "no chance"),
        (["fit", "{a}", "{b}", "--times", "0,1", "--seeds", "99", "-o", "{o}"], "99 seeds"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(
    arguments: list[str], words: str, scans: list[Path], tmp_path: Path
) -> None:
    names = {"a": scans[0], "b": scans[1], "c": scans[2], "o": tmp_path / "o"}
    done = noder(*(argument.format(**names) for argument in arguments))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
