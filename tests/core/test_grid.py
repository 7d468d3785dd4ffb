"""Grid against nibabel (orientation) and scipy (interpolation): 48 orientations, oblique, anisotropic."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes, apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from sample_grids import CODES, GRIDS, affine_of, noise
from scipy.ndimage import map_coordinates

from noder.grid import Grid, Reorientation, block_mean, sample_at_index

TURNS = [(0.0, 0.0, 0.0), (17.0, -11.0, 23.0), (-29.0, 8.0, 14.0)]
angle = st.floats(-180, 180)
size = st.integers(1, 9)
step = st.floats(0.2, 8)
any_grid = st.builds(
    lambda shape, code, spacing, turn: Grid(shape, affine_of(code, spacing, turn)),
    st.tuples(size, size, size),
    st.sampled_from(CODES),
    st.tuples(step, step, step),
    st.tuples(angle, angle, angle),
)


def to_ras(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """nibabel's way to the closest canonical axes: the oracle."""
    change = io_orientation(affine)
    turned = nibabel.as_closest_canonical(nibabel.Nifti1Image(array, affine))
    assert np.array_equal(apply_orientation(array, change), np.asanyarray(turned.dataobj))
    return np.asanyarray(turned.dataobj), turned.affine


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("code", CODES)
def test_reorientation_equals_nibabel(code: str, turn: tuple[float, float, float]) -> None:
    grid = Grid((4, 5, 6), affine_of(code, (1.0, 1.5, 3.0), turn))
    data = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    expected, affine = to_ras(data, np.array(grid.affine))

    change = grid.reorientation()
    turned = grid.reoriented(change)
    assert np.array_equal(change.apply(data), expected)
    assert turned.shape == expected.shape
    assert np.allclose(turned.affine, affine, atol=1e-12)
    assert turned.orientation == "RAS"
    assert grid.orientation == "".join(aff2axcodes(grid.affine))
    assert turned.reorientation() == Reorientation((0, 1, 2), (False, False, False))


@pytest.mark.parametrize("code", CODES)
def test_reorientation_is_undone_without_loss(code: str) -> None:
    grid = Grid((4, 5, 6), affine_of(code, (1.0, 1.5, 3.0)))
    change = grid.reorientation()
    data = np.random.default_rng(0).random((2, 4, 5, 6), dtype=np.float32)
    assert np.array_equal(change.undo(change.apply(data)), data)
    assert torch.equal(change.undo(change.apply(torch.from_numpy(data))), torch.from_numpy(data))
    assert torch.equal(change.apply(torch.from_numpy(data)), torch.from_numpy(change.apply(data).copy()))
    back = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(code))
    assert np.array_equal(change.undo(change.apply(data[0])), apply_orientation(change.apply(data[0]), back))


@given(any_grid)
@settings(max_examples=50, deadline=None)
def test_reoriented_voxels_stay_at_their_places(grid: Grid) -> None:
    change = grid.reorientation()
    places = change.apply(grid.points().movedim(-1, 0)).movedim(0, -1)
    assert torch.allclose(places, grid.reoriented(change).points(), atol=1e-9)


@given(any_grid, st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_index_and_mm_are_inverses(grid: Grid, seed: int) -> None:
    index = np.random.default_rng(seed).uniform(-20, 20, (7, 2, 3))
    assert np.allclose(grid.to_index(grid.to_mm(index)), index, atol=1e-9)
    assert np.allclose(grid.to_mm(index), nibabel.affines.apply_affine(grid.affine, index), atol=1e-9)
    same = grid.to_index(grid.to_mm(torch.from_numpy(index)))
    assert same.dtype == torch.float64
    assert np.allclose(same.numpy(), index, atol=1e-9)


@given(any_grid)
@settings(max_examples=30, deadline=None)
def test_spacing_and_direction_make_the_affine(grid: Grid) -> None:
    assert np.allclose(grid.spacing, nibabel.affines.voxel_sizes(grid.affine))
    assert np.allclose(grid.direction * grid.spacing, grid.affine[:3, :3])
    assert not grid.is_sheared
    assert grid.corners_mm.shape == (8, 3)
    assert np.allclose(grid.corners_mm.mean(axis=0), grid.points().reshape(-1, 3).mean(dim=0))


def test_a_shear_is_seen() -> None:
    affine = affine_of("RAS", (1.0, 2.0, 3.0), (10, 20, 30))
    affine[:3, 2] += 0.1 * affine[:3, 0]
    assert Grid((4, 5, 6), affine).is_sheared
    assert Grid((4, 5, 6), affine).is_oblique
    assert not Grid((4, 5, 6), affine_of("SLP", (1.0, 2.0, 3.0))).is_oblique


@pytest.mark.parametrize("name", GRIDS)
def test_sample_equals_scipy(name: str) -> None:
    grid = GRIDS[name]
    volume = torch.cat([noise(grid, 1), noise(grid, 2)])
    rng = np.random.default_rng(3)
    index = rng.uniform(-2, np.array(grid.shape) + 1, (500, 3))
    for outside, mode in (("edge", "nearest"), ("zero", "constant")):
        got = grid.sample(volume, torch.from_numpy(grid.to_mm(index)), outside=outside)
        # scipy's "constant" drops to 0 at the edge; "grid-constant" fades over one voxel, as grid_sample does
        oracle = "grid-constant" if mode == "constant" else mode
        for channel in range(2):
            want = map_coordinates(volume[channel].numpy(), index.T, order=1, mode=oracle)
            assert np.abs(got[channel].numpy() - want).max() < 1e-5


def test_nearest_sample_equals_scipy_and_keeps_labels() -> None:
    grid = GRIDS["oblique"]
    labels = (noise(grid) * 5).floor()
    index = np.random.default_rng(0).uniform(0, np.array(grid.shape) - 1, (400, 3))
    index = index[(np.abs(index % 1 - 0.5) > 1e-3).all(axis=1)]
    got = grid.sample(labels, torch.from_numpy(grid.to_mm(index)), nearest=True)[0].numpy()
    assert np.array_equal(got, map_coordinates(labels[0].numpy(), index.T, order=0))


@pytest.mark.parametrize("shape", [(1, 5, 6), (5, 1, 6), (5, 6, 1), (1, 1, 4), (1, 1, 1)])
def test_sample_on_a_slice(shape: tuple[int, int, int]) -> None:
    grid = Grid(shape, affine_of("PSR", (1.0, 2.0, 3.0), (5, 6, 7)))
    volume = noise(grid)
    assert torch.allclose(grid.sample(volume, grid.points()), volume, atol=1e-6)
    moved = grid.points() + torch.tensor([0.3, -0.2, 0.4], dtype=torch.float64)
    assert bool(torch.isfinite(grid.sample(volume, moved)).all())


def test_float32_coordinates_cost_less_than_1e_5_of_the_range() -> None:
    """Noise is the worst image; the error grows with the length of the axis: 1.5e-5 at 256 voxels."""
    volume = torch.rand((1, 4, 4, 128), generator=torch.Generator().manual_seed(0))
    index = torch.rand((2000, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    index = index * torch.tensor([3.0, 3.0, 127.0])
    want = map_coordinates(volume[0].double().numpy(), index.T.numpy(), order=1)
    assert np.abs(sample_at_index(volume, index)[0].numpy() - want).max() < 1e-5


def ramp(grid: Grid) -> torch.Tensor:
    """An image (1,I,J,K) whose value is a linear function of the place in mm."""
    return (grid.points() @ torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64) + 5)[None]


@pytest.mark.parametrize("factors", [(2, 2, 2), (3, 1, 2), (1, 4, 1)])
@pytest.mark.parametrize("name", GRIDS)
def test_coarsen_keeps_world_positions(name: str, factors: tuple[int, int, int]) -> None:
    whole = tuple(n - n % f for n, f in zip(GRIDS[name].shape, factors, strict=True))
    grid = GRIDS[name].crop((0, 0, 0), (whole[0], whole[1], whole[2]))
    coarse = grid.coarsen(factors)
    assert torch.allclose(block_mean(ramp(grid), factors), ramp(coarse), atol=1e-9)
    assert coarse.spacing == pytest.approx([s * f for s, f in zip(grid.spacing, factors, strict=True)])


def test_coarsen_of_a_partial_block_covers_it_and_keeps_the_range() -> None:
    grid = Grid((7, 5, 4), affine_of("LPI", (1.0, 2.0, 3.0), (3, 4, 5)))
    coarse, means = grid.coarsen((2, 2, 3)), block_mean(noise(grid), (2, 2, 3))
    assert coarse.shape == tuple(means.shape[1:]) == (4, 3, 2)
    assert float(noise(grid).min()) <= float(means.min()) <= float(means.max()) <= float(noise(grid).max())
    inside = (slice(0, 3), slice(0, 2), slice(0, 1))
    assert torch.allclose(block_mean(ramp(grid), (2, 2, 3))[0][inside], ramp(coarse)[0][inside])


def test_crop_and_slice_keep_world_positions() -> None:
    grid = GRIDS["oblique LPI"]
    box = grid.crop((2, 3, 4), (7, 9, 8))
    assert box.shape == (5, 6, 4)
    assert torch.allclose(box.points(), grid.points()[2:7, 3:9, 4:8])
    for axis in range(3):
        one = grid.slice(axis, 5)
        assert torch.allclose(one.points(), grid.points().narrow(axis, 5, 1))


def test_matches_tolerates_a_tenth_of_a_millimetre_at_the_corners() -> None:
    grid = GRIDS["oblique"]
    moved = np.array(grid.affine)
    moved[0, 3] += 0.09
    assert grid.matches(Grid(grid.shape, moved))
    moved[0, 3] += 0.02
    assert not grid.matches(Grid(grid.shape, moved))
    assert not grid.matches(grid.slice(0, 3))


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.eye(3)])
def test_an_affine_that_cannot_be_inverted_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(ValueError, match="invertible"):
        Grid((2, 2, 2), affine)
