"""Pre-training of the auto-encoder of deformation fields, on a CPU, a GPU or several, through Lightning Fabric.

It starts as the best linear auto-encoder (`noder.linear_autoencoder`), which takes seconds, and then all of it is
trained by Adam on the mean squared error of the displacement.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from noder.deformations import Deformations, Pair, Subjects, chosen_pairs, find_pairs
from noder.errors import UsageError
from noder.grid import Triple, sample_at_index
from noder.linear_autoencoder import channel_scale, linear_start
from noder.methods.autoencoder import LATENT, NODES, Autoencoder, make_autoencoder, to_nodes, to_voxels
from noder.provenance import versions

DEVICES = ("auto", "cpu", "cuda")
SCORED_AT = (1.0, 2.0, 3.0, 4.0)
"""Mean displacement in voxels of the fields to judge by."""

_RANDOM_SCORED = 8
_OUTSIDE = 0.1
"""Weight of nodes outside the mask beside those in it: what lies there must not run wild."""

_TUNING = 0.03
"""The step of the linear layers beside that of the bent ones: they start at their optimum."""


@dataclass(frozen=True)
class PretrainConfig:
    """`fields` are drawn once and seen in each of `epochs`, mirrored by chance; `pairs` limits the registrations."""

    fields: int = 480
    epochs: int = 10
    pairs: int = 15
    batch: int = 8
    voxel_mm: float = 2.0
    learning_rate: float = 1e-4
    seed: int = 0
    device: str = "auto"
    devices: int = 1

    def check(self) -> None:
        """Raise UsageError for values that cannot be meant."""
        check_device(self.device)
        for name in ("fields", "pairs", "batch", "devices"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)} cannot be used: give 1 or more.")
        if self.epochs < 0 or not 0 < self.voxel_mm < math.inf:
            raise UsageError(f"epochs = {self.epochs} and voxel = {self.voxel_mm:g} mm cannot be used: give more.")


@dataclass(frozen=True)
class PretrainProgress:
    """What has just been done: `step` of `total` in a stage, and a line for the log."""

    stage: str
    step: int
    total: int
    line: str


@dataclass(frozen=True)
class Pretrained:
    """The trained auto-encoder and its card; `leads` is True in the one process that is to write files."""

    autoencoder: Autoencoder
    card: dict[str, Any]
    leads: bool
    device: str
    seconds: float


def pretrain(
    paths: Sequence[Path], config: PretrainConfig, licence: str = ""
) -> Generator[PretrainProgress, None, Pretrained]:
    """Find deformations between `paths`, add random ones, and train; equal seeds give equal weights on the CPU.

    With several devices every process finds the same deformations, and each learns from its share of them. Raises
    InputError for unusable images, UsageError for a configuration that cannot be meant.
    """
    config.check()
    started = time.monotonic()
    fabric = Fabric(accelerator=config.device, devices=config.devices)
    fabric.launch()
    subjects = Subjects.open(paths, config.voxel_mm)
    learn, held = chosen_pairs(len(paths), config.pairs, config.seed)
    found: dict[Pair, Tensor] = yield from _registered(subjects, [*learn, *held], fabric.device)
    source = Deformations(subjects, {pair: found[pair] for pair in learn}, fabric.device)
    fields: Tensor = yield from _drawn(source, config)
    weight = node_weight(subjects)
    autoencoder = make_autoencoder(config.seed)
    linear_start(autoencoder, mirrored(fields, torch.Generator().manual_seed(config.seed)), weight)
    losses = {"still": field_loss(0 * fields, fields, weight, subjects.grid.shape)}
    losses["linear"] = _loss_of(autoencoder, fields, weight, subjects.grid.shape)
    yield PretrainProgress("linear start", 1, 1, "linear start: " + _spelled(losses))
    autoencoder = yield from _trained(fabric, autoencoder, fields, weight, subjects.grid.shape, config)
    losses["trained"] = _loss_of(autoencoder, fields, weight, subjects.grid.shape)
    autoencoder.scale.copy_(channel_scale(autoencoder, fields))
    judged = Deformations(subjects, {pair: found[pair] for pair in held}, fabric.device)
    scores = score(autoencoder, judged, config.seed + 1)
    for row in scores:
        yield PretrainProgress("scoring", 1, 1, "held out: " + json.dumps(row))
    card = _card(paths, subjects, config, licence) | {
        "pairs": [_names(subjects, pair) for pair in learn],
        "pairs_held_out": [_names(subjects, pair) for pair in held],
        "losses": losses,
        "scores": scores,
    }
    return Pretrained(autoencoder, card, fabric.is_global_zero, str(fabric.device), time.monotonic() - started)


def check_device(name: str) -> None:
    """Raise UsageError for a device that nothing can be trained on."""
    if name not in DEVICES:
        raise UsageError(f"There is no device '{name}' to train on. Use {', '.join(DEVICES)}.")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("There is no CUDA device on this computer. Use cpu, or auto.")


def described_data(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Names and checksums of the images."""
    return [{"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in paths]


def mirrored(fields: Tensor, chance: torch.Generator) -> Tensor:
    """Fields (n,3,*NODES), each mirrored along each axis or not, by chance: other organs lie in other ways."""
    coins = torch.rand((len(fields), 3), generator=chance) < 0.5
    out = fields.clone()
    for field, flips in zip(out, coins.tolist(), strict=True):
        axes = [axis + 1 for axis in range(3) if flips[axis]]
        field.copy_(field.flip(axes))
        for axis in axes:
            field[axis - 1].neg_()
    return out


def field_loss(found: Tensor, truth: Tensor, weight: Tensor, shape: Triple) -> float:
    """Mean squared length of the difference of fields (n,3,*NODES), in voxels of an image of `shape`."""
    return float(_squared(found, truth, weight, shape))


def score(autoencoder: Autoencoder, judged: Deformations, seed: int) -> list[dict[str, Any]]:
    """Error of D(E(u)) in voxels in the mask, for fields of `SCORED_AT`: of registered pairs, and random ones."""
    rows = []
    for amplitude in SCORED_AT:
        chance = np.random.default_rng([seed, int(10 * amplitude)])
        fields = {
            "pairs": (judged.of_pair(k, amplitude) for k in range(len(judged.found))),
            "random": (judged.random(chance, amplitude) for _ in range(_RANDOM_SCORED)),
        }
        for kind, each in fields.items():
            errors = [judged.error(_through(autoencoder, u), u) for u in each]
            if errors:
                found = {"error": round(float(np.mean(errors)), 4), "worst": round(max(errors), 4)}
                rows.append({"displacement": amplitude, "fields": kind, "n": len(errors), **found})
    return rows


def node_weight(subjects: Subjects) -> Tensor:
    """(*NODES): 1 in the mask, less outside."""
    places = [torch.linspace(0, n - 1, m) for n, m in zip(subjects.grid.shape, NODES, strict=True)]
    index = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1)
    inside = sample_at_index(torch.from_numpy(subjects.mask)[None].float(), index)[0]
    return _OUTSIDE + (1 - _OUTSIDE) * inside


def _registered(
    subjects: Subjects, pairs: list[Pair], device: torch.device
) -> Generator[PretrainProgress, None, dict[Pair, Tensor]]:
    steps = find_pairs(subjects, pairs, device)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            found: dict[Pair, Tensor] = end.value
            return found
        moving, fixed = reversed(_names(subjects, step.pair))
        line = f"registered {moving} to {fixed}: 1 - cc = {step.residual:.4f}"
        yield PretrainProgress("registering", step.done, step.total, line)


def _drawn(source: Deformations, config: PretrainConfig) -> Generator[PretrainProgress, None, Tensor]:
    chance = np.random.default_rng(config.seed)
    fields = []
    for k in range(1, config.fields + 1):
        fields.append(to_nodes(source.draw(chance)).cpu())
        yield PretrainProgress("deforming", k, config.fields, f"{k} fields" if k == config.fields else "")
    return torch.stack(fields)


def _trained(
    fabric: Fabric, autoencoder: Autoencoder, fields: Tensor, weight: Tensor, shape: Triple, config: PretrainConfig
) -> Generator[PretrainProgress, None, Autoencoder]:
    """Adam on all weights; the step warms up over an epoch, then falls as a cosine."""
    model, optimiser = fabric.setup(autoencoder, torch.optim.Adam(_groups(autoencoder), lr=config.learning_rate))
    order = torch.Generator().manual_seed(config.seed)
    loader = fabric.setup_dataloaders(DataLoader(TensorDataset(fields), config.batch, shuffle=True, generator=order))
    mirrors = torch.Generator().manual_seed(config.seed * fabric.world_size + fabric.global_rank)
    weight, total, step = weight.to(fabric.device), config.epochs * len(loader), 0
    for epoch in range(1, config.epochs + 1):
        sums = 0.0
        for (batch,) in loader:
            for group in optimiser.param_groups:
                warm = min(1.0, (step + 1) / len(loader))
                group["lr"] = config.learning_rate * group["share"] * warm * (1 + math.cos(math.pi * step / total)) / 2
            optimiser.zero_grad(set_to_none=True)
            batch = mirrored(batch.cpu(), mirrors).to(fabric.device)
            loss = _squared(model(batch), batch, weight, shape)
            fabric.backward(loss)
            optimiser.step()
            step, sums = step + 1, sums + float(loss.detach())
            line = f"epoch {epoch}: loss {sums / len(loader):.6f}" if step % len(loader) == 0 else ""
            yield PretrainProgress("training", step, total, line)
    return autoencoder.cpu()


def _groups(autoencoder: Autoencoder) -> list[dict[str, Any]]:
    halves = (autoencoder.encoder, autoencoder.decoder)
    linear = [half.linear.weight for half in halves]
    bent = [parameter for half in halves for parameter in half.bend.parameters()]
    return [{"params": bent, "share": 1.0}, {"params": linear, "share": _TUNING}]


def _squared(found: Tensor, truth: Tensor, weight: Tensor, shape: Triple) -> Tensor:
    voxels = found.new_tensor([(n - 1) / (m - 1) for n, m in zip(shape, NODES, strict=True)])
    error = ((found - truth) * voxels[:, None, None, None]).square().sum(1)
    return (error * weight).mean() / weight.mean()


def _loss_of(autoencoder: Autoencoder, fields: Tensor, weight: Tensor, shape: Triple) -> float:
    with torch.no_grad():
        found = torch.cat([autoencoder(part) for part in fields.split(16)])
    return field_loss(found, fields, weight, shape)


def _through(autoencoder: Autoencoder, u: Tensor) -> Tensor:
    """D(E(u)) of a field (3,I,J,K) in voxels."""
    x, y, z = u.shape[1:]
    with torch.no_grad():
        return to_voxels(autoencoder(to_nodes(u.cpu())[None])[0], (x, y, z))


def _card(paths: Sequence[Path], subjects: Subjects, config: PretrainConfig, licence: str) -> dict[str, Any]:
    """What does not depend on when and where it was made, so that equal runs give equal files."""
    return {
        "what": "auto-encoder of deformation fields",
        "nodes": list(NODES),
        "latent": list(LATENT),
        "data": described_data(paths),
        "licence": licence,
        "config": asdict(config),
        "grid": {"shape": list(subjects.grid.shape), "spacing_mm": list(subjects.grid.spacing)},
        "versions": versions() | {"lightning-fabric": version("lightning-fabric")},
    }


def _names(subjects: Subjects, pair: Pair) -> list[str]:
    return [subjects.names[k] for k in pair]


def _spelled(losses: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.6f}" for name, value in losses.items())
