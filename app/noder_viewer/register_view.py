"""From the session to the Register tab: what changed is shown once, at the next turn of the event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from noder_viewer.main_window import MainWindow
from noder_viewer.registering import Registering
from noder_viewer.session import Session
from noder_viewer.words import pair_notes, registering_words, registration_outcome, scan_labels

if TYPE_CHECKING:
    from noder.series import ImageSeries
    from noder_viewer.shown_pair import ShownPair

_FIELDS = ("pair", "series", "result", "preview", "progress", "kept", "activity")
_LOOKS = ("saved_in", "show", "pulled", "square_mm", "overlays")


class RegisterView(QObject):
    """Reads the session and calls the tab's setters; it never writes the session."""

    def __init__(self, window: MainWindow, session: Session, registering: Registering, parent: QObject) -> None:
        super().__init__(parent)
        self._window, self._session, self._registering = window, session, registering
        self._scans: ImageSeries | None = None
        self._scored: ShownPair | None = None
        self._marked: tuple[object, object] | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self.refresh)
        for name in (*_FIELDS, *_LOOKS):
            session.events[name].connect(self.mark)
        for signal in (registering.writing_changed, registering.saved, registering.not_saved, registering.ended):
            signal.connect(self.mark)
        self.mark()

    def mark(self, *_: object) -> None:
        """Show all at the next turn of the event loop."""
        if not self._turn.isActive():
            self._turn.start()

    def refresh(self) -> None:
        """Show everything now."""
        self._turn.stop()
        self._show_state()
        self._show_scans()
        self._show_compare()
        self._show_scores()
        self._show_landmarks()
        self._show_progress()

    def shut_down(self) -> None:
        """Show nothing any more."""
        self._turn.stop()

    def _show_state(self) -> None:
        session, panel = self._session, self._window.register_panel
        panel.set_state(
            free=not session.activity or session.is_registering,
            busy=session.is_registering,
            stopping=session.activity == "stopping registration",
        )
        shown = session.pair
        registered = shown is not None and shown.registration is not None
        panel.set_pair(shown is not None, registered and not session.activity and not self._registering.writing)
        panel.set_back(_back_words(session.kept), not session.activity)

    def _show_scans(self) -> None:
        """Of the open series; a pair on screen is no series to choose from, so its series' scans stay."""
        session = self._session
        if session.pair is not None or session.series is self._scans:
            return
        self._scans = session.series
        inputs, series = self._window.register_panel.inputs, session.series
        if series is None:
            inputs.set_scans([])
            return
        labels = [f"Scan {k}: {label}" for k, label in enumerate(scan_labels(series))]
        inputs.set_scans([(label, scan.image) for label, scan in zip(labels, series.scans, strict=True)])
        path = series.reference.image.path
        if path is not None:
            inputs.set_folder(path.parent)

    def _show_compare(self) -> None:
        session = self._session
        bars = (self._window.register_panel.compare, self._window.overlay_panel.compare)
        for bar in bars:
            bar.set_show(session.show_shown)
            bar.set_pulled(session.pulled)
            bar.set_square(session.square_mm)
        self._window.overlay_panel.set_pair(session.pair is not None)
        self._window.register_panel.landmarks.set_marks_visible(session.overlays.landmarks)

    def _show_scores(self) -> None:
        shown = self._session.pair
        if shown is self._scored:
            return
        self._scored = shown
        scores: dict[str, Any] | None = None if shown is None else shown.scores
        if shown is None:
            self._window.register_panel.curves.clear()
        self._window.register_panel.set_scores(scores, "" if shown is None else pair_notes(shown))

    def _show_landmarks(self) -> None:
        session, table = self._session, self._window.register_panel.landmarks
        shown = session.pair
        known = (shown, session.trajectory)
        if self._marked is not None and known[0] is self._marked[0] and known[1] is self._marked[1]:
            return
        self._marked = known
        if shown is None or shown.landmarks is None:
            table.set_landmarks(None, None, None, None)
            return
        from noder_viewer.landmark_marks import errors_after, errors_before

        points = shown.landmarks
        table.set_landmarks(points.fixed, points.moving, errors_before(shown), errors_after(session))

    def _show_progress(self) -> None:
        session, panel, p = self._session, self._window.register_panel, self._session.progress
        if session.is_registering and p is not None and session.activity != "pairing":
            panel.set_progress(p.step / p.total if p.total else None, registering_words(session))
        elif session.is_registering:
            panel.set_progress(None, "Reading the pair…" if session.activity == "pairing" else "Preparing…")
        else:
            panel.set_progress(0.0, registration_outcome(session))


def _back_words(kept: dict[str, Any] | None) -> str:
    if kept is None:
        return ""
    return "Back to the series" if kept["pair"] is None else "Back to the pair"
