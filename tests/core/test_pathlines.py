"""Paths of particles on maps whose answer is known, on stored grids of every kind, and on fitted kinds of maps."""

import csv
import io
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from sample_grids import GRIDS, moving_trajectory
from scipy.spatial.transform import Rotation
from test_velocity_flow import make as flowing

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.grid import Grid
from noder.pathlines import Pathline, path_table, path_times, pathlines, speeds, write_paths
from noder.trajectory import Trajectory

TIMES = (10.0, 11.0, 14.0)
SHIFT = np.array([0.9, -0.6, 0.3])
AXIS = np.array([1.0, -2.0, 2.0]) / 3
TURN, GROWTH = 0.06, 0.05
Motion = Callable[[np.ndarray, float], np.ndarray]
PICKED_AT = 12.5


def moving(stored: Grid, matrix: Callable[[float], np.ndarray], shift: np.ndarray) -> Trajectory:
    """Tissue that goes from c + X to c + M(s) X + s v, s the time since the first scan, everywhere in the grid."""
    change = stored.reorientation()
    grid = stored.reoriented(change)
    decoder = Decoder.in_mm(grid, min(grid.spacing), min(grid.spacing))
    centre = torch.as_tensor(grid.corners_mm.mean(axis=0))
    axes = [torch.as_tensor(decoder._control_points(axis)) for axis in range(3)]
    arm = grid.to_mm(torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)) - centre

    def coefficients(t: float) -> torch.Tensor:
        s = t - TIMES[0]
        back = torch.as_tensor(np.linalg.inv(matrix(s)))
        pull = (arm - s * torch.as_tensor(shift)) @ back.T - arm
        return pull.movedim(-1, 0).float()

    scans = [SeenScan(k, t, f"scan{k}", torch.zeros(1, *grid.shape)) for k, t in enumerate(TIMES)]
    return Trajectory(decoder, coefficients, scans, "years", stored)


MOTIONS = {
    "translation": (lambda s: np.eye(3), SHIFT),
    "rotation": (lambda s: Rotation.from_rotvec(TURN * s * AXIS).as_matrix(), np.zeros(3)),
    "expansion": (lambda s: (1 + GROWTH * s) * np.eye(3), np.zeros(3)),
}


def expected(name: str, arm: np.ndarray, s: float) -> np.ndarray:
    matrix, shift = MOTIONS[name]
    return matrix(s) @ arm + s * shift


def expected_speed(name: str, arm: np.ndarray) -> float:
    if name == "translation":
        return float(np.linalg.norm(SHIFT))
    if name == "rotation":
        return TURN * float(np.linalg.norm(np.cross(AXIS, arm)))
    return GROWTH * float(np.linalg.norm(arm))


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", MOTIONS)
def test_a_known_motion_is_followed_with_its_displacement_and_speed(grid: str, name: str) -> None:
    stored = GRIDS[grid]
    trajectory = moving(stored, *MOTIONS[name])
    centre = stored.corners_mm.mean(axis=0)
    arm = np.array([2.1, -1.7, 1.3])
    picked = centre + expected(name, arm, PICKED_AT - TIMES[0])  # where the particle of `arm` is at that time
    path = pathlines(trajectory, [picked], [PICKED_AT], path_times(TIMES, 9.5, 14.5))[0]
    truth = np.array([centre + expected(name, arm, t - TIMES[0]) for t in path.times])
    np.testing.assert_allclose(path.origin, centre + arm, atol=2e-3)
    np.testing.assert_allclose(path.places, truth, atol=2e-3)
    np.testing.assert_allclose(path.moved, truth - (centre + arm), atol=4e-3)
    np.testing.assert_allclose(path.distances, np.linalg.norm(truth - centre - arm, axis=1), atol=4e-3)
    np.testing.assert_allclose(path.speeds, expected_speed(name, arm), rtol=0.02)
    assert path.extrapolated.tolist() == [not 10 <= t <= 14 for t in path.times]


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("t", [-0.2, 0.0, 0.7, 1.0, 3.0])
def test_a_path_passes_through_the_place_that_was_picked_at_that_time(grid: str, t: float) -> None:
    trajectory = moving_trajectory(GRIDS[grid])
    place = trajectory.grid.to_mm((np.array(trajectory.grid.shape) - 1) * [0.4, 0.55, 0.6])
    path = pathlines(trajectory, [place], [t], sorted({-0.5, t, 0.3, 2.1}))[0]
    np.testing.assert_allclose(path.at(t), place, atol=1e-3)
    assert np.linalg.norm(path.at(2.1) - path.at(0.3)) > 0.2


@pytest.mark.parametrize("kind", ["exponential", "flow", "displacement"])
def test_a_path_is_what_the_map_between_two_times_says(kind: str) -> None:
    """T_ab = phi_a^-1 o phi_b takes a particle from b to a."""
    trajectory = flowing("oblique", kind, 3.0)  # type: ignore[arg-type]
    place = trajectory.grid.to_mm(np.array([13.0, 12.0, 8.0]))
    x, picked = torch.as_tensor(place)[None], 4.4
    path = pathlines(trajectory, [place], [picked], [2.0, 3.1, 4.4, 8.0, 9.7])[0]
    np.testing.assert_allclose(path.at(picked), place, atol=5e-3)
    for t in (2.0, 3.1, 8.0, 9.7):
        other = x + trajectory.between(x, t, picked)
        np.testing.assert_allclose(path.at(t), other[0].numpy(), atol=5e-3)
    assert path.distances.max() > 1


def test_what_is_said_of_a_particle_does_not_depend_on_when_it_is_picked() -> None:
    trajectory = moving_trajectory(GRIDS["oblique"])
    place = trajectory.grid.to_mm((np.array(trajectory.grid.shape) - 1) / 2)
    times = path_times(trajectory.times, 0.0, 3.0)
    first = pathlines(trajectory, [place], [0.0], times)[0]
    later = pathlines(trajectory, [first.at(t) for t in (1.0, 3.0)], [1.0, 3.0], times)
    for path in later:
        np.testing.assert_allclose(path.places, first.places, atol=2e-3)
        np.testing.assert_allclose(path.speeds, first.speeds, rtol=0.02, atol=0.01)


def test_several_points_keep_their_own_paths() -> None:
    trajectory = moving_trajectory(GRIDS["PSR"])
    size = np.array(trajectory.grid.shape) - 1
    places = [trajectory.grid.to_mm(size * part) for part in (0.35, 0.5, 0.65)]
    together = pathlines(trajectory, places, [0.0, 1.0, 3.0], [0.0, 1.0, 2.0, 3.0])
    for place, t, path in zip(places, (0.0, 1.0, 3.0), together, strict=True):
        alone = pathlines(trajectory, [place], [t], [0.0, 1.0, 2.0, 3.0])[0]
        np.testing.assert_allclose(path.places, alone.places, atol=1e-9)


def test_a_path_is_solved_for_around_its_particle_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trajectory = moving_trajectory(GRIDS["RAS"])
    monkeypatch.setattr(trajectory, "_full", lambda t: pytest.fail("a path decoded a full volume"))
    place = trajectory.grid.to_mm((np.array(trajectory.grid.shape) - 1) / 2)
    assert len(pathlines(trajectory, [place], [1.0], [0.0, 2.0])) == 1


@pytest.mark.parametrize("scans", [(0.0, 0.1, 7.0, 30.0), tuple(k / 12 for k in range(12)), (0.0, 1.0)])
def test_every_scan_and_both_ends_are_steps_and_no_step_is_long(scans: tuple[float, ...]) -> None:
    low, high, span = scans[0] - 0.4, scans[-1] + 0.7, scans[-1] - scans[0]
    times = path_times(scans, low, high)
    assert times == sorted(set(times))
    assert {low, high, *scans} <= set(times)
    assert np.diff(times).max() <= span / 96 * (1 + 1e-9)
    for a, b in pairwise(scans):
        assert sum(a < t < b for t in times) >= 3


def test_the_speed_of_a_motion_that_turns_at_a_scan_is_not_smeared_across_it() -> None:
    """There and back at 2 mm a unit: a difference across the turn would say 0."""
    times = np.array(path_times((0.0, 1.0, 2.0), 0.0, 2.0))
    places = np.stack([2 * (1 - abs(times - 1)), 0 * times, 0 * times], axis=1)
    np.testing.assert_allclose(speeds(times, places, (0.0, 1.0, 2.0)), 2.0, rtol=1e-9)


def test_between_its_steps_a_path_is_straight_and_beyond_them_it_stays() -> None:
    times, places = np.array([0.0, 1.0]), np.array([[0.0, 0, 0], [2.0, 4, -6]])
    path = Pathline(times, places, places[0], np.zeros(2), np.zeros(2, dtype=bool))
    np.testing.assert_allclose(path.at(0.25), [0.5, 1, -1.5])
    np.testing.assert_allclose(path.at(9), places[1])


def test_the_table_says_all_of_every_point(tmp_path) -> None:
    trajectory = moving(GRIDS["LAS anisotropic"], *MOTIONS["translation"])
    place = GRIDS["LAS anisotropic"].corners_mm.mean(axis=0)
    found = pathlines(trajectory, [place, place + 1], [10.0, 10.0], [9.5, 10.0, 11.0])
    path = write_paths(tmp_path / "paths.csv", [(1, found[0]), (4, found[1])], "years")
    assert path.read_text() == path_table([(1, found[0]), (4, found[1])], "years")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["point"] for row in rows] == ["1"] * 3 + ["4"] * 3
    assert [row["extrapolated"] for row in rows[:3]] == ["yes", "no", "no"]
    last = rows[2]
    assert [float(last[f"{axis}_mm"]) for axis in "ras"] == pytest.approx(place + SHIFT, abs=3e-3)
    assert [float(last[f"moved_{axis}_mm"]) for axis in "ras"] == pytest.approx(SHIFT, abs=3e-3)
    assert float(last["moved_mm"]) == pytest.approx(math.dist(SHIFT, (0, 0, 0)), abs=3e-3)
    assert float(last["speed_mm_per_year"]) == pytest.approx(math.dist(SHIFT, (0, 0, 0)), rel=0.02)
