"""What is written comes back, whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from format_kit import OBLIQUE, ramp

from noder.errors import OutputError
from noder.formats import write_volume, written_atomically
from noder.grid import Grid
from noder.image import Image, header_time_step, volumes_in


def test_written_volumes_come_back_on_an_oblique_grid(tmp_path: Path) -> None:
    write_volume(tmp_path / "a.nii.gz", ramp(), OBLIQUE)
    image, header = Image.open(tmp_path / "a.nii.gz"), nib.load(tmp_path / "a.nii.gz").header
    assert image.stored_grid.matches(OBLIQUE, 1e-4)
    assert image.notes == ()
    np.testing.assert_array_equal(image.to_stored(image.numpy()), ramp())
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-5)
    seen_by_itk = sitk.ReadImage(tmp_path / "a.nii.gz")
    corner = seen_by_itk.TransformIndexToPhysicalPoint((8, 6, 4))
    np.testing.assert_allclose(np.array(corner) * (-1, -1, 1), OBLIQUE.to_mm(np.array([8.0, 6, 4])), atol=1e-4)


def test_written_series_vectors_and_labels(tmp_path: Path) -> None:
    write_volume(tmp_path / "s.nii", ramp((9, 7, 5, 3)), OBLIQUE, time_step=31.58, unit="ms")
    assert volumes_in(tmp_path / "s.nii") == 3
    assert header_time_step(tmp_path / "s.nii") == (31.58, "ms")
    write_volume(tmp_path / "y.nii", ramp((9, 7, 5, 3)), OBLIQUE, time_step=1.5, unit="years")
    assert header_time_step(tmp_path / "y.nii") is None
    write_volume(tmp_path / "v.nii", np.zeros((9, 7, 5, 1, 3)), OBLIQUE, intent=1007)
    header = nib.load(tmp_path / "v.nii").header
    assert int(header["intent_code"]) == 1007
    assert header.get_xyzt_units()[0] == "mm"
    write_volume(tmp_path / "l.nii", ramp() * 0 + 2.9999998, OBLIQUE, dtype=np.uint8)
    assert Image.open(tmp_path / "l.nii").numpy().max() == 3


def test_a_sheared_affine_is_kept_by_the_sform_alone(tmp_path: Path) -> None:
    sheared = OBLIQUE.affine.copy()
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    write_volume(tmp_path / "a.nii", ramp(), Grid((9, 7, 5), sheared))
    image = Image.open(tmp_path / "a.nii")
    np.testing.assert_allclose(image.stored_grid.affine, sheared, atol=1e-5)
    assert image.notes == ("the axes are not at right angles (sheared affine)",)


def test_equal_volumes_are_equal_files(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        write_volume(tmp_path / name, ramp(), OBLIQUE)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_disk_that_fills_up_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    write_volume(tmp_path / "a.nii", ramp(), OBLIQUE)
    before = (tmp_path / "a.nii").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OutputError, match=r"a\.nii was not written, the disk is full"):
            write_volume(tmp_path / "a.nii", ramp((40, 40, 40)), Grid((40, 40, 40), np.eye(4)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["a.nii"]
    assert (tmp_path / "a.nii").read_bytes() == before


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_errors_of_the_disk_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(image: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(nib, "save", fail)
    with pytest.raises(OutputError, match=r"a\.nii\.gz was not written"):
        write_volume(tmp_path / "a.nii.gz", ramp(), OBLIQUE)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"a\.nii was not written"):
        write_volume(tmp_path / "file" / "deep" / "a.nii", ramp(), OBLIQUE)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_nothing_is_left_when_writing_is_broken_off(tmp_path: Path, error: type[BaseException]) -> None:
    def write() -> None:
        with written_atomically(tmp_path / "a.json") as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert list(tmp_path.iterdir()) == []


def test_very_long_names_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 240 + ".nii.gz")
    write_volume(path, ramp(), OBLIQUE)
    assert path.is_file()
