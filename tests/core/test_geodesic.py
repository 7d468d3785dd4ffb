"""Geodesic regression: the least squares, the curves, and a sequence that is a geodesic."""

import dataclasses

import numpy as np
import pytest
import torch
from engine_kit import box_grid, texture
from test_svf import smooth_coefficients

from noder.methods.geodesic import (
    GeodesicCurve,
    GeodesicFit,
    GeodesicSettings,
    PiecewiseCurve,
    PiecewiseFit,
    PiecewiseSettings,
    slope_of,
)
from noder.methods.problem import Problem
from noder.methods.settings import decoder_of
from noder.methods.svf import Exponential, Registration, SvfSettings, composed

COUNTS = {"coarse_iterations": 20, "middle_iterations": 20, "fine_iterations": 20}
BRIEF = {"coarse_iterations": 3, "middle_iterations": 3, "fine_iterations": 3}
TAUS = (0.0, 0.4, 1.0)


def steady(n: int, taus: tuple[float, ...], voxels: float = 1.5) -> tuple[Problem, torch.Tensor]:
    """Images I_0 o exp(tau W c) at `taus`, and c; `voxels` is the mean displacement at tau 1."""
    grid = box_grid(n)
    settings = SvfSettings()
    c = smooth_coefficients(settings, grid, voxels)
    exponential_of = Exponential(decoder_of(grid, settings), grid)
    still = texture(grid) / texture(grid).std()
    images = tuple(composed(still, exponential_of(tau * c)) for tau in taus)
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[4:-4, 4:-4, 4:-4] = True
    return Problem(images, taus, mask, grid), c


@pytest.mark.parametrize("weights", [None, [1.0, 4.0, 0.25, 2.0]])
def test_the_slope_is_that_of_least_squares(weights: list[float] | None) -> None:
    taus = [0.2, 0.5, 0.9, 1.0]
    c = torch.randn((4, 3, 2, 3, 4), generator=torch.Generator().manual_seed(0))
    root = np.sqrt(np.array(weights or [1.0] * 4))[:, None]
    expected, *_ = np.linalg.lstsq(root * np.array(taus)[:, None], root * c.flatten(1).double().numpy(), rcond=None)
    found = slope_of(taus, list(c), weights)
    assert np.allclose(found.flatten().numpy(), expected[0], atol=1e-6)


def test_a_geodesic_is_a_straight_line_through_zero() -> None:
    slope = torch.randn(3, 4, 4, 4)
    curve = GeodesicCurve(slope)
    assert float(curve(0.0).abs().max()) == 0
    assert torch.equal(curve(-1.5), -1.5 * slope)
    assert torch.equal(curve.rate(0.3), slope)


def test_a_piecewise_curve_passes_through_its_nodes_and_goes_on_with_the_last_slope() -> None:
    taus, nodes = torch.tensor([0.0, 0.3, 0.5, 1.0], dtype=torch.float64), torch.randn(4, 3, 2, 2, 2)
    nodes[0] = 0
    curve = PiecewiseCurve(taus, nodes)
    for tau, node in zip(taus.tolist(), nodes, strict=True):
        assert torch.allclose(curve(tau), node, atol=1e-6)
    assert torch.allclose(curve(0.4), (nodes[1] + nodes[2]) / 2, atol=1e-6)
    assert torch.allclose(curve(1.5), nodes[3] + (nodes[3] - nodes[2]), atol=1e-5)
    assert torch.allclose(curve(-0.3), -nodes[1], atol=1e-6)
    for tau in (-0.2, 0.1, 0.35, 0.8, 1.7):
        assert torch.allclose(curve.rate(tau), (curve(tau + 0.01) - curve(tau - 0.01)) / 0.02, atol=1e-3)


def test_a_curve_with_one_scan_beside_the_reference_is_a_line() -> None:
    node = torch.randn(3, 2, 2, 2)
    curve = PiecewiseCurve(torch.tensor([0.0, 1.0], dtype=torch.float64), torch.stack([0 * node, node]))
    assert torch.allclose(curve(2.5), 2.5 * node, atol=1e-6)


def test_a_geodesic_sequence_gives_its_velocity_and_what_was_not_seen() -> None:
    """Fitted at 0.4 and 1; the scans at 0.7 and 1.3 are predicted, and better than by the first scan unchanged."""
    problem, c = steady(32, (*TAUS, 0.7, 1.3))
    seen = Problem(problem.images[:3], TAUS, problem.mask, problem.grid)
    fit = GeodesicFit(seen, GeodesicSettings(**COUNTS), seed=0)
    assert len(list(fit.run())) == fit.total == len(fit.costs()) == 120
    exponential_of = Exponential(fit.decoder, problem.grid)
    curve = fit.curve()
    for tau, image in zip((0.7, 1.3), problem.images[3:], strict=True):
        found, truth = exponential_of(curve(tau)), exponential_of(tau * c)
        assert float((found - truth).norm(dim=0)[problem.mask].mean()) < 0.25 * 1.5 * tau
        predicted, unmoved = composed(problem.images[0], found), problem.images[0]
        errors = [float((guess - image)[0][problem.mask].norm()) for guess in (predicted, unmoved)]
        assert errors[0] < errors[1] / 3


def test_a_piecewise_fit_keeps_the_log_velocity_of_every_scan() -> None:
    problem, _ = steady(24, TAUS)
    settings = PiecewiseSettings(**BRIEF)
    fit = PiecewiseFit(problem, settings, seed=0)
    stages = {step.stage for step in fit.run()}
    curve = fit.curve()
    for tau, image in zip(TAUS[1:], problem.images[1:], strict=True):
        alone = Registration(image, problem.images[0], problem.mask, problem.grid, fit.decoder, settings)
        for _ in alone.run():
            pass
        assert float(alone.coefficients.detach().abs().max()) > 0.1
        assert torch.allclose(curve(tau), alone.coefficients.detach(), atol=1e-6)
    assert "scan 2 of 2, full size" in stages


def test_residuals_weight_the_scans_if_asked() -> None:
    problem, _ = steady(24, TAUS)
    images = (*problem.images[:2], torch.flip(problem.images[2], (1, 2, 3)))
    spoiled = Problem(images, TAUS, problem.mask, problem.grid)
    plain, wary = (GeodesicFit(spoiled, GeodesicSettings(**BRIEF, residual_power=p), seed=0) for p in (0.0, 3.0))
    for fit in (plain, wary):
        for _ in fit.run():
            pass
    taus, coefficients, residuals = wary.found()
    assert residuals[1] > 2 * residuals[0]
    assert torch.allclose(plain.curve().slope, slope_of(taus, coefficients), atol=1e-6)
    expected = slope_of(taus, coefficients, [r**-3 for r in residuals])
    assert torch.allclose(wary.curve().slope, expected, atol=1e-6)
    first = coefficients[0] / taus[0]
    assert float((wary.curve().slope - first).norm()) < float((plain.curve().slope - first).norm()) / 2


def test_a_fit_stopped_early_has_a_curve_and_goes_on_bit_for_bit() -> None:
    problem, _ = steady(24, TAUS)
    whole = PiecewiseFit(problem, PiecewiseSettings(**BRIEF), seed=0)
    states = {}
    for step, _ in enumerate(whole.run(), start=1):
        if step in (2, 9, 14, 18):
            states[step] = whole.state()
        if step == 5:
            assert whole.curve().taus.tolist() == [0.0, TAUS[1]]
    for step, state in states.items():
        again = PiecewiseFit(problem, PiecewiseSettings(**BRIEF), seed=0)
        again.load_state(state)
        assert len(list(again.run())) == 18 - step
        assert torch.equal(again.curve().nodes, whole.curve().nodes)


def test_a_saved_curve_is_the_curve() -> None:
    grid = box_grid(24)
    nodes = torch.randn(3, 3, 2, 2, 2)
    piecewise = PiecewiseCurve(torch.tensor([0.0, 1 / 3, 1.0], dtype=torch.float64), nodes)
    decoder, again = PiecewiseFit.restore(grid, PiecewiseSettings(), piecewise.tensors(), piecewise.facts())
    assert torch.equal(again(0.77), piecewise(0.77))
    geodesic = GeodesicCurve(nodes[1])
    other, once_more = GeodesicFit.restore(grid, GeodesicSettings(), geodesic.tensors(), geodesic.facts())
    assert torch.equal(once_more(0.77), geodesic(0.77))
    assert decoder.shape == other.shape


@pytest.mark.parametrize("kind", [GeodesicSettings, PiecewiseSettings])
def test_every_setting_has_a_label_a_unit_a_range_and_help(kind: type[SvfSettings]) -> None:
    for setting in dataclasses.fields(kind):
        low, high = setting.metadata["range"]
        assert low <= setting.default <= high
        assert setting.metadata["label"]
        assert setting.metadata["help"]
        assert "unit" in setting.metadata
