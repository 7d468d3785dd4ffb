"""Every test runs alone: settings, caches and recent files go to a folder that is thrown away."""

import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# Before anything imports Qt, napari or torch. Child processes of tests inherit it all.
_HOME = tempfile.TemporaryDirectory(prefix="noder-tests-", ignore_cleanup_errors=True)
for _name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
    os.environ[_name] = str(Path(_HOME.name, _name.lower()))
os.environ["NAPARI_CONFIG"] = str(Path(_HOME.name, "napari.yaml"))
os.environ["QT_API"] = "pyside6"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in one order, and room for the window's own thread

# A busy machine is no failure, and what fails once fails again.
hypothesis.settings.register_profile("noder", deadline=None, derandomize=True)
hypothesis.settings.load_profile("noder")


def _has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def pytest_sessionstart(session: pytest.Session) -> None:
    """Without a display, draw none; the process that only hands out tests has none, and its workers would inherit."""
    hands_out = session.config.getoption("dist", "no") != "no" and not hasattr(session.config, "workerinput")
    if not hands_out and not _has_display():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session", autouse=True)
def _isolated_qt_settings() -> None:
    """On Windows and macOS the folders above do not bind QSettings: at least its INI files stay here."""
    from PySide6.QtCore import QSettings

    for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
        QSettings.setPath(QSettings.Format.IniFormat, scope, str(Path(_HOME.name, "qt")))
        QSettings.setPath(QSettings.Format.NativeFormat, scope, str(Path(_HOME.name, "qt")))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Say why an OpenGL test cannot work, where Qt would abort or draw nothing at all; collect as the program does."""
    if "tests/app" in item.path.as_posix():
        gc.disable()  # amid the making of a view, collecting another's remains ends in a segmentation fault: `garbage`
    if item.get_closest_marker("gl") and not _has_display():
        pytest.fail('there is no display: `make test`, Xvfb on the PATH, or `-m "not gl"`', pytrace=False)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Bury a test's windows here, in the GUI thread: a later test's worker thread would do it otherwise, and crash."""
    if "tests/app" in item.path.as_posix():
        gc.collect()


@pytest.fixture
def dressed(qapp: Any) -> Iterator[Any]:
    """The application in the dark look, as `main` starts it; as it was, afterwards."""
    from noder_viewer import theme

    app = qapp
    style, palette, sheet = app.style().name(), app.palette(), app.styleSheet()
    theme.apply(app)
    yield app
    theme.apply(app)
    app.setStyle(style)
    app.setPalette(palette)
    app.setStyleSheet(sheet)
