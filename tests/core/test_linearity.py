"""The linearity index against closed forms; the penalty on acceleration against the curve that it straightens."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import box_grid, push, texture

from noder.carriers import SeenScan
from noder.decoder import Decoder, apply_separable
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image
from noder.linearity import linearity_index
from noder.methods import NoderSettings, Problem
from noder.methods.noder import NoderFit
from noder.methods.ode import hermite, integrate, second_derivatives
from noder.regularity import Magnitude
from noder.series import ImageSeries
from noder.trajectory import Trajectory

K = 3.0
SHORT = NoderSettings(coarse_iterations=0, middle_iterations=40, fine_iterations=0)
FREE = replace(SHORT, acceleration=0.0, straightness=0.0)


def trajectory(course: Callable[[float], float], grid: Grid | None = None) -> Trajectory:
    """u(x,t) = course(tau) v(x), tau = 0..1 while t = 10..14."""
    grid = grid or box_grid()
    decoder = Decoder.in_mm(grid, 6.0, 9.0)
    v = torch.randn(3, *decoder.shape, generator=torch.Generator().manual_seed(0))
    still = torch.zeros(1, *grid.shape)
    scans = [SeenScan(k, t, f"s{k}", still) for k, t in enumerate((10.0, 14.0))]
    return Trajectory(decoder, lambda t: course((t - 10) / 4) * v, scans, "years")


def saturating() -> float:
    """1 - (int tau f)^2 / (int tau^2 int f^2) for f = 1 - exp(-k tau)."""
    moment = 0.5 - (1 - math.exp(-K) * (1 + K)) / K**2
    energy = 1 - 2 * (1 - math.exp(-K)) / K + (1 - math.exp(-2 * K)) / (2 * K)
    return 1 - 3 * moment**2 / energy


@pytest.mark.parametrize(
    ("course", "index"),
    [
        (lambda tau: 2.5 * tau, 0.0),
        (lambda tau: tau**2, 1 / 16),
        (lambda tau: tau**3, 4 / 25),
        (lambda tau: tau * (1 - tau), 3 / 8),
        (lambda tau: 1 - math.exp(-K * tau), saturating()),
        (lambda tau: 0.0, 0.0),
    ],
    ids=["linear", "square", "cube", "there and back", "saturating", "still"],
)
def test_the_index_is_the_closed_form(course: Callable[[float], float], index: float) -> None:
    found = linearity_index(trajectory(course), np.ones((24, 24, 24), bool))
    assert found == pytest.approx(index, abs=2e-6)


def test_only_what_moves_in_the_mask_counts() -> None:
    """Left half linear, right half accelerating: the index of each half is its own."""
    grid = Grid((48, 24, 24), np.diag([1.0, 1.0, 1.0, 1.0]))
    decoder = Decoder.in_mm(grid, 4.0, 4.0)
    points = decoder._control_points(0)
    left = torch.from_numpy(points < 23.5).float()[:, None, None]
    v = torch.ones(3, *decoder.shape)
    scans = [SeenScan(k, t, f"s{k}", torch.zeros(1, *grid.shape)) for k, t in enumerate((0.0, 1.0))]
    moving = Trajectory(decoder, lambda t: v * (left * t + (1 - left) * t * t), scans, "years")
    masks = np.zeros((2, *grid.shape), bool)
    masks[0, :16], masks[1, 32:] = True, True
    assert linearity_index(moving, masks[0]) == pytest.approx(0, abs=1e-6)
    assert linearity_index(moving, masks[1]) == pytest.approx(1 / 16, abs=1e-6)


def test_the_bends_are_the_second_derivative_of_the_curve() -> None:
    states = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    rates = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    start, end = second_derivatives(states, rates)
    for step in range(4):
        for part in (0.1, 0.5, 0.8):
            taus = torch.tensor([(step + part + k * 1e-4) / 4 for k in (-1, 0, 1)], dtype=torch.float64)
            second = hermite(states, rates, taus).diff(n=2, dim=0)[0] / (1e-4 / 4) ** 2
            assert torch.allclose(second, (1 - part) * start[step] + part * end[step], atol=1e-4)


def test_the_magnitude_is_the_same_of_coefficients_and_of_the_field() -> None:
    grid = box_grid(17, 1.5)
    decoder = Decoder.in_mm(grid, 6.0, 9.0)
    c = torch.randn(3, *decoder.shape, generator=torch.Generator().manual_seed(3))
    u = 1.5 * apply_separable(decoder.matrices(), c)
    form = Magnitude.form(decoder.matrices(), grid, 1.5)
    assert float(form(c)) == pytest.approx(float(Magnitude()(u, grid)), rel=1e-5)
    assert float(Magnitude()(torch.full((3, 4, 4, 4), 2.0), box_grid(4))) == pytest.approx(12)


def bending(course: Callable[[float], float], noise: float = 0.0) -> ImageSeries:
    """A texture that moves by 3 mm x course(t / span)."""
    grid = box_grid()
    still, times = texture(grid), [0.0, 1.0, 2.0, 3.0, 4.0]
    chance = np.random.default_rng(4)
    volumes = [push(grid, 3 * course(t / 4)).warp(still, grid)[0].numpy() for t in times]
    size = noise * float(still.std())
    images = [
        Image.from_array((volume + chance.normal(0, size, volume.shape)).astype(np.float32), grid, f"scan_{k}")
        for k, volume in enumerate(volumes)
    ]
    return ImageSeries.from_images(images, times, "years")


def index_of(series: ImageSeries, settings: NoderSettings) -> float:
    result = fit(series, FitConfig(settings=settings))
    assert ("acceleration" in result.history[-1].losses) == (settings != FREE)
    assert float(result.trajectory.field(series.grid, 4.0).u.abs().max()) > 0.5
    return linearity_index(result.trajectory, np.ones(series.grid.shape, bool))


def test_a_penalty_on_acceleration_makes_a_bending_course_linear() -> None:
    """Free, the fit finds the bend; penalised, it does not."""
    series = bending(lambda tau: tau**2)
    free, bound = index_of(series, FREE), index_of(series, replace(FREE, acceleration=10.0))
    assert free > 0.02
    assert bound < 0.2 * free


def test_the_default_gives_up_a_bend_of_noise_and_keeps_one_of_motion() -> None:
    straight, bent = bending(lambda tau: tau, noise=0.3), bending(lambda tau: tau**2)
    assert index_of(straight, SHORT) < 0.1 * index_of(straight, FREE)
    assert index_of(bent, SHORT) > 0.7 * index_of(bent, FREE)


@pytest.mark.parametrize("size", [1e-3, 0.3])
def test_the_gradient_of_the_penalty_is_that_of_its_value(size: float) -> None:
    """Along a random direction: where the root is a square, and where it is one."""
    grid, chance = box_grid(16), torch.Generator().manual_seed(6)
    images = tuple(torch.randn(1, *grid.shape, generator=chance) for _ in range(3))
    problem = Problem(images, (0.0, 0.4, 1.0), torch.ones(grid.shape, dtype=torch.bool), grid)
    fitting = NoderFit(problem, NoderSettings(latent="grid"), 0)
    shape = integrate(fitting.latent, fitting.steps, "rk4", "backprop")[0].shape
    states, rates, way = (size * torch.randn(shape, generator=chance) for _ in range(3))
    states.requires_grad_()
    (bends,), (gradient,), _ = fitting._acceleration(states, rates)
    bends.backward(gradient)
    ends = [fitting._acceleration(states.detach() + step * way, rates)[2]["acceleration"] for step in (0.01, -0.01)]
    assert float((states.grad * way).sum()) == pytest.approx((ends[0] - ends[1]) / 0.02, rel=2e-2)
