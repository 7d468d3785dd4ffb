"""The losses of a fit against its steps, one line a term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from noder_viewer import theme
from noder_viewer.late_plot import LatePlot
from noder_viewer.plot_axes import dress

Row = NDArray[np.float64]


class LossCurves(QWidget):
    """Curves by name. Callers throttle `set_history` (about 20 a second)."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._history: tuple[Sequence[float], dict[str, Sequence[float]]] = ((), {})
        self._late = LatePlot(self._make_plot)
        self._log = QCheckBox("log axis", self)
        self._log.toggled.connect(self._redraw)
        # below the plot, where it hides no curve
        self._legend = QLabel("", self, wordWrap=True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._late, 1)
        row = QHBoxLayout()
        row.addWidget(self._legend, 1)
        row.addWidget(self._log, 0, Qt.AlignmentFlag.AlignTop)
        layout.addLayout(row)
        self.setMinimumHeight(150)

    def sizeHint(self) -> QSize:
        return QSize(240, 260)  # pyqtgraph's own is twice that, and pushes the legend below the edge of the tab

    def set_history(self, steps: Sequence[float], values: Mapping[str, Sequence[float]]) -> None:
        """The whole history so far: each of `values` is as long as `steps`."""
        self._history = (steps, dict(values))
        self._redraw()

    def clear(self) -> None:
        """Forget all curves."""
        self.set_history((), {})

    def set_log(self, log: bool) -> None:
        """Logarithmic values; terms that are 0 or below are then left out."""
        self._log.setChecked(log)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange:  # the look of the program has changed
            for name in list(self._curves):
                self._plot.removeItem(self._curves.pop(name))
            if self._late.made is not None:
                _dress(self._late.made)
            self._redraw()

    def _redraw(self) -> None:
        steps, values = self._history
        for name in [name for name in self._curves if name not in values]:
            self._plot.removeItem(self._curves.pop(name))
        for name, row in values.items():
            self._curve(name).setData(np.asarray(steps, dtype=np.float64), self._drawable(row))
        names = {name: curve.opts["pen"].color().name() for name, curve in self._curves.items()}
        self._legend.setText("&emsp;".join(f'<span style="color:{c}">▬</span>&nbsp;{n}' for n, c in names.items()))

    def _drawable(self, row: Sequence[float]) -> Row:
        """The values as drawn. pyqtgraph's own log mode would warn at every 0."""
        drawn = np.asarray(row, dtype=np.float64)
        logarithmic = self._log.isChecked()
        self._plot.getPlotItem().getAxis("left").setLogMode(logarithmic)
        if not logarithmic:
            return drawn
        logarithms: Row = np.log10(np.where(drawn > 0, drawn, np.nan))
        return logarithms

    def _curve(self, name: str) -> pg.PlotDataItem:
        if name not in self._curves:
            used = {curve.opts["pen"].color().name() for curve in self._curves.values()}
            colours = theme.palette().series
            colour = next((c for c in colours if c not in used), colours[-1])
            self._curves[name] = self._plot.plot(pen=pg.mkPen(colour, width=1.6), connect="finite", antialias=True)
        return self._curves[name]

    @property
    def _plot(self) -> pg.PlotWidget:
        return self._late.plot

    @staticmethod
    def _make_plot() -> pg.PlotWidget:
        plot = pg.PlotWidget()
        _dress(plot)
        return plot


def _dress(plot: pg.PlotWidget) -> None:
    dress(plot)
    item = plot.getPlotItem()
    item.setLabel("bottom", "step", color=theme.MUTED)
    item.setLabel("left", "loss", color=theme.MUTED)
