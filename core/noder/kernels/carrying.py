"""What the screen shows of a map at once: where the points of a lattice go, and what scans look like there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.advection import runge_kutta
from noder.kernels.deal import compiled, deal
from noder.kernels.sampling import cell_at, linear

Floats = NDArray[Any]
Lattice = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Coordinates along each axis."""
_WORTH_A_THREAD = 16
_NOWHERE = np.zeros((2, 2, 2, 3), np.float32).transpose(3, 0, 1, 2), (1, 1, 1)
"""In the order of what `side_by_side` gives: another would be compiled for itself."""


def drift(velocity: Floats, lattice: Lattice, apart: tuple[float, float, float], duration: float, steps: int) -> Floats:
    """phi(x) - x (3,I,J,K) of the points of a lattice, as `advect` moves them; float32.

    `velocity` (3,i,j,k) in its own voxels a unit of time, which lie `apart` as the lattice counts.
    """
    out = np.empty((3, *(len(axis) for axis in lattice)), np.float32)
    h = np.float32(duration / steps)
    px, py, pz = (np.float32(side) for side in apart)
    rows = out.shape[1] * out.shape[2]
    deal(rows, lambda a, b: _drift(velocity, *lattice, px, py, pz, h, steps, out, a, b), _WORTH_A_THREAD)
    return out


def add_carried(
    out: Floats,
    scan: Floats,
    lattice: Lattice,
    u: Floats,
    back: tuple[Floats, tuple[int, int, int]] | None,
    gain: float,
    offset: float,
) -> None:
    """Add gain * scan + offset at y to `out` (I,J,K), in place: y = x + u(x) on a lattice, u (3,I,J,K) in voxels.

    With `back`, a displacement (3,i,j,k) in voxels on every so many voxels, further y + back(y). `scan` (i,j,k); linear
    between voxels, float32.
    """
    inverse, stride = back or _NOWHERE
    sx, sy, sz = (np.float32(side) for side in stride)
    returns = back is not None
    given = (scan[None], *lattice, u, returns, inverse, sx, sy, sz, np.float32(gain), np.float32(offset), out)
    deal(out.shape[0] * out.shape[1], lambda a, b: _add_carried(*given, a, b), _WORTH_A_THREAD)


def side_by_side(field: Floats) -> tuple[Floats, float]:
    """(3,I,J,K) as (I,J,K,3), so that a point touches a third of the cache lines, and the largest component of all."""
    out = np.empty((*field.shape[1:], 3), field.dtype)
    largest = np.zeros(field.shape[1], field.dtype)
    deal(field.shape[1], lambda a, b: _side_by_side(field, out, largest, a, b))
    return out, float(largest.max())


@compiled
def _drift(velocity, xs, ys, zs, px, py, pz, h, steps, out, start, stop):  # type: ignore[no-untyped-def]
    _, _, nj, nk = out.shape
    for row in range(start, stop):
        i, j = row // nj, row % nj
        for k in range(nk):
            x, y, z = xs[i] / px, ys[j] / py, zs[k] / pz
            x1, y1, z1 = runge_kutta(velocity, x, y, z, h, steps)
            out[0, i, j, k], out[1, i, j, k], out[2, i, j, k] = (x1 - x) * px, (y1 - y) * py, (z1 - z) * pz


@compiled
def _add_carried(scan, xs, ys, zs, u, returns, back, sx, sy, sz, gain, offset, out, start, stop):  # type: ignore[no-untyped-def]
    _, nj, nk = out.shape
    half, one = np.float32(0.5), np.float32(1)
    hx, hy, hz = half * (sx - one), half * (sy - one), half * (sz - one)
    for row in range(start, stop):
        i, j = row // nj, row % nj
        for k in range(nk):
            x, y, z = xs[i] + u[0, i, j, k], ys[j] + u[1, i, j, k], zs[k] + u[2, i, j, k]
            if returns:
                i0, j0, k0, i1, j1, k1, a, b, c = cell_at(back, (x - hx) / sx, (y - hy) / sy, (z - hz) / sz)
                x += linear(back, 0, i0, j0, k0, i1, j1, k1, a, b, c)
                y += linear(back, 1, i0, j0, k0, i1, j1, k1, a, b, c)
                z += linear(back, 2, i0, j0, k0, i1, j1, k1, a, b, c)
            i0, j0, k0, i1, j1, k1, a, b, c = cell_at(scan, x, y, z)
            out[i, j, k] += gain * linear(scan, 0, i0, j0, k0, i1, j1, k1, a, b, c) + offset


@compiled
def _side_by_side(field, out, largest, start, stop):  # type: ignore[no-untyped-def]
    _, _, nj, nk = field.shape
    for i in range(start, stop):
        most = largest[i]
        for j in range(nj):
            for k in range(nk):
                for m in range(3):
                    value = field[m, i, j, k]
                    out[i, j, k, m] = value
                    most = max(most, abs(value))
        largest[i] = most
