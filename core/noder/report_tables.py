"""The report's tables as HTML: scans, scores, settings, provenance. Every text of the user's is escaped."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from noder.evaluate import PREDICTORS, Report
from noder.fit import FitResult
from noder.stored_files import described_file

METRICS = {"nrmse_mask": "NRMSE", "ssim_mask": "SSIM", "psnr_mask": "PSNR (dB)"}
"""Scores of the tables -> their names; all in the mask."""


class Number(str):
    """A text that stands on the right."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table; numbers and `Number`s on the right, None as a dash."""
    rows = list(rows)
    if not rows:
        return ""
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    kinds = [' class="number"' if _is_number(value) else "" for value in rows[-1]]
    heads = "".join(f"<th{kind}>{html.escape(text)}</th>" for text, kind in zip(head, kinds, strict=True))
    above = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f"<table>{above}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def scan_table(result: FitResult) -> str:
    """Scans with their times, where those came from, and what the fit made of each."""
    unit = result.series.unit
    rows = [
        (k, scan.image.name, Number(f"{scan.time:g}"), scan.time_source, role_of(result, k))
        for k, scan in enumerate(result.series.scans)
    ]
    return table(("#", "scan", f"time ({unit})", "time from", "role"), rows)


def role_of(result: FitResult, k: int) -> str:
    """What the fit made of a scan."""
    if k in result.config.exclude:
        return "excluded"
    if k in result.config.hold_out:
        return "held out"
    return "seen" if k else "reference"


def score_table(report: Report, metric: str, unit: str) -> str:
    """A row a scan, a column for each kind of prediction, and the means."""
    names = [name for name in PREDICTORS if any(metric in row.get(name, {}) for row in report.rows)]
    rows: list[Sequence[object]] = [
        (row["index"], Number(f"{row['time']:g}"), _role(row), *(row.get(name, {}).get(metric) for name in names))
        for row in report.rows
    ]
    if report.summary:
        held = any(row["role"] == "held out" for row in report.rows)
        means = [report.summary.get(name, {}).get(metric) for name in names]
        rows.append((Number(), Number(), f"mean of the {'held-out' if held else 'seen'}", *means))
    caption = f"{METRICS[metric]} in the mask: {report.mask}"
    return table(("#", f"time ({unit})", "role", *names), rows if names else [], caption)


def predictor_words(report: Report) -> str:
    """What the columns of a score table are."""
    used = [name for name in PREDICTORS if any(name in row for row in report.rows)]
    lines = "".join(f"<dt>{name}</dt><dd>{html.escape(PREDICTORS[name])}</dd>" for name in used)
    return f"<dl>{lines}</dl>" if lines else ""


def fold_table(report: Report, unit: str) -> str:
    """Folded voxels, the smallest determinant and the spread of growth, a row a scan."""
    rows = [
        (row["index"], Number(f"{row['time']:g}"), row["folds"], row["folds_mask"], row["smallest_determinant"],
         row["log_jacobian_sd"])
        for row in report.rows if "folds" in row
    ]  # fmt: skip
    head = ("#", f"time ({unit})", "folded voxels", "in the mask", "smallest det D phi", "SD of log J in the mask")
    return table(head, rows, "Folds, counted at all eight corners of every voxel")


def spread_table(report: Report, unit: str) -> str:
    """How far fits from several seeds differ."""
    rows = [
        ("–" if row["index"] is None else row["index"], Number(f"{row['time']:g}"), _role(row),
         row["displacement_mm"], row["displacement_sd_mm"], row["prediction_sd_relative"])
        for row in report.spread
    ]  # fmt: skip
    head = ("#", f"time ({unit})", "role", "displacement (mm)", "its SD (mm)", "SD of the prediction, relative")
    return table(head, rows, f"Spread over {report.spread[0]['seeds']} seeds, in the mask" if report.spread else "")


def settings_table(result: FitResult) -> str:
    """The configuration, setting by setting."""
    config = result.config
    rows = [(name, _plain(value)) for name, value in asdict(config).items() if name not in ("settings", "mask")]
    rows += [("mask", "automatic" if config.mask is None else str(config.mask))]
    settings = {} if config.settings is None else asdict(config.settings)
    return table(("setting", "value"), [*rows, *((name, _plain(value)) for name, value in settings.items())])


def provenance_table(result: FitResult) -> str:
    """Device, seconds, memory, versions."""
    run = result.provenance
    memory = "unknown" if run.peak_memory_mib is None else f"{run.peak_memory_mib:.0f} MiB"
    seconds = "seconds" if result.n_seeds == 1 else f"seconds, all {result.n_seeds} seeds"
    rows = [("device", run.device), (seconds, f"{run.seconds:.1f}"), ("peak memory", memory)]
    rows += [("iterations", str(len(result.history))), ("stopped early", "yes" if result.stopped else "no")]
    return table(("run", ""), [*rows, *run.versions.items()])


def file_table(result: FitResult) -> str:
    """The files of the scans, and of the mask, with their checksums."""
    scans = [scan.image.path for scan in result.series.scans]
    paths = dict.fromkeys(path for path in [*scans, result.config.mask] if path is not None)
    rows = [(str(path), _checksum(path)) for path in paths]
    return table(("file", "SHA-256"), rows)


def _checksum(path: Path) -> str:
    return described_file(path, path.parent)["sha256"] or "the file has gone"


def _role(row: Mapping[str, Any]) -> str:
    return str(row["role"]) + (", extrapolated" if row.get("extrapolated") else "")


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _is_number(value: object) -> bool:
    return value is None or isinstance(value, int | float | Number)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return '<td class="number">–</td>'
    if isinstance(value, float):
        return f'<td class="number">{value:.3f}</td>'
    kind = ' class="number"' if _is_number(value) else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"
