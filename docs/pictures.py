"""The pictures of the README and of `docs/`, taken from the real window on the sample series.

    xvfb-run -a -s "-screen 0 1600x1000x24" python docs/pictures.py [--only NAME ...] [--output DIR] [--preset fast]

The window goes the whole way once: it opens, fits, compares, measures, registers; a picture is kept at each stop.
`report.png` and `beat.gif` are what `noder report` and the movie dialog write, and are made by hand.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # as the program itself does: waiting threads would starve the rest

from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMenu, QWidget

from noder_viewer import theme
from noder_viewer.command_palette import CommandPalette
from noder_viewer.controller import Controller
from noder_viewer.demo import HOLD_OUT
from noder_viewer.fit_rows import ACTIVE
from noder_viewer.main_window import MainWindow
from noder_viewer.methods_scene import pane_of
from noder_viewer.pair_jobs import RegisterChoice, Source
from noder_viewer.region_jobs import RegionFiles
from noder_viewer.resources import sample_labels, sample_series
from noder_viewer.session import Session
from noder_viewer.settings import Settings
from noder_viewer.words import scan_labels

SIZE = (1500, 940)
LONGEST_S = 900
POINTS = ((24.0, -8.0), (-18.0, 14.0), (30.0, 18.0))
"""Where tissue is followed, mm beside the middle of the axial slice."""


class Window:
    """The real window, driven as a user would, and its pictures."""

    def __init__(self, output: Path, only: list[str], folder: Path) -> None:
        self.output, self.only = output, only
        self.controller = Controller(MainWindow(), Session(), Settings(folder / "window.ini"))
        self.window, self.session = self.controller.window, self.controller.session
        self.controller.problem.connect(self._fail)
        self.window.setGeometry(0, 0, *SIZE)
        self.window.show()
        self.controller.warm_up()
        self.until(lambda: self.controller.engine_is_ready)

    def until(self, there: Callable[[], object]) -> None:
        """Let the window live until something is there. Raises TimeoutError."""
        end = time.monotonic() + LONGEST_S
        while not there():
            if time.monotonic() > end:
                raise TimeoutError(self.window.banner.text or self.session.status)
            self.rest(0.02)

    def rest(self, seconds: float) -> None:
        """Let the window live for a while. (`QTest.qWait` sleeps with Python's lock in its hand: no fit gets on.)"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            time.sleep(0.005)

    def settle(self, seconds: float = 1.0) -> None:
        """Until everything that was asked for has been drawn."""
        for _ in range(2):
            self.rest(seconds)
            self.until(lambda: not (self.controller.presenter.busy or self.controller.time_feed.busy))

    def do(self, *names: str) -> None:
        """Trigger actions of the menus."""
        for name in names:
            action = self.window.actions_by_name[name]
            if not action.isEnabled():
                raise RuntimeError(f"{name} cannot be used now")
            action.trigger()
            self.rest(0.1)

    def keep(self, name: str, widget: QWidget | None = None) -> None:
        """Save what is seen as NAME.png."""
        self.settle()
        if not self.only or name in self.only:
            path = self.output / f"{name}.png"
            (widget or self.window).grab().save(str(path))
            print(path, flush=True)

    def go_to(self, part: float) -> None:
        """Show the time at a part of the span of the scans."""
        first, last = self.session.times[0], self.session.times[-1]
        self.session.time = first + part * (last - first)
        self.settle()

    @property
    def is_idle(self) -> bool:
        """No fit runs or waits."""
        return not any(row.status in ("waiting", *ACTIVE) for row in self.session.fits)

    def _fail(self, sentence: str) -> None:
        print(sentence, file=sys.stderr)


def fits(w: Window, preset: str) -> None:
    """Open, read the card, fit with two seeds, queue the geodesic, pause, look, and wait."""
    opened: list[object] = []
    w.controller.opening.opened.connect(lambda *_: opened.append(True))
    w.controller.open([sample_series()])
    w.until(lambda: opened)
    panel = w.window.fit_panel
    w.session.hold_out = HOLD_OUT
    panel.set_preset(preset)
    panel.seeds.setValue(2)
    w.settle(3)
    panel.card.head.setChecked(True)
    w.keep("card")
    panel.card.head.setChecked(False)
    w.do("start_fit")
    w.until(lambda: w.session.preview is not None)
    w.do("compare_methods")
    dialog = w.controller.comparing.baselines
    assert dialog is not None
    for name, box in dialog.boxes.items():
        box.setChecked(name in ("noder", "geodesic"))
    dialog.queue.click()
    w.rest(2)
    w.do("pause_fit")
    if w.window.actions_by_name["show_methods"].isChecked():
        w.do("show_methods")
    w.keep("fits")
    w.do("pause_fit")
    w.until(lambda: w.is_idle and w.session.result is not None)
    w.controller.fitting.show(w.session.fits[0].key)
    w.settle()


def over_time(w: Window) -> None:
    """The main picture, the loop, the look beyond the scans, the lightbox."""
    w.do("build_volume")
    w.until(lambda: w.window.volume.is_built)
    w.go_to(0.75)
    w.do("toggle_jacobian", "toggle_quiver")
    w.settle(3)
    w.keep("screenshot")
    w.do("theme_light")
    w.keep("light")
    w.do("theme_dark", "toggle_quiver")
    w.do("layout_lightbox")
    w.keep("lightbox")
    w.do("layout_four", "toggle_jacobian", "toggle_periodic")
    w.go_to(0.6)
    w.keep("time")
    w.do("toggle_periodic", "toggle_spread")
    w.go_to(1.1)
    w.keep("beyond")
    w.do("toggle_spread")


def deformation(w: Window) -> None:
    """Grid, contours and arrows; paths; the rate of growth with folds and the meter."""
    w.go_to(0.75)
    w.do("toggle_grid", "toggle_contours", "toggle_quiver")
    w.settle(3)
    w.keep("deformation")
    w.do("toggle_grid", "toggle_contours", "toggle_quiver")
    x, y, z = w.session.cursor_mm
    for right, front in POINTS:
        w.session.cursor_mm = (x + right, y + front, z)
        w.do("follow_cursor")
    w.until(lambda: w.session.paths is not None and not w.controller.following.busy)
    w.window.show_panel(w.window.path_panel)
    w.settle(3)
    w.keep("paths")
    w.do("clear_followed")
    w.session.cursor_mm = (x, y, z)
    w.window.show_panel(w.window.fit_panel)
    w.do("toggle_rate", "toggle_folds")
    w.settle(3)
    w.keep("growth")
    w.do("toggle_rate", "toggle_folds")


def regions(w: Window) -> None:
    """The labels of end diastole carried, beside those of each phase."""
    w.window.show_panel(w.window.region_panel)
    w.controller.measuring.read(RegionFiles(sample_labels(), w.session.times[0], (sample_labels(),)))
    w.until(lambda: w.session.region_figures is not None and not w.controller.measuring.busy)
    w.settle(2)
    w.keep("regions")
    w.window.show_panel(w.window.layer_panel)
    w.keep("layers")
    w.do("toggle_regions")
    w.window.show_panel(w.window.overlay_panel)
    w.window.show_panel(w.window.fit_panel)


def methods(w: Window) -> None:
    """The fit beside the geodesic and the linear blend, at a phase that no fit has seen."""
    first, second = (pane_of(row.key) for row in w.session.fits[:2])
    w.session.time = w.session.times[7]
    w.session.methods = replace(w.session.methods, on=True, panes=("observed", first, second, "blend"))
    w.settle(3)
    w.keep("methods")
    w.session.methods = replace(w.session.methods, on=False)


def project(w: Window, folder: Path) -> None:
    """A saved project, and the commands by their words."""
    w.controller.projects.write(folder / "heart.noderproj")
    w.until(lambda: w.session.project is not None)
    w.settle()
    menu = w.window.menuBar().actions()[0].menu()
    assert isinstance(menu, QMenu)
    menu.popup(QPoint(0, w.window.menuBar().height()))
    w.rest(0.5)
    if not w.only or "project" in w.only:
        QApplication.primaryScreen().grabWindow(0, 0, 0, *SIZE).save(str(w.output / "project.png"))
    menu.close()
    w.do("show_palette")
    palette = next(p for p in w.window.findChildren(CommandPalette) if p.isVisible())
    QTest.keyClicks(palette.typed, "grow")
    w.keep("palette", palette)
    palette.close()


def register(w: Window) -> None:
    """End diastole pulled onto end systole, after it has been scored."""
    assert w.session.series is not None
    images = [scan.image for scan in w.session.series.scans]
    panel = w.window.register_panel
    w.window.show_panel(panel)
    labels = scan_labels(w.session.series)
    fixed, moving = (Source(scan=images[k], label=f"Scan {k % len(images)}: {labels[k]}") for k in (-1, 0))
    panel.inputs.set_choice(RegisterChoice(fixed, moving))
    panel.start.click()
    w.until(lambda: w.session.pair is not None and w.session.result is not None and w.session.activity == "")
    w.do("toggle_jacobian")
    w.settle(2)
    w.keep("register")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--preset", default="balanced")
    options = parser.parse_args()
    app = QApplication([])
    app.setApplicationName("noder-viewer")
    app.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeMenuBar)
    theme.apply(app)
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        w = Window(options.output, options.only, Path(name))
        fits(w, options.preset)
        over_time(w)
        deformation(w)
        regions(w)
        methods(w)
        project(w, Path(name))
        register(w)
        w.controller.closing.asks = False
        w.window.close()


if __name__ == "__main__":
    main()
