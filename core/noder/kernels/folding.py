"""Determinants of x + u(x) at the eight corners of every cell: which are folded, and how far they fall short."""

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


def corners(u: Floats, most: float = np.inf) -> tuple[float, NDArray[np.bool_]]:
    """The smallest determinant at any corner of any cell of u (3,I,J,K) in voxels, and the voxels that are folded.

    `most`: where none is smaller it is what is returned; of 0, which is quickest, for the folds alone.
    A voxel is folded (I,J,K) where one of the corners of cells that meet there has a determinant of zero or less. Each
    axis has two voxels or more.
    """
    cells = u.shape[1] - 1
    smallest, folded = np.full(cells, most), np.zeros(u.shape[1:], dtype=np.bool_)
    deal(cells, lambda a, b: _least_corners(u, smallest, folded, a, b))
    return float(smallest.min()), folded


@compiled
def _least_corners(u, smallest, folded, start, stop):  # type: ignore[no-untyped-def]
    """The smallest determinant of each plane of cells; ranges that meet may mark a voxel twice, as the same."""
    _, _, nj, nk = u.shape
    bound = np.empty(nk - 1, np.float32)
    d = np.empty((3, 3), np.float64)
    for i in range(start, stop):
        least = smallest[i]
        for j in range(nj - 1):
            _largest_row_sums(u, i, j, bound)
            for k in range(nk - 1):
                # as in `_short_corners`; a little less, since the sums are in single precision
                free = bound[k] < 1 and (1 - bound[k]) ** 3 * 0.9999 > max(least, 0)
                if not free:
                    for corner in range(8):
                        ex, ey, ez = corner >> 2, (corner >> 1) & 1, corner & 1
                        det = _corner(u, i + ex, j + ey, k + ez, 1 - 2 * ex, 1 - 2 * ey, 1 - 2 * ez, d)
                        least = min(least, det)
                        if det <= 0:
                            folded[i + ex, j + ey, k + ez] = True
        smallest[i] = least


@compiled
def _corner(u, i, j, k, sx, sy, sz, d):  # type: ignore[no-untyped-def]
    """The determinant at voxel (i,j,k) by differences to its neighbours at the sides sx, sy, sz; uses d (3,3)."""
    for a in range(3):
        here = np.float64(u[a, i, j, k])
        d[a, 0] = (u[a, i + sx, j, k] - here) * sx
        d[a, 1] = (u[a, i, j + sy, k] - here) * sy
        d[a, 2] = (u[a, i, j, k + sz] - here) * sz
        d[a, a] += 1
    return (
        d[0, 0] * (d[1, 1] * d[2, 2] - d[1, 2] * d[2, 1])
        + d[0, 1] * (d[1, 2] * d[2, 0] - d[1, 0] * d[2, 2])
        + d[0, 2] * (d[1, 0] * d[2, 1] - d[1, 1] * d[2, 0])
    )


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
