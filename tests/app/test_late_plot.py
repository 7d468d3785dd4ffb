"""Plots that nobody has seen are not made, and are what they should be once they are."""

from typing import Any

import pytest
from PySide6.QtWidgets import QApplication, QLabel

from noder_viewer.late_plot import LatePlot
from noder_viewer.main_window import MainWindow
from noder_viewer.path_curves import PathCurves


def test_the_plot_is_made_once_and_when_it_is_seen(qtbot: Any) -> None:
    made = []

    def make() -> QLabel:
        made.append(QLabel("a plot"))
        return made[-1]

    late = LatePlot(make)
    qtbot.addWidget(late)
    assert late.made is None
    late.resize(late.minimumSizeHint())
    late.show()
    qtbot.waitUntil(lambda: bool(made))
    assert late.plot is made[0]
    qtbot.waitUntil(late.plot.isVisible)
    late.update()
    QApplication.processEvents()
    assert len(made) == 1


def test_a_plot_that_is_asked_for_before_is_made_then(qtbot: Any) -> None:
    late = LatePlot(lambda: QLabel("a plot"))
    qtbot.addWidget(late)
    assert late.plot is late.made
    assert late.made.parentWidget() is late


def test_the_window_starts_without_the_plots_behind_other_tabs(qtbot: Any) -> None:
    window = MainWindow()
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    fit = window.fit_panel.findChild(LatePlot)
    qtbot.waitUntil(lambda: fit.made is not None)
    others = [late for late in window.findChildren(LatePlot) if late is not fit]
    assert [late.made for late in others] == [None] * 4
    window.show_panel(window.register_panel)
    qtbot.waitUntil(lambda: sum(late.made is not None for late in others) == 1)


def test_a_late_plot_has_the_time_that_was_set_before(qtbot: Any) -> None:
    curves = PathCurves()
    qtbot.addWidget(curves)
    curves.set_time(1.5)
    assert curves.moved._now.value() == pytest.approx(1.5)
    curves.set_time(2.0)
    assert curves.moved._now.value() == pytest.approx(2.0)
