"""Trilinear sampling in one pass: values, slopes and their transposes. Beyond the border the border value goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal

Floats = NDArray[Any]
_WORTH_A_THREAD = 4096


def pull(volume: Floats, index: Floats) -> Floats:
    """Values (C,N) of `volume` (C,I,J,K), of any strides, at voxel indices (N,3); float32 or float64."""
    out = np.empty((volume.shape[0], len(index)), volume.dtype)
    deal(len(index), lambda a, b: _pull(volume, index, out, a, b), _WORTH_A_THREAD)
    return out


def pull_slopes(volume: Floats, index: Floats, gradient: Floats) -> Floats:
    """(N,3): the gradient of sum(gradient * pull(volume, index)) in `index`; `gradient` is (C,N)."""
    out = np.empty((len(index), 3), volume.dtype)
    deal(len(index), lambda a, b: _pull_slopes(volume, index, gradient, out, a, b), _WORTH_A_THREAD)
    return out


def splat(gradient: Floats, index: Floats, shape: tuple[int, int, int]) -> Floats:
    """(C,I,J,K): the gradient of sum(gradient * pull(volume, index)) in `volume`.

    Dealt by channels: the additions into a voxel keep one order.
    """
    out = np.zeros((len(gradient), *shape), gradient.dtype)
    deal(len(gradient), lambda a, b: _splat(gradient, index, out, a, b))
    return out


def compose(volume: Floats, u: Floats) -> Floats:
    """`volume` (C,I,J,K) at x + u(x), u (3,I,J,K) in voxels; C-ordered, float32 or float64."""
    out = np.empty_like(volume)
    deal(u.shape[1], lambda a, b: _compose(volume, u.reshape(3, -1), out.reshape(len(out), -1), a, b))
    return out


def compose_back(
    volume: Floats, u: Floats, gradient: Floats, wanted: tuple[bool, bool] = (True, True)
) -> tuple[Floats, Floats]:
    """The gradients of sum(gradient * compose(volume, u)) in `volume` and in u; empty where not `wanted`.

    Dealt in slabs, so thick that what every other one adds to never overlaps: the additions keep one order.
    """
    nothing = np.empty((0, 0, 0, 0), volume.dtype)
    of_volume, of_u = np.zeros_like(volume) if wanted[0] else nothing, np.empty_like(u) if wanted[1] else nothing
    flat, g = u.reshape(3, -1), gradient.reshape(len(gradient), -1)
    out = of_u.reshape(3, -1) if wanted[1] else nothing[0:0].reshape(0, 0)
    planes, reach = u.shape[1], np.abs(u[0]).max()
    thick = 2 * (int(reach) + 2 if reach < planes else planes)  # one slab for what is no number
    slabs = -(-planes // thick)
    for parity in (0, 1):
        deal(
            (slabs - parity + 1) // 2,
            lambda a, b, parity=parity: _compose_back(volume, flat, g, of_volume, out, wanted, thick, parity, a, b),  # type: ignore[misc]
        )
    return of_volume, of_u


def warp(
    moving: Floats,
    u: Floats,
    value: Floats | None = None,
    slope: Floats | None = None,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> tuple[Floats, Floats]:
    """`moving` (I,J,K) at x + u(x) + `origin`, u (3,i,j,k) in voxels, and its slope along u (3,i,j,k).

    Into `value` and `slope` where they are given.
    """
    value = np.empty(u.shape[1:], np.float32) if value is None else value
    slope = np.empty(u.shape, np.float32) if slope is None else slope
    deal(u.shape[1], lambda a, b: _warp(moving, u, value, slope, origin, a, b))
    return value, slope


@compiled
def _inside(x, last):  # type: ignore[no-untyped-def]
    """x kept in 0..last; 0 for nan, which must not become an address."""
    x = x if x > 0 else np.float32(0)
    return x if x < last else last


@compiled
def _kept(volume, x, y, z):  # type: ignore[no-untyped-def]
    """A point kept inside `volume` (C,I,J,K)."""
    _, ni, nj, nk = volume.shape
    return _inside(x, np.float32(ni - 1)), _inside(y, np.float32(nj - 1)), _inside(z, np.float32(nk - 1))


@compiled
def _cell(volume, i, j, k, x, y, z):  # type: ignore[no-untyped-def]
    """The cell of `volume` that begins at voxel i, j, k: its lower and upper corner, and the place of a point in it."""
    _, ni, nj, nk = volume.shape
    # a voxel number as float32 keeps the precision that the point has: with an integer all would go on in float64
    a, b, c = x - np.float32(i), y - np.float32(j), z - np.float32(k)
    return i, j, k, min(i + 1, ni - 1), min(j + 1, nj - 1), min(k + 1, nk - 1), a, b, c


@compiled
def cell_at(volume, x, y, z):  # type: ignore[no-untyped-def]
    """The cell of `volume` (C,I,J,K) around a point kept inside: its lower and upper corner, and the place in it."""
    x, y, z = _kept(volume, x, y, z)
    return _cell(volume, int(x), int(y), int(z), x, y, z)


@compiled
def linear(volume, m, i, j, k, i1, j1, k1, a, b, c):  # type: ignore[no-untyped-def]
    """The trilinear value of channel m in a cell of `cell_at`."""
    v00 = volume[m, i, j, k] + c * (volume[m, i, j, k1] - volume[m, i, j, k])
    v01 = volume[m, i, j1, k] + c * (volume[m, i, j1, k1] - volume[m, i, j1, k])
    v10 = volume[m, i1, j, k] + c * (volume[m, i1, j, k1] - volume[m, i1, j, k])
    v11 = volume[m, i1, j1, k] + c * (volume[m, i1, j1, k1] - volume[m, i1, j1, k])
    v0 = v00 + b * (v01 - v00)
    v1 = v10 + b * (v11 - v10)
    return v0 + a * (v1 - v0)


@compiled
def _pull(volume, index, out, start, stop):  # type: ignore[no-untyped-def]
    for n in range(start, stop):
        i, j, k, i1, j1, k1, a, b, c = cell_at(volume, index[n, 0], index[n, 1], index[n, 2])
        for m in range(len(volume)):
            out[m, n] = linear(volume, m, i, j, k, i1, j1, k1, a, b, c)


@compiled
def _pull_slopes(volume, index, gradient, out, start, stop):  # type: ignore[no-untyped-def]
    for n in range(start, stop):
        i, j, k, i1, j1, k1, a, b, c = _last_cell_at(volume, index[n, 0], index[n, 1], index[n, 2])
        dx = dy = dz = np.float32(0)
        for m in range(len(volume)):
            slopes = _slopes(volume[m], i, j, k, i1, j1, k1, a, b, c)
            dx += gradient[m, n] * slopes[0]
            dy += gradient[m, n] * slopes[1]
            dz += gradient[m, n] * slopes[2]
        x_in, y_in, z_in = _within(volume, index[n, 0], index[n, 1], index[n, 2])
        out[n, 0], out[n, 1], out[n, 2] = dx if x_in else 0, dy if y_in else 0, dz if z_in else 0


@compiled
def _splat(gradient, index, out, start, stop):  # type: ignore[no-untyped-def]
    for m in range(start, stop):
        for n in range(len(index)):
            i, j, k, i1, j1, k1, a, b, c = cell_at(out, index[n, 0], index[n, 1], index[n, 2])
            _add(out[m], gradient[m, n], i, j, k, i1, j1, k1, a, b, c)


@compiled
def _compose(volume, u, out, start, stop):  # type: ignore[no-untyped-def]
    channels, _, nj, nk = volume.shape
    n = start * nj * nk
    for i in range(start, stop):
        for j in range(nj):
            for k in range(nk):
                x, y, z = np.float32(i) + u[0, n], np.float32(j) + u[1, n], np.float32(k) + u[2, n]
                i0, j0, k0, i1, j1, k1, a, b, c = cell_at(volume, x, y, z)
                for m in range(channels):
                    out[m, n] = linear(volume, m, i0, j0, k0, i1, j1, k1, a, b, c)
                n += 1


@compiled
def _compose_back(volume, u, gradient, of_volume, of_u, wanted, thick, parity, start, stop):  # type: ignore[no-untyped-def]
    channels, ni, nj, nk = volume.shape
    for slab in range(start, stop):
        first = (2 * slab + parity) * thick
        n = first * nj * nk
        for i in range(first, min(first + thick, ni)):
            for j in range(nj):
                for k in range(nk):
                    x, y, z = np.float32(i) + u[0, n], np.float32(j) + u[1, n], np.float32(k) + u[2, n]
                    i0, j0, k0, i1, j1, k1, a, b, c = _last_cell_at(volume, x, y, z)
                    dx = dy = dz = np.float32(0)
                    for m in range(channels):
                        if wanted[1]:
                            slopes = _slopes(volume[m], i0, j0, k0, i1, j1, k1, a, b, c)
                            dx += gradient[m, n] * slopes[0]
                            dy += gradient[m, n] * slopes[1]
                            dz += gradient[m, n] * slopes[2]
                        if wanted[0]:
                            _add(of_volume[m], gradient[m, n], i0, j0, k0, i1, j1, k1, a, b, c)
                    if wanted[1]:
                        x_in, y_in, z_in = _within(volume, x, y, z)
                        of_u[0, n], of_u[1, n], of_u[2, n] = dx if x_in else 0, dy if y_in else 0, dz if z_in else 0
                    n += 1


@compiled
def _within(volume, x, y, z):  # type: ignore[no-untyped-def]
    """Whether a point is inside along each axis: beyond the border the value goes on, and its slope is zero."""
    _, ni, nj, nk = volume.shape
    return 0 <= x <= ni - 1, 0 <= y <= nj - 1, 0 <= z <= nk - 1


@compiled
def _last_cell_at(volume, x, y, z):  # type: ignore[no-untyped-def]
    """`cell_at`, but at the last voxel the last cell, which has a slope."""
    _, ni, nj, nk = volume.shape
    x, y, z = _kept(volume, x, y, z)
    i, j, k = max(min(int(x), ni - 2), 0), max(min(int(y), nj - 2), 0), max(min(int(z), nk - 2), 0)
    return _cell(volume, i, j, k, x, y, z)


@compiled
def _slopes(volume, i, j, k, i1, j1, k1, a, b, c):  # type: ignore[no-untyped-def]
    """Along each axis, in a cell of `volume` (I,J,K)."""
    v000, v001, v010, v011 = volume[i, j, k], volume[i, j, k1], volume[i, j1, k], volume[i, j1, k1]
    v100, v101, v110, v111 = volume[i1, j, k], volume[i1, j, k1], volume[i1, j1, k], volume[i1, j1, k1]
    d00, d01, d10, d11 = v001 - v000, v011 - v010, v101 - v100, v111 - v110
    w00, w10 = v000 + c * d00, v100 + c * d10
    e0, e1 = v010 + c * d01 - w00, v110 + c * d11 - w10
    d0, d1 = d00 + b * (d01 - d00), d10 + b * (d11 - d10)
    return w10 + b * e1 - w00 - b * e0, e0 + a * (e1 - e0), d0 + a * (d1 - d0)


@compiled
def _add(out, g, i, j, k, i1, j1, k1, a, b, c):  # type: ignore[no-untyped-def]
    """Add g to the corners of a cell of `out` (I,J,K), in the shares that `linear` reads there."""
    one = np.float32(1)
    g0, g1 = g * (one - a), g * a
    g00, g01, g10, g11 = g0 * (one - b), g0 * b, g1 * (one - b), g1 * b
    out[i, j, k] += g00 * (one - c)
    out[i, j, k1] += g00 * c
    out[i, j1, k] += g01 * (one - c)
    out[i, j1, k1] += g01 * c
    out[i1, j, k] += g10 * (one - c)
    out[i1, j, k1] += g10 * c
    out[i1, j1, k] += g11 * (one - c)
    out[i1, j1, k1] += g11 * c


@compiled  # value and slope share their terms here: through `linear` and `_slopes` it takes a quarter more
def _warp(moving, u, value, slope, origin, start, stop):  # type: ignore[no-untyped-def]
    ni, nj, nk = moving.shape
    _, _, mj, mk = u.shape
    for i in range(start, stop):
        for j in range(mj):
            for k in range(mk):
                x = np.float32(origin[0] + i) + u[0, i, j, k]
                y = np.float32(origin[1] + j) + u[1, i, j, k]
                z = np.float32(origin[2] + k) + u[2, i, j, k]
                # beyond the border the value goes on, and its slope is zero
                x_in = 0 <= x <= ni - 1
                y_in = 0 <= y <= nj - 1
                z_in = 0 <= z <= nk - 1
                x = _inside(x, np.float32(ni - 1))
                y = _inside(y, np.float32(nj - 1))
                z = _inside(z, np.float32(nk - 1))
                i0, j0, k0 = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
                a, b, c = x - np.float32(i0), y - np.float32(j0), z - np.float32(k0)
                v000, v001 = moving[i0, j0, k0], moving[i0, j0, k0 + 1]
                v010, v011 = moving[i0, j0 + 1, k0], moving[i0, j0 + 1, k0 + 1]
                v100, v101 = moving[i0 + 1, j0, k0], moving[i0 + 1, j0, k0 + 1]
                v110, v111 = moving[i0 + 1, j0 + 1, k0], moving[i0 + 1, j0 + 1, k0 + 1]
                d00, d01, d10, d11 = v001 - v000, v011 - v010, v101 - v100, v111 - v110
                w00, w01, w10, w11 = v000 + c * d00, v010 + c * d01, v100 + c * d10, v110 + c * d11
                e0, e1 = w01 - w00, w11 - w10
                f0, f1 = w00 + b * e0, w10 + b * e1
                g0, g1 = d00 + b * (d01 - d00), d10 + b * (d11 - d10)
                value[i, j, k] = f0 + a * (f1 - f0)
                slope[0, i, j, k] = (f1 - f0) if x_in else np.float32(0)
                slope[1, i, j, k] = (e0 + a * (e1 - e0)) if y_in else np.float32(0)
                slope[2, i, j, k] = (g0 + a * (g1 - g0)) if z_in else np.float32(0)
