"""Trilinear sampling that can be differentiated twice, against torch's own and against finite differences."""

import pytest
import torch

from noder.grid import sample_at_index
from noder.trilinear import trilinear

SHAPE = (2, 5, 4, 6)


@pytest.fixture
def volume() -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def index() -> torch.Tensor:
    """Points inside, away from the planes between cells, where the slope jumps."""
    chance = torch.Generator().manual_seed(1)
    cells = torch.stack([torch.randint(0, n - 1, (7,), generator=chance) for n in SHAPE[1:]], dim=-1)
    return cells + 0.2 + 0.6 * torch.rand((7, 3), generator=chance, dtype=torch.float64)


def test_it_gives_what_the_sampling_of_images_gives_beyond_the_border_too(volume: torch.Tensor) -> None:
    where = 9 * torch.rand((200, 3), generator=torch.Generator().manual_seed(2), dtype=torch.float64) - 2
    assert torch.allclose(trilinear(volume, where).T, sample_at_index(volume, where), atol=1e-12)


def test_first_and_second_derivatives_are_exact(volume: torch.Tensor, index: torch.Tensor) -> None:
    arguments = (volume.requires_grad_(), index.requires_grad_())
    assert torch.autograd.gradcheck(trilinear, arguments)
    assert torch.autograd.gradgradcheck(trilinear, arguments)


def test_an_axis_of_one_voxel_is_constant_along_it() -> None:
    flat = torch.arange(4.0).reshape(1, 4, 1, 1)
    where = torch.tensor([[1.5, 0.0, 0.0], [1.5, 3.0, -2.0]])
    assert trilinear(flat, where)[:, 0].tolist() == [1.5, 1.5]
