"""`noder-viewer --demo`: the sample series, opened, fitted and shown with its overlays."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TextIO

from PySide6.QtCore import QCoreApplication, QObject, QTimer

from noder.errors import NoderError
from noder_viewer.controller import Controller
from noder_viewer.export_dialog import ExportRequest
from noder_viewer.exporting import grab_png
from noder_viewer.jobs import write_picture
from noder_viewer.resources import sample_series

HOLD_OUT = frozenset({1, 2, 3, 4, 6, 7, 8, 9, 10})
"""The fit sees the first, a middle and the last phase; wide gaps are what it is for."""
SHOWN_AT = 0.75
"""Where in the span of the scans the demo stops: the heart has contracted well by then."""
EXPORT_TIMES = 5
SETTLE_MS = 3000
"""Time for canvases to draw what they were given: OpenGL canvases come up some frames late."""


class Demo(QObject):
    """Goes from step to step as the controller reports; with an output folder it writes there and quits."""

    def __init__(self, controller: Controller, output: Path | None) -> None:
        super().__init__(controller)
        self._controller, self._output = controller, output
        self._screenshot: Path | None = None
        controller.opening.remember = False
        controller.closing.asks = output is None
        controller.engine_ready.connect(self._open)
        controller.opening.opened.connect(self._fit)
        controller.fitting.fitted.connect(self._show)
        controller.exporting.exported.connect(self._finish)
        for source in (controller.opening, controller.fitting, controller.exporting):
            source.failed.connect(self._fail)

    def start(self) -> None:
        """Begin; the rest follows from signals."""
        self._say("Loading the engine")
        self._controller.warm_up()

    def _open(self) -> None:
        self._say("Opening the sample series")
        self._controller.open([sample_series()])

    def _fit(self) -> None:
        self._say("Fitting it")
        self._controller.session.hold_out = HOLD_OUT
        self._controller.window.fit_panel.request_start()

    def _show(self) -> None:
        self._say("Fitted; drawing")
        session = self._controller.session
        first, last = session.times[0], session.times[-1]
        session.overlays = dataclasses.replace(session.overlays, jacobian=True, quiver=True)
        session.time = first + SHOWN_AT * (last - first)
        self._controller.build_volume()
        QTimer.singleShot(SETTLE_MS, self._after_drawing)

    def _after_drawing(self) -> None:
        if self._output is None:
            return
        if self._controller.presenter.busy or self._controller.time_feed.busy or not self._controller.canvas_is_warm:
            QTimer.singleShot(SETTLE_MS, self._after_drawing)
            return
        if not self._controller.window.volume.is_built:
            self._say("The 3D view could not be built here; the window says why")
        from noder.atomic import output_errors

        try:
            with output_errors(self._output):
                self._output.mkdir(parents=True, exist_ok=True)
            self._screenshot = write_picture(self._output / "screenshot.png", grab_png(self._controller.window))
        except NoderError as error:
            self._fail(str(error))
            return
        self._export(self._output)

    def _export(self, folder: Path) -> None:
        from noder.export import EXPORTERS

        times = self._controller.session.times
        first, last = times[0], times[-1]
        wanted = tuple(first + (last - first) * k / (EXPORT_TIMES - 1) for k in range(EXPORT_TIMES))
        self._say("Exporting")
        names = tuple(name for name in EXPORTERS if name != "brightness")  # this fit has no intensity model
        self._controller.exporting.export(ExportRequest(names, wanted, folder))

    def _finish(self, paths: list[Path]) -> None:
        if self._output is None:
            return
        for path in [self._screenshot, *paths]:
            _write_line(sys.stdout, str(path))
        QCoreApplication.exit(0)

    def _fail(self, sentence: str) -> None:
        _write_line(sys.stderr, sentence)
        if self._output is not None:
            QCoreApplication.exit(1)

    def _say(self, words: str) -> None:
        if self._output is not None:
            _write_line(sys.stderr, f"demo: {words}")


def _write_line(stream: TextIO | None, line: str) -> None:
    if stream is not None:  # a frozen windowed program has no terminal
        stream.write(f"{line}\n")
        stream.flush()
