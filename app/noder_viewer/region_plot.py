"""Volumes of regions against time: curves with a band, measured points, the current time; a click sets the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.late_plot import LatePlot
from noder_viewer.plot_axes import dress
from noder_viewer.region_state import Colour

Floats = NDArray[np.float64]
PNG_SIZE = (1200, 800)
_LEGEND = ("○ a scan's own labels", "dashed: extrapolated")


@dataclass(frozen=True, eq=False)
class PlotCurve:
    """One region: `values` at `times` (N,), the band (N,) each, and measured points, NaN where there are none."""

    name: str
    colour: Colour
    times: Floats
    values: Floats
    low: Floats
    high: Floats
    measured: Floats


@dataclass(frozen=True, eq=False)
class PlotData:
    """What the plot shows; beyond `span` the curves are extrapolated. `n_fits`: 1 has no band."""

    curves: tuple[PlotCurve, ...]
    span: tuple[float, float]
    unit: str
    axis: str
    n_fits: int


class RegionPlot(QWidget):
    """Emits the time that was clicked."""

    time_requested = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._data: PlotData | None = None
        self._time = 0.0
        self._late = LatePlot(self._make_plot)
        self.legend = QLabel("", wordWrap=True)
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self._line = pg.InfiniteLine(0.0, angle=90, pen=pg.mkPen(theme.ACCENT, width=1.5))
        self._line.setZValue(20)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._late, 1)
        layout.addWidget(self.legend)
        self.setMinimumHeight(230)

    @property
    def plot(self) -> pg.PlotWidget:
        """The plot alone."""
        return self._late.plot

    def set_data(self, data: PlotData | None) -> None:
        """Draw curves; None for nothing."""
        if data is self._data:
            return
        self._data = data
        item = self.plot.getPlotItem()
        item.clear()
        self.legend.setText("" if data is None else legend_text(data))
        is_empty = data is None or not data.curves
        for side in ("left", "bottom"):
            item.getAxis(side).setStyle(showValues=not is_empty)
            item.setLabel(side, "")  # of what was there before
        if data is None or is_empty:
            return
        self._draw_beyond(item, data)
        for curve in data.curves:
            self._draw(item, curve, data)
        item.addItem(self._line, ignoreBounds=True)
        unit = "" if data.unit == "index" else f" ({data.unit})"
        item.setLabel("bottom", f"time{unit}", color=theme.MUTED)
        item.setLabel("left", data.axis, color=theme.MUTED)
        times = data.curves[0].times
        item.setXRange(float(times[0]), float(times[-1]), padding=0)
        item.enableAutoRange(axis="y")

    def set_time(self, t: float) -> None:
        """Put the line of the current time."""
        self._time = t
        self._line.setValue(t)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if (
            isinstance(event, QMouseEvent)
            and self._data is not None
            and event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseMove)
            and event.buttons() & Qt.MouseButton.LeftButton
        ):
            self._request(event)
            return True
        return super().eventFilter(watched, event)

    def to_pixel(self, t: float) -> float:
        """Where a time lies on the plot, in pixels from its left edge."""
        box = self.plot.getPlotItem().getViewBox()
        place = box.mapViewToScene(pg.Point(t, 0))
        return float(self.plot.mapFromScene(place).x())

    def for_file(self) -> RegionPlot:
        """The same picture in a widget of its own, as large as a file wants it."""
        other = RegionPlot()
        other.resize(*PNG_SIZE)
        other.set_data(self._data)
        other.set_time(self._time)
        other.ensurePolished()
        return other

    def _request(self, event: QMouseEvent) -> None:
        box = self.plot.getPlotItem().getViewBox()
        place = box.mapSceneToView(self.plot.mapToScene(event.position().toPoint()))
        (low, high), _ = box.viewRange()
        self.time_requested.emit(float(np.clip(place.x(), low, high)))

    def _draw_beyond(self, item: pg.PlotItem, data: PlotData) -> None:
        times = data.curves[0].times
        veil = QColor(theme.WARNING)
        veil.setAlpha(22)
        for start, end in ((times[0], data.span[0]), (data.span[1], times[-1])):
            if end > start:
                zone = pg.LinearRegionItem((start, end), movable=False, brush=veil, pen=pg.mkPen(None))
                zone.setZValue(-20)
                item.addItem(zone, ignoreBounds=True)

    def _draw(self, item: pg.PlotItem, curve: PlotCurve, data: PlotData) -> None:
        colour = QColor(*curve.colour)
        if data.n_fits > 1:
            item.addItem(_band(curve, colour))
        first, last = data.span
        inside = (curve.times >= first) & (curve.times <= last)
        for part, style in (
            (inside, Qt.PenStyle.SolidLine),
            (curve.times <= first, Qt.PenStyle.DashLine),
            (curve.times >= last, Qt.PenStyle.DashLine),
        ):
            pen = pg.mkPen(colour, width=2, style=style)
            item.plot(curve.times[part], curve.values[part], pen=pen, antialias=True)
        known = ~np.isnan(curve.measured)
        ring = pg.mkPen(colour.lighter(135), width=1.8)
        item.plot(
            curve.times[known], curve.measured[known], pen=None, symbol="o", symbolSize=8, symbolPen=ring,
            symbolBrush=pg.mkBrush(theme.BACKGROUND),
        )  # fmt: skip

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            self._line.setPen(pg.mkPen(theme.ACCENT, width=1.5))
            if self._late.made is not None:
                dress(self._late.made)
            data, self._data = self._data, None
            self.set_data(data)

    def _make_plot(self) -> pg.PlotWidget:
        plot = pg.PlotWidget()
        # pyqtgraph wants 480 pixels, and the legend would lie below the edge of the tab
        plot.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        plot.viewport().installEventFilter(self)
        plot.setAccessibleName("Volumes of the regions over time")
        dress(plot)
        return plot


def legend_text(data: PlotData) -> str:
    """Names in their colours, and what band, rings and dashes are."""
    names = [f'<span style="color:{QColor(*c.colour).name()}">▬</span>&nbsp;{escape(c.name)}' for c in data.curves]
    band = [f"band: lowest to highest of {data.n_fits} seeds"] if data.n_fits > 1 else []
    notes = [f'<span style="color:{theme.MUTED}">{words}</span>' for words in (*band, *_LEGEND)]
    return "&nbsp;&nbsp;&nbsp; ".join([*names, *notes])


def plot_data(found: object, shown: Sequence[tuple[int, str, Colour]], *, percent: bool) -> PlotData:
    """What to plot of `noder.regions.RegionVolumes`: labels with names and colours, in ml or in % of the reference."""
    from noder.regions import RegionVolumes

    assert isinstance(found, RegionVolumes)
    times = np.array(found.times)
    curves = []
    for label, name, colour in shown:
        if label in found.labels:
            k = found.labels.index(label)
            rows = found.volume_ml[k], found.low_ml[k], found.high_ml[k], found.measured_ml[k]
            start = found.reference_mm3[0, k] / 1000
            values, low, high, measured = (100 * (row / start - 1) if percent else row for row in rows)
            curves.append(PlotCurve(name, colour, times, values, low, high, measured))
    axis = "change since the reference (%)" if percent else "volume (ml)"
    return PlotData(tuple(curves), found.span, found.unit, axis, found.n_fits)


def _band(curve: PlotCurve, colour: QColor) -> pg.FillBetweenItem:
    faint = QColor(colour)
    faint.setAlpha(60)
    ends = (pg.PlotDataItem(curve.times, row, pen=None) for row in (curve.low, curve.high))
    return pg.FillBetweenItem(*ends, brush=pg.mkBrush(faint))
