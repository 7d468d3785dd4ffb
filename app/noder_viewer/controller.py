"""The one place that ties session, window and workers together: requests come in, the session changes.

Opening, fitting and exporting have a file each, and so have the menu actions (`commands`); the rest is here.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Protocol, cast

from PySide6.QtCore import QObject, QTimer, Signal

from noder_viewer.arranging import Arranging
from noder_viewer.autosave import Autosave
from noder_viewer.cards import Cards
from noder_viewer.closing import Closing
from noder_viewer.commands import Commands
from noder_viewer.comparing import Comparing
from noder_viewer.cursor_places import CursorPlaces
from noder_viewer.exporting import Exporting
from noder_viewer.figures import Figures
from noder_viewer.filming import Filming
from noder_viewer.fits import Fits
from noder_viewer.fitting import Fitting
from noder_viewer.flicker import Flicker
from noder_viewer.following import Following
from noder_viewer.garbage import GuiGarbage
from noder_viewer.import_hook import without_feature_hook
from noder_viewer.jobs import FitChoices, share_cores
from noder_viewer.layering import Layering
from noder_viewer.loader import Latest
from noder_viewer.main_window import LAYOUT, MainWindow
from noder_viewer.masking import Masking
from noder_viewer.measuring import Measuring
from noder_viewer.metering import Metering
from noder_viewer.opening import Opening, centre_of
from noder_viewer.path_presenter import PathPresenter
from noder_viewer.preferring import Preferring
from noder_viewer.presenter import Presenter
from noder_viewer.projects import Projects
from noder_viewer.region_commands import RegionCommands
from noder_viewer.region_view import RegionView
from noder_viewer.register_panel import CURVES, SCORES
from noder_viewer.register_view import RegisterView
from noder_viewer.registering import Registering
from noder_viewer.reporting import Reporting
from noder_viewer.session import COMPARISONS, Carry, OverlaySettings, Pulled, Session, Show
from noder_viewer.settings import Settings
from noder_viewer.slices import SliceView
from noder_viewer.theming import Theming
from noder_viewer.time_feed import TimeFeed
from noder_viewer.undoing import Undoing
from noder_viewer.volume_counts import VolumeCounts
from noder_viewer.warming import WarmUp, WarmUpCanvas
from noder_viewer.window_presets import AUTO, preset
from noder_viewer.wiring import wire

WARM_UP_AFTER_MS = 60
"""After the window is shown: its first paint comes before the heavy imports."""


class ShutDown(Protocol):
    """What must end before the window does."""

    def shut_down(self) -> None: ...


class Controller(QObject):
    """Lives in the GUI thread, so that its bound methods are safe slots for the workers' signals."""

    engine_ready = Signal()
    problem = Signal(str)

    def __init__(self, window: MainWindow, session: Session, settings: Settings) -> None:
        super().__init__()
        without_feature_hook()  # before the first thread imports anything
        self.window, self.session, self.settings = window, session, settings
        self._garbage = GuiGarbage(self)
        self.presenter = Presenter(window, session, self)
        self.fitting = Fitting(window, session, self.presenter, self)
        self.registering = Registering(window, session, settings, self.presenter, self)
        self.register_view = RegisterView(window, session, self.registering, self)
        self.volume_counts = VolumeCounts(window.register_panel.inputs, self)
        self.flicker = Flicker(session, self)
        self.time_feed = TimeFeed(window.timeline, session, self)
        self.opening = Opening(window, session, settings, self.presenter, self.fitting, self.registering)
        self.arranging = Arranging(window, session, settings, self)
        self.theming = Theming(window, settings, self.presenter, self)
        self.layering = Layering(window, session, self)
        self.exporting = Exporting(window, session, settings, self)
        self.filming = Filming(window, session, settings, self.presenter, self)
        self.figures = Figures(window, session, settings, self.presenter, self)
        self.reporting = Reporting(window, session, settings, self)
        self.masking = Masking(window, session, self.presenter, self)
        self.measuring = Measuring(window, session, self.presenter, self)
        self.region_view = RegionView(window, session, self.measuring, self)
        self.region_commands = RegionCommands(window, session, settings, self.measuring, self)
        self.fits = Fits(self)
        self.comparing = Comparing(self)
        self.cards = Cards(self)
        self.metering = Metering(window.overlay_panel.meter, session, self)
        self.following = Following(window, session, settings, self.presenter, self)
        self.path_presenter = PathPresenter(window.path_panel, session, self)
        self.cursor_places = CursorPlaces(window, session, self.presenter, self.following, self)
        self.projects = Projects(self)
        self.autosave = Autosave(self)
        self.preferring = Preferring(self)
        self.undoing = Undoing(self)
        self.commands = Commands(self)
        self.closing = Closing(self)
        self.engine_is_ready = self.canvas_is_warm = self._build_when_warm = False
        self._is_down = False
        self._warm_up = Latest(self)
        self._warm_up.done.connect(self._on_warm)
        self._warm_up.failed.connect(self._on_cold)
        self._suggested_scale = session.overlays.quiver_scale
        wire(self)
        session.events.result.connect(self._scale_arrows)
        session.events.series.connect(self._forget_since)
        session.events.activity.connect(self.share_cores)
        window.set_recent(settings.recent())
        if (layout := settings.layout()) is not None:
            window.restoreGeometry(layout[0])
            window.restoreState(layout[1], LAYOUT)
        self.presenter.refresh()

    def warm_up(self) -> None:
        """Import the engine, then the 3D canvas, in the background."""
        if not (self._is_down or self._warm_up.busy or self.engine_is_ready):
            self.session.status = "Loading the engine…"
            self._garbage.wait_for_imports(run=not self.canvas_is_warm)
            self._warm_up.submit(WarmUp())

    def open(self, paths: list[Path]) -> None:
        """Open scans or a saved fit."""
        self.opening.open(paths)

    def set_show(self, show: str) -> None:
        """Choose what is shown at a time, one of `SHOWS` or `COMPARISONS`; what compares is seen at its end."""
        if show in COMPARISONS and self.session.show not in COMPARISONS:
            self._go_to_end()
        self.session.show = cast(Show, show)
        self.presenter.mark("controls")  # a checkable button that is pressed again stays as the session has it

    def set_pulled(self, pulled: str) -> None:
        """Choose which image of a pair is pulled onto the other, and go to where it lies there."""
        self.session.pulled = cast(Pulled, pulled)
        self._go_to_end()

    def set_carry(self, carry: str) -> None:
        """Choose which scans predictions are made from, a key of `CARRIES`."""
        self.session.carry = cast(Carry, carry)

    def set_overlays(self, overlays: object) -> None:
        """Choose what is drawn over the slices."""
        if isinstance(overlays, OverlaySettings):
            self.session.overlays = overlays

    def set_window(self, lo: float, hi: float) -> None:
        """Choose the grey levels; a width of nothing is widened, as nothing could be seen."""
        bottom, top = self.session.value_range
        self.session.window = (lo, max(hi, lo + (top - bottom) * 1e-3))

    def set_preset(self, name: str) -> None:
        """Choose the grey levels of a preset, a key of `window_presets.PRESETS`."""
        if name == AUTO and self.opening.rest.is_reading:
            self.opening.rest.follow_levels()
        elif self.session.series is not None:
            self.set_window(*preset(self.session, name))

    def set_time(self, t: float) -> None:
        """Go to a time."""
        self.session.time = t

    def set_playing(self, playing: bool) -> None:
        """Play or pause; the timeline keeps the clock."""
        self.window.timeline.set_playing(playing and self.session.series is not None)

    def reset_views(self) -> None:
        """Zoom, position and crosshair as at first."""
        for view in (*self.window.slices, *self.window.methods.views):
            view.reset_view()
        self.window.pictures.lightbox.reset_view()
        if self.session.grid is not None:
            self.session.cursor_mm = centre_of(self.session.grid)

    def build_volume(self) -> None:
        """Build the 3D canvas, also with software OpenGL; once its libraries have been imported."""
        if self.canvas_is_warm:
            self.window.volume.prepare(force=True)
        else:
            self._build_when_warm = True
            self.window.volume.set_message("The 3D view opens in a moment.")

    @property
    def is_down(self) -> bool:
        """Whether `shut_down` has been called."""
        return self._is_down

    def shut_down(self) -> None:
        """Stop everything that runs, wait for it, and remember the layout."""
        if self._is_down:
            return
        self._is_down = True
        self.window.full_screen.leave()  # the layout without panels is not the one to remember
        self.settings.set_layout(self.window.saveGeometry(), self.window.saveState(LAYOUT))
        self.window.timeline.set_playing(False)
        for part in self._working_parts():
            part.shut_down()
        self._warm_up.shut_down(wait_ms=15_000)  # an import cannot be interrupted, and its thread must not outlive us
        self.presenter.shut_down()
        self.window.volume.close_viewer()
        for signal in (
            self.session.events.signals.values()
        ):  # what listens would keep the session, and all that it holds, for good
            signal.disconnect()
        self._garbage.shut_down()

    def _working_parts(self) -> tuple[ShutDown, ...]:
        """What has threads, timers or dialogs, in the order in which it ends."""
        return (
            self.fitting, self.fits, self.comparing, self.cards, self.opening, self.projects, self.autosave,
            self.undoing, self.flicker, self.time_feed, self.registering, self.register_view, self.volume_counts,
            self.arranging, self.layering, self.exporting, self.filming, self.figures, self.reporting, self.masking,
            self.measuring, self.region_view, self.following, self.metering,
        )  # fmt: skip

    def connect_slice(self, view: SliceView) -> None:
        """Do what a view of a slice asks for."""
        view.index_requested.connect(self.go_to_slice)
        view.cursor_requested.connect(self.set_cursor)
        view.levels_requested.connect(self.set_window)
        view.hovered.connect(self.presenter.reader.read)
        view.left.connect(self.presenter.reader.read_cursor)
        view.follow_requested.connect(self.following.follow)
        view.menu_requested.connect(self.cursor_places.show_menu)
        view.copy_requested.connect(self.cursor_places.copy)

    def warm_up_soon(self) -> None:
        """`warm_up` once the window has been painted."""
        QTimer.singleShot(WARM_UP_AFTER_MS, self.warm_up)

    def _on_warm(self, choices: object) -> None:
        if self._is_down:
            return
        if isinstance(choices, FitChoices):
            self.engine_is_ready = True
            self.share_cores()
            self.window.fit_panel.set_choices(choices)
            self.window.register_panel.set_choices(choices)
            if self.session.status == "Loading the engine…":
                self.session.status = "Ready"
            self.engine_ready.emit()
            self._warm_up.submit(WarmUpCanvas())
        else:
            self.canvas_is_warm = True
            self._garbage.spare_what_is_loaded()
            self.window.volume.prepare(force=self._build_when_warm)

    def _on_cold(self, problem: object) -> None:
        self._garbage.wait_for_imports(run=False)
        self.show_problem(problem)

    def show_problem(self, problem: object) -> None:
        """Say what went wrong; what stands there already, perhaps with a button, stays."""
        if str(problem) not in self.window.banner.text:
            self.window.banner.set_message(str(problem))

    def share_cores(self) -> None:
        """Decode slices on all cores, but leave them to a fit while one runs."""
        if self.engine_is_ready:
            share_cores(leave_one=self.session.is_fitting or self.session.is_registering)

    def _scale_arrows(self) -> None:
        """Make short motions visible, unless the user has chosen a scale."""
        from noder_viewer.overlays import suggested_quiver_scale

        overlays, trajectory = self.session.overlays, self.session.trajectory
        if trajectory is None or overlays.quiver_scale != self._suggested_scale:
            return
        self._suggested_scale = suggested_quiver_scale(trajectory, overlays.quiver_spacing_mm)
        self.session.overlays = dataclasses.replace(overlays, quiver_scale=self._suggested_scale)

    def _forget_since(self) -> None:
        """A time of one series means nothing in another."""
        self.session.overlays = dataclasses.replace(self.session.overlays, since=None)

    def clear_recent(self) -> None:
        """Forget what was opened."""
        self.settings.clear_recent()
        self.window.set_recent([])

    def go_to_slice(self, axis: int, index: int) -> None:
        """The crosshair on slice `index` of an axis."""
        from noder_viewer.scene import cursor_at_index

        if self.session.series is not None:
            self.session.cursor_mm = cursor_at_index(self.session, axis, index)

    def set_cursor(self, axis: int, x_mm: float, y_mm: float) -> None:
        """The crosshair on a place of the slice that is shown."""
        from noder_viewer.scene import to_mm

        self.presenter.refresh()  # so that the place is read on the slice that is meant, not on the one before
        scene = self.presenter.scenes.get(axis)
        if scene is not None:
            self.session.cursor_mm = to_mm(scene, x_mm, y_mm)

    def set_hold_out(self, positions: object) -> None:
        """Choose the scans that are predicted and scored, a frozenset of positions."""
        self.session.hold_out = cast("frozenset[int]", positions)

    def set_exclude(self, positions: object) -> None:
        """Choose the scans that are left out, a frozenset of positions."""
        excluded = cast("frozenset[int]", positions)
        self.session.hold_out -= excluded
        self.session.exclude = excluded

    def set_mask(self, path: object) -> None:
        """Choose a mask by its file; None: estimate one."""
        self.masking.take(path if isinstance(path, Path) else None)

    def set_radiological(self, on: bool) -> None:
        """Choose the convention of the slices."""
        self.session.radiological = on

    def go_to_scan(self, position: int) -> None:
        """Go to the time of a scan."""
        if position < len(self.session.times):
            self.session.time = self.session.times[position]

    def _go_to_end(self) -> None:
        from noder_viewer.comparison import end_of

        if self.session.pair is not None:
            self.session.time = end_of(self.session)

    def go_to_landmark(self, row: int) -> None:
        """The crosshair on the landmark's dot, as it is drawn."""
        from noder_viewer.landmark_marks import places

        if self.session.pair is not None:
            r, a, s = places(self.session, self.session.pair)[0][row].tolist()
            self.session.cursor_mm = (r, a, s)

    def set_landmarks_shown(self, shown: bool) -> None:
        """Show or hide the landmarks of a pair."""
        self.session.overlays = dataclasses.replace(self.session.overlays, landmarks=shown)

    def set_square(self, size_mm: float) -> None:
        """Choose the side of a square of the checkerboard."""
        self.session.square_mm = size_mm

    def show_curves(self) -> None:
        """A pair is open, and nothing is known of it yet."""
        self.window.register_panel.change_tab(SCORES, CURVES)
        self.window.register_panel.curves.clear()

    def show_scores(self) -> None:
        """A registration has ended."""
        self.window.register_panel.change_tab(CURVES, SCORES)

    def auto_window(self) -> None:
        """Grey levels from the scans themselves."""
        self.set_preset(AUTO)
