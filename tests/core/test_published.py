"""The published mathematics on coefficients equals the plain full-grid oracle, and the oracle equals arithmetic."""

import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sample_grids import GRIDS

from noder import kernels
from noder.carriers import SeenScan
from noder.decoder import apply_separable
from noder.errors import UsageError
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.methods.problem import Problem
from noder.methods.published import PublishedCurve, PublishedDecoder, PublishedFit, PublishedSettings
from noder.similarity import LocalNCC
from noder.trajectory import Trajectory


def oracle_module() -> Any:
    path = Path(__file__).parents[2] / "bench" / "oracle.py"
    spec = importlib.util.spec_from_file_location("oracle", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ORACLE = oracle_module()
SIZES = [(32, 40, 28), (30, 37, 27)]
TIMES = [0.0, 1.0, 2.5]


def pair(shape: tuple[int, int, int], gradients: str = "backprop", **settings: Any) -> tuple[Any, PublishedFit]:
    """The oracle and the preset with one seed, on one series."""
    images = ORACLE.known_series(shape, TIMES)
    oracle = ORACLE.Oracle(images, TIMES, seed=4, adjoint=gradients == "adjoint")
    return oracle, ORACLE.preset(images, TIMES, seed=4, gradients=gradients, **settings)


def gradients_of(network: torch.nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# --- the oracle itself


def test_the_oracles_window_sums_are_sums_over_windows_with_zeros_outside() -> None:
    x = torch.rand(9, 8, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    sums = ORACLE.window_sums(x, 5)
    for i, j, k in [(0, 0, 0), (4, 4, 3), (8, 1, 6)]:
        part = x[max(i - 2, 0) : i + 3, max(j - 2, 0) : j + 3, max(k - 2, 0) : k + 3]
        assert float(sums[i, j, k]) == pytest.approx(float(part.sum()), rel=1e-12)


def test_the_oracles_correlation_is_one_for_a_linear_copy_and_the_plain_value_elsewhere() -> None:
    fixed, moved = torch.rand(2, 11, 11, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    middle = (5, 5, 5)
    assert float(ORACLE.local_cc(fixed, 3 * fixed - 1, 5)[middle]) == pytest.approx(1, abs=1e-4)
    f, m = (x[3:8, 3:8, 3:8].reshape(-1) for x in (fixed, moved))
    plain = np.corrcoef(f.numpy(), m.numpy())[0, 1] ** 2
    assert float(ORACLE.local_cc(fixed, moved, 5)[middle]) == pytest.approx(plain, rel=1e-4)


def test_the_oracles_warp_pulls_whole_voxels_and_zeros_from_outside() -> None:
    image = torch.rand(6, 5, 4, dtype=torch.float64)
    u = torch.zeros(3, 6, 5, 4, dtype=torch.float64)
    u[0], u[1] = 2, -1
    moved = ORACLE.warp(image, u)
    assert torch.allclose(moved[:4, 1:], image[2:, :-1])
    assert float(moved[4:].abs().max()) == 0
    assert float(moved[:, 0].abs().max()) == 0


def test_a_constant_velocity_moves_all_voxels_by_it_and_less_where_the_box_leaves_the_grid() -> None:
    oracle = ORACLE.Oracle([torch.zeros(40, 36, 32)] * 3, TIMES)
    with torch.no_grad():
        oracle.network.write.weight.zero_()
        oracle.network.write.bias.fill_(0.01)
        u = oracle.displacements()
    for k, t in enumerate(TIMES):
        middle, corner = u[k][:, 20, 18, 16], u[k][:, 0, -1, 0]
        assert middle.tolist() == pytest.approx([0.01 * t / 2 * n for n in (40, 36, 32)])
        assert corner.tolist() == pytest.approx((middle * (8 / 15) ** 3).tolist())


def test_penalties_of_a_linear_displacement_are_its_slope_and_its_faces() -> None:
    axes = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in (6, 5, 4)), indexing="ij")
    u = torch.stack([0.3 * axes[0], torch.zeros_like(axes[0]), torch.zeros_like(axes[0])])
    assert float(ORACLE.gradient_energy(u)) == pytest.approx(0.3**2 / 3)
    assert float(ORACLE.face_energy(u, 1)) == pytest.approx((5 * 0.3) ** 2)


# --- the preset against the oracle


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("gradients", ["backprop", "adjoint"])
def test_loss_and_gradient_equal_the_oracles(shape: tuple[int, int, int], gradients: str) -> None:
    oracle, preset = pair(shape, gradients)
    plain = oracle.losses()
    sum(plain.values()).backward()
    found = preset.backward()
    total = sum(float(value.detach()) for value in plain.values())
    assert sum(found.values()) == pytest.approx(total, rel=1e-6)
    for name in ("smoothness", "boundary"):
        assert found[name] == pytest.approx(float(plain[name].detach()), rel=1e-6)
    for mine, theirs in zip(gradients_of(preset.network), gradients_of(oracle.network), strict=True):
        assert float((mine - theirs).norm() / theirs.norm()) < 1e-4


@pytest.mark.parametrize("shape", SIZES)
def test_the_first_epochs_equal_the_oracles(shape: tuple[int, int, int]) -> None:
    oracle, preset = pair(shape, epochs=3)
    for step in preset.run():
        assert sum(step.losses.values()) == pytest.approx(sum(oracle.step().values()), rel=1e-4)


def test_with_a_network_in_double_precision_many_epochs_equal_the_oracles() -> None:
    oracle, preset = pair((24, 20, 28), epochs=15, precision="double")
    for step in preset.run():
        assert sum(step.losses.values()) == pytest.approx(sum(oracle.step().values()), rel=5e-4)


def test_checkpoints_give_the_gradient_of_back_propagation_to_the_bit_and_the_adjoint_nearly() -> None:
    found = {}
    for name in ("backprop", "checkpoint", "adjoint"):
        _, preset = pair((24, 20, 28), name)
        preset.backward()
        found[name] = gradients_of(preset.network)
    assert all(torch.equal(a, b) for a, b in zip(found["backprop"], found["checkpoint"], strict=True))
    exact, adjoint = (torch.cat([g.flatten() for g in found[name]]) for name in ("backprop", "adjoint"))
    assert 1e-6 < float((exact - adjoint).norm() / exact.norm()) < 0.1


def test_both_paths_of_the_correlation_agree_also_in_flat_background(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(2)
    fixed, moved = torch.rand(2, 1, 26, 24, 22, generator=generator)
    fixed[:, :12], moved[:, :12] = 0, 1e-4 * moved[:, :12]
    ncc, found = LocalNCC((9, 9, 9), floor=0.0, epsilon=1e-5 / 9**6, padded=True), []
    weight = torch.full(fixed.shape[1:], 1 / fixed.numel())
    for enabled in (True, False):
        monkeypatch.setattr(kernels, "ENABLED", enabled)
        leaf = moved.clone().requires_grad_()
        loss = ncc(ncc.prepare(fixed), leaf, weight)
        loss.backward()
        found.append((float(loss.detach()), leaf.grad))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    assert float((found[0][1] - found[1][1]).norm() / found[1][1].norm()) < 1e-4


# --- decoder and curve


@pytest.mark.parametrize("n", [16, 17, 18, 19])
def test_the_decoder_is_torchs_upsampling_cut_to_the_grid_and_a_box(n: int) -> None:
    decoder = PublishedDecoder(Grid((n, 20, 23), np.eye(4)), box=7)
    c = torch.rand(1, 3, *decoder.shape, dtype=torch.float64)
    fine = c
    for _ in range(2):
        fine = torch.nn.functional.interpolate(fine, scale_factor=2, mode="trilinear", align_corners=False)
    plain = torch.nn.functional.avg_pool3d(fine[:, :, :n, :20, :23], 7, stride=1, padding=3)[0]
    assert decoder.shape == (math.ceil(n / 4), 5, 6)
    assert torch.allclose(apply_separable(decoder.matrices(), c[0].float()).double(), plain, atol=1e-6)


def test_rows_are_linear_between_voxels_and_slopes_are_their_differences() -> None:
    decoder = PublishedDecoder(Grid((30, 20, 23), np.eye(4)))
    rows = decoder.rows(0, np.array([-3.0, 0.0, 4.0, 4.25, 5.0, 29.0, 40.0]))
    assert rows[3] == pytest.approx(0.75 * rows[2] + 0.25 * rows[4])
    assert rows[0] == pytest.approx(rows[1])
    assert rows[6] == pytest.approx(rows[5])
    around = decoder.rows(0, np.array([11.0, 13.0]))
    assert decoder.slopes(0, np.array([12.0]))[0] == pytest.approx((around[1] - around[0]) / 2)


def moved_fit(grid: Grid, taus: tuple[float, ...], span: float) -> PublishedFit:
    """A fit whose network moves in a way that depends on time and place; its images do not matter."""
    image = torch.rand(1, *grid.shape, generator=torch.Generator().manual_seed(0))
    problem = Problem((image,) * len(taus), taus, torch.ones(grid.shape, dtype=torch.bool), grid)
    fit = PublishedFit(problem, PublishedSettings(span=span), seed=5)
    with torch.no_grad():
        fit.network.fuse.bias += 0.1
    return fit


def oracle_of(fit: PublishedFit, taus: list[float]) -> Any:
    """The oracle with the network of a fit, at its own times."""
    span = fit.settings.span
    oracle = ORACLE.Oracle([image[0] for image in fit.problem.images], [tau * span for tau in taus])
    with torch.no_grad():
        for mine, theirs in zip(oracle.network.parameters(), fit.network.parameters(), strict=True):
            mine.copy_(theirs)
    return oracle


@pytest.mark.parametrize("name", GRIDS)
def test_the_curve_through_the_trajectory_is_the_oracles_displacement_in_mm(name: str) -> None:
    grid = GRIDS[name].reoriented(GRIDS[name].reorientation())
    taus = (0.0, 0.3, 1.0)
    fit = moved_fit(grid, taus, span=4.0)
    curve, voxel = fit.curve(), min(grid.spacing)
    scans = [SeenScan(k, tau, str(k), fit.problem.images[0]) for k, tau in enumerate(taus)]
    trajectory = Trajectory(fit.decoder, lambda t: curve(t) * voxel, scans, "years", grid)
    with torch.no_grad():
        u = oracle_of(fit, list(taus)).displacements()
    to_mm = torch.as_tensor(grid.affine[:3, :3].copy())
    for k, tau in enumerate(taus):
        wanted = torch.einsum("ab,bijk->aijk", to_mm, u[k])
        found = trajectory.field(grid, tau).u
        assert torch.allclose(found.double(), wanted, atol=1e-5 * max(1.0, float(wanted.abs().max())))
    assert float(u[-1].abs().max()) > 0.5


def test_beyond_the_visits_the_curve_goes_on_in_whole_steps_of_the_mean_interval() -> None:
    grid = Grid((24, 20, 28), np.eye(4))
    fit = moved_fit(grid, (0.0, 0.2, 1.0), span=2.0)
    curve = fit.curve()
    with torch.no_grad():
        after = oracle_of(fit, [0.0, 0.2, 1.0, 1.5, 2.0]).displacements()[-1]
        before = oracle_of(fit, [0.0, -0.5]).displacements()[-1]
    for tau, wanted in ((2.0, after), (-0.5, before)):
        found = apply_separable(fit.decoder.matrices(), curve(tau)).double()
        assert torch.allclose(found, wanted, atol=1e-5 * float(wanted.abs().max()))


def test_the_curve_starts_at_the_identity_is_smooth_across_visits_and_no_query_changes_it() -> None:
    fit = moved_fit(Grid((24, 20, 28), np.eye(4)), (0.0, 0.2, 1.0), span=2.0)
    curve, other = fit.curve(), fit.curve()
    assert float(curve(0.0).abs().max()) == 0
    size = float(curve(1.0).abs().max())
    for node in (0.0, 0.2, 1.0, 1.5):
        left, here, right = curve(node - 1e-3), curve(node), curve(node + 1e-3)
        assert torch.allclose(here - left, right - here, atol=2e-4 * size)
    other(3.3)
    other(-1.1)
    assert torch.equal(other(0.7), curve(0.7))


def test_a_curve_is_restored_from_its_tensors_and_facts() -> None:
    fit = moved_fit(Grid((24, 20, 28), np.diag([1.0, 2.0, 1.5, 1.0])), (0.0, 0.4, 1.0), span=3.0)
    curve = fit.curve()
    decoder, restored = PublishedFit.restore(fit.problem.grid, fit.settings, curve.tensors(), curve.facts())
    assert decoder == fit.decoder
    assert isinstance(restored, PublishedCurve)
    assert torch.equal(restored(0.6), curve(0.6))


# --- the fit as a program


def run_of(fit: PublishedFit, epochs: int) -> list[dict[str, float]]:
    steps = fit.run()
    return [next(steps).losses for _ in range(epochs)]


def test_a_resumed_fit_is_bit_equal_to_one_that_was_not_stopped() -> None:
    _, whole = pair((24, 20, 28), epochs=6)
    losses = run_of(whole, 6)
    _, first = pair((24, 20, 28), epochs=6)
    run_of(first, 2)
    state = first.state()
    run_of(first, 1)  # a state is a copy: what the fit does next does not reach it
    _, second = pair((24, 20, 28), epochs=6)
    second.load_state(state)
    assert [step.losses for step in second.run()] == losses[2:]
    assert torch.equal(second.curve()(0.8), whole.curve()(0.8))
    _, fresh = pair((24, 20, 28), epochs=6)
    again = fresh.state()
    run_of(fresh, 1)
    fresh.load_state(again)
    assert run_of(fresh, 1) == losses[:1]


@pytest.mark.usefixtures("threads")
def test_equal_seeds_are_bit_equal_whatever_the_threads_and_other_seeds_differ() -> None:
    images = ORACLE.known_series((40, 44, 36), TIMES[:2])
    found = []
    for threads, seed in ((1, 0), (2, 0), (1, 1)):
        torch.set_num_threads(threads)
        fit = ORACLE.preset(images, TIMES[:2], seed=seed)
        run_of(fit, 2)
        found.append(fit.curve()(1.0))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_gain_and_offset_of_the_scans_do_not_matter() -> None:
    images = ORACLE.known_series((24, 20, 28), TIMES)
    plain = ORACLE.preset(images, TIMES).backward()
    changed = ORACLE.preset([7 * image - 2 for image in images], TIMES).backward()
    assert changed["similarity"] == pytest.approx(plain["similarity"], rel=1e-4)


def test_odd_settings_are_refused_in_a_sentence() -> None:
    images = ORACLE.known_series((24, 20, 28), TIMES)
    for wrong, words in (({"window": 20}, "window = 20"), ({"box": 6}, "box = 6")):
        with pytest.raises(UsageError, match=words):
            ORACLE.preset(images, TIMES, **wrong)
    for wrong, words in (({"gradients": "guessed"}, "backprop"), ({"precision": "half"}, "double")):
        with pytest.raises(UsageError, match=words):
            FitConfig(settings=PublishedSettings(**wrong)).resolved()
