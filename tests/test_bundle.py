"""The frozen program, where `make bundle` has built one: it starts, fits the sample, exports and quits."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

PROGRAM = (
    Path(__file__).parents[1]
    / "dist"
    / "noder-viewer"
    / ("noder-viewer.exe" if sys.platform == "win32" else "noder-viewer")
)

pytestmark = [
    pytest.mark.gl,
    pytest.mark.skipif(not PROGRAM.exists(), reason="no bundle was built here (make bundle)"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What its demo leaves behind."""
    folder = tmp_path_factory.mktemp("bundle")
    done = subprocess.run(
        [PROGRAM, "--demo", "--demo-output", folder / "out"], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


def test_it_says_its_version() -> None:
    import noder

    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=120).stdout
    assert noder.__version__ in said


def test_predictions_move_and_lie_where_the_sample_lies(made: Path) -> None:
    files = sorted(made.glob("pred_*.nii.gz"))
    assert len(files) == 5
    first, last = (nibabel.load(path) for path in (files[0], files[-1]))
    assert np.array_equal(first.affine, last.affine)
    apart = np.abs(first.get_fdata() - last.get_fdata())
    assert apart.max() > 0.2 * first.get_fdata().max()


def test_no_fold_in_what_it_exports(made: Path) -> None:
    for path in made.glob("jac_*.nii.gz"):
        assert nibabel.load(path).get_fdata().min() > 0


def test_what_it_did_is_written_down(made: Path) -> None:
    told = json.loads((made / "predict.json").read_text())
    assert len(told["predictions"]) == 5


def test_the_screenshot_is_no_blank(made: Path) -> None:
    from PySide6.QtGui import QImage

    picture = QImage(str(made / "screenshot.png"))
    assert picture.width() >= 1100
    corners = {picture.pixel(x, y) for x in range(0, picture.width(), 7) for y in range(0, picture.height(), 7)}
    assert len(corners) > 500
