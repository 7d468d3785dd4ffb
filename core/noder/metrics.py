"""How close a predicted image is to the true one, and how well two label maps overlap; plain numpy.

NRMSE, SSIM and PSNR are scikit-image's, NCC is numpy's; each over the whole array or in a mask. The data range is
always the caller's, so that rows of one report are comparable; a range of 0 (a constant truth) has no score: nan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import mean_squared_error, normalized_root_mse, structural_similarity

from noder.errors import InputError

Array: TypeAlias = NDArray[Any]

SCORES = ("nrmse", "ssim", "ncc", "psnr")
"""Names of the scores of `similarity_scores`; those in the mask end in `_mask`."""
SSIM_WINDOW = 7
_SLAB = 16


def nrmse(truth: Array, prediction: Array, mask: Array | None = None) -> float:
    """Root mean squared error over the root mean square of the truth: scikit-image's Euclidean norm.

    Arrays of any equal shape; `mask` (same shape) keeps its non-zero voxels. nan where the truth is all 0.
    Raises InputError for unequal shapes and for an empty mask.
    """
    true, test = _selected(truth, prediction, mask)
    return float(normalized_root_mse(true, test)) if np.any(true) else float("nan")


def ncc(truth: Array, prediction: Array, mask: Array | None = None) -> float:
    """Normalised cross-correlation, Pearson's over all voxels: 1 is best, whatever the gain and offset.

    nan where either image is constant. Raises InputError for unequal shapes and for an empty mask.
    """
    true, test = (part.reshape(-1) for part in _selected(truth, prediction, mask))
    if np.ptp(true) == 0 or np.ptp(test) == 0:
        return float("nan")
    true, test = true - true.mean(), test - test.mean()
    return float(np.dot(true, test) / (np.linalg.norm(true) * np.linalg.norm(test)))


def psnr(truth: Array, prediction: Array, data_range: float, mask: Array | None = None) -> float:
    """Peak signal-to-noise ratio in dB for the given data range; inf for equal images, nan for a range of 0.

    Raises InputError for unequal shapes, an empty mask and a negative or non-finite range.
    """
    true, test = _selected(truth, prediction, mask)
    if _checked_range(data_range) == 0:
        return float("nan")
    error = float(mean_squared_error(true, test))
    return float(10 * np.log10(data_range**2 / error)) if error > 0 else float("inf")


def ssim(
    truth: Array, prediction: Array, data_range: float, mask: Array | None = None, window: int = SSIM_WINDOW
) -> float:
    """Structural similarity with a uniform window of `ssim_window(shape, window)` voxels along each axis.

    Whole array: scikit-image's mean, which leaves out the border of half a window. In a mask: the mean of the
    full SSIM map over the mask's voxels. nan for a range of 0 and where no window of at least 3 voxels fits.
    Raises InputError for unequal shapes, an empty mask and a negative or non-finite range.
    """
    whole, in_mask = _ssim_whole_and_mask(truth, prediction, data_range, mask, window)
    return whole if mask is None else in_mask


def ssim_window(shape: Iterable[int], window: int = SSIM_WINDOW) -> int:
    """The window of `ssim`: the largest odd size up to `window` that fits every axis longer than 1 voxel.

    1 means that none fits (an axis of 2 voxels, or a single voxel): SSIM is nan there.
    """
    smallest = min([window, *(n for n in shape if n > 1)])
    return smallest - 1 + smallest % 2 if any(n > 1 for n in shape) else 1


def similarity_scores(
    truth: Array, prediction: Array, data_range: float, mask: Array | None = None, window: int = SSIM_WINDOW
) -> dict[str, float]:
    """NRMSE, SSIM, NCC and PSNR over the whole volume (`nrmse`, `ssim`, `ncc`, `psnr`) and, with a mask, in it.

    The names in the mask end in `_mask`; `ssim_window` and `data_range` say what was used. The SSIM map is
    computed once for both. Raises InputError as the single functions do.
    """
    whole, in_mask = _ssim_whole_and_mask(truth, prediction, data_range, mask, window)
    scores = {
        "nrmse": nrmse(truth, prediction),
        "ssim": whole,
        "ncc": ncc(truth, prediction),
        "psnr": psnr(truth, prediction, data_range),
        "ssim_window": ssim_window(truth.shape, window),
        "data_range": float(data_range),
    }
    if mask is not None:
        scores["nrmse_mask"] = nrmse(truth, prediction, mask)
        scores["ssim_mask"] = in_mask
        scores["ncc_mask"] = ncc(truth, prediction, mask)
        scores["psnr_mask"] = psnr(truth, prediction, data_range, mask)
    return scores


def dice(labels_a: Array, labels_b: Array, labels: Iterable[int] | None = None) -> dict[int, float]:
    """Dice overlap 2|A and B| / (|A| + |B|) of each label found in either map (0 left out), or of `labels`.

    nan for a label that neither map holds. Raises InputError for unequal shapes and for voxels that are not
    whole numbers (a label map that was interpolated linearly).
    """
    a, b = _whole_numbers(labels_a), _whole_numbers(labels_b)
    _check_shapes(a, b)
    count_a, count_b, both = _counts(a), _counts(b), _counts(a[a == b])
    wanted = sorted((count_a.keys() | count_b.keys()) - {0}) if labels is None else list(labels)
    return {k: _ratio(2 * both.get(k, 0), count_a.get(k, 0) + count_b.get(k, 0)) for k in wanted}


def _ssim_whole_and_mask(
    truth: Array, prediction: Array, data_range: float, mask: Array | None, window: int
) -> tuple[float, float]:
    _check_shapes(truth, prediction)
    inside = None if mask is None else np.squeeze(_checked_mask(mask, truth.shape))
    size = ssim_window(truth.shape, window)
    if _checked_range(data_range) == 0 or size < 3:
        return float("nan"), float("nan")
    border = (size - 1) // 2
    whole = in_mask = 0.0
    true, test = np.squeeze(truth), np.squeeze(prediction)
    for start, values in _ssim_slabs(true, test, data_range, size):
        low, high = max(border - start, 0), min(true.shape[0] - border - start, len(values))
        inner = (slice(low, max(high, low)), *(slice(border, n - border) for n in true.shape[1:]))
        whole += float(values[inner].sum())
        in_mask += 0.0 if inside is None else float(values[inside[start : start + len(values)]].sum())
    n_inner = math.prod(n - 2 * border for n in true.shape)
    return whole / n_inner, float("nan") if inside is None else in_mask / int(inside.sum())


def _ssim_slabs(true: Array, test: Array, data_range: float, size: int) -> Iterator[tuple[int, Array]]:
    """The SSIM map in slabs across the first axis, each with the number of its first plane.

    scikit-image keeps a dozen float64 volumes at a time: of a slab they are few and stay in the cache.
    """
    halo, n = size // 2, true.shape[0]
    for start in range(0, n, _SLAB):
        stop = min(start + _SLAB, n)
        low, high = max(start - halo, 0), min(stop + halo, n)
        low = max(0, min(low, high - size))  # a last thin slab: the window must fit
        # float64: the variances are differences of window means, which cancel in float32 on bright flat tissue
        parts = (np.asarray(x[low:high], dtype=np.float64) for x in (true, test))
        _, values = structural_similarity(*parts, win_size=size, data_range=data_range, full=True)
        yield start, values[start - low : stop - low]


def _selected(truth: Array, prediction: Array, mask: Array | None) -> tuple[Array, Array]:
    _check_shapes(truth, prediction)
    true, test = np.asarray(truth, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
    if mask is None:
        return true, test
    inside = _checked_mask(mask, truth.shape)
    return true[inside], test[inside]


def _check_shapes(truth: Array, prediction: Array) -> None:
    if truth.shape != prediction.shape:
        raise InputError(
            f"Arrays of {truth.shape} and {prediction.shape} voxels cannot be compared: "
            "resample one onto the grid of the other first."
        )


def _checked_mask(mask: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.asarray(mask) != 0
    if inside.shape != shape:
        raise InputError(f"The mask has {inside.shape} voxels and the image {shape}: use a mask on the image's grid.")
    if not inside.any():
        raise InputError("The mask is empty (no voxel above 0), so nothing can be scored in it: use another mask.")
    return inside


def _checked_range(data_range: float) -> float:
    if not np.isfinite(data_range) or data_range < 0:
        raise InputError(
            f"A data range of {data_range} cannot be used: give the true image's maximum minus its minimum."
        )
    return data_range


def _whole_numbers(labels: Array) -> NDArray[np.int64]:
    values = np.asarray(labels)
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    if not np.array_equal(whole, values):
        raise InputError(
            "A label map holds values that are not whole numbers: resample labels with nearest neighbours."
        )
    return whole


def _counts(labels: NDArray[np.int64]) -> dict[int, int]:
    values, counts = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else float("nan")
