"""What is done to scans before a fit: the mask to compare them in, and one gain and offset each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu
from torch import Tensor

from noder.alignment import Alignment
from noder.errors import InputError
from noder.grid import Grid
from noder.image import Image

Volume = NDArray[np.float32]
Mask = NDArray[np.bool_]

_SMOOTHING_VOXELS = 2.0
_MARGIN_VOXELS = 5


@dataclass(frozen=True)
class Gain:
    """matched = gain * image + offset."""

    gain: float = 1.0
    offset: float = 0.0

    def __call__(self, volume: Tensor) -> Tensor:
        """The matched image."""
        return volume if self == Gain() else volume * self.gain + self.offset


UNMATCHED = Gain()


def match(volume: Volume, carried: Volume, mask: Mask) -> Gain:
    """The gain and offset that give `volume` the mean and standard deviation of the `carried` reference in the mask.

    The reference is first carried to the scan's time: two scans that differ in anatomy alone have different moments
    (a heart that empties shows less bright blood), and that is no change of gain. Moments, not a regression voxel by
    voxel: noise would pull a regression's gain towards 0.
    """
    moving, fixed = volume[mask], carried[mask]
    spread = float(moving.std(dtype=np.float64))
    gain = float(fixed.std(dtype=np.float64)) / spread if spread > 0 else 1.0
    return Gain(gain, float(fixed.mean(dtype=np.float64)) - gain * float(moving.mean(dtype=np.float64)))


def standardised(volume: Volume, mask: Mask, name: str = "the scan") -> Tensor:
    """(1,I,J,K) with mean 0 and standard deviation 1 in the mask. Raises InputError for a constant image."""
    inside = volume[mask]
    spread = float(inside.std(dtype=np.float64))
    if not spread > 0:
        raise InputError(
            f"Every voxel of {name} in the mask has the value {float(inside[0]):g}: there is nothing to align. "
            "Check the file, or give a mask that covers the anatomy."
        )
    return torch.from_numpy((volume - np.float32(inside.mean(dtype=np.float64))) / np.float32(spread))[None]


def foreground(volumes: Sequence[Volume], grid: Grid) -> Mask:
    """(I,J,K): where the mean of the scans is not background, with a margin of five voxels of the finest axis.

    The threshold is a third of Otsu's over the darkest value: lenient, because a mask that cuts anatomy hides its
    motion, while some air costs little.
    """
    mean = _mean(volumes)
    smooth = ndimage.gaussian_filter(mean, [_SMOOTHING_VOXELS * min(grid.spacing) / h for h in grid.spacing])
    darkest = float(np.percentile(smooth, 0.5))
    if float(smooth.max()) <= darkest:
        return np.ones(mean.shape, dtype=bool)
    bright = smooth > darkest + (float(threshold_otsu(smooth)) - darkest) / 3
    return _widened(bright, _MARGIN_VOXELS * min(grid.spacing), grid)


def _widened(bright: Mask, margin_mm: float, grid: Grid) -> Mask:
    """Voxels within the margin of a bright one; looked for in their box alone, as it takes 50 bytes a voxel."""
    box = []
    for axis, h in enumerate(grid.spacing):
        (where,) = np.nonzero(bright.any(axis=tuple(other for other in range(3) if other != axis)))
        reach = int(np.ceil(margin_mm / h)) + 1
        box.append(slice(max(0, where[0] - reach), where[-1] + reach + 1))
    inside = tuple(box)
    mask: Mask = np.zeros(bright.shape, dtype=bool)
    mask[inside] = ndimage.distance_transform_edt(~bright[inside], sampling=grid.spacing) <= margin_mm
    return mask


def _mean(volumes: Sequence[Volume]) -> Volume:
    """One after another: stacked first, a series would lie in memory twice."""
    total = np.array(volumes[0], dtype=np.float32)
    for volume in volumes[1:]:
        total += volume
    return total / np.float32(len(volumes))


def read_mask(path: Path, grid: Grid) -> tuple[Mask, tuple[str, ...]]:
    """The non-zero voxels of a mask file on `grid`, resampled by nearest neighbour where its grid differs, and notes.

    Raises InputError for an unreadable or empty mask.
    """
    values, notes = read_on_grid(path, grid)
    mask: Mask = values != 0
    if not mask.any():
        raise InputError(f"{path.name} holds only zeros on the scans' grid. Give another mask, or none.")
    return mask, notes


def read_on_grid(
    path: Path, grid: Grid, volume: int | None = None, alignment: Alignment | None = None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """A label map or mask (I,J,K) on `grid`, by nearest neighbour where its grid differs, and notes.

    `alignment` is that of the scan it was drawn on, which it follows.
    """
    image = Image.open(path, volume)
    if alignment is None and image.grid.matches(grid):
        return image.numpy(), ()
    points = grid.points()
    if alignment is not None:
        matrix = torch.as_tensor(alignment.matrix.copy(), dtype=points.dtype)
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
    moved = image.grid.sample(image.tensor(), points, outside="zero", nearest=True)
    return moved[0].numpy(), (f"{path.name} lies on another grid than the scans and was resampled (nearest voxel).",)
