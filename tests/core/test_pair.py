"""A pair before it is registered: where the moving image is laid, the frame, the masks, and what cannot be used."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from engine_kit import box_grid, push, texture
from sample_grids import GRIDS, LPS
from scipy.spatial.transform import Rotation

from noder.alignment import write_itk_transform
from noder.errors import InputError, UsageError
from noder.grid import Grid
from noder.image import Image, write_volume
from noder.landmarks import read_landmarks
from noder.pair import FIXED, MOVING, open_pair

GRID = box_grid(24, 1.5)


def textured(grid: Grid = GRID, shift: tuple[float, float, float] = (0, 0, 0), name: str = "image") -> Image:
    """A texture that fades out towards the faces of a cube, moved by `shift` mm, on any grid."""
    points = grid.points() - torch.tensor(shift, dtype=torch.float64)
    return Image.from_array(GRID.sample(texture(GRID) * push(GRID, 1.0).u[:1].sqrt(), points)[0].numpy(), grid, name)


@pytest.mark.parametrize("name", GRIDS)
def test_the_moving_image_lies_on_the_fixed_ones_frame_however_it_is_stored(name: str) -> None:
    theirs = GRIDS[name]
    centred = theirs.affine.copy()
    centred[:3, 3] += GRID.corners_mm.mean(0) - theirs.corners_mm.mean(0)
    moving = textured(Grid(theirs.shape, centred), name="moving")
    pair = open_pair(textured(name="fixed"), moving, refine=False)
    assert pair.frame.matches(GRID)
    points = GRID.points()[8:16, 8:16, 9:15]
    again = pair.frame.sample(pair.series.scans[MOVING].image.tensor(), points)
    truth = GRID.sample(textured().tensor(), points)
    assert np.corrcoef(again.numpy().ravel(), truth.numpy().ravel())[0, 1] > 0.8  # a coarse grid blurs


def test_a_transform_file_means_what_itk_makes_of_it(tmp_path: Path) -> None:
    """Resampling with ITK and laying on the frame are one thing, for a turn, a stretch and a shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", (9, -5, 14), degrees=True).as_matrix() @ np.diag([1.05, 0.97, 1.0])
    matrix[:3, 3] = (3.0, -2.0, 1.0)
    write_itk_transform(tmp_path / "initial.tfm", matrix)
    for name in ("fixed", "moving"):
        write_volume(tmp_path / f"{name}.nii.gz", texture(GRID, seed=5)[0].numpy(), GRID)
    pair = open_pair(
        Image.open(tmp_path / "fixed.nii.gz"), Image.open(tmp_path / "moving.nii.gz"), tmp_path / "initial.tfm"
    )
    fixed, moving = (sitk.ReadImage(str(tmp_path / f"{name}.nii.gz"), sitk.sitkFloat64) for name in ("fixed", "moving"))
    transform = sitk.ReadTransform(str(tmp_path / "initial.tfm"))
    itk = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, transform, sitk.sitkBSpline, -1e6)).transpose(2, 1, 0)
    ours = pair.series.scans[MOVING].image.to_stored(pair.series.scans[MOVING].image.numpy())
    index = GRID.to_index(pair.to_moving(GRID.points())).numpy()
    inside = ((index > 5) & (index < 18)).all(axis=-1) & (itk > ours.min()) & (itk < ours.max())  # away from the ends
    assert inside.mean() > 0.1
    assert np.abs(itk - ours)[inside].max() < 0.02 * float(texture(GRID).std())
    point = np.array([[4.0, 5.0, 6.0]])
    carried = transform.TransformPoint((point[0] * LPS).tolist()) * LPS
    assert pair.to_moving(torch.from_numpy(point))[0].tolist() == pytest.approx(carried.tolist())
    assert torch.allclose(pair.to_frame(pair.to_moving(torch.from_numpy(point))), torch.from_numpy(point))


def test_centre_brings_the_centres_of_mass_together() -> None:
    blob = torch.zeros(1, *GRID.shape)
    blob[0, 6:12, 6:12, 6:12] = 100
    far = Grid(GRID.shape, np.array([[1.5, 0, 0, 200], [0, 1.5, 0, -90], [0, 0, 1.5, 40], [0, 0, 0, 1]]))
    pair = open_pair(
        Image.from_array(blob[0].numpy(), GRID, "fixed"), Image.from_array(blob[0].numpy(), far, "moving"), "centre"
    )
    assert pair.initial.matrix[:3, 3] == pytest.approx([200, -90, 40], abs=0.5)
    assert pair.initial.kind == "centre"


def test_rigid_finds_a_shift_and_says_how_well() -> None:
    pair = open_pair(textured(name="fixed"), textured(shift=(3.0, 0, -1.5), name="moving"), "rigid")
    middle = torch.from_numpy(GRID.corners_mm.mean(0))[None]
    assert (pair.to_moving(middle) - middle)[0].tolist() == pytest.approx([3.0, 0, -1.5], abs=0.2)
    assert pair.initial.similarity_after > 0.95


def test_a_finer_moving_image_makes_a_finer_frame_with_the_same_corners() -> None:
    coarse = Grid((17, 17, 9), np.diag([2.0, 2.0, 4.0, 1.0]))
    fine = Grid((34, 34, 34), np.diag([1.0, 1.0, 1.0, 1.0]))
    pair = open_pair(textured(coarse, name="fixed"), textured(fine, name="moving"))
    assert pair.refined == (2, 2, 4)
    assert pair.frame.shape == (33, 33, 33)
    assert np.allclose(pair.frame.corners_mm, coarse.corners_mm)
    assert any("2 x 2 x 4 times the voxels" in note for note in pair.notes)
    there = coarse.points()
    kept = pair.frame.sample(pair.series.scans[FIXED].image.tensor(), there)
    assert torch.allclose(kept, textured(coarse).tensor(), atol=2.0)  # cubics pass through the voxels


def test_masks_of_either_image_are_joined_in_the_frame(tmp_path: Path) -> None:
    ours, theirs = np.zeros(GRID.shape, np.uint8), np.zeros(GRID.shape, np.uint8)
    ours[2:8], theirs[12:20] = 1, 1
    for name, mask in (("ours", ours), ("theirs", theirs)):
        write_volume(tmp_path / f"{name}.nii.gz", mask, GRID)
    matrix = np.eye(4)
    matrix[0, 3] = 3.0  # two voxels along R
    write_itk_transform(tmp_path / "shift.tfm", matrix)
    pair = open_pair(
        textured(name="fixed"), textured(name="moving"), tmp_path / "shift.tfm", tmp_path / "ours.nii.gz",
        tmp_path / "theirs.nii.gz",
    )  # fmt: skip
    assert np.flatnonzero(pair.mask.all((1, 2))).tolist() == [*range(2, 8), *range(10, 18)]
    assert pair.mask_name == "fixed mask and moving mask"


def test_images_far_apart_are_told_with_what_to_do() -> None:
    away = Grid(GRID.shape, np.array([[1.5, 0, 0, 500], [0, 1.5, 0, 0], [0, 0, 1.5, 0], [0, 0, 0, 1]]))
    with pytest.raises(InputError, match=r"0% of the fixed image's box lies in moving.*--initial centre"):
        open_pair(textured(name="fixed"), textured(away, name="moving"))


def test_an_empty_mask_and_an_unknown_beginning_are_told(tmp_path: Path) -> None:
    write_volume(tmp_path / "empty.nii.gz", np.zeros(GRID.shape, np.uint8), GRID)
    with pytest.raises(InputError, match="only zeros"):
        open_pair(textured(), textured(), fixed_mask=tmp_path / "empty.nii.gz")
    with pytest.raises(UsageError, match="none, centre, rigid, affine"):
        open_pair(textured(), textured(), "nearly")


def test_landmarks_are_read_with_and_without_names_in_both_spaces(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z\n1,2,3,4,5,6\n\n7,8,9,10,11,12\n")
    points = read_landmarks(path, "LPS")
    assert points.fixed.tolist() == [[-1, -2, 3], [-7, -8, 9]]
    assert points.moving.tolist() == [[-4, -5, 6], [-10, -11, 12]]
    path.write_text("1,2,3,4,5,6\n")
    assert read_landmarks(path, "RAS").moving.tolist() == [[4, 5, 6]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no landmarks"),
        ("x,y,z\n", "holds no landmarks"),
        ("1,2,3,4,5\n", "row 1: '1,2,3,4,5' is not"),
        ("1,2,3,4,5,6\n1,2,3,4,five,6\n", "row 2"),
        ("1,2,3,4,5,6\n1,2,3,4,nan,6\n", "row 2"),
    ],
)
def test_other_tables_are_told_by_row(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_landmarks(path, "LPS")


def test_landmarks_outside_name_the_row_and_the_image(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("5,5,5,5,5,5\n5,5,5,5,5,999\n")
    with pytest.raises(InputError, match=r"1 of 2 landmarks lie outside the moving image, the first in row 2.*RAS"):
        read_landmarks(path, "RAS").check(GRID, GRID, "points.csv")
    with pytest.raises(UsageError, match="LPS, RAS"):
        read_landmarks(path, "ITK")
