"""Maps carried by velocities, against an integration of their own in float64."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import box_grid, texture
from numpy.typing import NDArray
from sample_grids import affine_of
from scipy.linalg import expm
from scipy.ndimage import map_coordinates

from noder import kernels
from noder.decoder import Decoder
from noder.fields import DisplacementField
from noder.fit import make_trajectory
from noder.flow import Clock, Flow
from noder.grid import Grid
from noder.image import Image
from noder.methods.curve import Kind
from noder.methods.flow_maps import FlowMaps
from noder.methods.noder import NoderSettings
from noder.methods.settings import decoder_of
from noder.methods.svf import Exponential
from noder.series import ImageSeries
from noder.trajectory import Trajectory

Array = NDArray[np.float64]
GRIDS = {
    "cube": Grid((30, 28, 26), affine_of("RAS", (1.5, 1.5, 1.5))),
    "oblique": Grid((28, 26, 18), affine_of("RAS", (1.0, 1.25, 2.5), (23, -14, 31))),
}
TIMES = [2.0, 3.5, 5.0, 8.0]
PIECES = 5
FINE_STEPS = 16
ALL_TIMES = (2.0, 3.1, 4.4, 8.0, 9.7, 0.6)
"""The start, between the steps, on a step, the end, and beyond either end."""


class Turning:
    """A curve whose velocity turns and moves with time, so that motions at different times do not commute."""

    def __init__(self, decoder: Decoder, kind: Kind, voxels: float) -> None:
        self.kind: Kind = kind
        x, y, z = (torch.linspace(0, math.pi, n) for n in decoder.shape)
        self._left = voxels * torch.einsum("i,j,k->ijk", (x * 1.3).sin() ** 2, y.sin(), z.sin())
        self._right = voxels * torch.einsum("i,j,k->ijk", x.sin(), (y * 1.4 - 0.6).sin(), (z / 2).cos())

    def __call__(self, tau: float) -> torch.Tensor:
        turn = 3 * tau
        along, across = math.sin(turn) / 3, (1 - math.cos(turn)) / 3
        return torch.stack([along * self._left, across * self._right, 0.4 * tau * (self._left - self._right)])

    def tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def facts(self) -> dict[str, Any]:
        return {"pieces": PIECES}


@cache
def make(name: str = "cube", kind: Kind = "flow", voxels: float = 9.0) -> Trajectory:
    grid = GRIDS[name]
    decoder = Decoder.in_mm(grid, 6 * min(grid.spacing), 12 * min(grid.spacing))
    images = [Image.from_array(texture(grid, 3 + k)[0].numpy(), grid, f"scan_{k}") for k in range(len(TIMES))]
    series = ImageSeries.from_images(images, TIMES, "years")
    return make_trajectory(decoder, Turning(decoder, kind, voxels), series, range(len(TIMES)), {})


def flow_of(trajectory: Trajectory) -> Flow:
    assert trajectory.flow is not None
    return trajectory.flow


def inside(n: int = 400) -> torch.Tensor:
    """Voxel indices away from the border (n,3), float64, valid on either grid."""
    part = torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    return torch.tensor([5.0, 5.0, 3.5]) + part * torch.tensor([17.0, 15.0, 10.0])


def voxels_apart(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a - b).norm(dim=-1)


# The oracle: the definition, written the slow way and on every voxel.


def velocity_of(trajectory: Trajectory, piece: int, grid: Grid) -> Array:
    """W (c_{k+1} - c_k) (3,I,J,K) in voxels of `grid` a piece, on every voxel of it."""
    decoder, curve = trajectory.decoder, trajectory._curve
    step = (TIMES[-1] - TIMES[0]) / PIECES
    start = TIMES[0] + piece * step
    c = (curve(start + step) - curve(start)).double().numpy()
    lasts = [n - 1 for n in trajectory.grid.shape]
    rows = [decoder.rows(axis, np.linspace(0, last, grid.shape[axis])) for axis, last in enumerate(lasts)]
    mm = np.einsum("xi,yj,zk,aijk->axyz", *rows, c, optimize=True)
    return np.einsum("ab,bxyz->axyz", grid.inverse_affine[:3, :3], mm)


def advected(velocity: Array, points: Array, share: float) -> Array:
    """Points (N,3) in many classical Runge-Kutta steps."""

    def at(where: Array) -> Array:
        return np.stack([map_coordinates(part, where.T, order=1, mode="nearest") for part in velocity], axis=-1)

    h = share / FINE_STEPS
    for _ in range(FINE_STEPS):
        a = at(points)
        b = at(points + h / 2 * a)
        c = at(points + h / 2 * b)
        d = at(points + h * c)
        points = points + h / 6 * (a + 2 * b + 2 * c + d)
    return points


def oracle(trajectory: Trajectory, index: torch.Tensor, t: float, grid: Grid | None = None) -> torch.Tensor:
    """phi_t by integrating every piece from the start, with the velocities on `grid` (default: the reference's)."""
    grid = grid or trajectory.grid
    points = grid.to_index(trajectory.grid.to_mm(index)).numpy()
    left = (t - TIMES[0]) / (TIMES[-1] - TIMES[0]) * PIECES
    piece = 0 if left > 0 else -1
    while abs(left) > 1e-12:
        share = math.copysign(min(1.0, abs(left)), left)
        points = advected(velocity_of(trajectory, piece, grid), points, share)
        left -= share
        piece += 1 if share > 0 else -1
    return trajectory.grid.to_index(grid.to_mm(torch.from_numpy(points)))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("t", ALL_TIMES)
def test_forward_is_the_integral_of_the_velocity(name: str, t: float) -> None:
    trajectory = make(name)
    flow, x = flow_of(trajectory), inside()
    found, true = flow.forward(x, t), oracle(trajectory, x, t, flow.carrier)
    assert float(voxels_apart(found, true).mean()) < 1e-3
    assert float(voxels_apart(found, true).max()) < 1e-2
    # velocities on every second voxel do for those on every voxel
    exact = oracle(trajectory, x, t)
    assert float(voxels_apart(found, exact).mean()) < 0.03
    assert t == TIMES[0] or float(voxels_apart(exact, x).mean()) > 0.3  # there is something to find


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", ["flow", "exponential"])
@pytest.mark.parametrize("t", ALL_TIMES)
def test_backward_undoes_forward(name: str, kind: Kind, t: float) -> None:
    flow, x = flow_of(make(name, kind)), inside()
    assert float(voxels_apart(flow.backward(flow.forward(x, t), t), x).mean()) < 1e-3
    assert float(voxels_apart(flow.forward(flow.backward(x, t), t), x).max()) < 0.02


@pytest.mark.parametrize("name", GRIDS)
def test_from_any_time_to_any_other(name: str) -> None:
    trajectory = make(name)
    x = trajectory.grid.to_mm(inside())
    a, b, c = 3.5, 4.4, 8.0
    assert float(trajectory.between(x, b, b).norm(dim=-1).mean()) < 1e-3 * min(trajectory.grid.spacing)
    y = x + trajectory.between(x, b, c)
    both = y + trajectory.between(y, a, b) - x
    direct = trajectory.between(x, a, c)
    assert float((both - direct).norm(dim=-1).mean()) < 2e-3 * min(trajectory.grid.spacing)
    # the velocities do not commute: integrated from a straight to c they make another map
    flow = flow_of(trajectory)
    straight = trajectory.grid.to_mm(flow.forward(flow.backward(inside(), a), c)) - x
    assert float((straight - direct).norm(dim=-1).mean()) > 0.1


def test_between_solves_what_the_oracle_says() -> None:
    """phi_a(T_ac(x)) = phi_c(x), with phi from the oracle."""
    trajectory = make("oblique")
    x = inside(150)
    mm = trajectory.grid.to_mm(x)
    pulled = trajectory.grid.to_index(mm + trajectory.between(mm, 3.5, 8.0))
    left, right = oracle(trajectory, pulled, 3.5), oracle(trajectory, x, 8.0)
    assert float(voxels_apart(left, right).mean()) < 0.02


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("t", ALL_TIMES)
def test_what_the_screen_shows_is_near_the_map(name: str, t: float) -> None:
    flow = flow_of(make(name))
    apart = voxels_apart(flow.near(inside(), t), flow.forward(inside(), t))
    assert float(apart.mean()) < 0.02
    assert float(apart.max()) < 0.05


def test_an_exponential_of_a_linear_velocity_is_a_matrix_exponential() -> None:
    grid = GRIDS["oblique"]
    decoder = Decoder.in_mm(grid, 6.0, 12.0)
    rate = np.array([[0.05, -0.2, 0.02, 1.0], [0.15, -0.04, 0.1, -0.5], [-0.03, 0.06, 0.08, 0.7], [0, 0, 0, 0]])
    centre = np.eye(4)
    centre[:3, 3] = -grid.to_mm((np.array(grid.shape) - 1) / 2)
    rate = np.linalg.inv(centre) @ rate @ centre  # about the middle of the grid
    axes = [decoder._control_points(axis) for axis in range(3)]
    controls = grid.to_mm(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    velocity = torch.as_tensor(controls @ rate[:3, :3].T + rate[:3, 3]).movedim(-1, 0).float()
    flow = Flow(decoder, lambda t: t * velocity, None)
    middle = (torch.tensor(grid.shape, dtype=torch.float64) - 1) / 2
    x = middle + (torch.rand(200, 3, generator=torch.Generator().manual_seed(1)).double() - 0.5) * 6
    for t in (0.7, 1.5, -0.8):
        matrix = torch.from_numpy(expm(t * rate))
        true = grid.to_index(grid.to_mm(x) @ matrix[:3, :3].T + matrix[:3, 3])
        assert float(voxels_apart(flow.forward(x, t), true).max()) < 1e-3
        assert float(voxels_apart(flow.backward(true, t), x).max()) < 1e-3


def test_a_flow_of_one_direction_is_the_exponential_of_its_integral() -> None:
    """Where velocities commute, the pieces may be anywhere: exp(a) o exp(b) = exp(a + b)."""
    grid = GRIDS["cube"]
    decoder = Decoder.in_mm(grid, 9.0, 18.0)
    bump = Turning(decoder, "flow", 6.0)(0.9)
    along = Flow(decoder, lambda t: t * t * bump, Clock(0.0, 0.25))
    at_once = Flow(decoder, lambda t: t * t * bump, None)
    for t in (1.0, -0.75):
        assert float(voxels_apart(along.forward(inside(), t), at_once.forward(inside(), t)).max()) < 5e-3


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", ["flow", "exponential"])
def test_jacobian_of_a_slice_and_of_the_volume_are_one_over_the_determinant(name: str, kind: Kind) -> None:
    trajectory = make(name, kind, 5.0)
    grid, t = trajectory.grid, 6.3
    whole = trajectory.jacobian(t, exact=True)
    for axis in range(3):
        part = trajectory.jacobian(t, grid.slice(axis, 7), exact=True)
        assert torch.allclose(part, whole.narrow(axis, 7, 1), atol=1e-4)
        for k in (0, 7, grid.shape[axis] - 1):  # what the screen shows
            seen = trajectory.jacobian(t, grid.slice(axis, k))
            assert torch.allclose(seen, whole.narrow(axis, k, 1), atol=0.05)
    assert torch.allclose(trajectory.jacobian(t), whole, atol=0.05)
    u = trajectory.displacement(grid.points(), t).movedim(-1, 0).float()
    det = DisplacementField(u, grid).jacobian_determinant()
    assert float((whole - 1 / det).abs().mean()) < 5e-3
    assert float((whole - 1 / det).abs().max()) < 0.05
    assert float((whole - 1).abs().max()) > 0.1


def test_slices_that_are_kept_are_those_of_their_own_time_and_place() -> None:
    """Forth and back through slices and times, prediction and growth by turns: always what a fresh flow gives."""
    kept, grid = make("oblique", "exponential"), GRIDS["oblique"]
    for k, t, axis in ((4, 3.1, 2), (5, 3.1, 2), (4, 8.0, 2), (5, 3.1, 2), (5, 3.1, 0), (0, 3.1, 2), (17, 3.1, 2)):
        plane, fresh = grid.slice(axis, k), make("oblique", "exponential")
        assert torch.equal(kept.predict(t, plane), fresh.predict(t, plane))
        assert torch.equal(kept.jacobian(t, plane), make("oblique", "exponential").jacobian(t, plane))
        half = plane.crop((0, 0, 0), (plane.shape[0], -(-plane.shape[1] // 2), plane.shape[2]))
        assert torch.equal(kept.jacobian(t, half), fresh.jacobian(t, half))


def test_plain_torch_carries_as_the_kernels_do(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = make("oblique")
    flow, x = flow_of(trajectory), inside()
    maps = (flow.forward, flow.backward, flow.near)
    cases = [(f, kind, t) for f in maps for kind in (x, x.float()) for t in (6.3, 0.6)]
    with_kernels = [f(kind, t) for f, kind, t in cases]
    monkeypatch.setattr(kernels, "ENABLED", False)
    for (f, kind, t), before in zip(cases, with_kernels, strict=True):
        assert float((f(kind, t) - before).abs().max()) < 1e-4


def test_one_and_two_threads_give_equal_bits() -> None:
    """Points enough to be dealt to threads."""
    trajectory = make("oblique")
    flow, grid = flow_of(trajectory), trajectory.grid
    threads = torch.get_num_threads()
    try:
        found = []
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append([flow.forward(grid.indices(), 6.3), flow.near(grid.indices().float(), 9.1)])
            found[-1].append(trajectory.predict(6.3, exact=True))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_no_cell_of_the_map_folds() -> None:
    trajectory = make("cube")
    assert float(trajectory.field(trajectory.grid, 8.0).corner_determinant().min()) > 0


def test_the_map_can_be_asked_for_up_to_the_last_moment() -> None:
    """Its last step ends where the curve may still be asked for."""
    trajectory = make("cube", "flow", 1.0)
    span = TIMES[-1] - TIMES[0]
    for t in (TIMES[0] - 10 * span, TIMES[-1] + 10 * span, TIMES[-1] + 9.99 * span):
        assert bool(torch.isfinite(flow_of(trajectory).forward(inside(5), t)).all())


def test_files_and_scores_get_a_sharper_jacobian_than_the_screen() -> None:
    trajectory = make("cube", "exponential", 14.0)
    near, exact = (trajectory.jacobian(8.0, exact=on) for on in (False, True))
    points, step = trajectory.grid.points()[8:20, 8:20, 8:20], 1.5
    columns = []
    for axis in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[axis] = step
        ahead, behind = (trajectory.displacement(points + s, 8.0) for s in (shift, -shift))
        columns.append((ahead - behind) / (2 * step))
    truth = 1 / torch.linalg.det(torch.stack(columns, dim=-1) + torch.eye(3))
    off = [float((each[8:20, 8:20, 8:20] - truth).abs().max()) for each in (near, exact)]
    assert off[1] < 1e-3
    assert off[1] < off[0] < 0.05


@pytest.mark.parametrize("taus", [(1.0,), (0.25, 1.0), (0.3, 0.55, 1.0)])
def test_a_flow_pays_for_velocities_that_change_between_scans(taus: tuple[float, ...]) -> None:
    """A constant velocity costs what its displacements at the scans do; the excess is that of the energy."""
    pieces = 8
    on = Exponential(decoder_of(box_grid(), NoderSettings()))
    combined, weights = FlowMaps(on, taus, pieces).regularised()

    def cost(steps: torch.Tensor) -> float:
        return float((torch.tensor(weights) * (combined @ steps).square()).sum())

    assert cost(torch.full((pieces,), 2.0 / pieces)) == pytest.approx(sum((2.0 * tau) ** 2 for tau in taus), rel=1e-5)
    steps = torch.randn(pieces, generator=torch.Generator().manual_seed(0))
    fine = np.repeat(steps.numpy().astype(float) * pieces, 100)  # the velocity every 1/800 of the span
    time = (np.arange(800) + 0.5) / 800
    expected, before = 0.0, 0.0
    for tau in taus:
        between = (time > before) & (time < tau)
        energy = (tau - before) * (fine[between] ** 2).sum() / 800 - (fine[between].sum() / 800) ** 2
        expected += (fine[time < tau].sum() / 800) ** 2 + energy
        before = tau
    assert energy > 0.01
    assert cost(steps) == pytest.approx(expected, rel=1e-4)
