"""Files that the tests of the readers and writers make and open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from sample_grids import affine_of

from noder.errors import InputError
from noder.formats import pair_partner
from noder.grid import Grid
from noder.image import Image

DATA = Path(__file__).parents[1] / "data"


OBLIQUE = Grid((9, 7, 5), affine_of("PIL", (0.8, 1.1, 3.0), (12, -7, 20)))


def ramp(shape: tuple[int, ...] = (9, 7, 5)) -> np.ndarray:
    """Different values everywhere, so that no flip or permutation goes unseen."""
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


def nifti(path: Path, values: np.ndarray, affine: Any = None, **fields: Any) -> Path:
    """A NIfTI file with header fields as wanted, whatever nibabel thinks of them."""
    image = nib.Nifti1Image(values, np.eye(4) if affine is None else affine)
    nib.save(image, path)
    if fields:
        header = nib.Nifti1Header(path.read_bytes()[:348], check=False)
        for name, value in fields.items():
            header[name] = value
        path.write_bytes(header.binaryblock + path.read_bytes()[348:])
    return path


def message(path: Path, volume: int | None = None) -> str:
    """What opening and reading the file says; it must name the file (or the other half of a pair)."""
    with pytest.raises(InputError) as caught:
        Image.open(path, volume).numpy()
    partner = pair_partner(path)
    assert path.name in str(caught.value) or (partner is not None and partner.name in str(caught.value))
    return str(caught.value)


def cut(path: Path, data: bytes, keep: float) -> Path:
    path.write_bytes(data[: int(len(data) * keep)])
    return path


REFUSED = {
    "nibabel/analyze.hdr": "put analyze.img into",
    "nibabel/nifti1.hdr": "put nifti1.img into",
    "nibabel/nifti2.hdr": "put nifti2.img into",
    "nibabel/row_major.dconn.nii": "CIFTI-2",
    "nibabel/0.dcm": "DICOM",
    "nibabel/tiny.mnc": "MINC",
    "nibabel/minc2_1_scale.mnc": "MINC",
    "nibabel/phantom_truncated.PAR": "Philips",
    "nibabel/phantom_EPI_asc_CLEAR_2_1.REC": "Philips",
    "nibabel/bad_datatype+orig.HEAD": "AFNI",
    "nibabel/scaled+tlrc.HEAD": "AFNI",
    "nibabel/COPYING.nibabel.txt": "not an image that is read here",
    "niivue/ct_perfusion.nii.gz": "colours (RGB)",
}
