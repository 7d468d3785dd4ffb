"""Keeps the meter of the shown map up to date: in the background, the newest request only, and seldom enough.

Two cores are shared with whatever else runs: after each look it rests twice as long as the look took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from noder_viewer.jobs import Reporter, share_cores
from noder_viewer.loader import Latest
from noder_viewer.meter_box import MeterBox
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.soundness import Soundness
    from noder.trajectory import Trajectory

SOON_MS = 120
REST = 2.0
"""Pause after a look, in times of how long it took."""


@dataclass(frozen=True)
class Measured:
    """What was found of `trajectory`, and how many seconds that took."""

    trajectory: Trajectory
    found: Soundness
    seconds: float


@dataclass(frozen=True)
class Measure:
    """Look at a map at one time."""

    trajectory: Trajectory
    time: float

    def __call__(self, task: Reporter) -> Measured:
        from noder.soundness import soundness

        share_cores(leave_one=True)
        start = time.monotonic()
        return Measured(self.trajectory, soundness(self.trajectory, self.time), time.monotonic() - start)


class Metering(QObject):
    """Watches the session; `shown` follows each look that reached the screen."""

    shown = Signal()

    def __init__(self, box: MeterBox, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._box, self._session = box, session
        self._wanted: tuple[Trajectory, float] | None = None
        self._measured: tuple[Trajectory, float] | None = None
        self._looks = False
        self._lane = Latest(self)
        self._lane.done.connect(self._on_measured)
        self._lane.failed.connect(self._on_failed)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._measure)
        for name in ("time", "result", "preview", "pair", "overlays", "series"):
            session.events[name].connect(self._follow)

    @property
    def busy(self) -> bool:
        """Whether a look is on its way."""
        return self._looks or self._timer.isActive()

    def shut_down(self) -> None:
        """Stop measuring."""
        self._timer.stop()
        self._wanted = None
        self._lane.shut_down()

    def _follow(self) -> None:
        trajectory = self._session.trajectory
        if trajectory is None or not self._session.overlays.meter:
            self._timer.stop()
            self._wanted = self._measured = None
            self._box.set_soundness(None)
            return
        self._wanted = trajectory, self._session.time
        if self._is_new() and not self.busy:
            self._timer.start(SOON_MS)

    def _is_new(self) -> bool:
        return self._wanted is not None and (
            self._measured is None or self._wanted[0] is not self._measured[0] or self._wanted[1] != self._measured[1]
        )

    def _measure(self) -> None:
        if self._wanted is not None:
            self._looks = True
            self._lane.submit(Measure(*self._wanted))

    def _on_measured(self, value: object) -> None:
        self._looks = False
        if not isinstance(value, Measured) or self._wanted is None:
            return
        self._measured = value.trajectory, value.found.time
        if value.trajectory is self._session.trajectory:
            from noder_viewer.pictures import time_words

            self._box.set_soundness(value.found, time_words(self._session, value.found.time))
            self.shown.emit()
        if self._is_new():
            self._timer.start(max(SOON_MS, round(1000 * REST * value.seconds)))

    def _on_failed(self, _error: object) -> None:
        """A time so far off that the map has no place there: the pictures say so."""
        self._looks, self._measured = False, self._wanted
        self._box.set_soundness(None)
