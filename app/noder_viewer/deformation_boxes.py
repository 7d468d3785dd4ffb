"""Switches of the Display panel for growth and motion, each with the numbers that belong to it."""

from __future__ import annotations

from PySide6.QtWidgets import QCheckBox, QDoubleSpinBox, QFormLayout, QGroupBox


class RateBox(QGroupBox):
    """Whether the rate of growth is shown, and on what scale."""

    def __init__(self) -> None:
        super().__init__("Growth rate: above 0 where tissue is growing")
        self.setProperty("switch", True)
        self.setCheckable(True)
        self.setToolTip("Divergence of the tissue's own velocity at the time shown; takes the place of log J")
        self.limit = spin(0.0, 1e6, 1.0, "", "Half width of the colours, in % per unit of time")
        self.limit.setDecimals(2)
        self.limit.setSpecialValueText("automatic")
        self.limit.setPrefix("± ")
        form(self).addRow("Colours", self.limit)


class GridBox(QGroupBox):
    """Whether the warped grid is shown, and how wide its meshes are."""

    def __init__(self) -> None:
        super().__init__("Grid: lines that move with the tissue")
        self.setProperty("switch", True)
        self.setCheckable(True)
        self.setToolTip("Lines of a regular grid, carried by the map from the time since when to the time shown")
        self.spacing = spin(1.0, 100.0, 1.0, " mm", "Distance between the lines before they were carried")
        form(self).addRow("Spacing", self.spacing)


def contours_box() -> QCheckBox:
    """The switch of the contours."""
    box = QCheckBox("Contours: how far tissue has moved, in mm")
    box.setToolTip("Lines of equal length of motion, all directions counted; the legend is below the slices")
    return box


def folds_box() -> QCheckBox:
    """The switch of the outlines of folds."""
    box = QCheckBox("Folds: outlined, with or without colours")
    box.setToolTip("Voxels whose map has a determinant of zero or less at any of their eight corners")
    return box


def form(box: QGroupBox) -> QFormLayout:
    """Rows inside of a group."""
    form = QFormLayout(box)
    form.setContentsMargins(8, 4, 8, 6)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def spin(lo: float, hi: float, step: float, suffix: str, tip: str) -> QDoubleSpinBox:
    """A number that is taken when its field is left."""
    box = QDoubleSpinBox()
    box.setRange(lo, hi)
    box.setSingleStep(step)
    box.setDecimals(1)
    box.setSuffix(suffix)
    box.setToolTip(tip)
    box.setAccessibleName(tip)
    box.setKeyboardTracking(False)
    return box
