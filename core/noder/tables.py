"""Reports as aligned text for the command line."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from noder.evaluate import PREDICTORS, Report, linearity_words
from noder.leave_one_out import LeftOut, predictions
from noder.metrics import SCORES

Row = dict[str, Any]

MEANINGS = {
    "a method": "the scans before and after, carried along its map and blended",
    "a method first": "the first scan carried along its map",
    **{name: PREDICTORS[name] for name in ("blend", "nearest", "unchanged")},
    "linearity": "the linearity index of the first method's refit, 0 for motion at a constant rate",
}
"""What the columns of a leave-one-out table are."""


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
            f"folded voxels (any of eight corners, all scans): {report.folds} at most{_least(report.rows)}; "
            f"inverse residual {report.inverse_residual_mm:.4f} mm at most",
            *_linearity_lines(report.linearity),
            *_spread_lines(report.spread, unit),
            *(f"note: {note}" for note in report.notes),
        ]
    )


def _least(rows: Sequence[Row]) -> str:
    found = [row["smallest_determinant"] for row in rows if "smallest_determinant" in row]
    return f", smallest determinant {min(found):.2f}" if found else ""


def format_left_out(found: LeftOut, unit: str) -> str:
    """Scores in the mask of every left-out scan by all predictions, their means, and the verdict."""
    if not found.rows:
        return "No scan was left out by all refits: there is nothing to compare yet."
    names = predictions(found.rows[0])
    head = ["scan", f"time ({unit})", *names, "linearity"]
    rows = [_left_out_cells(row, names) for row in found.rows]
    means = [
        [where, "", *(f"{scores[name]['nrmse_mask']:.4f}" for name in names), ""]
        for where, scores in (("mean within", found.within), ("mean beyond", found.beyond))
        if scores
    ]
    folds = max(int(row[name]["folds"]) for row in found.rows for name in names if "folds" in row[name])
    return "\n".join(
        [
            *(["stopped early: these scans have been left out by all methods"] if found.stopped else []),
            "NRMSE in the mask, each scan predicted by fits that never saw it:",
            *aligned([head, *rows, *means]),
            "",
            *(f"{name}: {meaning}" for name, meaning in MEANINGS.items()),
            f"folded voxels (any of eight corners, all refits): {folds} at most",
            *(f"note: {note}" for note in found.notes),
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


def _left_out_cells(row: Row, names: Sequence[str]) -> list[str]:
    scores = [f"{row[name]['nrmse_mask']:.4f}" for name in names]
    beyond = " (extrapolated)" if row["extrapolated"] else ""
    return [f"{row['index']}{beyond}", f"{row['time']:g}", *scores, f"{row['linearity_index']:.3f}"]


def _linearity_lines(linearity: float | None) -> list[str]:
    return [] if linearity is None else [linearity_words(linearity)]


def _spread_lines(rows: Sequence[Row], unit: str) -> list[str]:
    if not rows:
        return []
    head = ["scan", f"time ({unit})", "role", "displacement (mm)", "its SD (mm)", "SD of the prediction", "relative"]
    body = [
        [
            "-" if row["index"] is None else str(row["index"]),
            f"{row['time']:g}",
            row["role"] + (", extrapolated" if row["extrapolated"] else ""),
            f"{row['displacement_mm']:.3f}",
            f"{row['displacement_sd_mm']:.3f}",
            f"{row['prediction_sd']:.4g}",
            f"{row['prediction_sd_relative']:.4f}",
        ]
        for row in rows
    ]
    return ["", f"Spread over {rows[0]['seeds']} seeds, in the mask:", *aligned([head, *body]), ""]


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


def left_out_csv(found: LeftOut, unit: str) -> str:
    """All scores of a leave-one-out as CSV: a line a scan and prediction, then the means within and beyond the scans.

    Times are in `unit`, as the head says.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = _score_names(found)
    writer.writerow(
        ["scan", "name", f"time ({unit})", "extrapolated", "prediction", *names, "folds", "linearity_index"]
    )
    for row in found.rows:
        place = [row["index"], row["name"], f"{row['time']:.10g}", str(bool(row["extrapolated"])).lower()]
        for prediction in predictions(row):
            scores, linear = row[prediction], prediction == found.method
            cells = [_exact(scores.get(name)) for name in names]
            writer.writerow(
                [*place, prediction, *cells, scores.get("folds", ""), _exact(row["linearity_index"]) if linear else ""]
            )
    for where, means in (("mean within", found.within), ("mean beyond", found.beyond)):
        for prediction, scores in means.items():
            writer.writerow([where, "", "", "", prediction, *(_exact(scores.get(name)) for name in names), "", ""])
    return text.getvalue()


def _score_names(found: LeftOut) -> list[str]:
    rows = found.rows[:1]
    return [name for row in rows for name in row["blend"] if name.startswith(SCORES) and name != "ssim_window"]


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
