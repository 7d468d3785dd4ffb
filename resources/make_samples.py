"""Make resources/samples/pig_cine from a folder that holds the whole beat.

    python resources/make_samples.py SOURCE_FOLDER

SOURCE_FOLDER holds cine_4d.nii.gz, lv_labels_4d.nii.gz (20 phases) and LICENSE.CC0.txt; see the SOURCES.md
beside the samples. The same source gives the same bytes: no date and no file name go into the gzip header.
"""

import gzip
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

PHASES = slice(2, 14)  # end diastole (phase 2, 80.4 ml) to end systole (phase 13, 55.6 ml)
FILES = {"cine_4d.nii.gz": "cine.nii.gz", "lv_labels_4d.nii.gz": "labels.nii.gz"}
LICENCE = "LICENSE.CC0.txt"


def cut_phases(source: Path) -> bytes:
    """The NIfTI-1 file of the kept phases; type, affine, codes and time step are the source's."""
    image = nib.nifti1.Nifti1Image.from_filename(source)
    data = np.asarray(image.dataobj[..., PHASES])
    return nib.nifti1.Nifti1Image(data, None, image.header).to_bytes()


def write_gzip(path: Path, content: bytes) -> None:
    """Write gzip at the highest level with an empty name and the time 0."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.write(content)


def make_samples(source: Path, target: Path) -> list[Path]:
    """Write the sample's files into `target` and return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    for old, new in FILES.items():
        write_gzip(target / new, cut_phases(source / old))
    shutil.copyfile(source / LICENCE, target / LICENCE)
    return [target / name for name in (*FILES.values(), LICENCE)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for made in make_samples(Path(sys.argv[1]), Path(__file__).parent / "samples" / "pig_cine"):
        print(f"{made}  {made.stat().st_size / 1e6:.2f} MB")
