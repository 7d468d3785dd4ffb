"""`noder report`: a fit as one HTML page. Heavy imports wait inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from noder.cli_options import Result


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
) -> None:
    """Write a fit as one HTML page: pictures, curves, tables, settings and provenance, nothing outside it needed."""
    from noder.report_page import ReportLook, write_report
    from noder.store import load_result

    look = ReportLook(radiological, None if at is None else _point(at), time)
    typer.echo(str(write_report(out, load_result(result), look)))


def _point(text: str) -> tuple[float, float, float]:
    from noder.cli_options import floats
    from noder.errors import UsageError

    values = floats(text, "--at")
    if len(values) != 3:
        raise UsageError(f"--at {text}: give three numbers, R,A,S in mm, such as 10,-22.5,41.")
    return values[0], values[1], values[2]
