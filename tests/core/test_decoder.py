"""The linear decoder: box average of linear upsampling, at voxels and between them."""

import numpy as np
import pytest
import torch
from engine_kit import box_grid

from noder.decoder import Decoder, aligned_axes, apply_separable
from noder.grid import Grid


def plain_row(decoder: Decoder, axis: int, index: float, n: int) -> np.ndarray:
    """The box average of each control point's hat by brute force."""
    h, w = decoder.spacing[axis], decoder.width[axis]
    inside = int(np.ceil((decoder.grid.shape[axis] - 1) / h - 1e-9))
    beyond = (n - inside - 1) // 2
    points = ((decoder.grid.shape[axis] - 1) - inside * h) / 2 + h * np.arange(-beyond, inside + beyond + 1)
    samples = index - w / 2 + w * (np.arange(40_000) + 0.5) / 40_000
    return np.maximum(0, 1 - np.abs(samples[:, None] - points) / h).mean(0)


@pytest.mark.parametrize(("spacing", "width"), [(5.0, 10.0), (3.3, 2.0), (1.0, 0.5), (4.0, 15.0)])
def test_a_row_is_the_box_average_of_the_hats(spacing: float, width: float) -> None:
    decoder = Decoder(box_grid(), (spacing,) * 3, (width,) * 3)
    matrix = decoder.matrices()[0].numpy()
    for index in (0, 7, 23):
        assert np.allclose(matrix[index], plain_row(decoder, 0, index, matrix.shape[1]), atol=2e-5)


def test_equal_coefficients_decode_to_a_constant_up_to_the_faces() -> None:
    decoder = Decoder(box_grid(), (5.0, 3.7, 6.2), (10.0, 8.0, 15.0))
    u = apply_separable(decoder.matrices(), torch.full((3, *decoder.shape), 2.5))
    assert torch.allclose(u, torch.full_like(u, 2.5), atol=1e-5)


def test_between_voxels_the_field_is_linear() -> None:
    decoder = Decoder(box_grid(), (5.0,) * 3, (10.0,) * 3)
    at = decoder.rows(0, np.array([4.0, 4.25, 5.0]))
    assert np.allclose(at[1], 0.75 * at[0] + 0.25 * at[2], atol=1e-12)


def test_slopes_are_central_differences_of_the_rows() -> None:
    decoder = Decoder(box_grid(), (5.0,) * 3, (10.0,) * 3)
    index = np.array([0.0, 9.0, 23.0])
    slopes, rows = decoder.slopes(1, index), decoder.rows(1, np.arange(24.0))
    assert np.allclose(slopes, [rows[1] - rows[0], (rows[10] - rows[8]) / 2, rows[23] - rows[22]], atol=1e-12)


def test_matrix_products_equal_the_full_tensor_product() -> None:
    decoder = Decoder(Grid((17, 20, 23), np.diag([1.0, 2.0, 3.0, 1.0])), (4.0, 3.0, 5.0), (6.0, 3.0, 9.0))
    c = torch.randn(3, *decoder.shape, generator=torch.Generator().manual_seed(0))
    whole = torch.einsum("ia,jb,kc,dabc->dijk", *decoder.matrices(), c)
    assert torch.allclose(apply_separable(decoder.matrices(), c), whole, atol=1e-4)
    for axis in range(3):
        part = apply_separable(decoder.matrices(decoder.grid.slice(axis, 5)), c)
        assert torch.allclose(part, whole.narrow(axis + 1, 5, 1), atol=1e-4)


def test_control_points_are_never_finer_than_the_voxels() -> None:
    grid = Grid((32, 32, 20), np.diag([0.8, 0.8, 5.0, 1.0]))
    assert Decoder.in_mm(grid, 4.0, 8.0).spacing == pytest.approx((5.0, 5.0, 1.0))


def test_a_turned_grid_is_not_aligned() -> None:
    grid = box_grid()
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]]
    assert aligned_axes(grid, Grid(grid.shape, turn @ grid.affine)) is None
    shifted = aligned_axes(grid, grid.coarsen((2, 2, 2)))
    assert shifted is not None
    assert shifted[0][:2].tolist() == [0.5, 2.5]
