"""PySide's hook in Python's imports: what it does to modules, and that the window is without it."""

import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
asked = []


def __getattr__(name):
    asked.append(name)
    raise AttributeError(name)
"""

PROGRAM = """
import sys
from PySide6.QtWidgets import QApplication

app = QApplication([])
folder = sys.argv[1]
if sys.argv[2] == "window":
    from pathlib import Path
    from noder_viewer.controller import Controller
    from noder_viewer.main_window import MainWindow
    from noder_viewer.session import Session
    from noder_viewer.settings import Settings

    controller = Controller(MainWindow(), Session(), Settings(Path(folder) / "window.ini"))
sys.path.append(folder)
import curious

print("asked", *[name for name in curious.asked if name != "__path__"])
if sys.argv[2] == "window":
    from PySide6.QtCore import *  # what PySide does to imports beside the hook is still there

    print(QTimer.__name__)
    controller.shut_down()
"""


@pytest.mark.parametrize("who", ["PySide alone", "window"])
def test_nobody_looks_into_modules_that_are_imported(who: str, tmp_path: Path) -> None:
    """The hook asks for `__wrapped__`; a module that then imports, as those of pydantic do, can be half made."""
    (tmp_path / "curious.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path), who], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    if who == "window":
        assert said == ["asked", "QTimer"]
    else:
        assert "__wrapped__" in said[0], "PySide has mended its hook: `import_hook` can go"
