"""What is written on and beside a slice: titles, letters, crosshair, legend, colour bars; sharp anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen, QPolygonF

from noder_viewer import theme
from noder_viewer.colormaps import ARROW, CROSSHAIR, FOLD, LUTS
from noder_viewer.overlays import Heatmap, Quiver
from noder_viewer.scene import SliceScene
from noder_viewer.ticks import nice_step, words

PAD = 6.0
BAR_WIDTH = 11.0
GAP = 7.0
"""Half the opening of the crosshair: the voxel itself stays free."""
MOST_LINES = 3
"""Of a pane's title."""
EXTRAPOLATED = "extrapolated"
GROUND = QColor(21, 23, 28, 225)
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class Bar:
    """One colour bar: `lut` from `low` to `high`, with an extra swatch for folds if `folds`."""

    title: str
    lut: str
    low: float
    high: float
    folds: bool = False


@dataclass(frozen=True)
class PaneFrame:
    """Where a pane lies on the canvas, in pixels, and where the crosshair meets in it."""

    rect: QRectF
    crosshair: QPointF
    title: str
    is_last: bool


@dataclass(frozen=True)
class Header:
    """The lines above the pictures: the slice's name, its badge (below it where both do not fit), pane titles."""

    badge_below: bool
    title_lines: int


def bars_of(scene: SliceScene) -> list[Bar]:
    """The colour bars that a scene needs."""
    image = scene.images[0]
    maps = [layer for layer in scene.overlays.values() if isinstance(layer, Heatmap)]
    return [
        Bar(image.unit, image.colormap, *image.levels),
        *(Bar("log J", "log J", -layer.limit, layer.limit, folds=True) for layer in maps),
    ]


def small(font: QFont) -> QFont:
    """The font of everything on a slice."""
    copy = QFont(font)
    copy.setPointSizeF(max(7.5, font.pointSizeF() * 0.9))
    return copy


def strip_width(bars: Sequence[Bar], font: QFont) -> float:
    """Pixels that the colour bars need beside the picture."""
    metrics = QFontMetricsF(small(font))
    labels = [words(value) for bar in bars for value in _marks(bar)]
    widest = max((metrics.horizontalAdvance(label) for label in labels), default=0.0)
    titles = max((metrics.horizontalAdvance(bar.title) for bar in bars), default=0.0)
    return max(BAR_WIDTH + 8 + widest, titles) + 2 * PAD


def header_of(scene: SliceScene, font: QFont, width: float, strip: float) -> Header:
    """The lines that a view needs which is `width` pixels wide, `strip` of them for colour bars."""
    metrics, name = QFontMetricsF(small(font)), QFontMetricsF(font).horizontalAdvance(scene.title)
    badge = metrics.horizontalAdvance(scene.badge) + 4 * PAD
    pane, last = (width - strip) / len(scene.images), scene.images[-1]
    rooms = [
        _title_room(scene, metrics, pane + (strip if image is last else 0), image is last) for image in scene.images
    ]
    lines = [len(_wrapped(image.title, metrics, room)) for image, room in zip(scene.images, rooms, strict=True)]
    return Header(name + badge > width - 2 * PAD, max(lines))


def header_height(header: Header, font: QFont) -> float:
    """Pixels of all lines above the picture."""
    return _names_height(header, font) + header.title_lines * QFontMetricsF(small(font)).height() + 2


def footer_height(scene: SliceScene | None, font: QFont) -> float:
    """Pixels of the lines below the picture: one an overlay."""
    lines = 0 if scene is None else len(scene.overlays)
    return lines * (QFontMetricsF(small(font)).height() + 1) + (3 if lines else 0)


def paint_header(painter: QPainter, rect: QRectF, scene: SliceScene, header: Header) -> None:
    """The slice's name and place, and which side of the patient is where."""
    painter.save()
    line = rect.adjusted(PAD, 1, -PAD, 0)
    line.setHeight(_name_height(painter.font()))
    below = line.height() if header.badge_below else 0.0
    used = _badge(painter, line.translated(0, below), scene.badge, at_left=header.badge_below)
    painter.setPen(QColor(theme.TEXT))
    _draw_elided(painter, line.adjusted(0, 0, 0 if header.badge_below else -used, 0), scene.title)
    painter.restore()


def paint_pane_title(painter: QPainter, pane: PaneFrame, scene: SliceScene, header: Header, until: float) -> None:
    """What the pane's picture is, above it up to x = `until`, and whether it is extrapolated."""
    painter.save()
    top = _names_height(header, painter.font()) + 1
    painter.setFont(small(painter.font()))
    metrics = QFontMetricsF(painter.font())
    left, height = pane.rect.left(), metrics.height()
    line = QRectF(left + PAD, top, until - left - 2 * PAD, height)
    if scene.extrapolated and pane.is_last:
        painter.setPen(QColor(theme.WARNING))
        painter.drawText(line, _RIGHT, EXTRAPOLATED)
    line.setWidth(_title_room(scene, metrics, until - left, pane.is_last))
    painter.setPen(QColor(theme.MUTED))
    for k, text in enumerate(_wrapped(pane.title, metrics, line.width())):
        _draw_elided(painter, line.translated(0, k * height), text)
    painter.restore()


def paint_footer(painter: QPainter, rect: QRectF, scene: SliceScene, px_per_mm: float) -> None:
    """The title of each overlay; for arrows also the length of a round number of mm."""
    painter.save()
    painter.setFont(small(painter.font()))
    height = QFontMetricsF(painter.font()).height() + 1
    for k, layer in enumerate(scene.overlays.values()):
        line = QRectF(rect.left() + PAD, rect.top() + 2 + k * height, rect.width() - 2 * PAD, height)
        if isinstance(layer, Quiver) and layer.scale > 0:
            line.setRight(line.right() - _legend(painter, line, px_per_mm * layer.scale) - PAD)
        painter.setPen(QColor(theme.MUTED))
        frame = f", frame at t = {scene.time}" if isinstance(layer, Heatmap) else ""
        _draw_elided(painter, line, layer.title + frame)
    painter.restore()


def paint_pane(painter: QPainter, pane: PaneFrame, scene: SliceScene) -> None:
    """Crosshair and letters of one pane."""
    painter.save()
    painter.setClipRect(pane.rect)
    _crosshair(painter, pane)
    bold = QFont(painter.font())
    bold.setBold(True)
    painter.setFont(bold)
    _letters(painter, pane.rect, scene)
    painter.restore()


def paint_bars(painter: QPainter, strip: QRectF, bars: Sequence[Bar]) -> None:
    """All colour bars, one below the other, to the right of the picture."""
    painter.save()
    painter.setFont(small(painter.font()))
    height = strip.height() / len(bars)
    for k, bar in enumerate(bars):
        _bar(
            painter,
            QRectF(strip.left() + PAD, strip.top() + k * height, strip.width() - 2 * PAD, height),
            bar,
        )
    painter.restore()


def _bar(painter: QPainter, cell: QRectF, bar: Bar) -> None:
    line = QFontMetricsF(painter.font()).height()
    foot = line * 1.5 if bar.folds else line * 0.5
    body = QRectF(cell.left(), cell.top() + 1.8 * line, BAR_WIDTH, min(cell.height() - 2.3 * line - foot, 260))
    if body.height() < line:
        return
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(QPointF(cell.left(), cell.top() + line), bar.title)
    painter.fillRect(body, QColor(70, 70, 74))
    painter.drawImage(body, _ramp(bar.lut))
    painter.setPen(QColor(theme.MUTED))
    painter.drawRect(body)
    for value in _marks(bar) if body.height() > 3.5 * line else (bar.low, bar.high):
        y = body.bottom() - (value - bar.low) / ((bar.high - bar.low) or 1) * body.height()
        painter.drawLine(QLineF(body.right(), y, body.right() + 3, y))
        painter.drawText(QPointF(body.right() + 6, y + line * 0.3), words(value))
    if bar.folds:
        swatch = QRectF(cell.left(), body.bottom() + line * 0.7, BAR_WIDTH, BAR_WIDTH)
        painter.fillRect(swatch, QColor(*FOLD))
        painter.drawText(QPointF(swatch.right() + 6, swatch.bottom() - 1), "fold")


def _marks(bar: Bar) -> tuple[float, ...]:
    return bar.low, (bar.low + bar.high) / 2, bar.high


def _ramp(name: str) -> QImage:
    column = np.ascontiguousarray(LUTS[name][::-1])
    return QImage(column.data, 1, len(column), 4, QImage.Format.Format_RGBA8888).copy()


def _crosshair(painter: QPainter, pane: PaneFrame) -> None:
    x, y, rect = round(pane.crosshair.x()) + 0.5, round(pane.crosshair.y()) + 0.5, pane.rect
    painter.setPen(QPen(QColor(*CROSSHAIR, 170), 1))
    painter.drawLines(
        [
            QLineF(rect.left(), y, x - GAP, y),
            QLineF(x + GAP, y, rect.right(), y),
            QLineF(x, rect.top(), x, y - GAP),
            QLineF(x, y + GAP, x, rect.bottom()),
        ]
    )


def _letters(painter: QPainter, rect: QRectF, scene: SliceScene) -> None:
    sides, middle = scene.letters, rect.center()
    metrics = QFontMetricsF(painter.font())
    half_w, half_h = metrics.horizontalAdvance("R") / 2 + 3, metrics.height() / 2
    _letter(painter, QPointF(rect.left() + half_w, middle.y()), sides.left)
    _letter(painter, QPointF(rect.right() - half_w, middle.y()), sides.right)
    _letter(painter, QPointF(middle.x(), rect.top() + half_h), sides.top)
    _letter(painter, QPointF(middle.x(), rect.bottom() - half_h), sides.bottom)


def _letter(painter: QPainter, centre: QPointF, letter: str) -> None:
    """A letter on its own dark ground: readable on bright tissue and where the crosshair runs behind it."""
    metrics = QFontMetricsF(painter.font())
    box = QRectF(0, 0, metrics.horizontalAdvance("R") + 6, metrics.height())
    box.moveCenter(centre)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(GROUND)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)


def _badge(painter: QPainter, line: QRectF, text: str, at_left: bool) -> float:
    """A framed word at an end of a line; returns the pixels it takes."""
    painter.save()
    painter.setFont(small(painter.font()))
    metrics = QFontMetricsF(painter.font())
    width = min(metrics.horizontalAdvance(text) + 2 * PAD, line.width())
    box = QRectF(line.left() if at_left else line.right() - width, line.top() + 0.5, width, line.height() - 1)
    painter.setPen(QColor(theme.ACCENT))
    painter.drawRoundedRect(box, 3, 3)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, _fit(text, metrics, width - PAD))
    painter.restore()
    return width + PAD


def _name_height(font: QFont) -> float:
    return QFontMetricsF(font).height() + 2


def _names_height(header: Header, font: QFont) -> float:
    return (2 if header.badge_below else 1) * _name_height(font) + 1


def _title_room(scene: SliceScene, metrics: QFontMetricsF, width: float, is_last: bool) -> float:
    """Pixels for a pane's title: the last one leaves room for the warning."""
    warning = metrics.horizontalAdvance(EXTRAPOLATED) + PAD if scene.extrapolated and is_last else 0.0
    return width - 2 * PAD - warning


def _wrapped(text: str, metrics: QFontMetricsF, width: float) -> list[str]:
    """The text on as few lines as it takes; the last of `MOST_LINES` has all the rest."""
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and (len(lines) == MOST_LINES or metrics.horizontalAdvance(longer) <= width):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _legend(painter: QPainter, line: QRectF, px_per_mm: float) -> float:
    """An arrow of a round number of mm at the right end of a line; returns the pixels it takes."""
    length = nice_step(24 / px_per_mm)
    label, pixels = f"{words(length)} mm", length * px_per_mm
    painter.setPen(QColor(theme.TEXT))
    painter.drawText(line, _RIGHT, label)
    tip = line.right() - QFontMetricsF(painter.font()).horizontalAdvance(label) - PAD
    y = line.center().y()
    painter.setPen(QPen(QColor(*ARROW), 1.6))
    painter.drawLine(QLineF(tip - pixels, y, tip, y))
    painter.drawPolyline(QPolygonF([QPointF(tip - 6, y - 3.5), QPointF(tip, y), QPointF(tip - 6, y + 3.5)]))
    return line.right() - tip + pixels


def _fit(text: str, metrics: QFontMetricsF, width: float) -> str:
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


def _draw_elided(painter: QPainter, rect: QRectF, text: str) -> None:
    text = _fit(text, QFontMetricsF(painter.font()), rect.width())
    painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
