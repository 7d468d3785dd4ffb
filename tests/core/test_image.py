"""Images: orientation, laziness, voxels that are not finite, resampling."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sample_grids import CODES, affine_of

from noder.errors import InputError
from noder.formats import write_volume
from noder.grid import Grid
from noder.image import Image


@given(
    code=st.sampled_from(CODES),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    degrees=st.tuples(*[st.floats(-20, 20)] * 3),
)
def test_reorientation_is_lossless_and_keeps_every_voxel_in_its_place(
    code: str, shape: tuple[int, int, int], degrees: tuple[float, float, float]
) -> None:
    stored = Grid(shape, affine_of(code, (0.7, 1.3, 2.9), degrees))
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = Image.from_array(values, stored, "any")
    assert image.grid.orientation == "RAS"
    np.testing.assert_array_equal(image.to_stored(image.numpy()), values)
    np.testing.assert_array_equal(image.to_stored(image.tensor()).numpy()[0], values)
    # the voxel at a point in mm is the same one before and after
    index = np.argwhere(np.ones(shape, bool)).astype(float)
    there = np.rint(image.grid.to_index(stored.to_mm(index))).astype(int)
    np.testing.assert_array_equal(image.numpy()[tuple(there.T)], values.ravel())


def test_only_the_header_is_read_until_voxels_are_used(tmp_path: Path) -> None:
    grid = Grid((6, 5, 4), np.diag([1, 2, 3, 1]))
    write_volume(tmp_path / "a.nii", np.ones((6, 5, 4)), grid)
    image = Image.open(tmp_path / "a.nii")
    assert not image.is_loaded
    assert (image.grid.shape, image.n_bytes) == ((6, 5, 4), 480)
    assert not image.is_loaded
    first = image.numpy()
    assert image.numpy() is first
    assert image.tensor().data_ptr() == first.ctypes.data
    assert image.tensor().shape == (1, 6, 5, 4)
    image.release()
    assert not image.is_loaded
    np.testing.assert_array_equal(image.numpy(), first)


def test_what_is_shown_is_contiguous_float32(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii", np.ones((6, 5, 4)), Grid((6, 5, 4), affine_of("SLP", (1, 1, 1))), dtype=np.int16)
    values = Image.open(tmp_path / "a.nii").numpy()
    assert values.dtype == np.float32
    assert values.dtype.isnative
    assert values.flags.c_contiguous


def test_threads_get_one_array(tmp_path: Path) -> None:
    nib.save(
        nib.Nifti1Image(np.random.default_rng(0).random((20, 20, 20, 8), np.float32), np.eye(4)),
        tmp_path / "a.nii.gz",
    )
    images = [Image.open(tmp_path / "a.nii.gz", k) for k in range(8)] * 4
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(Image.numpy, images))
    assert len({id(a) for a in arrays}) == 8


def test_a_series_needs_its_volume_named(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3, 4), np.float32), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"a\.nii holds 4 volumes"):
        Image.open(tmp_path / "a.nii")
    for volume in (4, -1):
        with pytest.raises(InputError, match=rf"a\.nii has no volume {volume}"):
            Image.open(tmp_path / "a.nii", volume)
    assert Image.open(tmp_path / "a.nii", 3).name == "a.nii[3]"


def with_holes(path: Path) -> Path:
    """An image with a NaN, both infinities, and a double that float32 cannot hold."""
    values = np.ones((4, 4, 4))
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2], values[3, 3, 3] = np.nan, np.inf, -np.inf, 1e300
    nib.save(nib.Nifti1Image(values, np.eye(4)), path)
    return path


def test_voxels_that_are_not_finite_are_counted_and_have_a_remedy(tmp_path: Path) -> None:
    image = Image.open(with_holes(tmp_path / "holes.nii.gz"))
    with pytest.raises(InputError, match=r"holes\.nii\.gz has 4 voxels that are not finite") as caught:
        image.numpy()
    assert caught.value.remedy == "nan_to_zero"
    assert not image.is_loaded


def test_they_are_replaced_by_zero_on_request_with_a_note(tmp_path: Path) -> None:
    path = with_holes(tmp_path / "holes.nii.gz")
    for image in (Image.open(path, nan_to_zero=True), Image.open(path).replacing_nan()):
        assert image.numpy().sum() == 60
        assert np.isfinite(image.numpy()).all()
        assert any("4 voxels" in note for note in image.notes)


def test_resampling_puts_values_where_they_belong() -> None:
    fine = Grid((20, 18, 16), affine_of("LPS", (1, 1.2, 1.5), (5, 3, -8)))
    points = fine.points()
    image = Image.from_array(points @ torch.tensor([1.0, 2, 3], dtype=torch.float64), fine, "ramp")
    inside = Grid((5, 4, 3), affine_of("ASR", (2, 1.5, 2)))
    centred = inside.affine.copy()
    centred[:3, 3] += fine.corners_mm.mean(axis=0) - inside.corners_mm.mean(axis=0)
    inside = Grid(inside.shape, centred)
    other = Image.from_array(np.zeros(inside.shape), inside, "first")
    moved = image.resampled_onto(other)
    assert not moved.is_loaded
    assert moved.grid.matches(other.grid, 1e-9)
    assert moved.stored_grid.matches(inside, 1e-9)
    expected = other.grid.points() @ torch.tensor([1.0, 2, 3], dtype=torch.float64)
    np.testing.assert_allclose(moved.numpy(), expected, atol=1e-3)
    assert moved.notes == ("resampled onto the grid of first (linear)",)


def test_resampling_says_how_much_lies_outside_and_goes_on_there() -> None:
    small = Image.from_array(np.full((4, 4, 4), 7.0), Grid((4, 4, 4), np.eye(4)), "small")
    big = Image.from_array(np.zeros((8, 4, 4)), Grid((8, 4, 4), np.eye(4)), "big")
    moved = small.resampled_onto(big)
    assert "50% of that grid lies outside" in moved.notes[0]
    assert moved.numpy().min() == 7


def test_resampling_keeps_the_remedy_for_holes(tmp_path: Path) -> None:
    image = Image.open(with_holes(tmp_path / "holes.nii"))
    target = Image.from_array(np.zeros((4, 4, 4)), Grid((4, 4, 4), np.eye(4)), "first")
    moved = image.resampled_onto(target)
    with pytest.raises(InputError, match=r"holes\.nii"):
        moved.numpy()
    mended = moved.replacing_nan()
    assert np.isfinite(mended.numpy()).all()
    assert any("4 voxels" in note for note in mended.notes)


def test_an_array_must_fit_its_grid() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Image.from_array(np.zeros((2, 2, 2)), Grid((3, 2, 2), np.eye(4)), "bad")
