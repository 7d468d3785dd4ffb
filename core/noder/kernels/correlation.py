"""Local normalised cross-correlation: value and gradient in three passes over the volume.

Pass 1, plane by plane: window sums along y and z. Pass 2, pencil by pencil: the window along x, the correlation, its
coefficients, and their window along x. Pass 3, plane by plane: the coefficients' windows along y and z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal

Floats = NDArray[Any]
_TINY = 1e-30
"""Gradients under it are set to zero: denormal numbers are slow, and differ by machine."""


def correlate(
    fixed: Floats,
    mean: Floats,
    variance: Floats,
    moved: Floats,
    weight: Floats,
    window: tuple[int, int, int],
    floor: float,
    epsilon: float = 0.0,
    padded: bool = False,
    maps: Floats | None = None,
    chain: Floats | None = None,
) -> tuple[float, Floats]:
    """sum(weight * (1 - cc)) and its gradient in `moved`; all volumes (I,J,K).

    cc = cross^2 / (variance_f * (variance_m + floor) + epsilon) on window means; `mean` and `variance` are those of
    `fixed`, with its floor. Windows are cut at the border, or filled with zeros if `padded`. `maps` (3,I,J,K) is room
    to work in; `chain` (3,I,J,K) is multiplied by the gradient, in place.
    """
    radius = [width // 2 for width in window]
    x, y, z = (_shares(n, w, padded) for n, w in zip(moved.shape, window, strict=True))
    maps = np.empty((3, *moved.shape), np.float32) if maps is None else maps
    chain = np.empty((0, *moved.shape), np.float32) if chain is None else chain
    sums, gradient = np.empty(moved.shape[1]), np.empty_like(moved)
    deal(len(moved), lambda a, b: _window_products(fixed, moved, maps, radius[1], radius[2], a, b))
    deal(
        moved.shape[1],
        lambda a, b: _correlate(maps, mean, variance, weight, (x, y, z), radius[0], floor, epsilon, sums, a, b),
    )
    deal(len(moved), lambda a, b: _collect(fixed, moved, maps, gradient, chain, radius[1], radius[2], a, b))
    return float(sums.sum()), gradient


def _shares(n: int, width: int, padded: bool) -> Floats:
    """(n,): one over the number of voxels in each window along an axis."""
    if padded:
        return np.full(n, 1 / width)
    index, radius = np.arange(n), width // 2
    shares: Floats = 1 / (np.minimum(index + radius + 1, n) - np.maximum(index - radius, 0))
    return shares


@compiled
def _window_products(fixed, moved, maps, radius_y, radius_z, start, stop):  # type: ignore[no-untyped-def]
    """Sums of m, m^2 and f m over the window along y and z into `maps` (3,I,J,K), plane by plane."""
    _, nj, nk = moved.shape
    # zeros on both sides of the lines: the running sums along z then need no border
    width = nk + 2 * radius_z + 1
    lines = np.zeros((3, width), np.float64)
    first = radius_z + 1
    for i in range(start, stop):
        lines[:] = 0
        for j in range(-radius_y, nj):
            ahead, behind = j + radius_y, j - radius_y - 1
            if ahead < nj:
                for k in range(nk):
                    m, f = np.float64(moved[i, ahead, k]), np.float64(fixed[i, ahead, k])
                    lines[0, first + k] += m
                    lines[1, first + k] += m * m
                    lines[2, first + k] += f * m
            if behind >= 0:
                for k in range(nk):
                    m, f = np.float64(moved[i, behind, k]), np.float64(fixed[i, behind, k])
                    lines[0, first + k] -= m
                    lines[1, first + k] -= m * m
                    lines[2, first + k] -= f * m
            if j >= 0:
                _run_along_z(lines, maps, i, j, radius_z)


@compiled
def _run_along_z(lines, maps, i, j, radius):  # type: ignore[no-untyped-def]
    """Sums of three lines over 2 radius + 1 numbers, into row (i,j) of `maps`."""
    nk = maps.shape[3]
    a = b = c = 0.0
    for k in range(2 * radius):
        a += lines[0, 1 + k]
        b += lines[1, 1 + k]
        c += lines[2, 1 + k]
    for k in range(nk):
        a += lines[0, k + 2 * radius + 1] - lines[0, k]
        b += lines[1, k + 2 * radius + 1] - lines[1, k]
        c += lines[2, k + 2 * radius + 1] - lines[2, k]
        maps[0, i, j, k] = a
        maps[1, i, j, k] = b
        maps[2, i, j, k] = c


@compiled
def _correlate(maps, mean, variance, weight, shares, radius, floor, epsilon, sums, start, stop):  # type: ignore[no-untyped-def]
    """Finish the window along x, turn sums into weighted 1 - cc (`sums`, a part a y) and into its coefficients.

    The coefficients a, b, c of the gradient, f sum(a) + m sum(b) - sum(c), replace the sums in `maps`, summed along x.
    """
    _, ni, _, nk = maps.shape
    share_x, share_y, share_z = shares
    acc = np.empty((3, nk), np.float64)
    found = np.empty((3, ni, nk), np.float32)
    cc = np.empty(nk, np.float64)
    for j in range(start, stop):
        acc[:] = 0
        total = 0.0
        for i in range(-radius, ni):
            _slide(acc, maps[:, :, j], i, radius)
            if i < 0:
                continue
            outer = share_x[i] * share_y[j]
            for k in range(nk):
                share = outer * share_z[k]
                f_mean, f_variance = np.float64(mean[i, j, k]), np.float64(variance[i, j, k])
                w = np.float64(weight[i, j, k])
                m_mean = acc[0, k] * share
                raw = acc[1, k] * share - m_mean * m_mean
                m_variance = max(raw, 0.0) + floor
                cross = acc[2, k] * share - f_mean * m_mean
                below = 1 / (f_variance * m_variance + epsilon)
                slope = 2 * w * share * cross * below
                bend = -slope * cross * below * f_variance if raw > 0 else 0.0
                cc[k] = w * (1 - cross * cross * below)
                found[0, i, k] = slope
                found[1, i, k] = bend
                found[2, i, k] = slope * f_mean + bend * m_mean
            for k in range(nk):
                total += cc[k]
        sums[j] = total
        acc[:] = 0
        for i in range(-radius, ni):
            _slide(acc, found, i, radius)
            if i >= 0:
                for m in range(3):
                    for k in range(nk):
                        maps[m, i, j, k] = acc[m, k]


@compiled
def _slide(acc, block, i, radius):  # type: ignore[no-untyped-def]
    """Move the window of the running sums `acc` (3,K) over `block` (3,I,K) on to row i."""
    _, ni, nk = block.shape
    ahead, behind = i + radius, i - radius - 1
    if ahead < ni:
        for m in range(3):
            for k in range(nk):
                acc[m, k] += block[m, ahead, k]
    if behind >= 0:
        for m in range(3):
            for k in range(nk):
                acc[m, k] -= block[m, behind, k]


@compiled
def _collect(fixed, moved, maps, gradient, chain, radius_y, radius_z, start, stop):  # type: ignore[no-untyped-def]
    """Finish the coefficients' window along y and z: the gradient of the weighted 1 - cc in the moved image."""
    _, nj, nk = moved.shape
    width = nk + 2 * radius_z + 1
    lines = np.zeros((3, width), np.float64)
    first = radius_z + 1
    row = np.empty((3, 1, 1, nk), np.float32)
    for i in range(start, stop):
        lines[:] = 0
        for j in range(-radius_y, nj):
            _slide(lines[:, first : first + nk], maps[:, i], j, radius_y)
            if j >= 0:
                _run_along_z(lines, row, 0, 0, radius_z)
                for k in range(nk):
                    g = row[2, 0, 0, k] - fixed[i, j, k] * row[0, 0, 0, k] - moved[i, j, k] * row[1, 0, 0, k]
                    gradient[i, j, k] = g if abs(g) > _TINY else np.float32(0)
                for m in range(len(chain)):
                    for k in range(nk):
                        chain[m, i, j, k] *= gradient[i, j, k]
