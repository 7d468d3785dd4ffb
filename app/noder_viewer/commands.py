"""What the menu actions do: one entry of `handlers` for each name in `actions.MENUS`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog, QMessageBox

import noder
from noder.errors import NoderError
from noder_viewer.command_palette import CommandPalette
from noder_viewer.exporting import unused
from noder_viewer.jobs import PROJECT
from noder_viewer.pictures import nearest_scan
from noder_viewer.resources import sample_series
from noder_viewer.session import COMPARISONS, SHOWS
from noder_viewer.shortcuts import ShortcutSheet
from noder_viewer.window_presets import PRESETS

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

log = logging.getLogger(__name__)

SHOW_ACTIONS = {
    **dict(zip(SHOWS, ("show_observed", "show_prediction", "show_difference", "show_both"), strict=True)),
    **{show: f"show_{show}" for show in COMPARISONS},
}
DEFORMATION = ("rate", "grid", "contours", "folds", "meter")
"""Switches of `OverlaySettings` with an action each, `toggle_` and their name."""
_SCANS = "Scans (*.nii *.nii.gz *.hdr *.img *.mgh *.mgz *.mha *.mhd *.nrrd);;All files (*)"
_OPENED = f"{_SCANS.replace(')', f' *{PROJECT})', 1).replace('Scans', 'Scans and projects', 1)};;Projects (*{PROJECT})"
_LAYERS = "Layers (*.nii *.nii.gz *.mgh *.mgz *.mha *.mhd *.nrrd *.csv);;All files (*)"
_TIMES = "Times (*.txt *.csv *.tsv *.json);;All files (*)"
_ABOUT = (
    "<h3>noder-viewer {version}</h3><p>Continuous regression of longitudinal medical images: "
    "drop a series, fit it, scrub time, export.</p><p>The method is NODER: Bai and Hong, MICCAI 2024, "
    "<a href='https://arxiv.org/abs/2407.13241'>arXiv 2407.13241</a>.</p>"
    "<p>A research tool: not for clinical use. BSD-3-Clause.</p>"
)


class Commands:
    """Runs menu actions for one controller; called in the GUI thread only."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._window, self._session, self._settings = (
            controller.window,
            controller.session,
            controller.settings,
        )
        self._sheet: ShortcutSheet | None = None
        self._palette: CommandPalette | None = None

    def handlers(self) -> dict[str, Callable[[], object]]:
        """Name of an action -> what it does."""
        timeline, controller = self._window.timeline, self._controller
        return {
            "open_files": self.open_files,
            "open_folder": self.open_folder,
            "open_sample": self.open_sample,
            "open_times": self.open_times,
            "save_project": controller.projects.save,
            "save_project_as": controller.projects.save_as,
            "save_capsule": controller.projects.save_capsule,
            "save_fit": self.save_fit,
            "undo": controller.undoing.undo,
            "redo": controller.undoing.redo,
            "show_settings": controller.preferring.show_dialog,
            "export": controller.exporting.show_dialog,
            "export_movie": controller.filming.show_dialog,
            "export_report": controller.reporting.ask,
            "save_picture": controller.figures.show_dialog,
            "quit": self._window.close,
            "start_fit": self._window.fit_panel.request_start,
            "pause_fit": controller.fitting.toggle_paused,
            "stop_fit": controller.fitting.stop,
            "stop_all_fits": controller.fitting.stop_all,
            "new_fit_with": controller.fits.ask_variant,
            "compare_methods": controller.comparing.ask,
            "leave_one_out": controller.comparing.ask_leave_one_out,
            "show_methods": controller.comparing.toggle,
            "start_registration": self.start_registration,
            "stop_registration": controller.registering.stop,
            "export_registration": self.export_registration,
            "go_back": controller.registering.go_back,
            "turn_direction": self.turn_direction,
            "follow_cursor": controller.following.follow_cursor,
            "remove_followed": controller.following.remove_selected,
            "clear_followed": controller.following.clear,
            "export_paths": controller.following.export,
            "copy_coordinates": controller.cursor_places.copy,
            "go_to_coordinates": controller.cursor_places.ask,
            "toggle_landmarks": partial(self.toggle_overlay, "landmarks"),
            **{action: partial(controller.set_show, show) for show, action in SHOW_ACTIONS.items()},
            "toggle_jacobian": partial(self.toggle_overlay, "jacobian"),
            "toggle_brightness": partial(self.toggle_overlay, "brightness"),
            "toggle_spread": partial(self.toggle_overlay, "spread"),
            "toggle_quiver": partial(self.toggle_overlay, "quiver"),
            **{f"toggle_{name}": partial(self.toggle_overlay, name) for name in DEFORMATION},
            "since_now": self.since_now,
            "since_reference": self.since_reference,
            "toggle_radiological": self.toggle_radiological,
            **{f"window_{name}": partial(controller.set_preset, name) for name in PRESETS},
            "add_slice_layers": self.add_slice_layers,
            "toggle_bars": controller.layering.toggle_bars,
            **controller.arranging.handlers(),
            **controller.theming.handlers(),
            "build_volume": controller.build_volume,
            "reset_views": controller.reset_views,
            "toggle_playing": timeline.toggle_playing,
            "step_back": partial(timeline.step, -1),
            "step_forward": partial(timeline.step, 1),
            "previous_scan": partial(timeline.step_scan, -1),
            "next_scan": partial(timeline.step_scan, 1),
            "first_time": timeline.go_first,
            "last_time": timeline.go_last,
            "keep_from": self.keep_from,
            "keep_until": self.keep_until,
            "show_palette": self.show_palette,
            "toggle_periodic": timeline.toggle_periodic,
            "toggle_mode": timeline.toggle_mode,
            "next_metric": timeline.next_metric,
            **controller.region_commands.handlers(),
            "show_shortcuts": self.show_shortcuts,
            "show_about": self.show_about,
        }

    def open_files(self) -> None:
        """Ask for scans or a project."""
        start = str(self._settings.folder("open"))
        names, _ = QFileDialog.getOpenFileNames(self._window, "Open scans or a project", start, _OPENED)
        self._open([Path(name) for name in names])

    def open_folder(self) -> None:
        """Ask for a folder of scans, a saved fit or a registration."""
        start = str(self._settings.folder("open"))
        name = QFileDialog.getExistingDirectory(
            self._window, "Open a folder of scans, a saved fit or a registration", start
        )
        self._open([Path(name)] if name else [])

    def open_sample(self) -> None:
        """Open the series that comes with the program."""
        self._controller.opening.open([sample_series()])

    def open_times(self) -> None:
        """Ask for a file with the times of the scans."""
        start = str(self._settings.folder("open"))
        name, _ = QFileDialog.getOpenFileName(self._window, "Times of the scans that are open", start, _TIMES)
        if name:
            self._controller.opening.read_times(Path(name))

    def keep_from(self) -> None:
        """Drop the scans before the one that is shown."""
        if (found := nearest_scan(self._session)) is not None:
            self._controller.opening.keep(first=found[0])

    def keep_until(self) -> None:
        """Drop the scans after the one that is shown."""
        if (found := nearest_scan(self._session)) is not None:
            self._controller.opening.keep(last=found[0])

    def save_fit(self) -> bool:
        """Ask where to save the fit, or to write the registration; False: nowhere."""
        if self._session.pair is not None:
            return self.export_registration()
        start = str(unused(self.beside_the_scans() / "fit"))
        name, _ = QFileDialog.getSaveFileName(self._window, "Save the fit as a folder", start)
        if name:
            self._controller.exporting.save_fit(Path(name))
        return bool(name)

    def save_fits(self) -> bool:
        """Ask where to save what was not saved: the fit that is shown, or all of the list under one folder."""
        unsaved = [row for row in self._session.fits if row.is_unsaved]
        if all(row.result is self._session.result for row in unsaved):
            return self.save_fit()
        start = str(self.beside_the_scans())
        name = QFileDialog.getExistingDirectory(self._window, f"Save {len(unsaved)} fits, each in its folder", start)
        if name:
            self._controller.exporting.save_all(Path(name))
        return bool(name)

    def start_registration(self) -> None:
        """Show the Register tab, and start where both images are chosen."""
        self._window.show_panel(self._window.register_panel)
        self._window.register_panel.request_start()

    def export_registration(self) -> bool:
        """Ask for the folder that the registration is written to; False: nowhere."""
        start = str(unused(self._settings.folder("export") / "registration"))
        name, _ = QFileDialog.getSaveFileName(self._window, "Write the registration as a folder", start)
        if name:
            panel = self._window.register_panel
            self._controller.registering.write(Path(name), panel.conventions())
        return bool(name)

    def turn_direction(self) -> None:
        """Pull the other image of the pair."""
        self._controller.set_pulled("fixed" if self._session.pulled == "moving" else "moving")

    def choose_mask(self) -> None:
        """Ask for a mask of the series."""
        start = str(self._settings.folder("open"))
        name, _ = QFileDialog.getOpenFileName(self._window, "Mask of the first scan", start, _SCANS)
        if name:
            self._controller.masking.take(Path(name))

    def add_layers(self) -> None:
        """Ask for the user's own layers of the 3D canvas."""
        start = str(self._settings.folder("open"))
        names, _ = QFileDialog.getOpenFileNames(self._window, "Add layers to the 3D view", start, _LAYERS)
        if names:
            for path in map(Path, names):
                self._add_layer(path)

    def add_slice_layers(self) -> None:
        """Ask for images or label maps that lie over the slices."""
        start = str(self._settings.folder("open"))
        names, _ = QFileDialog.getOpenFileNames(self._window, "Lay images or label maps over the slices", start, _SCANS)
        if names:
            self._window.show_panel(self._window.layer_panel)
            self._controller.layering.add([Path(name) for name in names])

    def toggle_overlay(self, name: str) -> None:
        """Switch the overlay whose field of `OverlaySettings` is `name`."""
        overlays = self._session.overlays
        self._session.overlays = overlays.switched(name, on=not getattr(overlays, name))

    def since_now(self) -> None:
        """Count motion and growth from the time that is shown."""
        trajectory, t = self._session.trajectory, self._session.time
        at_start = trajectory is not None and t == trajectory.t_first
        self._session.overlays = replace(self._session.overlays, since=None if at_start else t)

    def since_reference(self) -> None:
        """Count motion and growth from the reference."""
        self._session.overlays = replace(self._session.overlays, since=None)

    def toggle_radiological(self) -> None:
        """Switch the side convention."""
        self._session.radiological = not self._session.radiological

    def show_shortcuts(self) -> None:
        """Open the sheet."""
        self._sheet = self._sheet or ShortcutSheet(self._window)
        self._sheet.show()
        self._sheet.raise_()

    def show_palette(self) -> None:
        """Open the command palette."""
        self._palette = self._palette or CommandPalette(self._window.actions_by_name, self._window)
        self._palette.open_over(self._window)

    def show_about(self) -> None:
        """Say what this is."""
        box = QMessageBox(self._window)
        box.setWindowTitle("About noder-viewer")
        box.setText(_ABOUT.format(version=noder.__version__))
        box.open()  # unlike exec, does not stop the program

    def beside_the_scans(self) -> Path:
        """The scans' folder, or where a fit was saved last if nothing can be written there (the sample's)."""
        series = self._session.series
        path = None if series is None else series.reference.image.path
        if path is not None and os.access(path.parent, os.W_OK):
            return path.absolute().parent
        return self._settings.folder("save")

    def _open(self, paths: list[Path]) -> None:
        if paths:
            self._settings.set_folder("open", paths[0].parent)
            self._controller.opening.open(paths)

    def _add_layer(self, path: Path) -> None:
        try:
            self._window.volume.add_paths([path])
        except NoderError as error:
            self._window.banner.set_message(str(error))
        except Exception as error:
            # the readers are napari's and its plugins', and raise what they like
            log.warning("%s could not be added as a layer", path, exc_info=error)
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            self._window.banner.set_message(f"{path.name} cannot be shown as a layer: {reason}")
