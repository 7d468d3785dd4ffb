"""The volumes of regions over time in the report: a plot a label, and a table of changes."""

from __future__ import annotations

import html
from dataclasses import dataclass

from noder.region_tables import Names, change_rows, name_of
from noder.regions import RegionVolumes
from noder.report_tables import Number, table
from noder.svg_plots import Line, plot


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of regions, and what they are called; `notes` on the labels themselves."""

    volumes: RegionVolumes
    names: Names
    notes: tuple[str, ...] = ()


def region_section(measured: Measured) -> str:
    """Plots, the table of changes, and what to know of both."""
    found, names = measured.volumes, measured.names
    plots = "".join(_volume_plot(found, row, name_of(label, names)) for row, label in enumerate(found.labels))
    head, *rows = change_rows(found, names)
    changes = table(head, ([label, name, *map(Number, figures)] for label, name, *figures in rows))
    drawn = f"drawn at t = {found.drawn_at:g} {found.unit} and carried by the map"
    notes = (f"{words[0].upper()}{words[1:]}." for words in (drawn, *measured.notes, *found.notes))
    return f'<div class="plots">{plots}</div>{changes}<p class="muted">{html.escape(" ".join(notes))}</p>'


def _volume_plot(found: RegionVolumes, row: int, name: str) -> str:
    """One label: the map's volume, dashed beyond the seen scans, the band of the fits, the scans' own labels."""
    times, band = list(found.times), None
    if found.n_fits > 1:
        band = (found.low_ml[row].tolist(), found.high_ml[row].tolist())
    carried = Line("carried by the map", times, found.volume_ml[row].tolist(), band=band, dashed=found.extrapolated)
    own = Line("the scans' own labels", times, found.measured_ml[row].tolist(), dots=True, joined=False)
    return plot(f"{name} (ml)", [carried, own], f"time ({found.unit})")
