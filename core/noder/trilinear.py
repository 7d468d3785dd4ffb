"""Trilinear sampling that can be differentiated as often as one likes; torch's own has no double backward in 3D."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor


def trilinear(volume: Tensor, index: Tensor) -> Tensor:
    """`volume` (C,I,J,K) at voxel indices (N,3) -> (N,C); beyond the border the border value goes on.

    Made of gathers and products alone, for the few points of a penalty on derivatives (NePhi's gradient inverse
    consistency, Tian et al. 2024, needs the derivative of a derivative); `noder.grid` samples whole images.
    """
    flat = volume.flatten(1)
    below, above, parts = [], [], []
    for axis, n in enumerate(volume.shape[1:]):
        at = index[:, axis].clamp(0, n - 1)
        first = at.detach().floor().long().clamp(max=max(n - 2, 0))
        below.append(first)
        above.append((first + 1).clamp(max=n - 1))
        parts.append(at - first)
    _, _, nj, nk = volume.shape
    where, weights = [], []
    for corner in product((0, 1), repeat=3):
        i, j, k = (above[axis] if end else below[axis] for axis, end in enumerate(corner))
        a, b, c = (parts[axis] if end else 1 - parts[axis] for axis, end in enumerate(corner))
        where.append((i * nj + j) * nk + k)
        weights.append(a * b * c)
    corners = flat.index_select(1, torch.cat(where)).reshape(len(flat), len(where), -1)
    return (corners * torch.stack(weights)).sum(1).T
