"""A matrix along each axis of a field and its transpose, on the CPU by the compiled kernel, elsewhere by products."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder import kernels
from noder.decoder import Matrices, apply_separable, apply_transposed
from noder.kernels import Banded


class Separable:
    """Fields (C,a,b,c) -> (C,I,J,K), outside of autograd: `transposed` takes gradients back.

    With `keeps` all results share one array and stand until the next call: a fresh one costs as much as filling it.
    """

    def __init__(self, matrices: Matrices, *, keeps: bool = False) -> None:
        x, y, z = (Banded.of(m.cpu().numpy()) for m in matrices)
        self._matrices, self._bands = matrices, (x, y, z)
        self._keeps = keeps
        self._room: NDArray[np.float32] | None = None

    def to(self, device: torch.device) -> Separable:
        """Move the matrices to `device`, in place."""
        x, y, z = (m.to(device) for m in self._matrices)
        self._matrices = (x, y, z)
        return self

    def __call__(self, field: Tensor) -> Tensor:
        """The matrices on `field`."""
        field = field.detach()
        if not _compiled(field):
            return apply_separable(self._matrices, field)
        room = self._room if self._room is not None and len(self._room) == len(field) else None
        out = kernels.apply_banded(self._bands, field.contiguous().numpy(), room)
        self._room = out if self._keeps else None
        return torch.from_numpy(out)

    def transposed(self, field: Tensor) -> Tensor:
        """(C,I,J,K) -> (C,a,b,c): the transpose."""
        field = field.detach()
        if not _compiled(field):
            return apply_transposed(self._matrices, field)
        x, y, z = (band.transposed for band in self._bands)
        return torch.from_numpy(kernels.apply_banded((x, y, z), field.contiguous().numpy()))


def _compiled(field: Tensor) -> bool:
    return kernels.usable(field) and field.dtype == torch.float32
