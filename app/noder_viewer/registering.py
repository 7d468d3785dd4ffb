"""Registers one pair of images at a time: reads it in the background, drives its thread, fills the session.

What was open before the pair is kept, with a fit that was not saved, until the user goes back to it.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from PySide6.QtCore import QObject, Signal

from noder.errors import REMEDIES, InputError
from noder_viewer.fit_thread import FitThread
from noder_viewer.fitting import CLOSE_WAIT_MS
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.pair_jobs import ExportPair, OpenPair, PairOpened, PairReopened, RegisterChoice, registration_steps
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session, loses_a_fit
from noder_viewer.settings import Settings
from noder_viewer.shown_pair import ShownPair

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

CANCEL, EARLIER, NAN_TO_ZERO = "cancel pair", "earlier pair", "nan_to_zero in pair"
"""Keys of the banner's buttons."""


class Registering(QObject):
    """Emits `opened` once the pair is on screen, then `registered`, or `failed(sentence)`; after either one `ended`.

    `registered` alone for a registration that was opened again.
    Of files: `saved(folder)`, or `not_saved(sentence)`. `writing_changed`: files begin to be written.
    """

    opened = Signal()
    registered = Signal()
    failed = Signal(str)
    ended = Signal()
    saved = Signal(object)
    not_saved = Signal(str)
    writing_changed = Signal()

    def __init__(
        self, window: MainWindow, session: Session, settings: Settings, presenter: Presenter, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings, self._presenter = window, session, settings, presenter
        self._choice: RegisterChoice | None = None
        self._thread: FitThread | None = None
        self._earlier: dict[str, Any] | None = None
        self._look = session.show, session.carry  # how series are looked at
        self._opener, self._writer = Latest(self), Latest(self)
        self._opener.reported.connect(self._on_reported)
        self._opener.done.connect(self._on_opened)
        self._opener.failed.connect(self._on_not_opened)
        self._writer.done.connect(self._on_written)
        self._writer.failed.connect(self._on_not_written)
        presenter.preview_decoded.connect(self._on_preview)

    @property
    def running(self) -> bool:
        """Whether a pair is being read or registered."""
        return self._session.is_registering or self._thread is not None

    @property
    def writing(self) -> bool:
        """Whether files are being written."""
        return self._writer.busy

    @property
    def hides_unsaved(self) -> bool:
        """Whether what can be gone back to would be lost by closing now."""
        kept = self._session.kept
        return kept is not None and loses_a_fit(kept)

    def start(self, choice: RegisterChoice) -> None:
        """Read the pair, show it and register it."""
        if self.running or self._session.activity:
            return
        self._choice = choice
        self._window.banner.clear()
        self._session.progress = None
        self._session.activity = "pairing"
        self._session.status = "Reading the pair"
        self._opener.submit(OpenPair(choice), interrupt=True)

    def stop(self) -> None:
        """Ask the registration to end with what it has; a pair that is still being read is let go."""
        session = self._session
        if session.activity == "pairing":
            self._opener.cancel()
            self._window.banner.clear()
            self._end("Cancelled")
            self.ended.emit()
        elif self._thread is not None:
            self._thread.stop()
            session.activity, session.status = "stopping registration", "Stopping the registration"

    def answer(self, key: str) -> None:
        """The banner's button was pressed."""
        if key == CANCEL:
            self.stop()
        elif key == EARLIER and self._earlier is not None and not self._session.activity:
            earlier, self._earlier = self._earlier, self._taken()
            self._put_back(earlier)
        elif key == NAN_TO_ZERO and self._choice is not None:
            self.start(dataclasses.replace(self._choice, nan_to_zero=True))

    def go_back(self) -> None:
        """Change to what was open before the pair, or to the pair again."""
        if self._session.kept is None or self._session.activity:
            return
        kept, self._session.kept = self._session.kept, self._taken()
        self._put_back(kept)

    def leave(self) -> None:
        """A series takes the pair's place: it is looked at as series were before."""
        if self._session.pair is not None:
            self._session.pair = None
            self._session.show, self._session.carry = self._look

    def take(self, value: PairReopened) -> None:
        """Show a registration that was opened again, as when it was made."""
        session, panel = self._session, self._window.register_panel
        registration = value.shown.registration
        if registration is None:
            return
        self._choice, session.progress = value.choice, None
        self._put_aside()
        self._show(value)
        session.result, session.saved_in = registration.fit, value.folder
        panel.set_choice(value.choice)
        self._window.show_panel(panel)
        self._end(f"Opened {value.folder.name}")
        self._offer_earlier()
        self.registered.emit()

    def write(self, folder: Path, conventions: tuple[str, ...] = ("itk",)) -> None:
        """Write the files of `noder register` into a folder, in the background."""
        shown = self._session.pair
        if shown is None or shown.registration is None or self._writer.busy:
            return
        self._settings.set_folder("export", folder.parent)
        self._session.status = f"Writing {folder.name}…"
        self._writer.submit(ExportPair(shown, folder, conventions))
        self.writing_changed.emit()

    def shut_down(self) -> None:
        """Stop and wait a while; files that are being written are waited for."""
        self._opener.shut_down(CLOSE_WAIT_MS)
        self._writer.shut_down(CLOSE_WAIT_MS)
        if self._thread is not None:
            self._thread.stop()
            self._thread.wait(CLOSE_WAIT_MS)

    def _on_reported(self, words: object) -> None:
        if self._session.activity == "pairing":
            self._window.banner.set_busy(str(words), cancel=CANCEL)

    def _on_opened(self, value: object) -> None:
        if not isinstance(value, PairOpened) or self._session.activity != "pairing" or self._choice is None:
            return
        self._window.banner.clear()
        self._put_aside()
        self._show(value)
        self._session.activity, self._session.status = "registering", "Registering"
        self._thread = FitThread(partial(registration_steps, value.shown, self._choice), self)
        self._thread.progressed.connect(self._on_progress)
        self._thread.finished_with.connect(self._on_registered)
        self._thread.failed.connect(self._on_failed)
        self._thread.finished.connect(self._on_finished)
        self._thread.start()
        self.opened.emit()

    def _put_aside(self) -> None:
        """A series is kept to go back to; a pair before this one, if it was not saved, for a button afterwards."""
        session = self._session
        replaced = self._session.kept
        if session.pair is not None:
            replaced = self._taken()
        else:
            self._look = session.show, session.carry
            if session.series is not None:
                session.kept = self._taken()
        self._earlier = replaced if replaced is not None and loses_a_fit(replaced) else None

    def _show(self, value: PairOpened) -> None:
        """The pair as the window's series, looked at where the moving image lies on the fixed one."""
        from noder_viewer.comparison import FIXED
        from noder_viewer.opening import centre_of

        session, shown = self._session, value.shown
        same_frame = session.grid is not None and session.grid.matches(shown.pair.frame)
        session.preview = session.result = session.saved_in = session.mask = None
        session.hold_out = session.exclude = frozenset()
        session.fits, session.shown_fit = (), 0
        session.followed = ()
        session.window, session.value_range = shown.levels[FIXED], value.value_range
        session.square_mm = _square(shown)
        session.pulled, session.show, session.carry, session.time = "moving", "after", "first", 1.0
        if not same_frame:
            session.cursor_mm = centre_of(shown.pair.frame)
        session.pair = shown
        session.series = shown.pair.series

    def _on_not_opened(self, error: object) -> None:
        if self._session.activity != "pairing":
            return
        self._end("The pair was not opened")
        remedy = error.remedy if isinstance(error, InputError) else None
        button = (NAN_TO_ZERO, REMEDIES[remedy][0]) if remedy == "nan_to_zero" else None
        self._window.banner.set_message(str(error), "error", remedy=button)
        self.failed.emit(str(error))
        self.ended.emit()

    def _on_progress(self) -> None:
        if self._thread is None:
            return
        progress, preview, history = self._thread.take()
        if progress is not None:
            self._session.progress = progress
            self._presenter.show_curves(history, self._window.register_panel)
        if preview is not None:
            self._presenter.decode_preview(preview)

    def _on_preview(self, trajectory: object) -> None:
        if self._thread is not None and self._session.is_registering:
            self._session.preview = cast("Trajectory | None", trajectory)

    def _on_registered(self, value: object) -> None:
        shown = cast(ShownPair, value)
        registration = shown.registration
        if registration is None:
            return
        self._presenter.drop_previews()
        self._session.saved_in = None
        self._session.pair = shown
        self._session.result = registration.fit
        self._end("Stopped; what it had is shown" if registration.fit.stopped else "Registered")
        self._offer_earlier()
        self.registered.emit()

    def _on_failed(self, error: object) -> None:
        from noder_viewer.pair_jobs import in_window_words

        self._presenter.drop_previews()
        self._end("The registration failed")
        sentence = in_window_words(str(error))
        self._window.banner.set_message(sentence)
        self.failed.emit(sentence)

    def _offer_earlier(self) -> None:
        if self._earlier is not None:
            sentence = "The registration before had not been saved."
            self._window.banner.set_message(sentence, "info", remedy=(EARLIER, "Back to it"))

    def _end(self, status: str) -> None:
        self._session.preview = None
        self._session.activity = ""
        self._session.status = status

    def _on_finished(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.wait()
            thread.deleteLater()
        self.ended.emit()

    def _on_written(self, value: object) -> None:
        shown, paths = cast("tuple[ShownPair, list[Path]]", value)
        folder = paths[-1].parent
        if self._session.pair is shown:
            self._session.saved_in = folder
        elif (kept := self._session.kept) is not None and kept["pair"] is shown:
            self._session.kept = {**kept, "saved_in": folder}
        self._session.status = f"{len(paths)} files written to {folder}"
        self.saved.emit(folder)

    def _on_not_written(self, error: object) -> None:
        self._session.status = "The registration was not written"
        self._window.banner.set_message(str(error))
        self.not_saved.emit(str(error))

    def _taken(self) -> dict[str, Any]:
        """What is open now, with how it is looked at."""
        session = self._session
        return {**session.snapshot(), "preview": None, "show": session.show, "carry": session.carry}

    def _put_back(self, kept: dict[str, Any]) -> None:
        session = self._session
        session.progress = None
        session.show, session.carry = kept["show"], kept["carry"]
        session.restore(kept)
        session.status = "Back to the series" if session.pair is None else "Back to the pair"


def _square(shown: ShownPair) -> float:
    """At most sixteen squares along the longest side, a round number of mm."""
    from noder_viewer.ticks import nice_step

    grid = shown.pair.frame
    longest = max(n * step for n, step in zip(grid.shape, grid.spacing, strict=True))
    return float(nice_step(longest / 16))
