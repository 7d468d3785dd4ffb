"""Draws the layers of files in one pane of a slice view: a raster item each, made when a layer comes."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from PySide6.QtCore import QRectF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QGraphicsItem

from noder_viewer.colormaps import lut, paint_image, paint_labels
from noder_viewer.layers import SliceLayer
from noder_viewer.scene import SliceScene
from noder_viewer.slice_picture import Picture, coloured


class Box(Protocol):
    """What of a pyqtgraph ViewBox is used here."""

    def addItem(self, item: QGraphicsItem, ignoreBounds: bool = ...) -> None: ...

    def removeItem(self, item: QGraphicsItem) -> None: ...


class LayerItems:
    """The items of one pane; draws what differs from what is drawn."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self._items: dict[str, tuple[Picture, SliceLayer, QRectF]] = {}

    def show(self, scene: SliceScene, frame: QRectF) -> None:
        """Show the layers of a scene, in its order."""
        if not scene.layers and not self._items:
            return
        for key in self._items.keys() - {layer.layer.key for layer in scene.layers}:
            self._box.removeItem(self._items.pop(key)[0])
        for layer in scene.layers:
            self._show(layer, frame, -scene.order.index(layer.layer.key))

    def _show(self, layer: SliceLayer, frame: QRectF, z: int) -> None:
        item, drawn, where = self._items.get(layer.layer.key, (None, layer, frame))
        if item is None:
            item = Picture()
            self._box.addItem(item, ignoreBounds=True)
            drawn, where = layer, QRectF()
        if where != frame or not layer.same_as(drawn):
            item.show_image(painted(layer), frame)
        item.setZValue(z)
        self._items[layer.layer.key] = (item, layer, QRectF(frame))


def painted(layer: SliceLayer) -> QImage:
    """The picture of a layer on a slice; its first row is the lowest."""
    made, look = layer.layer, layer.layer.look
    if made.is_labels:
        rgba = paint_labels(layer.data, look.opacity, outline=made.outline)
    else:
        rgba = paint_image(layer.data, *made.window, lut(look.colormap, look.gamma), look.opacity)
    return coloured(np.ascontiguousarray(rgba.transpose(1, 0, 2)))
