"""NePhi's field: the identity at first, the same in a part as in the whole, and its consistency in closed form."""

import numpy as np
import pytest
import torch

from noder.decoder import apply_separable
from noder.grid import Grid
from noder.methods.neural_field import Codes, NeuralField, code_shape, gradient_inverse_consistency
from noder.methods.nodes import NodeDecoder
from noder.methods.siren import Decoders, ModulatedSiren, Sizes

SIZES = Sizes(global_code=3, local_code=5, frequencies=6, hidden=8)
GRID = Grid((21, 18, 12), np.array([[0.0, 0, 2.5, -4], [-1.25, 0, 0, 9], [0, 1.5, 0, 2], [0, 0, 0, 1]]))


def awake(seed: int = 0) -> ModulatedSiren:
    """A network whose last layer has been trained away from zero."""
    network = Decoders(SIZES, seed).of(inverse=False)
    torch.nn.init.normal_(network.last.weight, generator=torch.Generator().manual_seed(seed))
    return network


@pytest.fixture
def codes() -> Codes:
    return Codes.fresh(SIZES, (4, 3, 5), seed=1)


def test_a_fresh_map_is_the_identity_exactly(codes: Codes) -> None:
    field = NeuralField(NodeDecoder.every(GRID, 3.0), Decoders(SIZES, 0).of(inverse=False))
    assert not field.coefficients(codes).any()


def test_a_part_of_the_nodes_is_what_the_whole_has_there(codes: Codes) -> None:
    field = NeuralField(NodeDecoder.every(GRID, 2.0), awake())
    box = (slice(1, 4), slice(2, 3), slice(0, 2))
    whole = field.coefficients(codes)
    assert whole.abs().max() > 0.1
    assert torch.allclose(field.coefficients(codes, box), whole[(slice(None), *box)], atol=1e-6)


def test_nodes_and_points_are_one_map_in_mm(codes: Codes) -> None:
    """At a node x + u(x), in mm, is where the map of normalised points leads."""
    decoder = NodeDecoder.every(GRID, 3.0)
    field = NeuralField(decoder, awake())
    node = (1, 2, 3)
    x = torch.tensor([[-1 + 2 * k / (n - 1) for k, n in zip(node, decoder.nodes, strict=True)]])
    moved = field.normalised(x, codes)[0].double()
    half = (torch.tensor(GRID.shape) - 1) / 2
    expected = GRID.to_mm((moved + 1) * half) - GRID.to_mm((x[0].double() + 1) * half)
    found = field.coefficients(codes)[:, 1, 2, 3].double() * min(GRID.spacing)
    assert torch.allclose(found, expected, atol=1e-5)


def test_cubics_through_the_nodes_keep_a_parabola() -> None:
    decoder = NodeDecoder(Grid((31, 4, 4), np.eye(4)), (11, 4, 4))
    nodes = torch.linspace(0, 30, 11)
    c = (nodes**2)[None, :, None, None].expand(3, -1, 4, 4)
    u = apply_separable(decoder.matrices(), c)[0, :, 0, 0]
    inside = torch.arange(4.0, 27.0)
    assert torch.allclose(u[4:27], inside**2, rtol=1e-5)


def test_codes_lie_as_near_as_asked_for_and_never_alone() -> None:
    assert code_shape(Grid((41, 21, 2), np.eye(4)), 5.0) == (9, 5, 2)


class Linear:
    """x -> A x, as a field would be."""

    def __init__(self, matrix: torch.Tensor) -> None:
        self.matrix = matrix

    def normalised(self, x: torch.Tensor, _: Codes) -> torch.Tensor:
        return x @ self.matrix.T


def test_gradient_inverse_consistency_of_linear_maps_is_the_norm_of_ba_minus_one(codes: Codes) -> None:
    chance = torch.Generator().manual_seed(3)
    a, b = (torch.randn((3, 3), generator=chance) for _ in range(2))
    x = torch.rand((20, 3), generator=chance)
    found = gradient_inverse_consistency(Linear(a), Linear(b), codes, x)  # type: ignore[arg-type]
    assert torch.allclose(found, (b @ a - torch.eye(3)).square().sum(), rtol=1e-4)


def test_its_gradient_is_exact_down_to_the_codes(codes: Codes) -> None:
    """The derivative of a derivative, through sines, gates and interpolated codes, against finite differences."""
    decoder = NodeDecoder.every(GRID, 3.0)
    forwards, inverse = (NeuralField(decoder, awake(k).double()) for k in (0, 1))
    x = 2 * torch.rand((4, 3), generator=torch.Generator().manual_seed(4), dtype=torch.float64) - 1

    def loss(whole: torch.Tensor, local: torch.Tensor) -> torch.Tensor:
        return gradient_inverse_consistency(forwards, inverse, Codes(whole, local), x)

    arguments = (codes.whole.double().requires_grad_(), codes.local.double().requires_grad_())
    assert float(loss(*arguments).detach()) > 1e-3
    assert torch.autograd.gradcheck(loss, arguments, rtol=1e-3, atol=1e-7)
