"""How far determinants of x + u(x) fall short at the eight corners of every cell: value and gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal

Floats = NDArray[Any]


def shortfall(u: Floats, least: float, gradient: Floats | None = None, scale: float = 1.0) -> tuple[float, Floats]:
    """Sum over cells and corners of max(0, least - det)^2, u (3,I,J,K) in voxels, and its gradient in u.

    The gradient, times `scale`, is added to `gradient` where that is given.
    """
    cells = u.shape[1] - 1
    gradient = np.zeros_like(u) if gradient is None else gradient
    sums = np.zeros(cells)
    for parity in (0, 1):  # neighbouring planes of cells share voxels: never two of them at a time
        deal(
            (cells - parity + 1) // 2,
            lambda a, b, parity=parity: _short_corners(u, least, gradient, 2 * scale, sums, parity, a, b),  # type: ignore[misc]
        )
    return float(sums.sum()), gradient


@compiled
def _short_corners(u, least, gradient, scale, sums, parity, start, stop):  # type: ignore[no-untyped-def]
    """Squared shortfalls of the determinant at the corners of the cells of planes 2p + parity; a sum a plane.

    `scale` times the gradient of half the squared shortfall is added to `gradient`. Planes of one parity touch
    different voxels.
    """
    _, _, nj, nk = u.shape
    # the eigenvalues of I + D lie within s, the largest row sum of |D|, around 1: det >= (1 - s)^3 frees most cells
    free = 1 - least ** (1 / 3)
    bound = np.empty(nk - 1, np.float32)
    for p in range(start, stop):
        i = 2 * p + parity
        total = 0.0
        for j in range(nj - 1):
            _largest_row_sums(u, i, j, bound)
            for k in range(nk - 1):
                if bound[k] > free:
                    total += _cell(u, least, gradient, scale, i, j, k)
        sums[i] = total


@compiled
def _largest_row_sums(u, i, j, bound):  # type: ignore[no-untyped-def]
    """For each cell of a row: the largest over the components of the sum of the largest differences along the axes."""
    bound[:] = 0
    for a in range(3):
        p00, p01, p10, p11 = u[a, i, j], u[a, i, j + 1], u[a, i + 1, j], u[a, i + 1, j + 1]
        for k in range(len(bound)):
            x = max(
                max(abs(p10[k] - p00[k]), abs(p11[k] - p01[k])),
                max(abs(p10[k + 1] - p00[k + 1]), abs(p11[k + 1] - p01[k + 1])),
            )
            y = max(
                max(abs(p01[k] - p00[k]), abs(p11[k] - p10[k])),
                max(abs(p01[k + 1] - p00[k + 1]), abs(p11[k + 1] - p10[k + 1])),
            )
            z = max(
                max(abs(p00[k + 1] - p00[k]), abs(p01[k + 1] - p01[k])),
                max(abs(p10[k + 1] - p10[k]), abs(p11[k + 1] - p11[k])),
            )
            bound[k] = max(bound[k], x + y + z)


@compiled
def _cell(u, least, gradient, scale, i, j, k):  # type: ignore[no-untyped-def]
    total = 0.0
    d = np.empty((3, 3), np.float64)
    for corner in range(8):
        ex, ey, ez = corner >> 2, (corner >> 1) & 1, corner & 1
        sx, sy, sz = 1 - 2 * ex, 1 - 2 * ey, 1 - 2 * ez
        ci, cj, ck = i + ex, j + ey, k + ez
        for a in range(3):
            here = np.float64(u[a, ci, cj, ck])
            d[a, 0] = (u[a, ci + sx, cj, ck] - here) * sx
            d[a, 1] = (u[a, ci, cj + sy, ck] - here) * sy
            d[a, 2] = (u[a, ci, cj, ck + sz] - here) * sz
            d[a, a] += 1
        c00 = d[1, 1] * d[2, 2] - d[1, 2] * d[2, 1]
        c01 = d[1, 2] * d[2, 0] - d[1, 0] * d[2, 2]
        c02 = d[1, 0] * d[2, 1] - d[1, 1] * d[2, 0]
        short = least - (d[0, 0] * c00 + d[0, 1] * c01 + d[0, 2] * c02)
        if short <= 0:
            continue
        total += short * short
        pull = -scale * short
        cofactor = (
            (c00, c01, c02),
            (
                d[0, 2] * d[2, 1] - d[0, 1] * d[2, 2],
                d[0, 0] * d[2, 2] - d[0, 2] * d[2, 0],
                d[0, 1] * d[2, 0] - d[0, 0] * d[2, 1],
            ),
            (
                d[0, 1] * d[1, 2] - d[0, 2] * d[1, 1],
                d[0, 2] * d[1, 0] - d[0, 0] * d[1, 2],
                d[0, 0] * d[1, 1] - d[0, 1] * d[1, 0],
            ),
        )
        for a in range(3):
            gx, gy, gz = pull * cofactor[a][0] * sx, pull * cofactor[a][1] * sy, pull * cofactor[a][2] * sz
            gradient[a, ci + sx, cj, ck] += gx
            gradient[a, ci, cj + sy, ck] += gy
            gradient[a, ci, cj, ck + sz] += gz
            gradient[a, ci, cj, ck] -= gx + gy + gz
    return total
