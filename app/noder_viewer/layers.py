"""Layers of the slices: what lies over what, how each looks, and images and label maps of other files. No Qt.

A layer of a file may have any grid and orientation: it is resampled on the slice that is shown, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder_viewer.overlays import OVERLAYS
from noder_viewer.plane import Plane
from noder_viewer.recent import Recent

if TYPE_CHECKING:
    from noder.image import Image
    from noder_viewer.session import Session

Levels = tuple[float, float]
Picture = NDArray[np.float32]

IMAGE, LANDMARKS = "image", "landmarks"
NAMES = {
    LANDMARKS: "Landmarks",
    "folds": "Folds",
    "quiver": "Motion",
    "contours": "Contours of motion",
    "grid": "Warped grid",
    "jacobian": "Growth",
    "rate": "Growth rate",
    "brightness": "Brightness",
    "spread": "Spread of the seeds",
    IMAGE: "Image",
}
"""Words of the layers that every series has; a layer of a file has its own."""
MOST_LABELS = 64
"""Whole numbers of so many different values at most are taken for labels."""

_recent = Recent(per_owner=12)


@dataclass(frozen=True)
class Look:
    """`colormap` is a key of `colormaps.LUTS`; gamma above 1 darkens the middle; opacity 0 to 1."""

    colormap: str = "gray"
    gamma: float = 1.0
    opacity: float = 1.0
    visible: bool = True


@dataclass(frozen=True, eq=False)
class Layer:
    """An image or a label map of a file. `key` is its own among all layers; `window` in its own values.

    outline: of labels, their edges alone.
    """

    key: str
    name: str
    image: Image
    is_labels: bool
    window: Levels
    look: Look
    outline: bool = False


@dataclass(frozen=True, eq=False)
class SliceLayer:
    """A layer on a slice: `data` (ni,nj), NaN where its image does not reach."""

    layer: Layer
    data: Picture

    def same_as(self, other: SliceLayer) -> bool:
        """Whether it looks the same."""
        return self.layer is other.layer and self.data is other.data


def slice_layers(session: Session, plane: Plane) -> tuple[SliceLayer, ...]:
    """The visible layers of files on a slice."""
    return tuple(SliceLayer(layer, on_slice(layer, plane)) for layer in session.layers if layer.look.visible)


def on_slice(layer: Layer, plane: Plane) -> Picture:
    """The values (ni,nj) of a layer at the voxels of a slice: linear, of labels the nearest; NaN outside the image."""
    key = (plane.grid.shape, plane.grid.affine.tobytes(), plane.axis, plane.index, layer.is_labels)
    return _recent.get(layer.image, key, lambda: _sampled(layer, plane))


def stacked(session: Session) -> tuple[str, ...]:
    """Keys of all layers, the front one first; landmarks are always in front.

    `session.order` says where a layer stands; one that is not named there lies over the image, an overlay in front.
    """
    overlays, own = list(reversed(OVERLAYS)), [layer.key for layer in session.layers]
    known = {*overlays, *own, IMAGE}
    order = [key for key in session.order if key in known]
    if IMAGE not in order:
        order.append(IMAGE)
    for key in own:
        if key not in order:
            order.insert(order.index(IMAGE), key)
    return (LANDMARKS, *[key for key in overlays if key not in order], *order)


def moved(order: Sequence[str], key: str, by: int) -> tuple[str, ...]:
    """The order with one layer further to the back (by > 0) or the front; nothing comes in front of landmarks."""
    rest = [other for other in order if other != key]
    if key == LANDMARKS or key not in order:
        return tuple(order)
    place = min(max(order.index(key) + by, 1), len(rest))
    return (*rest[:place], key, *rest[place:])


def looks_like_labels(values: NDArray[np.float32]) -> bool:
    """Whether an image holds labels: whole numbers from 0, few of them."""
    step = max(1, values.size // 2_000_000)
    sample = values.reshape(-1)[::step]
    if sample.min() < 0 or not np.array_equal(sample, np.rint(sample)):
        return False
    return len(np.unique(sample)) <= MOST_LABELS


def with_look(layers: Sequence[Layer], key: str, **changes: object) -> tuple[Layer, ...]:
    """The layers with the look of one changed."""
    return tuple(
        replace(layer, look=replace(layer.look, **changes)) if layer.key == key else layer  # type: ignore[arg-type]
        for layer in layers
    )


def _sampled(layer: Layer, plane: Plane) -> Picture:
    import torch

    grid, points = layer.image.grid, plane.slice_grid.points()
    index = grid.to_index(points)
    last = torch.tensor(grid.shape, dtype=index.dtype) - 0.5
    inside = ((index >= -0.5) & (index <= last)).all(dim=-1).squeeze(plane.axis).numpy()
    values = grid.sample(layer.image.tensor(), points, nearest=layer.is_labels)[0].squeeze(plane.axis).numpy()
    return np.where(inside, values, np.nan).astype(np.float32)
