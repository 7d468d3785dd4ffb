"""Names and colours of labels, from the tables that other programs write."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from noder.errors import InputError

Colour = tuple[int, int, int]

_NUMBER = ("index", "label", "value", "id", "number", "no")
_NAME = ("name", "label_name", "structure", "abbreviation")
_HEX = re.compile(r"#?([0-9a-fA-F]{6})$")


@dataclass(frozen=True)
class LabelName:
    """What a label is called, and its colour (red, green, blue from 0 to 255) where the table has one."""

    name: str
    colour: Colour | None = None


def read_label_names(path: Path) -> dict[int, LabelName]:
    """The labels of a table: number -> name and colour; 0 and lines of comments are left out.

    Known are ITK-SNAP's label descriptions, FreeSurfer's colour tables, tables of BIDS with a header (`index`, `name`,
    `color`), and plain lines of a number and a name. Raises InputError for anything else.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a table of label names ({error}).") from error
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "//"))]
    rows = _with_header(lines) or [_plain(line, path) for line in lines]
    found = {number: name for number, name in rows if number != 0}
    if not found:
        raise InputError(f"{path} holds no names of labels: give lines of a number and a name, such as '1 LV cavity'.")
    return found


def _with_header(lines: Sequence[str]) -> list[tuple[int, LabelName]]:
    """Rows below a line of column names; none where the first line is no such line."""
    if not lines:
        return []
    comma = "\t" if "\t" in lines[0] else ","
    head = [cell.strip().lower() for cell in lines[0].split(comma)]
    number = next((head.index(word) for word in _NUMBER if word in head), None)
    name = next((head.index(word) for word in _NAME if word in head), None)
    if number is None or name is None:
        return []
    colour = next((head.index(word) for word in ("color", "colour") if word in head), None)
    rows = list(csv.reader(lines[1:], delimiter=comma))
    wide = [row for row in rows if len(row) > max(number, name) and row[number].strip().isdecimal()]
    return [(int(row[number]), LabelName(row[name].strip(), _hex(row, colour))) for row in wide]


def _hex(row: Sequence[str], column: int | None) -> Colour | None:
    match = None if column is None or column >= len(row) else _HEX.match(row[column].strip())
    return None if match is None else (int(match[1][:2], 16), int(match[1][2:4], 16), int(match[1][4:], 16))


def _plain(line: str, path: Path) -> tuple[int, LabelName]:
    """A line of ITK-SNAP (number, colour, ..., "name"), of FreeSurfer (number, name, colour), or number and name."""
    number, *rest = re.split(r"[\s,;:=]+", line, maxsplit=1)
    if not number.isdecimal() or not rest or not rest[0].strip():
        raise InputError(f"{path}: '{line}' is not a label. Give lines of a number and a name, such as '1 LV cavity'.")
    snap = re.match(r"(\d+)\s+(\d+)\s+(\d+)\s+\S+\s+\d+\s+\d+\s+\"(.*)\"$", rest[0])
    surfer = re.match(r"(.*?\S)\s+(\d+)\s+(\d+)\s+(\d+)\s+\d+$", rest[0])
    if snap is not None:
        return int(number), LabelName(snap[4], _rgb(snap.groups()[:3]))
    if surfer is not None:
        return int(number), LabelName(surfer[1], _rgb(surfer.groups()[1:]))
    return int(number), LabelName(rest[0].strip().strip('"'))


def _rgb(parts: Sequence[str]) -> Colour:
    r, g, b = (min(int(part), 255) for part in parts)
    return r, g, b
