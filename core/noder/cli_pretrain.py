"""`noder pretrain`: weights that come before any fit. Heavy imports wait inside the commands."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noder.errors import InputError, UsageError

if TYPE_CHECKING:
    from noder.pretrain import Pretrained, PretrainProgress

WEIGHTS = ".safetensors"

app = typer.Typer(name="pretrain", help="Train weights that fits start from.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Train weights that fits start from."""


@app.command()
def autoencoder(
    images: Annotated[list[Path], typer.Argument(help="3D images of different subjects, of one kind.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write, as weights.safetensors.")],
    seed: Annotated[int, typer.Option(help="Seed of all that is left to chance.")] = 0,
    epochs: Annotated[int, typer.Option(help="How often each deformation is seen.")] = 10,
    fields: Annotated[int, typer.Option(help="Deformations to learn from.")] = 480,
    pairs: Annotated[int, typer.Option(help="Pairs of images to register, at most.")] = 15,
    voxel: Annotated[float, typer.Option(help="Voxels of about this size, in mm.")] = 2.0,
    batch: Annotated[int, typer.Option(help="Deformations in a step, on each device.")] = 8,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-4,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many GPUs, or processes on the CPU.")] = 1,
    licence: Annotated[str, typer.Option(help="Licence of the images, kept in the weights.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress on standard error.")] = False,
) -> None:
    """Train the auto-encoder of deformation fields; writes the weights, and a .json card and a .log beside them."""
    if out.suffix != WEIGHTS:
        raise UsageError(f"{out} cannot hold weights: give a name that ends in {WEIGHTS}.")
    for path in images:
        if not path.is_file():
            raise InputError(f"{path} does not exist. Give 3D images of different subjects.")
    from noder.atomic import json_text, write_json, write_text
    from noder.methods.autoencoder import write_weights
    from noder.pretrain import PretrainConfig, pretrain

    write_text(out.with_suffix(".log"), "")  # fail before the work, not after it
    config = PretrainConfig(
        fields=fields, epochs=epochs, pairs=pairs, batch=batch, voxel_mm=voxel, learning_rate=learning_rate, seed=seed,
        device=device, devices=devices,
    )  # fmt: skip
    follows = int(os.environ.get("LOCAL_RANK", "0")) > 0  # one of several processes, and not the one that speaks
    result, lines = _drain(pretrain(images, config, licence), quiet or follows)
    if not result.leads:
        return
    run = {"command": command_line(), "device": result.device, "seconds": round(result.seconds, 1)}
    write_weights(out, result.autoencoder, result.card)
    write_text(out.with_suffix(".log"), "\n".join(lines) + "\n")
    card: dict[str, Any] = {"weights": out.name, **result.card, "run": run}
    write_json(out.with_suffix(".json"), card)
    typer.echo(json_text(card) if as_json else _table(card) + f"\nwritten to {out}")


def _drain(steps: Generator[PretrainProgress, None, Pretrained], quiet: bool) -> tuple[Pretrained, list[str]]:
    """Run to the end with a progress bar for each stage; returns the result and the log."""
    from time import monotonic

    from tqdm import tqdm

    lines: list[str] = []
    started, stage, bar = monotonic(), "", tqdm(disable=True)
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            bar.close()
            return end.value, lines
        if progress.stage != stage:
            bar.close()
            stage = progress.stage
            bar = tqdm(disable=quiet, file=sys.stderr, total=progress.total, desc=stage)
        bar.update(progress.step - bar.n)
        if progress.line:
            lines.append(f"{monotonic() - started:8.1f} s  {progress.line}")
            bar.set_postfix_str(progress.line, refresh=False)


def _table(card: dict[str, Any]) -> str:
    rows = [
        f"{row['displacement']:17g}  {row['fields']:8s} {row['n']:6d} {row['error']:10.3f} {row['worst']:10.3f}"
        for row in card["scores"]
    ]
    head = f"{'displacement':>17s}  {'fields':8s} {'number':>6s} {'error':>10s} {'worst':>10s}"
    return "\n".join(["Held-out fields: mean error in the mask, in voxels", head, *rows])


def command_line() -> str:
    """The line that was given, with the names of files alone: where they lay says nothing to others."""
    return shlex.join(["noder", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])])
