"""Alignment: known motions are found again, on any grid, to the bit; other programs read what is kept of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from engine_kit import SHORT, moving_series
from numpy.typing import NDArray
from sample_grids import affine_of
from scipy.spatial.transform import Rotation

from noder.align import aligned, describe_alignments, in_own_space, offered, placed, unaligned, write_alignments
from noder.alignment import Alignment, read_itk_transform, write_itk_transform
from noder.errors import InputError, UsageError
from noder.export import export
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image, write_volume
from noder.series import ImageSeries
from noder.store import load_result, save_result

Matrix = NDArray[np.float64]

CENTRE = np.array([3.0, -8.0, 12.0])
"""Where the phantom's middle lies, RAS mm: not at the scanner's origin."""
CUBE = Grid((44, 48, 40), affine_of("RAS", (2.0, 2.0, 2.0)))
STORED = {
    "RAS": CUBE,
    "PSR": Grid((48, 40, 44), affine_of("PSR", (2.0, 2.0, 2.0))),
    "oblique LPI": Grid((52, 60, 32), affine_of("LPI", (1.75, 1.5, 3.0), (-12, 17, 9))),
}


def centred(grid: Grid) -> Grid:
    """The same voxels about `CENTRE`."""
    affine = grid.affine.copy()
    affine[:3, 3] += CENTRE - grid.corners_mm.mean(axis=0)
    return Grid(grid.shape, affine)


def phantom(points: Matrix) -> Matrix:
    """A head that can be asked anywhere: a soft ellipsoid of radii 32, 38 and 28 mm with blobs of 3 to 9 mm in it."""
    arm = points - CENTRE
    random = np.random.default_rng(11)
    middles, sizes, heights = random.uniform(-26, 26, (60, 3)), random.uniform(3, 9, 60), random.uniform(-300, 400, 60)
    inside = 1 / (1 + np.exp(25 * (np.linalg.norm(arm / [32, 38, 28], axis=-1) - 1)))
    blobs = np.zeros(points.shape[:-1])
    for middle, size, height in zip(middles, sizes, heights, strict=True):
        blobs += height * np.exp(-((arm - middle) ** 2).sum(axis=-1) / (2 * size**2))
    return np.asarray(inside * (600 + blobs))


def scan(stored: Grid, motion: Matrix | None = None, *, seed: int = 0, noise: float = 8.0) -> NDArray[np.float32]:
    """The phantom moved by `motion` (RAS mm, a point of the phantom -> of the scan), as stored, with noise."""
    back = np.linalg.inv(np.eye(4) if motion is None else motion)
    points = stored.points().numpy() @ back[:3, :3].T + back[:3, 3]
    return (phantom(points) + np.random.default_rng(seed).normal(0, noise, stored.shape)).astype(np.float32)


def image(name: str, stored: Grid, motion: Matrix | None = None, *, seed: int = 0, noise: float = 8.0) -> Image:
    return Image.from_array(scan(stored, motion, seed=seed, noise=noise), stored, name)


def motion(
    degrees: tuple[float, float, float], mm: tuple[float, float, float], stretch: Matrix | None = None
) -> Matrix:
    """Turn about the phantom's middle, stretch and shift."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()
    if stretch is not None:
        matrix[:3, :3] = matrix[:3, :3] @ stretch
    matrix[:3, 3] = CENTRE + mm - matrix[:3, :3] @ CENTRE
    return matrix


RIGID = motion((5, -4, 6), (2.5, -3.5, 1.5))
AFFINE = motion((-4, 3, 5), (2, 3, -2), np.array([[1.06, 0.02, 0], [0, 0.95, 0.03], [0.01, 0, 1.03]]))


def error_mm(found: Matrix, true: Matrix) -> float:
    """Mean distance between where two matrices put the phantom's points."""
    points = centred(CUBE).points().numpy().reshape(-1, 3)
    points = points[phantom(points) > 300][::7]
    difference = found - true
    return float(np.linalg.norm(points @ difference[:3, :3].T + difference[:3, 3], axis=1).mean())


def pair_of(first: Grid, second: Grid, moved: Matrix | None, noise: float = 8.0) -> ImageSeries:
    """Two scans of the phantom, the second moved and with another gain of the scanner."""
    reference = image("first", centred(first), noise=noise)
    other = Image.from_array(1.3 * scan(centred(second), moved, seed=1, noise=noise) + 40, centred(second), "second")
    if not other.grid.matches(reference.grid):
        other = other.resampled_onto(reference)
    return ImageSeries.from_images([reference, other], [0.0, 1.0], "years")


def found_in(series: ImageSeries, k: int = 1) -> Alignment:
    """The alignment of scan k."""
    alignment = series.scans[k].image.alignment
    assert alignment is not None
    return alignment


# Known motions


@pytest.mark.parametrize(("kind", "true"), [("rigid", RIGID), ("affine", AFFINE)])
@pytest.mark.parametrize(
    ("first", "second"),
    [("RAS", "RAS"), ("RAS", "oblique LPI"), ("oblique LPI", "PSR"), ("oblique LPI", "oblique LPI")],
)
def test_a_known_motion_is_found(first: str, second: str, kind: str, true: Matrix) -> None:
    series = aligned(pair_of(STORED[first], STORED[second], true), kind)
    alignment = found_in(series)
    assert error_mm(np.eye(4), true) > 4
    assert error_mm(alignment.matrix, true) < 0.05 * min(series.grid.spacing)
    assert alignment.similarity_after > max(0.99, alignment.similarity_before + 0.02)
    expected = np.linalg.norm(Rotation.from_matrix(true[:3, :3]).as_rotvec(degrees=True)) if kind == "rigid" else None
    if expected is not None:
        assert alignment.rotation_degrees == pytest.approx(expected, abs=0.1)
        assert alignment.volume_factor == pytest.approx(1, abs=1e-9)
    else:
        assert alignment.volume_factor == pytest.approx(np.linalg.det(true[:3, :3]), abs=0.003)


def test_the_aligned_scan_shows_the_reference() -> None:
    series = pair_of(CUBE, STORED["oblique LPI"], RIGID, noise=0)
    moved, first = aligned(series, "rigid").scans[1].image, series.reference.image
    assert moved.grid.matches(first.grid)
    bright = first.numpy() > 300
    before, after = (
        np.corrcoef(first.numpy()[bright], v.numpy()[bright])[0, 1] for v in (series.scans[1].image, moved)
    )
    assert before < 0.8
    assert after > 0.99


def test_what_is_aligned_already_stays() -> None:
    series = aligned(pair_of(CUBE, CUBE, None), "rigid")
    assert error_mm(found_in(series).matrix, np.eye(4)) < 0.02 * 2


def test_a_mask_keeps_the_table_out() -> None:
    grid = centred(CUBE)
    table = np.zeros(grid.shape, np.float32)
    table[:, :6, 4:-4] = 3000 * (1 + np.sin(np.arange(44) / 2))[:, None, None]
    reference, other = scan(grid) + table, scan(grid, RIGID, seed=1) + table
    series = ImageSeries.from_images(
        [Image.from_array(v, grid, n) for v, n in ((reference, "a"), (other, "b"))], [0, 1]
    )
    mask = np.ones(grid.shape, dtype=bool)
    mask[:, :12] = False  # and what the motion may pull out of the table
    errors = [error_mm(found_in(aligned(series, "rigid", mask=m)).matrix, RIGID) for m in (mask, None)]
    assert errors[0] < 1
    assert errors[0] < errors[1]


def test_a_scan_in_another_scanners_coordinates_is_found() -> None:
    away = np.eye(4)
    away[:3, 3] = (250, -180, 90)
    there = centred(CUBE)
    other = Image.from_array(scan(there, RIGID, seed=1), Grid(there.shape, away @ there.affine), "b")
    first = image("a", there)
    series = ImageSeries.from_images([first, other.resampled_onto(first)], [0, 1])
    alignment = found_in(aligned(series, "rigid"))
    assert error_mm(alignment.matrix, away @ RIGID) < 0.5
    assert alignment.similarity_before == 0


def test_a_large_turn_is_found_and_said() -> None:
    series = aligned(pair_of(CUBE, CUBE, motion((0, 0, 36), (0, 0, 0))), "rigid")
    assert found_in(series).rotation_degrees == pytest.approx(36, abs=0.5)
    assert any("more than 30 degrees" in note for note in series.notes)


# Repeatable


def test_equal_scans_give_equal_matrices_on_any_number_of_cores() -> None:
    found = []
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads(), torch.get_num_threads()
    try:
        for threads in (1, 2, 2):
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)
            torch.set_num_threads(threads)
            first, other = pair_of(CUBE, CUBE, AFFINE).scans
            three = ImageSeries.from_images([first.image, other.image, image("c", centred(CUBE), RIGID)], [0, 1, 2])
            series = aligned(three, "affine")
            assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == threads
            found.append([(found_in(series, k).rows, series.scans[k].image.numpy().tobytes()) for k in (1, 2)])
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before[0])
        torch.set_num_threads(before[1])
    assert found[0] == found[1] == found[2]


# What is kept


@pytest.mark.parametrize("second", STORED)
def test_itk_resamples_the_stored_scan_with_the_exported_file_as_we_do(tmp_path: Path, second: str) -> None:
    first, other = centred(STORED["oblique LPI"]), centred(STORED[second])
    write_volume(tmp_path / "a.nii", scan(first, noise=0), first)
    write_volume(tmp_path / "b.nii", scan(other, RIGID, noise=0), other)
    series = ImageSeries.from_paths([tmp_path / "a.nii", tmp_path / "b.nii"], times=[0, 1], resample=True)
    series = aligned(series, "rigid")
    (path,) = write_alignments(series, tmp_path)
    assert path.name == describe_alignments(series)[0]["file"] == "align_001.tfm"
    fixed, moving = (sitk.ReadImage(str(tmp_path / n), sitk.sitkFloat64) for n in ("a.nii", "b.nii"))
    theirs = sitk.Resample(moving, fixed, sitk.ReadTransform(str(path)), sitk.sitkBSpline, 0.0, sitk.sitkFloat64, True)
    moved = series.scans[1].image
    ours = moved.to_stored(moved.numpy())
    inside = sitk.Resample(moving * 0 + 1, fixed, sitk.ReadTransform(str(path)), sitk.sitkLinear, 0.0)
    deep = sitk.GetArrayFromImage(sitk.BinaryErode(inside > 0.99, (3, 3, 3))).T > 0
    assert deep.mean() > 0.3
    difference = np.abs(ours - np.clip(sitk.GetArrayFromImage(theirs).T, *np.percentile(moved.raw.numpy(), (0, 100))))
    assert difference[deep].max() < 1e-3 * np.ptp(ours)


def test_a_transform_file_reads_back(tmp_path: Path) -> None:
    write_itk_transform(tmp_path / "x.tfm", AFFINE)
    assert np.abs(read_itk_transform(tmp_path / "x.tfm") - AFFINE).max() < 1e-12
    (tmp_path / "y.tfm").write_text("nothing")
    with pytest.raises(InputError, match=r"y\.tfm cannot be read"):
        read_itk_transform(tmp_path / "y.tfm")


def test_json_keeps_every_bit() -> None:
    alignment = found_in(aligned(pair_of(CUBE, CUBE, AFFINE), "affine"))
    assert Alignment.from_dict(json.loads(json.dumps(alignment.as_dict()))) == alignment
    with pytest.raises(KeyError):
        Alignment.from_dict({"kind": "rigid"})
    with pytest.raises(TypeError):
        Alignment.from_dict({**alignment.as_dict(), "rows": [[1, 0], [0, 1]]})


def test_an_image_goes_back_to_where_the_scan_lay() -> None:
    series = aligned(pair_of(CUBE, STORED["oblique LPI"], RIGID, noise=0), "rigid")
    moved = series.scans[1].image
    back = in_own_space(series.reference.image.numpy(), series.grid, moved)
    assert back.shape == moved.raw.stored_grid.shape
    stored = scan(centred(STORED["oblique LPI"]), RIGID, noise=0)
    bright = stored > 300
    assert np.abs(back - stored)[bright].mean() < 0.02 * np.ptp(stored)


def test_each_scan_is_interpolated_once() -> None:
    series = pair_of(CUBE, STORED["oblique LPI"], RIGID)
    resampled = series.scans[1].image
    moved = aligned(series, "rigid").scans[1].image
    assert moved.raw is resampled.raw
    assert not moved.raw.is_resampled


def test_alignment_is_undone_and_not_repeated() -> None:
    series = pair_of(CUBE, STORED["PSR"], RIGID)
    moved = aligned(series, "rigid")
    assert aligned(moved, "rigid") is moved
    assert aligned(series, "none") is series
    for plain in (aligned(moved, "none"), unaligned(moved)):
        assert plain.scans[1].image.alignment is None
        assert np.array_equal(plain.scans[1].image.numpy(), series.scans[1].image.numpy())
        assert not any("aligned to" in note for note in plain.notes)
    assert found_in(aligned(moved, "affine")).kind == "affine"
    assert found_in(moved.with_times([0.0, 5.0])) is found_in(moved)


def test_a_saved_series_is_put_together_again() -> None:
    first, other = pair_of(CUBE, STORED["PSR"], RIGID).scans
    third = image("c", centred(STORED["oblique LPI"])).resampled_onto(first.image)
    series = aligned(ImageSeries.from_images([first.image, other.image, third], [0, 1, 2]), "rigid", exclude={2})
    series = series.with_times([5.0, 1.0, 2.0])  # what was the first comes last now
    images = [scan.image for scan in series.scans]
    rows = json.loads(json.dumps([None if i.alignment is None else i.alignment.as_dict() for i in images]))
    alignments = [None if row is None else Alignment.from_dict(row) for row in rows]
    again = placed([i.raw for i in images], [i.is_resampled for i in images], alignments)
    assert [i.alignment is None for i in again] == [False, True, True]
    for mine, theirs in zip(again, images, strict=True):
        assert np.array_equal(mine.numpy(), theirs.numpy())


def test_an_excluded_scan_stays_where_it_is() -> None:
    first, other = pair_of(CUBE, CUBE, RIGID).scans
    series = ImageSeries.from_images([first.image, other.image, image("c", centred(CUBE))], [0, 1, 2])
    moved = aligned(series, "rigid", exclude={2})
    assert [scan.image.alignment is None for scan in moved.scans] == [True, False, True]
    assert moved.scans[2].image is series.scans[2].image
    assert [row["index"] for row in describe_alignments(moved)] == [1]


# Words


def test_the_notes_tell_each_motion_and_a_failure() -> None:
    series = aligned(pair_of(CUBE, CUBE, AFFINE), "affine")
    (note,) = [note for note in series.notes if "aligned to" in note]
    assert note.startswith("second: aligned to first (affine): turned by ")
    factor = 1 / found_in(series).volume_factor
    assert f"changed by a factor of {factor:.4f}" in note
    failed = replace(found_in(series), failed=True, similarity_before=0.9, similarity_after=0.4)
    assert "less similar (correlation 0.900 -> 0.400), so it stays" in failed.note()


def test_alignment_is_offered_where_files_lie_apart(tmp_path: Path) -> None:
    grid = centred(CUBE)
    for name, moved, seed in (("a", None, 0), ("b", None, 1), ("c", RIGID, 2)):
        write_volume(tmp_path / f"{name}.nii", scan(grid, moved, seed=seed), grid)
    paths = [tmp_path / f"{name}.nii" for name in "abc"]
    series = offered(ImageSeries.from_paths(paths, times=[0, 1, 2]))
    (note,) = [note for note in series.notes if "--align rigid" in note]
    assert "c.nii by" in note
    assert "b.nii" not in note
    assert not any("--align rigid" in note for note in aligned(series, "rigid").notes)
    assert offered(aligned(series, "rigid")).notes == aligned(series, "rigid").notes
    together = ImageSeries.from_paths(paths[:2], times=[0, 1])
    assert offered(together) is together


def test_alignment_is_offered_where_grids_differ(tmp_path: Path) -> None:
    for name, grid in (("a", CUBE), ("b", STORED["oblique LPI"])):
        write_volume(tmp_path / f"{name}.nii", scan(centred(grid)), centred(grid))
    series = ImageSeries.from_paths([tmp_path / "a.nii", tmp_path / "b.nii"], times=[0, 1], resample=True)
    assert any("--align rigid" in note for note in series.notes)
    assert not any("--align rigid" in note for note in aligned(series, "rigid").notes)


def test_a_4d_file_is_left_alone(tmp_path: Path) -> None:
    grid = centred(CUBE)
    write_volume(tmp_path / "x.nii", np.stack([scan(grid), scan(grid, RIGID)], axis=-1), grid)
    series = ImageSeries.from_paths(tmp_path / "x.nii")
    assert offered(series) is series
    moved = aligned(series, "rigid")
    assert error_mm(found_in(moved).matrix, RIGID) < 0.5
    assert any(note.startswith("x.nii[1]: aligned to x.nii[0] (rigid)") for note in moved.notes)


def test_what_cannot_be_aligned_is_an_error() -> None:
    series = pair_of(CUBE, CUBE, None)
    with pytest.raises(UsageError, match=r"no alignment 'elastic'\. Choose from: none, rigid, affine"):
        aligned(series, "elastic")
    grid = centred(CUBE)
    flat = Image.from_array(np.full(grid.shape, 7, np.float32), grid, "flat")
    with pytest.raises(InputError, match="Every voxel of flat has the value 7"):
        aligned(ImageSeries.from_images([series.reference.image, flat], [0, 1]), "rigid")
    thin = Grid((20, 20, 3), np.eye(4))
    slices = [Image.from_array(np.random.default_rng(k).random(thin.shape), thin, f"slice{k}") for k in range(2)]
    with pytest.raises(InputError, match="slice0 has an axis of 3 voxels; alignment needs at least 8"):
        aligned(ImageSeries.from_images(slices, [0, 1]), "rigid")


def test_an_aligned_fit_reopens_aligned_and_its_export_says_how(tmp_path: Path) -> None:
    series, grid = moving_series(times=[0.0, 1.0])
    turn = np.eye(4)
    angle = math.radians(6)
    turn[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    middle = grid.to_mm((np.array(grid.shape, dtype=float) - 1) / 2)
    turn[:3, 3] = middle - turn[:3, :3] @ middle + [1.5, 0, 0]
    paths = [tmp_path / "first.nii.gz", tmp_path / "second.nii.gz"]
    write_volume(paths[0], series.scans[0].image.numpy(), grid)
    write_volume(paths[1], series.scans[1].image.numpy(), Grid(grid.shape, turn @ grid.affine))
    loaded = ImageSeries.from_paths(paths, times=["0", "1"], unit="years", resample=True)
    result = fit(loaded, FitConfig(settings=SHORT, align="rigid"))
    alignment = result.series.scans[1].image.alignment
    assert alignment is not None
    assert alignment.rotation_degrees == pytest.approx(6, abs=0.5)
    save_result(result, tmp_path / "out")
    again = load_result(tmp_path / "out")
    assert np.array_equal(again.series.scans[1].image.numpy(), result.series.scans[1].image.numpy())
    assert torch.equal(again.trajectory.predict(0.5), result.trajectory.predict(0.5))
    files = {path.name for path in export(again, ["predictions"], [0.5], tmp_path / "files")}
    assert "align_001.tfm" in files
    described = json.loads((tmp_path / "files" / "predict.json").read_text())
    assert described["alignments"][0]["scan"] == "second.nii.gz"
