"""NePhi finds known motion, in both directions, and is a trajectory like any other."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from engine_kit import box_grid, moving_series, push, texture

from noder.fields import DisplacementField
from noder.fit import FitConfig, FitResult, fit
from noder.grid import Grid
from noder.methods import NephiSettings, Problem
from noder.methods.carrier import Carrier
from noder.methods.mending import composed_maps, composed_on, mended
from noder.methods.nephi import NephiCurve, NephiFit
from noder.methods.nephi_losses import Descent, Stage
from noder.methods.nephi_pair import PairFit
from noder.methods.nephi_points import RandomPoints, correlation
from noder.methods.neural_field import Codes
from noder.methods.nodes import NodeDecoder
from noder.methods.siren import Sizes
from noder.store import load_result, save_result

GRID = box_grid(32, 1.0)
MM = 2.0
QUICK = NephiSettings(
    node_spacing=4.0, code_spacing=6.0, global_code=4, local_code=8, frequencies=8, hidden=16,
    coarse_iterations=20, middle_iterations=20, fine_iterations=20, smoothness=0.1,
)  # fmt: skip


def problem(mm: float = MM, grid: Grid = GRID) -> Problem:
    """A texture, and the same pulled by a bump of `mm`."""
    still = texture(grid)
    images = (still, push(grid, mm).warp(still, grid))
    images = tuple((image - image.mean()) / image.std() for image in images)
    return Problem(images, (0.0, 1.0), torch.ones(grid.shape, dtype=torch.bool), grid)


def error(u: torch.Tensor, grid: Grid = GRID, mm: float = MM) -> float:
    """Mean distance in mm between a found displacement and the true one, where the true one is half its largest."""
    true = push(grid, mm).u
    there = true[0] > mm / 2
    return float((u - true).norm(dim=0)[there].mean())


@pytest.fixture(scope="module")
def fitted() -> NephiFit:
    run = NephiFit(problem(), QUICK, seed=0)
    for _ in run.run():
        pass
    return run


def test_it_finds_a_known_push_and_its_inverse_without_folds(fitted: NephiFit) -> None:
    maps = composed_maps(fitted.curve().links[0].stages, GRID)
    assert maps is not None
    u, back = (DisplacementField(each, GRID) for each in maps)
    assert error(u.u) < 0.25
    assert u.folds() == back.folds() == 0
    there = push(GRID, MM).u[0] > MM / 2
    assert float(back.compose(u).u.norm(dim=0)[there].mean()) < 0.35  # of two that are fitted side by side


def test_the_refining_stage_makes_it_better(fitted: NephiFit) -> None:
    stages = fitted.curve().links[0].stages
    assert len(stages) == 2
    coarse, both = (composed_maps(part, GRID) for part in (stages[:1], stages))
    assert coarse is not None
    assert both is not None
    assert error(both[0]) < 0.9 * error(coarse[0])


@pytest.fixture(scope="module")
def wide() -> NephiFit:
    """Nodes of the refining stage four voxels apart: its maps are composed on every second voxel."""
    run = NephiFit(problem(), replace(QUICK, node_spacing=5.0), seed=0)
    for _ in run.run():
        pass
    return run


def test_maps_are_composed_on_every_second_voxel_within_a_tenth_of_one(wide: NephiFit) -> None:
    stages = wide.curve().links[0].stages
    carrier = stages[1].decoder.carrier(GRID)
    assert carrier.shape == (17, 17, 17)
    assert np.allclose(carrier.corners_mm, GRID.corners_mm)
    half, full = composed_maps(stages, carrier), composed_maps(stages, GRID)
    assert half is not None
    assert full is not None
    on = Carrier(GRID, carrier)
    for ours, true in zip(half, full, strict=True):
        assert float(true.norm(dim=0).max()) > 1.5
        apart = (on.spread(ours) - true).norm(dim=0)
        assert float(apart.mean()) < 0.02
        assert float(apart.max()) < 0.1


def test_maps_of_nearer_nodes_are_composed_on_all_voxels() -> None:
    assert NodeDecoder.every(GRID, 3.0).carrier(GRID) is GRID
    thick = Grid((32, 32, 32), np.diag([1.0, 1.0, 3.0, 1.0]))
    assert NodeDecoder.every(thick, 4.0).carrier(thick).shape == (17, 17, 32)


def test_the_gradient_in_the_codes_is_that_of_finite_differences(wide: NephiFit) -> None:
    """Of similarity, smoothness and folds of the composed map, in both directions, through carrier and networks."""
    first, second = wide.curve().links[0].stages
    settings = replace(QUICK, inverse_consistency=0.0, prior=0.0, folding=1000.0)

    def descent(codes: Codes) -> Descent:
        stage = replace(second, codes=codes)
        before = partial(composed_on, [first])
        return Descent(problem(), settings, stage, second.decoder, (1, 1, 1), before)

    codes, chance = second.codes.learnable(), torch.Generator()
    descent(codes).backward(chance)
    assert codes.local.grad is not None
    way = codes.local.grad / codes.local.grad.norm()  # uphill
    step = 0.02
    ahead, behind = (
        sum(descent(Codes(codes.whole, codes.local + by * way).learnable()).backward(chance).values())
        for by in (step, -step)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(float(codes.local.grad.norm()), rel=0.02)


def test_what_is_composed_is_what_the_trajectory_shows(fit_of_series: FitResult) -> None:
    """Slices, points and whole fields are evaluated in different ways; all must agree with the composed stages."""
    trajectory, grid = fit_of_series.trajectory, fit_of_series.series.grid
    curve = fit_of_series.model
    assert isinstance(curve, NephiCurve)
    maps = composed_maps(curve.links[0].stages, grid)
    assert maps is not None
    u = trajectory.field(grid, 1.0).u
    assert float(u.abs().max()) > 0.5
    assert torch.allclose(u / min(grid.spacing), maps[0], atol=2e-3)
    one = grid.slice(2, 10)
    assert torch.allclose(trajectory.field(one, 1.0).u, u[..., 10:11], atol=2e-3)
    away = trajectory.predict(1.0, one, carry="first") - trajectory.predict(1.0, carry="first")[..., 10:11]
    assert float(away.abs().mean()) < 0.02 * float(texture(grid).std())


@pytest.fixture(scope="module")
def fit_of_series() -> FitResult:
    """A chain over three scans at uneven times."""
    series, _ = moving_series(box_grid(24, 1.0), times=[0.0, 1.0, 3.0], mm_per_time=0.8)
    return fit(series, FitConfig(method="nephi", settings=QUICK))


def test_a_chain_carries_the_first_scan_to_every_other(fit_of_series: FitResult) -> None:
    trajectory, grid = fit_of_series.trajectory, fit_of_series.series.grid
    for t in (1.0, 3.0):
        assert error(trajectory.field(grid, t).u, grid, 0.8 * t) < 0.35
    links = fit_of_series.model
    assert isinstance(links, NephiCurve)
    assert [(link.begin, link.end) for link in links.links] == [
        (0.0, pytest.approx(1 / 3)),
        (pytest.approx(1 / 3), 1.0),
    ]


def test_time_runs_from_the_identity_through_each_scan_without_a_jump(fit_of_series: FitResult) -> None:
    trajectory, grid = fit_of_series.trajectory, fit_of_series.series.grid
    assert not trajectory.field(grid, 0.0).u.any()
    for t in (0.0, 1.0):
        before, after = (trajectory.field(grid, t + dt).u for dt in (-1e-3, 1e-3))
        assert float((before - after).abs().max()) < 0.02
    half = trajectory.field(grid, 0.5)
    assert 0.15 < float(half.u[0].max()) / 0.8 < 0.9
    assert all(trajectory.field(grid, t).folds() == 0 for t in (0.5, 2.0, 3.0))


def test_its_inverse_undoes_it(fit_of_series: FitResult) -> None:
    trajectory, grid = fit_of_series.trajectory, fit_of_series.series.grid
    points = grid.points()[6:18, 6:18, 6:18]
    there = points + trajectory.displacement(points, 3.0)
    back = there + trajectory.inverse(there, 3.0)
    assert float((back - points).norm(dim=-1).max()) < 5e-3


def test_a_saved_chain_is_the_same_chain(fit_of_series: FitResult, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from noder.image import Image, write_volume
    from noder.series import ImageSeries

    paths = [
        write_volume(tmp_path / f"scan_{k}.nii.gz", scan.image.numpy(), scan.image.grid)
        or tmp_path / f"scan_{k}.nii.gz"
        for k, scan in enumerate(fit_of_series.series.scans)
    ]
    series = ImageSeries.from_images([Image.open(path) for path in paths], fit_of_series.series.times, "years")
    save_result(replace(fit_of_series, series=series), tmp_path / "out")
    again = load_result(tmp_path / "out")
    grid = series.grid
    for t in (0.7, 3.0):
        assert torch.equal(again.trajectory.field(grid, t).u, fit_of_series.trajectory.field(grid, t).u)


def test_equal_seeds_give_equal_maps_and_a_run_that_was_cut_goes_on_bit_for_bit() -> None:
    short = replace(QUICK, coarse_iterations=3, middle_iterations=3, fine_iterations=2)
    pair = problem(grid=box_grid(16, 1.0))
    whole = PairFit(pair, short, seed=4)
    for _ in whole.run():
        pass
    for cut in (2, 8):  # in the first stage, and in the second
        first = PairFit(pair, short, seed=4)
        for _, _ in zip(range(cut), first.run(), strict=False):
            pass
        second = PairFit(pair, short, seed=4)
        second.load_state(first.state())
        for _ in second.run():
            pass
        ours, theirs = whole.state(), second.state()
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(theirs[name])), name
    other = PairFit(pair, short, seed=5)
    for _ in other.run():
        pass
    assert not torch.equal(other.stages[0].codes.local, whole.stages[0].codes.local)


def test_the_published_similarity_finds_the_push_too() -> None:
    settings = replace(QUICK, similarity="global", points=0.2, smoothness=0.0, folding=0.0, inverse_consistency=0.05)
    run = PairFit(problem(), settings, seed=0)
    for _ in run.run():
        pass
    maps = composed_maps(run.stages, GRID)
    assert maps is not None
    assert error(maps[0]) < 0.4


def test_the_points_correlation_is_pearsons_wherever_the_points_lie() -> None:
    chance = torch.Generator().manual_seed(1)
    image = texture(GRID)
    mask = torch.zeros(GRID.shape, dtype=torch.bool)
    mask[8:20, 5:25, 10:12] = True
    similarity = RandomPoints(image, image, mask, 0.75)
    seen: list[torch.Tensor] = []

    def still(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    assert float(similarity(still, chance)) == pytest.approx(0, abs=1e-6)
    assert len(seen[0]) == round(0.75 * 12 * 20 * 2)
    low, high = seen[0].amin(0), seen[0].amax(0)
    assert (low >= torch.tensor([7.5, 4.5, 9.5])).all()
    assert (high <= torch.tensor([19.5, 24.5, 11.5])).all()
    a, b = torch.randn((2, 1000), generator=chance)
    assert float(correlation(a, 3 * a - 7 + b)) == pytest.approx(
        float(torch.corrcoef(torch.stack([a, 3 * a + b]))[0, 1])
    )


def test_folds_are_mended_where_they_are_and_the_rest_is_kept_to_the_bit() -> None:
    stage = Stage.fresh(GRID, 3.0, 4.0, Sizes(4, 8, 8, 16), seed=1).snapshot()
    torch.nn.init.normal_(stage.decoders.forwards.last.weight, std=1.35, generator=torch.Generator().manual_seed(2))
    mend = mended(stage, GRID, None)
    before, after = (composed_maps([each], GRID) for each in (stage, mend))
    assert before is not None
    assert after is not None
    assert DisplacementField(before[0], GRID).folds() > 0
    assert DisplacementField(after[0], GRID).folds() == 0
    assert mend.damping is not None
    assert 0 < float(mend.damping.min()) < 1
    same = (after[0] == before[0]).all(dim=0)
    assert 0.2 < float(same.float().mean()) < 1
    assert float((after[0] - before[0]).abs().max()) < 0.6 * float(before[0].abs().max())


def test_one_thread_and_two_give_one_map() -> None:
    short = NephiSettings(coarse_iterations=2, middle_iterations=2, fine_iterations=2)
    pair = problem(grid=box_grid(48, 1.0))
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run = PairFit(pair, short, seed=3)
            for _ in run.run():
                pass
            found.append(run.state())
    finally:
        torch.set_num_threads(before)
    one, two = found
    assert all(torch.equal(torch.as_tensor(one[name]), torch.as_tensor(two[name])) for name in one)


def test_what_was_mended_stays_so_in_a_file_and_in_a_checkpoint() -> None:
    """With a damping unlike 1: without it a saved map would fold again."""
    short = replace(QUICK, coarse_iterations=2, middle_iterations=2, fine_iterations=2)
    run = NephiFit(problem(grid=box_grid(16, 1.0)), short, seed=0)
    for _ in run.run():
        pass
    link = run.curve().links[0]
    damped = [replace(stage, damping=torch.full(stage.decoder.nodes, 0.5)) for stage in link.stages]
    curve = NephiCurve([replace(link, stages=tuple(damped))])
    _, again = NephiFit.restore(box_grid(16, 1.0), short, curve.tensors(), curve.facts())
    run._pair.stages = damped
    pair = PairFit(run.problem, short, seed=0)
    pair.load_state(run._pair.state())
    for stages in (again.links[0].stages, pair.stages):
        assert [float(stage.damping.max()) for stage in stages if stage.damping is not None] == [0.5, 0.5]
