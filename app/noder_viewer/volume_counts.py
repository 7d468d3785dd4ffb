"""Finds out how many volumes the images of the Register tab hold, off the window's thread: headers can lie far away."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject

from noder_viewer.loader import Latest
from noder_viewer.pair_jobs import CountVolumes
from noder_viewer.register_inputs import RegisterInputs

if TYPE_CHECKING:
    from pathlib import Path


class VolumeCounts(QObject):
    """Counts the volumes of every file that is chosen, once."""

    def __init__(self, inputs: RegisterInputs, parent: QObject) -> None:
        super().__init__(parent)
        self._inputs = inputs
        self._counter = Latest(self)
        self._counter.done.connect(self._on_counted)
        inputs.changed.connect(self._on_changed)

    @property
    def busy(self) -> bool:
        """Whether files are being looked at."""
        return self._counter.busy

    def shut_down(self) -> None:
        """Stop counting."""
        self._counter.shut_down()

    def _on_changed(self) -> None:
        if paths := self._inputs.uncounted():
            self._counter.submit(CountVolumes(paths))

    def _on_counted(self, counts: object) -> None:
        self._inputs.set_volumes(cast("dict[Path, int]", counts))
