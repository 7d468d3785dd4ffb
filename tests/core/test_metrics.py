"""Metrics against closed forms and scikit-image."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from noder.errors import InputError
from noder.metrics import dice, ncc, nrmse, psnr, similarity_scores, ssim, ssim_window


@pytest.fixture(autouse=True)
def no_numpy_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 1000, (12, 11, 10)).astype(np.float32)
    return truth, truth + rng.normal(0, 50, truth.shape).astype(np.float32)


def test_nrmse_is_the_euclidean_ratio(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    error = np.linalg.norm((prediction.astype(float) - truth).ravel())
    assert nrmse(truth, prediction) == pytest.approx(error / np.linalg.norm(truth.astype(float).ravel()))
    assert nrmse(truth, truth) == 0
    assert nrmse(truth, 0 * truth) == pytest.approx(1)


def test_psnr_and_ssim_are_those_of_scikit_image(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    assert psnr(truth, prediction, 900) == pytest.approx(
        peak_signal_noise_ratio(truth, prediction, data_range=900), rel=1e-6
    )
    assert ssim(truth, prediction, 900) == pytest.approx(
        structural_similarity(truth, prediction, data_range=900, win_size=7), abs=1e-5
    )


def test_a_mask_selects_voxels(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    mask = np.zeros(truth.shape, dtype=np.uint8)
    mask[3:7, 2:9, 4:8] = 3
    inside = mask > 0
    assert nrmse(truth, prediction, mask) == pytest.approx(nrmse(truth[inside], prediction[inside]))
    assert psnr(truth, prediction, 900, mask) == pytest.approx(psnr(truth[inside], prediction[inside], 900))
    _, values = structural_similarity(truth, prediction, data_range=900, win_size=7, full=True)
    assert ssim(truth, prediction, 900, mask) == pytest.approx(values[inside].mean(), abs=1e-5)

    spoilt = prediction.copy()
    spoilt[~inside] = 1e6
    assert nrmse(truth, spoilt, mask) == nrmse(truth, prediction, mask)


def test_ncc_is_pearsons_and_blind_to_gain_and_offset(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    inside = truth > 300
    assert ncc(truth, prediction) == pytest.approx(np.corrcoef(truth.ravel(), prediction.ravel())[0, 1], rel=1e-6)
    assert ncc(truth, prediction, inside) == pytest.approx(
        np.corrcoef(truth[inside].astype(float), prediction[inside].astype(float))[0, 1], rel=1e-9
    )
    assert ncc(truth, 3 * prediction + 50, inside) == pytest.approx(ncc(truth, prediction, inside), rel=1e-6)
    assert ncc(truth, -truth) == pytest.approx(-1)
    assert math.isnan(ncc(np.full((3, 3), 0.1), truth[0, :3, :3]))


def test_all_scores_are_named_after_where_they_hold(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    mask = truth > 500
    whole = similarity_scores(truth, prediction, 900)
    assert whole.keys() == {"nrmse", "ssim", "ncc", "psnr", "ssim_window", "data_range"}
    both = similarity_scores(truth, prediction, 900, mask)
    assert both == whole | {
        "nrmse_mask": nrmse(truth, prediction, mask),
        "ssim_mask": ssim(truth, prediction, 900, mask),
        "ncc_mask": ncc(truth, prediction, mask),
        "psnr_mask": psnr(truth, prediction, 900, mask),
    }
    assert both["ssim_window"] == 7


@pytest.mark.parametrize(
    ("shape", "window"),
    [
        ((9, 9, 9), 7),
        ((9, 6, 9), 5),
        ((9, 9, 4), 3),
        ((9, 9, 3), 3),
        ((9, 9, 1), 7),
        ((9, 2, 9), 1),
        ((1, 1), 1),
    ],
)
def test_the_window_shrinks_to_the_thinnest_axis(shape: tuple[int, ...], window: int) -> None:
    assert ssim_window(shape) == window
    rng = np.random.default_rng(1)
    truth = rng.random(shape)
    score = ssim(truth, truth + 0.1 * rng.random(shape), 1.0)
    assert math.isnan(score) if window == 1 else 0 < score < 1


def test_a_slice_scores_as_its_two_dimensional_image() -> None:
    rng = np.random.default_rng(2)
    truth = rng.random((12, 13))
    prediction = truth + 0.1 * rng.random((12, 13))
    want = structural_similarity(truth, prediction, data_range=1.0, win_size=7)
    assert ssim(truth[:, None], prediction[:, None], 1.0) == pytest.approx(want)
    mask = truth[:, None] > 0.5
    assert ssim(truth[:, None], prediction[:, None], 1.0, mask) == pytest.approx(
        ssim(truth, prediction, 1.0, truth > 0.5)
    )


def test_constant_images_have_no_score_and_equal_ones_the_best() -> None:
    flat = np.full((8, 8, 8), 3.0)
    assert math.isnan(psnr(flat, flat + 1, 0.0))
    assert math.isnan(ssim(flat, flat + 1, 0.0))
    assert math.isnan(nrmse(0 * flat, flat))
    assert psnr(flat, flat, 1.0) == math.inf
    assert ssim(flat, flat, 1.0) == 1
    assert nrmse(flat, flat) == 0


def test_float32_cancellation_does_not_spoil_ssim() -> None:
    rng = np.random.default_rng(3)
    truth = (1e5 + rng.random((10, 10, 10))).astype(np.float32)
    prediction = truth + np.float32(0.5)
    want = structural_similarity(truth.astype(float), prediction.astype(float), data_range=1.0, win_size=7)
    assert ssim(truth, prediction, 1.0) == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("data_range", [-1.0, math.nan, math.inf])
def test_a_range_that_is_none_is_refused(data_range: float) -> None:
    image = np.ones((8, 8, 8))
    for score in (psnr, ssim):
        with pytest.raises(InputError, match="data range"):
            score(image, image, data_range)


def test_empty_masks_and_other_shapes_are_refused() -> None:
    image = np.ones((8, 8, 8))
    for score in (nrmse, ncc, lambda *a: psnr(*a[:2], 1.0, *a[2:]), lambda *a: ssim(*a[:2], 1.0, *a[2:])):
        with pytest.raises(InputError, match="mask is empty"):
            score(image, image, np.zeros(image.shape))
        with pytest.raises(InputError, match="mask has"):
            score(image, image, np.ones((2, 2, 2)))
        with pytest.raises(InputError, match="cannot be compared"):
            score(image, image[1:])


def test_dice_of_each_label() -> None:
    a = np.array([0, 1, 1, 1, 2, 2, 0, 5])
    b = np.array([0, 1, 1, 2, 2, 2, 7, 0])
    assert dice(a, b) == {1: pytest.approx(0.8), 2: pytest.approx(0.8), 5: 0, 7: 0}
    assert dice(a.astype(np.float32), b.astype(np.uint8)) == dice(a, b)
    assert dice(a, a) == {1: 1, 2: 1, 5: 1}
    assert dice(0 * a, 0 * b) == {}
    only = dice(a, b, [2, 9])
    assert only[2] == pytest.approx(0.8)
    assert math.isnan(only[9])


def test_labels_that_were_blended_are_refused() -> None:
    with pytest.raises(InputError, match="whole numbers"):
        dice(np.array([0.5, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="whole numbers"):
        dice(np.array([np.nan, 1.0]), np.array([0.0, 1.0]))
    with pytest.raises(InputError, match="cannot be compared"):
        dice(np.zeros(3), np.zeros(4))


@pytest.mark.parametrize("shape", [(40, 11, 10), (17, 9, 8), (33, 1, 12), (18, 7, 7)])
def test_ssim_in_slabs_is_that_of_the_whole_volume(shape: tuple[int, ...]) -> None:
    """Slabs of 16 planes, some with a last one thinner than the window."""
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1000, shape)
    prediction = truth + rng.normal(0, 50, shape)
    mask = rng.uniform(size=shape) > 0.4
    flat = [np.squeeze(x) for x in (truth, prediction, mask)]
    whole, values = structural_similarity(*flat[:2], data_range=900, win_size=ssim_window(shape), full=True)
    scores = similarity_scores(truth, prediction, 900, mask)
    assert scores["ssim"] == pytest.approx(whole, rel=1e-12)
    assert scores["ssim_mask"] == pytest.approx(values[flat[2]].mean(), rel=1e-12)
