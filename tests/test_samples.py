"""The shipped series is what its papers say, and its script makes the same bytes each time."""

import runpy
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from noder.errors import NoderError
from noder.resources import find_resource
from noder_viewer import resources

SCRIPT = Path(__file__).parents[1] / "resources" / "make_samples.py"
VOXEL_ML = 0.8203003 * 0.8203 * 5.0000014 / 1000


@pytest.mark.parametrize("find", [resources.sample_series, resources.sample_labels])
def test_sample_holds_twelve_phases_with_their_time_step(find) -> None:
    image = nib.load(find())
    assert image.shape == (136, 136, 20, 12)
    assert image.header.get_xyzt_units() == ("mm", "msec")
    assert image.header.get_zooms()[3] == pytest.approx(31.58)
    assert nib.aff2axcodes(image.affine) == ("L", "P", "S")


def test_labels_go_from_end_diastole_to_end_systole() -> None:
    labels = np.asarray(nib.load(resources.sample_labels()).dataobj)[:, :, 3:15]
    volumes = (labels == 1).sum(axis=(0, 1, 2)) * VOXEL_ML
    assert volumes[0] == pytest.approx(80.4, abs=0.1)
    assert volumes[-1] == pytest.approx(55.6, abs=0.1)
    assert volumes.argmin() == 11
    assert set(np.unique(labels)) == {0, 1, 2}


@pytest.mark.parametrize("find", [resources.sample_series, resources.sample_labels])
def test_gzip_header_holds_no_name_and_no_date(find) -> None:
    assert find().read_bytes()[:8] == b"\x1f\x8b\x08" + bytes(5)  # no flags (so no name), time 0


def test_licence_and_source_lie_beside_the_sample() -> None:
    folder = resources.sample_series().parent
    assert "CC0 1.0 Universal" in (folder / "LICENSE.CC0.txt").read_text()
    assert "WrightGroupSRI/ep-dataset" in (folder / "SOURCES.md").read_text()


def test_script_keeps_phases_2_to_13_and_repeats_itself(tmp_path: Path) -> None:
    script = runpy.run_path(str(SCRIPT))
    source = fake_source(tmp_path / "source")
    first, second = (script["make_samples"](source, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    made = nib.load(first[0])
    assert np.asarray(made.dataobj)[0, 0, 0].tolist() == list(range(2, 14))
    assert made.get_data_dtype() == np.int16
    np.testing.assert_array_equal(made.affine, nib.load(source / "cine_4d.nii.gz").affine)


def fake_source(folder: Path) -> Path:
    """Twenty tiny phases whose voxels hold the number of the phase."""
    folder.mkdir()
    (folder / "LICENSE.CC0.txt").write_text("CC0")
    data = np.broadcast_to(np.arange(20, dtype=np.int16), (2, 3, 4, 20))
    for name in ("cine_4d.nii.gz", "lv_labels_4d.nii.gz"):
        image = nib.Nifti1Image(data, np.diag([-1.0, -2.0, 3.0, 1.0]))
        image.header.set_xyzt_units("mm", "msec")
        nib.save(image, folder / name)
    return folder


def test_frozen_program_looks_into_its_own_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = tmp_path / "noder_viewer" / "resources" / "icons" / "noder-viewer.png"
    packed.parent.mkdir(parents=True)
    packed.touch()
    monkeypatch.setattr("sys._MEIPASS", str(tmp_path), raising=False)
    assert resources.icon() == packed
    assert resources.sample_series().is_file()  # not there: the next place is tried


def test_missing_resource_is_a_sentence() -> None:
    with pytest.raises(NoderError, match="lacks its file resources/weights/none"):
        find_resource(resources.PACKAGE, "weights/none")
