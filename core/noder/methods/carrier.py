"""Maps carried on every second voxel and brought to the others by cubics (Keys 1981), with the way back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from noder.composition import Box
from noder.decoder import as_tensor
from noder.grid import Grid
from noder.separable import Separable, cubic_matrix


class Carrier:
    """Displacements on `carrier`, whose corners are those of `grid`, and the same on the voxels of `grid` in `box`.

    With `keeps` what `spread` gives stands until the next call.
    """

    def __init__(self, grid: Grid, carrier: Grid, *, box: Box | None = None, keeps: bool = False) -> None:
        self.grid = carrier
        self._finer: Separable | None = None
        if carrier is not grid or box is not None:
            rows = box or (slice(None),) * 3
            x, y, z = (cubic_matrix(m, n)[part] for m, n, part in zip(carrier.shape, grid.shape, rows, strict=True))
            self._finer = Separable((x, y, z), keeps=keeps)
        self._scale = as_tensor(np.divide(carrier.spacing, grid.spacing))[:, None, None, None]

    def to(self, device: torch.device) -> Carrier:
        """Move the matrices to `device`, in place."""
        self._finer, self._scale = self._finer and self._finer.to(device), self._scale.to(device)
        return self

    def spread(self, u: Tensor) -> Tensor:
        """u (3,i,j,k) in voxels of the carrier -> (3,I,J,K) in voxels of `grid`, in the box; outside of autograd."""
        return u.detach() if self._finer is None else self._finer(u.detach() * self._scale)

    def gathered(self, gradient: Tensor) -> Tensor:
        """The transpose of `spread`: a gradient (3,I,J,K) on the voxels of the box -> one on the carrier."""
        return gradient.detach() if self._finer is None else self._finer.transposed(gradient) * self._scale
