"""The command line from outside: exit codes, files, and the window's path without a window."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cli_kit import noder
from engine_kit import box_grid, moving_series

from noder.image import write_volume

SHORT = [f"--set={name}_iterations=8" for name in ("coarse", "middle", "fine")]


COMMAND = [sys.executable, "-c", "from noder.cli import main; main()"]
"""A process of its own, where it matters that it is one."""


@pytest.fixture(scope="module")
def cine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six moving volumes in one 4-D file, stored LAS, 40 ms apart."""
    series, grid = moving_series(times=[0.0, 1, 2, 3, 4, 5], mm_per_time=0.7)
    stored = grid.affine.copy()
    stored[0, 0] *= -1
    stored[0, 3] = 34.5
    from noder.grid import Grid

    volumes = np.stack([scan.image.numpy()[::-1] for scan in series.scans], axis=-1)
    path = tmp_path_factory.mktemp("cine") / "cine.nii.gz"
    write_volume(path, volumes, Grid(grid.shape, stored), time_step=40.0, unit="ms")
    return path


@pytest.fixture(scope="module")
def out(cine: Path) -> Path:
    folder = cine.parent / "out"
    line = ["fit", str(cine), "--frames", "1:6", "--hold-out", "1,3", "-o", str(folder), "--quiet", *SHORT]
    done = subprocess.run([*COMMAND, *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "held out" in done.stdout
    assert done.stderr == ""
    return folder


def test_frames_are_the_series_and_hold_out_counts_in_it(out: Path) -> None:
    described = json.loads((out / "result.json").read_text())
    assert described["times"] == [40, 80, 120, 160, 200]
    assert described["time_unit"] == "ms"
    assert [row["role"] for row in described["metrics"]] == [
        "reference",
        "held out",
        "seen",
        "held out",
        "seen",
    ]


def test_predict_writes_on_the_stored_grid_in_the_order_of_the_times(out: Path, cine: Path, tmp_path: Path) -> None:
    done = noder("predict", out, "--times", "200,40,300", "--fields", "itk", "--jacobian", "-o", tmp_path, "--json")
    assert done.returncode == 0, done.stderr
    expected = [f"{kind}_{k:03d}.nii.gz" for kind in ("field", "inverse", "jac", "pred") for k in range(3)]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*expected, "predict.json"])
    source = nibabel.load(cine)
    for kind in ("pred", "jac"):
        written = nibabel.load(tmp_path / f"{kind}_001.nii.gz")
        assert written.shape == source.shape[:3]
        assert np.allclose(written.affine, source.affine, atol=1e-5)
    at_reference = np.asarray(nibabel.load(tmp_path / "pred_001.nii.gz").dataobj)
    assert np.abs(at_reference - np.asarray(source.dataobj)[..., 1]).max() < 1e-2 * at_reference.max()
    described = json.loads((tmp_path / "predict.json").read_text())
    assert [row["time"] for row in described["predictions"]] == [200, 40, 300]
    assert described["predictions"][2]["extrapolated"]


def test_evaluate_scores_again_the_same(out: Path) -> None:
    done = noder("evaluate", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == json.loads((out / "result.json").read_text())["metrics"]


def test_info_as_json_is_json(cine: Path) -> None:
    done = noder("info", cine, "--json")
    described = json.loads(done.stdout)
    assert described["n_scans"] == 6
    assert described["time_unit"] == "ms"
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["fit", "{cine}", "-o", "{tmp}", "--hold-out", "7"], 2, "scans 0 to 5"),
        (["fit", "{cine}", "-o", "{tmp}", "--set", "shine=3"], 2, "shine"),
        (["fit", "{cine}", "-o", "{tmp}", "--frames", "two"], 2, "A:B"),
        (["fit", "{cine}"], 2, "--out"),
        (["fit", "{tmp}/nothing.nii", "-o", "{tmp}"], 3, "nothing.nii"),
        (["fit", "{cine}", "-o", "{tmp}", "--mask", "{tmp}/no.nii"], 3, "no.nii"),
        (["fit", "{cine}", "-o", "{tmp}", "--times", "0,1,1,2,3,4"], 3, "cine"),
        (["fit", "{cine}", "-o", "{cine}/sub"], 1, "cine.nii.gz"),
        (["predict", "{tmp}", "--times", "1", "-o", "{tmp}"], 3, "result.json"),
        (["predict", "{out}", "--times", "soon", "-o", "{tmp}"], 2, "soon"),
        (["predict", "{out}", "--times", "1", "--carry", "all", "-o", "{tmp}"], 2, "neighbours"),
    ],
)
def test_errors_are_a_sentence_and_an_exit_code(
    arguments: list[str], code: int, words: str, cine: Path, out: Path, tmp_path: Path
) -> None:
    done = noder(*(a.format(cine=cine, tmp=tmp_path, out=out) for a in arguments))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_different_grids_name_their_remedy_and_it_works(tmp_path: Path) -> None:
    series, grid = moving_series()
    write_volume(tmp_path / "a.nii.gz", series.scans[0].image.numpy(), grid)
    write_volume(tmp_path / "b.nii.gz", series.scans[1].image.numpy()[:-2], grid.crop((0, 0, 0), (22, 24, 24)))
    refused = noder("fit", tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "--times", "0,1", "-o", tmp_path / "o")
    assert refused.returncode == 3
    assert "--resample" in refused.stderr
    done = noder(
        "fit",
        tmp_path / "a.nii.gz",
        tmp_path / "b.nii.gz",
        "--times",
        "0,1",
        "-o",
        tmp_path / "o",
        "--resample",
        *SHORT,
    )
    assert done.returncode == 0, done.stderr
    assert noder("predict", tmp_path / "o", "--times", "0.5", "-o", tmp_path / "p").returncode == 0


def test_nan_voxels_name_their_remedy_and_it_works(tmp_path: Path) -> None:
    series, grid = moving_series()
    for k in range(2):
        values = series.scans[k].image.numpy().copy()
        values[0, 0, :3] = np.nan if k else 0
        write_volume(tmp_path / f"{k}.nii.gz", values, grid)
    command = [
        "fit",
        tmp_path / "0.nii.gz",
        tmp_path / "1.nii.gz",
        "--times",
        "0,1",
        "-o",
        tmp_path / "o",
        *SHORT,
    ]
    refused = noder(*command)
    assert (refused.returncode, "--nan-to-zero" in refused.stderr, "1.nii.gz" in refused.stderr) == (
        3,
        True,
        True,
    )
    assert noder(*command, "--nan-to-zero").returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child alone")
def test_ctrl_c_stops_the_fit_and_keeps_what_there_is(cine: Path, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*COMMAND, "fit", str(cine), "-o", str(tmp_path), "--set", "coarse_iterations=2000"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stderr is not None
    text = ""
    while "similarity" not in text:  # the progress bar names the losses once the fit runs
        letter = running.stderr.read(1)
        assert letter, f"the fit ended by itself:\n{text}"
        text += letter
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    assert running.wait(timeout=60) == 130
    described = json.loads((tmp_path / "result.json").read_text())
    assert described["stopped"]
    assert 0 < described["iterations"] < 2000


def test_a_small_box_is_refused_with_its_shape(tmp_path: Path) -> None:
    series, grid = moving_series(box_grid(12))
    for k in range(2):
        write_volume(tmp_path / f"{k}.nii.gz", series.scans[k].image.numpy(), grid)
    done = noder("fit", tmp_path / "0.nii.gz", tmp_path / "1.nii.gz", "--times", "0,1", "-o", tmp_path / "o")
    assert done.returncode == 3
    assert "12 x 12 x 12" in done.stderr


def strict(text: str) -> object:
    """Parse JSON as other languages do: NaN and Infinity are errors."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_json_is_strict_where_scores_do_not_exist_and_the_fit_opens_again(tmp_path: Path) -> None:
    series, grid = moving_series()
    for k, values in enumerate(
        [*(scan.image.numpy() for scan in series.scans[:2]), np.full(grid.shape, 7, np.float32)]
    ):
        write_volume(tmp_path / f"{k}.nii.gz", values, grid)
    command = [tmp_path / f"{k}.nii.gz" for k in range(3)]
    done = noder("fit", *command, "--times", "0,1,2", "--hold-out", "2", "-o", tmp_path / "o", "--json", *SHORT)
    assert done.returncode == 0, done.stderr
    strict(done.stdout)
    strict((tmp_path / "o" / "result.json").read_text())
    again = noder("evaluate", tmp_path / "o")
    assert again.returncode == 0, again.stderr


def test_labels_follow_their_scans_when_times_reorder_them(tmp_path: Path, cine: Path) -> None:
    """Kept frames in reversed time: the label volume of each scan is still its own."""
    stored = nibabel.load(cine)
    bright = (np.asarray(stored.dataobj) > 600).astype(np.float32)
    from noder.grid import Grid

    write_volume(tmp_path / "labels.nii.gz", bright[..., 1:5], Grid(stored.shape[:3], stored.affine))
    done = noder("fit", cine, "--frames", "1:5", "--times", "3,2,1,0", "-o", tmp_path / "o", "--quiet", *SHORT)
    assert done.returncode == 0, done.stderr
    scored = noder("evaluate", tmp_path / "o", "--labels", tmp_path / "labels.nii.gz", "--json")
    rows = json.loads(scored.stdout)["labels"]
    truth = [bright[..., k] for k in (4, 3, 2, 1)]
    still = 2 * (truth[0] * truth[3]).sum() / (truth[0].sum() + truth[3].sum())
    assert rows[3]["dice_not_carried"]["1"] == pytest.approx(float(still), abs=1e-6)


def test_a_full_disk_is_a_sentence(cine: Path, tmp_path: Path) -> None:
    """The process may write 40 kB a file at most."""
    limited = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (40000, 40000)); import signal as s; "
    limited += "s.signal(s.SIGXFSZ, s.SIG_IGN); from noder.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", limited, "fit", str(cine), "-o", str(tmp_path / "o"), "--quiet", *SHORT],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "o") in done.stderr
    assert not (tmp_path / "o").exists()
