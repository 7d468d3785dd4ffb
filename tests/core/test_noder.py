"""NODER: the reduced ODE equals the full one, time is a continuum, and known motion is found."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from engine_kit import SHORT, box_grid, moving_series, push
from torchdiffeq import odeint

from noder import kernels
from noder.decoder import Decoder
from noder.errors import UsageError
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.methods import FITS, PRESETS, Settings
from noder.methods.curve import TimedCurve
from noder.methods.latent import LATENTS, GridLatent, Latent, clock, make_latent
from noder.methods.noder import NoderSettings
from noder.methods.ode import SOLVERS, LatentCurve, integrate
from noder.methods.problem import pyramid

DECODER = Decoder(Grid((21, 26, 16), np.eye(4)), (5.0, 5.0, 5.0), (10.0, 10.0, 10.0))
SHAPE = DECODER.shape


@pytest.fixture(params=sorted(LATENTS))
def busy(request: pytest.FixtureRequest) -> Latent:
    """A latent space whose trajectory bends: its last map is not zero."""
    latent = make_latent(request.param, DECODER, seed=0)
    with torch.no_grad():
        latent.write.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    return latent.requires_grad_(False)


def coefficients(latent: Latent, z: torch.Tensor) -> torch.Tensor:
    return latent.coefficients(z[None])[0]


def test_integrating_the_few_numbers_equals_integrating_the_control_points() -> None:
    """dc/dt = B h(read(half c), t) on the full control grid, with the same solver, gives the same c."""
    latent = make_latent("grid", DECODER, seed=0)
    assert isinstance(latent, GridLatent)
    with torch.no_grad():
        latent.write.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    latent.requires_grad_(False)
    states, _ = integrate(latent, 4)

    def on_control_points(t: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool3d(c[None], 2, ceil_mode=True)
        hidden = latent.fuse(torch.cat([latent.read(small)[0], clock(t)]))
        return coefficients(latent, torch.cat([hidden, torch.ones(1)]))

    full = odeint(on_control_points, torch.zeros(3, *SHAPE), torch.linspace(0, 1, 5), method="rk4")
    assert float(full[-1].abs().max()) > 1
    assert torch.allclose(coefficients(latent, states[-1]), full[-1], atol=1e-4)


@pytest.mark.parametrize("name", sorted(LATENTS))
def test_a_fresh_latent_space_moves_nothing(name: str) -> None:
    assert float(LatentCurve(make_latent(name, DECODER, seed=3), 4)(0.7).abs().max()) == 0


def test_the_curve_starts_at_the_identity_and_is_smooth_across_its_steps(busy: Latent) -> None:
    curve = LatentCurve(busy, 4)
    assert float(curve(0.0).abs().max()) == 0
    for node in (0.25, 0.5, 1.0):
        before = (curve(node) - curve(node - 1e-3)) / 1e-3
        after = (curve(node + 1e-3) - curve(node)) / 1e-3
        assert torch.allclose(before, after, rtol=0.05, atol=0.02 * float(after.abs().max()))


def test_asking_for_more_times_never_changes_an_answer(busy: Latent) -> None:
    fresh, asked = LatentCurve(busy, 4), LatentCurve(busy, 4)
    for tau in (-0.7, 2.1, 0.17, 0.999):
        asked(tau)
    for tau in (0.33, 1.0, 1.4, -0.4):
        assert torch.equal(fresh(tau), asked(tau))


def test_the_solution_solves_the_ode(busy: Latent) -> None:
    """Four steps agree with two hundred."""
    coarse, fine = LatentCurve(busy, 4), LatentCurve(busy, 200)
    for tau in (0.1, 0.46, 1.0):
        assert torch.allclose(coarse(tau), fine(tau), atol=0.03 * float(fine(1.0).abs().max()))


def test_beyond_the_span_the_ode_goes_on(busy: Latent) -> None:
    shared = busy.shared()
    times = torch.linspace(0, 1.5, 301)
    state = odeint(lambda t, z: busy.rate(t, z, *shared), busy.start(), times, method="rk4")[-1]
    beyond = LatentCurve(busy, 4)(1.5)
    assert torch.allclose(beyond, coefficients(busy, state), atol=0.05 * float(beyond.abs().max()))


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver_comes_to_the_same_trajectory(busy: Latent, solver: str) -> None:
    """With 400 steps even Euler's is within 2 % of the Runge-Kutta solution."""
    exact, found = LatentCurve(busy, 100)(1.0), LatentCurve(busy, 400, solver)(1.0)
    assert torch.allclose(found, exact, atol=0.02 * float(exact.abs().max()))


@pytest.mark.parametrize(("gradients", "tolerance"), [("checkpoint", 1e-6), ("adjoint", 2e-3)])
def test_other_ways_to_the_gradient_agree_with_back_propagation(busy: Latent, gradients: str, tolerance: float) -> None:
    def gradient(way: str) -> torch.Tensor:
        latent = copy.deepcopy(busy).requires_grad_()
        states, _ = integrate(latent, 8, "rk4", way)
        latent.coefficients(states[-1:]).square().sum().backward()
        return torch.cat([p.grad.flatten() for p in latent.parameters() if p.grad is not None])

    exact = gradient("backprop")
    assert float((gradient(gradients) - exact).norm() / exact.norm()) < tolerance


def test_thick_slices_are_not_reduced_and_small_images_keep_eight_voxels() -> None:
    thick = Grid((64, 64, 16), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert [factors for factors, _ in pyramid(thick, (1, 1, 1))] == [(4, 4, 1), (2, 2, 1), (1, 1, 1)]
    assert pyramid(box_grid(16), (1, 0, 0)) == [((2, 2, 2), 1)]


@pytest.mark.parametrize("mm", [1.5, -1.5])
def test_a_known_push_is_found_with_its_sign_and_size(mm: float) -> None:
    series, grid = moving_series(times=[0.0, 1.0, 2.0], mm_per_time=mm)
    settings = NoderSettings(coarse_iterations=20, middle_iterations=40, fine_iterations=60, smoothness=0.05)
    trajectory = fit(series, FitConfig(settings=settings)).trajectory
    truth = push(grid, 2 * mm).u
    moved = truth.norm(dim=0) > 0.7 * abs(2 * mm)
    found = trajectory.field(grid, 2.0).u
    assert float((found - truth)[:, moved].norm(dim=0).mean()) < 0.3 * abs(2 * mm)
    assert float(found[0][moved].mean()) == pytest.approx(2 * mm, rel=0.25)


QUICK = {"coarse_iterations": 4, "middle_iterations": 5, "fine_iterations": 4}
KINDS: dict[str, Settings] = {
    "grid": SHORT,
    "rank": dataclasses.replace(SHORT, latent="rank", **QUICK),
    "flow": dataclasses.replace(SHORT, map="flow", **QUICK),
    "geodesic": dataclasses.replace(PRESETS["geodesic"]["balanced"], **QUICK),
    "piecewise": dataclasses.replace(PRESETS["piecewise"]["balanced"], **QUICK),
    "published": dataclasses.replace(PRESETS["noder"]["published"], epochs=6),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_is_bit_equal_whatever_the_threads(kind: str) -> None:
    series, _ = moving_series()
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 1):
            torch.set_num_threads(threads)
            found.append(fit(series, FitConfig(settings=KINDS[kind])).model.tensors())
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(other[name], value) for name, value in found[0].items())


def test_another_seed_is_another_fit() -> None:
    series, _ = moving_series()
    first, second = (fit(series, FitConfig(settings=KINDS["rank"], seed=seed)).model(1.0) for seed in (0, 1))
    assert not torch.equal(first, second)


@pytest.mark.parametrize("kind", ["grid", "flow", "geodesic"])
def test_the_plain_torch_path_of_other_devices_comes_to_the_same_map(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a GPU would run, run on the CPU. Adam makes steps of one size of any gradient, so that rounding grows.

    Loss and gradient of one step agree to 1e-3 in test_problem.py.
    """
    series, grid = moving_series()
    compiled = fit(series, FitConfig(settings=KINDS[kind]))
    monkeypatch.setattr(kernels, "ENABLED", False)
    plain = fit(series, FitConfig(settings=KINDS[kind]))
    losses = [result.history[-1].losses["similarity"] for result in (compiled, plain)]
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
    u, v = (result.trajectory.field(grid, 2.0).u for result in (compiled, plain))
    assert float(u.norm(dim=0).mean()) > 0.05
    assert float((u - v).norm(dim=0).mean()) < 0.1 * float(u.norm(dim=0).mean())


@pytest.mark.parametrize("kind", FITS)
def test_every_setting_has_a_label_a_unit_a_range_and_help(kind: type) -> None:
    for setting in dataclasses.fields(kind):
        allowed = setting.metadata["range"]
        if isinstance(setting.default, str):
            assert setting.default in allowed
        else:
            assert allowed[0] <= setting.default <= allowed[1]
        assert setting.metadata["label"]
        assert setting.metadata["help"]
        assert "unit" in setting.metadata


def test_a_time_far_beyond_the_scans_is_refused_in_a_sentence(busy: Latent) -> None:
    curve = TimedCurve(LatentCurve(busy, 4), (10.0, 20.0), 2.0)
    assert torch.equal(curve(15.0), 2 * LatentCurve(busy, 4)(0.5))
    assert float(curve(100.0).abs().max()) > 0
    with pytest.raises(UsageError, match="1e\\+09"):
        curve(1e9)
