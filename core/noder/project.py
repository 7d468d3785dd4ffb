"""A project file: what was open, as JSON with relative paths. It finds files that moved, and tells what is missing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from noder.atomic import output_errors, write_json
from noder.errors import InputError
from noder.file_search import Below
from noder.provenance import versions
from noder.recipe import recipe_of
from noder.series import ImageSeries
from noder.store import described_scan, scans_of_rows
from noder.stored_files import REGISTRATION, described_file, described_place, is_registration, sha256_of

SUFFIX = ".noderproj"
FORMAT = 1
_KIND = "noder project"
_FILE = {"path", "relative_path", "sha256"}
PARTS = {"layers": "layer", "regions": "file of the regions", "fits": "mask of a leave-one-out"}
"""What else a program may keep in a project, and what its files are called where they are missing."""
Side = Literal["series", "pair"]


@dataclass(frozen=True)
class Project:
    """What is open: a series with what is chosen for its next fit, saved results, a pair, and how they are looked at.

    `results`: folders that `save_result` or `write_registration` wrote; of each kind the last one is shown. `fit` and
    `register` are choices, and `view` is how things are looked at: names and plain values, with a `Path` where a file
    is meant. `shown`: what is on screen. `parts`: what else is open, values and paths by the names of `PARTS`; a path
    that was not found is None. `unknown`: what a newer program has written, to be kept.
    """

    series: ImageSeries | None = None
    hold_out: tuple[int, ...] = ()
    exclude: tuple[int, ...] = ()
    mask: Path | None = None
    fit: dict[str, Any] | None = None
    register: dict[str, Any] | None = None
    results: tuple[Path, ...] = ()
    shown: Side = "series"
    view: dict[str, Any] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Missing:
    """A file that is not used: not there (`looked` says where it was looked for), or `changed` since."""

    name: str
    what: str
    looked: tuple[Path, ...]
    changed: bool = False

    @property
    def words(self) -> str:
        """What it is and what is wrong with it, for a list."""
        return f"{self.name} ({self.what}) {'has changed' if self.changed else 'is not there any more'}"


@dataclass(frozen=True)
class Found:
    """A project that was read, what it lacks, and checksums of its files for who opens its results.

    `positions`: where each of the results that were found stands among all of them. `is_cut`: there was more below the
    places than was looked at.
    """

    project: Project
    missing: tuple[Missing, ...]
    hashed: dict[Path, str]
    positions: tuple[int, ...] = ()
    is_cut: bool = False


def write_project(project: Project, path: Path) -> Path:
    """Write `project` under `path` at once; returns `path`. Raises OutputError; InputError for scans in memory only."""
    home = path.absolute().parent
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return write_json(path, _merged(project.unknown, _described(project, home)))


def read_project(path: Path, places: Sequence[Path] = ()) -> Found:
    """Open a project; its files are looked for beside it, where they were, and in and below the folders `places`.

    What is missing or has changed is left out and told. Raises InputError for what is no project, is damaged, or is
    of a newer version.
    """
    document = read_document(path)
    finder = Finder(path.absolute().parent, places)
    try:
        project, positions = _read(document, finder)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path} is damaged: {error} is missing or odd. Take an earlier copy of it.") from error
    return Found(project, tuple(finder.missing.values()), finder.hashed, positions, finder.is_cut)


def read_document(path: Path) -> dict[str, Any]:
    """The JSON of a project. Raises InputError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Give a {SUFFIX} file.") from error
    except ValueError as error:
        raise InputError(
            f"{path} is damaged ({error}). Take an earlier copy of it, or save the project again."
        ) from error
    if not isinstance(document, dict) or document.get("kind") != _KIND:
        raise InputError(f"{path} is no project of noder-viewer. Give a {SUFFIX} file that it wrote.")
    version = document.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise InputError(
            f"{path} was written by a newer noder-viewer (format {version}, and this one knows {FORMAT}). Open it with "
            "that version, or update this one."
        )
    return document


class Finder:
    """Says where the files of a project are now. `missing` collects those that are not found, `hashed` checksums."""

    def __init__(self, home: Path, places: Sequence[Path] = ()) -> None:
        self._home, self._places = home, tuple(places)
        self.below = Below(places)
        self.hashed: dict[Path, str] = {}
        self.missing: dict[str, Missing] = {}

    def file(self, row: Mapping[str, Any], what: str) -> Path | None:
        """The file that `described_file` described, None where it is not there or its content is another."""
        there = [place for place in self._candidates(row) if place.is_file()]
        same = (place for place in there if row["sha256"] in (None, self._hash(place)))
        found = next(same, None) or self._moved_file(row)
        if found is None:
            self._lacks(row, what, there)
        return found

    def folder(self, row: Mapping[str, Any], what: str) -> Path | None:
        """The folder of a result that `described_place` described, None where it is not there."""
        for place in self._candidates(row):
            if _is_result(place):
                return place
        moved = [place for place in self.below.named(Path(row["path"]).name) if _is_result(place)]
        if len(moved) == 1:  # results have no checksum, so two of one name are not told apart
            return moved[0]
        self._lacks(row, what, [])
        return None

    @property
    def is_cut(self) -> bool:
        """Whether something is missing that may lie where nobody has looked."""
        return bool(self.missing) and self.below.is_cut

    def _moved_file(self, row: Mapping[str, Any]) -> Path | None:
        """A file of that name anywhere below the places: the one of that content, or the only one of the name."""
        named = [place for place in self.below.named(Path(row["path"]).name) if _is_readable(place)]
        if row["sha256"] is None:
            return named[0] if len(named) == 1 else None
        return next((place for place in named if self._hash(place) == row["sha256"]), None)

    def _hash(self, place: Path) -> str:
        if place not in self.hashed:
            self.hashed[place] = sha256_of(place)
        return self.hashed[place]

    def _lacks(self, row: Mapping[str, Any], what: str, there: list[Path]) -> None:
        looked = tuple(there or self._candidates(row))
        self.missing[row["path"]] = Missing(Path(row["path"]).name, what, looked, changed=bool(there))

    def _candidates(self, row: Mapping[str, Any]) -> list[Path]:
        """As seen from the project, where it was, beside the project, then below the places: the longest tail first."""
        old = Path(row["path"])
        relative = [] if row["relative_path"] is None else [lexical(self._home / row["relative_path"])]
        tails = [Path(*old.parts[k:]) for k in range(1, len(old.parts))]
        below = [place / tail for place in self._places for tail in tails]
        return list(dict.fromkeys([*relative, old, self._home / old.name, *below]))


def _is_readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


def _is_result(folder: Path) -> bool:
    return (folder / "result.json").is_file()


def lexical(path: Path) -> Path:
    """Without "..", and with its links: annexed data are links to files of other names."""
    return Path(os.path.normpath(path))


# Project -> JSON


def _described(project: Project, home: Path) -> dict[str, Any]:
    series = project.series
    return {
        "kind": _KIND,
        "format": FORMAT,
        "written": datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "shown": project.shown,
        "time_unit": None if series is None else series.unit,
        "scans": [] if series is None else _scans(series, home),
        "frames": [] if series is None else list(series.frames),
        "n_given": 0 if series is None else series.n_given,
        "series_notes": [] if series is None else list(series.notes),
        "hold_out": sorted(project.hold_out),
        "exclude": sorted(project.exclude),
        "mask": _encoded(project.mask, home),
        "fit": _encoded(project.fit, home),
        "register": _encoded(project.register, home),
        "results": [{**described_place(folder, home), **_recipe(folder, home)} for folder in project.results],
        "view": project.view,
        **{name: _encoded(project.parts.get(name), home) for name in PARTS},
    }


def _recipe(folder: Path, home: Path) -> dict[str, Any]:
    """How a result is made again; where no command line can say it, the reason in the place of the command."""
    try:
        return recipe_of(folder, home).as_dict()
    except InputError as error:
        return {"kind": REGISTRATION if is_registration(folder) else "fit", "command": None, "notes": [str(error)]}


def _scans(series: ImageSeries, home: Path) -> list[dict[str, Any]]:
    for scan in series.scans:
        if scan.image.path is None:
            raise InputError(
                f"{scan.image.name} was never a file, so a project cannot name it. Save it as a file first."
            )
    return [described_scan(scan, home) for scan in series.scans]


def _encoded(value: Any, home: Path) -> Any:
    """Plain values, with what `described_file` says in the place of each path."""
    if isinstance(value, Path):
        return described_file(value, home)
    if isinstance(value, Mapping):
        return {name: _encoded(item, home) for name, item in value.items()}
    return [_encoded(item, home) for item in value] if isinstance(value, list | tuple) else value


def _merged(kept: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What is new, and what was kept beside it; `view` is a table of independent names, which are merged as well."""
    view = {**kept.get("view", {}), **new["view"]}
    return {**kept, **new, "view": view}


# JSON -> project


def _read(document: dict[str, Any], finder: Finder) -> tuple[Project, tuple[int, ...]]:
    """The project, and where each of its results stands in the document."""
    series, positions = _series(document, finder)
    folders = [finder.folder(row, row["kind"]) for row in document["results"]]
    results = {k: folder for k, folder in enumerate(folders) if folder is not None}
    known = _described(Project(), finder._home)
    project = Project(
        series=series,
        hold_out=_moved(document["hold_out"], positions),
        exclude=_moved(document["exclude"], positions),
        mask=_decoded(document["mask"], finder, "mask"),
        fit=_decoded(document["fit"], finder, "file of the fit's settings"),
        register=_decoded(document["register"], finder, "file of the Register tab"),
        results=tuple(results.values()),
        shown=document["shown"],
        view=dict(document["view"]),
        parts={
            name: _decoded(document[name], finder, what)
            for name, what in PARTS.items()
            if document.get(name) is not None
        },
        unknown={name: value for name, value in document.items() if name not in known or name == "view"},
    )
    return project, tuple(results)


def _series(document: Mapping[str, Any], finder: Finder) -> tuple[ImageSeries | None, dict[int, int]]:
    """The series of the scans that were found, and old position -> new one; no series of fewer than two scans."""
    rows = document["scans"]
    paths = {k: path for k, row in enumerate(rows) if (path := finder.file(row, "scan")) is not None}
    if len(paths) < 2:
        return None, {}
    kept = [rows[k] for k in paths]
    if all(row["resampled"] for row in kept):  # onto one that is not there
        return None, {}
    scans = scans_of_rows(kept, list(paths.values()))
    frames = tuple(document["frames"][k] for k in paths)
    series = ImageSeries(scans, document["time_unit"], frames, document["n_given"], tuple(document["series_notes"]))
    return series, {old: new for new, old in enumerate(paths)}


def _moved(positions: Sequence[int], moved: Mapping[int, int]) -> tuple[int, ...]:
    """Positions in the series that was found; its first scan is the reference, which is always used."""
    return tuple(moved[k] for k in positions if moved.get(k))


def _decoded(value: Any, finder: Finder, what: str) -> Any:
    if isinstance(value, dict):
        if value.keys() == _FILE:
            return finder.file(value, what)
        return {name: _decoded(item, finder, what) for name, item in value.items()}
    return [_decoded(item, finder, what) for item in value] if isinstance(value, list) else value
