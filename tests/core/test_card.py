"""The card before a fit: scans with known shifts, gains and times; and what is said about them."""

import dataclasses

import numpy as np
import pytest
import torch

from noder.card import REMEDIES, Look, ScanLook, card, format_card, look, remedy_words
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image
from noder.series import OFFER_TO_ALIGN, ImageSeries

SPACING = (1.0, 2.0, 1.5)
SHAPE = (40, 24, 30)


def grid() -> Grid:
    """Not RAS: the look must not depend on how the voxels are stored."""
    affine = np.diag([-SPACING[0], SPACING[1], SPACING[2], 1.0])
    return Grid(SHAPE, affine)


def blob(shift_mm=(0.0, 0.0, 0.0)):
    """A bright ellipsoid of 100 on 10, moved by mm along the stored axes."""
    axes = [(np.arange(n) - (n - 1) / 2) * h - s for n, h, s in zip(SHAPE, SPACING, shift_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    r = np.sqrt((x / 9) ** 2 + (y / 12) ** 2 + (z / 10) ** 2)
    return 10 + 90 / (1 + np.exp(np.clip((r - 1) * 10, -30, 30)))


def series(volumes, times=None, unit="days"):
    images = [Image.from_array(v.astype(np.float32), grid(), f"scan_{k}") for k, v in enumerate(volumes)]
    return ImageSeries.from_images(images, times or [float(k) for k in range(len(volumes))], unit)


def even(n=5):
    return series([blob() for _ in range(n)])


def sentences(made):
    return " ".join(concern.sentence for concern in made.concerns)


def remedies(made):
    return [name for concern in made.concerns for name in concern.remedies]


def test_the_look_finds_the_gain_the_shift_and_the_likeness():
    seen = look(series([blob(), 2 * blob() + 7, blob((6.0, 0.0, -4.5))]))
    same, brighter, moved = seen.scans
    assert (same.gain, same.offset) == (pytest.approx(1), pytest.approx(0, abs=1e-3))
    assert same.correlation == pytest.approx(1)
    assert brighter.gain == pytest.approx(0.5, rel=1e-4)
    assert brighter.offset == pytest.approx(-3.5, abs=0.02)
    assert brighter.correlation == pytest.approx(1, abs=1e-6)
    assert brighter.shift_mm == pytest.approx(0, abs=0.05)
    assert moved.correlation < same.correlation - 0.1
    assert moved.shift_mm == pytest.approx(7.5, rel=0.35)  # of the part that lies in the mask


def test_a_mask_file_is_used(tmp_path):
    from noder.image import write_volume

    inside = np.zeros(SHAPE, np.uint8)
    inside[:20] = 1
    write_volume(tmp_path / "half.nii.gz", inside, grid())
    seen = look(even(2), tmp_path / "half.nii.gz")
    assert (seen.mask_name, seen.mask_share) == ("half.nii.gz", pytest.approx(0.5))


def test_what_is_left_out_is_not_looked_at():
    assert [scan.index for scan in look(even(4), exclude={2}).scans] == [0, 1, 3]


def test_a_good_series_has_no_warning():
    made = card(even(), FitConfig(), look(even()))
    assert [concern for concern in made.concerns if concern.is_warning] == []
    facts = dict(made.facts)
    assert facts["Scans"] == "5 seen"
    assert "none needs resampling" in facts["Grid"]
    assert "stored LAS" in facts["Grid"]
    assert facts["Times"] == "0 to 4 days, from: given"
    assert facts["Takes"].endswith("of memory")


def test_few_scans_ask_for_the_linear_model_unless_it_is_chosen():
    three = even(3)
    assert "linear" in remedies(card(three, FitConfig(), look(three)))
    assert "linear" not in remedies(card(three, FitConfig(method="geodesic"), look(three)))
    five = even(5)
    assert "linear" in remedies(card(five, FitConfig(hold_out=(1, 2)), look(five)))


def test_two_scans_at_nearly_one_time():
    near = series([blob()] * 5, [0.0, 10.0, 10.05, 20.0, 30.0])
    made = card(near, FitConfig(), look(near))
    assert "Scans 1 and 2 were made at nearly one time (0.05 days apart)" in sentences(made)
    assert "drop 2" in remedies(made)
    assert "drop 2" not in remedies(card(near, FitConfig(exclude=(2,)), look(near, exclude={2})))


def unlike(index, correlation, gain=1.0):
    return ScanLook(index, f"scan_{index}", 50, 10, 90, gain, 0, correlation, 12.3)


def seen_with(*scans):
    return Look((unlike(0, 1.0), *scans), "estimated", 0.4)


def test_a_scan_that_is_unlike_the_first_can_be_aligned_or_dropped():
    five = even()
    made = card(five, FitConfig(), seen_with(unlike(1, 0.9), unlike(2, 0.3), unlike(3, 0.9), unlike(4, 0.9)))
    assert "Scan 2 is unlike the first (correlation 0.30, centres 12.3 mm apart)" in sentences(made)
    assert [name for name in remedies(made) if name != "mask"] == ["align", "drop 2"]
    aligned = card(five, FitConfig(align="rigid"), seen_with(unlike(2, 0.3)))
    assert "align" not in remedies(aligned)


def test_files_that_lie_apart_are_offered_an_alignment():
    apart = dataclasses.replace(even(), notes=(f"lying apart from scan_0: scan_1 by 9.0 mm; {OFFER_TO_ALIGN}",))
    made = card(apart, FitConfig(), look(even()))
    assert "scan_1 by 9.0 mm" in sentences(made)
    assert remedies(made)[0] == "align"


def test_drift_of_brightness_is_a_warning_only_where_it_is_not_matched():
    drifting = seen_with(unlike(1, 0.9, gain=1.1), unlike(2, 0.9, gain=0.5))
    loose = card(even(), FitConfig(match_intensity=False), drifting)
    assert "scan 2 needs a gain of 0.50" in sentences(loose)
    assert "match" in remedies(loose)
    assert "match" not in remedies(card(even(), FitConfig(), drifting))


def test_a_mask_is_asked_for_where_it_matters_most():
    plain, moved = (card(even(), FitConfig(align=kind), look(even())) for kind in ("none", "rigid"))
    (note,) = (concern for concern in plain.concerns if "mask" in concern.remedies)
    (warning,) = (concern for concern in moved.concerns if "mask" in concern.remedies)
    assert (note.is_warning, warning.is_warning) == (False, True)


def test_too_little_memory_offers_half_the_resolution(monkeypatch):
    import noder.estimate

    monkeypatch.setattr(noder.estimate, "available_memory", lambda device="cpu": 2e6)
    made = card(even(), FitConfig(), look(even()))
    assert "of memory, and" in sentences(made)
    assert "half" in remedies(made)
    assert "half" not in remedies(card(even(), FitConfig(preset="fast"), look(even())))


def test_every_remedy_has_words_and_the_text_has_every_line():
    assert remedy_words("drop 5") == "Drop scan 5"
    assert all(remedy_words(f"{name} 1") for name in REMEDIES)
    three = even(3)
    made = card(three, FitConfig(), look(three))
    text = format_card(made)
    assert len(text.splitlines()) == len(made.facts) + len(made.concerns)
    assert "warning: The fit sees 3 scans" in text


def test_shifts_are_in_mm_along_anisotropic_axes():
    """Two voxels of 2 mm, seen by the centres of brightness of a blob that stays inside."""
    seen = look(series([blob(), blob((0.0, 4.0, 0.0))]))
    assert 2.5 < seen.scans[1].shift_mm <= 4.2
    assert torch.get_default_dtype() == torch.float32
