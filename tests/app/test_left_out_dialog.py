"""What leave-one-out has found: every prediction has a sign of its own, and the whole table is on the screen."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from noder.leave_one_out import LeftOut
from noder_viewer.left_out_dialog import LeftOutDialog
from noder_viewer.settings import Settings

NAMES = ("noder", "noder first", "geodesic", "geodesic first", "piecewise", "piecewise first")
PREDICTIONS = (*NAMES, "blend", "nearest", "unchanged")


def found() -> LeftOut:
    scores = {name: {"nrmse_mask": 0.03 + 0.01 * k} for k, name in enumerate(PREDICTIONS)}
    rows = [{"index": k, "name": f"scan {k}", "time": float(k), "extrapolated": k == 4, **scores} for k in (1, 2, 3, 4)]
    return LeftOut("noder", rows, scores, scores, ("Within the scans noder predicts best.",))


@pytest.fixture
def dialog(qtbot, tmp_path):
    dialog = LeftOutDialog(Settings(tmp_path / "s.ini"))
    qtbot.addWidget(dialog)
    dialog.set_found(1, "Leave-one-out", found(), "years")
    with qtbot.waitExposed(dialog):
        dialog.show()
    QApplication.processEvents()
    return dialog


def test_each_prediction_has_a_colour_and_a_sign_of_its_own(dialog):
    drawn = [item.opts for item in dialog.plot._plot.getPlotItem().listDataItems()]
    looks = {(opts["symbol"], opts["symbolPen"].color().name()) for opts in drawn}
    assert len(looks) == len(PREDICTIONS)  # hollow ones too, which no line tells apart


def test_the_table_shows_whole_rows_to_the_last(dialog):
    table = dialog.table
    last = table.visualItemRect(table.item(table.rowCount() - 1, 0))
    assert table.item(table.rowCount() - 1, 0).text() == "mean beyond"
    assert table.viewport().rect().contains(last)


def test_it_has_a_button_that_closes_it(dialog):
    QTest.mouseClick(dialog.close_button, Qt.MouseButton.LeftButton)
    assert not dialog.isVisible()
