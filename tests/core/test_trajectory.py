"""Maps in space and time: composition, inverse, lazy slices, carriers."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import box_grid, texture
from sample_grids import GRIDS, affine_of

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.fields import DisplacementField
from noder.grid import Grid, sample_at_index
from noder.trajectory import Trajectory

TIMES = (0.0, 1.0, 3.0)


def swirl(decoder: Decoder, size_mm: float) -> Callable[[float], torch.Tensor]:
    """Coefficients whose direction turns with time, so that motions at different times do not commute."""
    a, b, c = (torch.linspace(0, math.pi, n) for n in decoder.shape)
    bump = torch.einsum("i,j,k->ijk", a.sin(), b.sin(), c.sin())
    tilt = torch.einsum("i,j,k->ijk", a.cos(), b.sin(), c.sin())

    def coefficients(t: float) -> torch.Tensor:
        turn = 0.9 * t
        return size_mm * t * torch.stack([math.cos(turn) * bump, math.sin(turn) * bump, 0.5 * tilt])

    return coefficients


def make(grid: Grid | None = None, size_mm: float = 1.0) -> Trajectory:
    grid = grid or box_grid()
    reference = grid.reoriented(grid.reorientation())
    decoder = Decoder.in_mm(reference, 4 * min(grid.spacing), 8 * min(grid.spacing))
    scans = [SeenScan(k, t, f"scan {k}", texture(reference, 3 + k)) for k, t in enumerate(TIMES)]
    return Trajectory(decoder, swirl(decoder, size_mm), scans, "years", grid)


def points_inside(grid: Grid, n: int = 300) -> torch.Tensor:
    part = torch.rand(n, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    size = torch.tensor(grid.shape, dtype=torch.float64) - 1
    return grid.to_mm((0.15 + 0.7 * part) * size)


def test_from_a_time_to_itself_is_the_identity() -> None:
    trajectory = make()
    x = points_inside(trajectory.grid)
    for t in (0.0, 1.0, 3.0):
        assert float(trajectory.between(x, t, t).norm(dim=-1).max()) < 2e-3 * trajectory.grid.spacing[0]


def test_two_steps_through_time_equal_one_on_a_motion_that_does_not_commute() -> None:
    trajectory = make(size_mm=2.0)
    x = points_inside(trajectory.grid)
    y = x + trajectory.between(x, 1.0, 0.7)
    both = y + trajectory.between(y, 3.0, 1.0) - x
    direct = trajectory.between(x, 3.0, 0.7)
    assert float((both - direct).norm(dim=-1).max()) < 5e-3 * trajectory.grid.spacing[0]
    naive = trajectory.displacement(x, 0.7) - trajectory.displacement(x, 3.0)
    assert float((naive - direct).norm(dim=-1).max()) > 5 * float((both - direct).norm(dim=-1).max())


def test_between_from_the_reference_is_the_displacement() -> None:
    trajectory = make()
    x = points_inside(trajectory.grid)
    assert torch.allclose(trajectory.between(x, 0.0, 2.2), trajectory.displacement(x, 2.2), atol=1e-9)


def test_the_inverse_undoes_the_map() -> None:
    trajectory = make()
    y = points_inside(trajectory.grid)
    x = y + trajectory.inverse(y, 2.0)
    assert float((x + trajectory.displacement(x, 2.0) - y).norm(dim=-1).max()) < 2e-3
    assert trajectory.inverse_residual(3.0) < 5e-3


@pytest.mark.parametrize("name", GRIDS)
def test_the_field_on_the_stored_grid_equals_the_displacement_at_its_points(name: str) -> None:
    trajectory = make(GRIDS[name])
    field = trajectory.field(trajectory.stored_grid, 2.0)
    direct = trajectory.displacement(trajectory.stored_grid.points(), 2.0).movedim(-1, 0).float()
    assert torch.allclose(field.u, direct, atol=1e-4)


def test_a_slice_is_the_slice_of_the_volume_and_decodes_no_volume(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = make()
    whole = {
        "predict": trajectory.predict(2.0)[0],
        "jacobian": trajectory.jacobian(2.0),
        "first": trajectory.predict(2.0, carry="first")[0],
    }
    monkeypatch.setattr(trajectory, "_full", lambda t: pytest.fail("a slice decoded a full volume"))
    for axis in range(3):
        part = trajectory.grid.slice(axis, 9)
        for name, found in (
            ("predict", trajectory.predict(2.0, part)[0]),
            ("jacobian", trajectory.jacobian(2.0, part)),
            ("first", trajectory.predict(2.0, part, carry="first")[0]),
        ):
            assert torch.allclose(found, whole[name].narrow(axis, 9, 1), rtol=1e-4, atol=2e-2), name


def test_jacobian_is_one_over_the_determinant_also_on_an_oblique_grid() -> None:
    trajectory = make(GRIDS["oblique LPI"], size_mm=0.8)
    det = trajectory.field(trajectory.stored_grid, 2.5).jacobian_determinant()
    assert torch.allclose(trajectory.jacobian(2.5, trajectory.stored_grid), 1 / det, rtol=1e-3)


def test_jacobian_on_a_turned_grid_agrees_with_the_reference_grid() -> None:
    trajectory = make(size_mm=0.8)
    here = trajectory.grid.to_mm(torch.tensor([[12.0, 11.0, 10.0]], dtype=torch.float64))[0].numpy()
    turned = affine_of("RAS", (1.5, 1.5, 1.5), (20, 10, 5))
    turned[:3, 3] = here
    on_turned = float(trajectory.jacobian(2.0, Grid((1, 1, 1), turned)))
    assert on_turned == pytest.approx(float(trajectory.jacobian(2.0)[12, 11, 10]), rel=0.02)


def test_carriers_are_the_scans_around_weighted_by_time() -> None:
    trajectory = make()
    assert trajectory.carriers(1.5) == [(1, 0.75), (2, 0.25)]
    assert trajectory.carriers(1.0) == [(1, 1.0)]
    assert trajectory.carriers(1.0, without=1) == [(0, pytest.approx(2 / 3)), (2, pytest.approx(1 / 3))]
    assert trajectory.carriers(-2.0) == [(0, 1.0)]
    assert trajectory.carriers(9.0) == [(2, 1.0)]
    assert trajectory.carriers(0.0, without=0) == [(1, 1.0)]
    assert trajectory.is_extrapolated(-2.0)
    assert not trajectory.is_extrapolated(1.5)


def test_a_scan_that_fits_worse_counts_less() -> None:
    trajectory = make().judged([1.0, 3.0, 1.0], None)
    for t in (0.1, 0.5, 1.2, 2.9):
        (a, weight), (_, other) = trajectory.carriers(t)
        away = [abs(t - TIMES[k]) for k in (a, a + 1)]
        worse = [3.0 if k == 1 else 1.0 for k in (a, a + 1)]
        # inverse to distance in time x residual
        assert weight / other == pytest.approx(away[1] * worse[1] / (away[0] * worse[0]))
        assert weight + other == pytest.approx(1)
        assert trajectory.carriers(t, by_residual=False) == make().carriers(t)
    assert trajectory.carriers(1.0) == [(1, 1.0)]
    for side in (-1e-6, 1e-6):
        assert max(trajectory.carriers(1.0 + side), key=lambda part: part[1]) == (1, pytest.approx(1, abs=1e-4))


def test_no_scan_is_left_out_altogether_because_of_its_residual() -> None:
    for bad in ([1.0, 1e6, 1.0], [0.0, 1.0, 0.0]):
        trajectory = make().judged(bad, None)
        assert trajectory.carriers(0.5) == [(0, pytest.approx(0.8)), (1, pytest.approx(0.2))]
    assert make().judged([0.0, 0.0, 0.0], None).carriers(0.5) == [(0, 0.5), (1, 0.5)]


def test_the_residual_is_what_the_other_scans_do_not_predict() -> None:
    """A noisy scan has the largest, and a blend that trusts it less is nearer to the truth."""
    still = make(size_mm=0.0)
    clean = still.scans[0].volume
    random = torch.Generator().manual_seed(2)
    noisy = [clean + sd * torch.randn(clean.shape, generator=random) for sd in (10.0, 80.0, 10.0)]
    scans = [replace(scan, voxels=volume) for scan, volume in zip(still.scans, noisy, strict=True)]
    trajectory = Trajectory(still.decoder, still._curve, scans, "years", still.stored_grid)
    mask = np.ones(trajectory.grid.shape, dtype=bool)
    residuals = [trajectory.residual(k, mask) for k in range(3)]
    part = (2 / 3, 1 / 3)  # how 0 and 2 are blended at 1
    expected = math.sqrt(80.0**2 + sum((10.0 * p) ** 2 for p in part))
    assert residuals[1] == pytest.approx(expected, rel=0.05)
    assert min(residuals[0], residuals[2]) == pytest.approx(math.hypot(80.0, 10.0), rel=0.05)
    judged = trajectory.judged([10.0, 80.0, 10.0], None)
    blended, by_time = (float((each.predict(0.6) - clean).std()) for each in (judged, trajectory))
    assert blended < 0.6 * by_time


def test_judging_keeps_the_map_and_what_was_computed() -> None:
    trajectory = make().prepare()
    judged = trajectory.judged([1.0, 2.0, 3.0], None)
    assert judged.is_prepared
    assert [scan.residual for scan in judged.scans] == [1.0, 2.0, 3.0]
    assert [scan.residual for scan in trajectory.scans] == [1.0, 1.0, 1.0]
    assert torch.equal(judged.field(judged.grid, 2.0).u, trajectory.field(trajectory.grid, 2.0).u)


def test_neighbours_blend_the_carried_scans() -> None:
    trajectory = make()
    x = trajectory.grid.points()
    splines, lines = [], []
    for position, weight in trajectory.carriers(1.6):
        scan = trajectory.scans[position]
        index = trajectory.grid.to_index(x + trajectory.between(x, scan.time, 1.6))
        splines.append(weight * scan.at(index, smooth=True))
        lines.append(weight * sample_at_index(scan.volume, index))
    assert torch.allclose(trajectory.predict(1.6, exact=True), sum(splines).float(), atol=0.3)
    assert torch.allclose(trajectory.predict(1.6), sum(lines).float(), atol=30)  # what the screen shows


def test_only_the_neighbours_that_are_written_are_read_by_splines() -> None:
    """The published prediction stays linear, so that a field warps the first scan to it in other programs."""
    trajectory = make()
    index = trajectory.grid.to_index(trajectory.grid.points())
    u = trajectory.field(trajectory.grid, 0.6).u
    moved = index + (u / torch.tensor(trajectory.grid.spacing)[:, None, None, None]).movedim(0, -1)
    linear = sample_at_index(trajectory.scans[0].volume.double(), moved)
    assert torch.allclose(trajectory.predict(0.6, carry="first", exact=True).double(), linear, atol=0.1)


def test_at_a_seen_scan_neighbours_give_the_scan_and_without_itself_do_not() -> None:
    trajectory = make()
    truth = trajectory.scans[1].volume
    assert torch.allclose(trajectory.predict(1.0), truth, atol=0.05)
    assert torch.allclose(trajectory.predict(1.0, exact=True), truth, atol=1e-3)
    assert float((trajectory.predict(1.0, without=1) - truth).abs().max()) > 50


def test_outside_the_image_predictions_take_the_edge_value() -> None:
    trajectory = make()
    grid = trajectory.grid
    shift = grid.affine.copy()
    shift[0, 3] += 2000
    far = trajectory.predict(0.0, Grid(grid.shape, shift))
    edge = trajectory.scans[0].volume[:, -1:]
    assert torch.allclose(far, edge.expand_as(far), atol=1e-3)


def test_preparing_computes_what_neighbours_need_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = make()
    assert not trajectory.is_prepared
    before = trajectory.predict(2.0)
    assert trajectory.prepare().is_prepared
    monkeypatch.setattr(DisplacementField, "invert", lambda *_: pytest.fail("an inverse was computed again"))
    assert torch.equal(trajectory.predict(2.0), before)
