"""A capsule holds the command line that makes its result again; replay runs it and compares."""

import json
import shlex
import shutil
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from engine_kit import moving_series

from noder import cli
from noder.image import write_volume
from noder.model_file import MODEL
from noder.project import read_document, read_project
from noder.recipe import recipe_of

SHORT = [f"--set={name}_iterations=6" for name in ("coarse", "middle", "fine")]


@pytest.fixture
def noder(monkeypatch, capsys):
    """Runs a command line in this process: exit code, output, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["noder", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Scans whose names follow in another order than their times, and a mask."""
    series, grid = moving_series()
    (tmp_path / "data").mkdir()
    for name, scan in zip("badc", series.scans, strict=True):
        write_volume(tmp_path / "data" / f"{name}.nii.gz", scan.image.numpy(), grid)
    write_volume(tmp_path / "data" / "brain.nii.gz", np.ones(grid.shape, np.uint8), grid)
    return tmp_path


@pytest.fixture
def fitted(study: Path, noder) -> Path:
    """A fit with options that differ from the defaults, as many as there are."""
    data = study / "data"
    code, _, errors = noder(
        "fit", *(data / f"{name}.nii.gz" for name in "abcd"), "-o", study / "out", "--times", "0.5,0,3.25,1.75",
        "--time-unit", "years", "--mask", data / "brain.nii.gz", "--hold-out", "2", "--preset", "fast", *SHORT,
        "--seed", "3", "--no-match", "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert code == 0, errors
    return study / "out"


def test_a_capsule_is_replayed_bit_for_bit(fitted: Path, study: Path, noder) -> None:
    code, shown, errors = noder("capsule", fitted, "-o", study / "capsule")
    assert code == 0, errors
    line = shown.splitlines()[0]
    assert line.startswith("noder fit ../data/a.nii.gz ../data/b.nii.gz ../data/c.nii.gz ../data/d.nii.gz -o OUT")
    wanted = (
        "--times 0.5,0.0,3.25,1.75 --time-unit years", "--hold-out 2", "--seed 3", "--no-match", "--seeds 1",
        "--preset fast", "--set coarse_iterations=6", "--mask ../data/brain.nii.gz", "--device cpu",
    )  # fmt: skip
    assert [words for words in wanted if words not in line] == []
    row = read_document(study / "capsule" / "capsule.noderproj")["results"][0]
    assert shlex.split(row["command_line"]) == row["command"]
    assert set(row["inputs"]) == {f"../data/{name}.nii.gz" for name in ("a", "b", "c", "d", "brain")}
    assert row["versions"]["torch"]
    assert row["threads"] == 1
    shutil.rmtree(fitted)  # the capsule has a copy
    study.joinpath("data").rename(study / "moved")
    code, _, errors = noder("replay", study / "capsule")
    assert code == 3
    assert "a.nii.gz (input) is not there any more" in errors
    study.joinpath("moved").rename(study / "data")
    code, shown, errors = noder("replay", study / "capsule", "-o", study / "again", "--quiet")
    assert code == 0, errors
    assert shown.splitlines() == ["equal: the fit was made again bit for bit"]
    again = (study / "again" / "fit-1" / MODEL).read_bytes()
    assert again == (study / "capsule" / "fit-1" / MODEL).read_bytes()
    assert not list(study.glob("noder-replay-*"))


def test_a_capsule_opens_as_a_project(fitted: Path, study: Path, noder) -> None:
    assert noder("capsule", fitted, "-o", study / "capsule")[0] == 0
    found = read_project(study / "capsule" / "capsule.noderproj")
    assert found.missing == ()
    assert found.project.results == (study / "capsule" / "fit-1",)
    assert found.project.series is not None
    assert found.project.series.times == [0, 0.5, 1.75, 3.25]
    assert found.project.hold_out == (2,)
    relative = json.loads((study / "capsule" / "fit-1" / "result.json").read_text())["scans"][0]["relative_path"]
    assert relative == "../../data/b.nii.gz"
    code, _, errors = noder("capsule", fitted, "-o", study / "capsule")
    assert code == 1
    assert "is there already" in errors


def test_a_changed_input_is_told_before_anything_runs(fitted: Path, study: Path, noder) -> None:
    assert noder("capsule", fitted, "-o", study / "capsule")[0] == 0
    path = study / "data" / "c.nii.gz"
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), path)
    code, shown, errors = noder("replay", study / "capsule", "-o", study / "again")
    assert code == 3
    assert "c.nii.gz (input) has changed" in errors
    assert shown == ""
    assert not (study / "again").exists()


def test_what_differs_is_measured(fitted: Path, study: Path, noder) -> None:
    """Another seed in the saved command stands for another machine."""
    assert noder("capsule", fitted, "-o", study / "capsule")[0] == 0
    path = study / "capsule" / "capsule.noderproj"
    document = json.loads(path.read_text())
    command = document["results"][0]["command"]
    command[command.index("--seed") + 1] = "4"
    document["results"][0]["versions"]["torch"] = "0.1"
    path.write_text(json.dumps(document))
    code, shown, errors = noder("replay", path, "--json", "--quiet")
    assert code == 1, errors
    told = json.loads(shown)
    row = told["results"][0]
    assert not told["equal"]
    assert 0 < row["field_mean_mm"] < row["field_max_mm"] < 5
    assert row["versions"]["torch"][0] == "0.1"
    assert any("nrmse" in name.lower() for name in row["figures"])
    assert row["verdict"].startswith("differs: the fit made again is another; its fields are ")


def test_a_saved_model_that_was_touched_is_told(fitted: Path, study: Path, noder) -> None:
    assert noder("capsule", fitted, "-o", study / "capsule")[0] == 0
    with (study / "capsule" / "fit-1" / MODEL).open("ab") as file:
        file.write(b"x")
    code, _, errors = noder("replay", study / "capsule")
    assert code == 3
    assert f"{MODEL} (saved fit) has changed" in errors


def test_volumes_of_one_file_are_given_as_frames(study: Path, noder) -> None:
    series, grid = moving_series()
    volumes = np.stack([scan.image.numpy() for scan in series.scans], axis=-1)
    write_volume(study / "cine.nii.gz", volumes, grid, time_step=40.0, unit="ms")
    code, _, errors = noder("fit", study / "cine.nii.gz", "--frames", "1:4", "-o", study / "out", *SHORT, "--quiet")
    assert code == 0, errors
    words = " ".join(recipe_of(study / "out", study).command)
    assert "cine.nii.gz --frames 1:4 -o OUT --times 40.0,80.0,120.0 --time-unit ms" in words
    document = json.loads((study / "out" / "result.json").read_text())
    document["scans"].pop(1)
    document["frames"].pop(1)
    (study / "out" / "result.json").write_text(json.dumps(document))
    code, _, errors = noder("capsule", study / "out", "-o", study / "capsule")
    assert code == 3
    assert not (study / "capsule").exists()


def test_what_is_no_result_or_no_project_is_said(study: Path, noder) -> None:
    assert noder("capsule", study / "data", "-o", study / "capsule")[0] == 3
    (study / "data" / "p.noderproj").write_text("{")
    code, _, errors = noder("replay", study / "data")
    assert code == 3
    assert "is damaged" in errors
    code, _, errors = noder("replay", study)
    assert code == 3
    assert "holds 0 .noderproj files" in errors


def test_a_registration_is_replayed_too(study: Path, noder) -> None:
    data = study / "data"
    quick = ["coarse_iterations=4", "middle_iterations=4", "fine_iterations=0", "hidden=16", "frequencies=8",
             "global_code=4", "local_code=8"]  # fmt: skip
    settings = [word for setting in quick for word in ("--set", setting)]
    code, _, errors = noder(
        "register", data / "b.nii.gz", data / "d.nii.gz", "-o", study / "pair", "--fixed-mask", data / "brain.nii.gz",
        "--initial", "centre", "--fields", "itk,fsl", "--seed", "2", "--device", "cpu", "--quiet", *settings,
    )  # fmt: skip
    assert code == 0, errors
    assert noder("capsule", study / "pair", "-o", study / "capsule")[0] == 0
    row = read_document(study / "capsule" / "capsule.noderproj")["results"][0]
    line = row["command_line"]
    assert line.startswith("noder register ../data/b.nii.gz ../data/d.nii.gz -o OUT --fixed-mask ../data/brain.nii.gz")
    for words in ("--initial centre", "--fields itk,fsl", "--seed 2", "--set hidden=16", "--device cpu"):
        assert words in line
    assert (study / "capsule" / "registration-1" / "field_fsl.nii.gz").is_file()
    code, shown, errors = noder("replay", study / "capsule", "--quiet")
    assert code == 0, errors
    assert shown.splitlines() == ["equal: the registration was made again bit for bit"]
