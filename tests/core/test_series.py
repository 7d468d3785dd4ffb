"""Series: which scans, in which order, on which grid."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from noder.errors import InputError, UsageError
from noder.formats import write_volume
from noder.grid import Grid
from noder.image import Image
from noder.series import ImageSeries

DATA = Path(__file__).parents[1] / "data"
GRID = Grid((4, 5, 6), np.diag([2.0, 2.0, 2.0, 1.0]))


def scan(path: Path, value: float = 1, grid: Grid = GRID) -> Path:
    """A constant 3-D image."""
    write_volume(path, np.full(grid.shape, value, np.float32), grid)
    return path


def four_d(path: Path, n: int = 6, step: float = 10) -> Path:
    """A 4-D file whose volume k is full of k."""
    values = np.broadcast_to(np.arange(n, dtype=np.float32), (4, 5, 6, n))
    write_volume(path, values, GRID, time_step=step, unit="ms")
    return path


def names(series: ImageSeries) -> list[str]:
    return [s.image.name for s in series.scans]


# One series, however it is given


def test_files_are_sorted_by_time_and_remember_their_place(tmp_path: Path) -> None:
    paths = [scan(tmp_path / f"{n}.nii", k) for k, n in enumerate(("c", "a", "b"))]
    series = ImageSeries.from_paths(paths, times=[5, "1", 3.5], unit="yr")
    assert names(series) == ["a.nii", "b.nii", "c.nii"]
    assert (series.times, series.unit, series.frames, series.n_given) == ([1, 3.5, 5], "years", (1, 2, 0), 3)
    assert [float(s.image.numpy()[0, 0, 0]) for s in series.scans] == [1, 2, 0]
    assert series.reference is series.scans[0]
    assert {s.time_source for s in series.scans} == {"times given"}


def test_a_4d_file_reads_headers_only(tmp_path: Path) -> None:
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz"))
    assert (series.times, series.unit) == ([0, 10, 20, 30, 40, 50], "ms")
    assert not any(s.image.is_loaded for s in series.scans)
    assert series.scans[4].image.numpy().max() == 4


def test_frames_select_from_what_was_given(tmp_path: Path) -> None:
    path = four_d(tmp_path / "x.nii.gz")
    series = ImageSeries.from_paths([path], frames=slice(2, 5))
    assert (series.frames, series.n_given, series.times) == ((2, 3, 4), 6, [20, 30, 40])
    assert [s.image.volume for s in series.scans] == [2, 3, 4]
    backwards = ImageSeries.from_paths([path], frames=slice(2, 5), times=[3, 2, 1])
    assert backwards.frames == (4, 3, 2)
    assert ImageSeries.from_paths([path], frames=slice(2, 5), times=[0, 1, 2, 5, 7, 9]).times == [2, 5, 7]


def test_units_convert_what_is_measured(tmp_path: Path) -> None:
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz"), unit="s")
    assert series.times == pytest.approx([0, 0.01, 0.02, 0.03, 0.04, 0.05])


def test_times_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("7\n9\n30\n31\n32\n33\n")
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz"), times_from=tmp_path / "t.txt", frames=slice(0, 3))
    assert series.times == [7, 9, 30]
    assert series.scans[0].time_source.endswith("t.txt")


def test_a_stored_orientation_of_its_own_is_no_other_grid() -> None:
    paths = [DATA / f"niivue/space_{c}.nii.gz" for c in ("LAS", "SLP", "RPI")]
    series = ImageSeries.from_paths(paths)
    assert (series.grid.orientation, series.reference.image.stored_grid.orientation) == ("RAS", "LAS")
    np.testing.assert_array_equal(series.scans[1].image.numpy(), series.scans[0].image.numpy())


def test_volumes_of_one_are_scans(tmp_path: Path) -> None:
    for name in ("a.nii", "b.nii"):
        nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 1), np.float32), np.eye(4)), tmp_path / name)
    assert len(ImageSeries.from_paths([tmp_path / "a.nii", tmp_path / "b.nii"])) == 2


def test_a_pair_is_one_scan_by_either_or_both_names() -> None:
    pair = [DATA / "niivue/ras.img", DATA / "niivue/ras.hdr"]
    assert len(ImageSeries.from_paths(pair, at_least=1)) == 1


# Folders


def test_a_folder_counts_as_people_do_and_leaves_masks_out(tmp_path: Path) -> None:
    for name in (
        "s10.nii",
        "s2.nii.gz",
        "s1.nii",
        "brainmask.nii",
        "x_labels13.nii",
        "sub_aseg.nii",
        "a_tissue.nii",
    ):
        scan(tmp_path / name)
    (tmp_path / "readme.txt").write_text("x")
    scan(tmp_path / ".hidden.nii")
    series = ImageSeries.from_paths(tmp_path)
    assert names(series) == ["s1.nii", "s2.nii.gz", "s10.nii"]
    assert series.notes[0].startswith("left out as masks or labels: ")
    assert "brainmask.nii" in series.notes[0]


def test_masks_are_scans_where_nothing_else_is_and_when_named(tmp_path: Path) -> None:
    paths = [scan(tmp_path / name) for name in ("mask_1.nii", "mask_2.nii")]
    assert len(ImageSeries.from_paths(tmp_path)) == 2
    other = scan(tmp_path / "image.nii")
    assert len(ImageSeries.from_paths([other, *paths])) == 3


def test_words_inside_words_are_no_masks(tmp_path: Path) -> None:
    for name in ("segovia_1.nii", "unlabelled_2.nii", "maskell.nii"):
        scan(tmp_path / name)
    assert len(ImageSeries.from_paths(tmp_path)) == 3


def test_bids_takes_one_contrast_of_anat(tmp_path: Path) -> None:
    for session in ("M00", "M12"):
        folder = tmp_path / "sub-1" / f"ses-{session}"
        for sub in ("anat", "func", "derivatives"):
            (folder / sub).mkdir(parents=True)
        for kind in ("T1w", "T2w"):
            scan(folder / "anat" / f"sub-1_ses-{session}_{kind}.nii.gz")
        four_d(folder / "func" / f"sub-1_ses-{session}_bold.nii.gz")
    series = ImageSeries.from_paths(tmp_path)
    assert names(series) == ["sub-1_ses-M00_T1w.nii.gz", "sub-1_ses-M12_T1w.nii.gz"]
    assert (series.times, series.unit) == ([0, 12], "months")
    assert "took the 2 T1 images and left out" in series.notes[0]


def test_two_subjects_are_refused_by_name(tmp_path: Path) -> None:
    for subject in ("sub-1", "sub-2"):
        (tmp_path / subject).mkdir()
        scan(tmp_path / subject / f"{subject}_T1w.nii")
    with pytest.raises(InputError, match=r"holds 2 subjects \(sub-1, sub-2\)"):
        ImageSeries.from_paths(tmp_path)


def test_t1_and_t2_as_time_points_are_no_contrasts(tmp_path: Path) -> None:
    for name in ("p_T1.nii", "p_T2.nii"):
        scan(tmp_path / name)
    assert len(ImageSeries.from_paths(tmp_path)) == 2


def test_a_folder_without_images_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image: give a folder with NIfTI"):
        ImageSeries.from_paths(tmp_path)
    (tmp_path / "IM0001").write_bytes((DATA / "nibabel/0.dcm").read_bytes())
    with pytest.raises(InputError, match="a DICOM file: convert its series"):
        ImageSeries.from_paths(tmp_path)


def test_a_link_that_loops_does_not_hang(tmp_path: Path) -> None:
    scan(tmp_path / "a.nii")
    scan(tmp_path / "b.nii")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(ImageSeries.from_paths(tmp_path)) == 2


def test_links_to_one_store_are_scans_of_their_own(tmp_path: Path) -> None:
    store = scan(tmp_path / "store.bin.nii")
    for name in ("2012-01-01.nii", "2013-01-01.nii"):
        (tmp_path / name).symlink_to(store)
    paths = [tmp_path / "2012-01-01.nii", tmp_path / "2013-01-01.nii"]
    assert ImageSeries.from_paths(paths).times == [0, 366]


# What is refused


def refused(paths: object, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        ImageSeries.from_paths(paths, **options)  # type: ignore[arg-type]
    return caught.value


def test_one_scan_only(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.nii")
    assert "needs at least 2 scans, and this is 1: " in str(refused(path))
    assert "a.nii" in str(refused([path, path]))
    assert "(frames 1:2 of the 6 given)" in str(refused(four_d(tmp_path / "x.nii"), frames=slice(1, 2)))
    assert len(ImageSeries.from_paths(path, at_least=1)) == 1
    assert "needs at least" in str(refused([]))


def test_equal_times_name_both_scans(tmp_path: Path) -> None:
    paths = [scan(tmp_path / f"{n}.nii") for n in "abc"]
    text = str(refused(paths, times=[0, 2, 2], unit="days"))
    assert "b.nii" in text
    assert "c.nii" in text
    assert "at time 2 days" in text


@pytest.mark.parametrize(
    ("times", "says"), [([0, "soon"], "'soon'"), ([0, float("nan")], "'nan'"), ([0, "inf"], "'inf'")]
)
def test_times_that_are_none_name_value_and_file(tmp_path: Path, times: list[float], says: str) -> None:
    text = str(refused([scan(tmp_path / "a.nii"), scan(tmp_path / "b.nii")], times=times))
    assert says in text
    assert "b.nii" in text


def test_the_number_of_times_must_fit(tmp_path: Path) -> None:
    text = str(refused(four_d(tmp_path / "x.nii"), times=[1, 2], frames=slice(0, 3)))
    assert "2 times for 3 scans (kept of 6)" in text


def test_an_unknown_unit_is_a_question_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="moons"):
        ImageSeries.from_paths(four_d(tmp_path / "x.nii"), unit="moons")


def test_several_files_with_a_4d_one_among_them(tmp_path: Path) -> None:
    text = str(refused([scan(tmp_path / "a.nii"), four_d(tmp_path / "x.nii")]))
    assert "x.nii holds 6 volumes and was given with 1 other file(s)" in text


SHIFTED = GRID.affine.copy()
SHIFTED[0, 3] = 3


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (Grid((4, 5, 7), GRID.affine), "4 x 5 x 7 voxels"),
        (Grid((4, 5, 6), np.diag([2, 2, 3, 1])), "voxels of 2 x 2 x 3 mm"),
        (Grid((4, 5, 6), SHIFTED), "corners up to 3 mm away"),
    ],
)
def test_different_grids_say_what_differs_and_can_be_resampled(tmp_path: Path, other: Grid, says: str) -> None:
    paths = [
        scan(tmp_path / "a.nii", 1),
        scan(tmp_path / "b.nii", 2, other),
        scan(tmp_path / "c.nii", 3, other),
    ]
    error = refused(paths)
    assert error.remedy == "resample"
    assert says in str(error)
    assert "b.nii" in str(error)
    assert "a.nii" in str(error)
    assert "1 more scans differ" in str(error)
    series = ImageSeries.from_paths(paths, resample=True)
    assert all(s.image.grid.matches(series.grid) for s in series.scans)
    assert series.scans[2].image.numpy().max() == 3
    assert any("resampled onto the grid of a.nii" in note for note in series.notes)
    assert not any("a.nii:" in note for note in series.notes)


def test_the_reference_of_a_resampled_series_is_the_first_in_time(tmp_path: Path) -> None:
    big = Grid((8, 8, 8), GRID.affine)
    paths = [scan(tmp_path / "late.nii"), scan(tmp_path / "early.nii", 1, big)]
    series = ImageSeries.from_paths(paths, times=[9, 1], resample=True)
    assert series.grid.shape == (8, 8, 8)


def test_check_finds_holes_in_any_scan_and_zero_mends_them(tmp_path: Path) -> None:
    paths = [scan(tmp_path / "a.nii"), scan(tmp_path / "b.nii")]
    holed = np.zeros(GRID.shape, np.float32)
    holed[0, 0, :2] = np.nan, np.inf
    write_volume(paths[1], holed, GRID)
    series = ImageSeries.from_paths(paths)
    with pytest.raises(InputError, match=r"b\.nii has 2 voxels") as caught:
        series.check()
    assert caught.value.remedy == "nan_to_zero"
    mended = ImageSeries.from_paths(paths, nan_to_zero=True)
    mended.check()
    assert mended.scans[1].image.numpy().max() == 0
    write_volume(paths[1], np.full(GRID.shape, np.nan, np.float32), GRID)
    with pytest.raises(InputError, match=r"b\.nii holds no finite voxel"):
        ImageSeries.from_paths(paths, nan_to_zero=True).check()


# Changing it


def test_edited_times_sort_anew_and_say_what_was_edited(tmp_path: Path) -> None:
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz"), frames=slice(1, 4))
    edited = series.with_times([100, 20, 30], "ms")
    assert (edited.times, edited.frames, edited.n_given) == ([20, 30, 100], (2, 3, 1), 6)
    assert [s.time_source == "given" for s in edited.scans] == [False, False, True]
    assert series.times == [10, 20, 30]
    for bad in ([1, 1, 2], [1, 2], [1, 2, float("nan")]):
        with pytest.raises(InputError):
            series.with_times(bad, "ms")


def test_a_file_of_times_is_in_the_order_that_was_given_whatever_the_order_now(tmp_path: Path) -> None:
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz")).with_times([5, 4, 3, 2, 1, 0], "ms")
    (tmp_path / "t.txt").write_text("0 1 2 3 4 50\n")
    read = series.with_times_from(tmp_path / "t.txt")
    assert (read.times, read.frames, read.unit) == ([0, 1, 2, 3, 4, 50], (0, 1, 2, 3, 4, 5), "ms")
    assert read.scans[5].time_source == str(tmp_path / "t.txt")
    assert read.times == ImageSeries.from_paths(tmp_path / "x.nii.gz", times_from=tmp_path / "t.txt").times
    (tmp_path / "t.json").write_text('{"FrameTimes": [0, 1, 2, 3, 4, 5], "TimeUnit": "s"}')
    assert read.with_times_from(tmp_path / "t.json").unit == "s"
    (tmp_path / "few.txt").write_text("0 1 2\n")
    with pytest.raises(InputError, match="3 times for 6 scans"):
        series.with_times_from(tmp_path / "few.txt")


def test_some_of_the_scans_are_a_series_with_a_reference_of_its_own(tmp_path: Path) -> None:
    series = ImageSeries.from_paths(four_d(tmp_path / "x.nii.gz"))
    some = series.between(2, 4)
    assert (some.times, some.frames, some.n_given) == ([20, 30, 40], (2, 3, 4), 6)
    assert some.reference is series.scans[2]
    with pytest.raises(InputError, match="would leave 1"):
        series.between(5, 5)
    other = scan(tmp_path / "b.nii", grid=Grid((5, 5, 6), GRID.affine))
    resampled = ImageSeries.from_paths([scan(tmp_path / "a.nii"), other, scan(tmp_path / "c.nii")], resample=True)
    assert len(resampled.between(0, 1)) == 2
    with pytest.raises(InputError, match=r"onto the grid of a\.nii"):
        resampled.between(1, 2)


def test_images_in_memory_make_a_series() -> None:
    images = [Image.from_array(np.full(GRID.shape, k), GRID, f"s{k}") for k in range(3)]
    series = ImageSeries.from_images(images, [4, 2, 3], "days")
    assert names(series) == ["s1", "s2", "s0"]
    with pytest.raises(InputError, match="s0 and s1 are both at time 1 days"):
        ImageSeries.from_images(images, [1, 1, 2], "days")


def test_notes_of_headers_are_told_once_for_each_file() -> None:
    series = ImageSeries.from_paths(DATA / "nibabel/test.mgz")
    assert series.notes == ("test.mgz: the axes are not at right angles (sheared affine)",)
