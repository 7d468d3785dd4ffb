"""From the session to the widgets: what changed is shown once, at the next turn of the event loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from PySide6.QtCore import QObject, QTimer, Signal

from noder_viewer.awaiting import FetchAwaited, awaited_scales, awaited_scans, with_known_scales
from noder_viewer.commands import DEFORMATION, SHOW_ACTIONS
from noder_viewer.jobs import AXES, Estimated, EstimateFit, Prepare, Preview, Thumbnails, Volume
from noder_viewer.loader import Latest
from noder_viewer.main_window import MainWindow
from noder_viewer.reader import Reader
from noder_viewer.report_html import report_html
from noder_viewer.series_panel import ScanRow
from noder_viewer.session import Session
from noder_viewer.states import states
from noder_viewer.volume import opengl_kind
from noder_viewer.window_presets import looks_like_ct
from noder_viewer.words import outcome, pending, progress_words, scan_labels, summary, tip, title

if TYPE_CHECKING:
    from noder.fit import FitProgress
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory
    from noder_viewer.frames import VolumeScene
    from noder_viewer.scene import SliceScene

_AFFECTS: dict[str, tuple[str, ...]] = {
    "series": ("series", "scans", "curves", "pictures", "controls", "thumbnails", "volume", "estimate"),
    "result": (
        "series",
        "scans",
        "pictures",
        "controls",
        "thumbnails",
        "volume",
        "progress",
        "curves",
        "report",
        "neighbours",
        "hint",
    ),
    "preview": ("scans", "pictures", "controls", "volume"),
    "pair": ("series", "pictures", "controls", "thumbnails", "volume", "levels", "progress", "report"),
    "progress": ("progress",),
    "hold_out": ("series", "scans", "hint", "estimate"),
    "exclude": ("series", "scans", "pictures", "thumbnails", "volume", "hint", "estimate"),
    "mask": ("series", "hint"),
    "saved_in": ("series",),
    "project": ("series",),
    "changed": ("series",),
    "undoable": ("controls",),
    "redoable": ("controls",),
    "time": ("pictures", "time", "volume"),
    "period": ("controls",),
    "cursor_mm": ("pictures", "thumbnails"),
    "followed": ("controls",),
    "paths": ("pictures", "controls", "volume"),
    "show": ("pictures", "controls"),
    "carry": ("pictures", "controls", "thumbnails", "volume", "levels"),
    "pulled": ("pictures", "controls"),
    "flicker": ("pictures",),
    "square_mm": ("pictures",),
    "overlays": ("pictures", "controls", "volume"),
    "window": ("pictures", "controls", "levels"),
    "value_range": ("controls",),
    "kept": ("controls",),
    **dict.fromkeys(("look", "layers", "order", "layout"), ("pictures",)),
    "fits": (),
    "shown_fit": ("scans", "pictures", "curves"),
    "methods": ("pictures", "controls"),
    "radiological": ("pictures", "controls", "thumbnails"),
    "regions": ("pictures", "controls"),
    "region_figures": ("controls",),
    "region_look": ("pictures",),
    "activity": ("controls", "progress", "hint"),
    "status": ("status",),
}
"""Field of the session -> the parts of the window that show it."""

THUMBNAILS_AFTER_MS = 250
"""A strip of frames is made anew when cursor and settings have been still for this long."""


class Curves(Protocol):
    """What draws losses."""

    def set_curves(self, steps: list[int], values: dict[str, list[float]]) -> None: ...


class Presenter(QObject):
    """Reads the session and calls the widgets' setters; it never writes the session."""

    preview_decoded = Signal(object)
    volume_shown = Signal()
    fetched = Signal()
    failed = Signal(object)

    def __init__(self, window: MainWindow, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._window, self._session = window, session
        self.scenes: dict[int, SliceScene | None] = {}
        self._dirty: set[str] = set()
        self._marks: tuple[ImageSeries, tuple[str, ...]] | None = None
        self._is_down = False
        self._turn = self._timer(0, self.refresh)
        self._still = self._timer(THUMBNAILS_AFTER_MS, self._make_thumbnails)
        self._thumbnails, self._volume, self._previews = Latest(self), Latest(self), Latest(self)
        self._neighbours, self._estimates, self._awaited = Latest(self), Latest(self), Latest(self)
        self.reader = Reader(window, session, self.scenes, self)
        self._lanes = (
            self._thumbnails, self._volume, self._previews, self._neighbours, self._estimates, self._awaited,
            self.reader.lane,
        )  # fmt: skip
        self._estimates.done.connect(self._on_estimate)
        window.fit_panel.choice_changed.connect(self._on_choice)
        self._neighbours.done.connect(self._on_neighbours)
        self._thumbnails.reported.connect(self._on_thumbnails)
        self._volume.done.connect(self._on_volume)
        self._previews.done.connect(self._on_preview)
        self._awaited.done.connect(self._on_fetched)
        for lane in self._lanes:
            lane.failed.connect(self.failed)
        for name, parts in _AFFECTS.items():
            # psygnal calls plain functions in the thread that set the field: the controller's, so the GUI's
            session.events[name].connect(self._marker(parts))
        self.mark("series", "controls", "status")

    @property
    def busy(self) -> bool:
        """Whether something is still on its way to the screen."""
        return self._turn.isActive() or self._still.isActive() or any(lane.busy for lane in self._lanes)

    def mark(self, *parts: str) -> None:
        """Show these parts at the next turn of the event loop."""
        if self._is_down:
            return
        self._dirty.update(parts)
        if not self._turn.isActive():
            self._turn.start()

    def refresh(self) -> None:
        """Show everything that has changed, now."""
        dirty, self._dirty = self._dirty, set()
        self._turn.stop()
        for part, show in (
            ("series", self._show_series),
            ("scans", self._show_scans),
            ("time", self._show_time),
            ("pictures", self._show_pictures),
            ("levels", self._show_levels),
            ("controls", self._show_controls),
            ("progress", self._show_progress),
            ("curves", self._show_fitted_curves),
            ("report", self._show_report),
            ("neighbours", self._prepare_neighbours),
            ("hint", self._show_hint),
            ("estimate", self._make_estimate),
            ("status", self._show_status),
        ):
            if part in dirty:
                show()
        if "thumbnails" in dirty:
            self._still.start()
        if "volume" in dirty:
            self.update_volume()

    def decode_preview(self, trajectory: Trajectory) -> None:
        """Decode the visible slices of a preview in the background; `preview_decoded` gives it back."""
        self._previews.submit(Preview(dataclasses.replace(self._session, preview=trajectory)))

    def update_volume(self) -> None:
        """Bring the 3D canvas up to date, in the background."""
        if self._session.series is None or not self._window.volume.is_built:
            return
        if self._session.preview is not None and opengl_kind() != "hardware":
            return  # drawing in software takes the GUI thread, and the fit needs the processor
        self._volume.submit(Volume(dataclasses.replace(self._session)))

    def show_curves(self, history: Sequence[FitProgress], panel: Curves | None = None) -> None:
        """Draw the losses by name over the steps, in the fit panel or another."""
        names = list(dict.fromkeys(name for progress in history for name in progress.losses))
        values = {name: [progress.losses.get(name, math.nan) for progress in history] for name in names}
        (panel or self._window.fit_panel).set_curves([progress.step for progress in history], values)

    def drop_previews(self) -> None:
        """Forget what is being decoded: the fit is over."""
        self._previews.cancel()

    def shut_down(self) -> None:
        """Stop timers and threads; nothing is shown any more."""
        self._is_down = True
        self._dirty.clear()
        self._turn.stop()
        self._still.stop()
        for lane in self._lanes:
            lane.shut_down()

    def _timer(self, ms: int, slot: Callable[[], None]) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(ms)
        timer.timeout.connect(slot)
        return timer

    def _marker(self, parts: tuple[str, ...]) -> Callable[[], None]:
        def mark() -> None:
            self.mark(*parts)

        return mark

    def _show_series(self) -> None:
        session, window = self._session, self._window
        series = session.series
        window.set_loaded(series is not None)
        window.series_panel.set_mask(session.mask)
        if series is None:
            window.series_panel.set_rows([], "index")
            return
        rows = [
            ScanRow(name, scan.time, scan.time_source, role, tip(scan.image))
            for scan, name, role in zip(series.scans, scan_labels(series), session.roles(), strict=True)
        ]
        window.series_panel.set_rows(rows, series.unit, summary(session))
        window.set_title(title(session))

    def _show_scans(self) -> None:
        """The timeline's ticks and span: those of the map that is shown, whatever is ticked for the next fit."""
        session = self._session
        if session.series is None:
            return
        marks = (session.series, session.roles_shown())
        if marks != self._marks:  # a preview comes twice a second, and its roles stay
            self._marks = marks
            names, roles = scan_labels(session.series), list(session.roles_shown())
            self._window.timeline.set_scans(list(session.times), names, roles, session.series.unit)
            self._window.timeline.set_time(session.time)
            self._window.overlay_panel.set_scans(list(session.times), names, session.series.unit)
            self._show_levels()

    def _show_time(self) -> None:
        self._window.timeline.set_time(self._session.time)

    def _show_pictures(self) -> None:
        if self._session.series is None:
            return
        from noder_viewer.scene import slice_scene

        awaits_scans = bool(awaited_scans(self._session))
        if awaits_scans or awaited_scales(self._session):
            self._awaited.submit(FetchAwaited(dataclasses.replace(self._session)))
        if awaits_scans:  # what is on screen stays until the file has been read
            return
        session = with_known_scales(self._session)
        methods = session.methods  # side by side one plane is looked at, and the others need not be computed
        for axis in AXES:
            shown = axis == methods.axis if methods.on else self._window.pictures.shows(axis)
            self.scenes[axis] = slice_scene(session, axis) if shown else None
            self._window.slices[axis].set_scene(self.scenes[axis])
        self.reader.refresh()

    def _show_levels(self) -> None:
        if self._session.series is None:
            levels = self._session.window
        else:
            from noder_viewer.pictures import frame_levels

            levels = frame_levels(self._session)
        self._window.timeline.set_levels(*levels)
        self._window.volume.set_levels(*levels)

    def _show_controls(self) -> None:
        session, window = self._session, self._window
        opened = session.series is not None
        panel = window.overlay_panel
        panel.set_available(has_series=opened, has_trajectory=session.trajectory is not None)
        panel.set_ensemble(there=session.has_ensemble)
        panel.set_show(session.show_shown)
        panel.set_carry(session.carry)
        panel.set_overlays(session.overlays)
        panel.set_window_range(*session.value_range)
        panel.set_ct(looks_like_ct(session.value_range))
        panel.set_window(*session.window)
        panel.set_radiological(session.radiological)
        window.series_panel.set_locked(bool(session.activity) or session.pair is not None)
        window.fit_panel.set_state(
            ready=opened and session.pair is None and (not session.activity or session.is_fitting),
            fitting=session.is_fitting,
            stopping=session.activity == "stopping",
            paused=session.activity == "paused",
        )
        window.set_available(states(session))
        window.set_steps(session.undoable, session.redoable)
        for show, action in SHOW_ACTIONS.items():
            window.set_checked(action, session.show_shown == show)
        for name in ("jacobian", "brightness", "spread", "quiver", "landmarks", *DEFORMATION):
            window.set_checked(f"toggle_{name}", getattr(session.overlays, name))
        window.set_checked("toggle_radiological", session.radiological)
        window.set_checked("toggle_periodic", session.period is not None)
        window.set_checked("show_methods", session.methods.on)

    def _show_progress(self) -> None:
        session, panel = self._session, self._window.fit_panel
        p = session.progress
        if session.is_fitting and p is not None:
            panel.set_progress(p.step / p.total if p.total else None, progress_words(session))
        elif session.is_fitting:
            panel.set_progress(None, "Preparing…")
        else:
            panel.set_progress(0.0, outcome(session))

    def _show_fitted_curves(self) -> None:
        session = self._session
        if session.follows:
            return  # the fit draws its own
        if session.pair is not None:
            if session.result is not None:
                self.show_curves(session.result.history, self._window.register_panel)
        elif session.result is None:
            self._window.fit_panel.clear_curves()
        else:
            self.show_curves(session.result.history)

    def _show_report(self) -> None:
        result = self._session.result if self._session.pair is None else None
        self._window.fit_panel.set_report("" if result is None else report_html(result))

    def _show_hint(self) -> None:
        self._window.series_panel.set_hint(pending(self._session))

    def _show_status(self) -> None:
        self._window.set_status(self._session.status)

    def _make_thumbnails(self) -> None:
        if self._session.series is not None and len(self._session.times) > 1:
            self._thumbnails.submit(Thumbnails(dataclasses.replace(self._session)), interrupt=True)

    def _prepare_neighbours(self) -> None:
        result = self._session.result
        if result is not None and not result.trajectory.is_prepared:
            self._neighbours.submit(Prepare(result.trajectory), interrupt=True)

    def _make_estimate(self) -> None:
        """In the background: the pace of this machine is measured at first."""
        panel, session = self._window.fit_panel, self._session
        if session.series is None or session.is_fitting or session.pair is not None or not panel.is_ready:
            panel.set_estimate("")
            return
        try:
            choice = panel.choice()
        except ValueError:  # told when the fit is to start
            return
        self._estimates.submit(EstimateFit(dataclasses.replace(session), choice))

    def _on_choice(self) -> None:
        self.mark("estimate")

    def _on_estimate(self, found: object) -> None:
        if isinstance(found, Estimated):
            self._window.fit_panel.set_estimate(found.text, fits=found.fits)

    def _on_neighbours(self, _: object) -> None:
        self.mark("pictures", "thumbnails", "volume")

    def _on_thumbnails(self, frames: object) -> None:
        if isinstance(frames, list):
            self._window.timeline.set_thumbnails(frames)

    def _on_volume(self, scene: object) -> None:
        self._window.volume.set_scene(cast("VolumeScene | None", scene))
        self.volume_shown.emit()

    def _on_fetched(self, _: object) -> None:
        self.mark("pictures")
        self.fetched.emit()

    def _on_preview(self, trajectory: object) -> None:
        self.preview_decoded.emit(trajectory)
