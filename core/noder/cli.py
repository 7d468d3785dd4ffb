"""The headless command `noder`: the same path that the window takes. Heavy imports wait inside the commands."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer

from noder import (
    __version__,
    cli_capsule,
    cli_measure,
    cli_pretrain,
    cli_pretrain_nephi,
    cli_register,
    cli_report,
)
from noder.cli_options import (
    AsJson,
    Device,
    Frames,
    Mask,
    Method,
    NanToZero,
    Paths,
    Preset,
    Quiet,
    Resample,
    Result,
    Seed,
    Set,
    Times,
    TimesFrom,
    TimeUnit,
    floats,
    integers,
    series_of,
    settings_of,
)  # fmt: skip
from noder.cli_progress import CANCELLED, driven, show_step
from noder.errors import REMEDIES, InputError, NoderError, UsageError

if TYPE_CHECKING:
    from noder.card import Card
    from noder.estimate import Estimate
    from noder.fit import FitResult
    from noder.fit_config import FitConfig
    from noder.leave_one_out import LeftOutProgress
    from noder.series import ImageSeries

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
cli_pretrain.app.command()(cli_pretrain_nephi.nephi)
app.add_typer(cli_pretrain.app)
app.command()(cli_register.register)
app.command()(cli_register.warp)
app.command()(cli_measure.measure)
app.command()(cli_capsule.capsule)
app.command()(cli_capsule.replay)
app.command()(cli_report.report)

Value = TypeVar("Value")


def main() -> NoReturn:
    """Run the command line; errors are sentences, and each kind has its exit code."""
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
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Also say what a fit will do, what speaks against it, and what it takes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print what the program sees: grid, orientation, times and where each came from, range."""
    from noder.info import describe, format_description

    series = series_of(
        paths, frames, times, times_from, time_unit, resample=resample, nan_to_zero=nan_to_zero, at_least=1
    )
    description = describe(series)
    fits = _estimates(series) if estimate else {}
    made = _card(series) if fits else None
    if as_json:
        more = {"estimates": {k: asdict(v) for k, v in fits.items()}} if fits else {}
        typer.echo(_json(description | more | ({} if made is None else {"card": asdict(made)})))
        return
    typer.echo(format_description(description))
    if made is not None:
        from noder.card import format_card

        typer.echo(f"\nbefore a fit:\n{format_card(made)}\n")
    for name, takes in fits.items():
        typer.echo(f"a fit with --preset {name}: {takes.words()}, on {takes.device}")


def _card(series: ImageSeries) -> Card:
    """What a fit with the default settings will do, and what speaks against it."""
    from noder.align import offered
    from noder.card import card, look
    from noder.fit_config import FitConfig

    return card(offered(series), FitConfig(), look(series))


def _estimates(series: ImageSeries) -> dict[str, Estimate]:
    """What a fit of all scans takes, by preset."""
    from noder.estimate import estimate
    from noder.fit_config import FitConfig
    from noder.methods import PRESETS

    if len(series.scans) < 2:
        return {}
    return {name: estimate(series, FitConfig(preset=name)) for name in PRESETS["noder"]}


@app.command()
def fit(
    paths: Paths,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")],
    frames: Frames = None,
    times: Times = None,
    times_from: TimesFrom = None,
    time_unit: TimeUnit = None,
    mask: Mask = None,
    hold_out: Annotated[str, typer.Option(help="Scans to predict, not to fit, as 2,4 (0 is the first in time).")] = "",
    exclude: Annotated[str, typer.Option(help="Scans to leave out altogether, as 3,5.")] = "",
    method: Method = "noder",
    preset: Preset = "balanced",
    set_: Set = None,
    device: Device = "auto",
    seed: Seed = 0,
    seeds: Annotated[
        int, typer.Option(help="Fit from N seeds, one after the other (N times the time), and tell how they differ.")
    ] = 1,
    match: Annotated[bool, typer.Option(help="Match each scan's gain and offset to the first.")] = True,
    intensity: Annotated[bool, typer.Option("--intensity", help="Also fit a slow change of brightness.")] = False,
    align: Annotated[
        str, typer.Option(help="Align the scans to the first (implies --resample): rigid, affine.")
    ] = "none",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from a killed fit's checkpoint.")] = False,
    resample: Resample = False,
    nan_to_zero: NanToZero = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fit a series and write result.json, model.safetensors and run.log; Ctrl+C keeps what there is."""
    if mask is not None and not mask.is_file():
        raise InputError(f"The mask {mask} does not exist. Give the path of a NIfTI file, or no --mask.")
    hold_out_positions, excluded = integers(hold_out, "--hold-out"), integers(exclude, "--exclude")
    resample = resample or align != "none"
    series = series_of(paths, frames, times, times_from, time_unit, resample=resample, nan_to_zero=nan_to_zero)
    from noder.align import offered
    from noder.checkpoint import NAME as CHECKPOINT
    from noder.fit_config import FitConfig, check
    from noder.spread import check_seeds, seeds_steps
    from noder.store import save_result

    config = FitConfig(
        method=method, preset=preset, settings=settings_of(method, preset, set_ or []), hold_out=hold_out_positions,
        exclude=excluded, mask=mask, seed=seed, device=device, match_intensity=match, intensity=intensity,
        align=align,
    )  # fmt: skip
    series = offered(series) if align == "none" else series
    _check_folder(out)
    kept = out / CHECKPOINT
    check(series, config.resolved())
    check_seeds(config, seeds)
    _say_what_it_takes(series, [config] * seeds, 1, quiet)
    steps = seeds_steps(series, config, seeds, kept, resume)
    result, cancelled = driven(steps, quiet, show_step, "it")
    save_result(result, out)
    if not cancelled:
        kept.unlink(missing_ok=True)
    _print_result(result, out, as_json)
    if cancelled:
        raise typer.Exit(CANCELLED)


@app.command()
def predict(
    result: Result,
    times: Annotated[
        str,
        typer.Option(
            "--times", "--at", help="As 0.5,3, in the unit of result.json; of a pair 0 (moving) to 1 (fixed)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the files.")],
    carry: Annotated[
        str | None, typer.Option(help="Scans carried to each time: neighbours, or first (of a pair: the moving image).")
    ] = None,
    fields: Annotated[str | None, typer.Option(help="Also write the fields and inverses: itk.")] = None,
    jacobian: Annotated[bool, typer.Option("--jacobian", help="Also write J (above 1 = growth).")] = False,
    brightness: Annotated[bool, typer.Option("--brightness", help="Also write what --intensity added.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write predicted volumes, fields and Jacobian maps at any times, on the reference's stored grid.

    Of a registered pair: the moving image on its way to the fixed one, and back with --carry neighbours in between.
    """
    if fields not in (None, "itk"):
        raise UsageError(f"--fields {fields} is not known. Use --fields itk.")
    wanted = floats(times, "--times")
    from noder.export import export
    from noder.store import load_result
    from noder.stored_files import is_registration

    fitted, about = cli_register.registered_fit(result) if is_registration(result) else (load_result(result), None)
    carry = carry or ("neighbours" if about is None else "first")
    names = ["predictions", *(["fields_itk"] if fields else []), *(["jacobians"] if jacobian else [])]
    names += ["brightness"] if brightness else []
    written = export(fitted, names, wanted, out, carry=carry, about=about)
    if as_json:
        typer.echo(_json({"files": [str(path) for path in written]} | ({"about": about} if about else {})))
    else:
        typer.echo("\n".join([*map(str, written), *([about] if about else [])]))


@app.command()
def evaluate(
    paths: Annotated[list[Path], typer.Argument(help="The folder that `noder fit -o` wrote; else scans, as for fit.")],
    labels: Annotated[Path | None, typer.Option(help="4D label map with a volume for each scan.")] = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Refit without each scan in turn, and score what it predicts.")
    ] = False,
    baselines: Annotated[
        bool, typer.Option(help="Also refit geodesic and piecewise: three fits a scan instead of one.")
    ] = True,
    workers: Annotated[int, typer.Option(help="Processes that share the refits; each needs the memory of a fit.")] = 1,
    frames: Frames = None,
    times: Times = None,
    times_from: TimesFrom = None,
    time_unit: TimeUnit = None,
    mask: Mask = None,
    method: Method = "noder",
    preset: Preset = "balanced",
    set_: Set = None,
    device: Device = "auto",
    seed: Seed = 0,
    resample: Resample = False,
    nan_to_zero: NanToZero = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Score every scan of a fit; or, with --leave-one-out, refit scans without each in turn, beside the baselines."""
    if not leave_one_out:
        if len(paths) != 1:
            raise UsageError("Give one folder that `noder fit -o` wrote, or scans and --leave-one-out.")
        _score(paths[0], labels, as_json)
        return
    if labels is not None:
        raise UsageError("--labels scores a fit: give its folder, without --leave-one-out.")
    from noder.fit_config import FitConfig, check
    from noder.leave_one_out import leave_one_out_steps, refits_of
    from noder.tables import format_left_out

    series = series_of(paths, frames, times, times_from, time_unit, resample=resample, nan_to_zero=nan_to_zero)
    settings = settings_of(method, preset, set_ or [])
    config = FitConfig(method=method, preset=preset, settings=settings, mask=mask, seed=seed, device=device)
    check(series, config.resolved())
    refits = [replace(refit.config, hold_out=(refit.index,)) for refit in refits_of(series, config, baselines)]
    _say_what_it_takes(series, refits, workers, quiet)
    steps = leave_one_out_steps(series, config, baselines=baselines, workers=workers)
    found, cancelled = driven(steps, quiet, _show_refits, "fit")
    typer.echo(_json(asdict(found)) if as_json else format_left_out(found, series.unit))
    if cancelled:
        raise typer.Exit(CANCELLED)


def _score(result: Path, labels: Path | None, as_json: bool) -> None:
    from noder.evaluate import label_rows
    from noder.store import load_result
    from noder.tables import format_labels, format_report

    scored = load_result(result).scored()
    report = scored.report
    rows = [] if labels is None else label_rows(scored.trajectory, scored.series, labels)
    if report is None:
        raise InputError(f"The fit in {result} could not be scored. Fit the series again.")
    if as_json:
        found = {"metrics": report.rows, "summary": report.summary, "linearity": report.linearity}
        typer.echo(_json({**found, "notes": report.notes, "labels": rows}))
        return
    typer.echo(format_report(report, scored.series.unit))
    if rows:
        typer.echo("\n" + format_labels(rows, scored.series.unit))


def _say_what_it_takes(series: ImageSeries, configs: list[FitConfig], workers: int, quiet: bool) -> None:
    """The estimate before the fits, and what to change where they do not fit into the memory."""
    from noder.estimate import estimate, remedy, together

    if not quiet:
        whole = together([estimate(series, config) for config in configs], workers)
        fits = f" for {len(configs)} fits" if len(configs) > 1 else ""
        typer.echo(f"estimate{fits}: {whole.words()}, on {whole.device}", err=True)
    if advice := remedy(series, configs[0], workers=workers):
        typer.echo(f"warning: {advice}", err=True)


def _show_refits(bar: Any, progress: LeftOutProgress) -> None:
    bar.total = progress.total
    bar.bar_format = "{desc}{percentage:3.0f}%|{bar}| {n:.1f}/{total} fits [{elapsed}<{remaining}]"
    bar.set_description("leave one out", refresh=False)
    bar.update(progress.done - bar.n)


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
    what += "" if result.n_seeds == 1 else f", {result.n_seeds} seeds"
    typer.echo(f"{what}: {result.provenance.seconds:.1f} s on {result.provenance.device}, written to {out}")


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
