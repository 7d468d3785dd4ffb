"""Maps that are carried by velocities: phi_t = exp(p_n) o ... o exp(p_1), p_k stationary pieces of log-velocity.

A flow takes one piece a step of its clock, p_k = W (c(t_k) - c(t_{k-1})), the velocity d phi/dt = v(phi(t), t) with v
constant during a step; an exponential is a single piece, p = W c(t). Either is inverted by running the pieces
backwards. Velocities live on every second voxel of the reference where the decoder is smooth enough, linear in between.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor

from noder import kernels
from noder.decoder import Decoder
from noder.grid import Grid, Triple, sample_at_index
from noder.kept import Kept
from noder.separable import Separable, cubic_matrix

_LONGEST_STEP = 1.0
"""Voxels of the velocities' grid that a particle moves at most in one Runge-Kutta step."""

_LONGEST_ON_SCREEN = 4.0
"""The same where a slice must be there at once: no farther off than with shorter steps (`bench/bench_screen.py`)."""

_BOX_IN_VOXELS = 5
"""Velocities may live on half the voxels where the decoder's box spans that many of those."""

_FEWEST_TO_HALVE = 8
_KEPT = 40
_EXPONENTIALS_KEPT = 5
"""The time that is shown, both sides of it for a rate of growth, and the time since when."""

_FEW_SLICES = 3
_SLICES_KEPT = 12
"""Three slices with a neighbour to each side, and the next ones."""


@dataclass(frozen=True)
class Clock:
    """The steps of a flow: t_k = start + k * step; a map that is one exponential has none."""

    start: float
    step: float


def halved_grid(grid: Grid, decoder: Decoder, *, rough: bool = False) -> Grid:
    """Every second voxel of `grid` along the axes where the decoder is smooth enough; the corners stay in place.

    `rough`: also where it is half as smooth, but not of small images, which are quick as they are.
    """
    least, fewest = (_BOX_IN_VOXELS / 2, 2 * _FEWEST_TO_HALVE) if rough else (_BOX_IN_VOXELS, _FEWEST_TO_HALVE)
    boxes = [width * h for width, h in zip(decoder.width, decoder.grid.spacing, strict=True)]
    smooth = [box >= 0.99 * least * 2 * h for box, h in zip(boxes, grid.spacing, strict=True)]
    return every_second(grid, [n >= fewest and even for n, even in zip(grid.shape, smooth, strict=True)])


def every_second(grid: Grid, axes: Sequence[bool]) -> Grid:
    """Every second voxel of `grid` along `axes`; the corners stay in place."""
    if not any(axes):
        return grid
    affine, shape = grid.affine.copy(), list(grid.shape)
    for axis, n in enumerate(grid.shape):
        if axes[axis]:
            shape[axis] = n // 2 + 1
            affine[:3, axis] *= (n - 1) / (n // 2)
    return Grid(cast(Triple, tuple(shape)), affine)


class ScreenMap(ABC):
    """A map over time of voxel indices of the reference, quick enough for a screen; inverted part by part.

    `step` (3,): voxels between the points of a slice that is evaluated for the screen.
    """

    def __init__(self, grid: Grid, step: Tensor) -> None:
        self.grid = grid
        self._step = step
        x, y, z = step.tolist()
        self._apart = (x, y, z)
        self._slices: Kept[tuple[object, ...], Tensor] = Kept(_SLICES_KEPT)

    @abstractmethod
    def forward(self, index: Tensor, t: float) -> Tensor:
        """phi_t of indices (...,3), exactly."""

    @abstractmethod
    def backward(self, index: Tensor, t: float) -> Tensor:
        """phi_t^-1 of indices (...,3)."""

    @abstractmethod
    def near(self, index: Tensor, t: float) -> Tensor:
        """phi_t of indices (...,3), as near as the screen shows it."""

    def near_on(self, axes: Sequence[Tensor], t: float) -> Tensor:
        """phi_t - id (3,I,J,K) of the voxels at `axes`, ascending and even, in voxels, for the screen.

        On about as many of them as the carrier has, with cubics in between, as in a fit: 0.01 voxel off on average
        where the motion is 2 (`bench/bench_screen.py`). Slices are kept: growth needs those on both sides of the one
        that is shown, and the next one shares two of them.
        """
        across = min(range(3), key=lambda axis: len(axes[axis]))
        if len(axes[across]) > _FEW_SLICES:
            return self._spread(axes, t).contiguous()
        along = [(float(a[0]), float(a[-1]), len(a), a.dtype) for axis, a in enumerate(axes) if axis != across]
        keys = [(t, across, place, *along) for place in axes[across].tolist()]
        slices = [self._slices.found(key) for key in keys]
        missing = [k for k, found in enumerate(slices) if found is None]
        if missing:
            wanted = [a[missing] if axis == across else a for axis, a in enumerate(axes)]
            for k, found in zip(missing, self._spread(wanted, t).unbind(across + 1), strict=True):
                slices[k] = self._slices.get(keys[k], found.contiguous)
        # in memory one slice after the other, whichever axis they lie along: kernels are slow along a short last one
        return torch.stack([found for found in slices if found is not None], 1).movedim(1, across + 1)

    def _spread(self, axes: Sequence[Tensor], t: float) -> Tensor:
        few = [self._thinned(axis, places) for axis, places in enumerate(axes)]
        u = self._drift(few, t)
        coarse, fine = [len(places) for places in few], [len(places) for places in axes]
        if coarse == fine:
            return u
        across = min(range(3), key=fine.__getitem__)  # first: the kernel is fast along a long last axis
        order = [across, *(axis for axis in range(3) if axis != across)]
        finer = _between(tuple(coarse[k] for k in order), tuple(fine[k] for k in order))
        return finer(u.movedim(across + 1, 1)).movedim(1, across + 1)

    def _drift(self, axes: Sequence[Tensor], t: float) -> Tensor:
        """`near` less the places themselves (3,I,J,K), of the voxels at `axes`."""
        start = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        return (self.near(start, t) - start).movedim(-1, 0)

    def _thinned(self, axis: int, places: Tensor) -> Tensor:
        """Evenly from the first to the last of `places`, as far apart as the carrier's voxels where they are closer."""
        first, last = float(places[0]), float(places[-1])
        m = max(math.ceil((last - first) / self._apart[axis]) + 1, _FEWEST_TO_HALVE // 2)
        return torch.linspace(first, last, m, dtype=places.dtype) if m < len(places) else places


class Flow(ScreenMap):
    """phi_t of voxel indices of the reference. `coefficients(t)` gives c(t) (3,a,b,c) in mm, zero at `clock.start`.

    `clock` None: phi_t = exp(W c(t)).
    """

    def __init__(self, decoder: Decoder, coefficients: Callable[[float], Tensor], clock: Clock | None) -> None:
        self.carrier = halved_grid(decoder.grid, decoder)
        steps = [max(n - 1, 1) / max(m - 1, 1) for n, m in zip(decoder.grid.shape, self.carrier.shape, strict=True)]
        super().__init__(decoder.grid, torch.tensor(steps, dtype=torch.float64))
        self._decode = Separable(decoder.matrices(self.carrier))
        self._to_voxel = torch.as_tensor(self.carrier.inverse_affine[:3, :3].copy(), dtype=torch.float32)
        self._curve, self._clock = coefficients, clock
        self._velocities: Kept[tuple[float, float], tuple[Tensor, float]] = Kept(_KEPT if clock else _EXPONENTIALS_KEPT)
        self._maps: dict[int, Tensor] = {0: torch.zeros(3, *self.carrier.shape)}

    def forward(self, index: Tensor, t: float) -> Tensor:
        """phi_t of indices (...,3), as exact as the velocities."""
        return self._run(index, [(pair, 1.0 * share) for pair, share in self._pieces(t)])

    def backward(self, index: Tensor, t: float) -> Tensor:
        """phi_t^-1 of indices (...,3): the pieces backwards."""
        return self._run(index, [(pair, -share) for pair, share in reversed(self._pieces(t))])

    def near(self, index: Tensor, t: float) -> Tensor:
        """phi_t for the screen: whole steps are read from maps kept on the carrier, and only the last is integrated."""
        pieces = self._pieces(t)
        if self._clock is None or len(pieces) < 2:
            return self._from_carrier(self._carried(self._on_carrier(index), pieces, _LONGEST_ON_SCREEN))
        whole = len(pieces) - (abs(pieces[-1][1]) < 1)
        moved = self._on_carrier(index)
        kept = self._map(whole if pieces[0][0][1] > pieces[0][0][0] else -whole).to(index.dtype)
        moved = moved + sample_at_index(kept, moved).movedim(0, -1)
        return self._from_carrier(self._carried(moved, pieces[whole:], _LONGEST_ON_SCREEN))

    def _drift(self, axes: Sequence[Tensor], t: float) -> Tensor:
        pieces = self._pieces(t)
        velocity, largest = self._velocity(pieces[0][0]) if len(pieces) == 1 else (None, 0.0)
        if velocity is None or not kernels.usable(velocity, *axes):
            return super()._drift(axes, t)
        share, (x, y, z) = pieces[0][1], (places.numpy() for places in axes)
        steps = _steps(largest * share, _LONGEST_ON_SCREEN)
        return torch.from_numpy(kernels.drift(velocity.numpy(), (x, y, z), self._apart, share, steps))

    def _run(self, index: Tensor, pieces: list[tuple[tuple[float, float], float]]) -> Tensor:
        return self._from_carrier(self._carried(self._on_carrier(index), pieces))

    def _carried(
        self, index: Tensor, pieces: list[tuple[tuple[float, float], float]], longest: float = _LONGEST_STEP
    ) -> Tensor:
        for pair, share in pieces:
            velocity, largest = self._velocity(pair)
            index = advected(velocity, index, share, _steps(largest * share, longest))
        return index

    def _pieces(self, t: float) -> list[tuple[tuple[float, float], float]]:
        """Between which times, and what share of it, for each piece from the start to t."""
        if self._clock is None:
            return [((math.nan, t), 1.0)]
        start, step = self._clock.start, self._clock.step
        steps = (t - start) / step
        whole = round(steps) if abs(steps - round(steps)) < 1e-9 else math.trunc(steps)
        towards = 1 if steps > 0 else -1
        nodes = [start + k * step for k in range(0, whole + 2 * towards, towards)]
        pieces = [((nodes[k], nodes[k + 1]), 1.0) for k in range(abs(whole))]
        part = abs(steps - whole)
        return [*pieces, ((nodes[-2], nodes[-1]), part)] if part > 1e-9 else pieces

    def _velocity(self, pair: tuple[float, float]) -> tuple[Tensor, float]:
        """The log-velocity of a piece (3,i,j,k) in voxels of the carrier, and its largest component; some are kept."""
        return self._velocities.get(pair, lambda: self._decoded(*pair))

    def _decoded(self, a: float, b: float) -> tuple[Tensor, float]:
        c = self._curve(b) if math.isnan(a) else self._curve(b) - self._curve(a)
        velocity = self._decode((self._to_voxel @ c.flatten(1)).reshape(c.shape))
        if kernels.usable(velocity):
            together, largest = kernels.side_by_side(velocity.numpy())
            return torch.from_numpy(together).movedim(-1, 0), largest
        return velocity, float(velocity.abs().max())

    def _map(self, k: int) -> Tensor:
        """Displacement of the carrier's voxels (3,i,j,k) after k whole steps, in its voxels."""
        if k not in self._maps:
            assert self._clock is not None
            before = self._map(k - 1 if k > 0 else k + 1)
            towards = 1 if k > 0 else -1
            times = [self._clock.start + n * self._clock.step for n in (k - towards, k)]
            still = self.carrier.indices().float()
            moved = self._carried(still + before.movedim(0, -1), [((times[0], times[1]), 1.0)])
            self._maps[k] = (moved - still).contiguous().movedim(-1, 0)
        return self._maps[k]

    def _on_carrier(self, index: Tensor) -> Tensor:
        return index / self._step.to(index.dtype)

    def _from_carrier(self, index: Tensor) -> Tensor:
        return index * self._step.to(index.dtype)


def _steps(distance: float, longest: float) -> int:
    """Runge-Kutta steps for voxels of the velocities' grid."""
    return max(1, math.ceil(abs(distance) / longest))


@lru_cache(maxsize=16)
def _between(coarse: tuple[int, ...], fine: tuple[int, ...]) -> Separable:
    x, y, z = (cubic_matrix(m, n) for m, n in zip(coarse, fine, strict=True))
    return Separable((x, y, z))


def advected(velocity: Tensor, index: Tensor, share: float, steps: int) -> Tensor:
    """Indices (...,3) after `share` of a unit of time in `velocity` (3,I,J,K), in classical Runge-Kutta steps."""
    points = index.reshape(-1, 3).contiguous()
    if kernels.usable(velocity) and kernels.usable(points):
        return torch.from_numpy(kernels.advect(velocity.numpy(), points.numpy(), share, steps)).reshape(index.shape)
    velocity, h = velocity.to(index.dtype), share / steps

    def at(where: Tensor) -> Tensor:
        return sample_at_index(velocity, where).movedim(0, -1)

    for _ in range(steps):
        a = at(points)
        b = at(points + h / 2 * a)
        c = at(points + h / 2 * b)
        d = at(points + h * c)
        points = points + h / 6 * (a + 2 * b + 2 * c + d)
    return points.reshape(index.shape)
