"""What the background threads run for projects: no Qt, and heavy imports stay inside."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noder_viewer.fit_rows import FitRow, Rows
from noder_viewer.fit_rows import reopened as row_of_folder
from noder_viewer.jobs import FitChoice, Opened, Reporter, opened, share_cores
from noder_viewer.pair_jobs import PairReopened, RegisterChoice, Source, reopened

if TYPE_CHECKING:
    from noder.project import Found, Missing, Project
    from noder.series import ImageSeries
    from noder_viewer.session import Session
    from noder_viewer.shown_pair import ShownPair

SHOWN_FIT = "shown_fit"
"""Name in a project's view for the position of the fit that is shown among those that are there."""
AUTOSAVE = "autosave"
"""Name in a project for what only an autosave knows."""
_CHOSEN = ("space", "swapped", "preset", "seed", "device", "max_seconds", "nan_to_zero")


@dataclass(frozen=True, eq=False)
class Draft:
    """What is open, taken from the session in one moment, with the folders of what has been saved of it.

    `key`: equal to that of a later moment where nothing has changed since.
    """

    series: ImageSeries | None = None
    hold_out: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    mask: Path | None = None
    fits: Rows = ()
    shown_fit: int = 0
    pair: ShownPair | None = None
    pair_in: Path | None = None
    fit: FitChoice | None = None
    register: RegisterChoice | None = None
    shows_pair: bool = False
    view: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)
    key: object = None


@dataclass(frozen=True, eq=False)
class Written:
    """A project that was written from `draft`, and where its fits and its registration are."""

    path: Path
    draft: Draft
    fits_in: tuple[Path, ...] = ()
    pair_in: Path | None = None
    capsule: bool = False


@dataclass(frozen=True)
class ProjectOpened:
    """What a project holds, as far as it was found. `notes`: results that could not be opened, in sentences."""

    path: Path
    project: Project
    missing: tuple[Missing, ...]
    series: Opened | None
    fits: Rows
    pair: PairReopened | None
    fit: FitChoice | None
    register: RegisterChoice | None
    notes: tuple[str, ...] = ()

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
            fits_in, pair_in = self._fit_folders(self.results), self._pair_folder(self.results)
            path = write_project(self._project(*fits_in, pair_in), self.path)
            return Written(path, self.draft, fits_in, pair_in)
        with tempfile.TemporaryDirectory(prefix="noder-capsule-") as staging:  # copied from there
            project = self._project(*self._fit_folders(Path(staging)), self._pair_folder(Path(staging)))
            return Written(write_capsule(project, self.path), self.draft, capsule=True)

    def _project(self, *folders: Path | None) -> Project:
        return _project(self.draft, tuple(folder for folder in folders if folder is not None))

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
        series.get("mask"), tuple(row for row in series.get("fits", ()) if row.result is not None),
        series.get("shown_fit", 0), pair.get("pair"), pair.get("saved_in"), fit, register, session.pair is not None,
        view,
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
    pair = _pair_of(found, notes, task)
    project = found.project
    fit = None if project.fit is None else fit_choice(project.fit)
    register = None if project.register is None else register_choice(project.register)
    return ProjectOpened(path, project, found.missing, series, fits, pair, fit, register, tuple(notes))


def unused_folder(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... where there is nothing yet."""
    numbered = (folder.with_name(f"{folder.name}-{k}") for k in itertools.count(2))
    return next(path for path in itertools.chain([folder], numbered) if not path.exists())


def fit_as_dict(choice: FitChoice) -> dict[str, Any]:
    """The choice of a fit as a project holds it."""
    from noder.model_file import settings_as_dict

    plain = {f.name: getattr(choice, f.name) for f in dataclasses.fields(choice)}
    return {**plain, "settings": settings_as_dict(choice.settings)}


def fit_choice(described: Mapping[str, Any]) -> FitChoice | None:
    """What `fit_as_dict` described; None where this version knows no such settings."""
    known = {f.name for f in dataclasses.fields(FitChoice)}
    values = {name: value for name, value in described.items() if name in known}
    try:
        return FitChoice(**{**values, "settings": _settings(described.get("settings"))})
    except (KeyError, TypeError):
        return None


def register_as_dict(choice: RegisterChoice) -> dict[str, Any]:
    """The choice of a registration as a project holds it: plain values, and paths."""
    from noder.model_file import settings_as_dict

    sources = {"fixed": choice.fixed, "moving": choice.moving}
    return {
        **{side: _path(source) for side, source in sources.items()},
        **{f"{side}_volume": _volume(source) for side, source in sources.items()},
        "masks": list(choice.masks),
        "labels": list(choice.labels),
        "landmarks": choice.landmarks,
        "initial": choice.initial,
        "settings": settings_as_dict(choice.settings),
        **{name: getattr(choice, name) for name in _CHOSEN},
    }


def register_choice(described: Mapping[str, Any]) -> RegisterChoice | None:
    """What `register_as_dict` described; None where this version knows no such settings."""
    try:
        fixed, moving = (Source(described[side], volume=described[f"{side}_volume"]) for side in ("fixed", "moving"))
        return RegisterChoice(
            fixed, moving, _two(described["masks"]), _two(described["labels"]), described["landmarks"],
            initial=described["initial"] or "none", settings=_settings(described["settings"]),
            **{name: described[name] for name in _CHOSEN},
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None


def _project(draft: Draft, folders: tuple[Path, ...]) -> Project:
    from noder.project import Project

    return Project(
        draft.series, tuple(draft.hold_out), tuple(draft.exclude), draft.mask,
        None if draft.fit is None else fit_as_dict(draft.fit),
        None if draft.register is None else register_as_dict(draft.register), folders,
        "pair" if draft.shows_pair else "series", draft.view, draft.unknown,
    )  # fmt: skip


def _fits_of(found: Found, notes: list[str], task: Reporter) -> Rows:
    """All fits that can be opened, on one copy of their images."""
    from noder.errors import InputError
    from noder.image import Image
    from noder.store import load_result
    from noder.stored_files import is_registration

    rows, images = [], dict[Any, Image]()
    for folder in found.project.results:
        if is_registration(folder):
            continue
        task.report(f"Opening {folder.name}…")
        try:
            rows.append(row_of_folder(load_result(folder, found.hashed, images), folder))
        except InputError as error:
            notes.append(str(error))
    return tuple(rows)


def _series_of(found: Found, path: Path, fits: Rows, task: Reporter) -> Opened | None:
    """With the fit that was shown; its series is the one that it was made of, aligned where that was asked for."""
    position = found.project.view.get(SHOWN_FIT)
    row = fits[position] if isinstance(position, int) and 0 <= position < len(fits) else None
    series = found.project.series if row is None or row.result is None else row.result.series
    if series is None:
        return None
    task.report(f"Reading {len(series.scans)} scans…")
    series.check()
    result, folder = (None, None) if row is None else (row.result, row.saved_in)
    return opened([path], series, result, folder)


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


def _settings(described: Mapping[str, Any] | None) -> Any:
    from noder.model_file import settings_from_dict

    return None if described is None else settings_from_dict(described)


def _path(source: Source) -> Path | None:
    return source.path if source.scan is None else source.scan.raw.path


def _volume(source: Source) -> int | None:
    return source.volume if source.scan is None else source.scan.raw.volume


def _two(paths: Sequence[Path | None]) -> tuple[Path | None, Path | None]:
    first, second = paths
    return first, second


def _is_there(folder: Path) -> bool:
    return (folder / "result.json").is_file()
