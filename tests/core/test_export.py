"""Exported files: their grids, names and description, and that failures leave nothing behind."""

from __future__ import annotations

import csv
import json
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from sample_grids import GRIDS, moving_trajectory

from noder.errors import InputError, OutputError, UsageError
from noder.export import EXPORTERS, ExportOptions, export, export_steps
from noder.intensity import Brightness

VOLUMES = ["predictions", "fields_itk", "jacobians"]
ROWS = [
    {"index": 0, "time": 0.0, "role": "reference", "nrmse": 0.0},
    {"index": 1, "time": 1.5, "role": "held out", "nrmse": 0.25, "dice": {1: 0.5, 3: 0.75}},
]


def result_on(name: str = "oblique LPI", **options: Any) -> Any:
    trajectory = moving_trajectory(GRIDS[name], **options)
    return SimpleNamespace(trajectory=trajectory, series=SimpleNamespace(scans=()), report=SimpleNamespace(rows=ROWS))


def brightening(result: Any) -> Any:
    """The same with a change of brightness that does not compress."""
    trajectory = result.trajectory
    terms = torch.rand(2, *trajectory.grid.shape, generator=torch.Generator().manual_seed(1))
    change = Brightness(terms, (1, 1, 1), (trajectory.t_first, trajectory.t_last))
    result.trajectory = trajectory.judged([1.0] * len(trajectory.scans), change)
    return result


def values(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def listed_in(folder: Path) -> list[str]:
    told = json.loads((folder / "predict.json").read_text())
    return [*told["files"], *(name for row in told["predictions"] for name in row["files"].values())]


@contextmanager
def disk_of(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond `n_bytes`: the system's nearest thing to a full disk that needs no rights."""
    resource = pytest.importorskip("resource", reason="POSIX only")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", GRIDS)
def test_everything_lies_on_the_stored_grid(name: str, tmp_path: Path) -> None:
    result = result_on(name)
    paths = export(result, VOLUMES, [0.5], tmp_path)
    stored = result.trajectory.stored_grid
    for path in paths[:-1]:
        image = nibabel.load(path)
        assert image.shape[:3] == stored.shape
        assert np.abs(image.affine - stored.affine).max() < 1e-4
        assert image.get_data_dtype() == np.float32
    undo = stored.reorientation().undo
    assert np.array_equal(
        values(tmp_path / "pred_000.nii.gz"), undo(result.trajectory.predict(0.5, exact=True)[0]).numpy()
    )
    assert np.array_equal(
        values(tmp_path / "jac_000.nii.gz"), undo(result.trajectory.jacobian(0.5, exact=True)).numpy()
    )


def test_files_follow_the_order_of_the_times_and_predict_json_lists_exactly_them(tmp_path: Path) -> None:
    result, times = result_on(), [3.5, 0.0, 0.5, 0.5]
    paths = export(result, [*VOLUMES, "series4d", "metrics_csv"], times, tmp_path)
    kinds = ["field", "inverse", "jac", "pred"]
    numbered = {f"{kind}_{k:03d}.nii.gz" for kind in kinds for k in range(4)}
    extra = {"predictions_4d.nii.gz", "predictions_4d.json", "metrics.csv"}
    assert names_in(tmp_path) == numbered | extra | {"predict.json"}
    assert sorted(listed_in(tmp_path)) == sorted(numbered | extra)
    assert [path.name for path in paths][-1] == "predict.json"
    assert {path.name for path in paths} == names_in(tmp_path)

    told = json.loads((tmp_path / "predict.json").read_text())
    assert told["unit"] == "years"
    assert told["carry"] == "neighbours"
    assert told["reference"] == "scan0"
    assert told["grid"]["orientation"] == "LPI"
    assert told["convention"].keys() == {"prediction", "field", "inverse", "jacobian"}
    assert [row["time"] for row in told["predictions"]] == times
    assert [row["extrapolated"] for row in told["predictions"]] == [True, False, False, False]
    assert told["predictions"][0]["carried"] == [{"scan": "scan2", "weight": 1.0}]
    assert [part["scan"] for part in told["predictions"][2]["carried"]] == ["scan0", "scan1"]
    assert told["predictions"][1]["files"] == {
        "prediction": "pred_001.nii.gz",
        "field": "field_001.nii.gz",
        "inverse": "inverse_001.nii.gz",
        "jacobian": "jac_001.nii.gz",
    }
    at_reference = values(tmp_path / "field_001.nii.gz")
    assert not at_reference.any()
    assert np.array_equal(values(tmp_path / "pred_002.nii.gz"), values(tmp_path / "pred_003.nii.gz"))


def test_carry_is_told_and_used(tmp_path: Path) -> None:
    result = result_on()
    undo = result.trajectory.stored_grid.reorientation().undo
    export(result, ["predictions"], [0.5], tmp_path, carry="first")
    first = undo(result.trajectory.predict(0.5, carry="first", exact=True)[0]).numpy()
    assert np.array_equal(values(tmp_path / "pred_000.nii.gz"), first)
    told = json.loads((tmp_path / "predict.json").read_text())
    assert (told["carry"], told["predictions"][0]["carried"]) == ("first", [{"scan": "scan0", "weight": 1.0}])
    assert told["convention"].keys() == {"prediction"}
    assert names_in(tmp_path) == {"pred_000.nii.gz", "predict.json"}


def test_predictions_take_the_edge_value_outside(tmp_path: Path) -> None:
    result = result_on("RAS")
    trajectory = result.trajectory
    far = torch.zeros((3, *trajectory.decoder.shape))
    far[0] = 1000.0
    trajectory._curve = lambda t: t * far
    export(result, ["predictions"], [1.0], tmp_path, carry="first")
    edge = trajectory.scans[0].volume[0, -1].numpy()
    assert np.abs(values(tmp_path / "pred_000.nii.gz") - edge).max() < 1e-5


def test_the_series_is_one_file_of_the_predictions_and_its_times(tmp_path: Path) -> None:
    result, times = result_on("SLP"), [0.0, 0.4, 2.0]
    export(result, ["predictions", "series4d"], times, tmp_path)
    series = nibabel.load(tmp_path / "predictions_4d.nii.gz")
    assert series.shape == (*GRIDS["SLP"].shape, 3)
    for k in range(3):
        assert np.array_equal(
            values(tmp_path / "predictions_4d.nii.gz")[..., k], values(tmp_path / f"pred_{k:03d}.nii.gz")
        )
    sidecar = json.loads((tmp_path / "predictions_4d.json").read_text())
    assert (sidecar["TimeUnit"], sidecar["FrameTimes"]) == ("years", times)


@pytest.mark.parametrize(
    ("unit", "times", "step", "told"),
    [
        ("ms", [0.0, 40.0, 80.0], 40, "msec"),
        ("s", [1.0, 1.5], 0.5, "sec"),
        ("years", [0.0, 1.0], 1, "unknown"),
    ],
)
def test_a_uniform_step_in_seconds_stands_in_the_header(
    unit: str, times: list[float], step: float, told: str, tmp_path: Path
) -> None:
    export(result_on(unit=unit), ["series4d"], times, tmp_path)
    header = nibabel.load(tmp_path / "predictions_4d.nii.gz").header
    assert header.get_zooms()[3] == pytest.approx(step)
    assert header.get_xyzt_units() == ("mm", told)


def test_one_time_at_a_time_is_in_memory(tmp_path: Path) -> None:
    result = result_on()
    trajectory, alive, most = result.trajectory, weakref.WeakSet(), []
    predict = trajectory.predict

    def watched(*args: Any, **options: Any) -> torch.Tensor:
        volume = predict(*args, **options)
        alive.add(volume)
        most.append(len(alive))
        return volume

    trajectory.predict = watched
    export(result, ["predictions", "series4d"], [0.1 * k for k in range(6)], tmp_path)
    assert len(most) == 12
    assert max(most) <= 2


def test_metrics_are_a_table_of_the_report(tmp_path: Path) -> None:
    export(result_on(), ["metrics_csv"], [], tmp_path)
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "time", "role", "nrmse", "dice_1", "dice_3"]
    assert (rows[1]["role"], float(rows[1]["dice_3"]), rows[0]["dice_3"]) == ("held out", 0.75, "")
    assert listed_in(tmp_path) == ["metrics.csv"]
    with pytest.raises(InputError, match="no report"):
        export(SimpleNamespace(trajectory=result_on().trajectory, report=None), ["metrics_csv"], [], tmp_path)


def test_each_exporter_works_alone_and_counts_its_steps(tmp_path: Path) -> None:
    result, times = result_on(), [0.5, 1.0]
    for name, exporter in EXPORTERS.items():
        folder = tmp_path / name
        folder.mkdir()
        assert {path.name for path in exporter(result, times, folder)} == names_in(folder)
        steps = list(exporter.steps(result, times, folder, ExportOptions()))
        assert len(steps) == exporter.n_steps(times)
        assert exporter.label


def test_progress_is_told_and_closing_it_cancels(tmp_path: Path) -> None:
    steps = export_steps(result_on(), VOLUMES, [0.5, 1.0], tmp_path / "new")
    first = next(steps)
    assert (first.done, first.total, first.exporter) == (1, 8, "predictions")
    steps.close()
    assert not (tmp_path / "new").exists()
    assert [p.done for p in export_steps(result_on(), VOLUMES, [0.5, 1.0], tmp_path)] == list(range(1, 9))


def test_a_second_export_replaces_the_first_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "pred_009.nii.gz").write_text("mine too")
    export(result_on(), VOLUMES, [0.5, 1.0, 2.0], tmp_path)
    told = json.loads((tmp_path / "predict.json").read_text())
    told["files"] += ["notes.txt", "../outside.txt", 7]
    (tmp_path / "predict.json").write_text(json.dumps(told))
    export(result_on(), ["predictions"], [0.25], tmp_path)
    assert names_in(tmp_path) == {"notes.txt", "pred_000.nii.gz", "pred_009.nii.gz", "predict.json"}
    (tmp_path / "predict.json").write_text("not json")
    export(result_on(), ["predictions"], [0.25], tmp_path)
    assert listed_in(tmp_path) == ["pred_000.nii.gz"]


@pytest.mark.parametrize("name", [name for name in EXPORTERS if name != "metrics_csv"])
def test_a_full_disk_leaves_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"disk is full|cannot be written") as caught, disk_of(1000):
        export(brightening(result_on()), [name], [0.5, 1.0], tmp_path / "out")
    assert ".noder-" not in str(caught.value)
    assert str(tmp_path / "out") in str(caught.value)
    assert names_in(tmp_path) == set()


@pytest.mark.parametrize("name", EXPORTERS)
def test_a_full_disk_leaves_nothing_of_a_single_exporter(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError), disk_of(20):
        EXPORTERS[name](result_on(), [0.5], tmp_path)
    assert names_in(tmp_path) == set()


def test_a_failure_keeps_the_earlier_export(tmp_path: Path) -> None:
    export(result_on(), VOLUMES, [0.5], tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError), disk_of(1000):
        export(result_on("RAS"), VOLUMES, [0.5, 1.0], tmp_path)
    broken = result_on()
    broken.trajectory.jacobian = lambda t, exact: 1 / 0
    with pytest.raises(ZeroDivisionError):
        export(broken, VOLUMES, [0.7], tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OutputError, match="taken"):
            export(result_on(), ["predictions"], [0.5], folder)
    assert names_in(tmp_path) == {"taken"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            export(result_on(), ["predictions"], [0.5], tmp_path)
        assert names_in(tmp_path) == set()
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("names", "times", "carry", "sentence"),
    [
        (["movie"], [0.5], "neighbours", "no exporter 'movie'"),
        (["predictions"], [float("nan")], "neighbours", "finite"),
        (["predictions"], [], "neighbours", "No times"),
        (["predictions"], [0.5], "last", "carry"),
    ],
)
def test_what_cannot_be_meant_is_refused_first(
    names: list[str], times: list[float], carry: Any, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=sentence):
        export(result_on(), names, times, tmp_path / "out", carry=carry)
    assert names_in(tmp_path) == set()
