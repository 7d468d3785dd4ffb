"""Small line plots as SVG text: for the report, which is one file and asks no network."""

from __future__ import annotations

import html
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from noder.ticks import ticks, words

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which colour-blind readers can tell apart."""
WIDTH, HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 34
_LINE = 13


@dataclass(frozen=True)
class Line:
    """A curve through (x, y); what is not finite is left out. `dots`: a mark at every point; `joined`: a line, too.

    `band`: the lowest and highest at each x, shaded. `dashed`: of each point, whether a line to or from it is dashed.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    dots: bool = False
    joined: bool = True
    band: tuple[Sequence[float], Sequence[float]] | None = None
    dashed: Sequence[bool] = ()

    def points(self) -> list[tuple[float, float]]:
        """The points that can be drawn."""
        pairs = zip(self.x, self.y, strict=True)
        return [(float(x), float(y)) for x, y in pairs if math.isfinite(x) and math.isfinite(y)]

    def edge(self) -> list[tuple[float, float]]:
        """The way around the band; empty without one."""
        if self.band is None:
            return []
        low, high = (Line(self.name, self.x, side).points() for side in self.band)
        return [*low, *reversed(high)]

    def parts(self) -> list[tuple[bool, list[tuple[float, float]]]]:
        """The line in pieces: whether each is dashed, and its points."""
        points, dashed = self.points(), self.dashed or [False] * len(self.x)
        kept = [d for d, x, y in zip(dashed, self.x, self.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
        pieces: list[tuple[bool, list[tuple[float, float]]]] = []
        for (a, a_dashed), (b, b_dashed) in itertools.pairwise(zip(points, kept, strict=True)):
            if not pieces or pieces[-1][0] != (a_dashed or b_dashed):
                pieces.append((a_dashed or b_dashed, [a]))
            pieces[-1][1].append(b)
        return pieces


def plot(title: str, lines: Sequence[Line], x_label: str, *, from_zero: bool = False) -> str:
    """Curves over one axis, with a legend below where there are several; "" where there is nothing to draw."""
    drawn = [line for line in lines if line.points()]
    if not drawn:
        return ""
    points = [point for line in drawn for point in (*line.points(), *line.edge())]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = _span([*ys, 0.0] if from_zero else ys, 0.05)
    axes = _Axes(_span(xs), (max(low, 0.0) if from_zero else low, high))
    rows = _legend(drawn) if len(drawn) > 1 else []
    height = HEIGHT + _LINE * len({y for _, y in rows})
    curves = "".join(_curve(line, COLOURS[k % len(COLOURS)], axes) for k, line in enumerate(drawn))
    legend = "".join(_entry(x, y, drawn[k], COLOURS[k % len(COLOURS)]) for k, (x, y) in enumerate(rows))
    label = _text(_LEFT + axes.width / 2, HEIGHT - 5, x_label, "middle")
    return (
        f'<figure class="plot"><figcaption>{html.escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
        f"{axes.drawn()}{curves}{label}{legend}</svg></figure>"
    )


@dataclass(frozen=True)
class _Axes:
    """From values to places in the picture."""

    x: tuple[float, float]
    y: tuple[float, float]

    @property
    def width(self) -> float:
        return WIDTH - _LEFT - _RIGHT

    @property
    def height(self) -> float:
        return HEIGHT - _TOP - _BOTTOM

    def place(self, x: float, y: float) -> tuple[float, float]:
        (left, right), (low, high) = self.x, self.y
        across, up = (x - left) / (right - left), (y - low) / (high - low)
        return _LEFT + across * self.width, _TOP + (1 - up) * self.height

    def drawn(self) -> str:
        """Frame, ticks and numbers."""
        parts = [f'<rect x="{_LEFT}" y="{_TOP}" width="{self.width}" height="{self.height}" class="frame"/>']
        for value in ticks(*self.x, 6):
            x, _ = self.place(value, self.y[0])
            parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_TOP + self.height}" class="grid"/>')
            parts.append(_text(x, _TOP + self.height + 12, words(value), "middle"))
        for value in ticks(*self.y, 4):
            _, y = self.place(self.x[0], value)
            parts.append(f'<line x1="{_LEFT}" x2="{_LEFT + self.width}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
            parts.append(_text(_LEFT - 4, y + 3.5, words(value), "end"))
        return "".join(parts)


def _span(values: Sequence[float], beyond: float = 0.0) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-12):
        half = abs(low) / 2 or 0.5
        return low - half, high + half
    return low - beyond * (high - low), high + beyond * (high - low)


def _curve(line: Line, colour: str, axes: _Axes) -> str:
    parts = []
    if edge := line.edge():
        parts.append(f'<polygon points="{_path(edge, axes)}" fill="{colour}" fill-opacity="0.2"/>')
    for dashed, points in line.parts() if line.joined else ():
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        path = _path(points, axes)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')
    places = [axes.place(x, y) for x, y in line.points()] if line.dots else []
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.4" fill="{colour}"/>' for x, y in places]
    return "".join(parts)


def _path(points: Sequence[tuple[float, float]], axes: _Axes) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.place(*point) for point in points))


def _legend(lines: Sequence[Line]) -> list[tuple[float, float]]:
    """Where the names stand: in rows as wide as the picture."""
    rows, x, y = [], float(_LEFT), float(HEIGHT + _LINE - 3)
    for line in lines:
        width = 26 + 5.6 * len(line.name)
        if x + width > WIDTH and x > _LEFT:
            x, y = float(_LEFT), y + _LINE
        rows.append((x, y))
        x += width
    return rows


def _entry(x: float, y: float, line: Line, colour: str) -> str:
    if line.joined:
        drawn = f'<line x1="{x:.1f}" x2="{x + 14:.1f}" y1="{y - 3:.1f}" y2="{y - 3:.1f}" stroke="{colour}" '
        drawn += 'stroke-width="2"/>'
    else:
        drawn = f'<circle cx="{x + 7:.1f}" cy="{y - 3:.1f}" r="2.4" fill="{colour}"/>'
    return drawn + _text(x + 18, y, line.name, "start")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'
