"""Which part of a plane is on screen, and where: millimetres to pixels and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt


@dataclass
class Camera:
    """What is looked at: in-plane mm at the centre, and pixels a mm; `fitted` follows the window's size."""

    x: float = 0.0
    y: float = 0.0
    px_per_mm: float = 1.0
    flip_x: bool = False
    fitted: bool = True

    def to_px(self, rect: QRectF, x: float, y: float) -> QPointF:
        """In-plane mm -> pixel in a pane at `rect`."""
        sign = -1 if self.flip_x else 1
        centre = rect.center()
        return QPointF(centre.x() + sign * (x - self.x) * self.px_per_mm, centre.y() - (y - self.y) * self.px_per_mm)

    def to_plane(self, rect: QRectF, pixel: QPointF) -> tuple[float, float]:
        """Pixel in a pane at `rect` -> in-plane mm."""
        sign = -1 if self.flip_x else 1
        away = pixel - rect.center()
        return self.x + sign * away.x() / self.px_per_mm, self.y - away.y() / self.px_per_mm

    def zoom(self, rect: QRectF, pixel: QPointF, factor: float) -> None:
        """Zoom about the place under `pixel`."""
        x, y = self.to_plane(rect, pixel)
        self.px_per_mm = float(np.clip(self.px_per_mm * factor, 0.05, 400))
        moved = self.to_px(rect, x, y) - pixel
        self.pan(-moved.x(), -moved.y())

    def pan(self, dx: float, dy: float) -> None:
        """Move the picture by pixels to the right and downwards."""
        sign = -1 if self.flip_x else 1
        self.x -= sign * dx / self.px_per_mm
        self.y += dy / self.px_per_mm
        self.fitted = False


@dataclass
class Press:
    """A mouse button that is down."""

    button: Qt.MouseButton
    start: QPointF
    last: QPointF
    shift: bool
    levels: tuple[float, float]
    dragging: bool = False
    paints: bool = False
