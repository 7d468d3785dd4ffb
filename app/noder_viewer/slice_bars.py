"""The colour bars beside a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from noder.colours import FOLD
from noder_viewer.colormaps import lut
from noder_viewer.overlay_kinds import Heatmap, Lines
from noder_viewer.palettes import DARK
from noder_viewer.scene import SliceScene
from noder_viewer.slice_fonts import Fonts
from noder_viewer.ticks import words

PAD = 6.0
BAR_WIDTH = 11.0
LONGEST_NAME = 12
"""Letters of a layer's name above its bar."""


@dataclass(frozen=True)
class Bar:
    """One colour bar: `lut` from `low` to `high`, with an extra swatch for folds if `folds`."""

    title: str
    lut: str
    low: float
    high: float
    folds: bool = False
    gamma: float = 1.0


def bars_of(scene: SliceScene) -> list[Bar]:
    """The colour bars that a scene needs."""
    image = scene.images[0]
    maps = [layer for layer in scene.overlays.values() if isinstance(layer, Heatmap)]
    outlined = any(isinstance(layer, Lines) and not layer.in_footer for layer in scene.overlays.values())
    return [
        Bar(
            image.unit,
            image.colormap,
            *image.levels,
            folds=outlined and not any(layer.can_fold for layer in maps),
            gamma=image.gamma,
        ),
        *(Bar(layer.quantity, layer.colormap, layer.low, layer.limit, layer.can_fold, layer.gamma) for layer in maps),
        *(
            Bar(_short(layer.layer.name), layer.layer.look.colormap, *layer.layer.window, gamma=layer.layer.look.gamma)
            for layer in scene.layers
            if not layer.layer.is_labels
        ),
    ]


def strip_width(bars: Sequence[Bar], fonts: Fonts) -> float:
    """Pixels that the colour bars need beside the picture."""
    labels = [words(value) for bar in bars for value in _marks(bar)]
    widest = max((fonts.width(label) for label in labels), default=0.0)
    titles = max((fonts.width(bar.title) for bar in bars), default=0.0)
    return max(BAR_WIDTH + 8 + widest, titles) + 2 * PAD


def paint_bars(painter: QPainter, strip: QRectF, bars: Sequence[Bar], fonts: Fonts) -> None:
    """The colour bars that have room, one below the other, to the right of the picture."""
    painter.save()
    painter.setFont(fonts.small)
    bars = fitting(bars, strip.height(), fonts.line)
    height = strip.height() / len(bars)
    for k, bar in enumerate(bars):
        cell = QRectF(strip.left() + PAD, strip.top() + k * height, strip.width() - 2 * PAD, height)
        _bar(painter, cell, bar, fonts.line)
    painter.restore()


def fitting(bars: Sequence[Bar], height: float, line: float) -> list[Bar]:
    """Those that `height` pixels hold: grey levels give way first, for colours say nothing without their bar."""
    kept = list(bars)
    while len(kept) > 1 and any(_body_height(height / len(kept), bar, line) < 2 * line for bar in kept):
        kept.pop(0 if len(kept) == len(bars) else -1)
    return kept


def _body_height(cell: float, bar: Bar, line: float) -> float:
    foot = line * 1.5 if bar.folds else line * 0.5
    return min(cell - 2.3 * line - foot, 260.0)


def _bar(painter: QPainter, cell: QRectF, bar: Bar, line: float) -> None:
    body = QRectF(cell.left(), cell.top() + 1.8 * line, BAR_WIDTH, _body_height(cell.height(), bar, line))
    if body.height() < line:
        return
    painter.setPen(QColor(DARK.text))
    painter.drawText(QPointF(cell.left(), cell.top() + line), bar.title)
    painter.fillRect(body, QColor(70, 70, 74))
    painter.drawImage(body, _ramp(bar.lut, bar.gamma))
    painter.setPen(QColor(DARK.muted))
    painter.drawRect(body)
    for value in _marks(bar) if body.height() > 3.5 * line else (bar.low, bar.high):
        y = body.bottom() - (value - bar.low) / ((bar.high - bar.low) or 1) * body.height()
        painter.drawLine(QLineF(body.right(), y, body.right() + 3, y))
        painter.drawText(QPointF(body.right() + 6, y + line * 0.3), words(value))
    if bar.folds:
        swatch = QRectF(cell.left(), body.bottom() + line * 0.7, BAR_WIDTH, BAR_WIDTH)
        painter.fillRect(swatch, QColor(*FOLD, 110))
        painter.setPen(QPen(QColor(*FOLD), 1.6))
        painter.drawRect(swatch)
        painter.setPen(QColor(DARK.muted))
        painter.drawText(QPointF(swatch.right() + 6, swatch.bottom() - 1), "fold")


def _short(name: str) -> str:
    """A file's name where the bar, and not the picture, has to give way."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _marks(bar: Bar) -> tuple[float, ...]:
    return bar.low, (bar.low + bar.high) / 2, bar.high


def _ramp(name: str, gamma: float) -> QImage:
    column = np.ascontiguousarray(lut(name, gamma)[::-1])
    return QImage(column.data, 1, len(column), 4, QImage.Format.Format_RGBA8888).copy()
