"""A button with the presets of grey levels."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import SignalInstance
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from noder_viewer.window_presets import CT, PRESETS


class PresetMenu(QPushButton):
    """Emits the name of the chosen preset through `requested`."""

    def __init__(self, requested: SignalInstance, parent: QWidget | None = None) -> None:
        super().__init__("Presets", parent)
        menu = QMenu(self)
        self._choices = {name: menu.addAction(words) for name, words in PRESETS.items()}
        for name, action in self._choices.items():
            action.triggered.connect(partial(self._choose, name))
        self._requested = requested
        self.setMenu(menu)

    def set_ct(self, ct: bool) -> None:
        """Offer those of CT where values can be Hounsfield units."""
        for name in CT:
            self._choices[name].setVisible(ct)

    def _choose(self, name: str, _checked: bool = False) -> None:
        self._requested.emit(name)
