"""Loss curves: all terms, by name, on both kinds of axis."""

from typing import Any

import numpy as np
import pyqtgraph as pg
import pytest
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication, QScrollArea

from noder_viewer.curves import LossCurves
from noder_viewer.fit_panel import FitPanel
from noder_viewer.plot_axes import dress


@pytest.fixture
def curves(qtbot: Any) -> LossCurves:
    widget = LossCurves()
    qtbot.addWidget(widget)
    widget.resize(360, 240)
    widget.show()
    return widget


def drawn(curves: LossCurves, name: str) -> np.ndarray:
    return curves._curves[name].getData()[1]


def test_terms_appear_and_go_with_their_names(curves: LossCurves) -> None:
    curves.set_history([0, 1, 2], {"similarity": [3, 2, 1], "smoothness": [0, 0.1, 0.2]})
    assert list(curves._curves) == ["similarity", "smoothness"]
    assert "similarity" in curves._legend.text()
    colours = {curve.opts["pen"].color().name() for curve in curves._curves.values()}
    assert len(colours) == 2
    np.testing.assert_allclose(drawn(curves, "similarity"), [3, 2, 1])
    curves.set_history([0], {"similarity": [3]})
    assert list(curves._curves) == ["similarity"]
    curves.clear()
    assert curves._curves == {}
    assert curves._legend.text() == ""


@pytest.mark.filterwarnings("error")
def test_a_logarithmic_axis_leaves_out_what_has_no_logarithm(curves: LossCurves) -> None:
    curves.set_history([0, 1, 2], {"boundary": [0.0, 0.01, 100.0]})
    curves.set_log(True)
    assert np.isnan(drawn(curves, "boundary")[0])
    np.testing.assert_allclose(drawn(curves, "boundary")[1:], [-2, 2])
    QApplication.processEvents()
    curves.set_log(False)
    np.testing.assert_allclose(drawn(curves, "boundary"), [0, 0.01, 100])


def test_curves_are_painted(curves: LossCurves) -> None:
    curves.set_history(range(50), {"similarity": np.linspace(1, 0, 50)})
    QApplication.processEvents()
    image = curves.grab().toImage()
    image = image.convertToFormat(image.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)
    assert raw[..., :3].std() > 5


def test_ticks_say_the_values_after_the_look_has_changed(qtbot: Any) -> None:
    plot = pg.PlotWidget()
    qtbot.addWidget(plot)
    plot.resize(400, 300)
    plot.plot([0, 1, 2], [0.1, 0.3, 0.5])
    plot.show()
    for _ in range(2):  # the second time the label is on the screen
        dress(plot)
        plot.getPlotItem().setLabel("left", "volume (ml)")
        QApplication.processEvents()
    axis = plot.getPlotItem().getAxis("left")
    spacing, values = axis.tickValues(*axis.range, 200)[0]
    texts = axis.tickStrings(values, axis.autoSIPrefixScale * axis.scale, spacing)
    np.testing.assert_allclose([float(text) for text in texts], values)


def test_the_losses_keep_their_ticks_when_the_look_changes(curves: LossCurves) -> None:
    curves.set_history([0, 1, 2], {"similarity": [0.1, 0.3, 0.5]})
    QApplication.processEvents()
    QApplication.sendEvent(curves, QEvent(QEvent.Type.PaletteChange))
    assert curves._plot.getPlotItem().getAxis("left").autoSIPrefixScale == 1.0


def test_all_of_the_legend_is_on_the_screen_while_a_fit_runs(qtbot: Any) -> None:
    column, panel = QScrollArea(), FitPanel()
    qtbot.addWidget(column)
    column.setWidgetResizable(True)
    column.setWidget(panel)
    column.resize(330, 560)
    panel.fits.setMinimumHeight(230)  # some fits
    with qtbot.waitExposed(column):
        column.show()
    panel.set_progress(0.3, "1/4 size: step 27 of 100, 18 s left, no folds")
    panel.set_curves([0, 1], {name: [1.0, 2.0] for name in ("similarity", "folding", "smoothness", "boundary")})
    qtbot.waitUntil(lambda: panel.curves._legend.height() > 20)
    legend = panel.curves._legend
    assert legend.visibleRegion().boundingRect() == legend.rect()
