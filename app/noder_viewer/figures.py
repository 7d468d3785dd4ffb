"""Saves pictures of the views: painted in the GUI thread from what is shown, written in the background."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QPoint, QRect, Signal
from PySide6.QtGui import QImage, QImageWriter, QPainter

from noder_viewer.exporting import unused
from noder_viewer.figure_dialog import SVG, FigureDialog, FigureRequest
from noder_viewer.filming import looks_of
from noder_viewer.jobs import Reporter, write_picture
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.movie_painters import fitted, opaque, stamped
from noder_viewer.offscreen import Offscreen
from noder_viewer.picture_look import AXES, SLICES, VOLUME, WINDOW, framed, stamp_of
from noder_viewer.presenter import Presenter
from noder_viewer.session import Session
from noder_viewer.settings import Settings
from noder_viewer.slices import SliceView

DOTS_PER_METRE = 96 / 0.0254
"""Of a picture at scale 1: a page lays out larger scales at the same size, only sharper."""


@dataclass(frozen=True)
class SavePicture:
    """Write a picture, or the text of an SVG; returns its path."""

    path: Path
    picture: QImage | str

    def __call__(self, task: Reporter) -> Path:
        if isinstance(self.picture, str):
            from noder.atomic import write_text

            return write_text(self.path, self.picture)
        return write_picture(self.path, png_of(self.picture))


class Figures(QObject):
    """Owns the picture dialog. Emits `saved(path)` or `failed(sentence)`."""

    saved = Signal(object)
    failed = Signal(str)

    def __init__(
        self, window: MainWindow, session: Session, settings: Settings, presenter: Presenter, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._window, self._session, self._settings, self._presenter = window, session, settings, presenter
        self.dialog: FigureDialog | None = None
        self._views = Offscreen(window)
        self._lane = Latest(self)
        self._lane.done.connect(self._on_saved)
        self._lane.failed.connect(self._on_failed)

    def show_dialog(self) -> FigureDialog:
        """Open the dialog for what is shown now."""
        if self.dialog is None:
            self.dialog = FigureDialog(self._window)
            self.dialog.figure_requested.connect(self.save)
        if not self.dialog.isVisible():
            self.dialog.file.set_path(unused(self._settings.folder("export") / "view.png"))
            self.dialog.set_saved("")
        self.dialog.set_views(self._sizes())
        self.dialog.show()
        self.dialog.raise_()
        return self.dialog

    def save(self, request: FigureRequest) -> None:
        """Paint what is shown now, and write it in the background."""
        self._presenter.refresh()
        self._settings.set_folder("export", request.path.parent)
        self._lane.submit(SavePicture(request.path, self._painted(request)))

    def shut_down(self) -> None:
        """Wait for what is being written."""
        self._lane.shut_down()
        if self.dialog is not None:
            self.dialog.close()

    def _painted(self, request: FigureRequest) -> QImage | str:
        (width, height), scale = request.size, request.scale
        if request.what in AXES:
            return self._slices(request)
        if request.what == VOLUME:
            taken = self._window.volume.picture(width * scale, height * scale)
            stamp = self._stamp() if request.look.stamp else ""
            return _printed(
                stamped(fitted(opaque(taken), width * scale, height * scale), stamp, self._window.font()), scale
            )
        return _printed(window_picture(self._window, scale), scale)

    def _slices(self, request: FigureRequest) -> QImage | str:
        axes, (width, height), look = AXES[request.what], request.size, request.look
        scale = 1 if request.path.suffix.lower() == SVG else request.scale
        shown = [scene for axis in axes if (scene := self._presenter.scenes.get(axis)) is not None]
        scenes = [framed(scene, look, "" if k else self._stamp()) for k, scene in enumerate(shown)]
        looks = looks_of(self._window, axes)
        views = self._views
        views.lay_out(axes, (width * scale, height * scale), scale, bars=look.bars, looks=looks)
        vector = request.path.suffix.lower() == SVG
        painted = views.svg(scenes) if vector else _printed(views.picture(scenes), scale)
        views.rest()
        return painted

    def _stamp(self) -> str:
        times, series = self._session.times, self._session.series
        step = (times[-1] - times[0]) / 100 if len(times) > 1 else 0.0
        return stamp_of(self._session.time, step, "" if series is None else series.unit)

    def _sizes(self) -> dict[str, tuple[int, int]]:
        """How large each view is in the window; the three slices as they stand there."""
        views = {view.axis: view for view in self._window.slices}
        sizes = {what: views[axes[0]].size().toTuple() for what, axes in AXES.items() if len(axes) == 1}
        around = QRect()
        for view in views.values():
            around = around.united(QRect(view.mapTo(self._window, QPoint()), view.size()))
        sizes[SLICES], sizes[WINDOW] = around.size().toTuple(), self._window.size().toTuple()
        if self._window.volume.is_built:
            sizes[VOLUME] = self._window.volume.size().toTuple()
        return sizes

    def _on_saved(self, path: object) -> None:
        if isinstance(path, Path):
            words = f"{path.name} written to {path.parent}"
            self._session.status = words
            if self.dialog is not None:
                self.dialog.set_saved(words)
            self.saved.emit(path)

    def _on_failed(self, error: object) -> None:
        self._session.status = "The picture was not written"
        if self.dialog is not None:
            self.dialog.set_saved(str(error), failed=True)
        self.failed.emit(str(error))


def window_picture(window: MainWindow, scale: int) -> QImage:
    """The window in `scale` pixels to each of its own; its slices are drawn anew, as they keep what is beside them."""
    image = QImage(window.size() * scale, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(scale)
    window.render(image)
    painter = QPainter(image)
    for view in window.slices:
        if view.isVisible():
            painter.drawImage(view.mapTo(window, QPoint()), _view_picture(view, scale))
    painter.end()
    return image


def _view_picture(view: SliceView, scale: int) -> QImage:
    image = QImage(view.size() * scale, QImage.Format.Format_RGB32)
    image.setDevicePixelRatio(scale)
    view.set_pixel_ratio(scale)
    painter = QPainter(image)
    view.paint_on(painter)
    painter.end()
    view.set_pixel_ratio(view.devicePixelRatioF())
    return image


def png_of(image: QImage) -> bytes:
    """The picture as PNG."""
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    QImageWriter(buffer, QByteArray(b"png")).write(image)
    return bytes(data.data())


def _printed(image: QImage, scale: int) -> QImage:
    image.setDevicePixelRatio(1)
    image.setDotsPerMeterX(round(DOTS_PER_METRE * scale))
    image.setDotsPerMeterY(round(DOTS_PER_METRE * scale))
    return image
