"""Pathlines as layers of the 3D canvas. The canvas hands in its napari viewer: nothing of napari is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noder_viewer.path_marks import PathsInSpace
from noder_viewer.plane import Floats, to_axes

if TYPE_CHECKING:
    from noder.grid import Grid

LINES, POINTS = "pathlines", "followed points"
PATH_LAYERS = (LINES, POINTS)
WIDTHS_A_SIDE = 200
"""Longest side of the volume in widths of a line."""
DOT_WIDTHS, MARKER_WIDTHS = 2.0, 5.0


def show_paths(viewer: Any, grid: Grid, paths: PathsInSpace | None) -> None:
    """Bring the layers of a napari viewer up to `paths`; None takes them away."""
    layers = {layer.name: layer for layer in viewer.layers if layer.name in PATH_LAYERS}
    if paths is None:
        for layer in layers.values():
            viewer.layers.remove(layer)
        return
    width = max(n * step for n, step in zip(grid.shape, grid.spacing, strict=True)) / WIDTHS_A_SIDE
    _show_lines(viewer, layers.get(LINES), grid, paths, width)
    _show_points(viewer, layers.get(POINTS), grid, paths, width)


def _show_lines(viewer: Any, layer: Any, grid: Grid, paths: PathsInSpace, width: float) -> None:
    """A layer is made anew where its lines have changed, not when only the time has."""
    if layer is not None and layer.metadata.get("paths") == _key(paths):
        return
    if layer is not None:
        viewer.layers.remove(layer)
    start, end = to_axes(grid, paths.segments[:, 0]), to_axes(grid, paths.segments[:, 1])
    viewer.add_vectors(
        np.stack([start, end - start], axis=1).astype(np.float32),
        name=LINES,
        edge_width=width,
        edge_color=np.array(paths.colours) if paths.colours else "white",
        vector_style="line",
        blending="translucent_no_depth",
        metadata={"paths": _key(paths)},
    )


def _show_points(viewer: Any, layer: Any, grid: Grid, paths: PathsInSpace, width: float) -> None:
    places = to_axes(grid, np.concatenate([paths.dots, paths.markers])).astype(np.float32)
    look = [*paths.dot_colours, *paths.marker_colours]
    if layer is not None and layer.metadata.get("look") == look:
        layer.data = places
        return
    if layer is not None:
        viewer.layers.remove(layer)
    sizes = [DOT_WIDTHS * width] * len(paths.dots) + [MARKER_WIDTHS * width] * len(paths.markers)
    numbers = [""] * len(paths.dots) + [str(number) for number in paths.numbers]
    viewer.add_points(
        places,
        name=POINTS,
        size=np.array(sizes),
        face_color=np.array(look),
        border_width=0,
        features={"number": numbers},
        text={"string": "{number}", "color": "white", "size": 9, "translation": np.array([0.0, 0.0, 5 * width])},
        blending="translucent_no_depth",
        metadata={"look": look},
    )


def _key(paths: PathsInSpace) -> tuple[bytes, tuple[str, ...]]:
    return _bytes(paths.segments), tuple(paths.colours)


def _bytes(values: Floats) -> bytes:
    return np.ascontiguousarray(values).tobytes()
