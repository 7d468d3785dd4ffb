"""Exponentials against closed forms, and pairs whose deformation is known."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from engine_kit import box_grid, texture
from sample_grids import GRIDS
from torch.nn.functional import avg_pool3d

from noder import kernels
from noder.flow import Flow
from noder.grid import Grid
from noder.methods.problem import Level, Problem
from noder.methods.settings import decoder_of
from noder.methods.svf import (
    Exponential,
    Registration,
    SvfSettings,
    composed,
    exponential,
    exponential_losses,
    register,
    squarings_for,
)
from noder.separable import cubic_matrix

SHORT = SvfSettings(coarse_iterations=20, middle_iterations=25, fine_iterations=25)


def waves(n: int, voxels: float) -> torch.Tensor:
    """(3,n,n,n) float64: a smooth velocity without symmetry, 0 at the faces, at most `voxels` a component."""
    unit = (box_grid(n).indices() / (n - 1)).movedim(-1, 0)
    fade = torch.sin(math.pi * unit).prod(0) ** 2
    x, y, z = unit
    turns = torch.stack([torch.cos(3 * y - z), torch.sin(2 * x + 2 * z + 1), torch.cos(2 * x + y - 1)])
    return voxels * fade * turns / (fade * turns).abs().amax(dim=(1, 2, 3), keepdim=True)


def smooth_coefficients(settings: SvfSettings, grid: Grid, voxels: float, seed: int = 0) -> torch.Tensor:
    """Random control points whose exponential moves by `voxels` on average."""
    shape = decoder_of(grid, settings).shape
    noise = torch.randn((3, *shape), generator=torch.Generator().manual_seed(seed))
    c = avg_pool3d(noise[None], 5, 1, 2)[0]
    for _ in range(3):
        c = c * (voxels / Exponential(decoder_of(grid, settings), grid)(c).norm(dim=0).mean())
    return c


def pair(n: int, voxels: float) -> tuple[Grid, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Grid, fixed and moving image, mask, and the true displacement (3,n,n,n) in voxels."""
    grid = box_grid(n)
    truth = Exponential(decoder_of(grid, SHORT), grid)(smooth_coefficients(SHORT, grid, voxels))
    moving = texture(grid)
    moving = moving / moving.std()
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[4:-4, 4:-4, 4:-4] = True
    return grid, composed(moving, truth), moving, mask, truth


def test_the_exponential_of_a_constant_is_a_translation() -> None:
    velocity = torch.tensor([2.7, -0.4, 11.3])[:, None, None, None].expand(3, 9, 8, 7)
    assert torch.allclose(exponential(velocity), velocity, atol=1e-5)


def test_forward_and_backward_cancel() -> None:
    """Each trilinear reading errs by at most 3/8 of the largest second derivative: 3 * 2 (pi/63)^2 * 3/8 = 0.006."""
    velocity = waves(64, 3.0)
    back = exponential(-velocity)
    error = (back + composed(exponential(velocity), back)).norm(dim=0)
    assert float(exponential(velocity).norm(dim=0).max()) > 2.5
    assert float(error.max()) < 0.02


def test_a_linear_velocity_gives_the_matrix_exponential() -> None:
    """Trilinear reading is exact here; what is left is the midpoint rule's |A|^3 h^2 / 6 of the distance, h the first
    step's share of the whole: half of it is a quarter of the error."""
    a = np.array([[-0.1, 0.08, 0.0], [-0.06, -0.05, 0.04], [0.02, -0.03, -0.08]])
    arm = box_grid(25).indices() - 12
    velocity = (arm @ torch.from_numpy(a).T).movedim(-1, 0)
    expected = (arm @ torch.from_numpy(scipy.linalg.expm(a) - np.eye(3)).T).movedim(-1, 0)
    inside = (slice(None), *(slice(5, -5),) * 3)
    assert float(expected[inside].abs().max()) > 1
    assert squarings_for(velocity) == 1
    errors = [float((exponential(velocity, n) - expected).norm(dim=0)[inside[1:]].max()) for n in (1, 2, 3)]
    farthest = 12 * math.sqrt(3) * math.exp(np.linalg.norm(a, 2))
    assert errors[0] < np.linalg.norm(a, 2) ** 3 * 0.5**2 / 6 * farthest
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.15)
    assert torch.equal(exponential(velocity), exponential(velocity, 1))
    assert torch.allclose(exponential(velocity, 2)[inside], expected[inside], atol=1e-3)
    assert not torch.allclose(velocity[inside], expected[inside], atol=0.05)


def test_two_parts_of_a_flow_are_the_whole() -> None:
    velocity = waves(48, 4.0)
    parts = [exponential(part * velocity) for part in (0.7, 0.3)]
    whole = exponential(velocity)
    assert torch.allclose(parts[1] + composed(parts[0], parts[1]), whole, atol=0.02)
    assert torch.allclose(parts[0] + composed(parts[1], parts[0]), whole, atol=0.02)


@pytest.mark.parametrize(("largest", "squarings"), [(0.0, 0), (1.99, 0), (2.0, 1), (3.99, 1), (4.0, 2), (9.0, 3)])
def test_squarings_leave_a_first_step_shorter_than_two_voxels(largest: float, squarings: int) -> None:
    velocity = torch.zeros(3, 4, 4, 4)
    velocity[1, 2, 2, 2] = -largest
    assert squarings_for(velocity) == squarings
    assert largest / 2**squarings < 2


@pytest.mark.parametrize(("voxels", "mean", "most"), [(1.0, 0.0095, 0.045), (2.0, 0.0205, 0.125), (4.0, 0.062, 0.37)])
def test_the_map_of_a_fit_is_near_the_map_that_is_written(voxels: float, mean: float, most: float) -> None:
    """Fields as rough as a decoder has them, moved by so many voxels on average: squared here, integrated by `Flow`."""
    grid = Grid((64, 72, 60), np.eye(4))
    decoder = decoder_of(grid, SHORT)
    c = torch.randn((3, *decoder.shape), generator=torch.Generator().manual_seed(1))
    c = avg_pool3d(c[None], 3, 1, 1)[0]
    on, index = Exponential(decoder, grid, halved=True), grid.indices()
    c = c * (voxels / float(Exponential(decoder).velocity(c).norm(dim=0).mean()))
    truth = (Flow(decoder, lambda _: c, None).forward(index, 1.0) - index).movedim(-1, 0)
    error = (on(c) - truth).norm(dim=0)[(slice(8, -8),) * 3]
    assert float(error.mean()) < mean
    assert float(error.max()) < most


def test_on_the_way_to_full_size_a_quarter_of_the_voxels_an_axis_carries() -> None:
    grid, _, _, mask, _ = pair(48, 1.0)
    decoder, images = decoder_of(grid, SHORT), (torch.zeros(1, *grid.shape),) * 2
    shapes = []
    for factors in ((1, 1, 1), (2, 2, 2), (4, 4, 4)):
        level = Level(Problem(images, (0.0, 1.0), mask, grid), decoder, factors, SHORT)
        shapes.append(Exponential.at(level, decoder).carrier.shape)
    assert shapes == [(25, 25, 25), (13, 13, 13), (12, 12, 12)]


def test_the_gradient_is_that_of_finite_differences() -> None:
    velocity = torch.randn((3, 4, 5, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda v: exponential(v, 2), (velocity.requires_grad_(),))


def test_half_the_voxels_carry_a_fit() -> None:
    """Random control points, the roughest fields that the decoder has, moved by 3 voxels at most."""
    grid = box_grid(48)
    decoder = decoder_of(grid, SHORT)
    c = torch.randn((3, *decoder.shape), generator=torch.Generator().manual_seed(2))
    c = avg_pool3d(c[None], 3, 1, 1)[0]
    full, half = Exponential(decoder), Exponential(decoder, grid, halved=True)
    c = c * (3 / full(c).abs().max())
    assert half.carrier.shape == (25, 25, 25)
    assert np.allclose(half.carrier.corners_mm, grid.corners_mm)
    error = (half(c) - full(c)).norm(dim=0)
    assert float(error.mean()) < 0.03
    assert float(error.max()) < 0.15


def test_a_box_is_a_part_of_the_whole_and_gathering_the_transpose_of_spreading() -> None:
    grid, box = box_grid(30), (slice(3, 20), slice(0, 30), slice(11, 26))
    decoder = decoder_of(grid, SHORT)
    generator = torch.Generator().manual_seed(3)
    c = torch.randn((3, *decoder.shape), generator=generator)
    whole = Exponential(decoder, grid, halved=True)
    part = Exponential(decoder, grid, halved=True, box=box, keeps=True)
    u = whole.carried(c)
    assert torch.allclose(part.spread(u), whole.spread(u)[(slice(None), *box)], atol=1e-5)
    g = torch.randn(part.spread(u).shape, generator=generator)
    assert float((part.spread(u) * g).sum()) == pytest.approx(float((u.detach() * part.gathered(g)).sum()), rel=1e-4)


def test_what_is_kept_stands_until_the_next_call() -> None:
    grid = box_grid(30)
    decoder = decoder_of(grid, SHORT)
    keeps, fresh = (Exponential(decoder, grid, halved=True, keeps=keep) for keep in (True, False))
    u = keeps.carried(torch.ones(3, *decoder.shape))
    for on, shared in ((keeps, True), (fresh, False)):
        first, second = on.spread(u), on.spread(2 * u)
        assert (first.data_ptr() == second.data_ptr()) is (shared and kernels.ENABLED)  # plain torch keeps no array
    assert torch.equal(keeps.spread(u), fresh.spread(u))


@pytest.mark.parametrize(("m", "n"), [(13, 24), (24, 24), (2, 3)])
def test_lines_are_brought_to_finer_voxels_exactly_and_parabolas_inside(m: int, n: int) -> None:
    matrix = cubic_matrix(m, n).double()
    coarse, fine = torch.arange(m).double(), torch.linspace(0, m - 1, n).double()
    assert torch.allclose(matrix @ coarse, fine, atol=1e-5)
    assert torch.allclose(matrix.sum(1), torch.ones(n).double(), atol=1e-6)
    inside = (fine >= 1) & (fine <= m - 2)
    assert torch.allclose((matrix @ coarse**2)[inside], (fine**2)[inside], atol=1e-4)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_gradient_of_the_losses_is_that_of_their_values(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along a random direction, with folds; compiled and plain."""
    monkeypatch.setattr(kernels, "ENABLED", enabled)
    grid, fixed, moving, mask, _ = pair(24, 1.0)
    decoder = decoder_of(grid, SHORT)
    level = Level(Problem((moving, fixed), (0.0, 1.0), mask, grid), decoder, (1, 1, 1), SHORT)
    on = Exponential(decoder, grid, halved=True, box=level.box, keeps=True)
    generator = torch.Generator().manual_seed(5)
    c, way = (8.0 * torch.randn((3, *decoder.shape), generator=generator) for _ in range(2))
    losses, gradient = exponential_losses(level, on, c, 1)
    assert losses.keys() == {"similarity", "folding", "smoothness", "boundary"}
    assert losses["folding"] > 0
    ends = [sum(exponential_losses(level, on, c + step * way, 1)[0].values()) for step in (1e-3, -1e-3)]
    assert float((gradient * way).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=3e-2)


@pytest.mark.parametrize("halved", [False, True])
@pytest.mark.parametrize("name", ["LAS anisotropic", "oblique"])
def test_coefficients_point_along_mm_axes_in_voxels_of_the_finest(name: str, halved: bool) -> None:
    stored = GRIDS[name]
    grid = stored.reoriented(stored.reorientation())
    decoder = decoder_of(grid, SHORT)
    c = torch.tensor([1.5, -0.5, 0.75])
    u = Exponential(decoder, grid.coarsen((2, 1, 1)), halved=halved)(
        c[:, None, None, None].expand(3, *decoder.shape).contiguous()
    )
    matrix = torch.tensor(grid.coarsen((2, 1, 1)).affine[:3, :3]).float()
    mm = torch.einsum("ab,bijk->aijk", matrix, u)
    assert torch.allclose(mm, (c * min(grid.spacing))[:, None, None, None].expand_as(mm), atol=1e-4)


def test_thick_slices_are_not_halved() -> None:
    grid = Grid((40, 40, 12), np.diag([1.0, 1.0, 5.0, 1.0]))
    assert Exponential(decoder_of(grid, SHORT), grid, halved=True).carrier.shape == (21, 21, 12)


def test_a_known_warp_is_found() -> None:
    """Blobs of three voxels and no noise: a tenth of a blob is left where a displacement of half a blob was."""
    grid, fixed, moving, mask, truth = pair(36, 1.5)
    registration = Registration(fixed, moving, mask, grid, decoder_of(grid, SHORT), SHORT)
    steps = list(registration.run())
    found = Exponential(decoder_of(grid, SHORT), grid)(registration.coefficients.detach())
    before, after = (float((truth - u).norm(dim=0)[mask].mean()) for u in (torch.zeros_like(truth), found))
    assert before > 1.2
    assert after < 0.3
    assert len(steps) == registration.total == 70
    assert [step.stage for step in steps[::25]] == ["1/4 size", "1/2 size", "full size"]
    assert registration.residual == steps[-1].losses["similarity"] < steps[0].losses["similarity"] / 5


def test_equal_images_are_left_where_they_are() -> None:
    grid, _, moving, mask, _ = pair(24, 1.0)
    settings = SvfSettings(coarse_iterations=5, middle_iterations=5, fine_iterations=5)
    registration = Registration(moving, moving, mask, grid, decoder_of(grid, settings), settings)
    for _ in registration.run():
        pass
    u = Exponential(decoder_of(grid, settings), grid)(registration.coefficients.detach())
    assert float(u.abs().max()) < 0.05


def test_a_run_goes_on_from_its_state_bit_for_bit() -> None:
    grid, fixed, moving, mask, _ = pair(24, 1.0)
    settings = SvfSettings(coarse_iterations=4, middle_iterations=4, fine_iterations=4)
    decoder = decoder_of(grid, settings)
    whole = Registration(fixed, moving, mask, grid, decoder, settings)
    kept = {}
    for step in whole.run():
        if whole.step in (3, 8, 12):
            kept[whole.step] = whole.state(), step
    for at, (state, _) in kept.items():
        again = Registration(fixed, moving, mask, grid, decoder, settings)
        again.load_state(state)
        assert len(list(again.run())) == 12 - at
        assert torch.equal(again.coefficients, whole.coefficients)
        assert again.residual == whole.residual


def test_register_is_bit_equal_whatever_the_threads() -> None:
    grid, fixed, moving, mask, _ = pair(24, 1.0)
    settings = SvfSettings(coarse_iterations=4, middle_iterations=4, fine_iterations=4)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            steps = register(fixed, moving, mask, grid, decoder_of(grid, settings), settings, seed=threads)
            while True:
                try:
                    next(steps)
                except StopIteration as end:
                    found.append(end.value)
                    break
    finally:
        torch.set_num_threads(before)
    assert float(found[0].abs().max()) > 0.1
    assert torch.equal(found[0], found[1])
