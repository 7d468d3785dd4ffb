"""`noder measure`: volumes of regions over time. Heavy imports wait inside the functions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noder.cli_options import AsJson, Quiet, floats

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.region_tables import Names
    from noder.regions import RegionVolumes, Steps
    from noder.report_regions import Measured

NamesFile = Annotated[Path | None, typer.Option(help="Names: '1 LV cavity', BIDS, ITK-SNAP, FreeSurfer.")]
LabelsAt = Annotated[
    float | None, typer.Option(help="Time of the scan that the labels were drawn on (default: the first).")
]
ScanLabels = Annotated[
    list[str] | None,
    typer.Option(help="The scans' own labels: one 4D file, one file a scan in order, or K=FILE for scan K; repeat."),
]
Fitted = Annotated[Path, typer.Argument(help="The folder that `noder fit -o` wrote.")]


def measure(
    result: Fitted,
    labels: Annotated[Path, typer.Option(help="Label map of one scan; of a 4D one the volume of that scan.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The CSV file to write.")],
    labels_at: LabelsAt = None,
    scan_labels: ScanLabels = None,
    times: Annotated[str, typer.Option(help="As 0,1,2.5 (default: the scans and 25 even times).")] = "",
    names: NamesFile = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Carry a label map through time and write the volume of each label as CSV, with % a unit of time.

    The volume is the integral of the map's determinant over the region. Beyond the seen scans it is extrapolated. Of a
    fit from several seeds low and high are the lowest and highest of the fits. A 4D --labels file with a volume for
    each scan gives the measured points as well.
    """
    from noder.region_tables import format_regions, write_region_csv
    from noder.store import load_result

    wanted = floats(times, "--times")
    measured = carried(load_result(result), labels, labels_at, scan_labels or [], names, wanted, quiet=quiet)
    found, known = measured.volumes, measured.names
    path = write_region_csv(out, found, known, wanted or None)
    if as_json:
        typer.echo(_json(found, known, wanted, measured.notes, path))
        return
    notes = [f"note: {note}" for note in (*measured.notes, *found.notes)]
    typer.echo("\n".join([format_regions(found, known), *notes, f"written to {path}"]))


def carried(
    fit: FitResult,
    labels: Path,
    labels_at: float | None,
    scan_labels: list[str],
    names: Path | None,
    times: tuple[float, ...] = (),
    *,
    quiet: bool = False,
) -> Measured:
    """The volumes of a file's labels under a fit, at `times` or those of the scans, as the options ask."""
    from noder.ensemble import maps_of
    from noder.label_names import read_label_names
    from noder.labels import own_labels, read_labels
    from noder.regions import measured_volumes, region_steps
    from noder.report_regions import Measured

    series = fit.series
    known = {} if names is None else read_label_names(names)
    drawn = read_labels(labels, series, series.times[0] if labels_at is None else labels_at)
    measured = measured_volumes(series, own_labels(series, labels, scan_labels))
    steps = region_steps(maps_of(fit.trajectory), drawn, times or series.times, measured)
    return Measured(_drained(steps, quiet), known, drawn.notes)


def _drained(steps: Steps, quiet: bool) -> RegionVolumes:
    """With a progress bar; Ctrl+C ends it at once, since half a curve is none."""
    from tqdm import tqdm

    with tqdm(disable=quiet, file=sys.stderr, desc="volumes") as bar:
        try:
            while True:
                done, bar.total = next(steps)
                bar.update(done - bar.n)
        except StopIteration as end:
            found: RegionVolumes = end.value
            return found


def _json(found: RegionVolumes, names: Names, times: tuple[float, ...], notes: tuple[str, ...], path: Path) -> str:
    from noder.atomic import json_text
    from noder.region_tables import rate_rows, region_rows

    content = {
        "file": str(path),
        "unit": found.unit,
        "drawn_at": found.drawn_at,
        "seen_span": list(found.span),
        "fits": found.n_fits,
        "rates": rate_rows(found, names),
        "volumes": region_rows(found, names, times or None),
        "notes": [*notes, *found.notes],
    }
    return json_text(content)
