"""Make resources/samples/pig_cine from a folder that holds the whole beat.

    python resources/make_samples.py SOURCE_FOLDER

SOURCE_FOLDER holds cine_4d.nii.gz, lv_labels_4d.nii.gz (20 phases) and LICENSE.CC0.txt; see the SOURCES.md
beside the samples. The same source gives the same bytes: no date and no file name go into the gzip header.
"""

import gzip
import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np

PHASES = slice(2, 14)  # end diastole (phase 2, 80.4 ml) to end systole (phase 13, 55.6 ml)
FILES = {"cine_4d.nii.gz": "cine.nii.gz", "lv_labels_4d.nii.gz": "labels.nii.gz"}
LICENCE = "LICENSE.CC0.txt"
SIDECAR = "cine.json"
N_PHASES = 20
"""Of the whole beat: the sample holds twelve of them, so that its own header cannot tell the period."""


def cut_phases(source: Path) -> bytes:
    """The NIfTI-1 file of the kept phases; type, affine, codes and time step are the source's."""
    image = nib.nifti1.Nifti1Image.from_filename(source)
    data = np.asarray(image.dataobj[..., PHASES])
    return nib.nifti1.Nifti1Image(data, None, image.header).to_bytes()


def sidecar(source: Path) -> str:
    """The period of the beat: all phases of the source, each as long as its header says."""
    step = float(nib.nifti1.Nifti1Image.from_filename(source).header.get_zooms()[3])
    return json.dumps({"TimeUnit": "ms", "Period": round(N_PHASES * step, 3)}, indent=2) + "\n"


def write_gzip(path: Path, content: bytes) -> None:
    """Write gzip at the highest level with an empty name and the time 0."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", compresslevel=9, fileobj=raw, mtime=0) as packed:
        packed.write(content)


def make_samples(source: Path, target: Path) -> list[Path]:
    """Write the sample's files into `target` and return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    for old, new in FILES.items():
        write_gzip(target / new, cut_phases(source / old))
    (target / SIDECAR).write_text(sidecar(source / "cine_4d.nii.gz"))
    shutil.copyfile(source / LICENCE, target / LICENCE)
    return [target / name for name in (*FILES.values(), SIDECAR, LICENCE)]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for made in make_samples(Path(sys.argv[1]), Path(__file__).parent / "samples" / "pig_cine"):
        print(f"{made}  {made.stat().st_size / 1e6:.2f} MB")
