"""DisplacementField: composition, inversion, Jacobians and folds against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sample_grids import GRIDS, affine_field, affine_of, all_corners_inside, interior, noise, smooth_field
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from noder.fields import DisplacementField
from noder.grid import Grid

MATRICES = {
    "growth": np.diag([1.1, 1.1, 1.1]),
    "shear": np.array([[1.0, 0.2, 0.0], [0.0, 1.0, -0.1], [0.15, 0.0, 1.0]]),
    "turned": Rotation.from_euler("zyx", (8, -5, 12), degrees=True).as_matrix() @ np.diag([0.9, 1.2, 1.05]),
}


@pytest.mark.parametrize("kind", MATRICES)
@pytest.mark.parametrize("name", GRIDS)
def test_the_jacobian_of_an_affine_map_is_its_determinant(name: str, kind: str) -> None:
    field = affine_field(GRIDS[name], MATRICES[kind])
    expected = torch.full(GRIDS[name].shape, float(np.linalg.det(MATRICES[kind])), dtype=torch.float64)
    assert torch.allclose(field.jacobian_determinant(), expected, atol=1e-10)
    assert torch.allclose(field.corner_determinant(), expected, atol=1e-10)
    single = affine_field(GRIDS[name], MATRICES[kind], torch.float32)
    assert torch.allclose(single.jacobian_determinant(), expected.float(), atol=2e-4)
    assert field.folds() == 0


@pytest.mark.parametrize("name", GRIDS)
def test_a_reflection_folds_everywhere(name: str) -> None:
    field = affine_field(GRIDS[name], np.diag([-1.0, 1.0, 1.0]))
    assert field.folds() == GRIDS[name].n_voxels
    mask = torch.zeros(GRIDS[name].shape, dtype=torch.bool)
    mask[3, 4, 5] = True
    assert field.folds(mask) == 1


def brute_force_corners(field: DisplacementField) -> torch.Tensor:
    """The smallest determinant of the trilinear map over the eight cells' corners, in plain loops."""
    index = field.grid.to_index(field.points()).numpy()
    shape = field.grid.shape
    out = np.full(shape, np.inf)
    for at in np.ndindex(*shape):
        for signs in np.ndindex(2, 2, 2):
            columns = []
            for axis, sign in enumerate(signs):
                a = list(at)
                # at a border only the inner cell exists
                low = at[axis] - (1 - sign)
                low = min(max(low, 0), shape[axis] - 2)
                a[axis] = low
                b = list(a)
                b[axis] = low + 1
                columns.append(index[tuple(b)] - index[tuple(a)])
            out[at] = min(out[at], np.linalg.det(np.stack(columns, axis=1)))
    return torch.from_numpy(out)


def test_corner_determinants_equal_a_brute_force_count() -> None:
    grid = Grid((5, 6, 4), affine_of("SLP", (1.0, 2.0, 3.0), (10, -20, 30)))
    u = 3 * torch.randn((3, *grid.shape), dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    field = DisplacementField(u, grid)
    expected = brute_force_corners(field)
    assert torch.allclose(field.corner_determinant(), expected, atol=1e-9)
    assert field.folds() == int((expected <= 0).sum()) > 0


def test_eight_corners_see_a_fold_that_forward_differences_miss() -> None:
    """Rows of 2-D shears: each forward determinant is positive, a corner with mixed sides is not."""
    grid = Grid((6, 6, 3), affine_of("RAS", (1.0, 1.0, 1.0)))
    u = torch.zeros((3, *grid.shape), dtype=torch.float64)
    # at (3,3): du_y/dx is +1.5 behind and 0 in front, du_x/dy 0.9 behind and in front of the same row
    u[0, :, :, :] = 0.9 * torch.arange(6, dtype=torch.float64)[None, :, None]
    u[1, 3:] = 1.5
    forward = u.new_ones(grid.shape)
    dx = torch.cat([u.diff(dim=1), u.diff(dim=1)[:, -1:]], 1)
    dy = torch.cat([u.diff(dim=2), u.diff(dim=2)[:, :, -1:]], 2)
    forward = (1 + dx[0]) * (1 + dy[1]) - dx[1] * dy[0]
    field = DisplacementField(u, grid)
    at = (3, 3, 1)
    assert float(forward[at]) > 0
    assert float(field.corner_determinant()[at]) < 0
    assert field.folds() > int((forward <= 0).sum())


@pytest.mark.parametrize("name", GRIDS)
def test_composition_of_affine_maps(name: str) -> None:
    """Linear fields are interpolated exactly, so composing is a product of matrices inside the grid."""
    grid = GRIDS[name]
    a, b = np.diag([1.02, 0.98, 1.01]), MATRICES["shear"] * 0.02 + np.eye(3) * 0.98
    both = affine_field(grid, a).compose(affine_field(grid, b))
    want = affine_field(grid, a @ b)
    inside = all_corners_inside(grid, affine_field(grid, b).points())
    assert float(inside.double().mean()) > 0.7
    assert float((both.u - want.u)[:, inside].abs().max()) < 1e-9


def test_compose_is_self_after_inner_on_the_inner_grid() -> None:
    outer, inner = smooth_field(GRIDS["oblique"]), smooth_field(GRIDS["oblique"].slice(2, 6), 1.0)
    both = outer.compose(inner)
    assert both.grid is inner.grid
    points = inner.points()
    assert torch.allclose(both.points(), points + outer.at(points), atol=1e-5)


@pytest.mark.parametrize("name", GRIDS)
def test_an_inverse_undoes_the_field(name: str) -> None:
    grid = GRIDS[name]
    field = smooth_field(grid)
    inverse, residual = field.invert()
    assert residual < 1e-3
    box = interior(grid, 3)
    loop = field.compose(inverse).u[(slice(None), *box)]
    assert float(loop.norm(dim=0).max()) < 2e-3
    assert float(inverse.compose(field).u[(slice(None), *box)].norm(dim=0).max()) < 0.05 * min(grid.spacing)


def test_the_inverse_of_a_strong_stretch_converges() -> None:
    """A map that stretches threefold: the plain fixed-point iteration diverges."""
    grid = Grid((24, 10, 10), affine_of("RAS", (1.0, 1.0, 1.0)))
    field = affine_field(grid, np.diag([3.0, 1.0, 1.0]))
    inverse, residual = field.invert()
    assert residual < 1e-2
    want = affine_field(grid, np.diag([1 / 3, 1.0, 1.0]))
    assert float((inverse.u - want.u).abs().max()) < 1e-2


def test_the_residual_says_where_an_inverse_was_not_found() -> None:
    """A fold has no inverse everywhere, and the residual must not hide it."""
    grid = Grid((20, 8, 8), affine_of("RAS", (1.0, 1.0, 1.0)))
    u = torch.zeros((3, *grid.shape), dtype=torch.float64)
    u[0] = torch.where(torch.arange(20)[:, None, None] < 10, 0.0, 6.0)
    _, residual = DisplacementField(u, grid).invert()
    assert residual >= 0  # a jump is a stretch: still continuous, still invertible
    assert residual < 1e-2
    _, residual = DisplacementField(torch.full_like(u, 100.0), grid).invert()
    assert np.isfinite(residual)


@pytest.mark.parametrize("name", GRIDS)
def test_warp_equals_scipy(name: str) -> None:
    grid, moving_grid = GRIDS[name], GRIDS["RAS"]
    field = smooth_field(grid, 2.0)
    moving = noise(moving_grid)
    index = moving_grid.to_index(field.points()).numpy()
    want = map_coordinates(moving[0].numpy(), np.moveaxis(index, -1, 0), order=1, mode="nearest")
    assert np.abs(field.warp(moving, moving_grid)[0].numpy() - want).max() < 1e-5


def test_a_field_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        DisplacementField(torch.zeros((3, 2, 2, 2)), GRIDS["RAS"])
