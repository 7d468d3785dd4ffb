"""`noder report`: a fit as one HTML page. Heavy imports wait inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noder.cli_measure import LabelsAt, NamesFile, ScanLabels, carried
from noder.cli_options import Quiet, Result


def report(
    result: Result,
    out: Annotated[Path, typer.Option("--out", "-o", help="The page to write, as report.html.")],
    time: Annotated[
        float | None,
        typer.Option(help="Time of the growth map, in the unit of result.json; else the last seen scan's."),
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="Where the slices are, as R,A,S in mm; else the middle of the mask.")
    ] = None,
    radiological: Annotated[bool, typer.Option("--radiological", help="Show the patient's right on the left.")] = False,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label map of one scan: its volumes over time, as `noder measure`."),
    ] = None,
    labels_at: LabelsAt = None,
    scan_labels: ScanLabels = None,
    names: NamesFile = None,
    quiet: Quiet = False,
) -> None:
    """Write a fit as one HTML page: pictures, curves, tables, settings and provenance, nothing outside it needed."""
    from noder.errors import UsageError
    from noder.report_page import ReportLook, write_report
    from noder.store import load_result

    if labels is None and (labels_at is not None or scan_labels or names is not None):
        raise UsageError("--labels-at, --scan-labels and --names are of a label map: give it with --labels FILE.")
    fit = load_result(result)
    measured = None if labels is None else carried(fit, labels, labels_at, scan_labels or [], names, quiet=quiet)
    look = ReportLook(radiological, None if at is None else _point(at), time, measured=measured)
    typer.echo(str(write_report(out, fit, look)))


def _point(text: str) -> tuple[float, float, float]:
    from noder.cli_options import floats
    from noder.errors import UsageError

    values = floats(text, "--at")
    if len(values) != 3:
        raise UsageError(f"--at {text}: give three numbers, R,A,S in mm, such as 10,-22.5,41.")
    return values[0], values[1], values[2]
