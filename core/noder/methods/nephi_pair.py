"""One pair of images: both directions of a neural field, stage by stage, each step on one level of a pyramid."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch

from noder.grid import Grid, Triple
from noder.methods.hybrid_encoder import CUBE
from noder.methods.mending import composed_maps, composed_on, mended
from noder.methods.nephi_losses import Descent, Stage
from noder.methods.nephi_settings import NephiSettings
from noder.methods.nephi_weights import Networks, read_networks
from noder.methods.neural_field import code_shape
from noder.methods.nodes import NodeDecoder
from noder.methods.optimiser import State, course, moments_of, take_moments, under
from noder.methods.problem import Iteration, Problem, pyramid
from noder.methods.siren import Sizes
from noder.methods.svf import composed

EDGES = (CUBE, 97)
"""The cube on which the encoder sees the pair, in the coarse stage and in the one that refines it."""

_FINER = 0.8
"""Nodes and codes of the refining stage lie so much nearer to each other."""

_COST_OF_NODE = 50.0
_COARSEST_NODES = 2.0
"""Nodes lie no nearer than so many voxels of the reduced images."""


@dataclass(frozen=True)
class StagePlan:
    """What a stage goes through: reduction an axis and number of iterations, coarse to fine."""

    levels: tuple[tuple[Triple, int], ...]
    spacing: float
    codes: float

    @property
    def total(self) -> int:
        """Iterations of all levels."""
        return sum(count for _, count in self.levels)


def plan_of(grid: Grid, settings: NephiSettings) -> list[StagePlan]:
    """The stages: one through all sizes, or a coarse one and one that refines it; an encoder looks once in each."""
    coarse, middle, fine = pyramid(grid, (1, 1, 1))
    (a, _), (b, _), (c, _) = coarse, middle, fine
    stages: list[tuple[tuple[Triple, int], ...]]
    if settings.mode == "encoder":
        stages = [((b, 1),)] * settings.stages
    else:
        of_coarse, of_middle, of_fine = _iterations(settings)
        stages = [((a, of_coarse), (b, of_middle)), ((b, of_middle), (c, of_fine))]
        if settings.stages == 1:
            stages = [(*stages[0], (c, of_fine))]
    used = [tuple(level for level in levels if level[1] > 0) for levels in stages]
    every = [settings.node_spacing * _FINER**k for k in range(len(used))]
    codes = [settings.code_spacing * _FINER**k for k in range(len(used))]
    return [StagePlan(levels, *at) for levels, *at in zip(used, every, codes, strict=True) if levels]


def _iterations(settings: NephiSettings) -> tuple[int, int, int]:
    if settings.mode == "encoder+io":
        return settings.io_iterations, settings.io_iterations, settings.io_iterations
    return settings.coarse_iterations, settings.middle_iterations, settings.fine_iterations


def sizes_of(settings: NephiSettings) -> Sizes:
    """Of networks that are trained for one pair."""
    return Sizes(settings.global_code, settings.local_code, settings.frequencies, settings.hidden, settings.layers)


class PairFit:
    """phi that pulls the first image of `pair` onto the second, and its inverse, by Adam; `step` counts its steps."""

    def __init__(self, pair: Problem, settings: NephiSettings, seed: int) -> None:
        self.pair, self.settings, self.seed = pair, settings, seed
        self.plans = plan_of(pair.grid, settings)
        self.stages: list[Stage] = []
        self.step = 0
        self._optimiser: torch.optim.Optimizer | None = None
        self._device = pair.mask.device

    @property
    def total(self) -> int:
        """Steps of all stages."""
        return sum(plan.total for plan in self.plans)

    def costs(self) -> list[float]:
        """What each step costs, in voxels to work on."""
        grid = self.pair.grid
        return [
            _cost(grid, plan, factors) for plan in self.plans for factors, count in plan.levels for _ in range(count)
        ]

    def run(self) -> Generator[Iteration, None, None]:
        """From `step` on; yields after every step of Adam."""
        end = 0
        for number, plan in enumerate(self.plans):
            begin, end = end, end + plan.total
            if self.step >= end and self.stages[number].damping is not None:
                continue
            if len(self.stages) == number:
                self._begin(self._started(number, plan))
            before = partial(composed_on, self.stages[:number]) if number else None
            at, descent = begin, None
            for factors, count in plan.levels:
                at += count
                descent = None  # its memory, before the next one takes more
                if self.step < at:
                    decoder = _nodes_at(self.pair.grid, plan, factors)
                    descent = Descent(self.pair, self.settings, self.stages[number], decoder, factors, before)
                    while self.step < at:
                        yield self._descend(descent, plan, begin, len(self.plans) > 1 and number)
            descent = None
            previous = composed_maps(self.stages[:number], self.pair.grid)
            self.stages[number] = mended(self.stages[number], self.pair.grid, previous)

    def state(self) -> State:
        """All that a run needs to go on after the last step, bit for bit."""
        state: State = {"step": self.step}
        for k, stage in enumerate(self.stages):
            state.update({f"stage{k}.{name}": value.detach().clone() for name, value in stage.tensors().items()})
        if self._optimiser is not None:
            state.update(moments_of(self._optimiser, "adam"))
        return state

    def load_state(self, state: State) -> None:
        """Take over what `state` gave."""
        self.step, self.stages, done = int(state["step"]), [], 0
        for number, plan in enumerate(self.plans):
            tensors = under(f"stage{number}", state)
            if not tensors:
                return
            stage = Stage.restored(NodeDecoder.every(self.pair.grid, plan.spacing), tensors)
            self._begin(replace(stage, codes=stage.codes.to(self._device)))
            done += plan.total
            if self.step < done:
                assert self._optimiser is not None
                take_moments(self._optimiser, "adam", state)

    def _started(self, number: int, plan: StagePlan) -> Stage:
        """What a stage begins with: the identity, or what the encoder makes of the images as they lie by now."""
        grid, settings = self.pair.grid, self.settings
        if settings.mode == "optimise":
            return Stage.fresh(grid, plan.spacing, plan.codes, sizes_of(settings), self.seed + number)
        moving, fixed = self.pair.images
        previous = composed_maps(self.stages[:number], grid)
        if previous is not None:
            moving = composed(moving, previous[0])
        networks = copy.deepcopy(self._networks).to(self._device)
        networks.decoders.scaled_by((CUBE - 1) / (EDGES[number] - 1))
        codes = networks.encode(moving, fixed, EDGES[number])
        if settings.mode == "encoder+io":
            codes = codes.finer(code_shape(grid, plan.codes))
        return Stage(NodeDecoder.every(grid, plan.spacing), networks.decoders, codes)

    def _begin(self, stage: Stage) -> None:
        """Add a stage, and an optimiser of all of it that is to be learnt."""
        trained, settings = self.settings.mode != "optimise", self.settings
        decoders, codes = stage.decoders.to(self._device), stage.codes.to(self._device).learnable()
        self.stages.append(replace(stage, decoders=decoders.requires_grad_(not trained), codes=codes))
        rate = settings.io_rate if trained else settings.code_rate
        groups = [{"params": codes.parameters(), "lr": 1.0, "rate": rate}]
        if not trained:
            networks = {"params": list(decoders.parameters()), "lr": 1.0, "rate": settings.learning_rate}
            groups.insert(0, networks)
        self._optimiser = torch.optim.Adam(groups, fused=self._device.type == "cpu")

    @cached_property
    def _networks(self) -> Networks:
        return read_networks(self.settings.weights)[0]

    def _descend(self, descent: Descent, plan: StagePlan, begin: int, refines: bool | int) -> Iteration:
        assert self._optimiser is not None
        for group in self._optimiser.param_groups:
            group["lr"] = group["rate"] * course(self.step - begin, plan.total)
        self._optimiser.zero_grad(set_to_none=True)
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + self.step)
        losses = descent.backward(chance)
        if self.settings.mode != "encoder":
            self._optimiser.step()
        self.step += 1
        name = f"{'refining' if refines else 'coarse' if len(self.plans) > 1 else 'all'}, {descent.name}"
        return Iteration(name, _cost(self.pair.grid, plan, descent.factors), losses)


def n_nodes(grid: Grid, plan: StagePlan, factors: Triple) -> int:
    """At how many nodes a network is evaluated where images are reduced by `factors`."""
    return math.prod(_nodes_at(grid, plan, factors).nodes)


def _nodes_at(grid: Grid, plan: StagePlan, factors: Triple) -> NodeDecoder:
    return NodeDecoder.every(grid, max(plan.spacing, _COARSEST_NODES * max(factors)))


def _cost(grid: Grid, plan: StagePlan, factors: Triple) -> float:
    """A step's cost in voxels: those of the images, and the networks at the nodes."""
    return grid.coarsen(factors).n_voxels + _COST_OF_NODE * n_nodes(grid, plan, factors)
