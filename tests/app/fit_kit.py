"""A small fit as a folder, made once: for tests of what is exported from the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from window_kit import TIMEOUT_MS, engine, make_controller, write_scans

from noder_viewer.controller import Controller


def save_fit(folder: Path) -> Path:
    """Four scans of a growing ball, fitted in a few steps; scan 2 is held out."""
    from noder.fit import fit
    from noder.fit_config import FitConfig
    from noder.methods import NoderSettings
    from noder.series import ImageSeries
    from noder.store import save_result

    series = ImageSeries.from_paths(write_scans(folder), times=[0, 1, 2, 3], unit="years")
    short = NoderSettings(coarse_iterations=20, middle_iterations=10, fine_iterations=0)
    save_result(fit(series, FitConfig(settings=short, hold_out=(2,))), folder / "fit")
    return folder / "fit"


def show_fit(qtbot: Any, folder: Path, fit: Path) -> Controller:
    """A window with the fit open, its inverse maps computed, settings in `folder`."""
    controller = make_controller(folder)
    qtbot.addWidget(controller.window)
    with qtbot.waitExposed(controller.window, timeout=TIMEOUT_MS):
        controller.window.show()
    engine(qtbot, controller)
    with qtbot.waitSignal(controller.opening.opened, timeout=TIMEOUT_MS):
        controller.open([fit])
    result = controller.session.result
    assert result is not None, controller.window.banner.text
    qtbot.waitUntil(lambda: result.trajectory.is_prepared, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    return controller
