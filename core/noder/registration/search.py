"""Where a scan roughly lies: rigid, by mutual information at a coarse level; SimpleITK does the work.

Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE TMI 22, 2003.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.alignment import LPS, Matrix, matrix_of
from noder.grid import Grid
from noder.registration.pair import Pair

_BINS = 32
_ITERATIONS = 100
_CONVERGED, _WINDOW = 1e-5, 5
"""The optimiser stops where the last `_WINDOW` values rise by less than this."""
_LINE_SEARCH = (0.0, 5.0, 0.01, 8)
"""Shortest and longest step in parts of the first guess, precision, and evaluations a search."""


def best_start(pair: Pair, mm: float) -> Matrix | None:
    """The best of the places found from the headers, the middles and the centres of mass; None where there is none.

    All voxels of the level are compared by one thread, so that the result is the same to the bit on any machine.
    """
    level = pair.at(mm)
    middle = level.fixed_grid.corners_mm.mean(axis=0)
    shifts = [np.zeros(3), level.moving_grid.corners_mm.mean(axis=0) - middle]
    shifts.append(_mass(level.moving, level.moving_grid) - _mass(level.fixed, level.fixed_grid))
    best, most = None, 0.0
    with _one_thread():
        for k, shift in enumerate(shifts):
            if any(np.linalg.norm(shift - other) < mm for other in shifts[:k]):
                continue
            found = _rigid(level, middle, shift)
            value = 0.0 if found is None else level.correlation(found)
            if value > most:
                best, most = found, value
    return best


def _rigid(level: Pair, middle: NDArray[np.float64], shift: NDArray[np.float64]) -> Matrix | None:
    """From a shift; None where the two do not overlap there."""
    import SimpleITK as sitk

    transform = sitk.Euler3DTransform()
    transform.SetCenter((LPS[:3, :3] @ middle).tolist())
    transform.SetTranslation((LPS[:3, :3] @ shift).tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetInterpolator(sitk.sitkLinear)
    if level.mask is not None:
        method.SetMetricFixedMask(to_itk(level.mask.astype(np.uint8), level.fixed_grid))
    # a regular step descent stopped halfway on textured phantoms
    method.SetOptimizerAsConjugateGradientLineSearch(1.0, _ITERATIONS, _CONVERGED, _WINDOW, *_LINE_SEARCH)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(to_itk(level.fixed, level.fixed_grid), to_itk(level.moving, level.moving_grid))
    except RuntimeError:  # all points map outside
        return None
    return matrix_of(transform)


def to_itk(volume: NDArray[Any], grid: Grid) -> Any:
    """The image of SimpleITK of `volume` (I,J,K) on a grid at right angles; here RAS becomes LPS."""
    import SimpleITK as sitk

    image, lps = sitk.GetImageFromArray(np.ascontiguousarray(volume.T)), LPS @ grid.affine
    image.SetSpacing(grid.spacing)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    return image


def _mass(volume: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    """RAS mm of the centre of mass of what is brighter than the mean."""
    weight = np.clip(volume.astype(np.float64) - volume.mean(dtype=np.float64), 0, None)
    return np.asarray((grid.points().numpy() * weight[..., None]).sum(axis=(0, 1, 2)) / weight.sum())


_users, _threads, _users_lock = 0, 1, threading.Lock()


@contextmanager
def _one_thread() -> Iterator[None]:
    """ITK's sums are those of one thread: several give other last digits each time, whatever a method is told."""
    import SimpleITK as sitk

    global _users, _threads
    with _users_lock:
        if _users == 0:
            _threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        _users += 1
    try:
        yield
    finally:
        with _users_lock:
            _users -= 1
            if _users == 0:
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(_threads)
