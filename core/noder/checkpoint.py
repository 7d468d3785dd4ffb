"""A fit under way as one file: a fit that was killed goes on from it, bit for bit on the CPU.

The file names what it belongs to by a fingerprint of the images and the configuration; another fit does not take it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from noder.atomic import output_errors
from noder.errors import InputError
from noder.image import written_atomically

NAME = "checkpoint.safetensors"
State = dict[str, "Tensor | int | float"]


@dataclass(frozen=True)
class Checkpoint:
    """`state` of the method after some steps, the history so far as JSON holds it, and the seconds they took."""

    state: State
    history: list[dict[str, Any]]
    seconds: float


def write_checkpoint(path: Path, checkpoint: Checkpoint, fingerprint: str) -> None:
    """Replace the file at `path` at once. Raises OutputError."""
    tensors = {k: v.cpu().contiguous() for k, v in checkpoint.state.items() if isinstance(v, Tensor)}
    numbers = {k: v for k, v in checkpoint.state.items() if not isinstance(v, Tensor)}
    facts = {
        "fingerprint": fingerprint, "numbers": numbers, "history": checkpoint.history, "seconds": checkpoint.seconds,
    }  # fmt: skip
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={"checkpoint": json.dumps(facts)}))


def read_checkpoint(path: Path, fingerprint: str) -> Checkpoint | None:
    """The checkpoint at `path`, None where there is none. Raises InputError where it is damaged or of another fit."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["checkpoint"])
            state: State = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        numbers, history, seconds = facts["numbers"], facts["history"], float(facts["seconds"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}). Remove it and fit without --resume.") from error
    if facts["fingerprint"] != fingerprint:
        raise InputError(
            f"{path} belongs to a fit of other scans, times or settings. Repeat the command of that fit, or leave "
            "--resume out."
        )
    return Checkpoint({**state, **numbers}, history, seconds)


def fingerprint_of(described: Any, images: Iterable[Tensor], mask: Tensor) -> str:
    """A hash of a configuration (JSON) and of the voxels that a fit sees."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True, default=str).encode())
    for tensor in [*images, mask.to(torch.uint8)]:
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()
