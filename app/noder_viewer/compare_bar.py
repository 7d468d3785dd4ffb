"""How the two images of a pair are compared: before, after, squares, flicker, and which one is pulled."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QPushButton, QWidget

from noder_viewer.session import COMPARISONS, PULLED, Pulled

_TITLES = {"before": "Before", "after": "After", "checkerboard": "Checkerboard", "flicker": "Flicker"}
_TIPS = {
    "before": "The image that is pulled, where the initial alignment lays it (5)",
    "after": "The image that is pulled, as the map carries it at the time of the timeline (6)",
    "checkerboard": "Squares of the one image and of the pulled other: edges that run on across them fit (7)",
    "flicker": "The one image and the pulled other in turn: what jumps does not fit (8)",
}


class CompareBar(QWidget):
    """Four buttons; the direction and the size of the squares unless it is `brief`."""

    show_requested = Signal(str)
    pulled_requested = Signal(str)
    square_requested = Signal(float)

    def __init__(self, parent: QWidget | None = None, *, brief: bool = False) -> None:
        super().__init__(parent)
        self._loading = False
        self.buttons: dict[str, QPushButton] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(4)
        for position, show in enumerate(COMPARISONS):
            button = QPushButton(_TITLES[show])
            button.setCheckable(True)
            button.setToolTip(_TIPS[show])
            button.setObjectName(show)
            button.clicked.connect(self._on_button)
            self.buttons[show] = button
            grid.addWidget(button, position // 2, position % 2)
        self.options = self._make_options()
        self.options.setVisible(not brief)
        grid.addWidget(self.options, 2, 0, 1, 2)

    def set_show(self, show: str) -> None:
        """Mark what is shown; none of the buttons where it is another than theirs."""
        for name, button in self.buttons.items():
            button.setChecked(name == show)

    def set_pulled(self, pulled: Pulled) -> None:
        """Mark the direction, a key of `PULLED`."""
        self.pulled.setCurrentIndex(self.pulled.findData(pulled))

    def set_square(self, size_mm: float) -> None:
        """Show the size of the squares."""
        self._loading = True
        self.square.setValue(size_mm)
        self._loading = False

    def _make_options(self) -> QWidget:
        self.pulled = QComboBox()
        for pulled, text in PULLED.items():
            self.pulled.addItem(text, pulled)
        self.pulled.setToolTip(
            "The direction. The pulled image is the one that bends: the moving one by the map,\n"
            "the fixed one by its inverse. Both are seen in the fixed image's frame. (D)"
        )
        self.pulled.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.pulled.setMinimumContentsLength(10)
        self.pulled.activated.connect(self._on_pulled)
        self.square = QDoubleSpinBox()
        self.square.setAccessibleName("Side of the squares")
        self.square.setRange(0.5, 500.0)
        self.square.setDecimals(1)
        self.square.setSuffix(" mm")
        self.square.setKeyboardTracking(False)
        self.square.setToolTip("Side of a square of the checkerboard")
        self.square.valueChanged.connect(self._on_square)
        options = QWidget(self)
        rows = QGridLayout(options)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(4)
        rows.addWidget(self.pulled, 0, 0, 1, 2)
        rows.addWidget(QLabel("Squares"), 1, 0)
        rows.addWidget(self.square, 1, 1)
        rows.setColumnStretch(1, 1)
        return options

    def _on_button(self) -> None:
        button = self.sender()
        if isinstance(button, QPushButton):
            self.show_requested.emit(button.objectName())

    def _on_pulled(self) -> None:
        self.pulled_requested.emit(self.pulled.currentData())

    def _on_square(self, value: float) -> None:
        if not self._loading:
            self.square_requested.emit(value)
