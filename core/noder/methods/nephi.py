"""NePhi: a neural deformation field conditioned on latent codes (Tian et al., ECCV 2024, arXiv 2309.07322).

    phi = phi_1 o phi_2,   phi_k(x) = x + f(x, z_k(x))

Each f is a sine network gated by codes (`noder.methods.siren`); a coarse stage is followed by one that refines the
composed map. Both directions are fitted at once, with a decoder each, held together by their gradient inverse
consistency. f is evaluated on nodes and brought to the voxels by cubics, so that the similarity reads every voxel: on
two cores that takes less time than random points, and the local correlation needs neighbours.

A series is a chain: each scan is registered to the one before it, and the maps are composed. Between two scans the
deformation plays as u_s(x) = f(x, s z) - (1 - s) f(x, 0), the identity at s = 0 and the result at s = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from noder.composition import Box, Displacement
from noder.decoder import SeparableDecoder
from noder.grid import Grid
from noder.kept import Kept
from noder.methods.curve import Kind
from noder.methods.nephi_losses import Stage
from noder.methods.nephi_pair import PairFit, plan_of
from noder.methods.nephi_settings import NephiSettings
from noder.methods.neural_field import Codes, NeuralField
from noder.methods.nodes import NodeDecoder
from noder.methods.optimiser import State
from noder.methods.problem import Iteration, Problem

_BOXES_KEPT = 8
_WHOLES_KEPT = 3
_LOOKS_AROUND = 6
"""Slices at one time after which the networks are evaluated everywhere: the next ones then cost nothing."""


@dataclass(frozen=True, eq=False)
class Link:
    """The stages that pull a scan onto the next one; `begin` and `end` are their times in spans."""

    stages: tuple[Stage, ...]
    begin: float
    end: float


class NephiCurve:
    """A chain of links over time. Its maps are composed: there is no one set of coefficients."""

    kind: Kind = "composed"

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = tuple(links)

    def __call__(self, tau: float) -> Tensor:
        """Raises TypeError: see `parts`."""
        raise TypeError("a composed map has no one set of coefficients")

    def parts(self, tau_of: Callable[[float], float], voxel_mm: float) -> list[Displacement]:
        """The displacements, outermost first; `tau_of` gives a time in spans."""
        last = len(self.links) - 1
        return [
            _Part(stage, link, k == 0, k == last, tau_of, voxel_mm)
            for k, link in enumerate(self.links)
            for stage in link.stages
        ]

    def tensors(self) -> dict[str, Tensor]:
        """What the stages hold, by link, stage and name."""
        found = {}
        for k, link in enumerate(self.links):
            for n, stage in enumerate(link.stages):
                found.update({f"{k}.{n}.{name}": value for name, value in stage.tensors().items()})
        return found

    def facts(self) -> dict[str, Any]:
        """When each link begins and ends, and where the nodes of its stages lie."""
        return {
            "links": [
                {"begin": link.begin, "end": link.end, "nodes": [list(stage.decoder.nodes) for stage in link.stages]}
                for link in self.links
            ]
        }


class _Part:
    """A stage of a link over time."""

    def __init__(
        self, stage: Stage, link: Link, first: bool, last: bool, tau_of: Callable[[float], float], voxel_mm: float
    ) -> None:
        self.decoder = stage.decoder
        self._link, self._first, self._last = link, first, last
        self._tau_of, self._voxel_mm = tau_of, voxel_mm
        x, y, z = (slice(0, n) for n in stage.decoder.nodes)
        self._all: Box = (x, y, z)
        self._codes, self._damping = stage.codes, stage.damping
        self._field = NeuralField(stage.decoder, stage.decoders.of(inverse=False))
        self._kept: Kept[tuple[object, ...], Tensor] = Kept(_BOXES_KEPT)
        self._wholes: Kept[float, Tensor] = Kept(_WHOLES_KEPT)
        self._asked: tuple[float, int] = (math.nan, 0)

    def is_still(self, t: float) -> bool:
        """Before its link begins."""
        return self._progress(t) == 0

    def reach(self, axis: int, low: float, high: float) -> slice:
        """The nodes that voxels from `low` to `high` along an axis read."""
        return self.decoder.reach(axis, low, high)

    def at(self, t: float, box: Box) -> Tensor:
        """u_s = f(x, s z) - (1 - s) f(x, 0) at the nodes in `box` (3,a,b,c), in mm."""
        s = self._progress(t)
        u = self._values(s, box)
        if s != 1:
            u = u - (1 - s) * self._whole(0.0)[(slice(None), *box)]
        return u * self._voxel_mm

    def _values(self, s: float, box: Box) -> Tensor:
        """f(x, s z) in the box; who looks around at one time is soon given all of it."""
        self._asked = (s, self._asked[1] + 1 if self._asked[0] == s else 1)
        if box == self._all or self._asked[1] > _LOOKS_AROUND or s in self._wholes:
            return self._whole(s)[(slice(None), *box)]
        key = (s, *((part.start, part.stop) for part in box))
        return self._kept.get(key, lambda: self._evaluated(s, box))

    def _whole(self, s: float) -> Tensor:
        return self._wholes.get(s, lambda: self._evaluated(s, self._all))

    def _evaluated(self, s: float, box: Box) -> Tensor:
        with torch.no_grad():
            u = self._field.coefficients(Codes(s * self._codes.whole, s * self._codes.local), box)
        return u if self._damping is None else u * self._damping[box]

    def _progress(self, t: float) -> float:
        """0 where the link begins and 1 where it ends; the outer links of a chain go on beyond."""
        s = (self._tau_of(t) - self._link.begin) / (self._link.end - self._link.begin)
        return min(max(s, -100.0 if self._first else 0.0), 100.0 if self._last else 1.0)


class NephiFit:
    """Registers each scan of a problem to the next one, from the first to the last."""

    def __init__(self, problem: Problem, settings: NephiSettings, seed: int) -> None:
        self.problem, self.settings, self.seed = problem, settings, seed
        self._done: list[Link] = []
        self._pair = self._pair_of(0)
        self._pairs = len(problem.images) - 1
        self.total = self._pairs * self._pair.total

    @property
    def decoder(self) -> SeparableDecoder:
        """The finest nodes."""
        return NodeDecoder.every(self.problem.grid, plan_of(self.problem.grid, self.settings)[-1].spacing)

    def costs(self) -> list[float]:
        """The cost of every iteration beside the others."""
        return self._pair.costs() * self._pairs

    def run(self) -> Generator[Iteration, None, None]:
        """Yields after every step."""
        for k in range(len(self._done), self._pairs):
            if self._number != k:
                self._pair = self._pair_of(k)
            yield from self._pair.run()
            self._done.append(self._link(k))

    def curve(self) -> NephiCurve:
        """The map as it is now, detached, on the CPU; links that have not begun are the identity."""
        links = list(self._done)
        if len(links) < self._pairs:
            links.append(self._link(len(links)))
        links.extend(Link((), *self._times(k)) for k in range(len(links), self._pairs))
        return NephiCurve(links)

    def state(self) -> State:
        """All that a run needs to go on after the last step, bit for bit."""
        kept: State = {"done": len(self._done)}
        curve = NephiCurve(self._done)
        kept.update({f"link.{name}": value for name, value in curve.tensors().items()})
        kept.update({f"pair.{name}": value for name, value in self._pair.state().items()})
        return kept

    def load_state(self, state: State) -> None:
        """Go on from what `state` gave."""
        done = int(state["done"])
        tensors = {name.removeprefix("link."): v for name, v in state.items() if name.startswith("link.")}
        grid, settings = self.problem.grid, self.settings
        self._done = [
            Link(tuple(_restored(grid, settings, tensors, k)), *self._times(k))  # type: ignore[arg-type]
            for k in range(done)
        ]
        if done < self._pairs:
            self._pair = self._pair_of(done)
            self._pair.load_state({n.removeprefix("pair."): v for n, v in state.items() if n.startswith("pair.")})

    @staticmethod
    def restore(
        grid: Grid, settings: NephiSettings, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[SeparableDecoder, NephiCurve]:
        """Decoder and curve of a saved fit. Raises RuntimeError or KeyError where they do not belong together."""
        links = []
        for k, described in enumerate(facts["links"]):
            stages = tuple(_restored(grid, settings, tensors, k))
            if [list(stage.decoder.nodes) for stage in stages] != described["nodes"]:
                raise KeyError("nodes")
            links.append(Link(stages, described["begin"], described["end"]))
        decoder = NodeDecoder.every(grid, plan_of(grid, settings)[-1].spacing)
        return decoder, NephiCurve(links)

    def _pair_of(self, k: int) -> PairFit:
        self._number = k
        whole = self.problem
        images = (whole.images[k], whole.images[k + 1])
        return PairFit(Problem(images, (0.0, 1.0), whole.mask, whole.grid), self.settings, self.seed + 10 * k)

    def _link(self, k: int) -> Link:
        return Link(tuple(stage.snapshot() for stage in self._pair.stages), *self._times(k))

    def _times(self, k: int) -> tuple[float, float]:
        return self.problem.taus[k], self.problem.taus[k + 1]


def _restored(
    grid: Grid, settings: NephiSettings, tensors: dict[str, Tensor], link: int
) -> Generator[Stage, None, None]:
    for n, plan in enumerate(plan_of(grid, settings)):
        start = f"{link}.{n}."
        own = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
        if not own:
            return
        yield Stage.restored(NodeDecoder.every(grid, plan.spacing), own)
