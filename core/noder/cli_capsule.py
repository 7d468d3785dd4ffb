"""`noder capsule` and `noder replay`: a saved result with all that makes it again. Heavy imports wait inside."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from noder.cli_options import AsJson, Quiet, Result

if TYPE_CHECKING:
    from noder.replay import Replayed

DIFFERS = 1
"""Exit code where a result that was made again is another."""


def capsule(
    result: Result,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the capsule; must not exist yet.")],
) -> None:
    """Write a capsule: the result, a project the window opens, the command line that makes it again, and checksums.

    The images stay where they are. `noder replay` runs the command and compares.
    """
    from noder.capsule import project_of, write_capsule
    from noder.project import read_document

    path = write_capsule(project_of(result), out)
    lines = [row["command_line"] for row in read_document(path)["results"]]
    typer.echo("\n".join([*lines, f"written to {path}"]))


def replay(
    context: typer.Context,
    project: Annotated[Path, typer.Argument(help="A .noderproj file, or the folder of a capsule.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Keep what is made again in this folder.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the fits and registrations of a project again, and compare: exit code 0 where all are equal, 1 where not.

    Inputs that are missing or have changed are told before anything runs (exit code 3).
    """
    from noder.atomic import json_text
    from noder.replay import replay_steps

    command = context.find_root().command
    path = _project_in(project)

    def run(words: Sequence[str]) -> None:
        with contextlib.redirect_stdout(sys.stderr):
            arguments = [*words, *(["--quiet"] if quiet else [])]
            typer.echo(f"noder {' '.join(arguments)}")
            command.main(arguments, prog_name="noder", standalone_mode=False)

    found = []
    for each in replay_steps(path, run, out):
        found.append(each)
        if not as_json:
            typer.echo("\n".join(_lines(each)))
    if as_json:
        typer.echo(json_text({"equal": all(each.equal for each in found), "results": [x.as_dict() for x in found]}))
    if not all(each.equal for each in found):
        raise typer.Exit(DIFFERS)


def _project_in(path: Path) -> Path:
    """The project itself, or the one that lies in a folder. Raises InputError."""
    from noder.errors import InputError
    from noder.project import SUFFIX

    if not path.is_dir():
        return path
    inside = sorted(path.glob(f"*{SUFFIX}"))
    if len(inside) != 1:
        raise InputError(f"{path} holds {len(inside)} {SUFFIX} files where one is wanted. Give the file itself.")
    return inside[0]


def _lines(replayed: Replayed) -> list[str]:
    lines = [replayed.verdict]
    lines += [f"  {name}: {was} before, {now} now" for name, (was, now) in replayed.figures.items()]
    lines += [f"  {name} was {was}, here {now}" for name, (was, now) in replayed.versions.items()]
    return [*lines, *(f"  note: {note}" for note in replayed.notes)]
