"""Pairs to learn from: their deformation is the one between the images, it has its inverse, and chance repeats."""

from itertools import permutations, product

import pytest
import torch

from noder.fields import DisplacementField
from noder.grid import Grid
from noder.separable import tent_matrix
from noder.synthetic import known_pair, random_deformation, smooth_noise, standard, warped

EDGE = 65


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("seed", range(4))
def test_a_deformation_has_its_inverse_and_no_folds(seed: int) -> None:
    u, v = random_deformation(EDGE, chance(seed))
    there = (u + warped(v, u))[:, 8:-8, 8:-8, 8:-8].norm(dim=0)  # what leaves the cube has no way back
    assert float(u.norm(dim=0).mean()) > 0.2
    assert float(there.mean()) < 0.05 * float(u.norm(dim=0).mean())
    assert DisplacementField(u, Grid((EDGE,) * 3, torch.eye(4).numpy())).folds() == 0


def test_the_forward_map_pulls_moving_onto_fixed() -> None:
    """Where contrast is the same and nothing hides it, the pulled image is the fixed one."""
    better = []
    for seed in range(12):
        pair = known_pair(33, (), 0.0, chance(seed))
        inner = (slice(None), *(slice(4, -4),) * 3)
        images = [image[inner].flatten() for image in (pair.fixed, pair.moving, warped(pair.moving, pair.forward))]
        before, after = (float(torch.corrcoef(torch.stack([images[0], each]))[0, 1]) for each in images[1:])
        back = warped(pair.fixed, pair.inverse)[inner].flatten()
        inverse = float(torch.corrcoef(torch.stack([images[1], back]))[0, 1])
        better.append(abs(after) > abs(before) - 0.02 and abs(inverse) > abs(before) - 0.02)
    assert sum(better) >= 10  # in a quarter of them the colours are drawn anew


def test_pairs_of_given_images_are_made_of_them() -> None:
    given = smooth_noise(1, 33, 8, chance(0))
    pair = known_pair(33, [given], 1.0, chance(1))
    positions = product(permutations((1, 2, 3)), ([], [1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3]))
    places = [given.permute(0, *axes).flip(flips) for axes, flips in positions]
    alike = [float(torch.corrcoef(torch.stack([place.flatten(), pair.moving.flatten()]))[0, 1]) for place in places]
    assert max(alike) > 0.6  # shading, noise and contrast are its own
    assert sorted(alike)[-2] < 0.4


def test_equal_seeds_give_equal_pairs_and_others_do_not() -> None:
    one, same, other = (known_pair(33, (), 0.0, chance(seed)) for seed in (5, 5, 6))
    assert torch.equal(one.fixed, same.fixed)
    assert torch.equal(one.forward, same.forward)
    assert not torch.equal(one.fixed, other.fixed)


def test_images_have_mean_0_and_deviation_1_in_the_foreground() -> None:
    image, mask = torch.randn(1, 9, 9, 9, generator=chance(0)) * 7 + 40, torch.zeros(1, 9, 9, 9)
    mask[:, 2:7] = 1
    inside = standard(image, mask)[mask > 0.5]
    torch.testing.assert_close(torch.stack([inside.mean(), inside.std()]), torch.tensor([0.0, 1.0]), atol=1e-5, rtol=0)


def test_a_tent_averages_downwards_and_interpolates_upwards() -> None:
    up, down = tent_matrix(5, 9), tent_matrix(65, 17)
    values = torch.tensor([0.0, 1, 4, 9, 16])
    torch.testing.assert_close((up @ values)[1::2], (values[1:] + values[:-1]) / 2)
    torch.testing.assert_close((up @ values)[::2], values)
    torch.testing.assert_close(down.sum(1), torch.ones(17))
    stripes = torch.tensor([1.0, -1.0] * 32 + [1.0])
    assert float((down @ stripes)[1:-1].abs().max()) < 1e-6  # what the coarse places cannot show is gone
