"""The thread of a movie: what each frame shows is computed here, painted in the GUI thread, and encoded here."""

from __future__ import annotations

import dataclasses
import queue
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from noder_viewer.jobs import Reporter, import_engine, share_cores
from noder_viewer.movie_plan import MovieRequest
from noder_viewer.picture_look import AXES, VOLUME, framed, stamp_of
from noder_viewer.session import Session

LOOK_EVERY_S = 0.05
"""How often a thread that waits for the GUI thread looks whether the movie has been cancelled."""


Painted = queue.Queue[QImage | Exception]


@dataclass(frozen=True, eq=False)
class Frame:
    """Frame `k` of `n` at time `t`; its picture, or what went wrong, goes into `painted`.

    `content`: its slice scenes, the scene of the 3D canvas, or None: the window.
    """

    k: int
    n: int
    t: float
    stamp: str
    content: object
    painted: Painted


@dataclass(frozen=True, eq=False)
class Film:
    """Writes a movie of a snapshot of the session; returns its path.

    Reports every `Frame` and waits for its picture in `painted`, one frame behind: the next one is computed while
    one is painted. An exception in `painted` is what went wrong there. Leaving early leaves no file.
    """

    session: Session
    request: MovieRequest
    painted: Painted = field(default_factory=queue.Queue)

    def __call__(self, task: Reporter) -> Path:
        import_engine()
        share_cores(leave_one=True)
        from noder.movies import check_movie, write_movie

        request = self.request
        check_movie(request.path, request.size, len(request.times), request.fps)
        trajectory = self.session.trajectory
        if trajectory is not None and self.session.preview is None:
            trajectory.prepare()
        return write_movie(request.path, self._frames(task), request.fps)

    def _frames(self, task: Reporter) -> Iterator[NDArray[np.uint8]]:
        for k, t in enumerate(self.request.times):
            task.report(self._frame(k, t))
            if k:
                yield self._picture(task)
        yield self._picture(task)

    def _frame(self, k: int, t: float) -> Frame:
        request = self.request
        unit = "" if self.session.series is None else self.session.series.unit
        stamp = stamp_of(t, request.step, unit) if request.look.stamp else ""
        return Frame(k, len(request.times), t, stamp, self._content(t, stamp), self.painted)

    def _content(self, t: float, stamp: str) -> object:
        from noder_viewer.frames import volume_scene
        from noder_viewer.scene import slice_scene

        request = self.request
        session = dataclasses.replace(self.session, time=t, show=request.show or self.session.show)
        if request.what == VOLUME:
            return volume_scene(session)
        if request.what not in AXES:
            return None
        scenes = [slice_scene(session, axis) for axis in AXES[request.what]]
        return [framed(scene, request.look, "" if k else stamp) for k, scene in enumerate(scenes) if scene is not None]

    def _picture(self, task: Reporter) -> NDArray[np.uint8]:
        while True:
            task.check_cancelled()
            try:
                picture = self.painted.get(timeout=LOOK_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(picture, Exception):
                raise picture
            return pixels(picture)


def pixels(image: QImage) -> NDArray[np.uint8]:
    """(height, width, 3) RGB of a picture, as a copy."""
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()
