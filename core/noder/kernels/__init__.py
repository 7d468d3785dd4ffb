"""Compiled inner loops for the CPU: NumPy arrays in, NumPy arrays out.

The contract of every kernel:
- it is serial, releases the GIL and works on a range of planes or points; `deal` spreads ranges over torch's threads,
- what it computes for a point or a plane does not depend on the ranges, and sums come back in parts (one a plane), to
  be added in a fixed order: 1 and 2 threads give equal bits,
- it works in voxel units, on C-ordered float32 volumes (I,J,K) with two voxels or more an axis where nothing else is
  said; sums over a window or a volume are float64 (float32 ones cancel in flat background).

`noder.grid`, `noder.fields`, `noder.decoder`, `noder.similarity` and `noder.regularity` hold the same in plain torch:
for CUDA, for float64, and as what these are tested against. Compiling takes some seconds once and is kept on disk.
"""

from __future__ import annotations

import os
import threading

import numpy as np
import torch
from numpy.typing import NDArray

from noder.kernels.advection import advect
from noder.kernels.banded import Banded, apply_banded
from noder.kernels.carrying import add_carried, drift, side_by_side
from noder.kernels.correlation import correlate
from noder.kernels.differences import determinant
from noder.kernels.folding import corners, shortfall
from noder.kernels.sampling import compose, compose_back, pull, pull_slopes, splat, warp

__all__ = [
    "Banded", "add_carried", "advect", "apply_banded", "compose", "compose_back", "corners", "correlate",
    "determinant", "drift", "pull", "pull_slopes", "shortfall", "side_by_side", "splat", "usable", "warm_up", "warp",
]  # fmt: skip

ENABLED = os.environ.get("NODER_KERNELS", "numba") != "torch"
"""False with NODER_KERNELS=torch in the environment: plain torch everywhere."""

_warming: threading.Thread | None = None


def usable(*tensors: torch.Tensor) -> bool:
    """Whether to use kernels for these tensors: float32 or float64 of one kind on the CPU, and compiled.

    A window's main thread does not wait for the compiler, every other thread does.
    """
    if not ENABLED or any(tensor.device.type != "cpu" for tensor in tensors):
        return False
    kinds = {tensor.dtype for tensor in tensors}
    if len(kinds) != 1 or not kinds <= {torch.float32, torch.float64}:
        return False
    if _warming is not None and _warming.is_alive() and threading.current_thread() is not _warming:
        if threading.current_thread() is threading.main_thread():
            return False
        _warming.join()
    return True


def warm_up() -> threading.Thread:
    """Compile everything, or load it from the disk, in the background."""
    global _warming
    if _warming is None:
        _warming = threading.Thread(target=_compile, name="compile kernels", daemon=True)
        _warming.start()
    return _warming


def _compile() -> None:
    if not ENABLED:
        return
    for kind in (np.float32, np.float64):
        volume, index = np.zeros((3, 4, 4, 4), kind), np.zeros((2, 3), kind)
        for each in (volume, volume.transpose(0, 3, 2, 1), np.zeros((4, 4, 4, 3), kind).transpose(3, 0, 1, 2)):
            pull_slopes(each, index, pull(each, index))
            advect(each, index, 1.0, 1)
            advect(each, index.astype(np.float64), 1.0, 1)
            determinant(each, (1.0, 1.0, 1.0), (slice(0, 4), slice(0, 4), slice(0, 4)))
        splat(np.zeros((3, 2), kind), index, (4, 4, 4))
        compose_back(volume, volume, compose(volume, volume))
    field, image = np.zeros((3, 4, 4, 4), np.float32), np.zeros((4, 4, 4), np.float32)
    _compile_for_the_screen(field, image)
    warp(image, field)
    correlate(image, image, image, image, image, (3, 3, 3), 1e-3)
    shortfall(field, 0.25)
    corners(field)
    wider = Banded.of(np.ones((5, 4), np.float32))
    narrower = wider.transposed
    apply_banded((narrower, narrower, narrower), apply_banded((wider, wider, wider), field))


def _compile_for_the_screen(field: NDArray[np.float32], image: NDArray[np.float32]) -> None:
    """For volumes of any order, and for carriers that lie as `side_by_side` leaves them."""
    x, y, z = (np.arange(n, dtype=np.float32) for n in image.shape)
    lattice = x, y, z
    carrier = side_by_side(field)[0].transpose(3, 0, 1, 2)
    u = drift(carrier, lattice, (1.0, 1.0, 1.0), 1.0, 1)
    for scan in (image, image.transpose(2, 1, 0), image[:, ::2]):
        add_carried(np.zeros_like(image), scan, lattice, u, (carrier, (1, 1, 1)), 1.0, 0.0)
