"""A matrix along each axis of a field and its transpose, on the CPU by the compiled kernel, elsewhere by products."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder import kernels
from noder.decoder import Matrices, apply_separable, apply_transposed, as_tensor
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


@lru_cache(maxsize=16)
def cubic_matrix(m: int, n: int) -> Tensor:
    """(n,m): cubic convolution (Keys 1981) from m nodes onto n, both spread evenly from the first to the last voxel.

    Beyond the ends the nodes go on in a line. Four nodes a voxel, where a spline would need all.
    """
    if m == n:
        return torch.eye(n)
    where = np.linspace(0, m - 1, n)
    first = np.minimum(where.astype(int), m - 2)
    s = where - first
    taps = [s * (s * (2 - s) - 1), s * s * (3 * s - 5) + 2, s * (s * (4 - 3 * s) + 1), s * s * (s - 1)]
    matrix, rows = np.zeros((n, m + 2)), np.arange(n)
    for tap, values in enumerate(taps):  # a node is one column further on: there is one before the first
        matrix[rows, first + tap] = values / 2
    for beyond, end, inner in ((0, 1, 2), (m + 1, m, m - 1)):
        matrix[:, end] += 2 * matrix[:, beyond]
        matrix[:, inner] -= matrix[:, beyond]
    return as_tensor(matrix[:, 1:-1])


def tent_matrix(n: int, m: int) -> Tensor:
    """(m,n): from n voxels to m places spread evenly from the first to the last, a tent as wide as they are apart.

    Linear interpolation where there are more places than voxels, and an average where there are fewer.
    """
    apart = max(1.0, (n - 1) / max(m - 1, 1))
    distance = np.abs(np.linspace(0, n - 1, m)[:, None] - np.arange(n)[None])
    weight = np.maximum(0.0, 1 - distance / apart)
    return as_tensor(weight / weight.sum(axis=1, keepdims=True))


def _compiled(field: Tensor) -> bool:
    return kernels.usable(field) and field.dtype == torch.float32
