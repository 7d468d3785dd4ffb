"""What SimpleITK and ANTs make of the exported fields, against the program's own prediction."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

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
    growing_trajectory,
    interior,
    moving_trajectory,
    smooth_field,
    warped_by_ants,
    warped_by_sitk,
)

from noder.errors import InputError, OutputError
from noder.export import export
from noder.fields import DisplacementField
from noder.grid import Grid
from noder.image import write_volume
from noder.itk_fields import orthogonal_grid, read_itk_field, write_itk_field
from noder.trajectory import Trajectory

TIME = 1.5


def exported(trajectory: Trajectory, folder: Path) -> Path:
    """`folder` with reference.nii.gz and everything that is exported at TIME."""
    undo = trajectory.stored_grid.reorientation().undo
    write_volume(folder / "reference.nii.gz", undo(trajectory.scans[0].volume)[0].numpy(), trajectory.stored_grid)
    result = SimpleNamespace(trajectory=trajectory, series=SimpleNamespace(scans=()), report=None)
    export(result, ["predictions", "fields_itk", "jacobians"], [TIME], folder, carry="first")
    return folder


def comparable(trajectory: Trajectory) -> np.ndarray:
    """Stored voxels whose eight sampled corners all lie in the reference."""
    inside = all_corners_inside(trajectory.grid, trajectory.field(trajectory.grid, TIME).points())
    assert float(inside.double().mean()) > 0.5
    return trajectory.stored_grid.reorientation().undo(inside).numpy()


def values(path: Path) -> np.ndarray:
    return np.asanyarray(nibabel.load(path).dataobj)


@pytest.mark.parametrize("oracle", [warped_by_sitk, warped_by_ants])
@pytest.mark.parametrize("name", GRIDS)
def test_other_programs_warp_as_we_predict(name: str, oracle: object, tmp_path: Path) -> None:
    trajectory = moving_trajectory(GRIDS[name])
    folder, inside = exported(trajectory, tmp_path), comparable(trajectory)
    got = oracle(folder / "reference.nii.gz", folder / "field_000.nii.gz")
    own = values(folder / "pred_000.nii.gz")
    assert np.abs(got - own)[inside].max() < 1e-5  # the noise has a range of 1

    field = read_itk_field(folder / "field_000.nii.gz")
    reference = torch.from_numpy(values(folder / "reference.nii.gz").astype(np.float32))[None]
    assert np.abs(got - field.warp(reference, trajectory.stored_grid)[0].numpy())[inside].max() < 1e-5
    unmoved = values(folder / "reference.nii.gz")
    assert np.abs(got - unmoved)[inside].max() > 0.3


@pytest.mark.parametrize("name", GRIDS)
def test_the_exported_inverse_undoes_the_field_in_itk(name: str, tmp_path: Path) -> None:
    trajectory = moving_trajectory(GRIDS[name])
    folder, inside = exported(trajectory, tmp_path), comparable(trajectory)
    there, back = (
        sitk.DisplacementFieldTransform(sitk.ReadImage(str(folder / f"{kind}_000.nii.gz"), sitk.sitkVectorFloat64))
        for kind in ("field", "inverse")
    )
    points = trajectory.stored_grid.points().numpy()[inside] * LPS
    pulled = np.array([back.TransformPoint(p) for p in points.tolist()])
    # ITK moves nothing outside the field's grid: a pre-image there cannot be undone
    known = all_corners_inside(trajectory.stored_grid, torch.from_numpy(pulled * LPS)).numpy()
    again = np.array([there.TransformPoint(p) for p in pulled[known].tolist()])
    assert known.mean() > 0.7
    assert np.abs(again - points[known]).max() < 5e-3
    assert np.abs(pulled - points).max() > 0.5


def test_a_warped_image_comes_back(tmp_path: Path) -> None:
    """Smooth image, forth by the field and back by the inverse: interpolated twice, so equal to 1 %."""
    trajectory = moving_trajectory(GRIDS["oblique LPI"], size_mm=0.7)
    folder = exported(trajectory, tmp_path)
    grid = trajectory.stored_grid
    wave = torch.sin(grid.points() @ torch.tensor([0.1, -0.08, 0.05], dtype=torch.float64)).float()[None]
    moved = read_itk_field(folder / "field_000.nii.gz").warp(wave, grid)
    back = read_itk_field(folder / "inverse_000.nii.gz").warp(moved, grid)
    box = (slice(None), *interior(grid, 3))
    assert float((back - wave)[box].abs().max()) < 0.015
    assert float((moved - wave)[box].abs().max()) > 0.07


@pytest.mark.parametrize("name", GRIDS)
def test_the_exported_jacobian_is_that_of_the_exported_field(name: str, tmp_path: Path) -> None:
    """In voxel space from the file: SimpleITK's filter is wrong where the direction is not the identity."""
    trajectory = moving_trajectory(GRIDS[name])
    folder = exported(trajectory, tmp_path)
    image = nibabel.load(folder / "field_000.nii.gz")
    ras = np.asanyarray(image.dataobj)[:, :, :, 0] * LPS
    per_index = np.stack([np.gradient(ras, axis=axis) for axis in range(3)], axis=-1)
    matrix = np.linalg.inv(image.affine[:3, :3]) @ per_index
    want = 1 / np.linalg.det(np.eye(3) + matrix)
    assert np.abs(values(folder / "jac_000.nii.gz") - want).max() < 1e-3
    assert want.std() > 0.02


@pytest.mark.parametrize(("code", "turn"), [("LAS", (0, 0, 0)), ("SLP", (0, 0, 0)), ("RAS", (23, -14, 31))])
def test_a_growing_ball_has_j_above_1_and_arrows_outward(
    code: str, turn: tuple[float, float, float], tmp_path: Path
) -> None:
    grid, growth, radius = Grid((28, 24, 20), affine_of(code, (1.0, 1.25, 1.5), turn)), 1.1, 7.5
    trajectory = growing_trajectory(grid, radius, growth)
    result = SimpleNamespace(trajectory=trajectory, series=SimpleNamespace(scans=()), report=None)
    export(result, ["fields_itk", "jacobians", "predictions"], [1.0], tmp_path)

    arm = grid.points().numpy() - grid.corners_mm.mean(axis=0)
    distance = np.linalg.norm(arm, axis=-1)
    inside = distance < growth * radius
    jacobian = values(tmp_path / "jac_000.nii.gz")
    assert np.abs(jacobian[inside] - growth**3).max() < 1e-3

    arrows = -values(tmp_path / "field_000.nii.gz")[:, :, :, 0] * LPS
    shown = inside & (distance > 0)
    cosine = (arrows * arm).sum(axis=-1)[shown] / np.linalg.norm(arrows, axis=-1)[shown] / distance[shown]
    assert cosine.min() > 0.999
    volume = values(tmp_path / "pred_000.nii.gz").sum() / float(trajectory.scans[0].volume.sum())
    assert volume == pytest.approx(growth**3, rel=0.1)


@pytest.mark.parametrize("name", GRIDS)
def test_a_field_is_read_back_as_written(name: str, tmp_path: Path) -> None:
    field = smooth_field(GRIDS[name])
    write_itk_field(tmp_path / "field.nii.gz", field)
    again = read_itk_field(tmp_path / "field.nii.gz")
    assert torch.equal(again.u, field.u)
    assert again.grid.matches(field.grid, 1e-4)


def test_the_header_is_the_convention(tmp_path: Path) -> None:
    field = smooth_field(GRIDS["oblique"])
    write_itk_field(tmp_path / "field.nii.gz", field)
    image = nibabel.load(tmp_path / "field.nii.gz")
    assert image.shape == (*field.grid.shape, 1, 3)
    assert image.get_data_dtype() == np.float32
    assert int(image.header["intent_code"]) == 1007
    assert image.header.get_xyzt_units()[0] == "mm"
    for form in (image.get_sform(coded=True), image.get_qform(coded=True)):
        assert form[1] == 1
        assert np.abs(form[0] - field.grid.affine).max() < 1e-4
    assert np.array_equal(np.moveaxis(np.asanyarray(image.dataobj)[:, :, :, 0] * LPS, -1, 0), field.u.numpy())


def sheared() -> Grid:
    affine = np.array(GRIDS["oblique LPI"].affine)
    affine[:3, 2] += 0.3 * affine[:3, 0]
    return Grid(GRIDS["oblique LPI"].shape, affine)


def test_a_sheared_reference_gets_its_fields_on_an_orthogonal_grid(tmp_path: Path) -> None:
    trajectory = moving_trajectory(sheared())
    folder = exported(trajectory, tmp_path)
    field = read_itk_field(folder / "field_000.nii.gz")
    assert not field.grid.is_sheared
    points = trajectory.grid.points()
    index = field.grid.to_index(points)
    assert float(index.min()) > -1e-3
    assert bool((index < torch.tensor(field.grid.shape)).all())
    want = trajectory.displacement(field.grid.points(), TIME).movedim(-1, 0)
    assert float((field.u - want).abs().max()) < 1e-4
    assert "right angles" in (folder / "predict.json").read_text()
    assert nibabel.load(folder / "pred_000.nii.gz").shape == sheared().shape
    with pytest.raises(OutputError, match="right angles"):
        write_itk_field(tmp_path / "no.nii.gz", DisplacementField(torch.zeros((3, *sheared().shape)), sheared()))
    assert not (tmp_path / "no.nii.gz").exists()


def test_orthogonal_grids_stay_as_they_are() -> None:
    assert orthogonal_grid(GRIDS["oblique"]) is GRIDS["oblique"]


def test_what_is_no_field_is_refused(tmp_path: Path) -> None:
    write_volume(tmp_path / "image.nii.gz", np.zeros((4, 4, 4), np.float32), Grid((4, 4, 4), np.eye(4)))
    with pytest.raises(InputError, match="components"):
        read_itk_field(tmp_path / "image.nii.gz")
    with pytest.raises(InputError, match="missing"):
        read_itk_field(tmp_path / "missing.nii.gz")
    (tmp_path / "text.nii.gz").write_text("no image")
    with pytest.raises(InputError, match="text"):
        read_itk_field(tmp_path / "text.nii.gz")
