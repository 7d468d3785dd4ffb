"""What the plots of values share: their ground, axes that say the values as they are, and no menus."""

from __future__ import annotations

import pyqtgraph as pg

from noder_viewer import theme


def dress(plot: pg.PlotWidget, grid: float = 0.15) -> None:
    """In the colours of the look that is on; labels are set after this, for `setPen` colours them too."""
    plot.setBackground(theme.BACKGROUND)
    item = plot.getPlotItem()
    item.setMenuEnabled(False)
    item.hideButtons()
    item.setMouseEnabled(x=False, y=False)
    item.showGrid(x=True, y=True, alpha=grid)
    for side in ("left", "bottom"):
        axis = item.getAxis(side)
        axis.setTextPen(theme.TEXT)
        axis.setPen(theme.LINE)
        # the call computes a last prefix once the label is seen, 1000 for values below 1: there are none to choose from
        axis.setSIPrefixEnableRanges(())
        axis.enableAutoSIPrefix(False)
