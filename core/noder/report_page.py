"""A fit as one HTML page: pictures, curves, tables, provenance. Nothing outside it is needed to read it.

Pictures are embedded, so that the page can be mailed and archived; it is made for A4 as well as for a browser.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from noder import __version__
from noder.atomic import write_text
from noder.evaluate import PREDICTORS, Report, linearity_words
from noder.fit import FitResult
from noder.plane import Plane, Point
from noder.report_pictures import (
    Looked,
    Scale,
    colour_bar,
    grey_scale,
    growth_at,
    growth_picture,
    growth_scale,
    looked_at,
    middle_of,
    picture,
)
from noder.report_regions import Measured, region_section
from noder.report_tables import (
    METRICS,
    file_table,
    fold_table,
    predictor_words,
    provenance_table,
    role_of,
    scan_table,
    score_table,
    settings_table,
    spread_table,
)
from noder.svg_plots import Line, plot

MOST_SCANS = 12
"""Rows of the lightbox; of more scans some are shown, evenly, the first and the last among them."""

_STYLE = """
@page { size: A4; margin: 12mm }
body { font: 13px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1c1f26; background: white;
  max-width: 190mm; margin: 8mm auto; padding: 0 4mm }
h1 { font-size: 21px; margin: 0 } h2 { font-size: 15px; margin: 22px 0 6px; border-bottom: 1px solid #c9ced8 }
p { margin: 4px 0 8px } .muted, dd, figcaption, caption { color: #59606d }
.badge { border: 1.5px solid #1f6fb2; border-radius: 4px; color: #1f6fb2; padding: 1px 7px; font-weight: 600 }
.notes li { margin: 3px 0 } ul { margin: 4px 0; padding-left: 20px }
table { border-collapse: collapse; margin: 8px 0; font-size: 11.5px; width: 100%; break-inside: avoid }
caption { text-align: left; font-weight: 600; padding-bottom: 2px }
th { text-align: left; color: #59606d; font-weight: 600; border-bottom: 1px solid #8b919e }
th, td { padding: 2px 8px 2px 0; vertical-align: top; overflow-wrap: anywhere }
td { border-bottom: 1px solid #e6e9ef } .number { text-align: right; font-variant-numeric: tabular-nums }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 10px; font-size: 11.5px; margin: 4px 0 }
dt { font-weight: 600 } dd { margin: 0 }
figure { margin: 0; break-inside: avoid } figcaption { font-size: 11px; text-align: center }
.row { display: grid; grid-template-columns: repeat(4, 1fr); gap: 4px 8px; align-items: end; break-inside: avoid }
.row.three { grid-template-columns: repeat(3, 1fr) } .row svg { width: 100%; max-height: 62mm; display: block }
.row image { image-rendering: pixelated } .side { text-anchor: middle; dominant-baseline: central; fill: #1c1f26 }
.head { font-weight: 600; font-size: 11.5px; text-align: center }
.bar { width: 55mm; font-size: 9px; margin-right: 6mm }
.plots { display: grid; grid-template-columns: repeat(2, 1fr); gap: 6px 12px }
.plots.small { grid-template-columns: repeat(3, 1fr) }
.two { display: grid; grid-template-columns: repeat(2, 1fr); gap: 0 20px; align-items: start }
.plot figcaption { text-align: left; font-weight: 600 } .plot svg { width: 100%; font-size: 10px }
.frame { fill: none; stroke: #8b919e } .grid { stroke: #e6e9ef } svg text { fill: #30343d }
@media print { body { margin: 0; padding: 0; max-width: none; font-size: 11px } h2 { break-after: avoid } }
"""


@dataclass(frozen=True)
class ReportLook:
    """What the reader sees first. None: the middle of the mask, the last seen time, levels from the first scan.

    `cursor_mm` RAS mm, `time` in the unit of the series, `window` grey levels in the scans' own values. `measured`: the
    volumes of regions under this fit, for a section of their own.
    """

    radiological: bool = False
    cursor_mm: Point | None = None
    time: float | None = None
    window: tuple[float, float] | None = None
    measured: Measured | None = None


def write_report(path: Path | str, result: FitResult, look: ReportLook | None = None) -> Path:
    """Write the page of a fit under `path`, whole or not at all. Raises OutputError."""
    return write_text(Path(path), report_page(result, look or ReportLook()))


def report_page(result: FitResult, look: ReportLook) -> str:
    """The page of a fit."""
    first = result.series.reference.image
    name = first.name if first.path is None else first.path.name  # the file's: its first volume is not all of it
    when = datetime.now(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    parts = [
        f"<h1>{html.escape(name)}</h1>",
        f'<p class="muted">{_scans(result)}, fitted by noder-viewer; report of {when}, version {__version__}. '
        "A research tool: not for clinical use.</p>",
        _notes(result),
        _section("Series", _grid_words(result) + scan_table(result)),
        _pictures(result, look),
        "" if look.measured is None else _section("Volumes of regions", region_section(look.measured)),
        _section("Curves", _curves(result)),
        *_scores(result),
        _section("How to read it", _conventions(result, look)),
        _section("Settings and provenance", _origin(result)),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(name)} – report</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{body}</section>" if body else ""


def _origin(result: FitResult) -> str:
    """What it takes to make the fit again."""
    return f'<div class="two">{settings_table(result)}{provenance_table(result)}</div>{file_table(result)}'


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _badge(radiological: bool) -> str:
    return f'<span class="badge">{"RADIOLOGICAL" if radiological else "NEUROLOGICAL"}</span>'


def _scans(result: FitResult) -> str:
    series, seen = result.series, len(result.trajectory.scans)
    return f"{len(series.scans)} scans from {series.times[0]:g} to {series.times[-1]:g} {series.unit}, {seen} seen"


def _grid_words(result: FitResult) -> str:
    image = result.series.reference.image
    grid, stored = image.grid, image.stored_grid
    shape, spacing = " × ".join(map(str, grid.shape)), " × ".join(f"{step:.4g}" for step in grid.spacing)
    oblique = f", oblique by {grid.obliqueness:.1f}°" if grid.is_oblique else ""
    return f"<p>{shape} voxels of {spacing} mm in closest RAS{oblique}; stored as {stored.orientation}.</p>"


def _notes(result: FitResult) -> str:
    """What to know before reading any number."""
    report = result.report
    notes = ["Stopped early: this is what it had."] if result.stopped else []
    notes += [*result.series.notes, *result.notes]
    notes += ["The fit was not scored: it was stopped first."] if report is None else list(report.notes)
    items = "".join(f"<li>{html.escape(_sentence(note))}</li>" for note in dict.fromkeys(notes) if note)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _conventions(result: FitResult, look: ReportLook) -> str:
    side, unit = "left" if look.radiological else "right", result.series.unit
    return (
        f"<p>{_badge(look.radiological)} Axial and coronal slices show the patient's right on the {side}; "
        "the letters at each edge name the sides. Sagittal slices have anterior on the left.</p>"
        f"<ul><li>Times are in {html.escape(unit)}. The frame of a map is the anatomy at its own time.</li>"
        "<li>J = 1 / det D phi on the frame at t: log J above 0 is larger than at the first scan, below 0 smaller. "
        "Folded voxels are green; Jacobians mean nothing there.</li>"
        "<li>Difference is predicted less observed. Observed scans are matched to the first by one gain and one "
        "offset; a seen scan is predicted without itself, from the seen scans before and after it.</li>"
        "<li>Pictures are sampled linearly, as on screen; what is scored reads the neighbours by cubic splines.</li>"
        "<li>The world is RAS millimetres; a field is a pull, image at t (x) = first scan (x + u(x)).</li></ul>"
    )


def _pictures(result: FitResult, look: ReportLook) -> str:
    """A lightbox over the scans, and growth in three planes."""
    trajectory, grid = result.trajectory.prepare(), result.series.grid
    cursor = look.cursor_mm or middle_of(result, result.mask()[0])
    time = trajectory.t_last if look.time is None else look.time
    planes = [Plane.through(grid, axis, cursor) for axis in (2, 1, 0)]
    seen = [looked_at(result, k, planes[0]) for k in _chosen(result)]
    growth = [growth_at(result, time, plane) for plane in planes]
    levels = grey_scale(result) if look.window is None else Scale(*look.window, "grey", "intensity")
    scale = growth_scale([*growth, *(each.jacobian for each in seen)])
    box = _lightbox(result, seen, planes[0], levels, scale, look.radiological)
    maps = "".join(
        growth_picture(part, plane, scale, radiological=look.radiological, caption=plane.title)
        for part, plane in zip(growth, planes, strict=True)
    )
    beyond = ", extrapolated" if trajectory.is_extrapolated(time) else ""
    title = f"Growth at t = {time:g} {result.series.unit} since the first scan{beyond}"
    row = f'<div class="row three">{maps}</div>{colour_bar(scale, "bar-growth")}'
    badge = f"<p>{_badge(look.radiological)}</p>"
    return _section(f"Scans: {planes[0].title}", badge + box) + _section(title, badge + row)


def _chosen(result: FitResult) -> list[int]:
    """Positions of the scans that the lightbox shows."""
    used = [k for k in range(len(result.series.scans)) if k not in result.config.exclude]
    places = np.linspace(0, len(used) - 1, min(len(used), MOST_SCANS)).round().astype(int)
    return [used[place] for place in dict.fromkeys(places.tolist())]


def _lightbox(
    result: FitResult, seen: Sequence[Looked], plane: Plane, levels: Scale, growth: Scale, radiological: bool
) -> str:
    half = (levels.high - levels.low) / 2
    difference = Scale(-half, half, "signed", "difference")
    rows = "".join(_row(result, each, plane, (levels, difference, growth), radiological) for each in seen)
    heads = "".join(f'<div class="head">{head}</div>' for head in ("observed", "predicted", "difference", "log J"))
    bars = "".join(colour_bar(s, f"bar-{k}") for k, s in enumerate((levels, difference, growth)))
    left = len([k for k in range(len(result.series.scans)) if k not in result.config.exclude]) - len(seen)
    more = f'<p class="muted">{left} more scans are not shown.</p>' if left else ""
    return f'<div class="row">{heads}</div>{rows}<div>{bars}</div>{more}'


def _row(result: FitResult, each: Looked, plane: Plane, scales: tuple[Scale, Scale, Scale], radiological: bool) -> str:
    levels, difference, growth = scales
    t = f"t = {result.series.scans[each.index].time:g} {result.series.unit}"
    figures = (
        picture(each.observed, plane, levels, radiological=radiological, caption=f"{t}, {role_of(result, each.index)}"),
        picture(each.predicted, plane, levels, radiological=radiological, caption="predicted"),
        picture(each.difference, plane, difference, radiological=radiological, caption="predicted − observed"),
        growth_picture(each.jacobian, plane, growth, radiological=radiological, caption="growth since the first scan"),
    )
    return f'<div class="row">{"".join(figures)}</div>'


def _curves(result: FitResult) -> str:
    """Scores over time, and the losses over the iterations, each loss on a scale of its own."""
    scores = [] if result.report is None else _score_plots(result.report, result.series.unit)
    names = dict.fromkeys(name for step in result.history for name in step.losses)
    steps = [float(step.step) for step in result.history]
    losses = []
    for name in names:
        values = [step.losses.get(name, float("nan")) for step in result.history]
        losses.append(plot(f"Loss: {name}", [Line(name, steps, values)], "iteration"))
    blocks = (("plots", scores), ("plots small", losses))
    return "".join(f'<div class="{kind}">{"".join(plots)}</div>' for kind, plots in blocks if any(plots))


def _score_plots(report: Report, unit: str) -> list[str]:
    times = [float(row["time"]) for row in report.rows]
    found = []
    for metric in ("nrmse_mask", "ssim_mask"):
        lines = [
            Line(name, times, [row.get(name, {}).get(metric, float("nan")) for row in report.rows], dots=True)
            for name in PREDICTORS
        ]
        title = f"{METRICS[metric]} in the mask, each scan against its predictions"
        found.append(plot(title, lines, f"time ({unit})", from_zero=metric == "nrmse_mask"))
    return found


def _scores(result: FitResult) -> list[str]:
    report, unit = result.report, result.series.unit
    if report is None:
        return []
    tables = "".join(score_table(report, metric, unit) for metric in METRICS)
    words = f"Folded voxels: {report.folds} at most; inverse residual {report.inverse_residual_mm:.4f} mm at most."
    line = "" if report.linearity is None else f" {_sentence(linearity_words(report.linearity))}."
    folds = f"<p>{html.escape(words + line)}</p>{fold_table(report, unit)}"
    return [
        _section("Scores", tables + predictor_words(report)),
        _section("Folds and determinants", folds),
        _section("Spread", spread_table(report, unit)),
    ]
