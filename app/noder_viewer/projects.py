"""Saves what is open as a project and opens it again; knows what has changed since."""

from __future__ import annotations

import base64
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QObject, QTimer, Signal
from PySide6.QtWidgets import QFileDialog

from noder_viewer import fit_rows
from noder_viewer.camera import Camera
from noder_viewer.fit_rows import FitRow
from noder_viewer.jobs import PROJECT, FitChoice
from noder_viewer.loader import Latest
from noder_viewer.main_window import LAYOUT
from noder_viewer.missing_dialog import MissingDialog
from noder_viewer.missing_words import missing_words
from noder_viewer.pair_jobs import RegisterChoice
from noder_viewer.project_jobs import (
    AUTOSAVE,
    SHOWN_FIT,
    Draft,
    ProjectOpened,
    WriteProject,
    Written,
    draft_of,
    unused_folder,
)
from noder_viewer.project_key import ProjectKeys
from noder_viewer.project_parts import METHODS, methods_as_dict
from noder_viewer.region_state import ShownRegions
from noder_viewer.view_state import OF_A_SIDE, plain, revived, set_view, view_of

if TYPE_CHECKING:
    from noder_viewer.controller import Controller

SHOW_MISSING = "missing files"
"""Key of the banner's button."""
SPEED = "seconds_a_cycle"
CAMERAS = "cameras"
"""Name in a project's view for how fast it plays."""
_FILTER = f"Projects (*{PROJECT});;All files (*)"
_WATCHED = (
    "series", "result", "pair", "kept", "hold_out", "exclude", "mask", "saved_in", "show", "carry", "pulled",
    "square_mm", "overlays", "window", "radiological", "activity", "fits", "period", "region_look", "regions", "layers",
    "order", "look", "bars", "followed", "methods",
)  # fmt: skip


class Projects(QObject):
    """Emits `saved(path)` or `failed(sentence)`; `taken(ProjectOpened)` once a project is on screen."""

    saved = Signal(object)
    failed = Signal(str)
    taken = Signal(object)

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._window, self._session, self._settings = controller.window, controller.session, controller.settings
        self._unknown: dict[str, Any] = {}
        self._clean: object = None
        self._keys = ProjectKeys()
        self._is_partial = False
        self._drawn: Path | None = None
        self._opened: ProjectOpened | None = None
        self.dialog: MissingDialog | None = None
        self._writer = Latest(self)
        self._writer.done.connect(self._on_written)
        self._writer.failed.connect(self._on_failed)
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._look)
        for name in _WATCHED:
            self._session.events[name].connect(self._mark)
        self._window.fit_panel.choice_changed.connect(self._mark)
        self._window.register_panel.choice_changed.connect(self._mark)
        controller.opening.project_read.connect(self._on_read)
        controller.opening.opened.connect(self._on_opened)

    @property
    def changed(self) -> bool:
        """Whether the project's file holds something else than what is open."""
        self._look()
        return self._session.changed

    def save(self) -> bool:
        """Write the project under its name, or ask for one; False: nowhere."""
        path = self._session.project
        if path is None or self._is_partial:
            return self.save_as()
        self.write(path)
        return True

    def save_as(self) -> bool:
        """Ask for a name and write the project; False: nowhere."""
        path = self._session.project or self._controller.commands.beside_the_scans() / f"project{PROJECT}"
        name, _ = QFileDialog.getSaveFileName(self._window, "Save the project", str(path), _FILTER)
        if name:
            chosen = Path(name)
            self.write(chosen if chosen.suffix == PROJECT else chosen.with_name(chosen.name + PROJECT))
        return bool(name)

    def save_capsule(self) -> None:
        """Ask for a folder and write a capsule into it."""
        start = str(unused_folder(self._controller.commands.beside_the_scans() / "capsule"))
        name, _ = QFileDialog.getSaveFileName(self._window, "Save a capsule as a folder", start)
        if name:
            folder = Path(name)
            self._submit(WriteProject(self.draft(), folder, folder, capsule=True))

    def write(self, path: Path) -> None:
        """Write the project in the background; results that were not saved go into a folder beside it."""
        self._settings.set_folder("save", path.parent)
        results = path.with_name(f"{path.stem}-results")
        replaces = self._drawn if self._drawn is not None and self._drawn.parent == results else None
        self._submit(WriteProject(dataclasses.replace(self.draft(), replaces=replaces), path, results))

    def draft(self) -> Draft:
        """What is open now."""
        session = self._session
        view = view_of(session)
        if session.is_fitting:
            del view["carry"]  # the fit's own choice while it runs
        if session.kept is not None:
            view["kept"] = {name: plain(session.kept[name]) for name in OF_A_SIDE if name in session.kept}
        view["layout"] = base64.b64encode(self._window.saveState(LAYOUT).data()).decode()
        view[SPEED] = self._window.timeline.speed
        view[CAMERAS] = [None if view.camera.fitted else plain(view.camera) for view in self._window.slices]
        draft = draft_of(session, self.fit_choice(), self._register_choice(), view)
        view[METHODS] = methods_as_dict(session.methods, draft.fits)
        view[SHOWN_FIT] = next((k for k, row in enumerate(draft.fits) if row.key == draft.shown_fit), None)
        return dataclasses.replace(draft, unknown=self._unknown, key=self.key())

    def fit_choice(self) -> FitChoice | None:
        """What stands in the fit panel; None while it holds a text that does not parse, or nothing yet."""
        panel = self._window.fit_panel
        try:
            return panel.choice() if panel.is_ready else None
        except ValueError:
            return None

    def key(self) -> tuple[object, ...]:
        """Equal to an earlier one where nothing has changed that a project holds, but for place and time."""
        return self._keys.key(self._session, self.fit_choice(), self._register_choice())

    def answer(self, key: str) -> None:
        """The banner's button was pressed."""
        if key == SHOW_MISSING and self._opened is not None:
            if self.dialog is not None:
                self.dialog.deleteLater()
            self.dialog = MissingDialog(self._opened.missing, self._window)
            self.dialog.folder_requested.connect(self.look_in)
            self.dialog.open()

    def look_in(self, folder: Path) -> None:
        """Open the project again with its missing files looked for below `folder`."""
        if self._opened is not None:
            self._controller.opening.open([self._opened.path], places=(folder,))

    def shut_down(self) -> None:
        """Let what is being written be written."""
        self._turn.stop()
        self._writer.shut_down()
        if self.dialog is not None:
            self.dialog.close()

    def _submit(self, job: WriteProject) -> None:
        if self._session.activity == "opening":
            self._on_failed("Something is being opened. Save the project once that is done.")
            return
        self._session.status = f"Saving {job.path.name}…"
        self._writer.submit(job)

    def _register_choice(self) -> RegisterChoice | None:
        panel = self._window.register_panel
        try:
            choice = panel.choice()
        except ValueError:
            return None
        return choice if panel.inputs.fixed.source or panel.inputs.moving.source else None

    def _mark(self, *_: object) -> None:
        if not self._turn.isActive():
            self._turn.start()

    def _look(self) -> None:
        """Whether something has changed; what a fit changes while it runs is looked at once it has ended."""
        session = self._session
        if not session.activity:
            session.changed = session.project is not None and self.key() != self._clean

    def _on_opened(self) -> None:
        """Other scans, or another fit, are no part of the project that was open; a pair beside them is."""
        if self._session.pair is None:
            self._leave()

    def _leave(self) -> None:
        self._session.project, self._session.changed = None, False
        self._unknown, self._opened, self._drawn, self._is_partial = {}, None, None, False

    def _on_read(self, value: object) -> None:
        if isinstance(value, ProjectOpened):
            self._take(value)

    def _take(self, value: ProjectOpened) -> None:
        self._session.activity = ""
        self._window.banner.clear()
        self._show_series(value)
        self._show_sides(value)
        self._show_choices(value)
        self._opened = value
        self._unknown = {name: kept for name, kept in value.project.unknown.items() if name != AUTOSAVE}
        self._is_partial = bool(value.missing or value.notes)
        self._session.project = _project_of(value)
        self._session.status = f"Opened {value.path.name if value.autosave is None else 'what was kept'}"
        self._clean = None if value.autosave is not None else self.key()
        self._controller.presenter.refresh()
        self._look()
        self._say_what_is_missing(value)
        self.taken.emit(value)

    def _show_series(self, value: ProjectOpened) -> None:
        session, controller, found = self._session, self._controller, value.series
        if session.kept is not None and not controller.registering.hides_unsaved:
            session.kept = None
        if found is None:
            self._leave()
            if value.autosave is None:
                self._add_recent(value.path)
            return
        for view, camera in zip(self._window.slices, value.project.view.get(CAMERAS) or (), strict=False):
            view.look_next(None if camera is None else revived(camera, Camera()))
        remembers = controller.opening.remember
        controller.opening.remember = remembers and value.autosave is None
        controller.opening.take(found)
        controller.opening.remember = remembers
        if value.project.series is not None:  # else its scans were found by the fit alone, with the fit's boxes
            session.hold_out, session.exclude = frozenset(value.project.hold_out), frozenset(value.project.exclude)
        session.mask = value.project.mask
        session.fits = tuple(_as_saved_by_the_user(row, value) for row in value.parts.rows)
        shown = next((row for row in session.fits if row.result is session.result), None)
        session.shown_fit, session.saved_in = (0, None) if shown is None else (shown.key, shown.saved_in)
        session.regions = _as_drawn_by_the_user(value.parts.regions, value)
        if value.parts.methods is not None:
            session.methods = value.parts.methods

    def _show_sides(self, value: ProjectOpened) -> None:
        """The series is looked at as it was, then the pair; then what was on screen comes back to it."""
        session, project = self._session, value.project
        if value.parts.layers is not None:
            session.layers = value.parts.layers
        on_screen = {name: project.view[name] for name in OF_A_SIDE if name in project.view}
        behind = project.view.get("kept", {})
        set_view(session, project.view if project.shown == "series" else {**project.view, **behind})
        if value.pair is None:
            return
        registering = self._controller.registering
        registering.take(value.pair)
        set_view(session, on_screen if project.shown == "pair" else behind)
        if value.autosave is not None and value.path.parent in value.pair.folder.parents:
            session.saved_in = None
        if project.shown == "series":
            registering.go_back()

    def _show_choices(self, value: ProjectOpened) -> None:
        window = self._window
        if value.fit is not None:
            window.fit_panel.set_config(value.fit)
        if value.register is not None:
            window.register_panel.set_choice(value.register)
        if isinstance(speed := value.project.view.get(SPEED), int | float):
            window.timeline.set_speed(speed)
        layout = value.project.view.get("layout")
        if isinstance(layout, str):
            window.restoreState(QByteArray.fromBase64(layout.encode()), LAYOUT)

    def _say_what_is_missing(self, value: ProjectOpened) -> None:
        words = missing_words(value)
        if words:
            self._window.banner.set_message(words, "warning", remedy=(SHOW_MISSING, "Show them…"))
        elif value.notes:
            self._window.banner.set_message("  ".join(value.notes), "warning")

    def _on_written(self, value: object) -> None:
        if not isinstance(value, Written):
            return
        self._session.status = f"Saved {value.path}"
        if not value.capsule:
            self._remember_fits(value)
            self._remember_pair(value.draft.pair, value.pair_in)
            self._remember_regions(value)
            self._session.project, self._clean, self._is_partial = value.path, value.draft.key, False
            self._add_recent(value.path)
            self._look()
        self.saved.emit(value.path)

    def _remember_fits(self, written: Written) -> None:
        """Where the fits are saved now, be their series on screen or behind the pair."""
        session, kept = self._session, self._session.kept
        tables = [row for row in written.draft.rows if row.left_out is not None and row.saved_in is None]
        for row in tables:  # the project itself holds them
            session.fits = fit_rows.updated(session.fits, row.key, saved_in=written.path)
            if kept is not None:
                kept = {**kept, "fits": fit_rows.updated(kept["fits"], row.key, saved_in=written.path)}
        for row, folder in zip(written.draft.fits, written.fits_in, strict=True):
            session.fits = fit_rows.saved(session.fits, row.result, folder)
            if session.result is row.result:
                session.saved_in = folder
            if kept is not None and kept["pair"] is None:
                shown = {"saved_in": folder} if kept["result"] is row.result else {}
                kept = {**kept, "fits": fit_rows.saved(kept["fits"], row.result, folder), **shown}
        session.kept = kept

    def _remember_pair(self, pair: object, folder: Path | None) -> None:
        """Where the registration is saved now, be it on screen or behind the series."""
        session = self._session
        if pair is None or folder is None:
            return
        if session.pair is pair:
            session.saved_in = folder
        elif session.kept is not None and session.kept["pair"] is pair:
            session.kept = {**session.kept, "saved_in": folder}

    def _remember_regions(self, written: Written) -> None:
        """Which file holds the labels that were drawn, be their series on screen or behind the pair."""
        drawn, regions, kept = written.draft.regions, written.regions, self._session.kept
        if drawn is None or regions is None or regions is drawn or regions.saved_in is None:
            return
        self._drawn = regions.saved_in
        self._controller.measuring.set_saved(regions, regions.saved_in)
        behind = None if kept is None else kept["regions"]
        if kept is not None and behind is not None and behind.labels is regions.labels:
            saved = dataclasses.replace(behind, changed=False, saved_in=regions.saved_in)
            self._session.kept = {**kept, "regions": saved, "region_figures": None}

    def _add_recent(self, path: Path) -> None:
        if self._controller.opening.remember:
            self._settings.add_recent([path])
            self._window.set_recent(self._settings.recent())

    def _on_failed(self, error: object) -> None:
        self._session.status = "The project was not saved"
        self._window.banner.set_message(str(error))
        self.failed.emit(str(error))


def _as_saved_by_the_user(row: FitRow, opened: ProjectOpened) -> FitRow:
    """What only the autosave has kept has not been saved yet; a table is in the project itself."""
    if row.left_out is not None:
        return dataclasses.replace(row, saved_in=opened.path if opened.autosave is None else None)
    is_kept = row.saved_in is not None and opened.path.parent in row.saved_in.parents
    return dataclasses.replace(row, saved_in=None) if opened.autosave is not None and is_kept else row


def _as_drawn_by_the_user(regions: ShownRegions | None, opened: ProjectOpened) -> ShownRegions | None:
    """As for fits; the file of the autosave goes with it."""
    if regions is None or regions.saved_in is None or opened.autosave is None:
        return regions
    is_kept = opened.path.parent in regions.saved_in.parents
    return dataclasses.replace(regions, changed=True, saved_in=None, source=None) if is_kept else regions


def _project_of(value: ProjectOpened) -> Path | None:
    """The file that the user knows: of an autosave the project that it was made from, if any."""
    if value.autosave is None:
        return value.path
    name = value.autosave.get("project")
    return Path(name) if isinstance(name, str) and name else None
