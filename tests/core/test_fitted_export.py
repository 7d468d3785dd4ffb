"""The whole way: files of a series, a fit, exported fields, and SimpleITK and ANTs warping with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from sample_grids import (
    GRIDS,
    LPS,
    affine_of,
    all_corners_inside,
    noise,
    smooth_field,
    warped_by_ants,
    warped_by_sitk,
)

from noder.export import EXPORTERS, export
from noder.fields import DisplacementField
from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import write_volume
from noder.methods import NoderSettings
from noder.series import ImageSeries

TIMES = [0.0, 1.0, 2.5]
WANTED = 1.0


@dataclass(frozen=True)
class Fitted:
    """A fit of the files scan_*.nii.gz in `folder`; what was exported from it at WANTED lies in `out`."""

    result: FitResult
    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"


def voxels(path: Path) -> np.ndarray:
    """Voxels of a file in the stored order."""
    return np.asanyarray(nibabel.load(path).dataobj)


def textured(grid: Grid) -> torch.Tensor:
    """(1,I,J,K) blobs and a little noise, from 100 to 1000."""
    coarse = grid.coarsen((3, 3, 3))
    return 100 + 900 * coarse.sample(noise(coarse, 9), grid.points()) + 5 * noise(grid, 3)


def fitted(folder: Path, grid: Grid, volumes: list[torch.Tensor], settings: NoderSettings) -> Fitted:
    """Write `volumes` (1,X,Y,Z) on the stored `grid`, fit them, and export everything at WANTED."""
    paths = [folder / f"scan_{k}.nii.gz" for k in range(len(volumes))]
    for path, volume in zip(paths, volumes, strict=True):
        write_volume(path, volume[0].numpy(), grid)
    series = ImageSeries.from_paths(paths, times=TIMES[: len(paths)], unit="years")
    done = Fitted(fit(series, FitConfig(settings=settings, device="cpu")), folder)
    export(done.result, list(EXPORTERS), [WANTED], done.out, carry="first")
    return done


@pytest.fixture(scope="module", params=GRIDS)
def moved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    grid = Grid((20, 18, 16), GRIDS[request.param].affine)
    image, field = textured(grid), smooth_field(grid, 1.5)
    volumes = [DisplacementField(field.u * (t / TIMES[-1]), grid).warp(image, grid) for t in TIMES]
    short = NoderSettings(coarse_iterations=10, middle_iterations=10, fine_iterations=5)
    return fitted(tmp_path_factory.mktemp("series"), grid, volumes, short)


@pytest.mark.parametrize("oracle", [warped_by_sitk, warped_by_ants])
def test_other_programs_warp_the_reference_as_the_fit_predicts(
    moved: Fitted, oracle: Callable[[Path, Path], np.ndarray]
) -> None:
    trajectory = moved.result.trajectory
    got = oracle(moved.folder / "scan_0.nii.gz", moved.out / "field_000.nii.gz")
    pulled = trajectory.field(trajectory.stored_grid, WANTED).points()
    inside = all_corners_inside(trajectory.stored_grid, pulled).numpy()
    reference, own = voxels(moved.folder / "scan_0.nii.gz"), voxels(moved.out / "pred_000.nii.gz")
    assert np.abs(got - own)[inside].max() < 1e-5 * np.ptp(reference)
    assert np.abs(got - reference)[inside].max() > 1e-2 * np.ptp(reference)


def test_the_inverse_of_a_fit_undoes_its_field(moved: Fitted) -> None:
    there, back = (
        sitk.DisplacementFieldTransform(sitk.ReadImage(str(moved.out / name), sitk.sitkVectorFloat64))
        for name in ("field_000.nii.gz", "inverse_000.nii.gz")
    )
    grid = moved.result.trajectory.stored_grid
    points = grid.points().numpy().reshape(-1, 3) * LPS
    pulled = np.array([back.TransformPoint(p) for p in points.tolist()])
    known = all_corners_inside(grid, torch.from_numpy(pulled * LPS)).numpy()
    again = np.array([there.TransformPoint(p) for p in pulled[known].tolist()])
    assert known.mean() > 0.7
    assert np.abs(again - points[known]).max() < 5e-3


@pytest.mark.parametrize(("code", "turn"), [("SLP", (0, 0, 0)), ("LAS", (23, -14, 31))])
def test_a_ball_that_grows_by_a_tenth(code: str, turn: tuple[float, float, float], tmp_path: Path) -> None:
    """J > 1 inside and arrows outward at its surface, found from the images alone."""
    grid, radius = Grid((28, 26, 24), affine_of(code, (1.0, 1.0, 1.25), turn)), 7.5
    arm = grid.points().numpy() - grid.corners_mm.mean(axis=0)
    distance = np.linalg.norm(arm, axis=-1)
    grown = [radius, 1.1 * radius]
    balls = [torch.from_numpy(200 + 800 / (1 + np.exp((distance - r) / 0.6))).float()[None] for r in grown]
    longer = NoderSettings(coarse_iterations=20, middle_iterations=30, fine_iterations=30)
    done = fitted(tmp_path, grid, balls, longer)

    jacobian, inside = voxels(done.out / "jac_000.nii.gz"), distance < 1.1 * radius
    # the ball at t came from the ball at the start, so that 1/J sums up to the volume before
    assert float((1 / jacobian[inside]).mean()) == pytest.approx(1 / 1.1**3, rel=0.1)
    assert float((jacobian[distance < radius] > 1).mean()) > 0.95
    arrows = -voxels(done.out / "field_000.nii.gz")[:, :, :, 0] * LPS
    surface = np.abs(distance - 1.1 * radius) < 1.0
    outward = (arrows * arm).sum(axis=-1)[surface] / distance[surface]
    assert float((outward > 0).mean()) > 0.99
    assert outward.mean() == pytest.approx(0.1 * radius, rel=0.35)
