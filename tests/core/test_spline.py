"""Cubic splines through the voxels: SimpleITK as the oracle, and what holds at voxels, borders and for any threads."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from noder.grid import sample_at_index
from noder.spline import Spline

SHAPE = (14, 17, 11)


@pytest.fixture
def volume() -> torch.Tensor:
    return torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0)) * 900 - 100


def points(n: int = 500, beyond: float = 0.0) -> torch.Tensor:
    random = torch.rand(n, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return random * (torch.tensor(SHAPE) - 1 + 2 * beyond) - beyond


def test_equals_the_bspline_of_simpleitk(volume: torch.Tensor) -> None:
    image = sitk.GetImageFromArray(volume[0].numpy().astype(float).transpose(2, 1, 0))
    where = points()
    resampled = [
        sitk.Resample(image, [1, 1, 1], sitk.Transform(), sitk.sitkBSpline3, p, [1, 1, 1])[0, 0, 0]
        for p in where.tolist()
    ]
    low, high = float(volume.min()), float(volume.max())
    assert np.abs(Spline(volume).at(where)[0].numpy() - np.clip(resampled, low, high)).max() < 1e-3


def test_the_voxels_are_kept(volume: torch.Tensor) -> None:
    spline = Spline(volume)
    whole = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in SHAPE), indexing="ij"), dim=-1)
    assert torch.equal(spline.at(whole).float(), volume)
    near = spline.at((whole + 1e-7).reshape(-1, 3))
    assert torch.allclose(near, volume.reshape(1, -1).double(), atol=0.01)


def test_the_border_goes_on_and_the_range_is_kept(volume: torch.Tensor) -> None:
    spline = Spline(volume)
    outside = torch.tensor([[-5.0, 3.0, 4.0], [20.0, 3.0, 30.0]], dtype=torch.float64)
    edge = sample_at_index(volume.double(), outside)
    assert torch.allclose(spline.at(outside), edge, atol=1e-3)
    step = torch.zeros(1, *SHAPE)
    step[:, 7:] = 100.0
    values = Spline(step).at(points(5000, beyond=2.0))
    assert float(values.min()) >= 0.0
    assert float(values.max()) <= 100.0


def test_a_wave_is_read_ten_times_better_than_linearly() -> None:
    x = torch.arange(40).double()
    wave = torch.sin(2 * math.pi * x / 8)[None, :, None, None].expand(1, 40, 4, 4).contiguous()
    where = torch.tensor([[k + 0.5, 1.5, 1.5] for k in range(8, 32)], dtype=torch.float64)
    true = torch.sin(2 * math.pi * where[:, 0] / 8)
    error = float((Spline(wave).at(where)[0] - true).abs().max())
    assert error < 0.1 * float((sample_at_index(wave, where)[0] - true).abs().max())


def test_threads_change_nothing(volume: torch.Tensor) -> None:
    where, before = points(50_000), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = Spline(volume).at(where)
        torch.set_num_threads(3)
        assert torch.equal(Spline(volume).at(where), one)
    finally:
        torch.set_num_threads(before)


def test_an_axis_of_one_voxel() -> None:
    flat = torch.arange(12.0).reshape(1, 3, 4, 1)
    assert Spline(flat).at(torch.tensor([[1.0, 2.0, 0.4]], dtype=torch.float64)).item() == pytest.approx(6.0)
