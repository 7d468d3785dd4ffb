"""The command `noder-viewer`: arguments first, then the window, then everything heavy."""

from __future__ import annotations

import argparse
import gc
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import noder

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

LOG_FILE = "window.log"


def main(arguments: list[str] | None = None) -> int:
    """Run the window until it is closed; returns the exit code."""
    multiprocessing.freeze_support()
    chosen = _parser().parse_args(arguments)
    # before anything of Qt is imported: napari, superqt and pyqtgraph each choose a binding for themselves
    os.environ["QT_API"] = "pyside6"
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _run(chosen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="noder-viewer",
        description="Look at a series of medical images, fit a continuous map through it, play it, export.",
    )
    parser.add_argument(
        "paths", nargs="*", type=_path, metavar="PATH", help="scans, a folder of them, a saved fit, or a project"
    )
    parser.add_argument("--demo", action="store_true", help="open the sample series and fit it")
    parser.add_argument(
        "--demo-output",
        type=Path,
        metavar="DIR",
        help="with --demo: write the results and a screenshot, then quit",
    )
    parser.add_argument("--version", action="version", version=f"noder-viewer {noder.__version__}")
    return parser


def _path(text: str) -> Path:
    """A path, also where a desktop hands over a file:// address."""
    return Path(unquote(urlparse(text).path)) if text.startswith("file://") else Path(text)


def _run(chosen: argparse.Namespace) -> int:
    gc.disable()  # a tenth of the start went into looking for garbage while modules load; the controller collects it
    from PySide6.QtWidgets import QApplication

    from noder_viewer.import_hook import without_feature_hook

    without_feature_hook()  # at once: it would read the source of every module that the window needs
    from noder_viewer import theme
    from noder_viewer.controller import Controller
    from noder_viewer.demo import Demo
    from noder_viewer.main_window import MainWindow
    from noder_viewer.session import Session
    from noder_viewer.settings import Settings
    from noder_viewer.theming import chosen_theme

    app = QApplication.instance() or QApplication([sys.argv[0]])
    if not isinstance(app, QApplication):
        raise RuntimeError("a Qt application without windows is running already")
    app.setApplicationName("noder-viewer")
    app.setDesktopFileName("noder-viewer")
    _log_to_file()
    settings = Settings()
    colours = theme.palette_of(chosen_theme(settings))
    theme.set_colours(app, colours)
    window = MainWindow()
    theme.apply(app, colours)
    controller = Controller(window, Session(), settings)
    sys.excepthook = _excepthook(controller)
    demo = Demo(controller, chosen.demo_output) if chosen.demo or chosen.demo_output else None
    window.show()
    if demo is not None:
        demo.start()
    elif chosen.paths:
        controller.open([path.absolute() for path in chosen.paths])
    else:
        controller.preferring.open_last()
    if demo is None:
        controller.autosave.offer()
    code = int(app.exec())
    controller.shut_down()  # done already where the user has closed the window, but the desktop can end the loop too
    window.close()
    # nothing may hold the window now: napari's contexts say goodbye to its settings, and need living modules for that
    del window, controller, demo
    sys.excepthook = sys.__excepthook__
    gc.unfreeze()
    gc.collect()
    return code


def _log_to_file() -> None:
    import platformdirs

    logging.basicConfig(level=logging.WARNING)
    try:
        folder = Path(platformdirs.user_log_dir("noder-viewer", appauthor=False))
        folder.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(folder / LOG_FILE, mode="w", encoding="utf-8")
    except OSError:
        logging.getLogger(__name__).warning("no log file can be written, so messages go to the terminal only")
        return
    logging.getLogger().addHandler(handler)


def _excepthook(controller: Controller) -> Callable[..., None]:
    """Whatever nobody caught is said in the window, which stays up."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        logging.getLogger(__name__).error("unexpected error", exc_info=(kind, error, trace))
        controller.problem.emit(f"Something unexpected went wrong ({kind.__name__}: {error}). Details are in the log.")

    return hook


if __name__ == "__main__":
    sys.exit(main())
