"""Options that commands share, and what their texts mean. Heavy imports wait inside the functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from noder.errors import UsageError

if TYPE_CHECKING:
    from noder.series import ImageSeries

Value = TypeVar("Value")
Paths = Annotated[list[Path], typer.Argument(help="Several 3D images, one 4D image, or a folder.")]
Result = Annotated[Path, typer.Argument(help="The folder that `noder fit -o` or `noder register -o` wrote.")]
Frames = Annotated[str | None, typer.Option(help="Keep scans A to B-1 of what was given, as A:B.")]
Times = Annotated[str | None, typer.Option(help="Time of each kept scan, as 0,1,2.5.")]
TimesFrom = Annotated[Path | None, typer.Option(help="A table or JSON that holds the times.")]
TimeUnit = Annotated[str | None, typer.Option(help="Unit of the times: years, months, days, s, ms, ...")]
Resample = Annotated[bool, typer.Option("--resample", help="Resample scans on other grids onto the first.")]
NanToZero = Annotated[bool, typer.Option("--nan-to-zero", help="Read NaN and infinite voxels as 0.")]
Mask = Annotated[Path | None, typer.Option(help="Compare the scans inside this mask.")]
Method = Annotated[str, typer.Option(help="noder, a baseline (geodesic, piecewise), or nephi.")]
Preset = Annotated[str, typer.Option(help="Settings: fast, balanced; of noder also published, paper.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="A setting, as smoothness=0.5.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option(help="Seed of the network's start.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]


def series_of(
    paths: list[Path],
    frames: str | None,
    times: str | None,
    times_from: Path | None,
    unit: str | None,
    **options: Any,
) -> ImageSeries:
    """The series that paths and options mean. Raises UsageError for texts that mean nothing, InputError."""
    if times is not None and times_from is not None:
        raise UsageError("--times and --times-from were both given: give one of them.")
    given = None if times is None else [part.strip() for part in times.split(",")]
    chosen = None if frames is None else _slice(frames)
    from noder.series import ImageSeries

    return ImageSeries.from_paths(paths, times=given, times_from=times_from, unit=unit, frames=chosen, **options)


def settings_of(method: str, preset: str, assignments: list[str]) -> Any:
    """The preset's settings with `name=value` assignments, or None where there are none."""
    from noder.fit_config import preset_settings

    if not assignments:
        return None
    settings: Any = preset_settings(method, preset)
    types = {f.name: type(getattr(settings, f.name)) for f in fields(settings)}
    changes = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        name = name.strip().replace("-", "_")
        if name not in types:
            raise UsageError(f"--set {assignment}: there is no setting '{name}'. Choose from: {', '.join(types)}.")
        try:
            changes[name] = types[name](value)
        except ValueError as error:
            raise UsageError(f"--set {assignment}: '{value}' is no {types[name].__name__}.") from error
    return replace(settings, **changes)


def _slice(text: str) -> slice:
    start, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        return slice(int(start) if start.strip() else None, int(stop) if stop.strip() else None)
    except ValueError as error:
        raise UsageError(f"--frames {text}: give A:B, such as 2:14 for scans 2 to 13.") from error


def _numbers(text: str, option: str, kind: Callable[[str], Value]) -> tuple[Value, ...]:
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise UsageError(f"{option} {text}: give numbers separated by commas, such as 1,2,4.") from error


def integers(text: str, option: str) -> tuple[int, ...]:
    """Numbers such as 1,2,4. Raises UsageError, which names the option."""
    return _numbers(text, option, int)


def floats(text: str, option: str) -> tuple[float, ...]:
    """Numbers such as 0.5,3. Raises UsageError, which names the option."""
    return _numbers(text, option, float)
