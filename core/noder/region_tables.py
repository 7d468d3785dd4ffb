"""Volumes of regions over time as rows, as a CSV file and as text."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noder.atomic import write_text
from noder.label_names import LabelName
from noder.regions import RegionVolumes
from noder.tables import aligned

Row = dict[str, Any]
Names = Mapping[int, LabelName]

COLUMNS = (
    "label", "name", "time", "unit", "volume_ml", "low", "high", "measured_ml", "change_percent", "extrapolated",
)  # fmt: skip
"""`low` and `high`: of the fits from several seeds, in ml. `change_percent`: since the reference."""


def name_of(label: int, names: Names) -> str:
    """What a label is called; its number where nobody has named it."""
    return names[label].name if label in names else f"label {label}"


def region_rows(found: RegionVolumes, names: Names, times: Sequence[float] | None = None) -> list[Row]:
    """A row a label and time, `COLUMNS`; of `times` alone and the times of measured labels, where they are given.

    What does not exist is None: the band of a single fit, the measured volume of a time without labels of its own.
    """
    chosen = [k for k, t in enumerate(found.times) if _wanted(found, k, t, times)]
    return [_row(found, names, row, k) for row in range(len(found.labels)) for k in chosen]


def rate_rows(found: RegionVolumes, names: Names) -> list[Row]:
    """A row a label: % a unit of time over the seen span (`RegionVolumes.rates_percent`), and the band of the fits."""
    several = found.n_fits > 1
    return [
        {
            "label": label,
            "name": name_of(label, names),
            "percent_per_unit": float(rates[0]),
            "low": float(rates.min()) if several else None,
            "high": float(rates.max()) if several else None,
        }
        for label, rates in zip(found.labels, found.rates_percent.T, strict=True)
    ]


def write_region_csv(path: Path, found: RegionVolumes, names: Names, times: Sequence[float] | None = None) -> Path:
    """Write `region_rows` as CSV under `path` at once; returns `path`. Raises OutputError."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _cell(value) for key, value in row.items()} for row in region_rows(found, names, times))
    return write_text(path, text.getvalue())


def change_rows(found: RegionVolumes, names: Names) -> list[list[str]]:
    """Volume at the first and the last seen scan, their change and the rate of each label; the heads come first."""
    first, last = found.span
    unit = "" if found.unit == "index" else f" {found.unit}"
    times = [f"ml at t = {first:g}{unit}", f"at t = {last:g}{unit}"]
    head = ["label", "name", *times, "change", f"% per {per(found.unit)}"]
    rows = zip(rate_rows(found, names), found.at(first), found.at(last), strict=True)
    body = [
        [str(row["label"]), row["name"], f"{a:.4g}", f"{b:.4g}", f"{100 * (b / a - 1):+.2f} %", _rate(row)]
        for row, a, b in rows
    ]
    return [head, *body]


def format_regions(found: RegionVolumes, names: Names) -> str:
    """`change_rows` as aligned text."""
    return "\n".join(aligned(change_rows(found, names)))


def per(unit: str) -> str:
    """A unit of time in the singular, for rates."""
    return {"years": "year", "months": "month", "weeks": "week", "days": "day", "hours": "hour", "index": "scan"}.get(
        unit, unit
    )


def _rate(row: Row) -> str:
    band = "" if row["low"] is None else f" ({row['low']:+.3g} to {row['high']:+.3g})"
    return f"{row['percent_per_unit']:+.3g}{band}"


def _wanted(found: RegionVolumes, k: int, t: float, times: Sequence[float] | None) -> bool:
    known = any(not math.isnan(value) for value in found.measured_mm3[:, k])
    return times is None or known or any(math.isclose(t, other, rel_tol=1e-9, abs_tol=1e-9) for other in times)


def _row(found: RegionVolumes, names: Names, row: int, k: int) -> Row:
    label, several, measured = found.labels[row], found.n_fits > 1, float(found.measured_ml[row, k])
    return {
        "label": label,
        "name": name_of(label, names),
        "time": found.times[k],
        "unit": found.unit,
        "volume_ml": float(found.volume_ml[row, k]),
        "low": float(found.low_ml[row, k]) if several else None,
        "high": float(found.high_ml[row, k]) if several else None,
        "measured_ml": None if math.isnan(measured) else measured,
        "change_percent": float(found.change_percent[row, k]),
        "extrapolated": found.extrapolated[k],
    }


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else f"{value:.8g}" if isinstance(value, float) else value
