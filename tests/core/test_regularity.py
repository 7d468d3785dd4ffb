"""Penalties in mm, whatever the voxels are."""

import numpy as np
import pytest
import torch
from sample_grids import GRIDS, smooth_field

from noder.fields import DisplacementField, determinant
from noder.grid import Grid
from noder.regularity import Boundary, Folding, Smoothness

STRETCH = torch.tensor([[0.1, 0.02, 0.0], [0.0, -0.05, 0.03], [0.01, 0.0, 0.2]], dtype=torch.float64)


@pytest.mark.parametrize("name", GRIDS)
def test_smoothness_of_an_affine_map_is_its_squared_gradient_on_any_grid(name: str) -> None:
    grid = GRIDS[name]
    u = (grid.points() @ STRETCH.T).movedim(-1, 0)
    assert float(Smoothness()(u, grid)) == pytest.approx(float((STRETCH**2).sum()), rel=1e-6)


def test_boundary_is_the_mean_square_on_the_faces_alone() -> None:
    grid = Grid((8, 9, 10), np.diag([1.0, 2.0, 3.0, 1.0]))
    u = torch.zeros(3, *grid.shape)
    u[:, 1:-1, 1:-1, 1:-1] = 100
    assert float(Boundary()(u, grid)) == 0
    assert float(Boundary()(torch.full_like(u, 2.0), grid)) == pytest.approx(12.0)


def plain_folding(u: torch.Tensor, grid: Grid, least: float) -> float:
    """Over all cells and their eight corners, in loops."""
    v = torch.einsum("ab,bijk->aijk", torch.as_tensor(grid.inverse_affine[:3, :3].copy()), u)
    total, count = 0.0, 0
    for cell in np.ndindex(*(n - 1 for n in grid.shape)):
        for ends in np.ndindex(2, 2, 2):
            corner = np.add(cell, ends)
            columns = []
            for axis in range(3):
                low, high = corner.copy(), corner.copy()
                low[axis], high[axis] = cell[axis], cell[axis] + 1
                columns.append(v[:, *high] - v[:, *low])
            total += max(0.0, least - float(determinant(columns))) ** 2
            count += 1
    return total / count


def test_folding_is_the_mean_shortfall_over_all_corners_and_has_its_gradient() -> None:
    grid = Grid((5, 4, 6), GRIDS["oblique LPI"].affine)
    u = torch.randn(3, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert float(Folding()(u, grid)) == pytest.approx(plain_folding(u, grid, Folding().least), rel=1e-9)
    assert torch.autograd.gradcheck(lambda v: Folding()(v, grid), u.requires_grad_(), eps=1e-7, atol=1e-6)


def test_a_map_without_narrow_corners_has_no_folding_penalty() -> None:
    grid = GRIDS["oblique"]
    field = smooth_field(grid, 0.5)
    assert float(Folding()(field.u, grid)) == 0
    folded = DisplacementField(field.u * 40, grid)
    assert folded.folds() > 0
    assert float(Folding()(folded.u, grid)) > 0


def test_the_gradient_of_many_folded_corners_is_the_same_each_time_with_two_threads() -> None:
    """Plain indexing adds its gradient in an order that varies with threads."""
    grid = Grid((48, 48, 48), np.eye(4))
    u = (3 * torch.randn(3, *grid.shape, generator=torch.Generator().manual_seed(4))).requires_grad_()
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        first, *others = [torch.autograd.grad(Folding()(u, grid), u)[0] for _ in range(4)]
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(first, other) for other in others)
