"""Folds at all eight corners and the errors of inverses."""

import numpy as np
import pytest
import torch
from engine_kit import box_grid
from sample_grids import GRIDS
from test_growth import of_kind
from test_trajectory import make

from noder import kernels
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.soundness import folded_slice, inverse_errors, soundness

KINDS = ["displacement", "exponential", "flow", "composed"]


@pytest.mark.parametrize("size", [0.1, 0.6, 1.5])
def test_the_kernel_finds_the_folds_and_the_smallest_corner_of_the_field(size: float) -> None:
    shape = (9, 11, 7)
    u = size * torch.rand(3, *shape, generator=torch.Generator().manual_seed(4))
    corners = DisplacementField(u, Grid(shape, np.eye(4))).corner_determinant()
    smallest, folded = kernels.corners(u.numpy())
    assert smallest == pytest.approx(float(corners.min()), rel=1e-4)
    assert np.array_equal(folded, (corners <= 0).numpy())
    assert folded.any() == (size > 0.5)


def test_one_fold_that_central_differences_do_not_see_is_counted() -> None:
    u = torch.zeros(3, 8, 8, 8)
    u[0, 4, 4, 4] = 1.2  # the voxel has passed its neighbour, which has not moved
    field = DisplacementField(u, Grid((8, 8, 8), np.eye(4)))
    assert float(field.jacobian_determinant().min()) > 0
    smallest, folded = kernels.corners(u.numpy())
    assert smallest == pytest.approx(-0.2)
    assert {tuple(place) for place in np.argwhere(folded)} == {(4, 4, 4), (5, 4, 4)}


@pytest.mark.parametrize("name", GRIDS)
def test_a_map_is_judged_as_its_field_is_on_any_grid(name: str) -> None:
    trajectory = make(GRIDS[name], size_mm=20.0)
    field = trajectory.field(trajectory.grid, 2.5)
    found = soundness(trajectory, 2.5)
    assert (found.time, found.folds) == (2.5, field.folds())
    assert found.folds > 0
    assert found.share == field.folds() / trajectory.grid.n_voxels
    assert found.smallest == pytest.approx(float(field.corner_determinant().min()), abs=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_shows_the_folds_of_the_volume(axis: int) -> None:
    trajectory = make(size_mm=20.0)
    folded = trajectory.field(trajectory.grid, 2.5).corner_determinant() <= 0
    n = trajectory.grid.shape[axis]
    for index in range(n):
        part = folded_slice(trajectory, 2.5, axis, index)
        assert torch.equal(part, folded.narrow(axis, index, 1)), index


@pytest.mark.parametrize("kind", KINDS)
def test_a_smooth_map_is_undone_by_its_inverse(kind: str) -> None:
    mean, largest = inverse_errors(of_kind(kind), 1.2)
    assert 0 <= mean <= largest < 0.02


def test_a_map_that_folds_is_not_undone() -> None:
    smooth, wild = (inverse_errors(make(box_grid(), size_mm=size), 2.5) for size in (1.0, 25.0))
    assert wild[1] > 20 * smooth[1]
    assert wild[0] <= wild[1]


def test_nothing_is_wrong_at_the_reference() -> None:
    found = soundness(make(), 0.0)
    assert (found.folds, found.share, found.inverse_mean_mm, found.inverse_max_mm) == (0, 0.0, 0.0, 0.0)
    assert found.smallest == pytest.approx(1.0)


def test_the_folds_are_the_same_without_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = make(size_mm=20.0)
    compiled = soundness(trajectory, 2.5)
    monkeypatch.setattr(kernels, "ENABLED", False)
    plain = soundness(trajectory, 2.5)
    assert compiled.folds == plain.folds
    assert compiled.smallest == pytest.approx(plain.smallest, abs=1e-4)
