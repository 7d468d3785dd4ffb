"""NePhi's hybrid encoder: a pair of images -> the latent code of its deformation (Tian et al., ECCV 2024).

A global code of the whole pair, and a grid of local codes. As published, strided blocks read the pair, an intermediate
map becomes the local codes and the last one the global code. Two things are added. The images are also compared at
every offset of a small neighbourhood (Dosovitskiy et al. 2015), by their self-similarity, which holds across contrasts
(Heinrich et al., MICCAI 2013): where a voxel went need not be learnt for each anatomy. And the map of the local codes
sees the coarser ones. Instance normalisation takes the place of batch normalisation, so that the code of a pair does
not depend on its neighbours in training.
"""

from __future__ import annotations

from itertools import combinations, product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noder.decoder import apply_separable
from noder.methods.siren import Sizes
from noder.similarity import window_means

CUBE = 65
"""Voxels along each edge of the cube that a pair is brought onto: strides of 2 then keep its corners."""

STRIDE = 4
REACH = 3
"""Offsets to each side, in steps of two voxels."""

_FEATURES, _WIDTHS = (16, 32), (48, 64, 96)
_SLOPE = 0.2
_POOLED = 3
_SHARPNESS = 20.0
_APART, _WINDOW = 2, 3
"""Self-similarity: voxels from the middle to its neighbours, and the window in which those are compared."""


class HybridEncoder(nn.Module):
    """Images (n,1,a,b,c) on one grid, a-1 a multiple of 16 -> codes (n,G) and (n,L,(a-1)/4+1,..), corner to corner."""

    offsets: Tensor

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        first, second = _FEATURES
        top, middle, bottom = _WIDTHS
        self.register_buffer("offsets", _offsets(), persistent=False)
        self.features = nn.Sequential(_block(1, first, 2), _block(first, second, 2), _block(second, second, 1))
        given = len(self.offsets) + 3 + 2 * second
        self.joined = nn.Sequential(nn.Conv3d(given, top, 1), nn.LeakyReLU(_SLOPE), _block(top, top, 1))
        self.down = nn.ModuleList([_block(top, middle, 2), _block(middle, bottom, 2)])
        self.level = nn.ModuleList([_block(middle, middle, 1), _block(bottom, bottom, 1)])
        self.up = nn.ModuleList([nn.Conv3d(middle + bottom, middle, 1), nn.Conv3d(top + middle, top, 1)])
        self.merged = nn.ModuleList([_block(middle, middle, 1), _block(top, top, 1)])
        self.whole = nn.Linear(bottom * _POOLED**3, sizes.global_code)
        self.local = nn.Conv3d(top, sizes.local_code, 1)

    def forward(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of the map that pulls `moving` onto `fixed`."""
        top = self.joined(
            torch.cat([self._compared(moving, fixed), self.features(fixed), self.features(moving)], dim=1)
        )
        middle = self.level[0](self.down[0](top))
        bottom = self.level[1](self.down[1](middle))
        whole: Tensor = self.whole(F.adaptive_avg_pool3d(bottom, _POOLED).flatten(1))
        middle = self.merged[0](self.up[0](torch.cat([middle, _like(bottom, middle)], dim=1)))
        top = top + self.merged[1](self.up[1](torch.cat([top, _like(middle, top)], dim=1)))
        local: Tensor = self.local(top)
        return whole, local

    def _compared(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """How alike the images are at each offset, and the offset that this speaks for."""
        with torch.no_grad(), torch.autocast(moving.device.type, enabled=False):
            found = []
            for m, f in zip(moving, fixed, strict=True):
                alike = offset_products(self_similarity(f)[:, ::2, ::2, ::2].contiguous(), self_similarity(m))
                near = torch.softmax(_SHARPNESS * _smooth(alike, _WINDOW), dim=0)
                found.append(torch.cat([alike, torch.einsum("dijk,da->aijk", near, self.offsets)]))
            return torch.stack(found)


def self_similarity(image: Tensor) -> Tensor:
    """How alike neighbours of every second voxel are, two by two: (1,I,J,K) -> (12,I/2,J/2,K/2), of unit length."""
    reach, sizes = _APART, image.shape[1:]
    around = F.pad(image[None], (reach,) * 6, mode="replicate")[0]
    neighbours = [offset for offset in product((-1, 0, 1), repeat=3) if sum(map(abs, offset)) == 1]
    shifted = [
        around[:, *(slice(reach * (1 + o), reach * (1 + o) + n) for o, n in zip(offset, sizes, strict=True))]
        for offset in neighbours
    ]
    across = [
        (a, b)
        for a, b in combinations(range(6), 2)
        if any(p + q for p, q in zip(neighbours[a], neighbours[b], strict=True))
    ]
    unlike = _smooth(torch.cat([(shifted[a] - shifted[b]).square() for a, b in across]), _WINDOW, every=2)
    unlike = unlike - unlike.amin(0, keepdim=True)
    usual = unlike.mean(0, keepdim=True)
    alike = torch.exp(-unlike / usual.clamp(min=0.1 * float(usual.mean()) + 1e-6))
    alike = alike - alike.mean(0, keepdim=True)
    unit: Tensor = alike / (alike.square().sum(0, keepdim=True).sqrt() + 0.1)
    return unit


def offset_products(a: Tensor, b: Tensor, reach: int = REACH) -> Tensor:
    """Products over channels of `a` at x and `b` at 2 x + d, for all d of a cube of offsets around 0.

    `a` (C,I,J,K), `b` (C,2I-1,2J-1,2K-1) -> ((2r+1)^3,I,J,K); d runs over the last axis first, and beyond the border
    `b` is zero.
    """
    padded = F.pad(b, (reach, reach + 1) * 3)
    # every second voxel, from the first or the second on: windows of these lie close together, and take half the time
    parts = {start: padded[:, *(slice(s, None, 2) for s in start)].contiguous() for start in product((0, 1), repeat=3)}
    return torch.stack([
        (a * parts[p % 2, q % 2, r % 2][:, *_window((p, q, r), a)]).sum(0)
        for p, q, r in product(range(2 * reach + 1), repeat=3)
    ])  # fmt: skip


def _window(offset: tuple[int, ...], a: Tensor) -> list[slice]:
    return [slice(o // 2, o // 2 + n) for o, n in zip(offset, a.shape[1:], strict=True)]


def _offsets() -> Tensor:
    """((2r+1)^3,3): d, in the order of the products."""
    return torch.tensor(list(product(range(-REACH, REACH + 1), repeat=3)), dtype=torch.float32)


def _smooth(image: Tensor, width: int, every: int = 1) -> Tensor:
    x, y, z = (window_means(n, width, image.device)[::every] for n in image.shape[1:])
    return apply_separable((x, y, z), image)


def _block(given: int, made: int, stride: int) -> nn.Sequential:
    conv = nn.Conv3d(given, made, 3, stride, padding=1)
    return nn.Sequential(conv, nn.InstanceNorm3d(made, affine=True), nn.LeakyReLU(_SLOPE))


def _like(x: Tensor, other: Tensor) -> Tensor:
    """Linear between the points of `x`, corner to corner, at those of `other`."""
    return F.interpolate(x, size=other.shape[2:], mode="trilinear", align_corners=True)
