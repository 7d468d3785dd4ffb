"""How long until eight scans of 256^3 are open in the window, and what memory does it take?

On a display or under Xvfb: xvfb-run -a python bench/bench_open.py [--size 256] [--scans 8] [--suffix .nii]

From the drop until the first pictures are drawn, until every scan has been read and the grey levels are those of all,
and until all that follows in the background is done (the strip of frames, the card, the look for scans that lie apart).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program itself does

import numpy as np
from _machine import described, machine, pace, peak_mib, reset_peak, resident_mib
from PySide6.QtCore import QEventLoop
from PySide6.QtWidgets import QApplication

from noder.grid import Grid
from noder.image import write_volume
from noder_viewer import theme
from noder_viewer.controller import Controller
from noder_viewer.main_window import MainWindow
from noder_viewer.session import Session
from noder_viewer.settings import Settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--scans", type=int, default=8)
    parser.add_argument("--suffix", choices=(".nii", ".nii.gz"), default=".nii")
    chosen = parser.parse_args()
    print(f"{described(machine())}; {chosen.scans} scans of {chosen.size}^3, int16, {chosen.suffix}")
    print(pace())
    app = QApplication([])
    theme.apply(app)
    with tempfile.TemporaryDirectory() as folder:
        paths = [written(Path(folder) / f"scan_{k}{chosen.suffix}", chosen.size, k) for k in range(chosen.scans)]
        window = MainWindow()
        controller = Controller(window, Session(), Settings(Path(folder) / "window.ini"))
        controller.opening.remember = False
        window.show()
        loop = QEventLoop()
        controller.engine_ready.connect(loop.quit)
        controller.warm_up()
        loop.exec()
        opened(app, controller, paths)
        window.close()


def opened(app: QApplication, controller: Controller, paths: list[Path]) -> None:
    """Open `paths` and print what it took."""
    base = resident_mib()
    reset_peak()
    began = time.perf_counter()
    loop = QEventLoop()
    controller.opening.opened.connect(loop.quit)
    controller.open(paths)
    loop.exec()
    controller.presenter.refresh()
    app.processEvents()
    print(
        f"first pictures after {time.perf_counter() - began:.2f} s, {peak_mib() - base:.0f} MiB over the empty window"
    )
    wait_until(app, lambda: not controller.opening.rest.is_reading)
    print(f"every scan read after {time.perf_counter() - began:.2f} s, {peak_mib() - base:.0f} MiB at most")
    wait_until(app, lambda: not (controller.presenter.busy or controller.cards.busy or controller.opening.rest.busy))
    print(f"all at rest after {time.perf_counter() - began:.2f} s, {peak_mib() - base:.0f} MiB at most")


def wait_until(app: QApplication, holds: Callable[[], bool]) -> None:
    """Keep the window alive meanwhile."""
    while not holds():
        app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def written(path: Path, size: int, number: int) -> Path:
    """A noisy ball, a little larger each time."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    noise = np.random.default_rng(number).integers(0, 8, (size, size, size), dtype=np.int16)
    ball = np.where(x**2 + y**2 + z**2 < 0.4 + 0.02 * number, np.int16(400), np.int16(0)) + noise
    write_volume(path, ball, Grid(ball.shape, np.eye(4)), dtype=np.int16)
    return path


if __name__ == "__main__":
    main()
