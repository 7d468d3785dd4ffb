"""The scores of a pair before and after, as a table."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QWidget

from noder_viewer.number_item import NumberItem, text_item

Row = tuple[str, float | None, float | None, int, str]

_PAIRED = (
    ("ncc", "Correlation (NCC)", 4, "Correlation of both images in the mask; 1 is best"),
    ("dice_mean", "Dice, mean", 4, "Overlap of the labels: 0 none, 1 whole"),
    ("tre_mean_mm", "TRE, mean (mm)", 2, "Target registration error: distance of corresponding landmarks"),
    ("tre_median_mm", "TRE, median (mm)", 2, "Target registration error: distance of corresponding landmarks"),
    ("tre_max_mm", "TRE, largest (mm)", 2, "Target registration error: distance of corresponding landmarks"),
)
_SINGLE = (
    ("folds_percent", "Folds (% of the mask)", 4, "Voxels where the map folds, counted at eight corners"),
    ("min_determinant", "Smallest determinant", 3, "Of the map; at 0 and below it folds"),
    ("sd_log_jacobian", "SD of log J", 3, "How unevenly the map changes volumes"),
    ("inverse_consistency_mm", "Inverse consistency (mm)", 4, "Mean distance after going there and back"),
    ("seconds", "Seconds", 1, "Of the registration, without reading and scoring"),
)


def score_rows(scores: dict[str, Any]) -> list[Row]:
    """Words, before, after, digits and tip of each line; None where there is no such number."""
    initial = scores["initial"]
    rows: list[Row] = [
        (words, initial[name], scores[name], digits, tip) for name, words, digits, tip in _PAIRED if name in scores
    ]
    place = next((k for k, row in enumerate(rows) if row[0].startswith("Dice")), len(rows) - 1) + 1
    rows[place:place] = [
        (f"Dice, label {label}", initial["dice"].get(label), value, 4, "Overlap of this label")
        for label, value in scores.get("dice", {}).items()
    ]
    return rows + [(words, None, scores.get(name), digits, tip) for name, words, digits, tip in _SINGLE]


class ScoreTable(QTableWidget):
    """One line a score; what has no value before the registration has none there."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 3, parent)
        self.setHorizontalHeaderLabels(["", "before", "after"])
        self.setAccessibleName("Scores")
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(22)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ContiguousSelection)
        self.setTabKeyNavigation(False)
        self.setWordWrap(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def set_scores(self, scores: dict[str, Any] | None) -> None:
        """Show what `noder.pair_scores.scores` gave; None for nothing."""
        rows = [] if scores is None else score_rows(scores)
        self.setRowCount(len(rows))
        for k, (words, before, after, digits, tip) in enumerate(rows):
            self.setItem(k, 0, text_item(words, tip))
            for column, value in ((1, before), (2, after)):
                if value is None and column == 1:
                    self.setItem(k, column, text_item("", tip))
                else:
                    self.setItem(k, column, NumberItem(float("nan") if value is None else float(value), digits))
