"""NODER: the reduced ODE equals the full one, time is a continuum, and known motion is found."""

import dataclasses

import pytest
import torch
from engine_kit import SHORT, box_grid, moving_series, push
from torchdiffeq import odeint

from noder.errors import UsageError
from noder.fit import FitConfig, fit
from noder.methods.noder import (
    NoderCurve,
    NoderSettings,
    VelocityNetwork,
    combine,
    integrate,
    make_decoder,
    make_network,
    make_stages,
)


def busy_network(shape: tuple[int, int, int] = (9, 10, 8)) -> VelocityNetwork:
    """A network whose trajectory bends: its last map is not zero."""
    torch.manual_seed(0)
    network = VelocityNetwork(shape)
    torch.nn.init.normal_(network.write, 0, 0.5)
    return network.requires_grad_(False)


def curve_of(network: VelocityNetwork, steps: int = 4) -> NoderCurve:
    return NoderCurve.solve(network, steps, (10.0, 20.0), 1.0)


def test_integrating_the_few_numbers_equals_integrating_the_coefficients() -> None:
    """dc/dt = B h(read(half c), t) on the full coefficients, with the same solver, gives the same c."""
    network = busy_network()
    halved = network.halved_basis()
    states, _ = integrate(network, 4)

    def on_coefficients(t: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        small = torch.nn.functional.avg_pool3d(c[None], 2, ceil_mode=True)
        hidden = network.fuse(torch.cat([network.read(small)[0], network._clock(t)]))
        return combine(network.write, torch.cat([hidden, torch.ones(1)]))

    assert halved.shape[1:] == (3, 5, 5, 4)
    full = odeint(on_coefficients, torch.zeros(3, *network.shape), torch.linspace(0, 1, 5), method="rk4")
    assert float(full[-1].abs().max()) > 1
    assert torch.allclose(combine(network.write, states[-1]), full[-1], atol=1e-4)


def test_a_fresh_network_moves_nothing() -> None:
    network = make_network(make_decoder(box_grid(), NoderSettings()), seed=3).requires_grad_(False)
    assert float(curve_of(network)(17.0).abs().max()) == 0


def test_the_curve_starts_at_the_identity_and_is_smooth_across_its_steps() -> None:
    curve = curve_of(busy_network())
    assert float(curve(10.0).abs().max()) == 0
    for node in (12.5, 15.0, 20.0):
        before = (curve(node) - curve(node - 1e-2)) / 1e-2
        after = (curve(node + 1e-2) - curve(node)) / 1e-2
        assert torch.allclose(before, after, rtol=0.05, atol=0.02 * float(after.abs().max()))


def test_asking_for_more_times_never_changes_an_answer() -> None:
    network = busy_network()
    fresh, asked = curve_of(network), curve_of(network)
    for t in (3.0, 31.0, 11.7, 19.99):
        asked(t)
    for t in (13.3, 20.0, 24.0, 6.0):
        assert torch.equal(fresh(t), asked(t))


def test_the_solution_solves_the_ode() -> None:
    """Four steps agree with two hundred."""
    network = busy_network()
    coarse, fine = curve_of(network, 4), curve_of(network, 200)
    for t in (11.0, 14.6, 20.0):
        assert torch.allclose(coarse(t), fine(t), atol=0.03 * float(fine(20.0).abs().max()))


def test_beyond_the_span_the_ode_goes_on() -> None:
    network = busy_network()
    longer = NoderCurve.solve(network, 4, (10.0, 20.0), 1.0)
    start = torch.zeros(len(network.write))
    halved = network.halved_basis()
    times = torch.linspace(0, 1.5, 301)
    state = odeint(lambda t, z: network(t, z, halved), start, times, method="rk4")[-1]
    assert torch.allclose(longer(25.0), combine(network.write, state), atol=0.05 * float(longer(25.0).abs().max()))


def test_thick_slices_are_not_reduced_and_small_images_keep_eight_voxels() -> None:
    import numpy as np

    from noder.grid import Grid

    thick = Grid((64, 64, 16), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert [factors for factors, _ in make_stages(thick, NoderSettings())] == [
        (4, 4, 1),
        (2, 2, 1),
        (1, 1, 1),
    ]
    assert make_stages(box_grid(16), NoderSettings())[0][0] == (2, 2, 2)


@pytest.mark.parametrize("mm", [1.5, -1.5])
def test_a_known_push_is_found_with_its_sign_and_size(mm: float) -> None:
    series, grid = moving_series(times=[0.0, 1.0, 2.0], mm_per_time=mm)
    settings = NoderSettings(coarse_iterations=20, middle_iterations=40, fine_iterations=40, smoothness=0.05)
    trajectory = fit(series, FitConfig(settings=settings)).trajectory
    truth = push(grid, 2 * mm).u
    moved = truth.norm(dim=0) > 0.7 * abs(2 * mm)
    found = trajectory.field(grid, 2.0).u
    assert float((found - truth)[:, moved].norm(dim=0).mean()) < 0.3 * abs(2 * mm)
    assert float(found[0][moved].mean()) == pytest.approx(2 * mm, rel=0.25)


def test_equal_seeds_are_bit_equal_whatever_the_threads_and_other_seeds_differ() -> None:
    series, _ = moving_series()
    before = torch.get_num_threads()
    try:
        found = []
        for threads, seed in ((1, 0), (2, 0), (1, 1)):
            torch.set_num_threads(threads)
            curve = fit(series, FitConfig(settings=SHORT, seed=seed)).model
            found.append(curve(2.0))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_every_setting_has_a_label_a_unit_a_range_and_help() -> None:
    for setting in dataclasses.fields(NoderSettings):
        low, high = setting.metadata["range"]
        assert low <= setting.default <= high
        assert setting.metadata["label"]
        assert setting.metadata["help"]
        assert "unit" in setting.metadata


def test_a_time_far_beyond_the_scans_is_refused_in_a_sentence() -> None:
    curve = curve_of(busy_network())
    assert float(curve(100.0).abs().max()) > 0
    with pytest.raises(UsageError, match="1e\\+09"):
        curve(1e9)
