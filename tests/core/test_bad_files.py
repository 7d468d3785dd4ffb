"""Files that cannot be read: a sentence that names the file and what is wrong."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from format_kit import DATA, REFUSED, cut, message, nifti, ramp

from noder.errors import InputError, NoderError
from noder.formats import READERS, pair_partner, write_volume
from noder.grid import Grid
from noder.image import Image


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(name: str) -> None:
    assert REFUSED[name] in message(DATA / name)


def test_a_truncated_compressed_file_is_named_when_it_is_read(tmp_path: Path) -> None:
    whole = (DATA / "niivue/space_RAS.nii.gz").read_bytes()
    path = cut(tmp_path / "cut.nii.gz", whole, 0.5)
    assert Image.open(path).grid.shape == (64, 79, 67)
    assert "cut short or damaged" in message(path)
    assert "cut short or damaged" in message(cut(tmp_path / "stub.nii.gz", whole, 0.0005))


def test_a_truncated_plain_file_is_named_from_its_header(tmp_path: Path) -> None:
    path = cut(tmp_path / "cut.nii", (DATA / "nibabel/anatomical.nii").read_bytes(), 0.9)
    with pytest.raises(InputError, match=r"cut\.nii .* promises"):
        Image.open(path)


def test_a_damaged_byte_is_noticed(tmp_path: Path) -> None:
    data = bytearray((DATA / "niivue/space_RAS.nii.gz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "bad.nii.gz").write_bytes(data)
    assert "damaged" in message(tmp_path / "bad.nii.gz")


@pytest.mark.parametrize("name", [*READERS, ".txt", ""])
def test_garbage_under_any_name_is_a_sentence(tmp_path: Path, name: str) -> None:
    for number, data in enumerate((b"x", b"\0" * 400, os.urandom(2000), gzip.compress(b"\0" * 1000), b"\x1f\x8b")):
        path = tmp_path / f"garbage{number}{name}"
        path.write_bytes(data)
        partner = pair_partner(path)
        if partner is not None:
            partner.write_bytes(data)
        message(path)


def test_missing_empty_folder_and_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "empty.nii").touch()
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "link.nii.gz").symlink_to(tmp_path / "annex" / "lost")
    assert "is empty (0 bytes)" in message(tmp_path / "empty.nii")
    assert "is a folder" in message(tmp_path / "folder.nii")
    assert "lost, which does not exist" in message(tmp_path / "link.nii.gz")
    assert "does not exist" in message(tmp_path / "nothing.nii")


def test_a_wrong_gz_suffix_says_how_to_rename(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "a.nii", ramp())
    plain.rename(tmp_path / "a.nii.gz")
    assert "take .gz off its name" in message(tmp_path / "a.nii.gz")
    (tmp_path / "b.nii").write_bytes((DATA / "niivue/low_res.nii.gz").read_bytes())
    assert "add .gz to its name" in message(tmp_path / "b.nii")


def test_complex_five_axes_and_fields_are_refused(tmp_path: Path) -> None:
    assert "complex" in message(nifti(tmp_path / "c.nii", ramp().astype(np.complex64)))
    assert "more than 4 axes" in message(nifti(tmp_path / "five.nii", np.zeros((3, 3, 3, 2, 2), np.float32)))
    assert "a vector" in message(nifti(tmp_path / "v.nii", np.zeros((3, 3, 3, 1, 3), np.float32)))
    write_volume(tmp_path / "warp.nii.gz", np.zeros((3, 3, 3, 3), np.float32), Grid((3, 3, 3), np.eye(4)), intent=2006)
    assert "displacements" in message(tmp_path / "warp.nii.gz", 0)


def test_a_header_that_promises_the_moon_is_damaged(tmp_path: Path) -> None:
    path = nifti(tmp_path / "moon.nii", ramp(), dim=[3, 30000, 30000, 30000, 1, 1, 1, 1])
    assert "promises" in message(path)
    (tmp_path / "moon.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert "promises" in message(tmp_path / "moon.nii.gz")


def test_no_voxels_and_no_voxel_size_are_refused(tmp_path: Path) -> None:
    none = nifti(tmp_path / "none.nii", ramp(), dim=[3, 9, 0, 5, 1, 1, 1, 1])
    assert "no volume" in message(none)
    flat = nib.MGHImage(ramp(), np.eye(4))
    nib.save(flat, tmp_path / "flat.mgh")
    data = bytearray((tmp_path / "flat.mgh").read_bytes())
    struct.pack_into(">3f", data, 30, 1, 0, 1)
    (tmp_path / "flat.mgh").write_bytes(data)
    assert "voxels without a size" in message(tmp_path / "flat.mgh")
    huge = nifti(tmp_path / "huge.nii", ramp(), srow_x=[1e30, 0, 0, 0], sform_code=1, qform_code=0)
    assert "sform of the header is unusable" in Image.open(huge).notes[0]
    zero = Image.open(nifti(tmp_path / "zero.nii", ramp(), pixdim=[1, 2, 0, 2, 0, 0, 0, 0], sform_code=0))
    assert zero.grid.spacing == (2, 1, 2)
    assert any("voxel sizes of 0" in note for note in zero.notes)


def test_itk_vectors_complex_and_damage_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4, 4, 3), np.float32), isVector=True), tmp_path / "v.mha")
    assert "vectors" in message(tmp_path / "v.mha")
    data = (DATA / "niivue/mha.mha").read_bytes()
    assert "cut short or damaged" in message(cut(tmp_path / "cut.mha", data, 0.5))


def _break_dim(header: bytearray) -> None:
    struct.pack_into("<8h", header, 40, 9, 9, 7, 5, 1, 1, 1, 1)


def _break_type(header: bytearray) -> None:
    struct.pack_into("<h", header, 70, 12345)


def _break_slope(header: bytearray) -> None:
    struct.pack_into("<2f", header, 112, 2.0, float("nan"))


def _break_offset(header: bytearray) -> None:
    struct.pack_into("<f", header, 108, -5.0)


@pytest.mark.parametrize("damage", [_break_dim, _break_type, _break_slope, _break_offset])
def test_damaged_header_fields_are_sentences(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    path = nifti(tmp_path / "h.nii", ramp())
    data = bytearray(path.read_bytes())
    damage(data)
    path.write_bytes(data)
    with pytest.raises(NoderError, match=r"h\.nii"):
        Image.open(path).numpy()
