"""The headless command `noder`: the same path that the window takes. Heavy imports wait inside the commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from noder import __version__
from noder.errors import REMEDIES, InputError, NoderError, UsageError

if TYPE_CHECKING:
    from noder.fit import FitConfig, FitProgress, FitResult
    from noder.series import ImageSeries

CANCELLED = 130
OUT_OF_MEMORY = 4
_NO_MEMORY = "error: out of memory. Close other programs, or use --preset fast."

app = typer.Typer(
    name="noder",
    help="Regression of a subject's 3D image series over time. Times are in the unit of the series.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Value = TypeVar("Value")
Paths = Annotated[list[Path], typer.Argument(help="Several 3D images, one 4D image, or a folder.")]
Result = Annotated[Path, typer.Argument(help="The folder that `noder fit -o` wrote.")]
Frames = Annotated[str | None, typer.Option(help="Keep scans A to B-1 of what was given, as A:B.")]
Times = Annotated[str | None, typer.Option(help="Time of each kept scan, as 0,1,2.5.")]
TimesFrom = Annotated[Path | None, typer.Option(help="A table or JSON that holds the times.")]
TimeUnit = Annotated[str | None, typer.Option(help="Unit of the times: years, months, days, s, ms, ...")]
Resample = Annotated[bool, typer.Option("--resample", help="Resample scans on other grids onto the first.")]
NanToZero = Annotated[bool, typer.Option("--nan-to-zero", help="Read NaN and infinite voxels as 0.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")]


def main() -> NoReturn:
    """Run the command line; errors are sentences, and each kind has its exit code."""
    # threads that wait must not spin: two of them on a busy machine would hardly progress; read when torch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        code = app(standalone_mode=False)
    except NoderError as error:
        _fail(error)
    except typer.Exit as leave:
        code = leave.exit_code
    except (KeyboardInterrupt, typer.Abort):
        code = CANCELLED
    except MemoryError:
        print(_NO_MEMORY, file=sys.stderr)  # noqa: T201
        code = OUT_OF_MEMORY
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error of typer
            print(f"error: {error.format_message()}", file=sys.stderr)  # noqa: T201
            code = UsageError.exit_code
        elif "can't allocate memory" in str(error):  # what torch says on the CPU
            print(_NO_MEMORY, file=sys.stderr)  # noqa: T201
            code = OUT_OF_MEMORY
        else:
            raise
    sys.exit(code if isinstance(code, int) else 0)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Regression of a subject's 3D image series over time. Times are in the unit of the series."""
    if version:
        typer.echo(f"noder {__version__}")
        raise typer.Exit


@app.command()
def info(
    paths: Paths,
    frames: Frames = None,
    times: Times = None,
    times_from: TimesFrom = None,
    time_unit: TimeUnit = None,
    resample: Resample = False,
    nan_to_zero: NanToZero = False,
    as_json: AsJson = False,
) -> None:
    """Print what the program sees: grid, orientation, times and where each came from, range."""
    from noder.info import describe, format_description

    series = _series(
        paths, frames, times, times_from, time_unit, resample=resample, nan_to_zero=nan_to_zero, at_least=1
    )
    description = describe(series)
    typer.echo(_json(description) if as_json else format_description(description))


@app.command()
def fit(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    frames: Frames = None,
    times: Times = None,
    times_from: TimesFrom = None,
    time_unit: TimeUnit = None,
    mask: Annotated[Path | None, typer.Option(help="Compare the scans inside this mask.")] = None,
    hold_out: Annotated[str, typer.Option(help="Scans to predict, not to fit, as 2,4 (0 is the first in time).")] = "",
    exclude: Annotated[str, typer.Option(help="Scans to leave out altogether, as 3,5.")] = "",
    method: Annotated[str, typer.Option(help="noder, or a baseline: geodesic, piecewise.")] = "noder",
    preset: Annotated[str, typer.Option(help="Settings: fast, balanced, published.")] = "balanced",
    set_: Annotated[list[str] | None, typer.Option("--set", help="A setting, as smoothness=0.5.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the network's start.")] = 0,
    match: Annotated[bool, typer.Option(help="Match each scan's gain and offset to the first.")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a killed fit's checkpoint.")] = False,
    resample: Resample = False,
    nan_to_zero: NanToZero = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fit a series and write result.json, model.safetensors and run.log; Ctrl+C keeps what there is."""
    if mask is not None and not mask.is_file():
        raise InputError(f"The mask {mask} does not exist. Give the path of a NIfTI file, or no --mask.")
    hold_out_positions, excluded = _integers(hold_out, "--hold-out"), _integers(exclude, "--exclude")
    series = _series(paths, frames, times, times_from, time_unit, resample=resample, nan_to_zero=nan_to_zero)
    from noder.checkpoint import NAME as CHECKPOINT
    from noder.fit import FitConfig
    from noder.store import save_result

    config = FitConfig(
        method=method, preset=preset, settings=_settings(method, preset, set_ or []), hold_out=hold_out_positions,
        exclude=excluded, mask=mask, seed=seed, device=device, match_intensity=match,
    )  # fmt: skip
    _check_folder(out)
    kept = out / CHECKPOINT
    result, cancelled = _run(series, config, quiet, kept, resume)
    save_result(result, out)
    if not cancelled:
        kept.unlink(missing_ok=True)
    _print_result(result, out, as_json)
    if cancelled:
        raise typer.Exit(CANCELLED)


@app.command()
def predict(
    result: Result,
    times: Annotated[str, typer.Option(help="Times to predict, in the unit of result.json, as 0.5,3.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    carry: Annotated[str, typer.Option(help="Scans carried to each time: neighbours or first.")] = "neighbours",
    fields: Annotated[str | None, typer.Option(help="Also write the fields and inverses: itk.")] = None,
    jacobian: Annotated[bool, typer.Option("--jacobian", help="Also write J (above 1 = growth).")] = False,
    as_json: AsJson = False,
) -> None:
    """Write predicted volumes, fields and Jacobian maps at any times, on the reference's stored grid."""
    if fields not in (None, "itk"):
        raise UsageError(f"--fields {fields} is not known. Use --fields itk.")
    wanted = _floats(times, "--times")
    from noder.export import export
    from noder.store import load_result

    names = ["predictions", *(["fields_itk"] if fields else []), *(["jacobians"] if jacobian else [])]
    written = export(load_result(result), names, wanted, out, carry=carry)
    typer.echo(_json({"files": [str(path) for path in written]}) if as_json else "\n".join(map(str, written)))


@app.command()
def evaluate(
    result: Result,
    labels: Annotated[Path | None, typer.Option(help="4D label map with a volume for each scan.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score every scan of a fit, and the carried labels of the first scan where labels are given."""
    from noder.evaluate import label_rows
    from noder.store import load_result
    from noder.tables import format_labels, format_report

    scored = load_result(result).scored()
    report = scored.report
    rows = [] if labels is None else label_rows(scored.trajectory, scored.series, labels)
    if report is None:
        raise InputError(f"The fit in {result} could not be scored. Fit the series again.")
    if as_json:
        typer.echo(_json({"metrics": report.rows, "summary": report.summary, "notes": report.notes, "labels": rows}))
        return
    typer.echo(format_report(report, scored.series.unit))
    if rows:
        typer.echo("\n" + format_labels(rows, scored.series.unit))


def _run(
    series: ImageSeries, config: FitConfig, quiet: bool, checkpoint: Path, resume: bool
) -> tuple[FitResult, bool]:
    """Drive the fit with a progress bar; the first Ctrl+C stops it with what it has."""
    from noder.fit import check, fit_steps

    cancelled = False

    def cancel(*_: object) -> None:
        nonlocal cancelled
        if cancelled:
            raise KeyboardInterrupt
        cancelled = True

    check(series, config.resolved())
    before = signal.signal(signal.SIGINT, cancel)
    try:
        result = _drain(fit_steps(series, config, checkpoint, resume), lambda: cancelled, quiet)
    finally:
        signal.signal(signal.SIGINT, before)
    return result, cancelled


def _drain(
    steps: Generator[FitProgress, bool | None, FitResult], is_cancelled: Callable[[], bool], quiet: bool
) -> FitResult:
    from tqdm import tqdm

    with tqdm(disable=quiet, file=sys.stderr, unit="it") as bar:
        try:
            progress = next(steps)
            while True:
                bar.total = progress.total
                bar.update(progress.step - bar.n)
                bar.set_description(progress.stage)
                bar.set_postfix({name: f"{value:.4f}" for name, value in progress.losses.items()}, refresh=False)
                progress = steps.send(True if is_cancelled() else None)
        except StopIteration as end:
            result: FitResult = end.value
            return result


def _print_result(result: FitResult, out: Path, as_json: bool) -> None:
    from noder.store import describe_result
    from noder.tables import format_report

    if as_json:
        typer.echo(_json(describe_result(result, out)))
        return
    if result.report is not None:
        typer.echo(format_report(result.report, result.series.unit) + "\n")
    for note in (*result.series.notes, *result.notes):
        typer.echo(f"note: {note}")
    what = "stopped early" if result.stopped else "done"
    what += "" if result.report is not None else ", not scored (noder evaluate does)"
    typer.echo(f"{what}: {result.provenance.seconds:.1f} s on {result.provenance.device}, written to {out}")


def _series(
    paths: list[Path],
    frames: str | None,
    times: str | None,
    times_from: Path | None,
    unit: str | None,
    **options: Any,
) -> ImageSeries:
    if times is not None and times_from is not None:
        raise UsageError("--times and --times-from were both given: give one of them.")
    given = None if times is None else [part.strip() for part in times.split(",")]
    chosen = None if frames is None else _slice(frames)
    from noder.series import ImageSeries

    return ImageSeries.from_paths(paths, times=given, times_from=times_from, unit=unit, frames=chosen, **options)


def _settings(method: str, preset: str, assignments: list[str]) -> Any:
    """The preset's settings with `name=value` assignments, or None where there are none."""
    from dataclasses import fields, replace

    from noder.fit import preset_settings

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


def _integers(text: str, option: str) -> tuple[int, ...]:
    return _numbers(text, option, int)


def _floats(text: str, option: str) -> tuple[float, ...]:
    return _numbers(text, option, float)


def _check_folder(folder: Path) -> None:
    """Fail before the fit, not after it, where the result could not be written."""
    from noder.atomic import staging_folder

    with staging_folder(folder):
        pass


def _json(content: Any) -> str:
    from noder.atomic import json_text

    return json_text(content)


def _fail(error: NoderError) -> NoReturn:
    remedy = getattr(error, "remedy", None)
    hint = f" Or add {REMEDIES[remedy][1]}." if remedy else ""
    print(f"error: {error}{hint}", file=sys.stderr)  # noqa: T201
    sys.exit(error.exit_code)
