"""The brush: in the hand or not, what it paints, how large it is; undo, redo, and saving what was drawn."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, QSize, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from noder_viewer.region_state import Brush, Colour

STEP = 1.25
SMALLEST_MM, LARGEST_MM = 0.2, 100.0


class BrushBar(QGroupBox):
    """Emits the brush that is wanted, None to put it down."""

    brush_requested = Signal(object)
    undo_requested = Signal()
    redo_requested = Signal()
    save_requested = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Draw", parent)
        self._drawable = False
        self._colour: Colour | None = None
        self.paint, self.erase = QPushButton("Brush"), QPushButton("Eraser")
        self.paint.setToolTip("Drag on a slice to paint (Shift+B); the wheel still changes the slice")
        self.erase.setToolTip("Drag on a slice to erase (Shift+E)")
        for button in (self.paint, self.erase):
            button.setCheckable(True)
            button.clicked.connect(self._on_hand)
        self.label = QSpinBox()
        self.label.setRange(1, 65535)
        self.label.setAccessibleName("Label to paint")
        self.label.setToolTip("The number that is painted; a click on a region below chooses it")
        self.label.valueChanged.connect(self._on_changed)
        self.swatch = QLabel()
        self.radius = QDoubleSpinBox()
        self.radius.setRange(SMALLEST_MM, LARGEST_MM)
        self.radius.setDecimals(1)
        self.radius.setSingleStep(0.5)
        self.radius.setSuffix(" mm")
        self.radius.setValue(Brush().radius_mm)
        self.radius.setAccessibleName("Radius of the brush")
        self.radius.setToolTip("Radius of the brush ( [ and ] )")
        self.radius.valueChanged.connect(self._on_changed)
        self.shape = QComboBox()
        self.shape.addItem("Disc (2D)", False)
        self.shape.addItem("Ball (3D)", True)
        self.shape.setAccessibleName("Shape of the brush")
        self.shape.setToolTip("A disc in the slice, or a ball that reaches into its neighbours")
        self.shape.activated.connect(self._on_changed)
        self.undo, self.redo, self.save = QPushButton("Undo"), QPushButton("Redo"), QPushButton("Save…")
        self.undo.setToolTip("Take back the last stroke (Ctrl+Alt+Z)")
        self.redo.setToolTip("Paint it again (Ctrl+Alt+Y)")
        self.save.setToolTip("As NIfTI, on the voxels of the first scan")
        self.undo.clicked.connect(self.undo_requested)
        self.redo.clicked.connect(self.redo_requested)
        self.save.clicked.connect(self.save_requested)
        self._lay_out()
        self.set_brush(None)
        self.set_undo(can_undo=False, can_redo=False)

    def brush(self) -> Brush | None:
        """What is in the hand."""
        if not (self.paint.isChecked() or self.erase.isChecked()):
            return None
        ball = bool(self.shape.currentData())
        return Brush(self.radius.value(), ball, self.label.value(), erases=self.erase.isChecked())

    def set_brush(self, brush: Brush | None) -> None:
        """Show what is in the hand; its settings stay when it is put down."""
        shown = brush or Brush(self.radius.value(), bool(self.shape.currentData()), self.label.value())
        blockers = [QSignalBlocker(widget) for widget in (self.radius, self.label, self.shape)]
        self.paint.setChecked(brush is not None and not brush.erases)
        self.erase.setChecked(brush is not None and brush.erases)
        self.radius.setValue(shown.radius_mm)
        self.label.setValue(shown.label)
        self.shape.setCurrentIndex(int(shown.ball))
        for blocker in blockers:
            blocker.unblock()

    def set_colour(self, colour: Colour) -> None:
        """That of the label that is painted. Told at every step in time: a new icon lays the whole window out anew."""
        if colour == self._colour:
            return
        self._colour = colour
        pixmap = QPixmap(14, 14)
        pixmap.fill(QColor(*colour))
        self.swatch.setPixmap(pixmap)
        self.paint.setIcon(QIcon(pixmap))
        self.paint.setIconSize(QSize(11, 11))

    def set_label(self, label: int) -> None:
        """Choose the label to paint, as the spin box does."""
        self.label.setValue(label)

    def set_available(self, drawable: bool, has_regions: bool) -> None:
        """Whether there is something to draw on, and something to save."""
        self._drawable = drawable
        self.setEnabled(drawable)
        self.save.setEnabled(has_regions)

    def set_undo(self, *, can_undo: bool, can_redo: bool) -> None:
        """Whether there are strokes to take back, or to paint again."""
        self.undo.setEnabled(can_undo)
        self.redo.setEnabled(can_redo)

    def toggle(self, *, erases: bool) -> None:
        """As a press on Brush or Eraser."""
        if self._drawable:
            (self.erase if erases else self.paint).click()

    def resize_brush(self, *, larger: bool) -> None:
        """A radius one step larger or smaller."""
        self.radius.setValue(self.radius.value() * STEP if larger else self.radius.value() / STEP)

    def _lay_out(self) -> None:
        for box, width in ((self.shape, 90), (self.radius, 76), (self.label, 52)):
            box.setMinimumWidth(width)  # a style asks for more than their texts need, and the window has to stay small
        grid = QGridLayout()
        grid.setSpacing(4)
        grid.addWidget(self.paint, 0, 0)
        grid.addWidget(self.erase, 0, 1)
        label = QHBoxLayout()
        label.addWidget(self.swatch)
        caption = QLabel("Label")
        caption.setBuddy(self.label)
        label.addWidget(caption)
        label.addWidget(self.label, 1)
        grid.addLayout(label, 0, 2)
        grid.addWidget(self.shape, 1, 0)
        grid.addWidget(self.radius, 1, 1)
        grid.addWidget(self.save, 1, 2)
        grid.addWidget(self.undo, 2, 0)
        grid.addWidget(self.redo, 2, 1)
        for column in range(3):
            grid.setColumnStretch(column, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 6)
        layout.addLayout(grid)

    def _on_hand(self) -> None:
        """One of both is in the hand, or none."""
        button, other = (self.paint, self.erase) if self.sender() is self.paint else (self.erase, self.paint)
        if button.isChecked():
            other.setChecked(False)
        self.brush_requested.emit(self.brush())

    def _on_changed(self) -> None:
        self.brush_requested.emit(self.brush())
