"""Image similarity: a small frozen object, called with the fixed and the moved image (1,I,J,K)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from noder import kernels
from noder.grid import Triple

_SMALL = 2**16


@dataclass(frozen=True)
class LocalNCC:
    """1 - squared local normalised cross-correlation, averaged with a weight (Bai and Hong 2024, L_sim).

    `window`: odd widths in voxels. Windows are cut at the border, not padded. `floor`: a variance (images have unit
    standard deviation in the mask) under which a window counts as flat.
    """

    window: Triple
    floor: float = 1e-3

    def prepare(self, fixed: Tensor) -> tuple[Tensor, ...]:
        """The fixed image centred in each window, and its local variance."""
        f = fixed[0]
        mean, square = self._mean(f), self._mean(f * f)
        return f, mean, (square - mean * mean).clamp(min=0) + self.floor

    def __call__(self, fixed: tuple[Tensor, ...], moved: Tensor, weight: Tensor) -> Tensor:
        """(1 - cc) averaged with `weight` (I,J,K), which sums to 1."""
        f, f_mean, f_variance = fixed
        m = moved[0]
        if kernels.usable(f, m, weight):
            loss: Tensor = _Correlated.apply(m, f, f_mean, f_variance, weight, self.window, self.floor)  # type: ignore[no-untyped-call]
            return loss
        m_mean = self._mean(m)
        m_variance = (self._mean(m * m) - m_mean * m_mean).clamp(min=0) + self.floor
        cross = self._mean(f * m) - f_mean * m_mean
        cc = cross * cross / (f_variance * m_variance)
        return 1 - stable_sum(cc * weight)

    def _mean(self, image: Tensor) -> Tensor:
        # products of tiny matrices are split by thread, and then differ in the last bit: float64 hides that, at no cost
        exact = torch.float64 if image.numel() < _SMALL and image.device.type == "cpu" else image.dtype
        x, y, z = (window_means(n, w, image.device).to(exact) for n, w in zip(image.shape, self.window, strict=True))
        out = (y @ image.to(exact)) @ z.T
        return (x @ out.reshape(image.shape[0], -1)).reshape(image.shape).to(image.dtype)


class _Correlated(torch.autograd.Function):
    """The compiled loss, with its gradient in the moved image."""

    @staticmethod
    def forward(
        ctx: Any, moved: Tensor, fixed: Tensor, mean: Tensor, var: Tensor, weight: Tensor, window: Triple, floor: float
    ) -> Tensor:
        m, f, a, v, w = (tensor.detach().contiguous().numpy() for tensor in (moved, fixed, mean, var, weight))
        loss, gradient = kernels.correlate(f, a, v, m, w, window, floor)
        ctx.save_for_backward(torch.from_numpy(gradient))
        return moved.new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.saved_tensors[0] * upstream, None, None, None, None, None, None


def stable_sum(values: Tensor) -> Tensor:
    """Sum in float64, one axis after the other, in the dtype of `values`.

    A full-tensor `sum` is split by thread, so that 1 and 2 threads would differ; a sum along one axis is not.
    """
    total = values.sum(-1).double()
    while total.ndim:
        total = total.sum(-1)
    return total.to(values.dtype)


@lru_cache(maxsize=64)
def window_means(n: int, width: int, device: torch.device) -> Tensor:
    """(n,n): row i averages the window of `width` around i, cut at the border."""
    index = torch.arange(n, device=device)
    band = ((index[:, None] - index[None]).abs() <= width // 2).float()
    return band / band.sum(1, keepdim=True)
