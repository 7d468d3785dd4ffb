"""Image similarity: a small frozen object, called with the fixed and the moved image (1,I,J,K)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from noder import kernels
from noder.grid import Triple

Floats = NDArray[Any]

_SMALL = 2**16


@dataclass(frozen=True)
class LocalNCC:
    """1 - squared local normalised cross-correlation, summed with a weight (Bai and Hong 2024, L_sim).

    cc = cross^2 / ((var_f + floor) (var_m + floor) + epsilon), on means over the `window` (odd widths in voxels).
    `floor`: a variance (images have unit standard deviation in the mask) under which a window counts as flat. Windows
    are cut at the border, or filled with zeros if `padded`; then, as in the published code, sums are in double.
    """

    window: Triple
    floor: float = 1e-3
    epsilon: float = 0.0
    padded: bool = False

    def prepare(self, fixed: Tensor) -> tuple[Tensor, ...]:
        """The fixed image (1,I,J,K), its mean in each window, and its variance there with the floor: (I,J,K) each."""
        f = fixed[0].double() if self.padded else fixed[0]
        mean, square = self._mean(f), self._mean(f * f)
        return fixed[0], mean.to(fixed.dtype), ((square - mean * mean).clamp(min=0) + self.floor).to(fixed.dtype)

    def __call__(self, fixed: tuple[Tensor, ...], moved: Tensor, weight: Tensor) -> Tensor:
        """Sum of `weight` (I,J,K) times 1 - cc."""
        f, f_mean, f_variance = fixed
        m = moved[0]
        if kernels.usable(f, m, weight) and m.dtype == torch.float32:
            loss: Tensor = _Correlated.apply(m, fixed, weight, self)  # type: ignore[no-untyped-call]
            return loss
        if self.padded:
            f, f_mean, f_variance, m, weight = (tensor.double() for tensor in (f, f_mean, f_variance, m, weight))
        m_mean = self._mean(m)
        m_variance = (self._mean(m * m) - m_mean * m_mean).clamp(min=0) + self.floor
        cross = self._mean(f * m) - f_mean * m_mean
        cc = cross * cross / (f_variance * m_variance + self.epsilon)
        return stable_sum((1 - cc) * weight).to(moved.dtype)

    def correlate(
        self,
        fixed: tuple[Tensor, ...],
        moved: Floats,
        weight: Tensor,
        maps: Floats | None = None,
        chain: Floats | None = None,
    ) -> tuple[float, Floats]:
        """The same compiled, with its gradient in `moved` (I,J,K); `maps` and `chain` as in `kernels.correlate`."""
        f, mean, variance, w = (tensor.detach().contiguous().numpy() for tensor in (*fixed, weight))
        return kernels.correlate(
            f, mean, variance, moved, w, self.window, self.floor, self.epsilon, self.padded, maps, chain
        )  # fmt: skip

    def _mean(self, image: Tensor) -> Tensor:
        # products of tiny matrices are split by thread, and then differ in the last bit: float64 hides that, at no cost
        exact = torch.float64 if image.numel() < _SMALL and image.device.type == "cpu" else image.dtype
        x, y, z = (
            window_means(n, w, image.device, self.padded).to(exact)
            for n, w in zip(image.shape, self.window, strict=True)
        )
        out = (y @ image.to(exact)) @ z.T
        return (x @ out.reshape(image.shape[0], -1)).reshape(image.shape).to(image.dtype)


class _Correlated(torch.autograd.Function):
    """The compiled loss, with its gradient in the moved image."""

    @staticmethod
    def forward(ctx: Any, moved: Tensor, fixed: tuple[Tensor, ...], weight: Tensor, ncc: LocalNCC) -> Tensor:
        loss, gradient = ncc.correlate(fixed, moved.detach().contiguous().numpy(), weight)
        ctx.save_for_backward(torch.from_numpy(gradient))
        return moved.new_tensor(loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.saved_tensors[0] * upstream, None, None, None


def stable_sum(values: Tensor) -> Tensor:
    """Sum in float64, one axis after the other, in the dtype of `values`.

    A full-tensor `sum` is split by thread, so that 1 and 2 threads would differ; a sum along one axis is not.
    """
    total = values.sum(-1).double()
    while total.ndim:
        total = total.sum(-1)
    return total.to(values.dtype)


@lru_cache(maxsize=64)
def window_means(n: int, width: int, device: torch.device, padded: bool = False) -> Tensor:
    """(n,n): row i averages the window of `width` around i, cut at the border or filled with zeros (in float64)."""
    index = torch.arange(n, device=device)
    inside = (index[:, None] - index[None]).abs() <= width // 2
    if padded:
        return inside.double() / width
    return inside.float() / inside.float().sum(1, keepdim=True)
