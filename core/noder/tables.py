"""Reports as aligned text for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from noder.evaluate import PREDICTORS, Report

Row = dict[str, Any]


def format_report(report: Report, unit: str) -> str:
    """Scores of every scan in the mask, their means, folds and notes."""
    names = list(PREDICTORS)
    head = ["scan", f"time ({unit})", "role", *names, "folds", "rule"]
    rows = [_scan_cells(row, names) for row in report.rows]
    whole = _summary_lines(report)
    return "\n".join(
        [
            f"NRMSE in the mask ({report.mask}), each scan against its predictions:",
            *aligned([head, *rows]),
            "",
            *whole,
            "",
            f"folded voxels (any of eight corners, all scans): {report.folds} at most; "
            f"inverse residual {report.inverse_residual_mm:.4f} mm at most",
            *(f"note: {note}" for note in report.notes),
        ]
    )


def format_labels(rows: Sequence[Row], unit: str) -> str:
    """Dice of the first scan's labels, carried and not carried, at each scan."""
    labels = sorted({label for row in rows for label in row["dice"]}, key=float)
    head = ["scan", f"time ({unit})", *(f"label {label} carried (not)" for label in labels)]
    body = [
        [str(row["index"]), f"{row['time']:g}"]
        + [
            f"{row['dice'].get(k, float('nan')):.3f} ({row['dice_not_carried'].get(k, float('nan')):.3f})"
            for k in labels
        ]
        for row in rows
    ]
    return "\n".join(["Dice of the first scan's labels:", *aligned([head, *body])])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines of columns."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _scan_cells(row: Row, names: Sequence[str]) -> list[str]:
    scores = [f"{row[name]['nrmse_mask']:.4f}" if name in row else "-" for name in names]
    role = row["role"] + (", extrapolated" if row.get("extrapolated") else "")
    return [str(row["index"]), f"{row['time']:g}", role, *scores, str(row.get("folds", "-")), row["rule"]]


def _summary_lines(report: Report) -> list[str]:
    if not report.summary:
        return []
    held = any(row["role"] == "held out" for row in report.rows)
    columns = list(next(iter(report.summary.values())))
    rows = [["mean over the " + ("held-out" if held else "seen") + " scans", *columns]]
    rows += [[name, *(f"{scores[c]:.4f}" for c in columns)] for name, scores in report.summary.items()]
    return aligned(rows)
