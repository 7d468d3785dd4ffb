"""Cubic B-splines through the voxels of an image, for what is written and scored."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from noder.grid import sample_at_index
from noder.kernels.deal import deal

_WORTH_A_THREAD = 20_000


class Spline:
    """An image (1,I,J,K) between its voxels: the cubic B-spline through them, kept inside the image's range.

    The border value goes on beyond the border, as in `sample_at_index` (Unser, IEEE Signal Processing Magazine 1999;
    computed by SciPy).
    """

    def __init__(self, volume: Tensor) -> None:
        self._volume = volume
        self._coefficients = ndimage.spline_filter(volume[0].numpy(), 3, np.float32, mode="mirror")
        self._low, self._high = float(volume.min()), float(volume.max())

    def at(self, index: Tensor) -> Tensor:
        """Values (1,...) at voxel indices (...,3), in their precision; the voxels themselves where all are whole."""
        if torch.equal(index, index.round()):
            return sample_at_index(self._volume.to(index.dtype), index)
        points = index.reshape(-1, 3).double().numpy().clip(0, np.array(self._volume.shape[1:]) - 1)
        found = np.empty(len(points))

        def fill(start: int, stop: int) -> None:
            where = np.ascontiguousarray(points[start:stop].T)
            ndimage.map_coordinates(self._coefficients, where, found[start:stop], 3, "mirror", prefilter=False)

        deal(len(points), fill, _WORTH_A_THREAD)
        values = torch.from_numpy(found.clip(self._low, self._high))
        return values.to(index.dtype).reshape(1, *index.shape[:-1])
