"""Where times come from: `SOURCES`, best first. One source answers for every scan, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from noder.errors import InputError
from noder.image import header_time_step, stem_of, volumes_in
from noder.times import (
    SECONDS,
    Given,
    Row,
    Timing,
    as_float,
    as_moment,
    given_times,
    read_json,
    read_table,
    read_text,
    row_of,
    session_of,
    since_first,
    times_in_columns,
    unit_named,
)

Value = TypeVar("Value")


def find_times(scans: Sequence[Given]) -> Timing:
    """What the best of `SOURCES` says that knows every scan. Raises InputError for unreadable times."""
    notes: list[str] = []
    for source in SOURCES.values():
        found = source(scans)
        if isinstance(found, Timing):
            return Timing(found.times, found.unit, found.sources, (*notes, *found.notes))
        if found is not None:
            notes.append(found)
    raise InputError("No times were found: give them.")


def times_from_file(path: Path | str, n_given: int, scans: Sequence[Given]) -> Timing:
    """Times in a file: numbers (one a line or separated by commas), a table with a header, or a JSON sidecar.

    A table has a column of names (else it is in the order of the scans) and one of times: "time", "acq_time",
    "days...", "age..." and the like. Raises InputError.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        found = _frame_times(path, n_given, scans)
        if found is None:
            raise InputError(f'{path} has no times: it should hold "FrameTimes" (a list) and "TimeUnit".')
        return found
    lines = (line.split("#")[0] for line in read_text(path).splitlines())
    words = [word for line in lines for word in re.split(r"[,;\s]+", line) if word]
    if words and all(as_float(word) is not None for word in words):
        return given_times(words, n_given, scans, str(path))
    return _times_from_table(path, n_given, scans)


_TABLE_COLUMNS = (r"times?", r"times?\W.*|time_.*|t", r"acq_time", r"days.*", r"age.*", r"session_age")
_MORE_COLUMNS = (r".*date.*", r"years?|months?|weeks?", r".*[_ (](days|months|years|ms|s)\)?")


def _times_from_table(path: Path, n_given: int, scans: Sequence[Given]) -> Timing:
    table = read_table(path)
    rows = [row_of(scan, path.parent, table) for scan in scans]
    if not any(rows) and len(table) in (len(scans), n_given):
        rows = [table[k if len(table) == len(scans) else scan.position] for k, scan in enumerate(scans)]
    for scan, row in zip(scans, rows, strict=True):
        if row is None:
            raise InputError(f"{path} has no row for {scan.name}: add one, or give the times yourself.")
    found = times_in_columns([(path, row) for row in rows if row is not None], (*_TABLE_COLUMNS, *_MORE_COLUMNS))
    if found is None:
        columns = ", ".join(table[0]) if table else "none"
        raise InputError(f"{path} has no column with a time for every scan (columns: {columns}): name it 'time'.")
    return found


# Tables beside the files

_BIDS_COLUMNS = (r"acq_time", r"days.*", r"age.*", r"session_age")


def times_in_tables(scans: Sequence[Given]) -> Timing | None:
    """BIDS `*scans.tsv` and `*sessions.tsv` beside the files or in the folders above them."""
    if _is_4d(scans):
        return None
    by_kind = [[_row_in_tables(scan, kind) for scan in scans] for kind in ("scans", "sessions")]
    complete = [[row for row in rows if row is not None] for rows in by_kind if all(row is not None for row in rows)]
    found = (times_in_columns(rows, (column,)) for column in _BIDS_COLUMNS for rows in complete)
    return next((timing for timing in found if timing is not None), None)


def _row_in_tables(scan: Given, kind: str) -> tuple[Path, Row] | None:
    for folder in _folders_above(scan.path):
        for path in sorted(p for p in folder.glob(f"*{kind}.tsv") if not p.name.startswith(".")):
            row = row_of(scan, folder, read_table(path))
            if row is not None:
                return path, row
    return None


def _folders_above(path: Path) -> Iterator[Path]:
    """The file's folder and those above it: up to the subject's, or three."""
    for folder in list(path.absolute().parents)[:3]:
        yield folder
        if folder.name.startswith("sub-"):
            return


# JSON sidecars


def times_in_sidecars(scans: Sequence[Given]) -> Timing | None:
    """`scan.json` beside `scan.nii.gz`: the frame times of a 4-D file, or each file's date of acquisition."""
    if _is_4d(scans):
        path = _sidecar(scans[0])
        return _frame_times(path, volumes_in(scans[0].path), scans) if path.is_file() else None
    moments = _sidecar_moments(scans, _dated)
    return since_first(moments, tuple(_sidecar(scan).name for scan in scans)) if moments else None


def times_of_day(scans: Sequence[Given]) -> Timing | None:
    """BIDS `AcquisitionTime` without a date: only for files of one folder and session, taken on one day."""
    folders = {scan.path.absolute().parent for scan in scans}
    if _is_4d(scans) or len(folders) > 1 or len({session_of(scan.path) for scan in scans}) > 1:
        return None
    moments = _sidecar_moments(scans, lambda data: as_moment(f"2000-01-01T{data.get('AcquisitionTime', '')}"))
    return since_first(moments, tuple(f"{_sidecar(s).name}, time of day" for s in scans)) if moments else None


def _sidecar(scan: Given) -> Path:
    return scan.path.with_name(f"{stem_of(scan.path)}.json")


def _sidecar_moments(
    scans: Sequence[Given], read: Callable[[dict[str, Any]], datetime | None]
) -> list[datetime] | None:
    paths = [_sidecar(scan) for scan in scans]
    if not all(path.is_file() for path in paths):
        return None
    moments = [moment for path in paths if (moment := read(read_json(path))) is not None]
    return moments if len(moments) == len(scans) else None


def _dated(data: dict[str, Any]) -> datetime | None:
    whole, day, clock = (str(data.get(f"Acquisition{k}", "")) for k in ("DateTime", "Date", "Time"))
    return as_moment(whole) or (as_moment(f"{day}T{clock}") if day and clock else None) or as_moment(day)


def _frame_times(path: Path, n_given: int, scans: Sequence[Given]) -> Timing | None:
    """Our own "FrameTimes" in "TimeUnit", or BIDS' in seconds."""
    data = read_json(path)
    units = {"FrameTimes": data.get("TimeUnit", "unspecified"), "FrameTimesStart": "s", "VolumeTiming": "s"}
    key = next((k for k in units if isinstance(data.get(k), list)), None)
    if key is None:
        return None
    timing = given_times(data[key], n_given, scans, f"{path.name}, {key}")
    unit = unit_named(str(units[key]))
    if unit is None:
        raise InputError(f"{path}: TimeUnit '{units[key]}' is not a unit of time. Use one of {', '.join(SECONDS)}.")
    return Timing(timing.times, unit, timing.sources)


# Names of files and folders

_DATE = re.compile(
    r"(?<!\d)((?:1[89]|2[01])\d\d)([-_.]?)(\d\d)\2(\d\d)(?:[T_ -]?(\d\d)[:.-]?(\d\d)[:.-]?(\d\d))?(?!\d)"
)
_LONG_UNITS = "months?|mo|years?|yrs?|weeks?|wks?|days?"
_AMOUNT = r"(\d{1,4}(?:\.\d{1,3})?)"
_AGE = re.compile(
    rf"(?<![a-z0-9])(?<!\d\.)(?:(?:({_LONG_UNITS})[-_]?|([my])){_AMOUNT}|{_AMOUNT}({_LONG_UNITS}|[my])|(baseline|bl))"
    r"(?![a-z0-9]|\.\d)",
    re.IGNORECASE,
)
_VISIT = re.compile(
    r"(?<![a-z])(visit|ses|session|tp|timepoint|time|study|scan|frame|phase|vol|volume)[-_]?(\d{1,5})(?!\d|\.\d)",
    re.IGNORECASE,
)


def dates_in_names(scans: Sequence[Given]) -> Timing | str | None:
    """2012-04-05, 20120405 or 20120405_101500 in the name of the file or of a folder above it."""
    found = _in_names(scans, _dates_of)
    if found is not None:
        values, where = found
        return since_first(values, tuple(f"date in the {where} name" for _ in scans))
    first = _dates_of(stem_of(scans[0].path))
    same = len(scans) > 1 and not _is_4d(scans) and first and all(first == _dates_of(stem_of(s.path)) for s in scans)
    return f"every file name carries the date {first[0]:%Y-%m-%d}, which tells no scans apart" if same else None


def ages_in_names(scans: Sequence[Given]) -> Timing | None:
    """ses-M12, m06, y2, 24months, 0.5y, baseline: months, years, weeks or days in a name."""
    found = _in_names(scans, _ages_of)
    if found is None:
        return None
    values, where = found
    unit = _finest({unit for _, unit in values if unit})
    if unit is None:
        return None
    times = tuple(n * SECONDS[u or unit] / SECONDS[unit] for n, u in values)
    return Timing(times, unit, tuple(f"{unit} in the {where} name" for _ in scans))


def visits_in_names(scans: Sequence[Given]) -> Timing | None:
    """visit2, ses-02, study3, frame_007: their numbers, which keep gaps but measure no time."""
    found = _in_names(scans, lambda name: [(m[1].lower(), float(m[2])) for m in _VISIT.finditer(name)])
    if found is None or len({word for word, _ in found[0]}) > 1:
        return None
    values, where = found
    return Timing(
        tuple(n for _, n in values),
        "index",
        tuple(f"{word} number in the {where} name" for word, _ in values),
    )


def _in_names(scans: Sequence[Given], read: Callable[[str], list[Value]]) -> tuple[list[Value], str] | None:
    """What `read` finds in the names of all files, else of the folders above: the one thing that varies."""
    if _is_4d(scans):
        return None
    for depth in range(4):
        names = [_name_at(scan.path, depth) for scan in scans]
        varying = _the_varying([read(name) for name in names])
        if varying is not None:
            return varying, "folder" if depth else "file"
    return None


def _name_at(path: Path, depth: int) -> str:
    parents = path.absolute().parents
    return stem_of(path) if depth == 0 else parents[min(depth, len(parents)) - 1].name


def _the_varying(found: list[list[Value]]) -> list[Value] | None:
    if len({len(values) for values in found}) != 1 or not found[0]:
        return None
    columns = [list(column) for column in zip(*found, strict=True)]
    varying = [c for c in columns if len(found) == 1 or any(value != c[0] for value in c)]
    return varying[0] if varying and all(c == varying[0] for c in varying) else None


def _dates_of(name: str) -> list[datetime]:
    spelled = (f"{m[1]}-{m[3]}-{m[4]}" + (f"T{m[5]}:{m[6]}:{m[7]}" if m[5] else "") for m in _DATE.finditer(name))
    return [moment for text in spelled if (moment := as_moment(text) or as_moment(text[:10])) is not None]


def _ages_of(name: str) -> list[tuple[float, str]]:
    return [
        (float(m[3] or m[4] or 0), "" if m[6] else unit_named(m[1] or m[2] or m[5]) or "") for m in _AGE.finditer(name)
    ]


def _finest(units: set[str]) -> str | None:
    """One unit for all where they convert exactly: months for months and years, days for days and weeks."""
    for fine, coarse in (("months", "years"), ("days", "weeks")):
        if units and units <= {fine, coarse}:
            return fine if fine in units else coarse
    return None


# Headers, and nothing at all


def times_in_header(scans: Sequence[Given]) -> Timing | str | None:
    """The step between the volumes of a 4-D file."""
    step = header_time_step(scans[0].path) if _is_4d(scans) else None
    if step is None:
        return None
    size, unit = step
    times = tuple(round(size * scan.position, 9) for scan in scans)
    source = f"header of {scans[0].path.name}, step {size:g} {unit}".rstrip()
    return Timing(times, unit or "unspecified", (source,) * len(scans), _doubts(size, unit))


def _doubts(size: float, unit: str) -> tuple[str, ...]:
    if not unit:
        return (f"the header gives a step of {size:g} between volumes without a unit: name the unit",)
    if unit == "s" and size >= 500:
        return (f"the header's step of {size:g} s may be meant in ms: check the times",)
    return ()


def order_given(scans: Sequence[Given]) -> Timing:
    """The position in what was given."""
    return Timing(tuple(float(scan.position) for scan in scans), "index", ("order given",) * len(scans))


SOURCES: dict[str, Callable[[Sequence[Given]], Timing | str | None]] = {
    "table": times_in_tables,
    "sidecar": times_in_sidecars,
    "date in the name": dates_in_names,
    "age in the name": ages_in_names,
    "time of day": times_of_day,
    "header": times_in_header,
    "visit in the name": visits_in_names,
    "order": order_given,
}
"""Best first. A source returns times for all scans, or None; a text explains why it could not tell."""


def _is_4d(scans: Sequence[Given]) -> bool:
    return scans[0].volume is not None
