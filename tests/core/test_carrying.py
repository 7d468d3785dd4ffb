"""What the screen computes in one pass: motion of a lattice, and scans carried by it, against plain torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from engine_kit import texture
from sample_grids import GRIDS
from test_velocity_flow import TIMES, Turning

from noder import kernels
from noder.decoder import Decoder
from noder.fields import sample_displacement
from noder.fit import make_trajectory
from noder.grid import sample_at_index
from noder.image import Image
from noder.methods.curve import Kind
from noder.preprocess import Gain
from noder.series import ImageSeries
from noder.trajectory import Trajectory

SHAPE = (11, 9, 13)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def lattice() -> tuple[Any, Any, Any]:
    """Beyond the faces too, at steps that are no whole voxels."""
    x, y, z = (np.linspace(-2, n + 1, m, dtype=np.float32) for n, m in zip(SHAPE, (14, 8, 21), strict=True))
    return x, y, z


def as_points(axes: tuple[Any, Any, Any]) -> torch.Tensor:
    return torch.from_numpy(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))


@pytest.mark.parametrize("order", ["rows", "together"])
def test_a_lattice_drifts_as_its_points_are_advected(rng: np.random.Generator, order: str) -> None:
    velocity = rng.normal(0, 0.8, (3, *SHAPE)).astype(np.float32)
    if order == "together":
        velocity = kernels.side_by_side(velocity)[0].transpose(3, 0, 1, 2)
    apart = (2.0, 1.0, 0.5)
    found = kernels.drift(velocity, lattice(), apart, 0.7, 3)
    start = as_points(lattice()).numpy().reshape(-1, 3) / np.array(apart, np.float32)
    moved = (kernels.advect(velocity, start, 0.7, 3) - start) * np.array(apart, np.float32)
    assert np.abs(found.reshape(3, -1).T - moved).max() < 1e-6
    assert np.abs(found).max() > 0.5


def test_components_side_by_side_are_the_same_and_the_largest_is_told(rng: np.random.Generator) -> None:
    field = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    field[1, 4, 5, 6] = -9.25
    together, largest = kernels.side_by_side(field)
    assert np.array_equal(together, np.moveaxis(field, 0, -1))
    assert together.flags.c_contiguous
    assert largest == 9.25


@pytest.mark.parametrize("stride", [None, (2, 2, 1)])
@pytest.mark.parametrize("order", ["C", "F", "turned"])
def test_carried_scans_are_sampled_where_the_maps_lead(
    rng: np.random.Generator, stride: tuple[int, int, int] | None, order: str
) -> None:
    scan = rng.normal(100, 30, SHAPE).astype(np.float32)
    scan = {"C": scan, "F": np.asfortranarray(scan), "turned": scan.copy()[::-1]}[order]
    u = rng.normal(0, 1.5, (3, 14, 8, 21)).astype(np.float32)
    back = kernels.side_by_side(rng.normal(0, 1, (3, 6, 5, 13)).astype(np.float32))[0].transpose(3, 0, 1, 2)
    out = np.full((14, 8, 21), 7, np.float32)
    kernels.add_carried(out, scan, lattice(), u, None if stride is None else (back, stride), 0.4, 3.0)
    where = as_points(lattice()).double() + torch.from_numpy(u).double().movedim(0, -1)
    if stride is not None:
        apart = torch.tensor(stride, dtype=torch.float64)
        where = where + sample_displacement(torch.tensor(back).double(), (where - (apart - 1) / 2) / apart)
    wanted = 7 + 0.4 * sample_at_index(torch.tensor(np.ascontiguousarray(scan)).double()[None], where)[0] + 3.0
    assert np.abs(out - wanted.numpy()).max() < 2e-3


def test_a_place_that_is_no_number_reads_nothing_wild(rng: np.random.Generator) -> None:
    scan, out = rng.normal(size=SHAPE).astype(np.float32), np.zeros((14, 8, 21), np.float32)
    u = np.full((3, 14, 8, 21), np.nan, np.float32)
    u[0, 0], u[1, 1] = np.inf, -np.inf
    back = kernels.side_by_side(np.full((3, *SHAPE), np.nan, np.float32))[0].transpose(3, 0, 1, 2)
    kernels.add_carried(out, scan, lattice(), u, (back, (1, 1, 1)), 1.0, 0.0)


def test_one_and_three_threads_give_equal_bits(rng: np.random.Generator) -> None:
    velocity = rng.normal(0, 0.8, (3, *SHAPE)).astype(np.float32)
    axes = tuple(np.linspace(0, n - 1, 60, dtype=np.float32) for n in SHAPE)
    found, threads = [], torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            u = kernels.drift(velocity, (axes[0], axes[1], axes[2]), (1.0, 1.0, 1.0), 1.0, 2)
            out = np.zeros(u.shape[1:], np.float32)
            kernels.add_carried(out, velocity[0], (axes[0], axes[1], axes[2]), u, (velocity, (1, 1, 1)), 0.3, 0.1)
            found.append((u, out, kernels.side_by_side(velocity)[1]))
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])
    assert found[0][2] == found[1][2]


def make(name: str, kind: Kind = "exponential", *, gains: bool = False) -> Trajectory:
    """A motion that turns, of scans in any orientation; `gains`: each needs matching in its own way."""
    grid = GRIDS[name]
    images = [Image.from_array(texture(grid, 3 + k)[0].numpy(), grid, f"scan_{k}") for k in range(len(TIMES))]
    series = ImageSeries.from_images(images, TIMES, "years")
    shortest = min(series.grid.spacing)
    decoder = Decoder.in_mm(series.grid, 6 * shortest, 12 * shortest)
    made = make_trajectory(decoder, Turning(decoder, kind, 5.0), series, range(len(TIMES)), {})
    if gains:
        made.scans = tuple(replace(scan, gain=Gain(1 + 0.2 * k, -3.0 * k)) for k, scan in enumerate(made.scans))
    return made


@pytest.mark.parametrize("name", sorted(GRIDS))
@pytest.mark.parametrize("kind", ["exponential", "flow", "displacement"])
@pytest.mark.parametrize("carry", ["neighbours", "first"])
def test_slices_on_screen_are_those_of_plain_torch(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: Kind, carry: Any
) -> None:
    """Between scans, at one, at the first, and beyond both ends."""
    trajectory = make(name, kind, gains=True)
    times = (*trajectory.times, sum(trajectory.times[:2]) / 2, trajectory.t_first - 0.7, trajectory.t_last + 0.7)
    planes = [trajectory.stored_grid.slice(axis, n // 2) for axis, n in enumerate(trajectory.stored_grid.shape)]
    compiled = [trajectory.predict(t, plane, carry) for t in times for plane in planes]
    monkeypatch.setattr(kernels, "ENABLED", False)
    plain = make(name, kind, gains=True)
    for found, (t, plane) in zip(compiled, ((t, plane) for t in times for plane in planes), strict=True):
        wanted = plain.predict(t, plane, carry)
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max()) < 2e-4 * float(wanted.abs().max())


def test_a_scan_that_is_left_out_is_left_out_in_one_pass_too() -> None:
    trajectory = make("oblique", "exponential")
    t = trajectory.times[1]
    plane = trajectory.grid.slice(2, 4)
    itself = trajectory.predict(t, plane)
    others = trajectory.predict(t, plane, without=1)
    assert torch.equal(itself, trajectory.scans[1].voxels[..., 4:5])
    assert float((itself - others).abs().mean()) > 0.01 * float(itself.abs().mean())
