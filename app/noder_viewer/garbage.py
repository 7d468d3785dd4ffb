"""Cyclic garbage is collected in the GUI thread alone: a widget that dies in another takes the program with it."""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer

EVERY_MS = 500


class GuiGarbage(QObject):
    """Switches Python's own collector off, which runs in whatever thread allocates, and collects on a timer instead.

    A fit allocates much, so that closed dialogs and replaced plot items would be destroyed in its thread; measured:
    that ends in a segmentation fault each time.
    """

    _alive = 0
    _has_spared = False

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._is_down, self._imports_run = False, False
        GuiGarbage._alive += 1
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.collect)
        self._timer.start()

    def collect(self) -> None:
        """Collect the generations that are due, by Python's own thresholds; the youngest alone while imports run."""
        for generation, (count, limit) in reversed(
            list(enumerate(zip(gc.get_count(), gc.get_threshold(), strict=True)))
        ):
            if count > limit > 0 and not (self._imports_run and generation):
                gc.collect(generation)
                return

    def wait_for_imports(self, *, run: bool) -> None:
        """Whether half a million objects are being loaded: all of them would be looked at, 0.3 s, and spared soon."""
        self._imports_run = run

    def spare_what_is_loaded(self) -> None:
        """Never look again at what lives now, once a process: modules of torch and napari, 0.3 s a look."""
        self.wait_for_imports(run=False)
        if not GuiGarbage._has_spared:
            GuiGarbage._has_spared = True
            gc.freeze()

    def shut_down(self) -> None:
        """Hand collecting back to Python, once the last window has closed."""
        if self._is_down:
            return
        self._is_down = True
        self._timer.stop()
        GuiGarbage._alive -= 1
        if GuiGarbage._alive == 0:
            gc.enable()
