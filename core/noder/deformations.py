"""Deformations to learn from: those between pairs of images, and random smooth ones, all of them diffeomorphic.

    u = exp(W c) - id

c is what the registration of the geodesic baseline finds for a pair, a mixture of two such, or smooth noise. Scaled to
a mean displacement it stays a diffeomorphism, because the log-velocity is what is scaled.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator as Chance
from scipy import ndimage
from torch import Tensor

from noder.errors import InputError
from noder.grid import Grid, Triple, block_mean
from noder.image import Image
from noder.methods.settings import decoder_of
from noder.methods.svf import Exponential, Registration, SvfSettings
from noder.preprocess import Mask, Volume, foreground, standardised

Pair = tuple[int, int]
SMALLEST_AXIS = 16
AMPLITUDES = (0.5, 6.0)
"""Mean displacement in the mask, in voxels."""

_SCALES = (1.0, 4.0)
"""Standard deviation of the smoothing of random control points, in control points."""

_LARGEST_PER_SCALE = 2.0
"""Mean voxels that a field may move for each control point of its smoothing: rough fields are small."""

_FROM_PAIRS = 0.75
_SETTINGS = SvfSettings(coarse_iterations=30, middle_iterations=40, fine_iterations=15)
_HELD_OUT_EVERY = 5


@dataclass(frozen=True, eq=False)
class Subjects:
    """Images on one grid: `volumes` (I,J,K), `names`, and the foreground of all as `mask`."""

    grid: Grid
    volumes: tuple[Volume, ...]
    names: tuple[str, ...]
    mask: Mask

    @classmethod
    def open(cls, paths: Sequence[Path], voxel_mm: float) -> Subjects:
        """Block means of about `voxel_mm`, on the grid of the first, their centres of mass brought onto its.

        Raises InputError for unusable files, one image alone, or too few voxels left.
        """
        if len(paths) < 2:
            raise InputError("Deformations are found between images of different subjects: give two images or more.")
        images = [Image.open(path) for path in paths]
        coarse = [_coarse(image, voxel_mm) for image in images]
        grid, first = coarse[0]
        if min(grid.shape) < SMALLEST_AXIS:
            raise InputError(
                f"{images[0].name} has {' x '.join(map(str, grid.shape))} voxels of about {voxel_mm:g} mm; at least "
                f"{SMALLEST_AXIS} are needed along each axis. Choose a smaller --voxel."
            )
        centre = _centre(grid, first[0].numpy())
        points, volumes = grid.points(), [first[0].numpy()]
        for its_grid, volume in coarse[1:]:
            shift = torch.as_tensor(_centre(its_grid, volume[0].numpy()) - centre)
            volumes.append(its_grid.sample(volume, points + shift)[0].numpy())
        return cls(grid, tuple(volumes), tuple(image.name for image in images), foreground(volumes, grid))


@dataclass(frozen=True)
class PairFound:
    """A step of `find_pairs`: which pair, how many of all are done, and the similarity loss that is left."""

    pair: Pair
    done: int
    total: int
    residual: float


def chosen_pairs(n_images: int, count: int, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Ordered pairs to learn from, and to judge by: both directions of every fifth pair are held out.

    `count` limits the pairs, both directions counting as one; of two images nothing is held out.
    """
    every = list(combinations(range(n_images), 2))
    if count < len(every):
        every = [every[k] for k in sorted(np.random.default_rng(seed).permutation(len(every))[:count])]
    held = every[::_HELD_OUT_EVERY] if len(every) > 1 else []
    both = [[*group, *((b, a) for a, b in group)] for group in ([p for p in every if p not in held], held)]
    return both[0], both[1]


def find_pairs(
    subjects: Subjects, pairs: Sequence[Pair], device: torch.device
) -> Generator[PairFound, None, dict[Pair, Tensor]]:
    """Register the second image of each pair onto the first; returns the coefficients c of each, on the CPU."""
    found: dict[Pair, Tensor] = {}
    decoder = decoder_of(subjects.grid, _SETTINGS)
    for k, (fixed, moving) in enumerate(pairs, start=1):
        mask = foreground([subjects.volumes[fixed], subjects.volumes[moving]], subjects.grid)
        images = [standardised(subjects.volumes[i], mask, subjects.names[i]).to(device) for i in (fixed, moving)]
        registration = Registration(
            images[0], images[1], torch.from_numpy(mask).to(device), subjects.grid, decoder, _SETTINGS
        )
        for _ in registration.run():
            pass
        found[fixed, moving] = registration.coefficients.detach().cpu()
        yield PairFound((fixed, moving), k, len(pairs), registration.residual)
    return found


class Deformations:
    """Draws fields (3,I,J,K) in voxels of the subjects' grid; `found` are coefficients of registered pairs."""

    def __init__(self, subjects: Subjects, found: dict[Pair, Tensor], device: torch.device) -> None:
        self.found = list(found.values())
        self.device = device
        decoder = decoder_of(subjects.grid, _SETTINGS)
        self._shape = decoder.shape
        self._exponential = Exponential(decoder, subjects.grid, halved=True).to(device)
        self._mask = torch.from_numpy(subjects.mask).to(device)

    def draw(self, chance: Chance) -> Tensor:
        """A field to learn from: a mixture of two pairs with some noise, or smooth noise alone."""
        amplitude = float(np.exp(chance.uniform(*np.log(AMPLITUDES))))
        scale, noise = self._noise(chance)
        if not self.found or chance.random() > _FROM_PAIRS:
            return self._scaled(noise, min(amplitude, _LARGEST_PER_SCALE * scale))
        a, b = (self.found[k] for k in chance.integers(len(self.found), size=2))
        share = chance.uniform(0, 0.5)
        c = (1 - share) * a + share * b
        return self._scaled(c + 0.2 * chance.random() * float(c.square().mean().sqrt()) * noise, amplitude)

    def of_pair(self, number: int, amplitude: float) -> Tensor:
        """The deformation of one pair, at this mean displacement in voxels."""
        return self._scaled(self.found[number], amplitude, corrections=2)

    def random(self, chance: Chance, amplitude: float) -> Tensor:
        """Smooth noise of this mean displacement in voxels."""
        scale, noise = self._noise(chance)
        while _LARGEST_PER_SCALE * scale < amplitude:
            scale, noise = self._noise(chance)
        return self._scaled(noise, amplitude, corrections=2)

    def error(self, found: Tensor, truth: Tensor) -> float:
        """Mean length of the difference in the mask, in voxels."""
        return self._mean(found.to(self.device) - truth)

    def _noise(self, chance: Chance) -> tuple[float, Tensor]:
        """Smoothing in control points, and control points (3,a,b,c) of unit root mean square."""
        scale = float(np.exp(chance.uniform(*np.log(_SCALES))))
        c = ndimage.gaussian_filter(chance.standard_normal((3, *self._shape)), (0, scale, scale, scale), mode="nearest")
        return scale, torch.from_numpy(c / np.sqrt(np.square(c).mean())).float()

    def _scaled(self, c: Tensor, amplitude: float, corrections: int = 0) -> Tensor:
        """exp(s W c) - id with s such that its mean displacement is about `amplitude`; nearer with each correction."""
        c = c.to(self.device)
        c = c * (amplitude / self._mean(self._exponential.spread(self._exponential.velocity(c))))
        u = self._exponential(c)
        for _ in range(corrections):
            c = c * (amplitude / self._mean(u))
            u = self._exponential(c)
        return u

    def _mean(self, u: Tensor) -> float:
        return float(u.norm(dim=0)[self._mask].double().mean())


def _coarse(image: Image, voxel_mm: float) -> tuple[Grid, Tensor]:
    factors = tuple(max(1, round(voxel_mm / h)) for h in image.grid.spacing)
    grid, volume = image.grid.coarsen(_triple(factors)), block_mean(image.tensor(), _triple(factors))
    image.release()
    return grid, volume


def _centre(grid: Grid, volume: Volume) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """RAS mm of the foreground's centre of mass."""
    weight = np.where(foreground([volume], grid), volume - volume.min(), 0)
    index = np.array(ndimage.center_of_mass(weight), dtype=np.float64)
    centre: np.ndarray[tuple[int], np.dtype[np.float64]] = grid.to_mm(index)
    return centre


def _triple(values: tuple[int, ...]) -> Triple:
    x, y, z = values
    return x, y, z
