"""Motion on the 3D canvas: arrows, the warped grid and surfaces of equal motion as layers of a napari viewer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from noder_viewer.colormaps import GRID
from noder_viewer.plane import Floats, to_axes

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from noder.grid import Grid
    from noder_viewer.deformation3d import Deformation3D

MOTION, WARPED, LENGTHS = "motion", "warped grid", "length of motion"
LAYERS = (MOTION, WARPED, LENGTHS)
ARROWS_A_SIDE = 130
"""Longest side of the volume in widths of an arrow's shaft."""
LINES_A_SIDE = 240
HIDDEN = "hidden while there is nothing to show"
"""A mark on layers; what the user has hidden stays hidden."""
AMBER = (1.0, 0.69, 0.0)


def show_arrows(viewer: ViewerModel, grid: Grid, points: Floats, vectors: Floats, colours: Floats | None) -> None:
    """Arrows from `points` (N,3) along `vectors` (N,3) in RAS mm, in `colours` (N,3); none hide the layer."""
    _vectors(viewer, MOTION, grid, points, vectors, colours, ARROWS_A_SIDE, "arrow")


def show_deformation(viewer: ViewerModel, grid: Grid, shown: Deformation3D | None) -> None:
    """The warped grid and the surfaces; what there is nothing of is hidden."""
    none = np.zeros((0, 3))
    start, along = (none, none) if shown is None else (shown.start, shown.along)
    _vectors(viewer, WARPED, grid, start, along, np.tile(np.array(GRID) / 255, (len(start), 1)), LINES_A_SIDE, "line")
    layer = _layer(viewer, LENGTHS)
    if shown is None or not len(shown.faces):
        _hide(layer)
    elif layer is None or layer.metadata["of"] is not shown or layer.metadata.get(HIDDEN):
        _surfaces(viewer, grid, shown, layer)


def legend_html(shown: Deformation3D | None) -> str:
    """What colours mean, for a line below the canvas; "" for nothing to say."""
    if shown is None:
        return ""
    keys = [f'<span style="color: rgb{colour}">■</span>&nbsp;{label}' for colour, label in shown.legend]
    return "&nbsp; ".join([*keys, shown.title]).strip()


def _surfaces(viewer: ViewerModel, grid: Grid, shown: Deformation3D, before: Any) -> None:
    """A layer in the place of `before`: napari cannot change vertices and their colours at once."""
    visible = before is None or before.visible or HIDDEN in before.metadata
    if before is not None:
        viewer.layers.remove(before)
    vertices = to_axes(grid, shown.vertices)
    viewer.add_surface(
        (vertices, shown.faces, np.ones(len(vertices))),
        name=LENGTHS,
        vertex_colors=shown.colours,
        opacity=0.4,
        shading="smooth",
        blending="translucent_no_depth",
        visible=visible,
        metadata={"of": shown},
    )


def _vectors(
    viewer: ViewerModel,
    name: str,
    grid: Grid,
    points: Floats,
    vectors: Floats,
    colours: Floats | None,
    a_side: int,
    style: str,
) -> None:
    layer = _layer(viewer, name)
    if not len(points):
        _hide(layer)
        return
    data = np.stack([to_axes(grid, part) for part in (points, vectors)], axis=1).astype(np.float32)
    if colours is None:
        colours = np.tile(AMBER, (len(points), 1))
    rgba = np.hstack([colours, np.ones((len(colours), 1))]).astype(np.float32)
    if layer is None:
        width = max(n * step for n, step in zip(grid.shape, grid.spacing, strict=True)) / a_side
        viewer.add_vectors(
            data, name=name, edge_width=width, edge_color=rgba, vector_style=style, blending="translucent"
        )
        return
    if layer.metadata.pop(HIDDEN, False):
        layer.visible = True
    layer.data = data
    layer.edge_color = rgba


def _hide(layer: Any) -> None:
    """Out of sight, until there is something to show again."""
    if layer is not None and layer.visible:
        layer.visible = False
        layer.metadata[HIDDEN] = True


def _layer(viewer: ViewerModel, name: str) -> Any:
    return next((layer for layer in viewer.layers if layer.name == name), None)
