"""The scores of left-out scans against their times, a line a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.plot_axes import dress

_SIGNS = (("o", "●", Qt.PenStyle.SolidLine), ("s", "■", Qt.PenStyle.DashLine), ("t1", "▲", Qt.PenStyle.DotLine))
"""Each time the colours begin again: pyqtgraph's symbol, its letter in the legend, the line."""


class LeftOutPlot(QWidget):
    """Signs joined within the scans; a hollow one is an extrapolation, and stands alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Scores of the left-out scans over time")
        self._plot = pg.PlotWidget()
        self._shown: tuple[Any, ...] = ()
        self._legend = QLabel("", self, wordWrap=True)
        dress(self._plot)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._plot, 1)
        column.addWidget(self._legend)
        self.setMinimumHeight(200)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:
            dress(self._plot)
            if self._shown:
                self.set_scores(*self._shown)

    def set_scores(
        self,
        times: Sequence[float],
        beyond: Sequence[bool],
        scores: Mapping[str, Sequence[float]],
        axes: tuple[str, str],
    ) -> None:
        """`scores` by prediction, as long as `times`; `axes`: what stands below and at the left."""
        self._shown = (times, beyond, scores, axes)
        self._plot.clear()
        item = self._plot.getPlotItem()
        item.setLabel("bottom", axes[0], color=theme.MUTED)
        item.setLabel("left", axes[1], color=theme.MUTED)
        t, out = np.asarray(times, dtype=np.float64), np.asarray(beyond, dtype=bool)
        legend, colours = [], theme.palette().series
        for k, (name, row) in enumerate(scores.items()):
            colour, values = colours[k % len(colours)], np.asarray(row, dtype=np.float64)
            symbol, mark, style = _SIGNS[k // len(colours) % len(_SIGNS)]
            pen = pg.mkPen(colour, width=1.6, style=style)
            self._dots(t[~out], values[~out], symbol, colour, pen, colour)
            self._dots(t[out], values[out], symbol, colour, None, theme.BACKGROUND)
            legend.append(f'<span style="color:{colour}">{mark}</span>&nbsp;{name}')
        extra = "&emsp;(hollow:&nbsp;extrapolated)" if out.any() else ""
        self._legend.setText("&emsp;".join(legend) + extra)

    def _dots(self, x: object, y: object, symbol: str, colour: str, pen: object, fill: str) -> None:
        self._plot.plot(
            x,
            y,
            pen=pen,
            symbol=symbol,
            symbolSize=7,
            symbolPen=pg.mkPen(colour, width=1.4),
            symbolBrush=fill,
            antialias=True,
        )
