"""`noder register` and `noder warp` from outside, and its files as ITK and FSL read them."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from cli_kit import noder
from engine_kit import box_grid, push, texture
from fsl.data.image import Image as FslImage
from fsl.transform import fnirt, nonlinear
from sample_grids import affine_of

from noder.alignment import write_itk_transform
from noder.grid import Grid
from noder.image import Image, write_volume
from noder.itk_fields import read_itk_field
from noder.methods import NephiSettings
from noder.pair import open_pair
from noder.register import register_steps, scaled

FRAME = box_grid(28, 1.5)
"""Where the fixed image and the moving one are one texture, but for a push of 3 mm and a shift of 6."""
PUSH, SHIFT = 3.0, (6.0, -4.5, 3.0)
QUICK = [
    f"--set={name}={value}"
    for name, value in {
        "node_spacing": 4, "code_spacing": 6, "global_code": 4, "local_code": 8, "frequencies": 8, "hidden": 16,
        "coarse_iterations": 25, "middle_iterations": 25, "fine_iterations": 25, "smoothness": 0.1,
    }.items()
]  # fmt: skip


def stored(path: Path, volume: torch.Tensor, grid: Grid, frame: Grid, shift: tuple[float, ...] = (0, 0, 0)) -> Path:
    """Write what `volume` on `frame` shows, moved by `shift`, on the voxels of `grid` as it is stored."""
    points = grid.points() - torch.tensor(shift, dtype=torch.float64)
    write_volume(path, frame.sample(volume, points)[0].numpy(), grid)
    return path


def centred(grid: Grid, at: np.ndarray) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += at - grid.corners_mm.mean(0)
    return Grid(grid.shape, affine)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair: fixed stored as LPS, moving as an oblique grid of other voxels, shifted by 6 mm and pushed."""
    folder = tmp_path_factory.mktemp("pair")
    still, middle = texture(FRAME), FRAME.corners_mm.mean(0)
    pushed = push(FRAME, PUSH).warp(still, FRAME)
    fixed = centred(Grid((28, 28, 28), affine_of("LPS", (1.5, 1.5, 1.5))), middle)
    moving = centred(Grid((36, 30, 34), affine_of("AIR", (1.4, 1.6, 1.5), (8, -5, 11))), middle + np.array(SHIFT))
    stored(folder / "fixed.nii.gz", pushed, fixed, FRAME)
    stored(folder / "moving.nii.gz", still, moving, FRAME, SHIFT)
    blocks = (still[0] > still.median()).float()[None]
    labels = (push(FRAME, PUSH).warp(blocks, FRAME, nearest=True), blocks)
    for name, volume, grid, shift in (("fixed", labels[0], fixed, (0, 0, 0)), ("moving", labels[1], moving, SHIFT)):
        points = grid.points() - torch.tensor(shift, dtype=torch.float64)
        values = FRAME.sample(volume, points, nearest=True)[0].numpy().astype(np.uint8)
        write_volume(folder / f"{name}_labels.nii.gz", values, grid)
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    write_itk_transform(folder / "initial.tfm", matrix)
    chance = np.random.default_rng(0)
    points = middle + chance.uniform(-9, 9, (12, 3))
    theirs = points + push(FRAME, PUSH).at(torch.from_numpy(points)).numpy() + np.array(SHIFT)
    rows = np.hstack([points * (-1, -1, 1), theirs * (-1, -1, 1)])
    lines = ["fixed_x,fixed_y,fixed_z,moving_x,moving_y,moving_z", *(",".join(f"{v:.4f}" for v in row) for row in rows)]
    (folder / "landmarks.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def out(folder: Path) -> Path:
    out = folder / "out"
    done = noder(
        "register", folder / "fixed.nii.gz", folder / "moving.nii.gz", "-o", out, "--initial", folder / "initial.tfm",
        "--fixed-labels", folder / "fixed_labels.nii.gz", "--moving-labels", folder / "moving_labels.nii.gz",
        "--landmarks", folder / "landmarks.csv", "--fields", "itk,fsl", "--json", "--quiet", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads((out / "result.json").read_text())
    return out


def test_the_scores_say_that_it_worked_and_how_it_was_before(out: Path) -> None:
    found = json.loads((out / "result.json").read_text())
    assert found["initial"]["tre_mean_mm"] > 1.0
    assert found["tre_mean_mm"] < 0.4
    assert found["tre_median_mm"] <= found["tre_max_mm"] < 0.8
    assert found["ncc"] > 0.985 > found["initial"]["ncc"]
    assert found["dice"]["1"] == found["dice_mean"] > found["initial"]["dice_mean"]
    assert found["folds_percent"] == 0
    assert all(part == 0 for part in found["folds_percent_at"].values())
    assert 0 < found["min_determinant"] < 1
    assert found["inverse_consistency_mm"] < 0.05
    assert found["seconds"] > 0
    assert found["peak_gib"] > 0
    assert found["settings"]["hidden"] == 16


def itk_field(path: Path) -> sitk.Transform:
    return sitk.DisplacementFieldTransform(sitk.ReadImage(str(path), sitk.sitkVectorFloat64))


def test_itk_warps_with_the_field_as_we_did(folder: Path, out: Path) -> None:
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.nii.gz"), sitk.sitkFloat32) for name in ("fixed", "moving"))
    itk = sitk.GetArrayFromImage(sitk.Resample(moving, fixed, itk_field(out / "field.nii.gz"), sitk.sitkLinear, -1e6))
    ours = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "warped.nii.gz")))
    inside = itk > -1e5
    assert inside.mean() > 0.5
    assert np.abs(itk - ours)[inside].max() < 0.01 * np.std(ours)


def test_itk_warps_back_with_the_inverse(folder: Path, out: Path) -> None:
    fixed, moving = (sitk.ReadImage(str(folder / f"{name}.nii.gz"), sitk.sitkFloat32) for name in ("fixed", "moving"))
    back = sitk.Resample(fixed, moving, itk_field(out / "inverse.nii.gz"), sitk.sitkLinear, -1e6)
    values, truth = sitk.GetArrayFromImage(back), sitk.GetArrayFromImage(moving)
    inside = values > -1e5
    assert np.corrcoef(values[inside], truth[inside])[0, 1] > 0.95


def test_field_and_inverse_undo_each_other_and_apart_they_make_the_whole(out: Path) -> None:
    field, inverse = (read_itk_field(out / f"{name}.nii.gz") for name in ("field", "inverse"))
    points = field.points()[10:18, 10:18, 10:18]
    back = points + inverse.at(points)
    start = field.grid.points()[10:18, 10:18, 10:18]
    assert float((back - start).norm(dim=-1).max()) < 0.1
    apart = read_itk_field(out / "deformation.nii.gz")
    shifted = apart.u + torch.tensor(SHIFT)[:, None, None, None]
    assert torch.allclose(shifted, field.u, atol=1e-3)
    undone = read_itk_field(out / "deformation_inverse.nii.gz")
    assert float(undone.compose(apart).u[:, 8:20, 8:20, 8:20].abs().max()) < 0.05
    initial = sitk.ReadTransform(str(out / "initial.tfm"))
    assert np.allclose(initial.TransformPoint((0.0, 0.0, 0.0)), np.array(SHIFT) * (-1, -1, 1), atol=1e-6)


def test_fsl_warps_with_its_field_as_we_did(folder: Path, out: Path) -> None:
    source, reference = FslImage(str(folder / "moving.nii.gz")), FslImage(str(folder / "fixed.nii.gz"))
    field = fnirt.readFnirt(str(out / "field_fsl.nii.gz"), source, reference)
    assert field.deformationType == "relative"
    fsl = nonlinear.applyDeformation(source, field, order=1, mode="constant", cval=-1e6)
    ours = Image.open(out / "warped.nii.gz")
    values = ours.to_stored(ours.numpy())
    inside = fsl > -1e5
    assert inside.mean() > 0.5
    assert np.abs(fsl - values)[inside].max() < 0.01 * np.std(values)


def test_warp_pulls_images_and_labels_both_ways(folder: Path, out: Path) -> None:
    done = noder("warp", out, folder / "moving.nii.gz", "-o", folder / "again.nii.gz")
    assert done.returncode == 0, done.stderr
    again, first = Image.open(folder / "again.nii.gz"), Image.open(out / "warped.nii.gz")
    assert again.stored_grid.matches(Image.open(folder / "fixed.nii.gz").stored_grid)
    assert np.abs(again.numpy() - first.numpy()).max() < 0.01 * first.numpy().std()
    done = noder(
        "warp", out, folder / "fixed_labels.nii.gz", "--inverse", "--labels", "-o", folder / "labels_back.nii.gz"
    )
    assert nibabel.load(folder / "labels_back.nii.gz").get_data_dtype().kind == "i"  # else others take it for an image
    assert done.returncode == 0, done.stderr
    labels, truth = Image.open(folder / "labels_back.nii.gz"), Image.open(folder / "moving_labels.nii.gz")
    assert labels.stored_grid.matches(truth.stored_grid)
    assert set(np.unique(labels.numpy())) == {0, 1}
    both = labels.numpy()[8:-8, 8:-8, 8:-8], truth.numpy()[8:-8, 8:-8, 8:-8]
    assert (both[0] == both[1]).mean() > 0.9


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--landmarks", "landmarks.csv", "--landmarks-space", "RAS"], 3, "outside the fixed image"),
        (["--fixed-labels", "fixed_labels.nii.gz"], 3, "give --moving-labels too"),
        (["--initial", "nearly"], 2, "none, centre, rigid, affine"),
        (["--fields", "ants"], 2, "itk, fsl"),
        (["--set", "similarity=guess"], 2, "local, global"),
        (["--max-seconds", "0"], 2, "leaves no time"),
        (["--mode", "guess"], 2, "choose from optimise, encoder+io, encoder"),
        (["--mode", "encoder", "--weights", "missing.safetensors"], 2, "or give a file"),
        (["--mode", "encoder", "--weights", "landmarks.csv"], 3, "cannot be read as weights of NePhi"),
    ],
)
def test_what_cannot_be_is_a_sentence_before_any_work(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    given = [str(folder / word) if (folder / word).is_file() else word for word in arguments]
    done = noder("register", folder / "fixed.nii.gz", folder / "moving.nii.gz", "-o", tmp_path / "out", *given)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert not (tmp_path / "out" / "result.json").exists()


def test_a_constant_image_and_nan_are_told(folder: Path, tmp_path: Path) -> None:
    fixed = Image.open(folder / "fixed.nii.gz")
    write_volume(tmp_path / "constant.nii.gz", np.full(fixed.grid.shape, 7.0, np.float32), fixed.stored_grid)
    holed = fixed.to_stored(fixed.numpy()).copy()
    holed[3, 4, 5] = np.nan
    write_volume(tmp_path / "nan.nii.gz", holed, fixed.stored_grid)
    for name, words in (("constant", "has the value 7"), ("nan", "--nan-to-zero")):
        done = noder("register", folder / "fixed.nii.gz", tmp_path / f"{name}.nii.gz", "-o", tmp_path / "out")
        assert done.returncode == 3, done.stderr
        assert words in done.stderr
    done = noder("warp", tmp_path, folder / "moving.nii.gz", "-o", tmp_path / "warped.nii.gz")
    assert done.returncode == 3
    assert "holds no field.nii.gz" in done.stderr


def test_one_look_of_the_trained_networks_brings_the_landmarks_nearer(folder: Path, tmp_path: Path) -> None:
    done = noder(
        "register", folder / "fixed.nii.gz", folder / "moving.nii.gz", "-o", tmp_path, "--mode", "encoder",
        "--initial", folder / "initial.tfm", "--landmarks", folder / "landmarks.csv", "--json", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["settings"]["mode"] == "encoder"
    assert found["tre_mean_mm"] < 0.8 * found["initial"]["tre_mean_mm"]
    assert found["folds_percent"] == 0


def test_time_that_is_up_is_told_with_how_far_it_got(folder: Path, tmp_path: Path) -> None:
    done = noder(
        "register", folder / "fixed.nii.gz", folder / "moving.nii.gz", "-o", tmp_path / "out", "--initial",
        folder / "initial.tfm", "--max-seconds", "0.001", "--quiet", *QUICK,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "stopped after 1 of 100 steps" in done.stdout
    assert json.loads((tmp_path / "out" / "result.json").read_text())["stopped"]
    assert (tmp_path / "out" / "warped.nii.gz").is_file()


def test_it_stops_when_told_with_the_map_so_far(folder: Path) -> None:
    pair = open_pair(Image.open(folder / "fixed.nii.gz"), Image.open(folder / "moving.nii.gz"), folder / "initial.tfm")
    steps = register_steps(pair, NephiSettings(hidden=16, frequencies=8))
    for _ in range(4):
        seen = next(steps)
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    result = end.value.value
    assert result.fit.stopped
    assert len(result.fit.history) == seen.step == 4
    assert result.fit.trajectory.field(pair.frame, 1.0).u.any()


def test_lengths_are_voxels_of_the_fixed_image_whatever_the_frame() -> None:
    coarse = Grid((17, 17, 17), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine = Grid((33, 33, 33), np.eye(4))
    pair = open_pair(
        Image.from_array(coarse.sample(texture(fine), coarse.points())[0].numpy(), coarse, "fixed"),
        Image.from_array(texture(fine)[0].numpy(), fine, "moving"),
    )
    found = scaled(NephiSettings(node_spacing=5.0, code_spacing=6.0, window=7), pair)
    assert (found.node_spacing, found.code_spacing, found.window) == (10.0, 12.0, 9)
