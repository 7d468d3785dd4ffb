"""The middle of the window: slices, the 3D view and the lightbox, laid out as `layouts` says."""

from __future__ import annotations

from PySide6.QtWidgets import QGridLayout, QStackedLayout, QWidget

from noder_viewer.layouts import AXIAL, CORONAL, SAGITTAL, VOLUME, Layout, Place, places
from noder_viewer.lightbox_view import LightboxView
from noder_viewer.slices import SliceView
from noder_viewer.volume import VolumeView


class PictureArea(QWidget):
    """Shows some of its views; what is hidden is not drawn."""

    def __init__(self, slices: tuple[SliceView, ...], volume: VolumeView, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.views: dict[int, QWidget] = {
            AXIAL: slices[AXIAL],
            SAGITTAL: slices[SAGITTAL],
            CORONAL: slices[CORONAL],
            VOLUME: volume,
        }
        self.lightbox = LightboxView()
        self._layout: Layout | None = None
        page = QWidget()
        self._grid = QGridLayout(page)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(page)
        self._stack.addWidget(self.lightbox)
        self.set_layout(Layout())

    def set_layout(self, layout: Layout) -> None:
        """Lay the views out."""
        if layout == self._layout:
            return
        self._layout = layout
        self._stack.setCurrentIndex(int(layout.kind == "lightbox"))
        found = places(layout)
        if found:
            self._place(found)

    def shows(self, view: int) -> bool:
        """Whether a view has a place on the screen."""
        return self._stack.currentIndex() == 0 and not self.views[view].isHidden()

    def _place(self, found: dict[int, Place]) -> None:
        for view, widget in self.views.items():
            self._grid.removeWidget(widget)
            if view in found:
                self._grid.addWidget(widget, *found[view])  # first: what has no parent would show as a window
            widget.setVisible(view in found)
        rows = max(row + n for row, _, n, _ in found.values())
        columns = max(column + n for _, column, _, n in found.values())
        for k in range(4):  # a grid keeps the rows and columns that it once had
            self._grid.setRowStretch(k, int(k < rows))
            self._grid.setColumnStretch(k, int(k < columns))
