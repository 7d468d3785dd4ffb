"""Rows of `bench_quality.py` as Markdown tables."""

from __future__ import annotations

from typing import Any

import numpy as np

TRUE_MAP = "first scan on the true map"
"""A row that knows the answer, and so is no rival."""

Row = dict[str, Any]


def tables(rows: list[Row]) -> str:
    """All tables, and a sentence for each method that could not be fitted."""
    good = [row for row in rows if "failed" not in row]
    parts = [_cine_table(case, mine) for case, mine in _grouped([r for r in good if r["table"] == "cine"], "case")]
    for protocol, mine in _grouped([r for r in good if r["table"] == "known"], "protocol"):
        parts += [_known_table(protocol, course, part) for course, part in _grouped(mine, "course")]
    failed = {(row["row"], row["failed"]) for row in rows if "failed" in row}
    parts += [f"{name} is not in the tables. {why}" for name, why in sorted(failed)]
    return "\n\n".join(parts)


def _cine_table(case: str, rows: list[Row]) -> str:
    lines = [
        f"### Cine, kept phases {case}", "",
        "| method | NRMSE | SSIM | PSNR | Dice cavity | Dice myocardium | first: NRMSE | Dice | smallest det | folds "
        "| non-linear | CPU-s |",
        "|---|" + "---|" * 11,
    ]  # fmt: skip
    best = min(_of(row, "nrmse") for row in rows)
    for row in rows:
        main, first = row.get("neighbours", row), row.get("first")
        cells = [
            _bold(main["nrmse"], best, 4), f"{main['ssim']:.3f}", f"{main['psnr']:.2f}",
            f"{main['cavity']:.3f}", f"{main['myocardium']:.3f}",
            *((f"{first['nrmse']:.4f}", f"{first['cavity']:.3f} / {first['myocardium']:.3f}") if first else ("", "")),
            *_facts(row),
        ]  # fmt: skip
        lines.append(f"| {row['row']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _known_table(protocol: str, course: str, rows: list[Row]) -> str:
    subjects = sorted({row["subject"] for row in rows})
    lines = [
        f"### Known motion, {course}, {protocol} ({len(subjects)} brains: {', '.join(subjects)})", "",
        "| method | end point seen | withheld | mm | beyond | mm | NRMSE withheld | SSIM | PSNR | beyond: NRMSE | SSIM "
        "| PSNR | first: NRMSE withheld | beyond | smallest det | folds | non-linear | CPU-s |",
        "|---|" + "---|" * 17,
    ]  # fmt: skip
    means = [_mean(mine) | {"row": name} for name, mine in _grouped(rows, "row") if len(mine) == len(subjects)]
    rivals = [row for row in means if row["row"] != TRUE_MAP]
    best = {
        key: min(row[key] for row in rivals if key in row) for key in ("end_point_withheld", "end_point_beyond")
    } | {key: min(row[key]["nrmse"] for row in rivals) for key in ("neighbours_withheld", "neighbours_beyond")}
    for row in means:
        cells = [_number(row, "end_point_seen", 3)]
        for key in ("end_point_withheld", "end_point_beyond"):
            known = key in row
            cells += [_bold(row[key], best[key], 3), f"{row[key] * 2:.2f}"] if known else ["", ""]
        for key in ("neighbours_withheld", "neighbours_beyond"):
            each = row[key]
            cells += [_bold(each["nrmse"], best[key], 4), f"{each['ssim']:.4f}", f"{each['psnr']:.2f}"]
        cells += [f"{row[k]['nrmse']:.4f}" if k in row else "" for k in ("first_withheld", "first_beyond")]
        lines.append(f"| {row['row']} | " + " | ".join([*cells, *_facts(row)]) + " |")
    return "\n".join(lines)


def _facts(row: Row) -> list[str]:
    if "cpu" not in row:
        return ["", "", "", ""]
    return [f"{row['smallest_determinant']:.2f}", f"{row['folds']:g}", f"{row['linearity']:.3f}", f"{row['cpu']:.1f}"]


def _mean(rows: list[Row]) -> Row:
    """Means over the brains; the smallest determinant is the smallest."""
    found: Row = {}
    for key, value in rows[0].items():
        if isinstance(value, dict) and key != "times":
            found[key] = _mean([row[key] for row in rows])
        elif isinstance(value, int | float):
            values = [row[key] for row in rows]
            found[key] = min(values) if key == "smallest_determinant" else float(np.mean(values))
    return found


def _grouped(rows: list[Row], key: str) -> list[tuple[str, list[Row]]]:
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return list(groups.items())


def _of(row: Row, name: str) -> float:
    return float(row.get("neighbours", row)[name])


def _bold(value: float, best: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return f"**{text}**" if text == f"{best:.{digits}f}" else text


def _number(row: Row, key: str, digits: int) -> str:
    return f"{row[key]:.{digits}f}" if key in row else ""
