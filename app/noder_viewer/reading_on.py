"""Reads the rest of a series while its first scan is already on screen, and takes over what all scans together tell.

What the user has set meanwhile stays: grey levels that were chosen, times, boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from noder.errors import REMEDIES
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.presenter import Presenter
from noder_viewer.rest_jobs import Levels, LookForOffer, ReadRest, Unreadable
from noder_viewer.session import Session
from noder_viewer.words import for_window, notes_on_voxels

if TYPE_CHECKING:
    from noder.image import Image
    from noder.series import ImageSeries

NAN_TO_ZERO = "nan_to_zero"


class ReadingOn(QObject):
    """Lives in the GUI thread. `failed(sentence)`: a scan cannot be used and is left out; `looked`: for an offer.

    `unrecorded(change)` makes a change that is no step of the user's, to be undone by nobody.
    """

    failed = Signal(str)
    looked = Signal()

    def __init__(self, window: MainWindow, session: Session, presenter: Presenter, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._presenter = window, session, presenter
        self._series: ImageSeries | None = None
        self._levels = (0.0, 0.0)
        self._found: list[Unreadable | Levels] = []
        self.unrecorded: Callable[[Callable[[], None]], None] = lambda change: change()
        self._unreadable: list[Unreadable] = []
        self._rest, self._look = Latest(self), Latest(self)
        self._rest.reported.connect(self._on_reported)
        self._rest.done.connect(self._on_found)
        self._look.done.connect(self._on_looked)
        for lane in (self._rest, self._look):
            lane.failed.connect(presenter.failed)
        session.events.series.connect(self._take_over)

    @property
    def busy(self) -> bool:
        """Whether scans are being read or looked at."""
        return self._rest.busy or self._look.busy

    @property
    def is_reading(self) -> bool:
        """Whether the grey levels of all scans are still to come."""
        return self._rest.busy

    def start(self, series: ImageSeries) -> None:
        """Read the scans of a series that has just been shown, with the grey levels of its first scan."""
        self.cancel()
        self._levels = self._session.window
        self._read(series)

    def cancel(self) -> None:
        """Another series takes its place."""
        self._series = None
        self._found, self._unreadable = [], []
        self._rest.cancel()
        self._look.cancel()

    def follow_levels(self) -> None:
        """Let the grey levels be those of all scans as soon as these have been read."""
        self._session.window = self._levels

    def mend(self, remedy: str) -> bool:
        """Read 0 in place of what is not finite in the scans that were left out for it; False where there is none."""
        series, ill = self._session.series, {id(one.image) for one in self._unreadable if one.error.remedy == remedy}
        if remedy != NAN_TO_ZERO or not ill or series is None or not self._is_shown():
            return False
        places = {k for k, scan in enumerate(series.scans) if id(scan.image) in ill}
        images = [scan.image.replacing_nan() if k in places else scan.image for k, scan in enumerate(series.scans)]
        self.cancel()
        self._session.exclude -= places
        self._session.series = series.with_images(images)
        self._read(self._session.series)
        return True

    def shut_down(self) -> None:
        """Stop reading."""
        self._rest.shut_down()
        self._look.shut_down()

    def _read(self, series: ImageSeries) -> None:
        self._series = series
        self._rest.submit(ReadRest(series), interrupt=True)

    def _is_shown(self) -> bool:
        """Not while a pair is looked at; edited times give another series of the same images, or of some of them."""
        ours, shown = self._series, self._session.series
        return ours is not None and shown is not None and _images(shown) <= _images(ours)

    def _on_reported(self, value: object) -> None:
        if isinstance(value, Unreadable):
            self._on_found(value)
        elif self._is_shown():
            self._session.status = str(value)

    def _on_found(self, value: object) -> None:
        if isinstance(value, Unreadable | Levels):
            self._found.append(value)
            self._take_over()

    def _take_over(self) -> None:
        if not self._is_shown():
            return
        found, self._found = self._found, []
        for value in found:
            if isinstance(value, Levels):
                self.unrecorded(partial(self._set_levels, value))
            else:
                self.unrecorded(partial(self._leave_out, value))

    def _leave_out(self, one: Unreadable) -> None:
        session, series = self._session, self._session.series
        places = {k for k, scan in enumerate(series.scans if series else ()) if scan.image is one.image}
        if not places:
            return
        session.hold_out -= places
        session.exclude |= places
        self._unreadable.append(one)
        they = "it is" if len(self._unreadable) == 1 else "they are"
        sentence = "  ".join([*(str(each.error) for each in self._unreadable), f"Until then {they} left out."])
        mendable = any(each.error.remedy == NAN_TO_ZERO for each in self._unreadable)
        button = (NAN_TO_ZERO, REMEDIES[NAN_TO_ZERO][0]) if mendable else None
        self._window.banner.set_message(sentence, "error", remedy=button)
        self.failed.emit(sentence)

    def _set_levels(self, levels: Levels) -> None:
        session, series = self._session, self._session.series
        if levels.series is not self._series or series is None:
            return
        if session.window == self._levels:
            session.window = self._levels = levels.window
        session.value_range, session.status = levels.value_range, "Ready"
        self._presenter.mark("series")  # tips tell of voxels now
        self._say(notes_on_voxels(series))
        if not self._unreadable:
            self._look.submit(LookForOffer(series))

    def _on_looked(self, note: object) -> None:
        if note and self._is_shown():
            self._say([for_window(f"{str(note)[0].upper()}{str(note)[1:]}.")])
            self.looked.emit()

    def _say(self, notes: list[str]) -> None:
        """Beside what stands in the banner already; a sentence with a button stays alone."""
        banner = self._window.banner
        if notes and (not banner.text or banner.button.isHidden()):
            banner.set_message("  ".join(filter(None, (banner.text, *notes))), "info")


def _images(series: ImageSeries) -> frozenset[Image]:
    return frozenset(scan.image for scan in series.scans)
