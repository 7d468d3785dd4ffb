"""The Register tab by itself: rows that take files and scans, the tables, what it asks for."""

import math

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog

from noder.methods import PRESETS
from noder_viewer.jobs import FitChoices
from noder_viewer.landmark_table import AFTER, NUMBER
from noder_viewer.register_panel import RegisterPanel
from noder_viewer.score_table import score_rows

LEFT = Qt.MouseButton.LeftButton
SCORES = {
    "ncc": 0.9, "dice": {"2": 0.8}, "dice_mean": 0.8, "tre_mean_mm": 1.25, "tre_median_mm": 1.0, "tre_max_mm": 3.0,
    "folds_percent": 0.5, "min_determinant": -0.1, "sd_log_jacobian": None, "inverse_consistency_mm": 0.02,
    "seconds": 12.0,
    "initial": {
        "ncc": 0.5, "dice": {"2": 0.4}, "dice_mean": 0.4, "tre_mean_mm": 5.0, "tre_median_mm": 4.0, "tre_max_mm": 9.0
    },
}  # fmt: skip


@pytest.fixture
def panel(qtbot):
    panel = RegisterPanel()
    qtbot.addWidget(panel)
    panel.resize(400, 1000)
    with qtbot.waitExposed(panel):
        panel.show()
    panel.set_choices(FitChoices(dict(PRESETS)))
    return panel


def drop_on(widget, paths) -> bool:
    """What the system sends when files are dropped on a widget; False where it refuses them."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    place, keys = QPointF(widget.rect().center()), Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(*map(int, place.toTuple())), Qt.DropAction.CopyAction, data, LEFT, keys)
    QApplication.sendEvent(widget, enter)
    if enter.isAccepted():
        QApplication.sendEvent(widget, QDropEvent(place, Qt.DropAction.CopyAction, data, LEFT, keys))
    return enter.isAccepted()


class TestRows:
    def test_start_wants_both_images(self, panel, tmp_path):
        assert not panel.start.isEnabled()
        assert drop_on(panel.inputs.fixed, [tmp_path / "a.nii.gz"])
        assert not panel.start.isEnabled()
        assert drop_on(panel.inputs.moving, [tmp_path / "b.nii.gz"])
        assert panel.start.isEnabled()
        assert (panel.choice().fixed.path, panel.choice().moving.path) == (tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")
        assert panel.inputs.fixed.combo.currentText() == "a.nii.gz"

    def test_two_files_at_once_are_fixed_and_moving(self, panel, tmp_path):
        assert drop_on(panel.inputs, [tmp_path / "a.nii", tmp_path / "b.nii"])
        assert panel.choice().fixed.name == "a.nii"
        assert panel.choice().moving.name == "b.nii"
        assert not drop_on(panel.inputs, [tmp_path / "c.nii"])  # the window opens it
        assert drop_on(panel.inputs.moving, [tmp_path / "c.nii", tmp_path / "d.nii"])  # a row wants one
        assert panel.choice().fixed.name == "c.nii"

    def test_browse(self, panel, qtbot, monkeypatch, tmp_path):
        asked = []
        monkeypatch.setattr(
            QFileDialog, "getOpenFileName", lambda *given: asked.append(given[1]) or (str(tmp_path / "x.mha"), "")
        )
        qtbot.mouseClick(panel.inputs.moving.button, LEFT)
        assert asked == ["Moving image"]
        assert panel.choice().moving.path == tmp_path / "x.mha"

    def test_a_scan_of_the_series(self, panel, tmp_path):
        from noder.grid import Grid
        from noder.image import Image

        images = [Image.from_array(np.zeros((2, 2, 2), np.float32), Grid((2, 2, 2), np.eye(4)), n) for n in "ab"]
        row = panel.inputs.moving
        row.set_scans([("Scan 0: a", images[0]), ("Scan 1: b", images[1])])
        row.combo.setCurrentIndex(2)
        row.combo.activated.emit(2)
        assert panel.choice().moving.scan is images[1]
        row.set_scans([("Scan 0: b", images[1])])  # the same scan in another place stays chosen
        assert panel.choice().moving.scan is images[1]
        row.set_scans([("Scan 0: a", images[0])])
        assert row.source is None
        row.set_path(tmp_path / "kept.nii")
        row.set_scans([])
        assert row.source.path == tmp_path / "kept.nii"

    def test_swap_takes_all_along(self, panel, qtbot, tmp_path):
        inputs = panel.inputs
        drop_on(inputs, [tmp_path / "a.nii", tmp_path / "b.nii"])
        for row, name in ((inputs.masks[0], "mask_a.nii"), (inputs.labels[1], "labels_b.nii")):
            assert drop_on(row, [tmp_path / name])
        assert drop_on(inputs.landmarks, [tmp_path / "points.csv"])
        qtbot.mouseClick(inputs.swap, LEFT)
        choice = panel.choice()
        assert (choice.fixed.name, choice.moving.name) == ("b.nii", "a.nii")
        assert choice.masks == (None, tmp_path / "mask_a.nii")
        assert choice.labels == (tmp_path / "labels_b.nii", None)
        assert choice.swapped
        assert "other way round" in inputs.hint.text()
        qtbot.mouseClick(inputs.swap, LEFT)
        assert not panel.choice().swapped

    def test_a_transform_file_is_of_one_direction(self, panel, qtbot, tmp_path):
        drop_on(panel.inputs, [tmp_path / "a.nii", tmp_path / "b.nii"])
        panel.inputs.set_initial("file")
        assert drop_on(panel.inputs.transform, [tmp_path / "t.tfm"])
        assert panel.choice().initial == tmp_path / "t.tfm"
        qtbot.mouseClick(panel.inputs.swap, LEFT)
        assert panel.inputs.transform.path is None
        assert not panel.start.isEnabled()

    def test_a_file_that_may_be_left_out_is_taken_back(self, panel, qtbot, tmp_path):
        row = panel.inputs.landmarks
        qtbot.mouseClick(panel.inputs.more, LEFT)
        assert row.isVisible()
        drop_on(row, [tmp_path / "points.csv"])
        assert "(1)" in panel.inputs.more.text()
        qtbot.mouseClick(row.cross, LEFT)
        assert panel.choice().landmarks is None
        assert "(" not in panel.inputs.more.text()


class TestSearch:
    def test_what_is_asked_for_can_be_repeated(self, panel, qtbot, tmp_path):
        drop_on(panel.inputs, [tmp_path / "a.nii", tmp_path / "b.nii"])
        panel.set_preset("fast")
        panel.seed.setValue(11)
        panel.seconds.setValue(90)
        panel.form.editors["smoothness"].setValue(2.0)
        with qtbot.waitSignal(panel.start_requested) as asked:
            qtbot.mouseClick(panel.start, LEFT)
        choice = asked.args[0]
        assert (choice.preset, choice.seed, choice.max_seconds, choice.device) == ("fast", 11, 90.0, "auto")
        assert choice.settings.fine_iterations == 0
        assert choice.settings.smoothness == 2.0
        assert "changed" in panel.more.text()

    def test_no_limit_is_none(self, panel):
        assert panel.choice().max_seconds is None

    def test_while_it_runs_nothing_that_it_depends_on_changes(self, panel, tmp_path):
        drop_on(panel.inputs, [tmp_path / "a.nii", tmp_path / "b.nii"])
        panel.set_state(free=True, busy=True)
        assert panel.stop.isEnabled()
        assert not panel.start.isEnabled()
        assert not panel.inputs.fixed.combo.isEnabled()
        assert not panel.form.isEnabled()
        assert panel.compare.isEnabledTo(panel.compare_box)
        panel.set_state(free=True, busy=True, stopping=True)
        assert not panel.stop.isEnabled()
        panel.set_state(free=False, busy=False)
        assert not panel.start.isEnabled()

    def test_keys_go_through_the_tab_in_the_order_that_it_is_read(self, panel):
        panel.inputs.more.setChecked(True)
        wanted = [panel.inputs.fixed.combo, panel.inputs.moving.combo, panel.inputs.more, panel.inputs.initial]
        wanted += [panel.preset, panel.more, panel.seed, panel.start, panel.stop, panel.export, panel.back]
        wanted += [panel.compare.buttons["before"], panel.compare.pulled]
        order, widget = [], panel.inputs.fixed.combo
        for _ in range(200):
            if widget in wanted and widget not in order:
                order.append(widget)
            widget = widget.nextInFocusChain()
        assert order == wanted


class TestTables:
    def test_scores_before_and_after(self, panel):
        panel.set_scores(SCORES, "a note")
        table = panel.scores
        rows = {table.item(k, 0).text(): [table.item(k, c).text() for c in (1, 2)] for k in range(table.rowCount())}
        assert rows["Correlation (NCC)"] == ["0.5000", "0.9000"]
        assert rows["Dice, label 2"] == ["0.4000", "0.8000"]
        assert rows["TRE, largest (mm)"] == ["9.00", "3.00"]
        assert rows["Smallest determinant"] == ["", "−0.100"]
        assert rows["SD of log J"] == ["", "–"]
        assert panel.notes.text() == "a note"
        panel.set_scores(None, "")
        assert table.rowCount() == 0

    def test_what_is_not_known_has_no_line(self):
        bare = {k: v for k, v in SCORES.items() if not k.startswith(("dice", "tre"))}
        words = [row[0] for row in score_rows({**bare, "initial": {"ncc": 0.5}})]
        assert words[0] == "Correlation (NCC)"
        assert not any(word.startswith(("Dice", "TRE")) for word in words)

    def test_landmarks_are_sorted_as_numbers_and_keep_their_rows(self, panel, qtbot):
        panel.show_tab(2)
        table, fixed = panel.landmarks.table, np.arange(9.0).reshape(3, 3)
        panel.landmarks.set_landmarks(fixed, fixed + 1, np.array([9.0, 10.0, 2.0]), np.array([1.0, np.nan, 0.25]))
        table.sortByColumn(AFTER, Qt.SortOrder.AscendingOrder)
        assert [table.item(k, AFTER).text() for k in range(3)] == ["0.25", "1.00", "–"]
        assert [table.item(k, NUMBER).text() for k in range(3)] == ["3", "1", "2"]
        table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
        assert [table.item(k, 1).text() for k in range(3)] == ["10.00", "9.00", "2.00"]
        place = table.visualItemRect(table.item(0, 1)).center()
        with qtbot.waitSignal(panel.landmarks.row_requested) as asked:
            qtbot.mouseClick(table.viewport(), LEFT, pos=place)
        assert asked.args == [1]

    def test_new_errors_stay_sorted_as_the_user_had_them(self, panel):
        table, fixed = panel.landmarks.table, np.zeros((3, 3))
        panel.landmarks.set_landmarks(fixed, fixed, np.ones(3), np.full(3, math.nan))
        table.sortByColumn(AFTER, Qt.SortOrder.DescendingOrder)
        panel.landmarks.set_landmarks(fixed, fixed, np.ones(3), np.array([1.0, 3.0, 2.0]))
        assert [table.item(k, NUMBER).text() for k in range(3)] == ["2", "3", "1"]

    def test_comparisons_are_asked_for(self, panel, qtbot):
        panel.set_pair(True, False)
        with qtbot.waitSignal(panel.compare.show_requested) as asked:
            qtbot.mouseClick(panel.compare.buttons["flicker"], LEFT)
        assert asked.args == ["flicker"]
        panel.compare.set_show("checkerboard")
        assert [n for n, b in panel.compare.buttons.items() if b.isChecked()] == ["checkerboard"]
        panel.compare.set_show("observed")
        assert not any(button.isChecked() for button in panel.compare.buttons.values())
        sizes = []
        panel.compare.square_requested.connect(sizes.append)
        panel.compare.set_square(12.0)  # what it is told it does not ask for
        panel.compare.square.setValue(8.0)
        assert sizes == [8.0]
