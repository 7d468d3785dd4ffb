"""Makes the results of a project again by their command lines, and compares them with those that were saved."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from noder.errors import InputError
from noder.model_file import MODEL
from noder.pair_store import read_registration
from noder.project import Finder, Missing, lexical, read_document
from noder.provenance import versions
from noder.recipe import OUT
from noder.store import load_result
from noder.stored_files import REGISTRATION, sha256_of
from noder.trajectory import Trajectory

Run = Callable[[Sequence[str]], object]
"""Runs a command line of `noder`, without its first word."""
BETWEEN = 2
"""Fields are compared at the times of the scans and at this many steps from one to the next."""


@dataclass(frozen=True)
class Replayed:
    """One result made again. `figures`: name -> (saved, again), those that differ; distances of the fields in mm."""

    kind: str
    command: tuple[str, ...]
    folder: str
    equal: bool
    figures: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    field_mean_mm: float = 0.0
    field_max_mm: float = 0.0
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """One line."""
        if self.equal:
            return f"equal: the {self.kind} was made again bit for bit"
        return (
            f"differs: the {self.kind} made again is another; its fields are {self.field_mean_mm:.3g} mm apart in the "
            f"mean, {self.field_max_mm:.3g} mm at most"
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "verdict": self.verdict}


def replay_steps(path: Path, run: Run, out: Path | None = None) -> Iterator[Replayed]:
    """Make each result of the project in `path` again, below `out` (None: nothing is kept), and compare.

    Every file is looked for and its checksum compared before anything is run. Raises InputError where one is missing
    or has changed, where the project holds no result, and what the commands raise.
    """
    document, home = read_document(path), path.absolute().parent
    finder = Finder(home)
    rows = document.get("results") or []
    if not rows:
        raise InputError(f"{path} holds no fit and no registration, so there is nothing to make again.")
    for row in rows:
        if row["command"] is None:
            raise InputError(f"{path} cannot be replayed: {' '.join(row['notes'])}")
    saved = [_saved(row, finder) for row in rows]
    commands = [_command(row, home, finder) for row in rows]
    if finder.missing:
        raise InputError(_lacks(path, list(finder.missing.values())))
    with _folder(out) as folder:
        for k, (row, old, words) in enumerate(zip(rows, saved, commands, strict=True)):
            new = folder / f"{row['kind']}-{k + 1}"
            command = [str(new) if word == OUT else word for word in words]
            run(command[1:])
            yield compared(row, old, new, command, finder.hashed)


def compared(row: Mapping[str, Any], old: Path, new: Path, command: Sequence[str], hashed: dict[Path, str]) -> Replayed:
    """A saved result beside the one that was made again."""
    kind, notes = row["kind"], tuple(row["notes"])
    if sha256_of(new / MODEL) == row["model"]:
        return Replayed(kind, tuple(command), str(new), equal=True, notes=notes)
    one, other = (_trajectory(folder, kind, hashed) for folder in (old, new))
    mean, most = distance(one, other)
    here = versions()
    changed = {name: (was, here[name]) for name, was in row["versions"].items() if here.get(name, was) != was}
    figures = {name: pair for name, pair in _figures(old, new).items() if pair[0] != pair[1]}
    return Replayed(kind, tuple(command), str(new), False, figures, mean, most, changed, notes)


def distance(one: Trajectory, other: Trajectory) -> tuple[float, float]:
    """Mean and largest distance of two maps in mm, over the grid and the times from the first seen scan to the last."""
    times = list(one.times)
    between = [a + (b - a) * k / BETWEEN for a, b in pairwise(times) for k in range(BETWEEN)]
    apart = [(one.field(one.grid, t).u - other.field(one.grid, t).u).norm(dim=0) for t in [*between, times[-1]]]
    return float(sum(each.mean() for each in apart) / len(apart)), float(max(each.max() for each in apart))


def _saved(row: Mapping[str, Any], finder: Finder) -> Path:
    """Where the saved result is; a stand-in where it is missing, which the finder knows."""
    folder = finder.folder(row, row["kind"])
    if folder is None:
        return Path(row["path"])
    if sha256_of(folder / MODEL) != row["model"]:
        model = folder / MODEL
        finder.missing[str(model)] = Missing(MODEL, f"saved {row['kind']}", (model,), changed=True)
    return folder


def _command(row: Mapping[str, Any], home: Path, finder: Finder) -> list[str]:
    """The saved command with its files where they are now."""
    places = {}
    for word, checksum in row["inputs"].items():
        path = lexical(home / word)
        found = finder.file({"path": str(path), "relative_path": word, "sha256": checksum}, "input")
        places[word] = str(found or path)
    return [_replaced(word, places) for word in row["command"]]


def _replaced(word: str, places: Mapping[str, str]) -> str:
    name, equals, value = word.partition("=")
    if equals and value in places:
        return f"{name}={places[value]}"
    return places.get(word, word)


def _lacks(path: Path, missing: Sequence[Missing]) -> str:
    words = [f"{each.words}: {each.looked[0]}" for each in missing]
    return f"{path} cannot be replayed. {'. '.join(words)}. Bring back what it was made of."


def _trajectory(folder: Path, kind: str, hashed: dict[Path, str]) -> Trajectory:
    if kind == REGISTRATION:
        return read_registration(folder, hashed).registration.fit.trajectory
    return load_result(folder, hashed).trajectory


def _figures(old: Path, new: Path) -> dict[str, tuple[Any, Any]]:
    """The scores of both, by name: summary and folds of a fit, scores of a registration."""
    one, other = (_scores(json.loads((folder / "result.json").read_text(encoding="utf-8"))) for folder in (old, new))
    return {name: (one.get(name), other.get(name)) for name in {**one, **other}}


def _scores(described: Mapping[str, Any]) -> dict[str, Any]:
    if described.get("kind") == REGISTRATION:
        apart = ("seconds", "peak_gib", "initial", "versions", "history", "provenance", "config", "given", "seed")
        return {
            name: value for name, value in described.items() if name not in apart and isinstance(value, int | float)
        }
    summary = described["summary"] or {}
    return {"folds": described["folds"], "iterations": described["iterations"], **_flat(summary)}


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _flat(value, f"{before}{name} ") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


@contextmanager
def _folder(out: Path | None) -> Iterator[Path]:
    if out is not None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="noder-replay-") as folder:
        yield Path(folder)
