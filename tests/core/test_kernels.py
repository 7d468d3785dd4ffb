"""The compiled loops against plain float64 definitions: values, gradients, borders, threads."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates, uniform_filter

from noder import kernels
from noder.fields import central_determinant
from noder.grid import Grid, sample_at_index
from noder.regularity import Folding
from noder.similarity import LocalNCC

SHAPE = (11, 9, 13)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture(params=[np.float32, np.float64])
def kind(request: pytest.FixtureRequest) -> Any:
    return request.param


def points(rng: np.random.Generator, n: int = 500) -> np.ndarray:
    """Inside, beyond every face, and on whole voxels."""
    spread = rng.uniform(-3, np.array(SHAPE) + 2, (n, 3))
    return np.concatenate([spread, np.round(spread[:50]), [[0, 0, 0], np.array(SHAPE) - 1.0]])


def test_pull_is_linear_interpolation_whatever_the_strides(rng: np.random.Generator, kind: Any) -> None:
    index = points(rng).astype(kind)
    volume = rng.normal(size=(3, *SHAPE)).astype(kind)
    truth = np.stack([map_coordinates(v.astype(float), index.T, order=1, mode="nearest") for v in volume])
    last_side_by_side = np.ascontiguousarray(volume.transpose(1, 2, 3, 0)).transpose(3, 0, 1, 2)
    for each in (volume, last_side_by_side):
        found = kernels.pull(each, index)
        assert found.dtype == kind
        np.testing.assert_allclose(found, truth, atol=1e-5 if kind == np.float32 else 1e-12)


def test_the_gradients_of_sampling_are_those_of_its_values(rng: np.random.Generator) -> None:
    index = torch.from_numpy(points(rng, 60) + 1e-3).requires_grad_()  # off the voxels: there the slope jumps
    volume = torch.from_numpy(rng.normal(size=(2, *SHAPE))).requires_grad_()
    assert torch.autograd.gradcheck(lambda v, x: sample_at_index(v, x), (volume, index), eps=1e-6, atol=1e-6)


def test_a_point_that_is_no_number_reads_nothing_wild(rng: np.random.Generator) -> None:
    volume = rng.normal(size=(1, *SHAPE)).astype(np.float32)
    index = np.array([[np.nan, 1, 1], [np.inf, -np.inf, np.nan]], np.float32)
    assert np.isin(kernels.pull(volume, index), volume).all()
    u = np.full((3, *SHAPE), np.nan, np.float32)
    value, slope = kernels.warp(volume[0], u)
    assert np.isin(value, volume).all()
    assert not slope.any()
    field = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    for bad in (u, np.full_like(u, np.inf)):
        assert np.isin(kernels.compose(field, bad), field).all()
        of_field, of_bad = kernels.compose_back(field, bad, field)
        assert of_field.shape == of_bad.shape == field.shape


def test_warp_is_pull_on_the_moved_voxels_with_its_slope(rng: np.random.Generator) -> None:
    moving = rng.normal(size=SHAPE).astype(np.float32)
    u = rng.normal(0, 2, (3, *SHAPE)).astype(np.float32)
    value, slope = kernels.warp(moving, u)
    index = np.stack(np.indices(SHAPE), -1) + np.moveaxis(u, 0, -1).astype(float)
    truth = map_coordinates(moving.astype(float), np.moveaxis(index, -1, 0), order=1, mode="nearest")
    np.testing.assert_allclose(value, truth, atol=1e-5)
    plain = torch.from_numpy(index).requires_grad_()
    sample_at_index(torch.from_numpy(moving.astype(float))[None], plain).sum().backward()
    assert plain.grad is not None
    np.testing.assert_allclose(slope, plain.grad.movedim(-1, 0), atol=2e-4)


def test_warp_from_an_origin_is_a_part_of_the_whole(rng: np.random.Generator) -> None:
    moving = rng.normal(size=SHAPE).astype(np.float32)
    u = rng.normal(0, 2, (3, *SHAPE)).astype(np.float32)
    value, slope = kernels.warp(moving, u)
    inside = (slice(2, 9), slice(1, 5), slice(3, 13))
    part = np.ascontiguousarray(u[(slice(None), *inside)])
    found = kernels.warp(moving, part, origin=(2, 1, 3))
    np.testing.assert_array_equal(found[0], value[inside])
    np.testing.assert_array_equal(found[1], slope[(slice(None), *inside)])


def test_composing_is_sampling_on_the_moved_voxels_and_so_are_its_gradients(
    rng: np.random.Generator, kind: Any
) -> None:
    """Displacements of up to seven voxels lead out of the image, and far beyond a slab."""
    volume, g = (rng.normal(size=(3, *SHAPE)).astype(kind) for _ in range(2))
    u = rng.normal(0, 2.5, (3, *SHAPE)).astype(kind)
    plain_volume, plain_u = (torch.from_numpy(each.astype(float)).requires_grad_() for each in (volume, u))
    where = Grid(SHAPE, np.eye(4)).indices().double() + plain_u.movedim(0, -1)
    truth = sample_at_index(plain_volume, where)
    truth.backward(torch.from_numpy(g.astype(float)))
    tolerance = 2e-5 if kind == np.float32 else 1e-11
    np.testing.assert_allclose(kernels.compose(volume, u), truth.detach(), atol=tolerance)
    of_volume, of_u = kernels.compose_back(volume, u, g)
    assert plain_volume.grad is not None
    assert plain_u.grad is not None
    np.testing.assert_allclose(of_volume, plain_volume.grad, atol=10 * tolerance)
    np.testing.assert_allclose(of_u, plain_u.grad, atol=20 * tolerance)
    assert np.array_equal(kernels.compose_back(volume, u, g, (True, False))[0], of_volume)
    assert np.array_equal(kernels.compose_back(volume, u, g, (False, True))[1], of_u)


@pytest.mark.parametrize("shape", [(30, 25, 41), (3, 25, 4), (30, 7, 4)])
def test_banded_matrices_are_the_dense_ones(rng: np.random.Generator, shape: tuple[int, int, int]) -> None:
    """Onto more voxels and onto fewer along the last axis, with empty rows and rows at the ends; and transposed."""
    field = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    dense = []
    for n, m in zip(shape, SHAPE, strict=True):
        far = np.abs(np.arange(n)[:, None] * (m - 1) / (n - 1) - np.arange(m)[None]) > 1.5
        matrix = np.where(far, 0, rng.normal(size=(n, m))).astype(np.float32)
        matrix[1] = 0
        dense.append(matrix)
    x, y, z = (kernels.Banded.of(matrix) for matrix in dense)
    truth = np.einsum("ia,jb,kc,nabc->nijk", *(m.astype(float) for m in dense), field.astype(float))
    found = kernels.apply_banded((x, y, z), field)
    np.testing.assert_allclose(found, truth, atol=1e-4)
    room = np.full_like(found, np.nan)
    assert kernels.apply_banded((x, y, z), field, room) is room
    np.testing.assert_array_equal(room, found)
    back = kernels.apply_banded((x.transposed, y.transposed, z.transposed), found)
    truth = np.einsum("ia,jb,kc,nijk->nabc", *(m.astype(float) for m in dense), found.astype(float))
    np.testing.assert_allclose(back, truth, atol=1e-3)


def plain_loss(
    f: torch.Tensor, m: torch.Tensor, w: torch.Tensor, window: tuple[int, ...], floor: float
) -> torch.Tensor:
    """Windows cut at the border, in float64 by explicit band matrices."""

    def mean(image: torch.Tensor) -> torch.Tensor:
        for axis, width in enumerate(window):
            index = torch.arange(image.shape[axis])
            band = ((index[:, None] - index[None]).abs() <= width // 2).double()
            image = torch.tensordot(band / band.sum(1, keepdim=True), image.movedim(axis, 0), 1).movedim(0, axis)
        return image

    def variance(image: torch.Tensor) -> torch.Tensor:
        return (mean(image * image) - mean(image) ** 2).clamp(min=0) + floor

    cross = mean(f * m) - mean(f) * mean(m)
    return (w * (1 - cross**2 / (variance(f) * variance(m)))).sum()


@pytest.mark.parametrize("window", [(3, 5, 7), (5, 5, 5), (9, 21, 3)])
def test_correlation_and_its_gradient_equal_the_definition(rng: np.random.Generator, window: Any) -> None:
    """The last window is wider than the image."""
    f, m = (torch.from_numpy(rng.normal(2, 1, SHAPE).astype(np.float32)) for _ in range(2))
    w = torch.from_numpy(rng.random(SHAPE).astype(np.float32))
    ncc = LocalNCC(window)
    moved = m[None].clone().requires_grad_()
    loss = ncc(ncc.prepare(f[None]), moved, w)
    loss.backward()
    exact = m.double().requires_grad_()
    truth = plain_loss(f.double(), exact, w.double(), window, ncc.floor)
    truth.backward()
    assert float(loss.detach()) == pytest.approx(float(truth.detach()), rel=2e-6)
    assert moved.grad is not None
    assert exact.grad is not None
    assert float((moved.grad[0] - exact.grad).abs().max()) < 2e-5 * float(exact.grad.abs().max())


def test_padded_windows_count_zeros_outside(rng: np.random.Generator) -> None:
    """cc = cross^2 / (var var + epsilon) on windows filled up with zeros: scipy's uniform filter is the oracle."""
    f, m, w = (rng.random(SHAPE) for _ in range(3))

    def mean(image: np.ndarray) -> np.ndarray:
        filtered: np.ndarray = uniform_filter(image, 5, mode="constant")
        return filtered

    def loss(moved: np.ndarray) -> float:
        cross = mean(f * moved) - mean(f) * mean(moved)
        below = (mean(f * f) - mean(f) ** 2) * (mean(moved * moved) - mean(moved) ** 2) + 1e-3
        return float((w * (1 - cross**2 / below)).sum())

    volumes = [v.astype(np.float32) for v in (f, mean(f), mean(f * f) - mean(f) ** 2, m, w)]
    found, gradient = kernels.correlate(*volumes, (5, 5, 5), 0.0, 1e-3, padded=True)
    assert found == pytest.approx(loss(m), rel=1e-5)
    for index in [(0, 0, 0), (5, 4, 6), (10, 8, 12)]:
        step = np.zeros(SHAPE)
        step[index] = 1e-4
        slope = (loss(m + step) - loss(m - step)) / 2e-4
        assert gradient[index] == pytest.approx(slope, abs=1e-3)


def test_training_on_the_kernel_stays_with_the_definition_for_forty_steps(rng: np.random.Generator) -> None:
    """Float32 running sums agree at first and diverge in flat background: one gradient proves nothing."""
    shape, window = (20, 18, 22), (7, 7, 7)
    f = torch.zeros(shape)
    f[5:15, 5:13, 6:16] = torch.from_numpy(rng.normal(3, 1, (10, 8, 10)).astype(np.float32))
    f += 10
    start = f + torch.from_numpy(rng.normal(0, 0.3, shape).astype(np.float32)) * (f > 10.5)
    w = torch.full(shape, 1 / f.numel())
    ncc = LocalNCC(window)
    fixed = ncc.prepare(f[None])
    single, double = start[None].clone().requires_grad_(), start.double().requires_grad_()
    optimisers = [torch.optim.SGD([x], lr=400.0) for x in (single, double)]
    for _ in range(40):
        losses = ncc(fixed, single, w), plain_loss(f.double(), double, w.double(), window, ncc.floor)
        for loss, optimiser in zip(losses, optimisers, strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    assert float((double - start).abs().max()) > 0.05
    assert float((single[0] - double).abs().max()) < 2e-3


@pytest.mark.parametrize("size", [0.05, 0.3, 1.0])
def test_the_shortfall_of_determinants_and_its_gradient_equal_the_definition(
    rng: np.random.Generator, size: float
) -> None:
    """Small, mixed and large displacements: most cells are skipped by a bound in the first, none in the last."""
    u = torch.from_numpy(rng.normal(0, size, (3, *SHAPE)).astype(np.float32)).requires_grad_()
    exact = u.detach().double().requires_grad_()
    found, truth = Folding().in_voxels(u), Folding()(exact, Grid(SHAPE, np.eye(4)))
    found.backward()
    truth.backward()
    assert (float(truth.detach()) > 0) == (size > 0.1)
    assert float(found.detach()) == pytest.approx(float(truth.detach()), rel=1e-5, abs=1e-12)
    assert u.grad is not None
    assert exact.grad is not None
    np.testing.assert_allclose(u.grad, exact.grad, atol=1e-5 * max(float(exact.grad.abs().max()), 1e-6))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("box", [(slice(0, 7), slice(0, 7), slice(0, 7)), (slice(3, 4), slice(2, 7), slice(0, 5))])
@pytest.mark.parametrize("shape", [(7, 9, 11), (9, 7, 11), (11, 9, 7)])
def test_determinants_by_central_differences_equal_the_definition(
    rng: np.random.Generator, kind: Any, box: tuple[slice, slice, slice], shape: tuple[int, int, int]
) -> None:
    u = rng.normal(0, 0.5, (3, *shape)).astype(kind)
    steps = (0.5, 1.0, 2.0)
    slopes = np.stack([np.stack(np.gradient(component, *steps)) for component in u.astype(np.float64)])
    truth = np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1)) + np.eye(3))[box]
    found = central_determinant(torch.from_numpy(u), steps, box)
    assert found.dtype == torch.from_numpy(u).dtype
    np.testing.assert_allclose(found, truth, atol=1e-5 if kind is np.float32 else 1e-12)
    across = torch.from_numpy(u).permute(0, 3, 2, 1)
    np.testing.assert_allclose(central_determinant(across), central_determinant(across.contiguous()), atol=1e-6)


def test_along_an_axis_of_one_plane_a_map_changes_nothing(rng: np.random.Generator) -> None:
    u = torch.from_numpy(rng.normal(0, 0.5, (3, 9, 1, 8)))
    assert torch.allclose(central_determinant(u), central_determinant(u.expand(3, 9, 4, 8))[:, 1:2])


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_one_two_and_five_threads_give_equal_bits(rng: np.random.Generator, threads: Callable[[int], None]) -> None:
    shape = (37, 40, 33)
    f, m, w = (rng.normal(2, 1, shape).astype(np.float32) for _ in range(3))
    u = rng.normal(0, 1, (3, *shape)).astype(np.float32)
    index = rng.uniform(-1, 40, (30_000, 3)).astype(np.float32)
    values = rng.normal(size=(3, len(index))).astype(np.float32)
    bands = [np.triu(np.tril(rng.normal(size=(50, n)).astype(np.float32), 2), -2) for n in shape]
    x, y, z = (kernels.Banded.of(band) for band in bands)
    wider = (x, y, z)
    x, y, z = (kernels.Banded.of(np.ascontiguousarray(band[:20])) for band in bands)
    narrower = (x, y, z)

    def everything() -> list[np.ndarray]:
        correlation = kernels.correlate(f, f, np.abs(f), m, w, (7, 7, 7), 1e-3)
        short = kernels.shortfall(u, 0.25)
        return [
            *kernels.warp(f, u),
            kernels.pull(u, index),
            kernels.pull_slopes(u, index, values),
            kernels.splat(values, index, shape),
            kernels.determinant(u, (1.0, 1.0, 1.0), (slice(0, 37), slice(0, 40), slice(0, 33))),
            kernels.compose(u, u), *kernels.compose_back(u, u, u[::-1].copy()),
            kernels.apply_banded(wider, u), kernels.apply_banded(narrower, u),
            np.float64(correlation[0]), correlation[1], np.float64(short[0]), short[1],
        ]  # fmt: skip

    found = []
    for n in (1, 2, 5):
        threads(n)
        found.append(everything())
    for others in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], others, strict=True))


def test_without_kernels_the_program_samples_the_same(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = torch.from_numpy(rng.normal(size=(2, *SHAPE)))
    index = torch.from_numpy(points(rng))
    compiled = sample_at_index(volume, index)
    u = torch.from_numpy(rng.normal(size=(3, *SHAPE)))
    determinants = central_determinant(u, (1.0, 0.5, 2.0))
    monkeypatch.setattr(kernels, "ENABLED", False)
    assert not kernels.usable(volume)
    assert torch.allclose(sample_at_index(volume, index), compiled, atol=1e-12)
    assert torch.allclose(central_determinant(u, (1.0, 0.5, 2.0)), determinants, atol=1e-12)
