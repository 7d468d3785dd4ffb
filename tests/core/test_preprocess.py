"""Masks, and gain and offset that do not take anatomy for brightness."""

import numpy as np
import pytest
import torch
from engine_kit import box_grid
from scipy import ndimage

from noder import preprocess
from noder.errors import InputError
from noder.grid import Grid
from noder.image import write_volume
from noder.preprocess import Gain, foreground, match, read_mask, standardised


def ball(grid: Grid, radius: float) -> np.ndarray:
    centre = torch.tensor([(n - 1) / 2 for n in grid.shape])
    return ((grid.indices() - centre).norm(dim=-1) < radius).numpy()


def test_gain_and_offset_are_found_exactly() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(100, 20, (12, 12, 12)).astype(np.float32)
    gain = match(((truth - 7) / 1.25).astype(np.float32), truth, np.ones(truth.shape, bool))
    assert (gain.gain, gain.offset) == (pytest.approx(1.25, rel=1e-5), pytest.approx(7, abs=1e-3))
    assert torch.equal(Gain()(torch.ones(2)), torch.ones(2))


def test_the_mask_covers_bright_tissue_with_a_margin_and_leaves_air() -> None:
    grid = box_grid(32)
    inside = ball(grid, 9)
    volume = np.where(inside, 500, 20).astype(np.float32)
    mask = foreground([volume, volume], grid)
    assert mask[inside].all()
    assert not mask[~ball(grid, 18)].any()


def test_the_margin_is_that_of_the_whole_volume_also_at_its_edge_and_on_flat_voxels() -> None:
    """It is looked for in the box of the bright voxels alone."""
    grid = Grid((30, 24, 9), np.diag([1.0, 1.5, 4.0, 1.0]))
    bright = np.zeros(grid.shape, dtype=bool)
    bright[0, 20:, 4] = bright[12:14, 3, 2] = True
    expected = ndimage.distance_transform_edt(~bright, sampling=grid.spacing) <= 5.0
    np.testing.assert_array_equal(preprocess._widened(bright, 5.0, grid), expected)


def test_ct_with_negative_air_is_masked_too() -> None:
    grid = box_grid(32)
    volume = np.where(ball(grid, 9), 40, -1000).astype(np.float32)
    mask = foreground([volume], grid)
    assert mask[ball(grid, 9)].all()
    assert mask.mean() < 0.6


def test_a_mask_on_another_grid_is_resampled_and_said_so(tmp_path) -> None:
    grid, fine = box_grid(16, 2.0), box_grid(32, 1.0)
    inside = np.zeros(fine.shape, np.float32)
    inside[:16] = 1
    write_volume(tmp_path / "mask.nii.gz", inside, fine)
    mask, notes = read_mask(tmp_path / "mask.nii.gz", grid)
    assert mask[:8].all()
    assert not mask[8:].any()
    assert "mask.nii.gz" in notes[0]


def test_empty_masks_and_constant_images_are_named(tmp_path) -> None:
    grid = box_grid(16)
    write_volume(tmp_path / "nothing.nii.gz", np.zeros(grid.shape, np.float32), grid)
    with pytest.raises(InputError, match=r"nothing\.nii\.gz"):
        read_mask(tmp_path / "nothing.nii.gz", grid)
    with pytest.raises(InputError, match="7"):
        standardised(np.full((4, 4, 4), 7, np.float32), np.ones((4, 4, 4), bool))
