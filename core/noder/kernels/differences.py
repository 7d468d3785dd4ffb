"""Determinants of x + u(x) by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal

Floats = NDArray[Any]


def determinant(u: Floats, steps: tuple[float, float, float], box: tuple[slice, slice, slice]) -> Floats:
    """det(I + Du) (i,j,k) in `box`, u (3,I,J,K) of any strides on planes `steps` apart; one-sided at the border."""
    first = tuple(side.start for side in box)
    out = np.empty([side.stop - side.start for side in box], u.dtype)
    kind = u.dtype.type
    rates = (kind(1 / steps[0]), kind(1 / steps[1]), kind(1 / steps[2]))
    deal(out.shape[0] * out.shape[1], lambda a, b: _determinant(u, rates, first, out, a, b), 16)
    return out


@compiled
def _determinant(u, rates, first, out, start, stop):  # type: ignore[no-untyped-def]
    _, ni, nj, nk = u.shape
    _, mj, mk = out.shape
    one = rates[0] / rates[0]  # of u's kind
    for row in range(start, stop):
        i, j = row // mj + first[0], row % mj + first[1]
        i0, i1, rate_i = _around(i, ni, rates[0])
        j0, j1, rate_j = _around(j, nj, rates[1])
        for m in range(mk):
            k = m + first[2]
            k0, k1, rate_k = _around(k, nk, rates[2])
            a = (u[0, i1, j, k] - u[0, i0, j, k]) * rate_i + one
            d = (u[1, i1, j, k] - u[1, i0, j, k]) * rate_i
            g = (u[2, i1, j, k] - u[2, i0, j, k]) * rate_i
            b = (u[0, i, j1, k] - u[0, i, j0, k]) * rate_j
            e = (u[1, i, j1, k] - u[1, i, j0, k]) * rate_j + one
            h = (u[2, i, j1, k] - u[2, i, j0, k]) * rate_j
            c = (u[0, i, j, k1] - u[0, i, j, k0]) * rate_k
            f = (u[1, i, j, k1] - u[1, i, j, k0]) * rate_k
            w = (u[2, i, j, k1] - u[2, i, j, k0]) * rate_k + one
            out[row // mj, row % mj, m] = a * (e * w - f * h) - b * (d * w - f * g) + c * (d * h - e * g)


@compiled
def _around(i, n, rate):  # type: ignore[no-untyped-def]
    """The planes before and after plane i that exist, and one over their distance."""
    before, after = max(i - 1, 0), min(i + 1, n - 1)
    return before, after, rate / max(after - before, 1)
