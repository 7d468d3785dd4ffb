"""The same reader and sample inside a plain napari (napari.yaml). napari itself is not imported here.

Layers have axes (t,) z, y, x along S, P, R: rows run downwards to posterior and columns to the patient's
right, so an axial slice shows anterior on top (neurological), and 3D is not mirrored. `scale` and `translate`
are mm along these axes; an oblique image stays on its own axes, and its true affine is in the metadata.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.image import Image

LayerData = tuple[Any, dict[str, Any], str]
Reader = Callable[[Any], list[LayerData]]


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """A reader if every path is an image that the engine reads, else None."""
    from noder.image import READERS

    paths = _paths(path)
    known = all(one.name.lower().endswith(tuple(READERS)) for one in paths)
    return read if paths and known else None


def read(path: str | Sequence[str]) -> list[LayerData]:
    """One layer: 3-D for a file of one volume, 4-D with time first for a 4-D file or a series of paths.

    Raises InputError with a sentence that names the file.
    """
    from noder.image import Image, volumes_in
    from noder.series import ImageSeries

    paths = _paths(path)
    if len(paths) == 1 and volumes_in(paths[0]) == 1:
        return [image_layer(Image.open(paths[0]))]
    series = ImageSeries.from_paths(paths)
    return [series_layer([scan.image for scan in series.scans], series.times, series.unit, paths[0].name)]


def image_layer(image: Image) -> LayerData:
    """A 3-D layer (S,P,R)."""
    return (
        _spr(image),
        {"name": image.name, **_placed(image.grid), "metadata": _metadata(image.grid)},
        "image",
    )


def series_layer(images: Sequence[Image], times: Sequence[float], unit: str, name: str) -> LayerData:
    """A 4-D layer (t,S,P,R); its time axis has the true step where that is even, else it counts scans."""
    grid, steps = images[0].grid, np.diff(times)
    even = bool(np.allclose(steps, steps[0], rtol=1e-3))
    placed = _placed(grid)
    placed["scale"] = (float(steps[0]) if even else 1.0, *placed["scale"])
    placed["translate"] = (float(times[0]) if even else 0.0, *placed["translate"])
    placed["axis_labels"] = ("t", *placed["axis_labels"])
    metadata = {**_metadata(grid), "times": list(times), "time_unit": unit}
    return (
        np.stack([_spr(image) for image in images]),
        {"name": name, **placed, "metadata": metadata},
        "image",
    )


def sample_series() -> list[LayerData]:
    """The beating pig heart that is shipped with the program."""
    from noder_viewer.resources import sample_series as path

    return read(str(path()))


class OpenViewer(QWidget):
    """A button that opens the program itself: fitting, time and export live there."""

    def __init__(self) -> None:
        super().__init__()
        words = QLabel("Fit a continuous map through a series of scans, and play it, in the program's own window.")
        words.setWordWrap(True)
        button = QPushButton("Open NODER viewer")
        button.clicked.connect(self.open_viewer)
        layout = QVBoxLayout(self)
        layout.addWidget(words)
        layout.addWidget(button)
        layout.addStretch(1)

    def open_viewer(self) -> None:
        """Start the program beside napari, as a process of its own."""
        subprocess.Popen([sys.executable, "-m", "noder_viewer"])


def _paths(path: str | Sequence[str]) -> list[Path]:
    return [Path(path)] if isinstance(path, str) else [Path(one) for one in path]


def _spr(image: Image) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.ascontiguousarray(image.numpy().transpose(2, 1, 0)[:, ::-1])


def _placed(grid: Grid) -> dict[str, Any]:
    """Scale and place in mm along S, P, R."""
    from noder_viewer.plane import to_axes

    x, y, z = to_axes(grid, grid.origin).tolist()
    sx, sy, sz = grid.spacing
    foremost = y + (grid.shape[1] - 1) * sy
    return {"scale": (sz, sy, sx), "translate": (z, -foremost, x), "axis_labels": ("S", "P", "R")}


def _metadata(grid: Grid) -> dict[str, Any]:
    return {
        "affine_ras": grid.affine.tolist(),
        "axes": "S, P, R: neurological, in mm",
        "oblique": grid.is_oblique,
    }
