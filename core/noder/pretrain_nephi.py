"""Pre-training of NePhi's encoder and decoders, on a CPU, a GPU or several, through Lightning Fabric.

Two kinds of steps: pairs whose deformation is known (`noder.synthetic`), where the distance to it is the loss, and
pairs of given images, where the loss is that of an instance optimisation (similarity, regularity, gradient inverse
consistency; Tian et al., ECCV 2024).
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
from typing import Any, cast

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from noder.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from noder.errors import InputError, UsageError
from noder.grid import Grid, sample_at_index
from noder.image import Image
from noder.methods.hybrid_encoder import CUBE, STRIDE
from noder.methods.nephi_losses import Descent, Stage
from noder.methods.nephi_settings import NephiSettings
from noder.methods.nephi_weights import Networks, onto_cube
from noder.methods.neural_field import Codes, NeuralField, fields_of, gradient_inverse_consistency
from noder.methods.nodes import NodeDecoder
from noder.methods.optimiser import State, moments_of, take_moments, under
from noder.methods.problem import Problem
from noder.methods.siren import HIDDEN_FREQUENCY, Sizes
from noder.preprocess import foreground, standardised
from noder.pretrain import check_device, described_data
from noder.provenance import versions
from noder.registration import register
from noder.synthetic import KnownPair, known_pair, random_deformation, warped

PRECISIONS = ("bf16-mixed", "32-true")
_SIZES = Sizes()
_PAIR = NephiSettings(window=7, smoothness=0.5, folding=20.0, inverse_consistency=0.05, prior=0.001)
_POINTS, _CONSISTENT_POINTS = 4096, 64
_CONSISTENCY, _PRIOR = 0.1, 0.001
_SOFT = 0.1
"""Voxels under which the loss in the distance becomes quadratic."""

_STEEPEST_STEP = 1.0
_WARM_UP = 100
_SCORED = 16


@dataclass(frozen=True)
class NephiPretrainConfig:
    """`pairs`: part of the steps on pairs of the given images; `given`: part of the known pairs made from them."""

    steps: int = 20_000
    batch: int = 2
    pairs: float = 0.1
    given: float = 0.25
    learning_rate: float = 1e-3
    precision: str = "bf16-mixed"
    workers: int = 1
    seed: int = 0
    device: str = "auto"
    devices: int = 1

    def check(self) -> None:
        """Raise UsageError for values that cannot be meant."""
        check_device(self.device)
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision '{self.precision}'. Use {' or '.join(PRECISIONS)}.")
        for name in ("steps", "batch", "devices"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} = {getattr(self, name)} cannot be used: give 1 or more.")
        for name in ("pairs", "given"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} = {getattr(self, name):g} is a part of all: give 0 to 1.")
        if self.workers < 0 or not self.learning_rate > 0:
            raise UsageError("workers cannot be under 0, nor the learning rate 0 or less.")


@dataclass(frozen=True)
class NephiProgress:
    """`step` of `total`, and the losses of that step by name.

    Of known pairs: "distance" to the deformation and "still", that of no deformation, in voxels of the cube.
    """

    step: int
    total: int
    losses: dict[str, float]


@dataclass(frozen=True)
class NephiPretrained:
    """The trained networks and their card; `leads` is True in the one process that is to write files."""

    networks: Networks
    card: dict[str, Any]
    leads: bool
    device: str
    seconds: float


def pretrain_nephi(
    paths: Sequence[Path], config: NephiPretrainConfig, licence: str = "", checkpoint: Path | None = None,
    resume: bool = False, every: int = 500,
) -> Generator[NephiProgress, None, NephiPretrained]:  # fmt: skip
    """Train; after every so many steps all of it is kept in `checkpoint`, from which `resume` goes on.

    Without paths all pairs are of random shapes. Raises InputError for unusable images or another run's checkpoint,
    UsageError for a configuration that cannot be meant.
    """
    config.check()
    fabric = Fabric(accelerator=config.device, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    fabric.launch()
    given = _cubes(paths)
    training = _Training(fabric, config, given)
    fingerprint = _fingerprint(paths, config)
    before = 0.0
    if resume and checkpoint is not None and (found := read_checkpoint(checkpoint, fingerprint)) is not None:
        training.load_state(found.state)
        before = found.seconds
    started = time.monotonic()
    for losses in training.run():
        if checkpoint is not None and training.step % every == 0 and fabric.is_global_zero:
            spent = before + time.monotonic() - started
            write_checkpoint(checkpoint, Checkpoint(training.state(), [], spent), fingerprint)
        yield NephiProgress(training.step, config.steps, losses)
    networks: Networks = training.networks.cpu().eval()
    card = _card(paths, config, licence) | {"scores": score(networks, config.seed + 1)}
    return NephiPretrained(
        networks, card, fabric.is_global_zero, str(fabric.device), before + time.monotonic() - started
    )


def score(networks: Networks, seed: int, count: int = _SCORED) -> dict[str, float]:
    """Mean distance to the known deformations of `count` pairs of shapes, in voxels of the cube: before, and after."""
    before, after = [], []
    for k in range(count):
        pair = known_pair(CUBE, (), 0.0, torch.Generator().manual_seed(seed * 1_000_003 + k))
        codes = networks.encode(pair.moving, pair.fixed)
        chance = torch.Generator().manual_seed(k)
        with torch.no_grad():
            left = _distance(_fields(networks)[0], codes, pair.forward, chance)
        after.append(float(left))
        before.append(float(pair.forward.norm(dim=0).mean()))
    return {"before": round(float(np.mean(before)), 4), "after": round(float(np.mean(after)), 4), "pairs": count}


class _Training:
    """Networks, their optimiser, and the steps; `step` counts those that are done."""

    def __init__(self, fabric: Fabric, config: NephiPretrainConfig, given: list[Tensor]) -> None:
        self.fabric, self.config, self.given, self.step = fabric, config, given, 0
        self.networks: Networks = Networks(_SIZES, config.seed).to(fabric.device).train()
        self._parameters = list(self.networks.parameters())
        self._optimiser = torch.optim.Adam(_groups(self.networks), lr=config.learning_rate)
        self._grid = Grid((CUBE, CUBE, CUBE), np.eye(4))

    def run(self) -> Generator[dict[str, float], None, None]:
        """From `step` on; yields the losses of every step."""
        config = self.config
        loader = DataLoader(
            _KnownPairs(self), batch_size=config.batch, num_workers=config.workers, collate_fn=list,
            multiprocessing_context="spawn" if config.workers else None,
        )  # fmt: skip
        batches = iter(loader)
        for step in range(self.step, config.steps):
            for group in self._optimiser.param_groups:
                group["lr"] = group["share"] * config.learning_rate * _course(step, config.steps)
            self._optimiser.zero_grad(set_to_none=True)
            losses = self._on_given(step) if self.of_given(step) else self._on_known(next(batches))
            self._shared()
            torch.nn.utils.clip_grad_norm_(self._parameters, _STEEPEST_STEP)
            self._optimiser.step()
            self.step = step + 1
            yield losses

    def of_given(self, step: int) -> bool:
        """Whether a step is on a pair of given images."""
        part = self.config.pairs if len(self.given) > 1 else 0.0
        return math.floor((step + 1) * part) > math.floor(step * part)

    def state(self) -> State:
        """All that a run needs to go on."""
        weights = {f"networks.{name}": value.detach().clone() for name, value in self.networks.state_dict().items()}
        return {"step": self.step, **weights, **moments_of(self._optimiser, "adam")}

    def load_state(self, state: State) -> None:
        """Take over what `state` gave."""
        self.step = int(state["step"])
        self.networks.load_state_dict(under("networks", state))
        take_moments(self._optimiser, "adam", state)

    def _on_known(self, pairs: list[KnownPair]) -> dict[str, float]:
        device, count = self.fabric.device, len(pairs)
        moving, fixed = (torch.stack([getattr(p, name) for p in pairs]).to(device) for name in ("moving", "fixed"))
        chance = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.step)
        fields, losses = _fields(self.networks), dict.fromkeys(("distance", "inverse consistency", "codes"), 0.0)
        with self.fabric.autocast():
            whole, local = self.networks.encoder(moving, fixed)
        total = list[Tensor]()
        for k, pair in enumerate(pairs):
            codes = Codes(whole[k].float(), local[k].float())
            truths = (pair.forward.to(device), pair.inverse.to(device))
            far = [_distance(field, codes, u, chance) / 2 for field, u in zip(fields, truths, strict=True)]
            x = 2 * torch.rand((_CONSISTENT_POINTS, 3), generator=chance).to(device) - 1
            held = _CONSISTENCY * gradient_inverse_consistency(*fields, codes, x)
            terms = (far[0] + far[1], held, _PRIOR * codes.prior())
            total.extend(terms)
            for name, term in zip(losses, terms, strict=True):
                losses[name] += float(term.detach()) / count
        self.fabric.backward(torch.stack(total).sum() / count)
        still = [float(pair.forward.square().sum(0).sqrt().mean()) for pair in pairs]
        return {**losses, "still": sum(still) / count}

    def _on_given(self, step: int) -> dict[str, float]:
        """The losses of the instance optimisation on two of the given images, brought back into the encoder."""
        chance = torch.Generator().manual_seed((self.config.seed + 1) * 1_000_003 + step + self.fabric.global_rank)
        moving, fixed = (image.to(self.fabric.device) for image in drawn_pair(self.given, chance))
        mask = torch.ones((CUBE,) * 3, dtype=torch.bool, device=moving.device)
        with self.fabric.autocast():
            whole, local = self.networks.encoder(moving[None], fixed[None])
        whole, local = whole[0].float(), local[0].float()
        stage = Stage(self._nodes(), self.networks.decoders, Codes(whole, local).learnable())
        problem = Problem((moving, fixed), (0.0, 1.0), mask, self._grid)
        losses = Descent(problem, _PAIR, stage, stage.decoder, (1, 1, 1), None).backward(chance)
        codes = stage.codes
        torch.autograd.backward([whole, local], [_gradient(codes.whole), _gradient(codes.local)])
        return losses

    def _nodes(self) -> NodeDecoder:
        return NodeDecoder.every(self._grid, STRIDE)

    def _shared(self) -> None:
        """The mean of the gradients of all processes."""
        if self.fabric.world_size > 1:
            for parameter in self._parameters:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                parameter.grad = cast(Tensor, self.fabric.all_reduce(parameter.grad, reduce_op="mean"))


class _KnownPairs(Dataset[KnownPair]):
    """The known pairs of one process's steps that are still to come, by number: a run that goes on finds the same."""

    def __init__(self, training: _Training) -> None:
        config = training.config
        self._config, self._given = config, training.given
        self._rank = training.fabric.global_rank
        steps = [step for step in range(training.step, config.steps) if not training.of_given(step)]
        self._numbers = [step * config.batch + k for step in steps for k in range(config.batch)]

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, at: int) -> KnownPair:
        if at >= len(self):
            raise IndexError(at)
        torch.set_num_threads(1)
        number = self._numbers[at] * self._config.devices + self._rank
        chance = torch.Generator().manual_seed(self._config.seed * 1_000_003 + number)
        return known_pair(CUBE, self._given, self._config.given, chance)


def drawn_pair(given: Sequence[Tensor], chance: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two different images (1,n,n,n), both turned alike into one of 48 positions; one is often deformed before."""
    first, second = torch.randperm(len(given), generator=chance)[:2].tolist()
    axes = (1 + torch.randperm(3, generator=chance)).tolist()
    flips = [axis + 1 for axis in range(3) if float(torch.rand((), generator=chance)) < 0.5]
    moving, fixed = (given[k].permute(0, *axes).flip(flips) for k in (first, second))
    if float(torch.rand((), generator=chance)) < 0.5:
        moving = warped(moving.contiguous(), random_deformation(moving.shape[-1], chance)[0])
    return moving.contiguous(), fixed.contiguous()


def _groups(networks: Networks) -> list[dict[str, Any]]:
    """What lies before a fast sine takes small steps: a step of a weight counts for thirty there."""
    fast = {
        f"decoders.{side}.synthesis.{k}.{kind}"
        for side in ("forwards", "inverse") for k in range(1, networks.sizes.layers) for kind in ("weight", "bias")
    }  # fmt: skip
    named = list(networks.named_parameters())
    return [
        {"params": [p for name, p in named if name not in fast], "share": 1.0},
        {"params": [p for name, p in named if name in fast], "share": 1 / HIDDEN_FREQUENCY},
    ]


def _course(step: int, total: int) -> float:
    """The part of the learning rate at a step: up, then a cosine down to a hundredth."""
    return min(1.0, (step + 1) / _WARM_UP) * (0.01 + 0.495 * (1 + math.cos(math.pi * step / total)))


def _distance(field: NeuralField, codes: Codes, u: Tensor, chance: torch.Generator) -> Tensor:
    """Mean distance at random points to the displacement u (3,n,n,n), in voxels; quadratic where it is small."""
    x = 2 * torch.rand((_POINTS, 3), generator=chance).to(u) - 1
    half = (u.shape[-1] - 1) / 2
    truth = sample_at_index(u, (x + 1) * half).T
    left = (field.normalised(x, codes) - x) * half - truth
    return ((left.square().sum(-1) + _SOFT**2).sqrt() - _SOFT).mean()


def _fields(networks: Networks) -> tuple[NeuralField, NeuralField]:
    return fields_of(NodeDecoder.every(Grid((CUBE, CUBE, CUBE), np.eye(4)), STRIDE), networks.decoders)


def _cubes(paths: Sequence[Path]) -> list[Tensor]:
    """Images on the cube, the others laid affinely on the first; mean 0 and standard deviation 1 in the foreground."""
    first, cubes = None, list[Tensor]()
    for path in paths:
        image = Image.open(path)
        first = first or image
        if image is not first:
            found = register(first, image, "affine", None)
            if found.failed:
                raise InputError(f"{found.note()}. Leave {image.name} out, or lay it on {first.name} beforehand.")
            image = image.aligned_onto(first, found)
        values = image.numpy()
        cubes.append(onto_cube(standardised(values, foreground([values], image.grid), image.name)))
    return cubes


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad


def _fingerprint(paths: Sequence[Path], config: NephiPretrainConfig) -> str:
    free = ("steps", "workers")  # a run may be shortened or go on for longer, and steps do not depend on who makes them
    settled = {name: value for name, value in asdict(config).items() if name not in free}
    described = {"data": described_data(paths), "config": settled}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def _card(paths: Sequence[Path], config: NephiPretrainConfig, licence: str) -> dict[str, Any]:
    """What does not depend on when and where it was made."""
    return {
        "what": "encoder and decoders of NePhi",
        "cube": CUBE,
        "data": described_data(paths),
        "shapes": "random shapes and contrasts under random smooth deformations, made in code",
        "licence": licence,
        "config": asdict(config),
        "versions": versions() | {"lightning-fabric": version("lightning-fabric")},
    }
