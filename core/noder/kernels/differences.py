"""Determinants of x + u(x) by central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal

Floats = NDArray[Any]


def determinant(u: Floats, steps: tuple[float, float, float], box: tuple[slice, slice, slice]) -> Floats:
    """det(I + Du) (i,j,k) in `box`, u (3,I,J,K) of any strides on planes `steps` apart; one-sided at the border."""
    i, j, k = sorted(range(3), key=lambda axis: -u.strides[axis + 1])  # as they lie in memory
    order = (i, j, k)
    u = u.transpose(0, *(axis + 1 for axis in order))
    first = tuple(box[axis].start for axis in order)
    out = np.empty([box[axis].stop - box[axis].start for axis in order], u.dtype)
    kind = u.dtype.type
    x, y, z = (kind(1 / steps[axis]) for axis in order)
    deal(out.shape[0] * out.shape[1], lambda a, b: _determinant(u, order, (x, y, z), first, out, a, b), 16)
    return out.transpose(np.argsort(order))


@compiled
def _determinant(u, order, rates, first, out, start, stop):  # type: ignore[no-untyped-def]
    """`order`: the component of u that lies along each axis."""
    _, ni, nj, nk = u.shape
    _, mj, mk = out.shape
    one = rates[0] / rates[0]  # of u's kind
    p, q, r = order
    for row in range(start, stop):
        i, j = row // mj + first[0], row % mj + first[1]
        i0, i1, rate_i = _around(i, ni, rates[0])
        j0, j1, rate_j = _around(j, nj, rates[1])
        for m in range(mk):
            k = m + first[2]
            k0, k1, rate_k = _around(k, nk, rates[2])
            a = (u[p, i1, j, k] - u[p, i0, j, k]) * rate_i + one
            d = (u[q, i1, j, k] - u[q, i0, j, k]) * rate_i
            g = (u[r, i1, j, k] - u[r, i0, j, k]) * rate_i
            b = (u[p, i, j1, k] - u[p, i, j0, k]) * rate_j
            e = (u[q, i, j1, k] - u[q, i, j0, k]) * rate_j + one
            h = (u[r, i, j1, k] - u[r, i, j0, k]) * rate_j
            c = (u[p, i, j, k1] - u[p, i, j, k0]) * rate_k
            f = (u[q, i, j, k1] - u[q, i, j, k0]) * rate_k
            w = (u[r, i, j, k1] - u[r, i, j, k0]) * rate_k + one
            out[row // mj, row % mj, m] = a * (e * w - f * h) - b * (d * w - f * g) + c * (d * h - e * g)


@compiled
def _around(i, n, rate):  # type: ignore[no-untyped-def]
    """The planes before and after plane i that exist, and one over their distance."""
    before, after = max(i - 1, 0), min(i + 1, n - 1)
    return before, after, rate / max(after - before, 1)
