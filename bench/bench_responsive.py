"""Does the window stay alive while a real fit runs? Intervals of a 16 ms timer in it.

On a display or under Xvfb: xvfb-run -a python bench/bench_responsive.py [--seconds 30] [--preset balanced]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program itself does

import numpy as np
from _machine import pace
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from noder_viewer import theme
from noder_viewer.controller import Controller
from noder_viewer.main_window import MainWindow
from noder_viewer.resources import sample_series
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.settings import Settings

INTERVAL_MS = 16
LIMIT_MS = 33.0


class Bench(QObject):
    """Opens the sample, fits it, and notes when the timer came."""

    def __init__(self, controller: Controller, preset: str, seconds: float, overlays: bool) -> None:
        super().__init__(controller)
        self.controller, self.preset, self.seconds, self.overlays = controller, preset, seconds, overlays
        self.ticks: list[float] = []
        self.previews = 0
        self.stopped_after: float | None = None
        self._stop_at = 0.0
        self._clock = QTimer(self)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.setInterval(INTERVAL_MS)
        self._clock.timeout.connect(self._tick)
        controller.engine_ready.connect(self._open)
        controller.opening.opened.connect(self._fit)
        controller.fitting.fitted.connect(self._end)

    def _open(self) -> None:
        self.controller.open([sample_series()])

    def _fit(self) -> None:
        session = self.controller.session
        session.time = session.times[-1]
        session.overlays = OverlaySettings(jacobian=self.overlays, quiver=self.overlays)
        session.events.preview.connect(self._count)
        self.controller.window.fit_panel.set_preset(self.preset)
        self.controller.window.fit_panel.request_start()
        self._clock.start()
        QTimer.singleShot(int(self.seconds * 1000), self._stop)

    def _count(self) -> None:
        self.previews += 1

    def _tick(self) -> None:
        self.ticks.append(time.perf_counter())

    def _stop(self) -> None:
        self._stop_at = time.perf_counter()
        self.controller.fitting.stop()

    def _end(self) -> None:
        self._clock.stop()
        if self._stop_at:
            self.stopped_after = time.perf_counter() - self._stop_at
        QApplication.exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--overlays", action="store_true")
    chosen = parser.parse_args()
    app = QApplication([])
    theme.apply(app)
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow()
        controller = Controller(window, Session(), Settings(Path(folder) / "window.ini"))
        controller.opening.remember = controller.closing.asks = False
        bench = Bench(controller, chosen.preset, chosen.seconds, chosen.overlays)
        window.show()
        app.exec()
        window.close()
    print(pace())
    gaps = np.diff(bench.ticks) * 1000
    on_time = np.mean(gaps < LIMIT_MS) * 100
    print(
        f"{len(gaps)} intervals of a {INTERVAL_MS} ms timer while fitting ({chosen.preset}), {bench.previews} previews"
    )
    later = gaps[np.cumsum(gaps) > 1000]
    print(
        f"median {np.median(gaps):.1f} ms, p95 {np.percentile(gaps, 95):.1f} ms, longest {gaps.max():.0f} ms, "
        f"after the first second {later.max():.0f} ms"
    )
    print(f"{on_time:.1f} % under {LIMIT_MS:.0f} ms")
    if bench.stopped_after is not None:
        print(f"Stop was answered after {bench.stopped_after:.2f} s")


if __name__ == "__main__":
    main()
