"""Displacement and speed of followed points over time; the time is a line, and a click or a drag sets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QWheelEvent
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.late_plot import LatePlot
from noder_viewer.plot_axes import dress

if TYPE_CHECKING:
    from noder.pathlines import Pathline

SIDES = (("R", "#ff8a80"), ("A", "#a5e887"), ("S", "#82b1ff"))
"""Components of the selected point, in the colours that programs give to the axes."""
ROOM = 1.08
"""Of the highest value, so that it does not touch the frame."""
_APART = "&nbsp;&nbsp;"
LEAST_MM = 0.1
"""Full scale at least: what does not move is a flat line, not noise."""


@dataclass(frozen=True, eq=False)
class Curve:
    """The path of one point, its number and its colour."""

    number: int
    colour: str
    line: Pathline


class _TimePlot(pg.PlotWidget):  # type: ignore[misc]
    """Values over time, with the time as a line; mouse and arrows ask for times, the wheel stays the panel's."""

    time_requested = Signal(float)
    step_requested = Signal(int)

    def __init__(self, name: str, label: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setMinimumHeight(110)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._curves: list[Any] = []
        self._labels = {"left": label, "bottom": ""}
        self._now = pg.InfiniteLine(angle=90)
        self._zones = [pg.LinearRegionItem(movable=False, pen=pg.mkPen(None)) for _ in range(2)]
        metrics = self.fontMetrics()  # both plots stand below each other in time: their frames must agree
        self.getPlotItem().getAxis("left").setWidth(metrics.horizontalAdvance("0.0000") + metrics.height() + 8)
        for zone in self._zones:
            self.addItem(zone, ignoreBounds=True)
        self.addItem(self._now, ignoreBounds=True)
        self.put_colours_on()

    def sizeHint(self) -> QSize:
        return QSize(240, 150)

    def put_colours_on(self) -> None:
        """Those of the look that is on; the curves are drawn anew by whoever drew them."""
        dress(self, grid=0.12)
        self._now.setPen(pg.mkPen(theme.ACCENT, width=1.5))
        for zone in self._zones:
            zone.setBrush(self._hatch())
        self._write_labels()

    def name_values(self, label: str) -> None:
        """What stands beside the values."""
        self._labels["left"] = label
        self._write_labels()

    def name_times(self, label: str) -> None:
        """What stands below the times."""
        self._labels["bottom"] = label
        self._write_labels()

    def set_time(self, t: float) -> None:
        """Put the line."""
        self._now.setValue(t)

    def set_span(self, whole: tuple[float, float], known: tuple[float, float]) -> None:
        """Times that are shown, and those between which the fit has seen scans: beyond, the ground is hatched."""
        self.setXRange(*whole, padding=0)
        for zone, ends in zip(self._zones, ((whole[0], known[0]), (known[1], whole[1])), strict=True):
            zone.setRegion(ends)

    def clear_curves(self) -> None:
        """Take all curves away."""
        for curve in self._curves:
            self.removeItem(curve)
        self._curves = []

    def draw(self, line: Pathline, values: NDArray[np.float64], colour: str, width: float) -> None:
        """One curve: solid between the scans, dashed beyond them."""
        beyond = line.extrapolated
        inside = np.flatnonzero(~beyond)
        first, last = (int(inside[0]), int(inside[-1])) if len(inside) else (0, 0)
        for part, dashed in ((slice(0, first + 1), True), (slice(first, last + 1), False), (slice(last, None), True)):
            style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
            pen = pg.mkPen(colour, width=width, style=style)
            curve = pg.PlotCurveItem(line.times[part], values[part], pen=pen, antialias=True)
            self._curves.append(curve)
            self.addItem(curve, ignoreBounds=True)

    def mark(self, times: NDArray[np.float64], values: NDArray[np.float64], colour: str) -> None:
        """Dots at the scans."""
        dots = pg.ScatterPlotItem(times, values, size=6, brush=pg.mkBrush(colour), pen=pg.mkPen(theme.BACKGROUND))
        self._curves.append(dots)
        self.addItem(dots, ignoreBounds=True)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._ask(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._ask(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()  # the panel scrolls

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if (key := Qt.Key(event.key())) in steps:  # as on a slice; else the panel would scroll
            self.step_requested.emit(steps[key])
        else:
            event.ignore()

    def _ask(self, event: QMouseEvent) -> None:
        box = self.getPlotItem().getViewBox()
        t = box.mapSceneToView(self.mapToScene(event.position().toPoint())).x()
        low, high = box.viewRange()[0]
        self.time_requested.emit(float(np.clip(t, low, high)))

    def _write_labels(self) -> None:
        for side, label in self._labels.items():
            if label:
                self.getPlotItem().setLabel(side, label, color=theme.MUTED)

    @staticmethod
    def _hatch() -> Any:
        brush = pg.mkBrush(QColor(theme.WARNING).red(), QColor(theme.WARNING).green(), QColor(theme.WARNING).blue(), 70)
        brush.setStyle(Qt.BrushStyle.BDiagPattern)
        return brush


class PathCurves(QWidget):
    """Displacement from the reference over speed; emits the time under the mouse, or +1 and -1 for a step in time."""

    time_requested = Signal(float)
    step_requested = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._time = 0.0
        self._shown: tuple[Sequence[Curve], int | None, Sequence[float], str] = ((), None, (), "")
        self._moved = LatePlot(partial(self._make_plot, "Displacement over time", "moved (mm)"))
        self._speed = LatePlot(partial(self._make_plot, "Speed over time", "speed (mm)"))
        self._legend = QLabel("", self, wordWrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._moved, 3)
        layout.addWidget(self._legend)
        layout.addWidget(self._speed, 2)

    @property
    def moved(self) -> _TimePlot:
        """Displacement from the reference."""
        return self._moved.plot

    @property
    def speed(self) -> _TimePlot:
        """Speed."""
        return self._speed.plot

    @property
    def legend(self) -> str:
        """What the curves are, in words."""
        return self._legend.text()

    def set_time(self, t: float) -> None:
        """Put the line of the current time."""
        self._time = t
        for plot in self._made():
            plot.set_time(t)

    def set_curves(self, curves: Sequence[Curve], selected: int | None, scans: Sequence[float], unit: str) -> None:
        """All points' totals and speeds, and the components of the selected one; `unit`: the series' unit of time."""
        self._shown = curves, selected, scans, unit
        for plot in self._made():
            plot.clear_curves()
        self._legend.setText(_legend(curves, selected))
        if not curves:
            return
        from noder.pathlines import one  # loads torch, which has come by now: there are paths

        self.speed.name_values(f"mm per {one(unit)}")
        self.speed.name_times("time" if unit in ("index", "unspecified") else f"time ({unit})")
        for curve in curves:
            self._draw(curve, curve.number == selected, scans)
        line = curves[0].line
        inside = line.times[~line.extrapolated]
        known = (float(inside[0]), float(inside[-1])) if len(inside) else (float(line.times[0]),) * 2
        for plot in (self.moved, self.speed):
            plot.set_span((float(line.times[0]), float(line.times[-1])), (known[0], known[1]))
        self._scale(curves, selected)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:  # the look of the program has changed
            for plot in self._made():
                plot.put_colours_on()
            self.set_curves(*self._shown)

    def _made(self) -> list[_TimePlot]:
        return [late.made for late in (self._moved, self._speed) if late.made is not None]

    def _make_plot(self, name: str, label: str) -> _TimePlot:
        plot = _TimePlot(name, label)
        plot.set_time(self._time)
        plot.time_requested.connect(self.time_requested)
        plot.step_requested.connect(self.step_requested)
        return plot

    def _draw(self, curve: Curve, is_selected: bool, scans: Sequence[float]) -> None:
        line, width = curve.line, 2.4 if is_selected else 1.5
        if is_selected:
            for (_, colour), values in zip(SIDES, line.moved.T, strict=True):
                self.moved.draw(line, values, colour, 1.1)
        self.moved.draw(line, line.distances, curve.colour, width)
        self.speed.draw(line, line.speeds, curve.colour, width)
        at = np.isclose(line.times[:, None], np.array(scans)[None, :], rtol=1e-9, atol=0).any(axis=1)
        self.moved.mark(line.times[at], line.distances[at], curve.colour)

    def _scale(self, curves: Sequence[Curve], selected: int | None) -> None:
        totals = max(float(curve.line.distances.max()) for curve in curves)
        parts = [curve.line.moved for curve in curves if curve.number == selected]
        low = min((float(part.min()) for part in parts), default=0.0)
        self.moved.setYRange(min(low * ROOM, 0.0), max(totals, LEAST_MM) * ROOM, padding=0)
        span = float(curves[0].line.times[-1] - curves[0].line.times[0]) or 1.0
        fastest = max(float(curve.line.speeds.max()) for curve in curves)
        self.speed.setYRange(0.0, max(fastest, LEAST_MM / span) * ROOM, padding=0)


def _legend(curves: Sequence[Curve], selected: int | None) -> str:
    """Each point's number in its colour, then the components of the selected one."""
    parts = [f'<span style="color:{curve.colour}">▬</span>&nbsp;{curve.number}' for curve in curves]
    if any(curve.number == selected for curve in curves):
        sides = " ".join(f'<span style="color:{colour}">▬</span>&nbsp;{side}' for side, colour in SIDES)
        parts.append(f"{selected}&nbsp;along {sides}")
    return f" {_APART} ".join(parts)
