"""`noder register` and `noder warp`: a pair of images. Heavy imports wait inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from noder.cli_options import AsJson, Device, NanToZero, Quiet, Seed, Set, settings_of
from noder.cli_progress import CANCELLED, driven, show_step
from noder.errors import UsageError

if TYPE_CHECKING:
    from noder.fit import FitResult
    from noder.image import Image
    from noder.methods import NephiSettings

Fixed = Annotated[Path, typer.Argument(help="The image that stays.")]
Moving = Annotated[Path, typer.Argument(help="The image that is pulled onto it; its grid may be another.")]
Folder = Annotated[Path, typer.Option("--out", "-o", help="Folder for the result.")]


def register(
    fixed: Fixed,
    moving: Moving,
    out: Folder,
    fixed_mask: Annotated[Path | None, typer.Option(help="Compare the images inside this mask.")] = None,
    moving_mask: Annotated[Path | None, typer.Option(help="Or inside this one, on the moving image.")] = None,
    fixed_labels: Annotated[Path | None, typer.Option(help="Labels of the fixed image, to score by Dice.")] = None,
    moving_labels: Annotated[Path | None, typer.Option(help="Labels of the moving image.")] = None,
    landmarks: Annotated[Path | None, typer.Option(help="CSV: fixed x,y,z and moving x,y,z in mm.")] = None,
    landmarks_space: Annotated[str, typer.Option(help="LPS (ITK) or RAS (NIfTI, Slicer's view).")] = "LPS",
    initial: Annotated[str, typer.Option(help="none, centre, rigid, affine, or an ITK transform file.")] = "none",
    mode: Annotated[str | None, typer.Option(help="optimise, encoder+io, or encoder.")] = None,
    weights: Annotated[str | None, typer.Option(help="Networks of the encoder: shipped, or a file.")] = None,
    preset: Annotated[str, typer.Option(help="Settings: fast, balanced or published.")] = "balanced",
    set_: Set = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop then, with the map so far.")] = None,
    fields: Annotated[str, typer.Option(help="Conventions of the fields: itk, or itk,fsl.")] = "itk",
    fixed_volume: Annotated[int | None, typer.Option(help="Which volume of a 4D fixed image.")] = None,
    moving_volume: Annotated[int | None, typer.Option(help="Which volume of a 4D moving image.")] = None,
    nan_to_zero: NanToZero = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Register a pair with NePhi: writes the warped image, the field, its inverse, and result.json.

    field.nii.gz pulls the moving image onto the fixed one, inverse.nii.gz the other way, both with the initial
    transform; ITK, ANTs and Slicer read them. The window and `noder predict` open the folder
    again. Modes: optimise trains networks and codes on this pair alone; encoder takes one look with networks that were
    trained before; encoder+io goes on from there and optimises the codes.
    """
    from noder.atomic import staging_folder
    from noder.pair import open_pair
    from noder.pair_files import check_conventions, write_registration
    from noder.pair_given import Given
    from noder.pair_scores import scores
    from noder.register import register_steps

    settings = _settings(preset, set_ or [], {"mode": mode, "weights": weights})
    conventions = check_conventions([name.strip() for name in fields.split(",") if name.strip()])
    if max_seconds is not None and not max_seconds > 0:
        raise UsageError(f"--max-seconds {max_seconds:g} leaves no time: give a number above 0.")
    with staging_folder(out):  # fail before the work, not after it, where nothing could be written
        pass
    ours = _image(fixed, fixed_volume, "--fixed-volume", nan_to_zero)
    theirs = _image(moving, moving_volume, "--moving-volume", nan_to_zero)
    begin = Path(initial) if Path(initial).is_file() else initial
    given = Given(
        (fixed_labels, moving_labels), landmarks, landmarks_space, False, begin, preset, settings, device, max_seconds
    )
    truth = given.truth(ours.grid, theirs.grid)
    pair = open_pair(ours, theirs, begin, fixed_mask, moving_mask)
    steps = register_steps(pair, settings, seed, device, max_seconds)
    registration, cancelled = driven(steps, quiet, show_step, "it")
    found = scores(registration, truth)
    paths = write_registration(registration, found, out, conventions, given)
    if as_json:
        typer.echo(paths[-1].read_text(encoding="utf-8").rstrip())
    else:
        notes = [f"note: {note}" for note in pair.notes]
        if registration.fit.stopped:
            last = registration.fit.history[-1]
            notes.append(f"stopped after {last.step} of {last.total} steps: this is the map of that moment")
        typer.echo("\n".join([_table(found), *notes, f"written to {out}"]))
    if cancelled:
        raise typer.Exit(CANCELLED)


def warp(
    result: Annotated[Path, typer.Argument(help="The folder that `noder register -o` wrote.")],
    image: Annotated[Path, typer.Argument(help="An image in the space of the moving one.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write.")],
    labels: Annotated[bool, typer.Option("--labels", help="Labels: nearest voxel, whole numbers.")] = False,
    inverse: Annotated[bool, typer.Option("--inverse", help="Pull an image in the fixed space back.")] = False,
) -> None:
    """Pull an image or labels through a registration, onto the voxels of the fixed (or moving) image."""
    from noder.pair_files import warp_image, write_warped

    frame, values = warp_image(result, image, inverse=inverse, labels=labels)
    typer.echo(f"written to {write_warped(out, frame, values, labels=labels)}")


def registered_fit(folder: Path) -> tuple[FitResult, str]:
    """A written registration as the fit of a series of two times, and what the times mean. Raises InputError."""
    from noder.pair import timeline_words
    from noder.pair_store import read_registration

    registration = read_registration(folder).registration
    return registration.fit, timeline_words(registration.pair)


def _image(path: Path, volume: int | None, option: str, nan_to_zero: bool) -> Image:
    from noder.errors import InputError
    from noder.image import Image, volumes_in

    if volume is None and (n := volumes_in(path)) > 1:
        raise InputError(f"{path} holds {n} volumes where one is wanted: name one with {option}, 0 to {n - 1}.")
    return Image.open(path, volume, nan_to_zero=nan_to_zero)


def _settings(preset: str, assignments: list[str], options: dict[str, Any]) -> NephiSettings:
    from dataclasses import replace

    from noder.fit_config import check_settings, preset_settings

    settings = settings_of("nephi", preset, assignments) or preset_settings("nephi", preset)
    changed = {name: value for name, value in options.items() if value is not None}
    given = replace(cast("NephiSettings", settings), **changed)
    check_settings(given)
    return given


def _table(found: dict[str, Any]) -> str:
    """Scores before and after, side by side."""
    before, rows = found["initial"], []
    for name, label in (
        ("ncc", "correlation"), ("dice_mean", "Dice, mean"), ("tre_mean_mm", "TRE, mean (mm)"),
        ("tre_median_mm", "TRE, median (mm)"), ("tre_max_mm", "TRE, largest (mm)"),
    ):  # fmt: skip
        if name in found:
            rows.append(f"{label:32s} {before[name]:10.4g} {found[name]:10.4g}")
    for name, label in (
        ("folds_percent", "folds (% of the mask)"), ("min_determinant", "smallest determinant"),
        ("sd_log_jacobian", "SD of log J"), ("inverse_consistency_mm", "inverse consistency (mm)"),
        ("seconds", "seconds"), ("peak_gib", "peak memory (GiB)"),
    ):  # fmt: skip
        value = found[name]
        rows.append(f"{label:32s} {'':10s} {'' if value is None else format(value, '.4g'):>10s}")
    return "\n".join([f"{'':32s} {'before':>10s} {'after':>10s}", *rows])
