"""Growth between two times and its rate: against maps known in closed form, and along the path of a particle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import box_grid
from sample_grids import GRIDS
from test_trajectory import make, swirl
from torch import Tensor

from noder.composition import Composition
from noder.decoder import Decoder
from noder.fields import DisplacementField
from noder.flow import Clock, Flow
from noder.grid import Grid
from noder.growth import growth_rate, growth_since, growth_then
from noder.trajectory import Trajectory

THICK = Grid((20, 22, 12), np.diag([1.0, 1.0, 3.0, 1.0]))
MATRICES = {
    "expansion": (-0.2 * torch.eye(3), 0.6),
    "rotation": (torch.tensor([[0.0, -0.5, 0.2], [0.5, 0.0, 0.1], [-0.2, -0.1, 0.0]]), 0.0),
    "stretch": (torch.diag(torch.tensor([-0.3, 0.1, 0.05])), 0.15),
    "shear": (torch.tensor([[0.0, 0.4, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]), 0.0),
}


@dataclass
class Known:
    """phi_t(x) for a formula, with what growth asks of a trajectory."""

    grid: Grid
    phi: Callable[[Tensor, float], Tensor]
    t_first: float = 0.0
    t_last: float = 2.0

    def field(self, grid: Grid, t: float) -> DisplacementField:
        points = grid.points()
        return DisplacementField((self.phi(points, t) - points).movedim(-1, 0).float(), grid)


def linear(grid: Grid, matrix: Tensor) -> Any:
    """phi_t(x) = exp(t M)(x - c) + c about the middle of the grid: tissue moves with w = -M (x - c)."""
    centre = grid.points().mean(dim=(0, 1, 2))

    def phi(x: Tensor, t: float) -> Tensor:
        return (x - centre) @ torch.linalg.matrix_exp(t * matrix.double()).T + centre

    return Known(grid, phi)


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("grid", [*GRIDS.values(), THICK], ids=[*GRIDS, "thick"])
def test_the_rate_of_a_linear_motion_is_minus_the_trace_everywhere(name: str, grid: Grid) -> None:
    matrix, rate = MATRICES[name]
    found = growth_rate(linear(grid, matrix), 0.7, grid)
    assert found.shape == grid.shape
    assert torch.allclose(found, torch.full(grid.shape, rate), atol=2e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_has_the_rate_of_the_volume_and_knows_its_neighbours(axis: int) -> None:
    trajectory = make(GRIDS["oblique LPI"])
    whole, n = growth_rate(trajectory, 1.7), trajectory.grid.shape[axis]
    for index in (0, n // 2, n - 1):
        part = growth_rate(trajectory, 1.7, trajectory.grid.slice(axis, index))
        assert torch.allclose(part, whole.narrow(axis, index, 1), atol=1e-3)
    assert float(whole.abs().max()) > 0.1


def of_kind(kind: str) -> Trajectory:
    """The swirl as a displacement, as a velocity of an exponential and of a flow, and as one of two displacements."""
    grid = box_grid()
    decoder = Decoder.in_mm(grid, 6.0, 12.0)
    plain = make(grid, size_mm=2.0)
    moves = {
        "displacement": None,
        "exponential": Flow(decoder, swirl(decoder, 4.0), None),
        "flow": Flow(decoder, swirl(decoder, 4.0), Clock(0.0, 0.5)),
        "composed": Composition(grid, [Part(decoder, 2.4), Part(decoder, 1.6)]),
    }
    return Trajectory(decoder, swirl(decoder, 4.0), plain.scans, "years", grid, moves[kind])


@dataclass
class Part:
    """A displacement over time, all nodes at once."""

    decoder: Decoder
    size_mm: float

    def is_still(self, t: float) -> bool:
        return t == 0

    def reach(self, axis: int, low: float, high: float) -> slice:
        return slice(0, self.decoder.shape[axis])

    def at(self, t: float, box: tuple[slice, slice, slice]) -> Tensor:
        return swirl(self.decoder, self.size_mm)(t)[(slice(None), *box)]


def log_growth(trajectory: Trajectory, points: Tensor, t: float, step: float = 1.5) -> Tensor:
    """log J at points (N,3), by differences over a voxel."""
    shifts = step * torch.eye(3, dtype=torch.float64)
    columns = [
        (trajectory.displacement(points + s, t) - trajectory.displacement(points - s, t)) / (2 * step) for s in shifts
    ]
    return -torch.logdet(torch.eye(3) + torch.stack(columns, dim=-1))


@pytest.mark.parametrize("kind", ["displacement", "exponential", "flow", "composed"])
def test_the_rate_is_that_of_log_j_along_the_path_of_a_particle(kind: str) -> None:
    trajectory, t, h = of_kind(kind), 1.2, 0.05
    found = growth_rate(trajectory, t)
    inner = (slice(5, -5, 4),) * 3
    x = trajectory.grid.points()[inner].reshape(-1, 3)
    still = x + trajectory.displacement(x, t)
    later, earlier = (log_growth(trajectory, still + trajectory.inverse(still, s), s) for s in (t + h, t - h))
    along_path = (later - earlier) / (2 * h)
    at_place = (log_growth(trajectory, x, t + h) - log_growth(trajectory, x, t - h)) / (2 * h)
    ours = found[inner].reshape(-1).double()
    scale = float(along_path.abs().max())
    assert float((ours - along_path).abs().max()) < 0.06 * scale
    assert float((at_place - along_path).abs().max()) > 0.1 * scale  # the change at a place is another thing


def test_a_fold_has_no_rate() -> None:
    grid = box_grid(12)

    def phi(x: Tensor, t: float) -> Tensor:
        away = torch.tensor([1.0, 0.0, 0.0], dtype=x.dtype)
        return x - t * away * 6 * torch.tanh(x[..., :1] - 8)

    found = growth_rate(Known(grid, phi), 1.0)  # type: ignore[arg-type]
    det = Known(grid, phi).field(grid, 1.0).jacobian_determinant()
    assert torch.equal(found.isnan(), det <= 0)
    assert bool(found.isnan().any())


def test_growth_between_two_times_is_the_quotient_along_the_path() -> None:
    grid = box_grid()
    trajectory = make(grid, size_mm=2.0)
    for t_a, t_b in ((1.0, 2.4), (2.2, 0.6)):
        x = grid.points()[6:-6:4, 6:-6:4, 6:-6:4].reshape(-1, 3)
        there = x + trajectory.between(x, t_a, t_b)
        wanted = log_growth(trajectory, x, t_b) - log_growth(trajectory, there, t_a)
        growth = growth_since(growth_then(trajectory, t_a), trajectory, t_b)
        found = growth[6:-6:4, 6:-6:4, 6:-6:4].reshape(-1).log().double()
        assert float((found - wanted).abs().max()) < 0.04 * float(wanted.abs().max())


def test_since_the_reference_is_j_itself_and_since_then_to_then_is_nothing() -> None:
    trajectory = make(size_mm=2.0)
    first, still = growth_then(trajectory, 0.0), growth_then(trajectory, 1.7)
    assert torch.allclose(growth_since(first, trajectory, 2.2), trajectory.jacobian(2.2), rtol=1e-5)
    assert float(growth_since(still, trajectory, 1.7).log().abs().max()) < 0.02


def test_j_since_then_is_kept_on_few_voxels_of_a_large_image(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = make(size_mm=2.0)
    whole = growth_since(growth_then(trajectory, 1.0), trajectory, 2.5)
    most = trajectory.grid.n_voxels // 4
    monkeypatch.setattr("noder.growth._KEPT_VOXELS", most)
    then = growth_then(trajectory, 1.0)
    assert then.values.numel() <= most
    inner = (slice(3, -3),) * 3
    off = (growth_since(then, trajectory, 2.5)[inner] / whole[inner]).log().abs().max()
    assert float(off) < 0.05 * float(whole.log().abs().max())
