"""The list of fits: a row each, from the wish to the result. Pure functions from list to list; no Qt, no torch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noder_viewer.jobs import FitChoice
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.fit import FitProgress, FitResult
    from noder.leave_one_out import LeftOut
    from noder.series import ImageSeries

Status = Literal["waiting", "running", "paused", "stopping", "done", "stopped", "failed", "cancelled"]
ACTIVE: tuple[Status, ...] = ("running", "paused", "stopping")

METHODS = {"noder": "NODER", "nephi": "NePhi chain", "geodesic": "Geodesic", "piecewise": "Piecewise"}
"""Names of methods as a list shows them; others are shown by their own."""


@dataclass(frozen=True)
class LeaveOneOut:
    """A row that refits without each scan in turn, in `workers` processes; `baselines`: by the linear methods too."""

    baselines: bool = True
    workers: int = 1


@dataclass(frozen=True, eq=False)
class Asked:
    """What a fit is made from, taken when it was asked for: the boxes may change before its turn comes."""

    series: ImageSeries
    choice: FitChoice
    hold_out: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    mask: Path | None = None
    leave_one_out: LeaveOneOut | None = None

    @classmethod
    def of(cls, session: Session, choice: FitChoice) -> Asked:
        """As the session's boxes are now. Raises ValueError while no series is open."""
        if session.series is None:
            raise ValueError("no series is open: there is nothing to fit")
        return cls(session.series, choice, session.hold_out, session.exclude, session.mask)

    def session(self) -> Session:
        """A session that knows this and nothing else, for the thread that makes the fit."""
        return Session(series=self.series, hold_out=self.hold_out, exclude=self.exclude, mask=self.mask)


@dataclass(frozen=True, eq=False)
class FitRow:
    """One line of the list. `key` is its own for as long as the program runs.

    `result` of a fit, `left_out` of a leave-one-out; `error`: the sentence of one that failed.
    """

    key: int
    name: str
    asked: Asked
    status: Status = "waiting"
    progress: FitProgress | None = None
    result: FitResult | None = None
    left_out: LeftOut | None = None
    error: str = ""
    saved_in: Path | None = None

    @property
    def is_active(self) -> bool:
        """Whether it runs, be it paused or on its way to stop."""
        return self.status in ACTIVE

    @property
    def is_unsaved(self) -> bool:
        """Whether something would be lost with it."""
        return (self.result is not None or self.left_out is not None) and self.saved_in is None

    @property
    def file_name(self) -> str:
        """What it is saved as: a folder, or a table."""
        name = self.name.replace("/", "-").replace("\\", "-")
        return name if self.left_out is None else f"{name}.csv"

    @property
    def can_pause(self) -> bool:
        """Worker processes go on with the refit that they are at."""
        return self.asked.leave_one_out is None or self.asked.leave_one_out.workers == 1


Rows = tuple[FitRow, ...]
_keys = itertools.count(1)


def new_row(rows: Rows, asked: Asked, name: str = "") -> FitRow:
    """A row that waits, with a name that no other has."""
    return FitRow(next(_keys), unused_name(rows, name or name_of(asked)), asked)


def reopened(result: FitResult, folder: Path | None) -> FitRow:
    """The row of a fit that was opened from its folder."""
    config = result.config
    asked = Asked(
        result.series, choice_of(config), frozenset(config.hold_out), frozenset(config.exclude), config.mask
    )  # fmt: skip
    status: Status = "stopped" if result.stopped else "done"
    name = folder.name if folder is not None else name_of(asked)
    return FitRow(next(_keys), name, asked, status, result=result, saved_in=folder)


def choice_of(config: Any) -> FitChoice:
    """What the fit panel would ask for to make a fit of this `FitConfig` again, on any device."""
    return FitChoice(
        method=config.method,
        preset=config.preset,
        settings=config.settings,
        seed=config.seed,
        match_intensity=config.match_intensity,
        intensity=config.intensity,
        align=config.align,
    )


def found(rows: Rows, key: int) -> FitRow | None:
    """The row with that key."""
    return next((row for row in rows if row.key == key), None)


def active(rows: Rows) -> FitRow | None:
    """The row that runs."""
    return next((row for row in rows if row.is_active), None)


def next_waiting(rows: Rows) -> FitRow | None:
    """The row whose turn comes next."""
    return next((row for row in rows if row.status == "waiting"), None)


def updated(rows: Rows, key: int, **changes: Any) -> Rows:
    """The list with changes to one row; a key that has gone changes nothing."""
    return tuple(replace(row, **changes) if row.key == key else row for row in rows)


def without(rows: Rows, key: int) -> Rows:
    """The list without a row."""
    return tuple(row for row in rows if row.key != key)


def moved(rows: Rows, key: int, step: int) -> Rows:
    """The list with a waiting row earlier (-1) or later (1) among those that wait; the others stay in their places."""
    waiting = [k for k, row in enumerate(rows) if row.status == "waiting"]
    place = next((n for n, k in enumerate(waiting) if rows[k].key == key), None)
    if place is None or not 0 <= place + step < len(waiting):
        return rows
    a, b = waiting[place], waiting[place + step]
    swapped = list(rows)
    swapped[a], swapped[b] = rows[b], rows[a]
    return tuple(swapped)


def saved(rows: Rows, result: object, folder: Path) -> Rows:
    """The list with the folder that a fit was saved in."""
    return tuple(replace(row, saved_in=folder) if row.result is result else row for row in rows)


def with_shared_images(row: FitRow, rows: Rows) -> FitRow:
    """The row, on scans that another fit has already aligned as this one asks: one copy of the images serves both."""
    asked = row.asked
    if asked.choice.align == "none":
        return row
    for other in rows:
        same = other.asked.choice.align == asked.choice.align and other.asked.mask == asked.mask
        if same and other.result is not None and _same_scans(other.asked, asked):
            return replace(row, asked=replace(asked, series=other.result.series))
    return row


def _same_scans(one: Asked, other: Asked) -> bool:
    return one.series is other.series and one.exclude == other.exclude


def name_of(asked: Asked) -> str:
    """What a row is called before the user says otherwise."""
    choice = asked.choice
    name = f"{method_words(choice.method)} {choice.preset}"
    return f"Leave-one-out, {name}" if asked.leave_one_out is not None else name


def method_words(method: str) -> str:
    """A method's name as it is shown."""
    return METHODS.get(method, method)


def unused_name(rows: Rows, name: str) -> str:
    """`name`, or the first of "name (2)", "name (3)", ... that no row has."""
    taken = {row.name for row in rows}
    numbered = (f"{name} ({k})" for k in itertools.count(2))
    return next(words for words in itertools.chain([name], numbered) if words not in taken)
