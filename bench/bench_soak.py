"""Does the window leak? Many rounds of open, fit, look, close; memory, threads and open files along the way.

On a display or under Xvfb: xvfb-run -a python bench/bench_soak.py [--rounds 500]

The second half of the rounds must not hold more than the first: the rise of its memory is printed per 100 rounds, and
the script ends with 1 where threads or files have grown, or memory by more than `--allow` MiB per 100 rounds.

Not counted, as a program has one window, and both are let go of after each round:
- what Qt keeps of a style sheet, any style sheet, for combo and spin boxes that are gone (75 KiB a window);
- its cache of painted controls, which holds 10 MiB at most and exchanges 1 MiB of it in a round.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import gc
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program itself does

import numpy as np
from _machine import described, machine, resident_mib
from PySide6.QtCore import QEventLoop, SignalInstance
from PySide6.QtGui import QPixmapCache
from PySide6.QtWidgets import QApplication

from noder.grid import Grid
from noder.image import write_volume
from noder_viewer import theme
from noder_viewer.controller import Controller
from noder_viewer.main_window import MainWindow
from noder_viewer.session import OverlaySettings, Session
from noder_viewer.settings import Settings

SHAPE = (32, 36, 28)
EVERY = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--allow", type=float, default=5.0, help="MiB that memory may rise by per 100 rounds")
    chosen = parser.parse_args()
    print(f"{described(machine())}; {chosen.rounds} rounds")
    app = QApplication([])
    theme.apply(app)
    held = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [written(Path(folder) / f"scan_{k}.nii.gz", k) for k in range(3)]
        for number in range(chosen.rounds):
            one_round(app, Path(folder), paths)
            gc.collect()
            app.setStyleSheet(app.styleSheet())  # Qt 6.11 keeps .8 KiB of rules for each combo and spin box that was
            QPixmapCache.clear()
            _give_back()
            held.append((resident_mib(), threading.active_count(), _threads(), _files()))
            if number % EVERY == EVERY - 1:
                print(
                    "round {}: {:.0f} MiB, {} Python threads, {} threads, {} files".format(number + 1, *held[-1]),
                    flush=True,
                )
    sys.exit(judged(held, chosen.allow))


def one_round(app: QApplication, folder: Path, paths: list[Path]) -> None:
    """A window of its own: open, fit, scrub, close."""
    controller = Controller(MainWindow(), Session(), Settings(folder / "window.ini"))
    window = controller.window
    controller.opening.remember = False
    controller.closing.asks = False
    window.show()
    _until(controller.engine_ready, controller.warm_up)
    _until(controller.opening.opened, partial(controller.open, paths))
    panel = window.fit_panel
    panel.set_preset("fast")
    few = {"coarse_iterations": 3, "middle_iterations": 0, "fine_iterations": 0}
    panel.form.set_settings(dataclasses.replace(panel.form.settings(), **few))
    _until(controller.fitting.fitted, panel.request_start)
    controller.session.overlays = OverlaySettings(jacobian=True, quiver=True)
    for t in np.linspace(0, 2, 5):
        controller.session.time = float(t)
        controller.presenter.refresh()
        app.processEvents()
    window.close()
    while controller.presenter.busy:
        app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 10)
    window.deleteLater()
    del window, controller
    app.sendPostedEvents()
    app.processEvents()


def judged(held: list[tuple[float, int, int, int]], allow: float) -> int:
    """Print how much the second half of the rounds added; 1 where that is a leak."""
    values = np.array(held, dtype=float)[len(held) // 2 :]
    rise = float(np.polyfit(np.arange(len(values)), values[:, 0], 1)[0]) * 100
    more = [int(column[-1] - column[0]) for column in values.T[1:]]
    names = ("Python threads", "threads", "files")
    print(
        f"second half: {rise:+.2f} MiB per 100 rounds, "
        + ", ".join(f"{n:+d} {w}" for n, w in zip(more, names, strict=True))
    )
    return int(rise > allow or any(n > 0 for n in more))


def written(path: Path, number: int) -> Path:
    """A ball, a little larger each time."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE], indexing="ij", sparse=True)
    ball = 300 / (1 + np.exp(30 * (x**2 + y**2 + z**2 - 0.35 - 0.05 * number)))
    write_volume(path, ball.astype(np.float32), Grid(SHAPE, np.eye(4)))
    return path


def _until(signal: SignalInstance, begin: Callable[[], object]) -> None:
    loop = QEventLoop()
    signal.connect(loop.quit)
    begin()
    loop.exec()
    signal.disconnect(loop.quit)


def _give_back() -> None:
    """Have glibc return what is free: between blocks that live it comes and goes by tens of MiB, and hides a leak."""
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


if __name__ == "__main__":
    main()
