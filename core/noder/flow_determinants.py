"""Determinants of maps that are carried by velocities, on the voxels of a slice or a volume."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from noder.fields import central_determinant, determinant
from noder.flow import ScreenMap
from noder.grid import Grid


def determinant_near(flow: ScreenMap, grid: Grid, axes: Sequence[Tensor], t: float) -> Tensor:
    """det D phi_t (I,J,K) of the voxels at `axes`, by differences between the places themselves, for the screen.

    A single plane is given its neighbours.
    """
    around = [
        torch.cat([at - 1, at, at + 1]).clamp(0, n - 1).unique().float() if len(at) == 1 else at.float()
        for at, n in zip(axes, grid.shape, strict=True)
    ]
    dx, dy, dz = (float(at[-1] - at[0]) / max(len(at) - 1, 1) or 1.0 for at in around)
    firsts = [int((wider - at[0]).abs().argmin()) for wider, at in zip(around, axes, strict=True)]
    i, j, k = (slice(first, first + len(at)) for first, at in zip(firsts, axes, strict=True))
    return central_determinant(flow.near_on(around, t), (dx, dy, dz), (i, j, k))


def determinant_around(flow: ScreenMap, grid: Grid, axes: Sequence[Tensor], t: float) -> Tensor:
    """det D phi_t (I,J,K) of the voxels at `axes`, by central differences over a voxel to each side, exactly.

    One-sided at the border.
    """
    columns = []
    for axis, n in enumerate(grid.shape):
        ends = []
        for side in (1, -1):
            moved = [a + side if k == axis else a for k, a in enumerate(axes)]
            moved[axis] = moved[axis].clamp(0, n - 1)
            index = torch.stack(torch.meshgrid(*moved, indexing="ij"), dim=-1).float()
            ends.append((flow.forward(index, t) - index, index))
        (ahead, at_ahead), (behind, at_behind) = ends
        apart = (at_ahead - at_behind)[..., axis].clamp(min=1e-9)
        columns.append(((ahead - behind) / apart[..., None]).movedim(-1, 0))
    return determinant(columns)
