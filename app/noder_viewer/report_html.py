"""The report of a fit as a small HTML page, whose reader colours the class `muted`: no Qt."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noder.evaluate import Report
    from noder.fit import FitResult

_SHOWN = ("neighbours", "first", "blend")
"""More columns than these do not fit beside the pictures; the exported table has them all."""
_TABLE = "<table cellspacing='0' cellpadding='2' width='100%' style='white-space:nowrap'>"
_ROLES = {"reference": "ref", "held out": "held"}
_METRICS = (("nrmse_mask", "NRMSE"), ("ssim_mask", "SSIM"), ("ncc_mask", "NCC"))


def report_html(result: FitResult) -> str:
    """What the scans support, then the scores of each scan in the mask, a table a metric."""
    parts = ["<p><b>Stopped early: this is what it had.</b></p>"] if result.stopped else []
    parts += [_paragraph(note) for note in result.notes]
    if result.report is None:
        return "".join([*parts, _paragraph("A fit that was stopped is not scored.")])
    parts += [_paragraph(note) for note in result.report.notes]
    parts += _linearity(result.report)
    parts += [_scores(result.report, key, title) for key, title in _METRICS]
    parts += _spread(result.report)
    return "".join([*parts, _legend(result.report)])


def _linearity(report: Report) -> list[str]:
    """How far the course is from motion at a constant rate."""
    if report.linearity is None:
        return []
    from noder.evaluate import linearity_words

    words = linearity_words(report.linearity)
    return [_paragraph(f"{words[0].upper()}{words[1:]}.")]


def _spread(report: Report) -> list[str]:
    """How far fits from several seeds differ: a row a time."""
    if not report.spread:
        return []
    head = "".join(map(_head, ("#", "time", "", "moved mm", "SD mm")))
    rows = [
        [row["index"], _Right(f"{row['time']:g}"), _role(row), row["displacement_mm"], row["displacement_sd_mm"]]
        for row in report.spread
    ]
    body = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows)
    caption = f"<p><b>Spread over {report.spread[0]['seeds']} seeds</b> <span class='muted'>in the mask</span></p>"
    return [f"{caption}{_TABLE}<tr>{head}</tr>{body}</table>"]


def _role(row: dict[str, Any]) -> str:
    """A scan's role; a time beyond the scans that were seen is called by its name."""
    return "extrap." if row.get("extrapolated") else str(_ROLES.get(row["role"], row["role"]))


def _scores(report: Report, key: str, title: str) -> str:
    """One metric: a row a scan, a column for each kind of prediction."""
    names = _predictors(report)
    if not names:
        return ""
    head = "".join(map(_head, ("#", "time", "", *names)))
    rows = [_scan_row(row, names, key) for row in report.rows]
    if report.summary:
        means = [report.summary.get(name, {}).get(key) for name in names]
        rows.append("<tr>" + "".join(map(_cell, ["", "", _meaning(report), *means])) + "</tr>")
    where = html.escape(report.mask)
    caption = f"<p><b>{title}</b> <span class='muted'>in the mask: {where}</span></p>"
    return f"{caption}{_TABLE}<tr>{head}</tr>{''.join(rows)}</table>"


def _scan_row(row: dict[str, Any], names: list[str], key: str) -> str:
    scores = [row[name].get(key) if isinstance(row.get(name), dict) else None for name in names]
    cells = [row["index"], _Right(f"{row['time']:g}"), _role(row), *scores]
    return "<tr>" + "".join(map(_cell, cells)) + "</tr>"


def _predictors(report: Report) -> list[str]:
    """The kinds of prediction that the rows score, in their order."""
    scored = {name for row in report.rows for name, value in row.items() if isinstance(value, dict)}
    return [name for name in _SHOWN if name in scored]


def _legend(report: Report) -> str:
    from noder.evaluate import PREDICTORS

    beyond = any(row.get("extrapolated") for row in (*report.rows, *report.spread))
    lines = ["<b>extrap.</b>: extrapolated, beyond the scans that were seen"] if beyond else []
    lines += [f"<b>{name}</b>: {html.escape(PREDICTORS[name])}" for name in _predictors(report) if name in PREDICTORS]
    return f"<p class='muted'>{'<br>'.join(lines)}</p>" if lines else ""


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _meaning(report: Report) -> str:
    """What the means are over: held-out scans where there are some."""
    return "mean held" if any(row["role"] == "held out" for row in report.rows) else "mean seen"


class _Right(str):
    """A word that stands on the right, as numbers do."""


def _head(text: str) -> str:
    return f"<td align='{'right' if text else 'left'}' class='muted'>{html.escape(text)}</td>"


def _cell(value: Any) -> str:
    if value is None:
        return "<td align='right' class='muted'>–</td>"
    if isinstance(value, float):
        return f"<td align='right'>{value:.3f}</td>"
    return f"<td align='{'right' if isinstance(value, int | _Right) else 'left'}'>{html.escape(str(value))}</td>"
