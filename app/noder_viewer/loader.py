"""Work that must not run in the GUI thread: one task, and a lane in which the newest request wins.

Slots have to be bound methods of QObjects that live in the GUI thread: with the sender in a `QThread`, Qt
runs plain functions and lambdas in the worker, where they would touch widgets.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from PySide6.QtCore import QObject, QThread, Signal

from noder.errors import NoderError

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised by a task's work to end without a result."""


def as_sentence(error: BaseException) -> NoderError:
    """`error` if it is one of ours, else one of ours with a sentence; its trace goes to the log."""
    if isinstance(error, NoderError):
        return error
    log.error("unexpected error", exc_info=error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return NoderError("There is not enough memory for this. Close other programs, or use fewer or smaller scans.")
    return NoderError(f"Something unexpected went wrong ({type(error).__name__}: {error}). Details are in the log.")


class Task(QThread):
    """Runs `work(task)` in a thread of its own; emits `succeeded(result)` or `failed(NoderError)`."""

    reported = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(self, work: Callable[[Task], object], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._work = work
        self._cancel = threading.Event()

    def run(self) -> None:
        """The thread's body."""
        try:
            result = self._work(self)
        except Cancelled:
            return
        except Exception as error:  # noqa: BLE001  a thread's last line of defence
            self.failed.emit(as_sentence(error))
        else:
            if not self._cancel.is_set():
                self.succeeded.emit(result)

    def report(self, value: object) -> None:
        """Called by the work: hand an intermediate value to the GUI thread, or leave when cancelled."""
        self.check_cancelled()
        self.reported.emit(value)

    def check_cancelled(self) -> None:
        """Called by the work between two pieces of it. Raises `Cancelled`."""
        if self._cancel.is_set():
            raise Cancelled

    def cancel(self) -> None:
        """Ask the work to end; nothing is emitted afterwards by work that looks."""
        self._cancel.set()


class Latest(QObject):
    """A lane of work where the newest request wins: an older one that still waits is dropped."""

    reported = Signal(object)
    done = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._waiting: Callable[[Task], object] | None = None
        self._is_down = False

    @property
    def busy(self) -> bool:
        """Whether something runs."""
        return self._task is not None

    def submit(self, work: Callable[[Task], object], *, interrupt: bool = False) -> None:
        """Run `work` now, or after what runs now. `interrupt` also asks what runs now to give up.

        Nothing is begun after `shut_down`: nobody would wait for it.
        """
        if self._is_down:
            return
        if self._task is None:
            self._start(work)
            return
        self._waiting = work
        if interrupt:
            self._task.cancel()

    def cancel(self) -> None:
        """Drop what waits and ask what runs to end."""
        self._waiting = None
        if self._task is not None:
            self._task.cancel()

    def shut_down(self, wait_ms: int = 15_000) -> None:
        """Cancel and wait: a `QThread` must not be destroyed while it runs. Nothing is emitted any more.

        What the task has just sent may still be on its way, to widgets that are gone by then.
        """
        self._is_down = True
        self.cancel()
        if self._task is not None:
            self._task.wait(wait_ms)

    def _start(self, work: Callable[[Task], object]) -> None:
        self._task = Task(work, self)
        self._task.reported.connect(self._on_reported)
        self._task.succeeded.connect(self._on_succeeded)
        self._task.failed.connect(self._on_failed)
        self._task.finished.connect(self._on_finished)
        self._task.start()

    def _is_stale(self) -> bool:
        return self._is_down or self.sender() is not self._task

    def _on_reported(self, value: object) -> None:
        if not self._is_stale():
            self.reported.emit(value)

    def _on_succeeded(self, value: object) -> None:
        if not self._is_stale():
            self.done.emit(value)

    def _on_failed(self, error: object) -> None:
        if not self._is_stale():
            self.failed.emit(error)

    def _on_finished(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.wait()
            task.deleteLater()
        if self._waiting is not None:
            work, self._waiting = self._waiting, None
            self._start(work)
