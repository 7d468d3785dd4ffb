"""The reader inside a plain napari: layers that are the right way round, in mm, with time first."""

from pathlib import Path

import doubles
import numpy as np
import pytest

from noder.image import write_volume
from noder_viewer import napari_plugin
from noder_viewer.napari_plugin import get_reader, read

MANIFEST = Path(napari_plugin.__file__).with_name("napari.yaml")


def test_the_manifest_is_valid_and_its_names_exist() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_file(MANIFEST)
    for command in manifest.contributions.commands:
        module, name = str(command.python_name).split(":")
        assert module == "noder_viewer.napari_plugin"
        assert callable(getattr(napari_plugin, name))


def test_the_reader_offers_every_format_of_the_engine() -> None:
    from npe2 import PluginManifest

    from noder.image import READERS

    patterns = PluginManifest.from_file(MANIFEST).contributions.readers[0].filename_patterns
    assert {pattern.removeprefix("*") for pattern in patterns} == set(READERS)
    assert get_reader("scan.nii.gz") is read
    assert get_reader(["a.nii", "picture.png"]) is None


def test_rows_run_to_posterior_and_columns_to_the_right(tmp_path: Path) -> None:
    grid = doubles.ras_grid((10, 12, 8))
    path = tmp_path / "one.nii.gz"
    data = np.zeros(grid.shape, np.float32)
    data[7, 9, 5] = 1
    write_volume(path, data, grid)
    values, options, kind = read(str(path))[0]
    assert kind == "image"
    assert values.shape == (8, 12, 10)
    index = np.argwhere(values == 1)[0]
    s, p, r = np.array(options["translate"]) + index * options["scale"]
    np.testing.assert_allclose((r, -p, s), grid.to_mm(np.array([7.0, 9.0, 5.0])), atol=1e-4)
    assert options["scale"] == pytest.approx((2.0, 1.0, 1.0))


def test_a_4d_file_has_time_first_with_its_step(tmp_path: Path) -> None:
    grid = doubles.ras_grid((10, 12, 8))
    path = tmp_path / "cine.nii.gz"
    write_volume(path, np.arange(3) * np.ones((*grid.shape, 1), np.float32), grid, time_step=0.25, unit="s")
    values, options, _ = read(str(path))[0]
    assert values.shape == (3, 8, 12, 10)
    assert [float(v.mean()) for v in values] == [0, 1, 2]
    assert options["scale"][0] == pytest.approx(0.25)
    assert options["metadata"]["times"] == pytest.approx([0, 0.25, 0.5])


def test_the_sample_opens_as_a_layer() -> None:
    from napari.layers import Image

    values, options, _ = napari_plugin.sample_series()[0]
    layer = Image(values, **options)
    assert layer.ndim == 4
    assert layer.extent.world[1, 1] > layer.extent.world[0, 1]
