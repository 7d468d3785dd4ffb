"""A project: what is written is read again, files that moved are found, and what is missing is told, not fatal."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import SHORT, moving_series

from noder.errors import InputError
from noder.file_search import Below
from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.image import Image, write_volume
from noder.project import FORMAT, Project, read_project, write_project
from noder.series import ImageSeries
from noder.store import load_result, save_result


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult]:
    """data/scan_k.nii.gz and a mask, and work/fit made of them."""
    root = tmp_path_factory.mktemp("study")
    (root / "data").mkdir()
    series, grid = moving_series()
    for k, scan in enumerate(series.scans):
        write_volume(root / "data" / f"scan_{k}.nii.gz", scan.image.numpy(), grid)
    write_volume(root / "data" / "mask.nii.gz", np.ones(grid.shape, np.uint8), grid)
    paths = [root / "data" / f"scan_{k}.nii.gz" for k in range(4)]
    given = ImageSeries.from_paths(paths, times=[0, 1, 2.5, 3.25], unit="years")
    result = fit(given, FitConfig(settings=SHORT, hold_out=(1,), mask=root / "data" / "mask.nii.gz"))
    save_result(result, root / "work" / "fit")
    return root, result


@pytest.fixture
def study(made: tuple[Path, FitResult], tmp_path: Path) -> Path:
    """A copy, with a project in work/; the one that it was copied from is out of sight."""
    root, _ = made
    shutil.copytree(root, tmp_path / "study")
    data = tmp_path / "study" / "data"
    series = ImageSeries.from_paths(
        [data / f"scan_{k}.nii.gz" for k in range(4)], times=[0, 1, 2.5, 3.25], unit="years"
    )
    project = Project(
        series, (1,), (3,), data / "mask.nii.gz", {"method": "noder", "weights": data / "mask.nii.gz"},
        results=(tmp_path / "study" / "work" / "fit",), view={"time": 2.5, "window": [0, 900]},
    )  # fmt: skip
    write_project(project, tmp_path / "study" / "work" / "heart.noderproj")
    return tmp_path / "study"


def test_it_is_read_as_it_was_written(study: Path) -> None:
    found = read_project(study / "work" / "heart.noderproj")
    project = found.project
    assert found.missing == ()
    assert project.series is not None
    assert project.series.times == [0, 1, 2.5, 3.25]
    assert project.series.unit == "years"
    assert [scan.time_source for scan in project.series.scans] == ["times given"] * 4
    assert [scan.image.path for scan in project.series.scans] == [study / "data" / f"scan_{k}.nii.gz" for k in range(4)]
    assert (project.hold_out, project.exclude) == ((1,), (3,))
    assert project.mask == study / "data" / "mask.nii.gz"
    assert project.fit == {"method": "noder", "weights": study / "data" / "mask.nii.gz"}
    assert project.results == (study / "work" / "fit",)
    assert project.view == {"time": 2.5, "window": [0, 900]}


def test_its_paths_are_relative_to_it(study: Path, tmp_path: Path) -> None:
    document = json.loads((study / "work" / "heart.noderproj").read_text())
    assert document["scans"][2]["relative_path"] == "../data/scan_2.nii.gz"
    assert document["results"][0]["relative_path"] == "fit"
    study.rename(tmp_path / "elsewhere")
    found = read_project(tmp_path / "elsewhere" / "work" / "heart.noderproj")
    assert found.missing == ()
    assert found.project.series is not None
    assert found.project.series.reference.image.path == tmp_path / "elsewhere" / "data" / "scan_0.nii.gz"


def test_a_fit_opens_with_scans_that_the_project_has_found(study: Path, made, tmp_path: Path) -> None:
    """The fit's own folder does not know where its scans went; the project does, by their checksums."""
    shutil.move(study / "data", tmp_path / "archive" / "data")
    hidden = made[0].with_name("hidden")
    made[0].rename(hidden)  # where the copied fit says that its scans are
    try:
        with pytest.raises(InputError, match="not there any more"):
            load_result(study / "work" / "fit")
        found = read_project(study / "work" / "heart.noderproj", [tmp_path / "archive"])
        assert found.missing == ()
        again = load_result(found.project.results[0], found.hashed)
        assert torch.equal(again.trajectory.predict(0.4), made[1].trajectory.predict(0.4))
    finally:
        hidden.rename(made[0])


def test_what_is_missing_or_changed_is_told_and_the_rest_opens(study: Path) -> None:
    data = study / "data"
    (data / "scan_1.nii.gz").unlink()
    (data / "mask.nii.gz").write_bytes(b"another content")
    shutil.rmtree(study / "work" / "fit")
    found = read_project(study / "work" / "heart.noderproj")
    told = {each.name: each for each in found.missing}
    assert set(told) == {"scan_1.nii.gz", "mask.nii.gz", "fit"}
    assert told["mask.nii.gz"].changed
    assert told["mask.nii.gz"].looked == (data / "mask.nii.gz",)
    assert not told["scan_1.nii.gz"].changed
    assert told["scan_1.nii.gz"].looked[:1] == (data / "scan_1.nii.gz",)
    assert study / "work" / "scan_1.nii.gz" in told["scan_1.nii.gz"].looked
    assert told["scan_1.nii.gz"].words == "scan_1.nii.gz (scan) is not there any more"
    project = found.project
    assert project.series is not None
    assert project.series.times == [0, 2.5, 3.25]
    assert project.series.frames == (0, 2, 3)
    assert project.hold_out == ()  # it was the missing scan
    assert project.exclude == (2,)  # scan 3, which comes third now
    assert project.mask is None
    assert project.results == ()


def test_parts_name_files_and_results_keep_their_numbers(study: Path) -> None:
    """What a program says of "the second result" holds although the first has gone."""
    work, data = study / "work", study / "data"
    shutil.copytree(work / "fit", work / "later")
    layers = [{"path": data / "mask.nii.gz", "name": "a"}, {"path": data / "scan_2.nii.gz", "name": "b"}]
    project = Project(results=(work / "fit", work / "later"), parts={"layers": layers, "fits": []})
    write_project(project, work / "p.noderproj")
    shutil.rmtree(work / "fit")
    (data / "mask.nii.gz").unlink()
    found = read_project(work / "p.noderproj")
    assert found.project.parts == {"layers": [{"path": None, "name": "a"}, layers[1]], "fits": []}
    assert {each.words for each in found.missing} == {
        "mask.nii.gz (layer) is not there any more", "fit (fit) is not there any more",
    }  # fmt: skip
    assert (found.positions, found.project.results) == ((1,), (work / "later",))


def test_far_below_a_place_the_content_decides_among_files_of_one_name(study: Path, tmp_path: Path) -> None:
    far = tmp_path / "disk" / "2026" / "heart"
    far.mkdir(parents=True)
    for file in (study / "data").iterdir():
        shutil.move(file, far / file.name)
    shutil.move(study / "work" / "fit", far / "fit")
    (tmp_path / "disk" / "scan_0.nii.gz").write_bytes(b"another heart")
    found = read_project(study / "work" / "heart.noderproj", [tmp_path / "disk"])
    assert found.missing == ()
    assert found.project.series is not None
    assert found.project.series.reference.image.path == far / "scan_0.nii.gz"
    assert found.project.results == (far / "fit",)


def test_a_search_ends_and_says_that_it_has_not_seen_all(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    for place in ("x", "a/x", "a/b/x", "a/b/c/x"):
        (tmp_path / place).touch()
    assert Below([tmp_path], depth=2).named("x") == [tmp_path / "x", tmp_path / "a" / "x", tmp_path / "a" / "b" / "x"]
    cut = Below([tmp_path], most=3)
    assert cut.named("x") == [tmp_path / "x"]
    assert cut.is_cut
    assert not Below([tmp_path]).is_cut


def test_files_of_one_name_in_many_folders_are_told_apart(tmp_path: Path) -> None:
    """As in BIDS: below the new place the folder above each file decides."""
    series, grid = moving_series()
    paths = [tmp_path / "old" / f"ses-{k}" / "T1.nii.gz" for k in range(3)]
    for path, scan in zip(paths, series.scans, strict=False):
        path.parent.mkdir(parents=True)
        write_volume(path, scan.image.numpy(), grid)
    project = Project(ImageSeries.from_paths(paths, times=[0, 1, 2]))
    write_project(project, tmp_path / "p.noderproj")
    (tmp_path / "old").rename(tmp_path / "new")
    assert len(read_project(tmp_path / "p.noderproj").missing) == 3
    found = read_project(tmp_path / "p.noderproj", [tmp_path / "new"])
    assert found.project.series is not None
    there = [scan.image.path for scan in found.project.series.scans]
    assert there == [tmp_path / "new" / f"ses-{k}" / "T1.nii.gz" for k in range(3)]


def test_too_few_scans_are_no_series(study: Path) -> None:
    for k in (0, 1, 2):
        (study / "data" / f"scan_{k}.nii.gz").unlink()
    found = read_project(study / "work" / "heart.noderproj")
    assert found.project.series is None
    assert len(found.missing) == 3
    assert found.project.view["time"] == 2.5


def test_what_a_later_program_added_is_kept(study: Path) -> None:
    path = study / "work" / "heart.noderproj"
    document = json.loads(path.read_text())
    document |= {"atlas": {"name": "MNI"}, "view": {**document["view"], "fog": 3}}
    path.write_text(json.dumps(document))
    project = read_project(path).project
    write_project(replace(project, view={"time": 1.0}), path)
    again = json.loads(path.read_text())
    assert again["atlas"] == {"name": "MNI"}
    assert again["view"] == {"time": 1.0, "window": [0, 900], "fog": 3}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is damaged"),
        ("[]", "is no project"),
        ('{"kind": "something"}', "is no project"),
        (json.dumps({"kind": "noder project", "format": FORMAT + 1}), "was written by a newer noder-viewer"),
        (json.dumps({"kind": "noder project", "format": FORMAT}), "is damaged: 'scans'"),
        (json.dumps({"kind": "noder project", "format": FORMAT, "scans": 3}), "is damaged"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "p.noderproj"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_project(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_project(tmp_path / "nothing.noderproj")


def test_scans_in_memory_cannot_be_named(tmp_path: Path) -> None:
    series, grid = moving_series()
    images = [Image.from_array(scan.image.numpy(), grid, scan.image.name) for scan in series.scans]
    with pytest.raises(InputError, match="was never a file"):
        write_project(Project(ImageSeries.from_images(images, series.times)), tmp_path / "p.noderproj")
    assert list(tmp_path.iterdir()) == []
