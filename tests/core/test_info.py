"""What `noder info` says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sample_grids import affine_of

from noder.errors import InputError
from noder.formats import write_volume
from noder.grid import Grid
from noder.info import describe, format_description
from noder.series import ImageSeries

OBLIQUE = Grid((6, 5, 4), affine_of("LPS", (1, 1.5, 4), (10, 0, 0)))


def series_at(folder: Path, value: float = 0, **options: bool) -> ImageSeries:
    """Three volumes of one second each, the last with one odd voxel."""
    values = np.broadcast_to(np.arange(120, dtype=np.float32).reshape(6, 5, 4, 1), (6, 5, 4, 3)).copy()
    values[0, 0, 0, 2] = value
    write_volume(folder / "x.nii.gz", values, OBLIQUE, time_step=1, unit="s")
    return ImageSeries.from_paths(folder / "x.nii.gz", frames=slice(1, 3), **options)  # type: ignore[arg-type]


def test_the_description_has_stable_keys_and_the_stored_grid(tmp_path: Path) -> None:
    description = describe(series_at(tmp_path, 1000))
    assert list(description) == [
        "n_scans", "n_given", "time_unit", "times", "grid", "dtype", "memory_bytes", "intensity",
        "scans", "notes",
    ]  # fmt: skip
    assert (description["n_scans"], description["n_given"], description["times"]) == (2, 3, [1, 2])
    grid = description["grid"]
    assert (grid["shape"], grid["orientation"], grid["oblique"]) == ([6, 5, 4], "LPS", True)
    assert grid["spacing_mm"] == pytest.approx([1, 1.5, 4])
    assert grid["oblique_degrees"] == pytest.approx(10, abs=0.01)
    np.testing.assert_allclose(grid["affine"], OBLIQUE.affine, atol=1e-5)
    assert description["memory_bytes"] == 2 * 120 * 4
    assert description["intensity"]["max"] == 1000
    assert description["intensity"]["high"] < 1000
    assert set(description["scans"][0]) == {
        "index", "frame", "name", "path", "volume", "time", "time_source", "orientation", "intensity",
    }  # fmt: skip
    assert json.loads(json.dumps(description)) == description


def test_one_scan_is_in_memory_at_a_time(tmp_path: Path) -> None:
    series = series_at(tmp_path)
    series.scans[1].image.numpy()
    describe(series)
    assert [s.image.is_loaded for s in series.scans] == [False, True]


def test_the_text_names_every_scan_and_where_its_time_came_from(tmp_path: Path) -> None:
    text = format_description(describe(series_at(tmp_path)))
    assert "6 x 5 x 4 voxels of 1 x 1.5 x 4 mm" in text
    assert "stored LPS, 10.0 degrees oblique" in text
    assert "2 of 3 given" in text
    assert text.count("header of x.nii.gz, step 1 s") == 2
    assert "x.nii.gz[2]" in text
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_holes_are_an_error_and_a_note_once_mended(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not finite"):
        describe(series_at(tmp_path, float("nan")))
    description = describe(series_at(tmp_path, float("nan"), nan_to_zero=True))
    assert description["notes"] == ["x.nii.gz[2]: 1 voxel that is not finite (NaN or infinite): 0 was put there"]
    assert "note: x.nii.gz[2]" in format_description(description)
