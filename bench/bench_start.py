"""How soon is the window there? From the start of the process until it is painted and answers.

On a display or under Xvfb: xvfb-run -a python bench/bench_start.py [--runs 5]

The first run warms the disk's cache and is not counted. It also says whether torch and napari were loaded by then.
Compiled modules are kept as they are wherever the program is installed, also where PYTHONDONTWRITEBYTECODE is set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from _machine import pace

CHILD = """
import os, sys, time
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication, QMainWindow

ran = QApplication.exec

def answered():
    window = next(each for each in QApplication.topLevelWidgets() if isinstance(each, QMainWindow))
    if not window.windowHandle().isExposed():
        QTimer.singleShot(1, answered)
        return
    window.grab()
    print(time.time() - float(os.environ["BEGAN"]), *(name in sys.modules for name in ("torch", "napari")), flush=True)
    os._exit(0)

def run(*_):
    QTimer.singleShot(0, answered)
    return ran()

QApplication.exec = run
from noder_viewer.__main__ import main
main([])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    started = [start() for _ in range(runs + 1)][1:]
    seconds = [float(words[0]) for words in started]
    print(
        f"window painted and answering after {median(seconds):.2f} s (median of {runs}, longest {max(seconds):.2f} s)"
    )
    for place, name in enumerate(("torch", "napari"), start=1):
        print(f"{name} loaded by then in {sum(words[place] == 'True' for words in started)} of {runs} runs")
    print(pace())


def start() -> list[str]:
    """Seconds, and whether torch and napari were loaded, of one start."""
    surroundings = os.environ | {"BEGAN": repr(time.time()), "QT_API": "pyside6"}
    surroundings.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", CHILD], env=surroundings, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.split()


if __name__ == "__main__":
    main()
