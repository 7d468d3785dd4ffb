"""The program in a process of its own: what it leaves behind when it quits."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parents[2] / "resources" / "samples" / "pig_cine" / "cine.nii.gz"

PROGRAM = """
import sys
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication
from noder_viewer.__main__ import main

app = QApplication([])
looks = 0

def look():
    global looks
    looks += 1
    window = next(w for w in app.topLevelWidgets() if type(w).__name__ == "MainWindow")
    if window.volume.is_built:
        print("built")
        QTimer.singleShot(500, window.close)
    elif window.volume._button.isVisible():
        window.volume._button.click()
        QTimer.singleShot(500, look)
    elif looks > 600:
        window.close()
    else:
        QTimer.singleShot(100, look)

QTimer.singleShot(100, look)
sys.argv = ["noder-viewer", *sys.argv[1:]]
sys.exit(main())
"""


@pytest.mark.gl
def test_it_quits_without_a_word_after_the_3d_view_was_open() -> None:
    """napari's contexts used to fail at the very end, with a traceback in the user's terminal."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(SAMPLE)], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"QT_API": "pyside6"},
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert done.stdout.strip() == "built"
