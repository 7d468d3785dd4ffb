"""Pairs of images with a known deformation between them, to learn registration from.

Shapes and contrasts are random, as in SynthMorph (Hoffmann et al., IEEE TMI 2022), so that what is learned belongs to
no organ and no scanner; given images are used in the same way. The deformation is phi = exp(v) of a smooth random
velocity, so that its inverse exp(-v) is known as well. All on one cube, lengths in its voxels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Generator, Tensor

from noder.decoder import apply_separable
from noder.grid import Triple, sample_at_index
from noder.separable import cubic_matrix, tent_matrix
from noder.similarity import window_means

AMPLITUDES = (0.3, 5.0)
"""Mean displacement in voxels of a cube of 65; log-uniform between them."""

_SQUARINGS = 6
_CELLS = (1, 6)
"""Cells along an edge of the noise that velocities are made of."""

_STEEPEST = 0.35
"""Mean displacement for each voxel of a cell: rough deformations are small."""

_REDRAWN = 0.25
"""Part of the pairs of shapes whose images have other contrasts."""

_THICK, _ALIKE = 0.2, 0.8
"""Part of the images with thick slices, and of the pairs that are alike in them."""

_SHAPES, _SHAPE_CELLS, _TEXTURE_CELLS = (3, 16), (4, 18), (10, 30)


@dataclass(frozen=True, eq=False)
class KnownPair:
    """Images (1,n,n,n) with mean 0 and standard deviation 1 in the foreground, `forward` and `inverse` (3,n,n,n).

    moving(x + forward(x)) shows what fixed(x) shows, and fixed(y + inverse(y)) what moving(y) does.
    """

    moving: Tensor
    fixed: Tensor
    forward: Tensor
    inverse: Tensor


def known_pair(edge: int, given: Sequence[Tensor], part_given: float, chance: Generator) -> KnownPair:
    """A random pair on a cube of `edge` voxels; `part_given` of them are made from one of the `given` (1,n,n,n)."""
    u, v = random_deformation(edge, chance)
    ours, theirs, mask = _given(given, chance) if given and _draw(chance) < part_given else _shapes(edge, chance)
    moved = warped(torch.cat([theirs, mask]), u)
    look = _Look(chance)
    fixed = _Look(chance, near=look).of(moved[:1], moved[1:], chance)
    return KnownPair(look.of(ours, mask, chance), fixed, u, v)


def random_deformation(edge: int, chance: Generator) -> tuple[Tensor, Tensor]:
    """exp(v) - id and exp(-v) - id, (3,n,n,n) in voxels."""
    cells = _between(chance, *_CELLS)
    size = math.exp(_uniform(chance, math.log(AMPLITUDES[0]), math.log(AMPLITUDES[1]))) * (edge - 1) / 64
    v = smooth_noise(3, edge, cells, chance) + 0.3 * smooth_noise(3, edge, 2 * cells, chance)
    v = v * (min(size, _STEEPEST * edge / cells) / v.square().sum(0).sqrt().mean())
    if _draw(chance) < 0.5:
        v = v + _linear_velocity(edge, chance)
    return _exponential(v), _exponential(-v)


def smooth_noise(channels: int, edge: int, cells: int, chance: Generator) -> Tensor:
    """Noise (channels,n,n,n) with unit variance, smooth over a cell."""
    matrix = cubic_matrix(cells + 1, edge)
    noise = apply_separable((matrix, matrix, matrix), torch.randn((channels, *(cells + 1,) * 3), generator=chance))
    scaled: Tensor = noise / noise.std().clamp(min=1e-6)
    return scaled


def warped(image: Tensor, u: Tensor) -> Tensor:
    """`image` (C,I,J,K) at x + u(x)."""
    return sample_at_index(image, (_indices(cast(Triple, tuple(u.shape[1:]))) + u).movedim(0, -1))


class _Look:
    """How an image was taken: contrast curve, shading, noise, and thick slices; `near`: by the same kind of machine."""

    def __init__(self, chance: Generator, near: _Look | None = None) -> None:
        self.gamma: float = _uniform(chance, -0.4, 0.4) if near is None else near.gamma + _uniform(chance, -0.1, 0.1)
        self.shading = _uniform(chance, 0, 0.25)
        self.noise = _uniform(chance, 0, 0.1)
        self.axis = _between(chance, 0, 2)
        self.thick = _between(chance, 2, 4) if _draw(chance) < _THICK else 1
        if near is not None and _draw(chance) < _ALIKE:
            self.axis, self.thick = near.axis, near.thick

    def of(self, scene: Tensor, mask: Tensor, chance: Generator) -> Tensor:
        """The image (1,n,n,n) of a scene."""
        low, high = scene.amin(), scene.amax()
        unit = ((scene - low) / (high - low).clamp(min=1e-6)) ** math.exp(self.gamma)
        unit = unit * (1 + self.shading * smooth_noise(1, scene.shape[-1], 2, chance)) * mask
        unit = self._sliced(unit)
        spread = unit.std().clamp(min=1e-6)
        return standard(unit + self.noise * spread * torch.randn(unit.shape, generator=chance), mask)

    def _sliced(self, values: Tensor) -> Tensor:
        if self.thick == 1:
            return values
        edge = values.shape[-1]
        slices = (edge - 1) // self.thick + 1
        through = tent_matrix(slices, edge) @ tent_matrix(edge, slices)
        blurred: Tensor = torch.tensordot(values, through, dims=([self.axis + 1], [1])).movedim(-1, self.axis + 1)
        return blurred


def standard(image: Tensor, mask: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 where `mask` is over a half."""
    inside = image[mask > 0.5]
    if len(inside) < 2:
        inside = image.flatten()
    return (image - inside.mean()) / inside.std().clamp(min=1e-6)


def _given(images: Sequence[Tensor], chance: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """One of the images (1,n,n,n) in one of its 48 positions, twice, and a mask of all of it."""
    image = images[_between(chance, 0, len(images) - 1)]
    turned = image.permute(0, *(1 + torch.randperm(3, generator=chance)).tolist())
    turned = turned.flip([axis + 1 for axis in range(3) if _draw(chance) < 0.5])
    return turned, turned, torch.ones_like(image)


def _shapes(edge: int, chance: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Random tissues (1,n,n,n), the same or in other colours; and the body that they lie in, often with air around."""
    count = _between(chance, *_SHAPES)
    tissue = smooth_noise(count, edge, _between(chance, *_SHAPE_CELLS), chance).argmax(0)
    colours = torch.randn(2, count, generator=chance)
    texture = _uniform(chance, 0.1, 1.0) * smooth_noise(1, edge, _between(chance, *_TEXTURE_CELLS), chance)
    soft = window_means(edge, 3, texture.device)
    scenes = apply_separable((soft, soft, soft), colours[:, tissue]) + texture
    mask = torch.ones(1, edge, edge, edge)
    if _draw(chance) < 0.6:
        axes = torch.linspace(-1, 1, edge)
        x, y, z = torch.meshgrid(axes, axes, axes, indexing="ij")
        a, b, c = (_uniform(chance, 0.6, 1.0) for _ in range(3))
        bumps = 0.15 * smooth_noise(1, edge, 4, chance)
        mask = ((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2 + bumps < 1).float()
    return scenes[:1], scenes[1:] if _draw(chance) < _REDRAWN else scenes[:1], mask


def _exponential(v: Tensor) -> Tensor:
    """exp(v) - id by scaling and squaring, (3,n,n,n)."""
    edge = v.shape[-1]
    half, whole = (edge + 1) // 2, v
    if edge % 2:
        whole = v[:, ::2, ::2, ::2] / 2
    u: Tensor = whole / 2**_SQUARINGS
    for _ in range(_SQUARINGS):
        u = u + warped(u, u)
    if edge % 2 == 0:
        return u
    finer = cubic_matrix(half, edge)
    found: Tensor = 2 * apply_separable((finer, finer, finer), u)
    return found


def _linear_velocity(edge: int, chance: Generator) -> Tensor:
    """What an alignment before may leave: a little of rotation, growth and shift."""
    centre = (edge - 1) / 2
    matrix = 0.06 * torch.randn(3, 3, generator=chance)
    shift = 0.03 * edge * torch.randn(3, generator=chance)
    index = _indices((edge, edge, edge)) - centre
    v: Tensor = torch.einsum("ab,bijk->aijk", matrix, index) + shift[:, None, None, None]
    return v


def _indices(shape: Triple) -> Tensor:
    axes = [torch.arange(n, dtype=torch.float32) for n in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def _draw(chance: Generator) -> float:
    return float(torch.rand((), generator=chance))


def _uniform(chance: Generator, low: float, high: float) -> float:
    return low + (high - low) * _draw(chance)


def _between(chance: Generator, low: int, high: int) -> int:
    """A whole number, both ends included."""
    return int(torch.randint(low, high + 1, (), generator=chance))
