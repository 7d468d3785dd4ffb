"""The `QThread` that drives a fit: it holds it, sends the wish to stop in and brings the newest progress out."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QThread, Signal

from noder_viewer.loader import as_sentence

if TYPE_CHECKING:
    from noder.fit import FitProgress
    from noder.trajectory import Trajectory

Steps = Generator["FitProgress", "bool | None", Any]

REPORT_EVERY_S = 0.05
"""Progress is announced at most this often: about 20 Hz, which is what an eye can follow."""


class FitThread(QThread):
    """Drives the generator that `make_steps()` returns (called in the thread, as it may import torch).

    `progressed` carries no value: the GUI thread takes the newest with `take()`, so that a busy window skips
    states instead of queueing them. Then comes `finished_with(what the generator returns)` or `failed(NoderError)`.
    """

    progressed = Signal()
    finished_with = Signal(object)
    failed = Signal(object)

    def __init__(self, make_steps: Callable[[], Steps], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._make_steps = make_steps
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()
        self._lock = threading.Lock()
        self._newest: FitProgress | None = None
        self._preview: Trajectory | None = None
        self._history: list[FitProgress] = []
        self._announced = False  # and not yet taken: announce no further until the window has looked
        self._announced_at = 0.0

    def run(self) -> None:
        """The thread's body."""
        try:
            result = self._drive(self._make_steps())
        except Exception as error:  # noqa: BLE001  whatever it is, the window says it and stays up
            self.failed.emit(as_sentence(error))
        else:
            self.finished_with.emit(result)

    def stop(self) -> None:
        """Ask the fit to end after the step it is in; it then finishes with what it has."""
        self._stop.set()
        self._go.set()

    def pause(self) -> None:
        """Hold the fit after the step it is in; `stop` works as ever."""
        self._go.clear()

    def resume(self) -> None:
        """Let a fit that is held go on."""
        self._go.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called."""
        return self._stop.is_set()

    def take(self) -> tuple[FitProgress | None, Trajectory | None, list[FitProgress]]:
        """The newest progress and preview since the last call (None: nothing new), and the whole history."""
        with self._lock:
            self._announced = False
            newest, self._newest = self._newest, None
            preview, self._preview = self._preview, None
            return newest, preview, list(self._history)

    def _drive(self, steps: Steps) -> object:
        try:
            progress = next(steps)
            while True:
                self._put(progress)
                self._go.wait()
                progress = steps.send(True if self._stop.is_set() else None)
        except StopIteration as end:
            return end.value

    def _put(self, progress: FitProgress) -> None:
        plain = dataclasses.replace(progress, trajectory=None)
        now = time.monotonic()
        with self._lock:
            self._newest = plain
            self._history.append(plain)
            if progress.trajectory is not None:
                self._preview = progress.trajectory
            due = not self._announced and now - self._announced_at >= REPORT_EVERY_S
            if due:
                self._announced, self._announced_at = True, now
        if due:
            self.progressed.emit()
