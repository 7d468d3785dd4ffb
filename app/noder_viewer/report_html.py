"""The report of a fit as a small HTML page: no Qt."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noder.fit import FitResult

MUTED = "#8b919e"
_FIRST = ("index", "time", "role")
_HIDDEN = ("name", "rule", "note")


def report_html(result: FitResult) -> str:
    """Notes, then a table with a row a scan."""
    report = result.report
    parts = ["<p><b>Stopped early: this is what it had.</b></p>"] if result.stopped else []
    if report is None:
        return "".join(parts) + f"<p style='color:{MUTED}'>No scores.</p>"
    parts += [f"<p>{html.escape(note)}</p>" for note in getattr(report, "notes", ())]
    return "".join(parts) + _table(report.rows)


def _table(rows: list[dict[str, Any]]) -> str:
    flat = [dict(_flat(row)) for row in rows]
    columns = list(dict.fromkeys([*_FIRST, *(name for row in flat for name in row)]))
    columns = [name for name in columns if name not in _HIDDEN and any(name in row for row in flat)]
    head = "".join(f"<th align='left'>{html.escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in columns) + "</tr>" for row in flat)
    return f"<table cellspacing='0' cellpadding='3'><tr style='color:{MUTED}'>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return f"<td style='color:{MUTED}'>–</td>"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return f"<td style='white-space:nowrap'>{html.escape(text)}</td>"


def _flat(row: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in row.items():
        pairs += _flat(value, f"{prefix}{name} ") if isinstance(value, dict) else [(prefix + name, value)]
    return pairs
