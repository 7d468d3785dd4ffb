"""The change of brightness along the path: known ones come back, and nothing else is taken for one."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from engine_kit import SHORT, box_grid, moving_series, texture
from sample_grids import GRIDS, noise

from noder.carriers import SeenScan
from noder.decoder import Decoder
from noder.export import EXPORTERS
from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image, write_volume
from noder.intensity import Brightness, fit_brightness, flatness
from noder.series import ImageSeries
from noder.store import load_result, save_result
from noder.trajectory import Trajectory

TIMES = (1.0, 2.0, 3.5, 5.0)
PEAK = 200.0


def tau(t: float) -> float:
    return (t - TIMES[0]) / (TIMES[-1] - TIMES[0])


def blob(grid: Grid, radius_mm: float = 6.0) -> torch.Tensor:
    """(1,I,J,K): a smooth spot in the middle, 1 at its centre."""
    middle = grid.to_mm((torch.tensor(grid.shape, dtype=torch.float64) - 1) / 2)
    return torch.exp(-0.5 * ((grid.points() - middle).norm(dim=-1) / radius_mm) ** 2).float()[None]


def plain(grid: Grid) -> torch.Tensor:
    """(1,I,J,K): soft shades without sharp edges, about 400."""
    coarse = grid.coarsen((6, 6, 6))
    return 300 + 200 * coarse.sample(noise(coarse, 4), grid.points())


def moved(
    grid: Grid, course: tuple[float, float] = (PEAK, 0.0), sd: float = 0.0, still: torch.Tensor | None = None
) -> Trajectory:
    """A known motion of `still`, brightening in a spot by course[0] tau + course[1] tau^2, with noise."""
    reference = grid.reoriented(grid.reorientation())
    decoder = Decoder.in_mm(reference, 4 * min(grid.spacing), 8 * min(grid.spacing))
    random = torch.Generator().manual_seed(8)
    direction = 2.5 * min(grid.spacing) * (2 * torch.rand(3, *decoder.shape, generator=random) - 1)
    still = plain(reference) if still is None else still

    def image(t: float) -> torch.Tensor:
        brighter = still + (course[0] * tau(t) + course[1] * tau(t) ** 2) * blob(reference)
        at = reference.points() + bare.displacement(reference.points(), t)
        return reference.sample(brighter, at) + sd * torch.randn(still.shape, generator=random)

    def coefficients(t: float) -> torch.Tensor:
        return tau(t) * direction

    blank = [SeenScan(k, t, f"scan {k}", torch.zeros(1, *reference.shape)) for k, t in enumerate(TIMES)]
    bare = Trajectory(decoder, coefficients, blank, "years", grid)
    scans = [replace(scan, voxels=image(scan.time)) for scan in blank]
    return Trajectory(decoder, coefficients, scans, "years", grid)


def with_brightness(trajectory: Trajectory, mask: np.ndarray | None = None) -> Trajectory:
    everywhere = np.ones(trajectory.grid.shape, dtype=bool) if mask is None else mask
    first, times = trajectory.scans[0].volume, trajectory.times
    found = fit_brightness(first, trajectory.pulled_back(), times, trajectory.grid, everywhere)
    return trajectory.judged([1.0] * len(times), found)


def spot(trajectory: Trajectory, t: float) -> torch.Tensor:
    """The true spot (I,J,K), 1 at its centre, on the frame at t."""
    grid = trajectory.grid
    return grid.sample(blob(grid), grid.points() + trajectory.displacement(grid.points(), t))[0]


@pytest.mark.parametrize("name", ["RAS", "oblique LPI"])
@pytest.mark.parametrize("course", [(PEAK, 0.0), (0.0, PEAK), (1.5 * PEAK, -PEAK)])
def test_a_known_brightening_of_a_moving_spot_comes_back(name: str, course: tuple[float, float]) -> None:
    grid = Grid((30, 28, 22), GRIDS[name].affine)
    trajectory = with_brightness(moved(grid, course, sd=4.0))
    for t in (2.6, 5.0):
        true = (course[0] * tau(t) + course[1] * tau(t) ** 2) * spot(trajectory, t)
        found = trajectory.brightness(t)
        assert float((found - true).abs().max()) < 0.2 * PEAK, t
        assert float((found - true).abs().mean()) < 0.03 * PEAK, t
        inside = spot(trajectory, t) > 0.5
        assert float(found[inside].sum() / true[inside].sum()) == pytest.approx(1, abs=0.2)
    assert float(trajectory.brightness(TIMES[0]).abs().max()) == 0


def test_it_is_what_is_added_to_the_carried_reference() -> None:
    without = moved(box_grid())
    trajectory = with_brightness(without)
    for t in (2.6, 6.0):
        added = trajectory.predict(t, carry="first") - without.predict(t, carry="first")
        assert torch.allclose(added[0], trajectory.brightness(t), atol=1e-3)
        part = trajectory.grid.slice(2, 11)
        assert torch.allclose(trajectory.brightness(t, part), trajectory.brightness(t)[..., 11:12], atol=1e-3)


def test_predictions_are_nearer_to_the_truth_with_it() -> None:
    """Carried from the first scan anywhere, and from the last beyond it: there no scan holds what is to come."""
    without = moved(box_grid())
    trajectory, truth = with_brightness(without), moved(box_grid())
    for t, carry in ((2.6, "first"), (5.0, "first"), (6.0, "first"), (6.0, "neighbours")):
        grid = truth.grid
        at = grid.points() + truth.displacement(grid.points(), t)
        true = grid.sample(truth.scans[0].volume + PEAK * tau(t) * blob(grid), at)
        error, error_without = ((each.predict(t, carry=carry) - true).abs().mean() for each in (trajectory, without))
        assert float(error) < 0.4 * float(error_without), (t, carry)


def test_between_neighbours_a_bend_is_added_and_a_line_is_not() -> None:
    """Two scans that are blended in time hold a line already."""
    added = []
    for course in ((PEAK, 0.0), (0.0, PEAK)):
        without = moved(box_grid(), course)
        added.append(float((with_brightness(without).predict(2.75) - without.predict(2.75)).abs().max()))
    bend = PEAK * (tau(2.75) - tau(2.0)) * (tau(3.5) - tau(2.75))
    assert added[1] == pytest.approx(bend, rel=0.4)  # a small spot loses some height to the smoothing
    assert added[0] < 0.15 * bend


def test_at_a_seen_scan_its_own_brightness_stays() -> None:
    trajectory = with_brightness(moved(box_grid()))
    for scan in trajectory.scans:
        assert torch.equal(trajectory.predict(scan.time, exact=True), scan.volume)


def test_motion_alone_is_not_taken_for_brightness() -> None:
    sd = 10.0
    trajectory = with_brightness(moved(box_grid(), (0.0, 0.0), sd=sd))
    assert float(trajectory.brightness(5.0).abs().max()) < sd
    assert float(trajectory.brightness(5.0).abs().mean()) < sd / 4


def test_an_edge_that_is_half_a_voxel_off_is_not_taken_for_brightness() -> None:
    grid = box_grid(32)
    x = grid.indices()[..., 0]
    still = (500 * torch.sigmoid(2 * (x - 15.5))).float()[None] + 3 * noise(grid, 2)
    off = (500 * torch.sigmoid(2 * (x - 15.0))).float()[None] + 3 * noise(grid, 3)
    everywhere = np.ones(grid.shape, dtype=bool)
    found = fit_brightness(still, iter([off]), [0.0, 1.0], grid, everywhere)
    added = found.at(grid.indices().float(), found.powers(1.0)).abs()
    assert float((off - still).abs().max()) > 100
    assert float(added.max()) < 10
    weight = flatness(still[0].numpy(), grid, everywhere)
    assert weight[15, 16, 16] < 0.01 < 0.3 < weight[5, 5:28, 5:28].mean()


def test_outside_the_mask_nothing_is_added_but_what_the_smoothing_spreads() -> None:
    trajectory = moved(box_grid())
    mask = np.zeros(trajectory.grid.shape, dtype=bool)
    mask[:6] = True
    found = with_brightness(trajectory, mask).brightness(1.0 + 1e-9)
    assert float(found.abs().max()) < 1e-3
    assert float(with_brightness(trajectory, mask).brightness(5.0)[16:].abs().max()) < 2.0


def test_scans_are_read_one_at_a_time() -> None:
    grid, alive, most = box_grid(16), [], []

    def pulled() -> Iterator[torch.Tensor]:
        for k in range(9):
            volume = texture(grid, k)
            alive.append(weakref.ref(volume))
            most.append(sum(each() is not None for each in alive))
            yield volume
            del volume

    times = [float(k) for k in range(10)]
    fit_brightness(texture(grid, 20), pulled(), times, grid, np.ones(grid.shape, dtype=bool))
    assert len(most) == 9
    assert max(most) <= 2


def test_beyond_the_scans_it_goes_on_as_a_line() -> None:
    trajectory = with_brightness(moved(box_grid(), (0.0, PEAK)))
    brightness = trajectory.intensity
    assert isinstance(brightness, Brightness)
    for start, step in ((5.0, 1.0), (1.0, -1.0)):
        a, b, c = (brightness.powers(start + k * step) for k in range(3))
        assert np.allclose(c - b, b - a)
    before, after = (brightness.powers(5.0 + side) for side in (-1e-4, 1e-4))
    assert np.allclose((after - brightness.powers(5.0)) / 1e-4, (brightness.powers(5.0) - before) / 1e-4, atol=1e-3)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> tuple[FitResult, Path]:
    """A fit with brightness of files on the disk, and where it was saved."""
    folder = tmp_path_factory.mktemp("brightening")
    series, grid = moving_series(mm_per_time=0.7)
    for scan in series.scans:
        brighter = scan.image.tensor() + 60 * scan.time * blob(grid)
        write_volume(folder / f"{scan.image.name}.nii.gz", brighter[0].numpy(), grid)
    paths = sorted(folder.glob("scan_*.nii.gz"))
    opened = ImageSeries.from_paths(paths, times=series.times, unit="years")
    result = fit(opened, FitConfig(settings=SHORT, hold_out=(2,), intensity=True, device="cpu"))
    save_result(result, folder / "fit")
    return result, folder / "fit"


def test_a_saved_fit_predicts_the_same_when_it_is_opened_again(on_disk: tuple[FitResult, Path]) -> None:
    result, folder = on_disk
    again = load_result(folder)
    assert again.config.intensity
    assert [scan.residual for scan in again.trajectory.scans] == [scan.residual for scan in result.trajectory.scans]
    assert len({scan.residual for scan in again.trajectory.scans}) == 3
    for carry in ("neighbours", "first"):
        assert torch.equal(again.trajectory.predict(1.4, carry=carry), result.trajectory.predict(1.4, carry=carry))
    assert torch.equal(again.trajectory.brightness(4.0), result.trajectory.brightness(4.0))
    assert float(result.trajectory.brightness(3.0).max()) > 50


def test_the_map_is_exported_on_the_stored_grid(tmp_path: Path) -> None:
    grid = GRIDS["oblique LPI"]
    trajectory = with_brightness(moved(grid))
    result = SimpleNamespace(trajectory=trajectory, series=SimpleNamespace(scans=()))
    (written,) = EXPORTERS["brightness"](result, [5.0], tmp_path)  # type: ignore[arg-type]
    assert written.name == "brightness_000.nii.gz"
    found = Image.open(written)
    assert found.stored_grid.matches(trajectory.stored_grid)
    assert np.allclose(found.numpy(), trajectory.brightness(5.0).numpy(), atol=1e-3)
    assert found.numpy().max() > 0.4 * PEAK


def test_it_is_off_unless_it_is_asked_for_and_does_not_touch_the_map(on_disk: tuple[FitResult, Path]) -> None:
    result, _ = on_disk
    assert not FitConfig().intensity
    plain_fit = fit(result.series, replace(result.config, intensity=False))
    assert plain_fit.trajectory.intensity is None
    assert float(plain_fit.trajectory.brightness(3.0).abs().max()) == 0
    grid = result.trajectory.grid
    assert torch.equal(plain_fit.trajectory.field(grid, 1.4).u, result.trajectory.field(grid, 1.4).u)
    assert [s.residual for s in plain_fit.trajectory.scans] == [s.residual for s in result.trajectory.scans]


def test_a_held_out_scan_is_seen_by_nothing(on_disk: tuple[FitResult, Path]) -> None:
    result, _ = on_disk
    scans = list(result.series.scans)
    other = Image.from_array(texture(result.series.grid, 77)[0].numpy(), result.series.grid, "another")
    scans[2] = replace(scans[2], image=other)
    again = fit(replace(result.series, scans=tuple(scans)), result.config)
    assert torch.equal(again.trajectory.predict(1.4), result.trajectory.predict(1.4))
    assert torch.equal(again.trajectory.brightness(4.0), result.trajectory.brightness(4.0))
