"""How long a cycle is and who says so; how nearly a known map closes it; voxels left out evenly."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_kit import box_grid
from sample_grids import noise

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.errors import InputError
from noder.grid import Grid
from noder.image import write_volume
from noder.periods import jump_at, known_period
from noder.series import ImageSeries
from noder.thinned import thinned
from noder.trajectory import Trajectory


@pytest.fixture
def cine(tmp_path: Path) -> Path:
    """Six phases, 40 ms apart, in one file."""
    grid = box_grid(8, 1.0)
    volumes = np.stack([noise(grid, k)[0].numpy() for k in range(6)], axis=-1)
    return write_volume(tmp_path / "cine.nii.gz", volumes, grid, time_step=40.0, unit="ms") or tmp_path / "cine.nii.gz"


def test_without_a_sidecar_all_volumes_of_one_file_may_be_a_cycle_and_that_is_said(cine: Path) -> None:
    found = known_period(ImageSeries.from_paths([cine], frames=slice(1, 5)))
    assert found is not None
    assert found.length == pytest.approx(240.0)  # of all six volumes, though four of them are looked at
    assert not found.stated
    assert found.source == "6 volumes of 40 ms, if they are one whole cycle"


def test_a_sidecar_states_the_period_and_its_unit_is_turned_into_that_of_the_series(cine: Path) -> None:
    (cine.parent / "cine.json").write_text(json.dumps({"TimeUnit": "s", "Period": 0.4}))
    series = ImageSeries.from_paths([cine])
    found = known_period(series)
    assert found is not None
    assert series.unit == "ms"
    assert found.length == pytest.approx(400.0)
    assert found.stated
    assert series.times[-1] == pytest.approx(200.0)  # the sidecar has no times, so the header's stay
    named_anew = known_period(series.with_times(range(6), "index"))
    assert named_anew is not None
    assert not named_anew.stated  # 0.4 s says nothing about steps without a measure


@pytest.mark.parametrize("value", [0, -3, "long", None])
def test_a_period_that_is_no_length_is_told_with_its_file(cine: Path, value: object) -> None:
    (cine.parent / "cine.json").write_text(json.dumps({"TimeUnit": "s", "Period": value}))
    with pytest.raises(InputError, match=r"cine\.json: Period '.*' is no length of time"):
        known_period(ImageSeries.from_paths([cine]))


def test_uneven_times_and_loose_files_tell_no_period(cine: Path, tmp_path: Path) -> None:
    assert known_period(ImageSeries.from_paths([cine], times=[0, 1, 2, 3, 4, 6])) is None
    grid = box_grid(8, 1.0)
    for k in range(3):
        write_volume(tmp_path / f"v{k}.nii.gz", noise(grid, k)[0].numpy(), grid)
    assert known_period(ImageSeries.from_paths([tmp_path / f"v{k}.nii.gz" for k in range(3)])) is None


def test_the_jump_of_a_known_shift_is_its_length_and_says_where_no_scan_was() -> None:
    """The map shifts by 3 mm along x and 4 mm along y a unit of time, to the last scan at t = 2."""
    grid = box_grid(20, 1.0)
    decoder = Decoder.in_mm(grid, 4.0, 4.0)
    c = torch.zeros(3, *decoder.shape)
    c[0], c[1] = 3.0, 4.0
    flat = torch.zeros(1, *grid.shape)
    scans = [SeenScan(0, 1.0, "a", flat), SeenScan(1, 2.0, "b", flat)]
    trajectory = Trajectory(decoder, lambda t: (t - 1.0) * c, scans, "s")
    mask = np.zeros(grid.shape, bool)
    mask[4:16, 4:16, 4:16] = True
    found = jump_at(trajectory, 0.8, mask)
    assert found.mean_mm == pytest.approx(4.0, rel=1e-3)
    assert found.max_mm == pytest.approx(4.0, rel=1e-3)
    assert not found.extrapolated
    later = jump_at(trajectory, 1.4, mask)
    assert later.mean_mm == pytest.approx(7.0, rel=1e-3)
    assert later.extrapolated


@pytest.mark.parametrize("turned", [False, True])
def test_voxels_that_are_left_are_voxels_of_the_whole_and_even_in_mm(turned: bool) -> None:
    affine = np.diag([0.5, 0.5, 2.0, 1.0])
    if turned:
        a = np.radians(30)
        affine[:3, :3] = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ affine[:3, :3]
    affine[:3, 3] = 7, -3, 11
    grid = Grid((41, 30, 9), affine)
    few = thinned(grid, 1500)
    assert few.strides == (3, 3, 1)
    place = grid.indices().numpy()
    assert few.pick(np.moveaxis(place, -1, 0)).shape[1:] == few.grid.shape
    np.testing.assert_allclose(
        few.grid.points().numpy(), few.pick(np.moveaxis(grid.points().numpy(), -1, 0)).transpose(1, 2, 3, 0)
    )
    assert thinned(grid, 10**6).strides == (1, 1, 1)
    lost = np.zeros(grid.shape, bool)
    lost[1, 1, 0] = True
    assert few.pick_mask(lost).all()
