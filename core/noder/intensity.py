"""A slow change of brightness along the path: what no warp can show, such as blood that fills with contrast.

It lives on the reference's voxels, next to the map: image at t (x) = I_0(y) + b(y,t), y = phi_t(x).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from noder.grid import Grid, Triple, block_mean, sample_at_index

Floats = NDArray[Any]

WIDTH_VOXELS = 1.5
"""Standard deviation of the smoothing in space, in voxels of the finest axis."""

RIDGE = 0.05
"""What pulls each term to zero, as a share of what the scans say where the image is flat."""

_TERMS = 2

_EDGE_VOXELS = 1.0


@dataclass(frozen=True, eq=False)
class Brightness:
    """b(y,t) in image units: 0 at the first scan, a line or a parabola in time, and a line again beyond the scans.

    `terms` (m,i,j,k) are its factors of tau and tau^2 (tau = time in spans of the scans) on blocks of `stride` voxels
    of the reference; `span` is the first and last time.
    """

    terms: Tensor
    stride: Triple
    span: tuple[float, float]

    def powers(self, t: float) -> NDArray[np.float64]:
        """What `terms` are multiplied by at t (m,)."""
        powers: NDArray[np.float64] = _powers([t], self.span, len(self.terms))[0]
        return powers

    def at(self, index: Tensor, powers: NDArray[np.float64]) -> Tensor:
        """Sum of powers * terms at voxel indices of the reference (...,3) -> (1,...)."""
        if not np.abs(powers).max() > 1e-9:  # two scans that are blended in time already hold a line
            return torch.zeros(1, *index.shape[:-1], dtype=index.dtype)
        stride = torch.tensor(self.stride, dtype=index.dtype)
        factors = torch.as_tensor(powers, dtype=self.terms.dtype)
        volume = (factors[:, None, None, None] * self.terms).sum(0, keepdim=True).to(index.dtype)
        return sample_at_index(volume, (index - (stride - 1) / 2) / stride)


def fit_brightness(
    reference: Tensor, pulled: Iterable[Tensor], times: Sequence[float], grid: Grid, mask: NDArray[np.bool_]
) -> Brightness:
    """The brightness that explains what is left of the scans once they are pulled back to the reference (1,I,J,K).

    `times` are those of the reference and of the scans in `pulled`, in order. In each place a least-squares fit in
    time, weighted by a Gaussian around the place (normalised convolution, Knutsson and Westin 1993) and by how
    flat the reference is: at an edge a scan that is not quite aligned looks brighter or darker too. A ridge on each
    term keeps down what the scans hardly say. Memory does not grow with the number of scans.
    """
    span = (times[0], times[-1])
    powers = _powers(times[1:], span, min(len(times) - 1, _TERMS))
    mixing = np.linalg.inv(np.linalg.cholesky(powers.T @ powers))  # of the powers, to what is orthonormal on the scans
    basis = powers @ mixing.T
    stride = _stride(grid)
    weight = torch.from_numpy(flatness(reference[0].numpy(), grid, mask))[None]
    sums = torch.zeros(basis.shape[1], *block_mean(weight, stride).shape[1:])
    for values, volume in zip(basis, pulled, strict=True):
        left = block_mean(weight * (volume - reference), stride)
        sums += torch.as_tensor(values, dtype=left.dtype)[:, None, None, None] * left
    width = [WIDTH_VOXELS * min(grid.spacing) / (h * s) for h, s in zip(grid.spacing, stride, strict=True)]
    support = _smooth(block_mean(weight, stride)[0].numpy(), width)
    found = np.stack([_smooth(part, width) for part in sums.numpy()]) / (support + RIDGE)
    terms = np.einsum("qp,qijk->pijk", mixing, found)
    return Brightness(torch.from_numpy(terms.astype(np.float32)), stride, span)


def flatness(reference: Floats, grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(I,J,K), 1 where the reference is flat, towards 0 at its edges, 0 outside the mask.

    The inverse variance of a scan's difference to it, noise and a misalignment by a voxel together; the median
    gradient in the mask is the noise's, or anatomy's that is as flat: edges are those twice as steep.
    """
    finest = min(grid.spacing)
    smooth = ndimage.gaussian_filter(reference, [_EDGE_VOXELS * finest / h for h in grid.spacing])
    steepness = sum(np.gradient(smooth, h, axis=axis) ** 2 for axis, h in enumerate(grid.spacing))
    usual = float(np.median(steepness[mask]))
    flat = 1 / (1 + steepness / (4 * usual)) if usual > 0 else (steepness == 0)
    weights: NDArray[np.float32] = (flat * mask).astype(np.float32)
    return weights


def _powers(times: Sequence[float], span: tuple[float, float], n: int) -> NDArray[np.float64]:
    """tau and tau^2 (len(times), n), the square going on as a line outside the span."""
    tau = (np.asarray(times, dtype=np.float64) - span[0]) / (span[1] - span[0])
    near = np.clip(tau, 0, 1)
    return np.stack([tau, near**2 + 2 * near * (tau - near)], axis=-1)[:, :n]


def _smooth(volume: Floats, width: Sequence[float]) -> Floats:
    smoothed: Floats = ndimage.gaussian_filter(volume, width, mode="constant")
    return smoothed


def _stride(grid: Grid) -> Triple:
    """Blocks of two voxels, but of one along thick slices: the brightness is smooth over more than that."""
    x, y, z = (2 if h < 1.5 * min(grid.spacing) else 1 for h in grid.spacing)
    return x, y, z
