"""Readers and the writer, on odd and broken files and against nibabel and SimpleITK."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from format_kit import DATA, OBLIQUE, REFUSED, message, nifti, ramp
from sample_grids import CODES, affine_of

from noder.formats import open_volume_file, write_volume
from noder.grid import Grid
from noder.image import Image, header_time_step, volumes_in

FACTS: dict[str, tuple[int, tuple[int, int, int], str, str, float, float]] = {
    "nibabel/example_nifti2.nii.gz": (2, (32, 20, 12), "LAS", "int16", 49, 742),
    "nibabel/anatomical.nii": (1, (33, 41, 25), "LAS", "int16", -610, 30393),
    "nibabel/reoriented_anat_moved.nii": (1, (21, 26, 22), "RAS", "float32", 0, 21199.936),
    "nibabel/standard.nii.gz": (1, (4, 5, 7), "RAS", "uint8", 0, 255),
    "nibabel/test.mgz": (2, (3, 4, 5), "SAR", "float32", -1.7049814, 2.4723177),
    "niivue/low_res.nii.gz": (1, (7, 5, 3), "RAS", "uint8", 0, 1),
    "niivue/minimal.nii.gz": (1, (64, 64, 10), "LAS", "uint8", 0, 63),
    "niivue/hippolr.nii.gz": (1, (91, 109, 91), "LAS", "float32", 0, 9),
    "niivue/ras.hdr": (1, (62, 41, 34), "RAS", "uint8", 0, 255),
    "niivue/ras.img": (1, (62, 41, 34), "RAS", "uint8", 0, 255),
    "niivue/mha.mha": (1, (64, 64, 37), "LAS", "int16", 0, 6690),
}


@pytest.mark.parametrize("name", FACTS)
def test_odd_files_open_with_their_known_facts(name: str) -> None:
    n_volumes, shape, orientation, dtype, low, high = FACTS[name]
    path = DATA / name
    assert volumes_in(path) == n_volumes
    image = Image.open(path, 0 if n_volumes > 1 else None)
    assert (image.stored_grid.shape, image.stored_grid.orientation) == (shape, orientation)
    assert image.dtype.name == dtype
    assert image.grid.orientation == "RAS"
    assert image.numpy().shape == image.grid.shape
    assert (image.numpy().min(), image.numpy().max()) == pytest.approx((low, high))


@pytest.mark.parametrize("name", [n for n in FACTS if not n.endswith((".mgz", ".mha", ".img"))])
def test_values_and_places_are_nibabels(name: str) -> None:
    oracle: Any = nib.load(DATA / name)
    expected = np.asarray(oracle.dataobj, np.float32)
    image = Image.open(DATA / name, 0 if expected.ndim > 3 else None)
    np.testing.assert_array_equal(image.to_stored(image.numpy()), expected[..., 0] if expected.ndim > 3 else expected)
    np.testing.assert_allclose(image.stored_grid.affine, oracle.affine, atol=1e-12)


@pytest.mark.parametrize("volume", [0, 7, 19])
def test_slope_and_intercept_apply_to_each_volume(volume: int) -> None:
    oracle: Any = nib.load(DATA / "nibabel/functional.nii")
    image = Image.open(DATA / "nibabel/functional.nii", volume)
    np.testing.assert_allclose(image.to_stored(image.numpy()), np.asarray(oracle.dataobj)[..., volume], rtol=1e-6)
    assert image.numpy().max() > 3100.76


def test_slope_and_intercept_apply_to_compressed_files_too(tmp_path: Path) -> None:
    packed = tmp_path / "functional.nii.gz"
    packed.write_bytes(gzip.compress((DATA / "nibabel/functional.nii").read_bytes()))
    for volume in (19, 0):
        plain = Image.open(DATA / "nibabel/functional.nii", volume).numpy()
        np.testing.assert_array_equal(Image.open(packed, volume).numpy(), plain)


def test_slope_zero_means_no_scaling_and_is_noted() -> None:
    image = Image.open(DATA / "niivue/avg152T1_RL_nifti.nii.gz")
    assert image.numpy().max() == 255
    assert any("scl_slope is 0" in note for note in image.notes)


def test_a_missing_qform_flips_nothing_where_an_sform_is_set() -> None:
    """avg152T1_RL: Analyze's default flip would swap the hemispheres."""
    path = DATA / "niivue/avg152T1_RL_nifti.nii.gz"
    image, oracle = Image.open(path), nib.load(path)
    assert image.grid.to_mm(np.zeros(3)).tolist() == [-90, -126, 8]
    np.testing.assert_array_equal(image.numpy(), np.asarray(oracle.dataobj, np.float32))  # type: ignore[attr-defined]


def test_five_orientations_of_one_head_agree() -> None:
    first, *others = (Image.open(DATA / f"niivue/space_{c}.nii.gz") for c in ("RAS", "LAS", "LPS", "RPI", "SLP"))
    assert first.stored_grid.orientation == "RAS"
    for other in others:
        assert other.stored_grid.orientation == other.name[6:9]
        assert other.grid.matches(first.grid)
        np.testing.assert_array_equal(other.numpy(), first.numpy())


def test_no_form_at_all_is_noted() -> None:
    assert any("left and right are guessed" in n for n in Image.open(DATA / "niivue/minimal.nii.gz").notes)


def test_shear_is_noted() -> None:
    image = Image.open(DATA / "nibabel/test.mgz", 1)
    assert image.stored_grid.is_sheared
    assert any("sheared" in note for note in image.notes)
    oracle: Any = nib.load(DATA / "nibabel/test.mgz")
    np.testing.assert_allclose(image.stored_grid.affine, oracle.affine)
    np.testing.assert_array_equal(image.to_stored(image.numpy()), np.asarray(oracle.dataobj)[..., 1])


def test_no_odd_file_is_forgotten() -> None:
    files = {f"{p.parent.name}/{p.name}" for p in DATA.glob("ni*/*") if not p.name.startswith(("space_", "LICENSE"))}
    assert files - {*FACTS, *REFUSED} == {"nibabel/functional.nii", "niivue/avg152T1_RL_nifti.nii.gz"}


def test_links_and_foreign_letters_open(tmp_path: Path) -> None:
    target = nifti(tmp_path / "Größe 脳 №1.nii", ramp())
    (tmp_path / "ses-M12.nii").symlink_to(target)
    assert Image.open(tmp_path / "ses-M12.nii").name == "ses-M12.nii"
    np.testing.assert_array_equal(Image.open(target).numpy(), ramp())
    sitk.WriteImage(sitk.GetImageFromArray(ramp()), tmp_path / "脳.mha")
    assert Image.open(tmp_path / "脳.mha").numpy().sum() == ramp().sum()


def test_upper_case_names_open(tmp_path: Path) -> None:
    (tmp_path / "SCAN.NII.GZ").write_bytes((DATA / "niivue/low_res.nii.gz").read_bytes())
    assert Image.open(tmp_path / "SCAN.NII.GZ").numpy().shape == (7, 5, 3)


@pytest.mark.parametrize("shape", [(4, 4, 4, 1), (4, 4, 4, 1, 1)])
def test_axes_of_one_volume_are_three_dimensional(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = nifti(tmp_path / "one.nii", ramp(shape))
    assert volumes_in(path) == 1
    assert Image.open(path).numpy().shape == (4, 4, 4)


@pytest.mark.parametrize("shape", [(6, 5, 1), (1, 5, 6), (6, 5)])
def test_thin_images_open(tmp_path: Path, shape: tuple[int, ...]) -> None:
    assert Image.open(nifti(tmp_path / "thin.nii", ramp(shape))).grid.n_voxels == 30


def test_negative_voxel_sizes_lose_their_sign_with_a_note(tmp_path: Path) -> None:
    path = nifti(tmp_path / "neg.nii", ramp(), pixdim=[1, -2, 3, 4, 0, 0, 0, 0], sform_code=0, qform_code=1)
    image = Image.open(path)
    assert image.grid.spacing == (2, 3, 4)
    assert any("negative voxel sizes" in note for note in image.notes)


def test_voxels_may_begin_late_in_the_file(tmp_path: Path) -> None:
    path = nifti(tmp_path / "late.nii", ramp(), vox_offset=352 + 64)
    data = path.read_bytes()
    path.write_bytes(data[:352] + b"\7" * 64 + data[352:])
    np.testing.assert_array_equal(Image.open(path).numpy(), ramp())


def test_sform_wins_over_qform_and_a_real_gap_is_noted(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp(), OBLIQUE.affine)
    moved = OBLIQUE.affine.copy()
    moved[0, 3] += 0.05
    image.header.set_qform(moved, code=1)
    image.header.set_sform(OBLIQUE.affine, code=2)
    nib.save(image, tmp_path / "near.nii")
    moved[0, 3] += 2.95
    image.header.set_qform(moved, code=1)
    nib.save(image, tmp_path / "far.nii")
    near, far = Image.open(tmp_path / "near.nii"), Image.open(tmp_path / "far.nii")
    assert near.notes == ()
    assert far.notes == ("sform and qform disagree by 3 mm: the sform is used",)
    np.testing.assert_allclose(far.stored_grid.affine, OBLIQUE.affine, atol=1e-5)


def test_qform_alone_is_used(tmp_path: Path) -> None:
    image = nib.Nifti1Image(ramp(), None)
    image.header.set_qform(OBLIQUE.affine, code=1)
    nib.save(image, tmp_path / "q.nii")
    np.testing.assert_allclose(Image.open(tmp_path / "q.nii").stored_grid.affine, OBLIQUE.affine, atol=1e-5)
    assert Image.open(tmp_path / "q.nii").notes == ()


def test_an_unusable_sform_yields_to_the_qform(tmp_path: Path) -> None:
    path = nifti(tmp_path / "s.nii", ramp(), srow_x=[0, 0, 0, 0], sform_code=1, qform_code=1)
    image = Image.open(path)
    assert "sform of the header is unusable" in image.notes[0]
    np.testing.assert_array_equal(image.stored_grid.affine, np.eye(4))


@pytest.mark.parametrize(("code", "factor"), [(1, 1000.0), (2, 1.0), (3, 0.001), (0, 1.0)])
def test_units_of_length_become_mm(tmp_path: Path, code: int, factor: float) -> None:
    image = Image.open(nifti(tmp_path / "u.nii", ramp(), np.diag([2, 2, 2, 1]), xyzt_units=code))
    assert image.grid.spacing == pytest.approx((2 * factor,) * 3)
    assert bool(image.notes) == (factor != 1)


@pytest.mark.parametrize("code", CODES)
def test_metaimage_and_nrrd_lie_where_nifti_does(tmp_path: Path, code: str) -> None:
    grid = Grid((9, 7, 5), affine_of(code, (0.8, 1.1, 3.0), (12, -7, 20)))
    write_volume(tmp_path / "a.nii", ramp(), grid)
    image = sitk.ReadImage(tmp_path / "a.nii")
    for name in ("a.mha", "a.nrrd"):
        sitk.WriteImage(image, tmp_path / name)
        other = Image.open(tmp_path / name)
        assert other.stored_grid.matches(grid, 1e-3)
        np.testing.assert_array_equal(other.to_stored(other.numpy()), ramp())


def test_detached_and_four_dimensional_itk_files(tmp_path: Path) -> None:
    image = sitk.JoinSeries([sitk.GetImageFromArray(ramp() + k) for k in range(3)], 0.0, 2.5)
    for name in ("a.mhd", "a.nhdr"):
        sitk.WriteImage(image, tmp_path / name)
        assert volumes_in(tmp_path / name) == 3
        assert header_time_step(tmp_path / name) == (2.5, "")
        assert Image.open(tmp_path / name, 2).numpy().min() == 2
    for data in (*tmp_path.glob("a.*raw*"),):
        data.unlink()
    assert "lacks its voxels" in message(tmp_path / "a.mhd", 0)
    assert "lacks its voxels" in message(tmp_path / "a.nhdr", 0)


@pytest.mark.parametrize(("code", "unit"), [(8, "s"), (16, "ms"), (24, "us"), (0, "")])
def test_time_step_and_its_unit(tmp_path: Path, code: int, unit: str) -> None:
    path = nifti(tmp_path / "t.nii", ramp((3, 3, 3, 2)), xyzt_units=2 + code, pixdim=[1, 1, 1, 1, 31.58, 0, 0, 0])
    assert header_time_step(path) == (31.58, unit)


def test_no_step_for_one_volume_hertz_or_an_unfilled_header(tmp_path: Path) -> None:
    assert header_time_step(DATA / "nibabel/anatomical.nii") is None
    four = ramp((3, 3, 3, 2))
    assert header_time_step(nifti(tmp_path / "hz.nii", four, xyzt_units=34, pixdim=[1, 1, 1, 1, 5, 0, 0, 0])) is None
    assert header_time_step(nifti(tmp_path / "one.nii", four, xyzt_units=0, pixdim=[1, 1, 1, 1, 1, 0, 0, 0])) is None
    assert header_time_step(nifti(tmp_path / "neg.nii", four, xyzt_units=8, pixdim=[1, 1, 1, 1, -2, 0, 0, 0])) is None


def test_a_compressed_series_is_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "four.nii.gz"
    nib.save(nib.Nifti1Image(ramp((4, 4, 4, 6)).astype(np.int16), np.eye(4)), path)
    images = [Image.open(path, k) for k in range(6)]
    file = open_volume_file(path)
    loads: list[int] = []
    unpack = file.load_all
    monkeypatch.setattr(file, "load_all", lambda: (loads.append(1), unpack())[1])
    for k, image in enumerate(images):
        np.testing.assert_array_equal(image.numpy(), ramp((4, 4, 4, 6))[..., k])
    assert len(loads) == 1
    assert file._held is None  # nothing is kept beyond what the images hold


def test_plain_files_are_read_one_volume_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    file = open_volume_file(DATA / "nibabel/functional.nii")
    monkeypatch.setattr(file, "load_all", lambda: pytest.fail("read the whole file for one volume"))
    assert file.read(3).shape == (17, 21, 3)
