"""Particles carried by a stationary velocity field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal
from noder.kernels.sampling import cell_at, linear

Floats = NDArray[Any]
_WORTH_A_THREAD = 1024


def advect(velocity: Floats, start: Floats, duration: float, steps: int) -> Floats:
    """Where points `start` (N,3) are after `duration`, in `steps` classical Runge-Kutta steps.

    `velocity` (3,I,J,K) in voxels a unit of time, trilinear between voxels, constant beyond the border; float32 or
    float64, as the points or less exact.
    """
    out = np.empty_like(start)
    h = start.dtype.type(duration / steps)
    deal(len(start), lambda a, b: _advect(velocity, start, out, h, steps, a, b), _WORTH_A_THREAD)
    return out


@compiled
def _advect(velocity, start, out, h, steps, first, last):  # type: ignore[no-untyped-def]
    for n in range(first, last):
        out[n, 0], out[n, 1], out[n, 2] = runge_kutta(velocity, start[n, 0], start[n, 1], start[n, 2], h, steps)


@compiled
def runge_kutta(velocity, x, y, z, h, steps):  # type: ignore[no-untyped-def]
    """A point after `steps` classical steps of h."""
    half, sixth = h * np.float32(0.5), h / np.float32(6)
    for _ in range(steps):
        a0, a1, a2 = _at(velocity, x, y, z)
        b0, b1, b2 = _at(velocity, x + half * a0, y + half * a1, z + half * a2)
        c0, c1, c2 = _at(velocity, x + half * b0, y + half * b1, z + half * b2)
        d0, d1, d2 = _at(velocity, x + h * c0, y + h * c1, z + h * c2)
        x += sixth * (a0 + b0 + b0 + c0 + c0 + d0)
        y += sixth * (a1 + b1 + b1 + c1 + c1 + d1)
        z += sixth * (a2 + b2 + b2 + c2 + c2 + d2)
    return x, y, z


@compiled
def _at(velocity, x, y, z):  # type: ignore[no-untyped-def]
    i, j, k, i1, j1, k1, a, b, c = cell_at(velocity, x, y, z)
    return (
        linear(velocity, 0, i, j, k, i1, j1, k1, a, b, c),
        linear(velocity, 1, i, j, k, i1, j1, k1, a, b, c),
        linear(velocity, 2, i, j, k, i1, j1, k1, a, b, c),
    )
