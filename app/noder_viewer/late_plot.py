"""Room for a plot of values that is not made before it is needed: the window would start later by 40 ms for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from PySide6.QtCore import QSize, QTimer
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import QVBoxLayout, QWidget

ROOM = QSize(100, 110)
Plot = TypeVar("Plot", bound=QWidget)


class LatePlot(QWidget, Generic[Plot]):
    """Holds what `make` returns, called once: when the room is first seen, or when the plot is first asked for."""

    def __init__(self, make: Callable[[], Plot]) -> None:
        super().__init__()
        self._make = make
        self.made: Plot | None = None
        QVBoxLayout(self).setContentsMargins(0, 0, 0, 0)

    @property
    def plot(self) -> Plot:
        """The plot, made now if there was none."""
        return self._made_now() if self.made is None else self.made

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint() if self.made is not None else ROOM  # of nothing, nothing would be seen

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if self.made is None:  # not in `showEvent`, which docks behind other tabs have too
            QTimer.singleShot(0, self._on_seen)

    def _on_seen(self) -> None:
        if self.made is None:  # it may have been asked for since
            self._made_now()

    def _made_now(self) -> Plot:
        self.made = self._make()
        layout = self.layout()
        assert layout is not None
        layout.addWidget(self.made)
        self.setSizePolicy(self.made.sizePolicy())
        return self.made
