"""What the background threads run for projects: no Qt, and heavy imports stay inside."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noder_viewer.choices_as_dicts import fit_as_dict, fit_choice, register_as_dict, register_choice
from noder_viewer.fit_rows import FitRow, Rows
from noder_viewer.fit_rows import reopened as row_of_folder
from noder_viewer.jobs import FitChoice, Opened, Reporter, opened, share_cores
from noder_viewer.pair_jobs import PairReopened, RegisterChoice, reopened
from noder_viewer.project_parts import (
    METHODS,
    Parts,
    layers_as_dicts,
    layers_of,
    methods_of,
    regions_as_dict,
    regions_of,
    rows_as_dicts,
    rows_of,
    written_regions,
)

if TYPE_CHECKING:
    from noder.project import Found, Missing, Project
    from noder.series import ImageSeries
    from noder_viewer.layers import Layer
    from noder_viewer.region_state import ShownRegions
    from noder_viewer.session import Session
    from noder_viewer.shown_pair import ShownPair

SHOWN_FIT = "shown_fit"
"""Name in a project's view for the position of the fit that is shown among those that are there."""
AUTOSAVE = "autosave"
"""Name in a project for what only an autosave knows."""


@dataclass(frozen=True, eq=False)
class Draft:
    """What is open, taken from the session in one moment, with the folders of what has been saved of it.

    `rows`: the list of fits. `replaces`: a file of drawn labels that goes once the project names another.
    `key`: equal to that of a later moment where nothing has changed since.
    """

    series: ImageSeries | None = None
    hold_out: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    mask: Path | None = None
    rows: Rows = ()
    shown_fit: int = 0
    layers: tuple[Layer, ...] = ()
    regions: ShownRegions | None = None
    replaces: Path | None = None
    pair: ShownPair | None = None
    pair_in: Path | None = None
    fit: FitChoice | None = None
    register: RegisterChoice | None = None
    shows_pair: bool = False
    view: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)
    key: object = None

    @property
    def fits(self) -> Rows:
        """Those rows that have a result."""
        return tuple(row for row in self.rows if row.result is not None)


@dataclass(frozen=True, eq=False)
class Written:
    """A project that was written from `draft`, where its fits and its registration are, and its regions as written."""

    path: Path
    draft: Draft
    fits_in: tuple[Path, ...] = ()
    pair_in: Path | None = None
    regions: ShownRegions | None = None
    capsule: bool = False


@dataclass(frozen=True)
class ProjectOpened:
    """What a project holds, as far as it was found. `notes`: what could not be opened, in sentences.

    `places`: folders that were searched for its files; `is_cut`: not to their ends.
    """

    path: Path
    project: Project
    missing: tuple[Missing, ...]
    series: Opened | None
    parts: Parts
    pair: PairReopened | None
    fit: FitChoice | None
    register: RegisterChoice | None
    notes: tuple[str, ...] = ()
    places: tuple[Path, ...] = ()
    is_cut: bool = False

    @property
    def autosave(self) -> dict[str, Any] | None:
        """What the autosave knew, None for a project that the user saved."""
        return self.project.unknown.get(AUTOSAVE)


@dataclass(frozen=True)
class WriteProject:
    """Write a project; results that were not saved go into folders below `results`. Of a capsule `path` is the folder.

    Raises InputError, OutputError.
    """

    draft: Draft
    path: Path
    results: Path
    capsule: bool = False

    def __call__(self, task: Reporter) -> Written:
        from noder.capsule import write_capsule
        from noder.project import write_project

        share_cores(leave_one=True)
        if not self.capsule:
            project, written = self._saved(self.results)
            path = write_project(project, self.path)
            self._remove_replaced(written.regions)
            return dataclasses.replace(written, path=path)
        with tempfile.TemporaryDirectory(prefix="noder-capsule-") as staging:  # copied from there
            project, written = self._saved(Path(staging))
            drawn = None if written.regions is None else written.regions.saved_in
            path = write_capsule(project, self.path, () if drawn is None else (drawn,))
            return Written(path, self.draft, capsule=True)

    def _saved(self, folder: Path) -> tuple[Project, Written]:
        """All that was not saved goes below `folder`."""
        fits_in, pair_in = self._fit_folders(folder), self._pair_folder(folder)
        regions = written_regions(self.draft.regions, self.draft.series, folder)
        results = (*fits_in, pair_in)
        project = _project(self.draft, tuple(each for each in results if each is not None), regions)
        return project, Written(self.path, self.draft, fits_in, pair_in, regions)

    def _remove_replaced(self, regions: ShownRegions | None) -> None:
        old = self.draft.replaces
        layers = [layer.image.path for layer in self.draft.layers]
        if old is not None and old not in (*layers, None if regions is None else regions.file):
            with suppress(OSError):
                old.unlink()

    def _fit_folders(self, results: Path) -> tuple[Path, ...]:
        return tuple(self._fit_folder(row, results) for row in self.draft.fits)

    def _fit_folder(self, row: FitRow, results: Path) -> Path:
        from noder.store import save_result

        if row.result is None or (row.saved_in is not None and _is_there(row.saved_in)):
            return row.saved_in or results
        folder = unused_folder(results / row.file_name)
        save_result(row.result, folder)
        return folder

    def _pair_folder(self, results: Path) -> Path | None:
        from noder.pair_files import write_registration

        pair, folder = self.draft.pair, self.draft.pair_in
        if pair is None or pair.registration is None or pair.scores is None or pair.given is None:
            return None
        if folder is not None and _is_there(folder):
            return folder
        folder = unused_folder(results / "registration")
        write_registration(pair.registration, pair.scores, folder, given=pair.given)
        return folder


def draft_of(session: Session, fit: FitChoice | None, register: RegisterChoice | None, view: dict[str, Any]) -> Draft:
    """What is open now, on screen and behind it."""
    now = {**session.snapshot(), "show": session.show, "carry": session.carry}
    sides = [now] if session.kept is None else [now, session.kept]
    series: Mapping[str, Any] = next((side for side in sides if side["pair"] is None), {})
    pair: Mapping[str, Any] = next((side for side in sides if side["pair"] is not None), {})
    return Draft(
        series.get("series"), series.get("hold_out", frozenset()), series.get("exclude", frozenset()),
        series.get("mask"), tuple(row for row in series.get("fits", ()) if row.result or row.left_out),
        series.get("shown_fit", 0), session.layers, series.get("regions"), None, pair.get("pair"), pair.get("saved_in"),
        fit, register, session.pair is not None, view,
    )  # fmt: skip


def project_opened(path: Path, places: Sequence[Path], task: Reporter) -> ProjectOpened:
    """Read a project and open all of it that can be. Raises InputError for what is no project."""
    from noder.project import read_project

    share_cores(leave_one=True)
    task.report(f"Opening {path.name}…")
    found = read_project(path, places)
    notes: list[str] = []
    fits = _fits_of(found, notes, task)
    series = _series_of(found, path, fits, task)
    parts = _parts_of(found, path, fits, None if series is None else series.series, notes, task)
    pair = _pair_of(found, notes, task)
    project = found.project
    fit = None if project.fit is None else fit_choice(project.fit)
    register = None if project.register is None else register_choice(project.register)
    return ProjectOpened(
        path, project, found.missing, series, parts, pair, fit, register, tuple(notes), tuple(places), found.is_cut
    )


def unused_folder(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... where there is nothing yet."""
    numbered = (folder.with_name(f"{folder.name}-{k}") for k in itertools.count(2))
    return next(path for path in itertools.chain([folder], numbered) if not path.exists())


def _project(draft: Draft, folders: tuple[Path, ...], regions: ShownRegions | None) -> Project:
    from noder.project import Project

    parts = {
        "layers": layers_as_dicts(draft.layers),
        "regions": regions_as_dict(regions),
        "fits": rows_as_dicts(draft.rows),
    }
    return Project(
        draft.series, tuple(draft.hold_out), tuple(draft.exclude), draft.mask,
        None if draft.fit is None else fit_as_dict(draft.fit),
        None if draft.register is None else register_as_dict(draft.register), folders,
        "pair" if draft.shows_pair else "series", draft.view, parts, draft.unknown,
    )  # fmt: skip


def _fits_of(found: Found, notes: list[str], task: Reporter) -> dict[int, FitRow]:
    """All fits that can be opened, on one copy of their images, by their numbers among all results."""
    from noder.errors import InputError
    from noder.image import Image
    from noder.store import load_result
    from noder.stored_files import is_registration

    rows, images = dict[int, FitRow](), dict[Any, Image]()
    for number, folder in zip(found.positions, found.project.results, strict=True):
        if is_registration(folder):
            continue
        task.report(f"Opening {folder.name}…")
        try:
            rows[number] = row_of_folder(load_result(folder, found.hashed, images), folder)
        except InputError as error:
            notes.append(str(error))
    return rows


def _series_of(found: Found, path: Path, fits: Mapping[int, FitRow], task: Reporter) -> Opened | None:
    """With the fit that was shown; its series is the one that it was made of, aligned where that was asked for."""
    position = found.project.view.get(SHOWN_FIT)
    row = fits.get(position) if isinstance(position, int) else None
    series = found.project.series if row is None or row.result is None else row.result.series
    if series is None:
        return None
    task.report(f"Reading {len(series.scans)} scans…")
    series.check()
    result, folder = (None, None) if row is None else (row.result, row.saved_in)
    return opened([path], series, result, folder)


def _parts_of(
    found: Found, path: Path, fits: Mapping[int, FitRow], series: ImageSeries | None, notes: list[str], task: Reporter
) -> Parts:
    """What else is open; a part that is odd is told, and the others open."""
    described, view = found.project.parts, found.project.view
    parts = Parts(rows=tuple(fits.values()))
    with _told("list of fits", path, notes):
        parts = dataclasses.replace(parts, rows=rows_of(described.get("fits", []), fits, series))
    with _told("methods side by side", path, notes):
        if METHODS in view:
            parts = dataclasses.replace(parts, methods=methods_of(view[METHODS], fits))
    with _told("layers", path, notes):
        if "layers" in described:
            parts = dataclasses.replace(parts, layers=layers_of(described["layers"], task, notes))
    with _told("regions", path, notes):
        if "regions" in described and series is not None:
            parts = dataclasses.replace(parts, regions=regions_of(described["regions"], series, task, notes))
    return parts


@contextmanager
def _told(what: str, path: Path, notes: list[str]) -> Iterator[None]:
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        notes.append(f"The {what} in {path.name} cannot be read: {error} is missing or odd.")


def _pair_of(found: Found, notes: list[str], task: Reporter) -> PairReopened | None:
    from noder.errors import InputError
    from noder.stored_files import is_registration

    for folder in reversed(found.project.results):
        if is_registration(folder):
            try:
                return reopened(folder, task, found.hashed)
            except InputError as error:
                notes.append(str(error))
    return None


def _is_there(folder: Path) -> bool:
    return (folder / "result.json").is_file()
