"""Times of scans: their units, how they are read from text, and those that the user gives."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from noder.errors import InputError, UsageError
from noder.image import stem_of

SECONDS = {
    "years": 365.25 * 86400.0,
    "months": 365.25 / 12 * 86400.0,
    "weeks": 7 * 86400.0,
    "days": 86400.0,
    "hours": 3600.0,
    "min": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
}
"""Units of time -> seconds."""

UNITS = (*SECONDS, "index", "unspecified")
"""What a series' unit can be: "index" counts scans, "unspecified" belongs to times given without a unit."""

_ALIASES = {
    "year": "years", "yr": "years", "yrs": "years", "y": "years", "a": "years",
    "month": "months", "mo": "months", "m": "months",
    "week": "weeks", "wk": "weeks", "wks": "weeks", "w": "weeks",
    "day": "days", "d": "days",
    "hour": "hours", "hr": "hours", "h": "hours",
    "minute": "min", "minutes": "min", "mins": "min",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "msec": "ms", "millisecond": "ms", "milliseconds": "ms",
    "usec": "us", "microsecond": "us", "microseconds": "us",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """One scan as given: its file, its volume in a 4-D file (else None), its position in what was given."""

    path: Path
    volume: int | None
    position: int

    @property
    def name(self) -> str:
        """How messages call it: the path, and the volume in brackets."""
        return f"{self.path}" if self.volume is None else f"{self.path}[{self.volume}]"


@dataclass(frozen=True)
class Timing:
    """A time for each scan, all in `unit` and from one source; `sources` names it for each in words."""

    times: tuple[float, ...]
    unit: str
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def in_unit(self, unit: str | None) -> Timing:
        """The same times in another unit; where this one is no measure of time, `unit` only names it."""
        wanted = self.unit if unit is None else known_unit(unit)
        if wanted == self.unit:
            return self
        if self.unit not in SECONDS:
            return replace(self, unit=wanted)
        if wanted not in SECONDS:
            raise UsageError(f"Times in {self.unit} cannot be turned into '{wanted}': use one of {', '.join(SECONDS)}.")
        factor = SECONDS[self.unit] / SECONDS[wanted]
        return replace(self, times=tuple(t * factor for t in self.times), unit=wanted)


def unit_named(text: str) -> str | None:
    """The name in `UNITS` that `text` means ("yr" -> "years"), or None."""
    word = text.strip().lower()
    unit = _ALIASES.get(word, word)
    return unit if unit in UNITS else None


def known_unit(text: str) -> str:
    """`unit_named`, or a UsageError."""
    unit = unit_named(text)
    if unit is None:
        raise UsageError(f"'{text}' is not a unit of time: use one of {', '.join(UNITS)}.")
    return unit


def given_times(times: Sequence[Any], n_given: int, scans: Sequence[Given], where: str) -> Timing:
    """Times that the user gave, one for each kept scan or each one given. Raises InputError."""
    if len(times) not in (len(scans), n_given):
        kept = f"{len(scans)} scans" if len(scans) == n_given else f"{len(scans)} scans (kept of {n_given})"
        raise InputError(f"{where}: {len(times)} times for {kept}. Give one time for each scan.")
    picked = times if len(times) == len(scans) else [times[scan.position] for scan in scans]
    values = tuple(finite_number(value, f"{where}, {scan.name}") for value, scan in zip(picked, scans, strict=True))
    return Timing(values, "unspecified", (where,) * len(values))


def finite_number(value: Any, where: str) -> float:
    """`value` as a finite float. Raises InputError, naming `where`."""
    number = as_float(value)
    if number is None or not math.isfinite(number):
        raise InputError(f"{where}: '{value}' is not a time. Give a number.")
    return number


def as_float(value: Any) -> float | None:
    """`value` as a float, or None where it is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def as_moment(text: str) -> datetime | None:
    """A date, maybe with a time of day, in ISO or DICOM spelling: "2012-04-05T10:15Z", "20120405101500.5"."""
    text = text.strip()
    digits = re.fullmatch(r"(\d{8})T?(\d{6})(\.\d+)?", text)
    try:
        return datetime.fromisoformat(f"{digits[1]}T{digits[2]}" if digits else _six_decimals(text))
    except ValueError:
        return None


def _six_decimals(text: str) -> str:
    """datetime knows microseconds only; DICOM converters write one to seven decimals."""
    return re.sub(r"(:\d\d)\.(\d+)", lambda m: f"{m[1]}.{m[2][:6]:0<6}", text)


def since_first(moments: Sequence[datetime], sources: tuple[str, ...]) -> Timing:
    """Times from the earliest moment on: days, or seconds where everything happened within one day.

    Only differences count: BIDS shifts dates before 1925 to hide who it was.
    """
    aware = all(m.tzinfo is not None for m in moments)
    plain = [m.astimezone(UTC).replace(tzinfo=None) if aware else m.replace(tzinfo=None) for m in moments]
    seconds = [(m - min(plain)).total_seconds() for m in plain]
    unit = "s" if 0 < max(seconds) < SECONDS["days"] else "days"
    return Timing(tuple(s / SECONDS[unit] for s in seconds), unit, sources)


# Files that hold times

Row = dict[str, str]

_MISSING = ("", "n/a", "na", "nan", "none", "null")
_NAME_COLUMNS = ("filename", "file", "name", "path", "scan", "image")
_SESSION_COLUMNS = ("session_id", "session", "ses")


def read_text(path: Path) -> str:
    """The text of a small file. Raises InputError."""
    try:
        return path.read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as fault:
        raise InputError(f"{path} cannot be read ({fault.strerror or fault}): check its name and folder.") from fault


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises InputError."""
    try:
        data = json.loads(read_text(path))
    except ValueError as fault:
        raise InputError(f"{path} is not valid JSON ({fault}): mend it, or move it away.") from fault
    return data if isinstance(data, dict) else {}


def read_table(path: Path) -> list[Row]:
    """Rows of a table with a header line; tabs, semicolons or commas; names of columns in lower case."""
    lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        return []
    separator = next((s for s in "\t;," if s in lines[0]), ",")
    header, *rows = csv.reader(lines, delimiter=separator)
    columns = [c.strip().lower() for c in header]
    return [dict(zip(columns, (cell.strip() for cell in row), strict=False)) for row in rows]


def row_of(scan: Given, folder: Path, table: list[Row]) -> Row | None:
    """The row that names the scan's file (name, stem, path from `folder`), else the one of its session."""
    names = {scan.path.name, stem_of(scan.path), str(scan.path)}
    absolute, folder = scan.path.absolute(), folder.absolute()
    if absolute.is_relative_to(folder):
        names.add(absolute.relative_to(folder).as_posix())
    named = next((row for row in table if any(row.get(c) in names for c in _NAME_COLUMNS)), None)
    if named is not None:
        return named
    session = session_of(scan.path)
    labels = (([row[c].removeprefix("ses-") for c in _SESSION_COLUMNS if row.get(c)], row) for row in table)
    return next((row for found, row in labels if session is not None and session in found), None)


def session_of(path: Path) -> str | None:
    """The BIDS session label in a path: "M12" of ".../ses-M12/anat/..."."""
    labels: list[str] = re.findall(r"(?:^|[/_])ses-([A-Za-z0-9]+)", path.absolute().as_posix())
    return labels[-1] if labels else None


def times_in_columns(rows: Sequence[tuple[Path, Row]], patterns: Sequence[str]) -> Timing | None:
    """The first column that matches one of `patterns` and has a value in every row. Raises InputError."""
    columns = list(rows[0][1]) if rows else []
    for column in [c for pattern in patterns for c in columns if re.fullmatch(pattern, c)]:
        texts = [row.get(column, "") for _, row in rows]
        if all(text.lower() not in _MISSING for text in texts):
            return _column_timing(rows, column, texts)
    return None


def _column_timing(rows: Sequence[tuple[Path, Row]], column: str, texts: list[str]) -> Timing:
    sources = tuple(f"{path.name}, column {column}" for path, _ in rows)
    if not _holds_dates(column, texts):
        values = [finite_number(text, f"{path}, column {column}") for (path, _), text in zip(rows, texts, strict=True)]
        return Timing(tuple(values), _column_unit(rows[0][0], column), sources)
    moments = [as_moment(text) for text in texts]
    for moment, text, (path, _) in zip(moments, texts, rows, strict=True):
        if moment is None:
            raise InputError(f"{path}, column {column}: '{text}' is not a date. Mend it, or give the times yourself.")
    return since_first([m for m in moments if m is not None], sources)


def _holds_dates(column: str, texts: Sequence[str]) -> bool:
    """By its name, or because it holds no plain number (20120405 is a date)."""
    dated = "acq_time" in column or "date" in column
    return dated or (
        all(re.fullmatch(r"\d{8}", t) or as_float(t) is None for t in texts) and any(map(as_moment, texts))
    )


def _column_unit(table: Path, column: str) -> str:
    """What the table's JSON says, else a unit in the column's name, else years for ages."""
    described = table.with_suffix(".json")
    stated = read_json(described).get(column) if described.is_file() else None
    units = str(stated.get("Units", "")) if isinstance(stated, dict) else ""
    words = [w for w in re.split(r"[^a-z]+", f"{units.lower()} {column}") if w and w not in ("a", "m")]
    found = (unit_named(word) for word in words)
    default = "years" if "age" in words else "unspecified"
    return next((unit for unit in found if unit in SECONDS), default)
