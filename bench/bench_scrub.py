"""How fast does the window scrub? A time step of the three visible slices, and a slice step.

Each step is timed from the change of the session until everything is drawn, prediction decoded.
On a display or under Xvfb: xvfb-run -a python bench/bench_scrub.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program itself does

import numpy as np
from _machine import pace
from PySide6.QtWidgets import QApplication

from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image
from noder.methods import PRESETS
from noder.series import ImageSeries
from noder_viewer import theme
from noder_viewer.controller import Controller
from noder_viewer.jobs import Opened, share_cores
from noder_viewer.main_window import MainWindow
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.settings import Settings

TIME_SHAPE = (144, 176, 144)
SLICE_SHAPE = (182, 218, 182)


def egg_series(shape: tuple[int, int, int], n: int = 3) -> ImageSeries:
    """An egg that grows through `n` scans, 1 mm voxels."""
    grid = Grid(shape, np.eye(4))
    axes = [np.linspace(-1, 1, k, dtype=np.float32) for k in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    texture = 60 * np.sin(9 * x) * np.sin(8 * y) * np.sin(7 * z)
    images = []
    for k in range(n):
        r = x**2 + y**2 + z**2
        inside = 1 / (1 + np.exp(np.clip((r - (0.45 + 0.06 * k)) * 40, -30, 30)))
        images.append(Image.from_array((inside * (400 + texture)).astype(np.float32), grid, f"egg_{k}"))
    return ImageSeries.from_images(images, [float(k) for k in range(n)], "years")


def quick_fit(series: ImageSeries) -> FitResult:
    """A real map of the egg's motion: the farther it moves, the more steps its exponential takes."""
    settings = replace(PRESETS["noder"]["fast"], middle_iterations=0)
    return fit(series, FitConfig(settings=settings))


def timed(app: QApplication, controller: Controller, step: Callable[[int], None], n: int) -> list[float]:
    """Milliseconds of `n` steps, the first five left out."""
    spent = []
    for k in range(n + 5):
        before = time.perf_counter()
        step(k)
        controller.presenter.refresh()
        app.processEvents()
        spent.append((time.perf_counter() - before) * 1000)
    return spent[5:]


def show(controller: Controller, result: FitResult) -> None:
    """Open a result as if it had been read."""
    window = (0.0, 460.0)
    controller.opening.take(Opened([Path("egg")], result.series, window, window, result, Path("egg")))
    app = QApplication.instance()
    until = time.monotonic() + 60
    while controller.presenter.busy and time.monotonic() < until:  # the strip of frames fills in another thread
        app.processEvents()
        time.sleep(0.01)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    n = parser.parse_args().steps
    app = QApplication([])
    theme.apply(app)
    with tempfile.TemporaryDirectory() as folder:
        window = MainWindow()
        controller = Controller(window, Session(), Settings(Path(folder) / "window.ini"))
        controller.opening.remember = False
        window.show()
        share_cores(leave_one=False)
        session = controller.session
        show(controller, quick_fit(egg_series(TIME_SHAPE)))

        def time_step(k: int) -> None:
            session.time = 0.05 + 1.9 * k / (n + 5)

        print(pace())
        jacobian = OverlaySettings(jacobian=True)
        for overlays in (OverlaySettings(), replace(jacobian, quiver=True), jacobian):
            session.overlays = overlays
            session.show = "difference" if overlays is jacobian else "prediction"
            report(f"time step, {TIME_SHAPE}, {session.show}, {_words(overlays)}", timed(app, controller, time_step, n))
        show(controller, quick_fit(egg_series(SLICE_SHAPE)))
        session.time = 1.3

        def slice_step(k: int) -> None:
            r, a, _ = session.cursor_mm
            session.cursor_mm = (r, a, 20.0 + k)

        for overlays in (OverlaySettings(), OverlaySettings(jacobian=True, quiver=True)):
            session.overlays = overlays
            report(f"slice step, {SLICE_SHAPE}, {_words(overlays)}", timed(app, controller, slice_step, n))
        window.close()


def report(what: str, spent: list[float]) -> None:
    print(f"{what}: median {np.median(spent):.1f} ms, p95 {np.percentile(spent, 95):.1f} ms")


def _words(overlays: OverlaySettings) -> str:
    names = {"log J": overlays.jacobian, "arrows": overlays.quiver}
    return " and ".join(name for name, on in names.items() if on) or "no overlays"


if __name__ == "__main__":
    main()
