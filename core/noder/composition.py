"""Maps made of several displacements, one after the other: phi = phi_1 o phi_2 o ... (NePhi's stages and chains)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.decoder import SeparableDecoder, apply_separable, as_tensor
from noder.fields import invert_points, sample_displacement
from noder.flow import ScreenMap
from noder.grid import Grid
from noder.kept import Kept

Box = tuple[slice, slice, slice]
_INVERSE_TOLERANCE = 1e-3
"""Voxels within which an inverse is solved for."""
_FULL_KEPT = 4
_STRIDE = 2
"""For the screen displacements are decoded at every second voxel, as the carriers of flows are."""


class Displacement(Protocol):
    """One displacement over time: its coefficients, at just the nodes asked for."""

    @property
    def decoder(self) -> SeparableDecoder:
        """What makes a field of coefficients."""

    def is_still(self, t: float) -> bool:
        """Whether it is the identity at t."""

    def reach(self, axis: int, low: float, high: float) -> slice:
        """The nodes that voxels from `low` to `high` along an axis read."""

    def at(self, t: float, box: Box) -> Tensor:
        """Coefficients (3,a,b,c) at the nodes in `box`, in mm along RAS."""


class Composition(ScreenMap):
    """phi_t = phi_1t o phi_2t o ... of voxel indices of the reference; `parts` in that order, the first outermost."""

    def __init__(self, grid: Grid, parts: Sequence[Displacement]) -> None:
        super().__init__(grid, torch.full((3,), 2.0, dtype=torch.float64))
        self.parts = tuple(parts)
        self._to_voxel = torch.as_tensor(grid.inverse_affine[:3, :3].copy(), dtype=torch.float32)
        self._full: Kept[tuple[int, float], Tensor] = Kept(_FULL_KEPT)

    def forward(self, index: Tensor, t: float) -> Tensor:
        """phi_t of indices (...,3)."""
        for k in reversed(self._moving(t)):
            index = index + self._sampled(k, index, t)
        return index

    def near(self, index: Tensor, t: float) -> Tensor:
        """The same, linear between every second voxel."""
        for k in reversed(self._moving(t)):
            index = index + self._sampled(k, index, t, _STRIDE)
        return index

    def backward(self, index: Tensor, t: float) -> Tensor:
        """phi_t^-1 of indices (...,3): each displacement is solved for, from the outermost in."""
        for k in self._moving(t):
            u = self._whole(k, t).to(index.dtype)
            index = invert_points(lambda y, u=u: sample_displacement(u, y), index, _INVERSE_TOLERANCE)  # type: ignore[misc]
        return index

    def _moving(self, t: float) -> list[int]:
        return [k for k, part in enumerate(self.parts) if not part.is_still(t)]

    def _sampled(self, k: int, index: Tensor, t: float, stride: int = 1) -> Tensor:
        """Displacement k in voxels at indices (...,3), decoded in the box around them, every `stride` voxels."""
        flat = index.reshape(-1, 3)
        lasts = [n - 1 for n in self.grid.shape]
        low = [min(max(int(v), 0), last) for v, last in zip(flat.amin(0).floor().tolist(), lasts, strict=True)]
        high = [min(max(int(v), 0), last) for v, last in zip(flat.amax(0).ceil().tolist(), lasts, strict=True)]
        if stride == 1 and all(a <= 0 and b >= last for a, b, last in zip(low, high, lasts, strict=True)):
            return sample_displacement(self._whole(k, t).to(index.dtype), index)
        places = [np.linspace(a, b, -(-(b - a) // stride) + 1) for a, b in zip(low, high, strict=True)]
        u = self._decoded(k, t, places).to(index.dtype)
        first = torch.tensor([float(at[0]) for at in places], dtype=index.dtype)
        step = torch.tensor([float(at[1] - at[0]) if len(at) > 1 else 1.0 for at in places], dtype=index.dtype)
        return sample_displacement(u, (index - first) / step)

    def _whole(self, k: int, t: float) -> Tensor:
        return self._full.get((k, t), lambda: self._decoded(k, t, [np.arange(n, dtype=float) for n in self.grid.shape]))

    def _decoded(self, k: int, t: float, places: Sequence[NDArray[np.float64]]) -> Tensor:
        """Displacement k (3,i,j,k) at the voxel coordinates `places` along the axes, in voxels."""
        part = self.parts[k]
        x, y, z = (part.reach(axis, at[0], at[-1]) for axis, at in enumerate(places))
        c = part.at(t, (x, y, z))
        rows = [
            as_tensor(part.decoder.rows(axis, at)[:, nodes])
            for axis, (at, nodes) in enumerate(zip(places, (x, y, z), strict=True))
        ]
        u = apply_separable((rows[0], rows[1], rows[2]), c)
        return (self._to_voxel @ u.flatten(1)).reshape(u.shape)
