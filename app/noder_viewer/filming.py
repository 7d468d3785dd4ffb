"""Makes movies in the background: a thread computes and encodes, the GUI thread paints a little at a time."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from PySide6.QtCore import QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage

from noder_viewer.camera import Camera
from noder_viewer.exporting import unused
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.movie_dialog import MovieDialog
from noder_viewer.movie_job import Film, Frame
from noder_viewer.movie_painters import Painter, SlicesPainter, VolumePainter, WindowPainter
from noder_viewer.movie_plan import MovieRequest
from noder_viewer.offscreen import Offscreen
from noder_viewer.picture_look import AXES, VOLUME, pixel_ratio
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session
from noder_viewer.settings import Settings


class Filming(QObject):
    """Owns the movie dialog. Emits `filmed(path)` or `failed(sentence)`; one movie at a time."""

    filmed = Signal(object)
    failed = Signal(str)

    def __init__(
        self, window: MainWindow, session: Session, settings: Settings, presenter: Presenter, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings, self._presenter = window, session, settings, presenter
        self.dialog: MovieDialog | None = None
        self._lane = Latest(self)
        self._lane.reported.connect(self._on_frame)
        self._lane.done.connect(self._on_done)
        self._lane.failed.connect(self._on_failed)
        self._film: Film | None = None
        self._painter: Painter | None = None
        self._views = Offscreen(window)
        self._waiting: deque[Frame] = deque()
        self._steps: Iterator[QImage | None] | None = None
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(1)
        self._turn.timeout.connect(self._paint_on)

    @property
    def busy(self) -> bool:
        """Whether a movie is being made."""
        return self._film is not None

    def show_dialog(self) -> MovieDialog:
        """Open the dialog for what is there now."""
        session, window = self._session, self._window
        if self.dialog is None:
            self.dialog = MovieDialog(window)
            self.dialog.movie_requested.connect(self.film)
            self.dialog.cancel_requested.connect(self.cancel)
        if not self.busy and session.series is not None:
            if not self.dialog.isVisible():
                self.dialog.file.set_path(unused(self._settings.folder("export") / "movie.mp4"))
            ratio = window.devicePixelRatioF()
            self.dialog.set_window_size(round(window.width() * ratio), round(window.height() * ratio))
            ends, has_map = (session.times[0], session.times[-1]), session.trajectory is not None
            self.dialog.set_series(ends, session.series.unit, has_map=has_map, has_volume=window.volume.is_built)
            self.dialog.set_finished("")
        self.dialog.show()
        self.dialog.raise_()
        return self.dialog

    def film(self, request: MovieRequest) -> None:
        """Make a movie of what is open, in the background."""
        if self.busy or self._session.series is None:
            return
        self._settings.set_folder("export", request.path.parent)
        self._painter = self._painter_of(request)
        self._film = Film(dataclasses.replace(self._session), request)
        if self.dialog is not None:
            self.dialog.set_progress(None, "Computing the first frame…")
        self._lane.submit(self._film)

    def cancel(self) -> None:
        """Stop; nothing half-written stays."""
        if not self.busy:
            return
        self._lane.cancel()
        self._clear()
        if self.dialog is not None:
            self.dialog.set_finished("Cancelled; nothing was written.")

    def shut_down(self) -> None:
        """Stop, and wait for the thread."""
        self._lane.shut_down()
        self._clear()
        if self.dialog is not None:
            self.dialog.close()

    def _painter_of(self, request: MovieRequest) -> Painter:
        window, presenter = self._window, self._presenter
        if request.what in AXES:
            axes, ratio = AXES[request.what], pixel_ratio(*request.size)
            self._views.lay_out(axes, request.size, ratio, bars=request.look.bars, looks=looks_of(window, axes))
            return SlicesPainter(self._views)
        if request.what == VOLUME:
            return VolumePainter(window, presenter, request.size)
        window.timeline.set_playing(False)
        self._set_modal(True)
        return WindowPainter(window, self._session, presenter, request.size)

    def _set_modal(self, modal: bool) -> None:
        """Nobody may touch the window while it is stepped through the times: no control would be greyed by this."""
        dialog = self.dialog
        wanted = Qt.WindowModality.ApplicationModal if modal else Qt.WindowModality.NonModal
        if dialog is None or dialog.windowModality() == wanted:
            return
        was_visible = dialog.isVisible()
        dialog.hide()  # else Qt takes no notice
        dialog.setWindowModality(wanted)
        dialog.setVisible(was_visible)

    def _on_frame(self, frame: object) -> None:
        if isinstance(frame, Frame) and self._film is not None and frame.painted is self._film.painted:
            self._waiting.append(frame)
            self._turn.start()

    def _paint_on(self) -> None:
        """One piece of work; what goes wrong in it ends the movie with a sentence, as in its thread."""
        if self._film is None or self._painter is None:
            return
        try:
            picture = self._next(self._painter)
        except Exception as error:  # noqa: BLE001 - told to the thread, which would wait for ever
            self._film.painted.put(error)
            return
        if picture is not None:
            self._steps = None
            self._film.painted.put(picture)
        if self._steps is not None or self._waiting:
            self._turn.start()

    def _next(self, painter: Painter) -> QImage | None:
        if self._steps is None:
            frame = self._waiting.popleft()
            self._steps = painter.steps(frame)
            if self.dialog is not None:
                self.dialog.set_progress(frame.k / frame.n, f"Frame {frame.k + 1} of {frame.n}")
        return next(self._steps)

    def _on_done(self, path: object) -> None:
        self._clear()
        if isinstance(path, Path):
            words = f"{path.name} written to {path.parent}, {path.stat().st_size / 1e6:.2g} MB"
            self._session.status = words
            if self.dialog is not None:
                self.dialog.set_finished(words)
            self.filmed.emit(path)

    def _on_failed(self, error: object) -> None:
        self._clear()
        self._session.status = "The movie was not written"
        if self.dialog is not None:
            self.dialog.set_finished(str(error), failed=True)
        self.failed.emit(str(error))

    def _clear(self) -> None:
        """Everything as before the movie."""
        self._turn.stop()
        self._waiting.clear()
        self._steps = self._film = None
        painter, self._painter = self._painter, None
        if painter is not None:
            painter.close()
        self._set_modal(False)


def looks_of(window: MainWindow, axes: tuple[int, ...]) -> dict[int, tuple[Camera, QSize]]:
    """Axis -> camera and size of the window's slice, where it does not show the whole."""
    views = {view.axis: view for view in window.slices if view.axis in axes and not view.camera.fitted}
    return {axis: (dataclasses.replace(view.camera), view.size()) for axis, view in views.items()}
