"""Particles carried by a stationary velocity field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal
from noder.kernels.sampling import _inside

Floats = NDArray[Any]
_WORTH_A_THREAD = 1024


def advect(velocity: Floats, start: Floats, duration: float, steps: int) -> Floats:
    """Where points `start` (N,3) are after `duration`, in `steps` classical Runge-Kutta steps.

    `velocity` (3,I,J,K) in voxels a unit of time, trilinear between voxels, constant beyond the border; float32 or
    float64, as the points.
    """
    out = np.empty_like(start)
    h = start.dtype.type(duration / steps)
    deal(len(start), lambda a, b: _advect(velocity, start, out, h, steps, a, b), _WORTH_A_THREAD)
    return out


@compiled
def _advect(velocity, start, out, h, steps, first, last):  # type: ignore[no-untyped-def]
    half, sixth = h * np.float32(0.5), h / np.float32(6)
    for n in range(first, last):
        x, y, z = start[n, 0], start[n, 1], start[n, 2]
        for _ in range(steps):
            a0, a1, a2 = _at(velocity, x, y, z)
            b0, b1, b2 = _at(velocity, x + half * a0, y + half * a1, z + half * a2)
            c0, c1, c2 = _at(velocity, x + half * b0, y + half * b1, z + half * b2)
            d0, d1, d2 = _at(velocity, x + h * c0, y + h * c1, z + h * c2)
            x += sixth * (a0 + b0 + b0 + c0 + c0 + d0)
            y += sixth * (a1 + b1 + b1 + c1 + c1 + d1)
            z += sixth * (a2 + b2 + b2 + c2 + c2 + d2)
        out[n, 0], out[n, 1], out[n, 2] = x, y, z


@compiled
def _at(velocity, x, y, z):  # type: ignore[no-untyped-def]
    _, ni, nj, nk = velocity.shape
    x = _inside(x, np.float32(ni - 1))
    y = _inside(y, np.float32(nj - 1))
    z = _inside(z, np.float32(nk - 1))
    i, j, k = int(x), int(y), int(z)
    i1, j1, k1 = min(i + 1, ni - 1), min(j + 1, nj - 1), min(k + 1, nk - 1)
    a, b, c = x - i, y - j, z - k
    return (
        _cell(velocity, 0, i, j, k, i1, j1, k1, a, b, c),
        _cell(velocity, 1, i, j, k, i1, j1, k1, a, b, c),
        _cell(velocity, 2, i, j, k, i1, j1, k1, a, b, c),
    )


@compiled
def _cell(v, m, i, j, k, i1, j1, k1, a, b, c):  # type: ignore[no-untyped-def]
    v00 = v[m, i, j, k] + c * (v[m, i, j, k1] - v[m, i, j, k])
    v01 = v[m, i, j1, k] + c * (v[m, i, j1, k1] - v[m, i, j1, k])
    v10 = v[m, i1, j, k] + c * (v[m, i1, j, k1] - v[m, i1, j, k])
    v11 = v[m, i1, j1, k] + c * (v[m, i1, j1, k1] - v[m, i1, j1, k])
    v0 = v00 + b * (v01 - v00)
    v1 = v10 + b * (v11 - v10)
    return v0 + a * (v1 - v0)
