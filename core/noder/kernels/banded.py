"""A banded matrix along each axis of a field, in one pass over its planes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.kernels.deal import compiled, deal


@dataclass(frozen=True, eq=False)
class Banded:
    """A matrix (n,m) of which each row has few entries: their columns (n,w) and their values (n,w), float32."""

    columns: NDArray[np.int64]
    values: NDArray[np.float32]
    width: int
    """m."""

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> Banded:
        """The entries of a dense matrix (n,m); rows are filled up with zeros."""
        counts = (matrix != 0).sum(axis=1)
        taps = max(1, int(counts.max(initial=1)))
        # columns of entries first, in ascending order: a sum has one order
        columns = np.ascontiguousarray(np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps])
        return cls(columns, np.take_along_axis(matrix, columns, axis=1).astype(np.float32), matrix.shape[1])

    @cached_property
    def transposed(self) -> Banded:
        """The transpose (m,n)."""
        dense = np.zeros((len(self.columns), self.width), np.float32)
        np.put_along_axis(dense, self.columns, self.values, axis=1)
        return Banded.of(np.ascontiguousarray(dense.T))


def apply_banded(
    matrices: tuple[Banded, Banded, Banded], field: NDArray[np.float32], out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(C,a,b,c) -> (C,I,J,K), by a matrix (I,a), (J,b) and (K,c) along each axis; into `out` where it is given.

    The last axis is the slow one, and is done where the field is smaller.
    """
    x, y, z = matrices
    channels, n_a, n_b, _ = field.shape
    n_i, n_j, n_k = len(x.columns), len(y.columns), len(z.columns)
    out = np.empty((channels, n_i, n_j, n_k), np.float32) if out is None else out
    xy = (x.columns, x.values, y.columns, y.values)
    if n_k < z.width:
        deal(channels * n_i, lambda start, stop: _rows_then_columns(*xy, z.columns, z.values, field, out, start, stop))
        return out
    wide = np.empty((channels, n_a, n_b, n_k), np.float32)
    deal(channels * n_a, lambda start, stop: _columns(z.columns, z.values, field, wide, start, stop))
    deal(channels * n_i, lambda start, stop: _rows(*xy, wide, out, start, stop))
    return out


@compiled
def _columns(iz, wz, field, out, start, stop):  # type: ignore[no-untyped-def]
    _, na, nb, _ = field.shape
    for plane in range(start, stop):
        m, i = plane // na, plane % na
        for j in range(nb):
            _dots(field[m, i, j], iz, wz, out[m, i, j])


@compiled
def _rows(ix, wx, iy, wy, field, out, start, stop):  # type: ignore[no-untyped-def]
    _, _, nb, nk = field.shape
    across = np.empty((nb, nk), np.float32)
    for plane in range(start, stop):
        m, i = plane // len(ix), plane % len(ix)
        for j in range(nb):
            _row(field[m, :, j], ix[i], wx[i], across[j])
        for j in range(len(iy)):
            _row(across, iy[j], wy[j], out[m, i, j])


@compiled
def _rows_then_columns(ix, wx, iy, wy, iz, wz, field, out, start, stop):  # type: ignore[no-untyped-def]
    _, _, nb, nc = field.shape
    across, down = np.empty((nb, nc), np.float32), np.empty(nc, np.float32)
    for plane in range(start, stop):
        m, i = plane // len(ix), plane % len(ix)
        for j in range(nb):
            _row(field[m, :, j], ix[i], wx[i], across[j])
        for j in range(len(iy)):
            _row(across, iy[j], wy[j], down)
            _dots(down, iz, wz, out[m, i, j])


@compiled
def _dots(row, columns, values, out):  # type: ignore[no-untyped-def]
    for k in range(len(columns)):
        total = np.float32(0)
        for tap in range(columns.shape[1]):
            total += values[k, tap] * row[columns[k, tap]]
        out[k] = total


@compiled
def _row(rows, columns, values, out):  # type: ignore[no-untyped-def]
    first, w = rows[columns[0]], values[0]
    for k in range(len(out)):
        out[k] = w * first[k]
    for tap in range(1, len(columns)):
        other, w = rows[columns[tap]], values[tap]
        if w != 0:
            for k in range(len(out)):
                out[k] += w * other[k]
