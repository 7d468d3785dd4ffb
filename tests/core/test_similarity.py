"""Local NCC against a plain float64 reference, and the traps of float32."""

import numpy as np
import pytest
import torch
from engine_kit import box_grid, texture

from noder.similarity import LocalNCC, stable_sum


def plain_ncc(fixed: np.ndarray, moved: np.ndarray, weight: np.ndarray, width: int, floor: float) -> float:
    """1 - squared local NCC, window by window in float64; windows are cut at the border."""
    total, r = 0.0, width // 2
    for index in np.ndindex(fixed.shape):
        box = tuple(slice(max(0, i - r), i + r + 1) for i in index)
        f, m = fixed[box].astype(np.float64), moved[box].astype(np.float64)
        cross = (f * m).mean() - f.mean() * m.mean()
        total += weight[index] * cross**2 / ((f.var() + floor) * (m.var() + floor))
    return 1 - total


def weights(shape: tuple[int, ...]) -> torch.Tensor:
    weight = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    return weight / weight.sum()


def test_local_ncc_equals_the_plain_definition_and_its_gradient() -> None:
    grid = box_grid(10)
    fixed, moved = texture(grid, 1) / 300, texture(grid, 7) / 300
    weight, ncc = weights(grid.shape), LocalNCC((5, 5, 5))
    moved.requires_grad_()
    loss = ncc(ncc.prepare(fixed), moved, weight)
    plain = plain_ncc(fixed[0].numpy(), moved[0].detach().numpy(), weight.numpy(), 5, ncc.floor)
    assert float(loss.detach()) == pytest.approx(plain, abs=2e-5)
    (gradient,) = torch.autograd.grad(loss, moved)
    for index in [(0, 0, 0), (4, 5, 6), (9, 2, 7)]:
        stepped = [moved[0].detach().numpy().copy() for _ in range(2)]
        stepped[0][index] += 1e-2
        stepped[1][index] -= 1e-2
        up, down = (plain_ncc(fixed[0].numpy(), s, weight.numpy(), 5, ncc.floor) for s in stepped)
        assert float(gradient[0][index]) == pytest.approx((up - down) / 2e-2, abs=3e-6)


def test_it_does_not_see_gain_and_offset() -> None:
    grid = box_grid(12)
    fixed, weight, ncc = texture(grid) / 300, weights((12, 12, 12)), LocalNCC((9, 9, 9), floor=1e-6)
    loss = ncc(ncc.prepare(fixed), 3 * fixed - 1, weight)
    assert float(loss) == pytest.approx(0, abs=1e-3)


def test_flat_bright_background_gives_no_gradient_from_rounding() -> None:
    """Ten standard deviations off the mean: naive float32 sums give negative variances there; training diverges."""
    fixed = torch.full((1, 16, 16, 16), 10.0) + torch.rand(1, 16, 16, 16) * 1e-4
    moved = (torch.full((1, 16, 16, 16), 10.0) + torch.rand(1, 16, 16, 16) * 1e-4).requires_grad_()
    ncc = LocalNCC((9, 9, 9))
    loss = ncc(ncc.prepare(fixed), moved, torch.full((16, 16, 16), 1 / 16**3))
    (gradient,) = torch.autograd.grad(loss, moved)
    assert float(loss.detach()) == pytest.approx(1, abs=1e-3)
    assert float(gradient.abs().max()) < 1e-4


def test_only_the_weighted_part_counts() -> None:
    grid = box_grid(16)
    fixed = texture(grid) / 300
    moved = fixed.clone()
    moved[:, 12:] = texture(grid, 11)[:, 12:] / 300
    weight = torch.zeros(16, 16, 16)
    weight[:7] = 1 / (7 * 256)
    ncc = LocalNCC((7, 7, 7), floor=1e-6)
    assert float(ncc(ncc.prepare(fixed), moved, weight)) == pytest.approx(0, abs=1e-3)


def test_sums_are_bit_equal_for_one_and_two_threads() -> None:
    values = torch.randn(70, 80, 90, generator=torch.Generator().manual_seed(0))
    before = torch.get_num_threads()
    try:
        sums = []
        for n in (1, 2):
            torch.set_num_threads(n)
            sums.append(float(stable_sum(values)))
    finally:
        torch.set_num_threads(before)
    assert sums[0] == sums[1]
    assert sums[0] == pytest.approx(float(values.double().sum()), rel=1e-6)
