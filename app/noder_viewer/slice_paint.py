"""What is written on and about a slice: name, badge, titles, letters, crosshair, legend; sharp anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from PySide6.QtCore import QLineF, QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from noder_viewer.colormaps import ARROW, CROSSHAIR
from noder_viewer.overlay_kinds import Heatmap, Lines, Overlay, Quiver
from noder_viewer.palettes import DARK
from noder_viewer.plane import Letters
from noder_viewer.scene import SliceScene
from noder_viewer.slice_bars import PAD
from noder_viewer.slice_fonts import Fonts
from noder_viewer.slice_fonts import small as small
from noder_viewer.ticks import nice_step, words

GAP = 7.0
"""Half the opening of the crosshair: the voxel itself stays free."""
STAMP_IN = 9.0
"""Pixels from the corner of a picture to its time stamp: inside the hatched border of times beyond the scans."""
EXTRAPOLATED = "extrapolated"
SMALL_PX = 210.0
"""Views that are narrower or lower have a title of one line, and no words on the hatching."""
SWATCH = 14.0
"""Length of a line in a legend."""
GROUND = QColor(21, 23, 28, 225)
_LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


@dataclass(frozen=True)
class PaneFrame:
    """Where a pane lies on the canvas, in pixels; its title ends at x = `until`."""

    rect: QRectF
    until: float
    title: str
    is_last: bool


@dataclass(frozen=True)
class Header:
    """The lines above the pictures: the slice's name, its badge (below it where both do not fit), pane titles."""

    badge_below: bool
    title_lines: int
    warns_above: bool = False
    """Whether "extrapolated" stands beside the badge and leaves its line to the title."""

    def or_larger(self, other: Header) -> Header:
        """Room for either."""
        lines, above = max(self.title_lines, other.title_lines), self.warns_above and other.warns_above
        return Header(self.badge_below or other.badge_below, lines, above)


def is_small(scene: SliceScene, size: QSizeF) -> bool:
    """Whether the picture needs the room of a view more than words do."""
    return not scene.brief and min(size.width(), size.height()) < SMALL_PX


def header_of(scene: SliceScene, fonts: Fonts, size: QSizeF, strip: float) -> Header:
    """The lines that a view of `size` pixels needs, `strip` of its width for colour bars."""
    width = size.width()
    name, badge = fonts.name_width(scene.title), fonts.width(scene.badge) + 4 * PAD
    below = bool(scene.badge) and name + badge > width - 2 * PAD
    if is_small(scene, size):
        beside = badge + fonts.width(EXTRAPOLATED) <= width - 2 * PAD
        return Header(below, 1, below and beside and len(scene.images) == 1)
    pane, last = (width - strip) / len(scene.images), scene.images[-1]
    rooms = [_title_room(scene, fonts, pane + (strip if image is last else 0), image is last) for image in scene.images]
    lines = [len(fonts.wrapped(image.title, room)) for image, room in zip(scene.images, rooms, strict=True)]
    return Header(below, max(lines))


def header_height(header: Header, fonts: Fonts) -> float:
    """Pixels of all lines above the picture."""
    return _names_height(header, fonts) + header.title_lines * fonts.line + 2


def footer_height(scene: SliceScene | None, fonts: Fonts) -> float:
    """Pixels of the lines below the picture: one an overlay, one for all regions."""
    lines = 0 if scene is None or scene.brief else len(_with_line(scene)) + bool(scene.regions)
    return lines * (fonts.line + 1) + (3 if lines else 0)


def paint_name(painter: QPainter, rect: QRectF, scene: SliceScene, header: Header, fonts: Fonts) -> None:
    """The slice's name and place, in the first line of the view at `rect`."""
    painter.save()
    line = _first_line(rect, fonts)
    used = 0.0 if header.badge_below or not scene.badge else _badge_width(scene.badge, line, fonts) + PAD
    painter.setFont(fonts.font)
    painter.setPen(QColor(DARK.text))
    _draw_elided(painter, line.adjusted(0, 0, -used, 0), scene.title)
    painter.restore()


def paint_badge(painter: QPainter, rect: QRectF, scene: SliceScene, header: Header, fonts: Fonts) -> None:
    """Which side of the patient is where: a framed word at the end of the first line, or below its beginning."""
    if not scene.badge:
        return
    painter.save()
    line = _first_line(rect, fonts).translated(0, fonts.name_height if header.badge_below else 0.0)
    width = _badge_width(scene.badge, line, fonts)
    left = line.left() if header.badge_below else line.right() - width
    box = QRectF(left, line.top() + 0.5, width, line.height() - 1)
    painter.setFont(fonts.small)
    painter.setPen(QColor(DARK.accent))
    painter.drawRoundedRect(box, 3, 3)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, _fit(scene.badge, fonts.metrics, width - PAD))
    painter.restore()


def paint_pane_title(painter: QPainter, pane: PaneFrame, scene: SliceScene, header: Header, fonts: Fonts) -> None:
    """What the pane's picture is, above it, and whether it is extrapolated."""
    painter.save()
    painter.setFont(fonts.small)
    left, height = pane.rect.left(), fonts.line
    line = QRectF(left + PAD, _names_height(header, fonts) + 1, pane.until - left - 2 * PAD, height)
    if scene.extrapolated and pane.is_last:
        painter.setPen(QColor(DARK.warning))
        painter.drawText(line.translated(0, -fonts.name_height if header.warns_above else 0), _RIGHT, EXTRAPOLATED)
    line.setWidth(_title_room(scene, fonts, pane.until - left, pane.is_last and not header.warns_above))
    painter.setPen(QColor(DARK.muted))
    one = header.title_lines == 1
    for k, text in enumerate((pane.title,) if one else fonts.wrapped(pane.title, line.width())):
        _draw_elided(painter, line.translated(0, k * height), text)
    painter.restore()


def footer_lines(rect: QRectF, scene: SliceScene, fonts: Fonts) -> list[tuple[QRectF, Overlay]]:
    """The overlays, and where in the footer the title of each has its line."""
    if scene.brief:
        return []
    return [(footer_line(rect, k, fonts), layer) for k, layer in enumerate(_with_line(scene))]


def footer_line(rect: QRectF, k: int, fonts: Fonts) -> QRectF:
    """Line k, from 0, of the footer at `rect`."""
    height = fonts.line + 1
    return QRectF(rect.left() + PAD, rect.top() + 2 + k * height, rect.width() - 2 * PAD, height)


def paint_heat_line(painter: QPainter, line: QRectF, heat: Heatmap, time: str, fonts: Fonts) -> None:
    """The title of a heat map, and the time of its frame."""
    painter.setFont(fonts.small)
    painter.setPen(QColor(DARK.muted))
    _draw_elided(painter, line, f"{heat.title}, frame at t = {time}")


def paint_quiver_line(painter: QPainter, line: QRectF, quiver: Quiver, px_per_mm: float, fonts: Fonts) -> None:
    """The title of arrows, and the length of a round number of mm."""
    painter.setFont(fonts.small)
    line = QRectF(line)
    if quiver.scale > 0:
        line.setRight(line.right() - _legend(painter, line, px_per_mm * quiver.scale, fonts) - PAD)
    painter.setPen(QColor(DARK.muted))
    _draw_elided(painter, line, quiver.title)


def paint_strokes_line(painter: QPainter, line: QRectF, layer: Lines, fonts: Fonts) -> None:
    """The title of lines, and what each of their colours means."""
    painter.setFont(fonts.small)
    line = QRectF(line)
    for stroke in reversed(layer.strokes):
        if fonts.width(stroke.label) + SWATCH + PAD > line.width():
            return  # a narrow view names the longest motions alone
        painter.setPen(QColor(DARK.text))
        painter.drawText(line, _RIGHT, stroke.label)
        right = line.right() - fonts.width(stroke.label) - PAD * 0.7
        painter.setPen(QPen(QColor(*stroke.colour), 2))
        painter.drawLine(QLineF(right - SWATCH, line.center().y(), right, line.center().y()))
        line.setRight(right - SWATCH - 2 * PAD)
    painter.setPen(QColor(DARK.muted))
    _draw_elided(painter, line, layer.title)


def paint_crosshair(painter: QPainter, rect: QRectF, crosshair: QPointF) -> None:
    """The lines of a crosshair across a pane at `rect`, with a hole where they meet."""
    x, y = round(crosshair.x()) + 0.5, round(crosshair.y()) + 0.5
    painter.setPen(QPen(QColor(*CROSSHAIR, 170), 1))
    painter.drawLines(
        [
            QLineF(rect.left(), y, x - GAP, y),
            QLineF(x + GAP, y, rect.right(), y),
            QLineF(x, rect.top(), x, y - GAP),
            QLineF(x, y + GAP, x, rect.bottom()),
        ]
    )


def letter_boxes(rect: QRectF, letters: Letters, fonts: Fonts) -> Iterable[tuple[QRectF, str]]:
    """The letters of a pane at `rect` (none where they are empty), and where in it each has its ground."""
    middle, half_w, half_h = rect.center(), fonts.letter.width() / 2, fonts.letter.height() / 2
    for centre, letter in (
        (QPointF(rect.left() + half_w, middle.y()), letters.left),
        (QPointF(rect.right() - half_w, middle.y()), letters.right),
        (QPointF(middle.x(), rect.top() + half_h), letters.top),
        (QPointF(middle.x(), rect.bottom() - half_h), letters.bottom),
    ):
        box = QRectF(QPointF(), fonts.letter)
        box.moveCenter(centre)
        if letter:
            yield box, letter


def paint_letter(painter: QPainter, box: QRectF, letter: str, fonts: Fonts) -> None:
    """A letter on its own dark ground: readable on bright tissue and where the crosshair runs behind it."""
    painter.setFont(fonts.bold)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(GROUND)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(DARK.text))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)


def paint_stamp(painter: QPainter, rect: QRectF, scene: SliceScene, fonts: Fonts) -> None:
    """The time on the picture itself, top left of a pane at `rect`; in another colour where it is extrapolated."""
    text = f"{scene.stamp}  {EXTRAPOLATED}" if scene.extrapolated else scene.stamp
    metrics = QFontMetricsF(fonts.bold)
    size = QSizeF(metrics.horizontalAdvance(text) + 2 * PAD, metrics.height() + 2)
    box = QRectF(QPointF(rect.left() + STAMP_IN, rect.top() + STAMP_IN), size)
    painter.setFont(fonts.bold)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(GROUND)
    painter.drawRoundedRect(box, 3, 3)
    painter.setPen(QColor(DARK.warning if scene.extrapolated else DARK.text))
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def _first_line(rect: QRectF, fonts: Fonts) -> QRectF:
    line = rect.adjusted(PAD, 1, -PAD, 0)
    line.setHeight(fonts.name_height)
    return line


def _badge_width(text: str, line: QRectF, fonts: Fonts) -> float:
    return min(fonts.width(text) + 2 * PAD, line.width())


def _with_line(scene: SliceScene) -> list[Overlay]:
    """The overlays that have a line below the picture."""
    return [layer for layer in scene.overlays.values() if not isinstance(layer, Lines) or layer.in_footer]


def _names_height(header: Header, fonts: Fonts) -> float:
    return (2 if header.badge_below else 1) * fonts.name_height + 1


def _title_room(scene: SliceScene, fonts: Fonts, width: float, is_last: bool) -> float:
    """Pixels for a pane's title: the last one leaves room for the warning."""
    warning = fonts.width(EXTRAPOLATED) + PAD if scene.extrapolated and is_last else 0.0
    return width - 2 * PAD - warning


def _legend(painter: QPainter, line: QRectF, px_per_mm: float, fonts: Fonts) -> float:
    """An arrow of a round number of mm at the right end of a line; returns the pixels it takes."""
    length = nice_step(24 / px_per_mm)
    label, pixels = f"{words(length)} mm", length * px_per_mm
    painter.setPen(QColor(DARK.text))
    painter.drawText(line, _RIGHT, label)
    tip = line.right() - fonts.width(label) - PAD
    y = line.center().y()
    painter.setPen(QPen(QColor(*ARROW), 1.6))
    painter.drawLine(QLineF(tip - pixels, y, tip, y))
    painter.drawPolyline(QPolygonF([QPointF(tip - 6, y - 3.5), QPointF(tip, y), QPointF(tip - 6, y + 3.5)]))
    return line.right() - tip + pixels


def _fit(text: str, metrics: QFontMetricsF, width: float) -> str:
    return metrics.elidedText(text, Qt.TextElideMode.ElideRight, width)


def _draw_elided(painter: QPainter, rect: QRectF, text: str) -> None:
    painter.drawText(rect, _LEFT, _fit(text, QFontMetricsF(painter.font()), rect.width()))
