"""`noder pretrain nephi`: encoder and decoders that registrations start from. Heavy imports wait inside the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from noder.cli_options import AsJson, Quiet, Seed
from noder.cli_pretrain import WEIGHTS, command_line
from noder.errors import InputError, UsageError

if TYPE_CHECKING:
    from noder.pretrain_nephi import NephiPretrained, NephiProgress

_SAVED_EVERY, _SHOWN_EVERY = 500, 50


def nephi(
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write, as weights.safetensors.")],
    images: Annotated[list[Path] | None, typer.Argument(help="3D images of one kind, or none: shapes.")] = None,
    seed: Seed = 0,
    steps: Annotated[int, typer.Option(help="Steps of Adam.")] = 20_000,
    batch: Annotated[int, typer.Option(help="Known pairs in a step, on each device.")] = 2,
    pairs: Annotated[float, typer.Option(help="Part of the steps on pairs of the images.")] = 0.1,
    given: Annotated[float, typer.Option(help="Part of the known pairs that is made from the images.")] = 0.25,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of Adam.")] = 1e-3,
    precision: Annotated[str, typer.Option(help="bf16-mixed or 32-true.")] = "bf16-mixed",
    workers: Annotated[int, typer.Option(help="Processes that make pairs, for each device.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many GPUs, or processes on the CPU.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the same command, cut off.")] = False,
    licence: Annotated[str, typer.Option(help="Licence of the images, kept in the weights.")] = "",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train NePhi's encoder and decoders, on random shapes, on images, or both.

    Writes the weights, a .json card, a .log, and a .html with live curves beside them. Every 500 steps all of it is
    kept in a .state.safetensors, from which --resume goes on, with another number of --steps if need be.
    """
    if out.suffix != WEIGHTS:
        raise UsageError(f"{out} cannot hold weights: give a name that ends in {WEIGHTS}.")
    for path in images or []:
        if not path.is_file():
            raise InputError(f"{path} does not exist. Give 3D images of one kind, or none.")
    from noder.atomic import json_text, write_json, write_text
    from noder.methods.nephi_weights import write_networks
    from noder.pretrain_nephi import NephiPretrainConfig, pretrain_nephi

    if not resume:
        write_text(out.with_suffix(".log"), "")  # fail before the work, not after it
    config = NephiPretrainConfig(steps, batch, pairs, given, learning_rate, precision, workers, seed, device, devices)
    follows = int(os.environ.get("LOCAL_RANK", "0")) > 0  # one of several processes, and not the one that speaks
    kept = out.with_suffix(".state.safetensors")
    training = pretrain_nephi(images or [], config, licence, kept, resume, _SAVED_EVERY)
    result = _drain(training, out, quiet or follows, follows)
    if not result.leads:
        return
    run = {"command": command_line(), "device": result.device, "seconds": round(result.seconds, 1)}
    write_networks(out, result.networks, result.card)
    card: dict[str, Any] = {"weights": out.name, **result.card, "run": run}
    write_json(out.with_suffix(".json"), card)
    kept.unlink(missing_ok=True)
    found = result.card["scores"]
    before, after = (f"{found[name]:.3f}" for name in ("before", "after"))
    spoken = f"{found['pairs']} unseen pairs of shapes: {before} voxels apart before, {after} after"
    typer.echo(json_text(card) if as_json else f"{spoken}\nwritten to {out}")


def _drain(
    steps: Generator[NephiProgress, None, NephiPretrained], out: Path, quiet: bool, follows: bool
) -> NephiPretrained:
    """Run to the end with a progress bar; every so many steps a line in the log, and the curves."""
    from tqdm import tqdm

    from noder.training_page import write_page

    history: dict[str, list[tuple[int, float]]] = {}
    bar = tqdm(disable=quiet, file=sys.stderr, desc="training")
    while True:
        try:
            progress = next(steps)
        except StopIteration as end:
            bar.close()
            result: NephiPretrained = end.value
            return result
        bar.total = progress.total
        bar.update(progress.step - bar.n)
        for name, value in progress.losses.items():
            history.setdefault(name, []).append((progress.step, value))
        if progress.step % _SHOWN_EVERY == 0 or progress.step == progress.total:
            line = ", ".join(f"{name} {_recent(values):.4f}" for name, values in history.items())
            bar.set_postfix_str(line, refresh=False)
            if not follows:
                with out.with_suffix(".log").open("a", encoding="utf-8") as log:
                    log.write(f"step {progress.step}: {line}\n")
                write_page(out.with_suffix(".html"), out.name, progress.step, progress.total, history)


def _recent(values: list[tuple[int, float]]) -> float:
    """Mean of the last values."""
    last = [value for _, value in values[-_SHOWN_EVERY:]]
    return sum(last) / len(last)
