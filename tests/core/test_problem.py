"""The losses of a level: compiled and in plain torch, with the gradients that were written out by hand."""

import numpy as np
import pytest
import torch
from engine_kit import texture
from sample_grids import GRIDS

import noder.methods.problem as problem_module
from noder import kernels
from noder.decoder import apply_separable, apply_transposed
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.methods.problem import Level, Problem
from noder.methods.settings import FieldSettings, decoder_of
from noder.regularity import Boundary, Folding, Smoothness

SETTINGS = FieldSettings(control_spacing=4.0, smoothing=4.0, window=5, smoothness=0.3, boundary=0.02, folding=50.0)


def problem_on(grid: Grid) -> Problem:
    images = tuple(texture(grid, seed) / 300 for seed in (1, 2, 3))
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[2:-2, 3:-3, 2:-2] = True
    return Problem(images, (0.0, 0.4, 1.0), mask, grid)


@pytest.fixture(params=["oblique", "RAS"])
def level(request: pytest.FixtureRequest) -> Level:
    grid = GRIDS[request.param]
    grid = grid.reoriented(grid.reorientation())
    return Level(problem_on(grid), decoder_of(grid, SETTINGS), (1, 1, 1), SETTINGS)


def coefficients(level: Level, size: float) -> torch.Tensor:
    shape = decoder_of(level.grid, SETTINGS).shape
    return size * torch.randn(3, *shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize("size", [0.3, 3.0])
def test_compiled_and_plain_losses_and_gradients_agree(
    level: Level, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small without folds, and large with many."""
    c = coefficients(level, size)
    found = []
    for enabled in (True, False):
        monkeypatch.setattr(kernels, "ENABLED", enabled)
        found.append(level.displacement_losses(c, 2))
    (compiled, gradient), (plain, plain_gradient) = found
    assert compiled.keys() == plain.keys() == {"similarity", "folding", "smoothness", "boundary"}
    assert compiled == pytest.approx(plain, rel=2e-4)
    assert float((gradient - plain_gradient).norm() / plain_gradient.norm()) < 1e-3


def test_the_gradient_is_that_of_the_losses(level: Level) -> None:
    """Along a random direction, by central differences."""
    c, way = coefficients(level, 1.0), coefficients(level, 1.0).flip(1)
    _, gradient = level.displacement_losses(c, 1)
    ends = [sum(level.displacement_losses(c + step * way, 1)[0].values()) for step in (2e-3, -2e-3)]
    assert float((gradient * way).sum()) == pytest.approx((ends[0] - ends[1]) / 4e-3, rel=2e-2)


def test_the_penalties_are_those_of_the_field_in_mm(level: Level) -> None:
    c = coefficients(level, 0.5)
    losses, _ = level.displacement_losses(c, 1)
    u = decoder_of(level.grid, SETTINGS).matrices()
    field = DisplacementField(apply_separable(u, c * min(level.grid.spacing)), level.grid)
    penalties = {"smoothness": Smoothness(), "boundary": Boundary(), "folding": Folding()}
    for name, penalty in penalties.items():
        expected = float(penalty(field.u.double(), level.grid)) * getattr(SETTINGS, name) / 2
        assert losses[name] == pytest.approx(expected, rel=1e-4), name


def test_only_what_lies_in_the_mask_is_compared() -> None:
    grid = Grid((20, 20, 20), np.eye(4))
    whole = problem_on(grid)
    changed = [image.clone() for image in whole.images]
    for image in changed:
        image[:, :, :, 17:] = 99.0
    settings = FieldSettings(window=3, control_spacing=4.0, smoothing=4.0)
    mask = whole.mask & (torch.arange(20) < 15)
    decoder = decoder_of(grid, settings)
    levels = [
        Level(Problem(tuple(images), whole.taus, mask, grid), decoder, (1, 1, 1), settings)
        for images in (whole.images, changed)
    ]
    still = torch.zeros(3, *levels[0].inside.shape)
    assert levels[0].match(still, 1)[0] == levels[1].match(still, 1)[0]


def test_a_small_mask_is_compared_in_its_box_as_in_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid((24, 22, 20), np.eye(4))
    whole = problem_on(grid)
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[9:14, 8:13, 2:9] = True
    settings = FieldSettings(window=5, control_spacing=4.0, smoothing=4.0, folding=0.0)
    problem = Problem(whole.images, whole.taus, mask, grid)
    c = 0.5 * torch.randn(3, *decoder_of(grid, settings).shape, generator=torch.Generator().manual_seed(4))
    found = []
    for box in (None, (slice(0, 24), slice(0, 22), slice(0, 20))):
        if box is not None:
            monkeypatch.setattr(problem_module, "_reach", lambda *_, box=box: box)
        level = Level(problem, decoder_of(grid, settings), (1, 1, 1), settings)
        found.append((level.inside.shape, *level.displacement_losses(c, 2)))
    (shape, losses, gradient), (_, expected, full) = found
    assert shape == (9, 9, 11)
    assert losses == pytest.approx(expected, rel=1e-5)
    assert float((gradient - full).norm() / full.norm()) < 1e-5


def test_folds_outside_of_the_mask_count_where_the_whole_is_looked_at() -> None:
    grid = Grid((24, 22, 20), np.eye(4))
    whole = problem_on(grid)
    mask = torch.zeros(grid.shape, dtype=torch.bool)
    mask[15:19, 8:13, 8:12] = True
    settings = FieldSettings(window=3, control_spacing=4.0, smoothing=4.0)
    decoder = decoder_of(grid, settings)
    c = torch.zeros(3, *decoder.shape)
    c[:, :2] = 9.0 * torch.randn(c[:, :2].shape, generator=torch.Generator().manual_seed(1))
    problem = Problem(whole.images, whole.taus, mask, grid)
    levels = [Level(problem, decoder, (1, 1, 1), settings, whole=all_of_it) for all_of_it in (False, True)]
    boxed, full = (level.displacement_losses(c, 1)[0] for level in levels)
    assert levels[1].inside.shape == grid.shape
    assert boxed["folding"] == 0
    assert full["folding"] > 0.1
    assert boxed["similarity"] == pytest.approx(full["similarity"], rel=1e-5)


def test_a_displacement_on_another_grid_is_refused(level: Level) -> None:
    with pytest.raises(ValueError, match="voxels"):
        level.match(torch.zeros(3, 5, 5, 5), 1)


def test_taking_back_is_the_transpose_of_decoding(level: Level) -> None:
    c = coefficients(level, 1.0)
    g = torch.randn(3, *level.inside.shape, generator=torch.Generator().manual_seed(6))
    assert float((level.displacement(c) * g).sum()) == pytest.approx(float((c * level.taken_back(g)).sum()), rel=1e-4)
    matrices = decoder_of(level.grid, SETTINGS).matrices(level.inside)
    assert apply_transposed(matrices, g).shape == c.shape
