"""Volumes over time against maps whose answer is known in closed form, and carried labels against both."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sample_grids import affine_of
from scipy.spatial.transform import Rotation
from test_cli import noder

from noder.errors import InputError
from noder.evaluate import carried_labels
from noder.grid import Grid
from noder.image import Image
from noder.image import write_volume as write_image
from noder.label_names import read_label_names
from noder.labels import LabelMap, carried, majority, own_labels, read_labels, scan_labels, tissue_index
from noder.region_tables import COLUMNS, format_regions, rate_rows, region_rows, write_region_csv
from noder.regions import SPAN_TIMES, measured_volumes, region_volumes
from noder.series import ImageSeries

GRIDS = {
    "RAS": Grid((36, 36, 36), affine_of("RAS", (1.0, 1.0, 1.0))),
    "anisotropic": Grid((40, 32, 16), affine_of("RAS", (0.9, 1.1, 2.5))),
    "oblique": Grid((36, 34, 18), affine_of("RAS", (1.0, 1.2, 2.5), (23, -14, 31))),
}
A, B, C = 1.0, 2.0, 4.0


def write_volume(path: Path, values, grid: Grid) -> Path:
    write_image(path, values, grid)
    return path


class AnalyticTrajectory:
    """phi_t(x) = centre + M(t)^-1 (x - centre) - shift t: tissue at c + p comes to c + M(t) (p + shift t)."""

    def __init__(self, grid, matrix, shift_mm=(0.0, 0.0, 0.0), times=(0.0, 5.0)):
        self.grid, self.unit = grid, "years"
        self._matrix = lambda t: torch.as_tensor(np.asarray(matrix(t), dtype=np.float64))
        self._shift = torch.tensor(shift_mm, dtype=torch.float64)
        self._centre = torch.as_tensor(grid.to_mm((np.array(grid.shape) - 1) / 2))
        self.t_first, self.t_last = times
        self.others = ()

    def displacement(self, points, t):
        away = points.double() - self._centre
        return (self._centre + away @ torch.linalg.inv(self._matrix(t)).T - self._shift * t - points).to(points.dtype)

    def inverse(self, points, t):
        away = points.double() - self._centre + self._shift * t
        return (self._centre + away @ self._matrix(t).T - points).to(points.dtype)

    def between(self, points, t_a, t_b):
        moved = points + self.displacement(points, t_b)
        return moved + self.inverse(moved, t_a) - points


def uniform(rate):
    return lambda t: math.exp(rate * t) * np.eye(3)


def stretch(t):
    """Along one axis more than along another, in directions that no grid axis has."""
    turn = Rotation.from_euler("xyz", (20, 30, 40), degrees=True).as_matrix()
    return turn @ np.diag([1 + 0.06 * t, 1 - 0.03 * t, 1 + 0.01 * t]) @ turn.T


def spin(t):
    return Rotation.from_euler("xyz", (4 * t, -3 * t, 7 * t), degrees=True).as_matrix()


def two_balls(grid, time=0.0):
    """Label 1 is a ball in the middle, label 4 the shell around it."""
    away = (grid.points() - torch.as_tensor(grid.to_mm((np.array(grid.shape) - 1) / 2))).norm(dim=-1).numpy()
    return LabelMap(np.select([away < 6, away < 10], [1, 4], 0).astype(np.int32), grid, time, "balls")


MOTIONS = {
    "expansion": (uniform(0.05), (0.0, 0.0, 0.0)),
    "anisotropic stretch": (stretch, (0.0, 0.0, 0.0)),
    "rotation": (spin, (0.0, 0.0, 0.0)),
    "translation": (lambda t: np.eye(3), (0.8, -0.5, 0.6)),
    "stretch, turn and shift": (lambda t: spin(t) @ stretch(t), (0.4, 0.3, -0.5)),
}


@pytest.mark.parametrize("drawn_at", [0.0, 2.0, 5.0])
@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("name", GRIDS)
def test_the_curve_is_the_determinant_of_the_motion(name, motion, drawn_at) -> None:
    matrix, shift = MOTIONS[motion]
    labels = two_balls(GRIDS[name], drawn_at)
    found = region_volumes([AnalyticTrajectory(GRIDS[name], matrix, shift)], labels, [A, B, C])
    own = np.array([(labels.values == label).sum() * labels.voxel_mm3 for label in (1, 4)])
    assert found.labels == (1, 4)
    for t in (A, B, C):
        true = own * np.linalg.det(matrix(t)) / np.linalg.det(matrix(drawn_at))
        assert found.mm3[0][:, found.times.index(t)] == pytest.approx(true, rel=1e-4)


@pytest.mark.parametrize("drawn_at", [0.0, 5.0])
@pytest.mark.parametrize("motion", MOTIONS)
def test_counted_labels_agree_with_the_curve(motion, drawn_at) -> None:
    """At times when tissue has moved by voxels: less than half of one leaves every label as it was."""
    grid = Grid((40, 40, 32), affine_of("RAS", (0.75, 0.8, 1.0), (23, -14, 31)))
    trajectory, labels = AnalyticTrajectory(grid, *MOTIONS[motion]), two_balls(grid, drawn_at)
    times = [A, B] if drawn_at > C else [B, C]
    found = region_volumes([trajectory], labels, times)
    for t in times:
        values = carried(trajectory, labels, t)
        counted = [(values == label).sum() * labels.voxel_mm3 for label in (1, 4)]
        assert counted == pytest.approx(found.mm3[0][:, found.times.index(t)], rel=0.04)


def test_carried_labels_lie_where_the_tissue_has_gone() -> None:
    """A pull points against the motion: labels that went the wrong way would have the right volume still."""
    grid = GRIDS["RAS"]
    trajectory = AnalyticTrajectory(grid, lambda t: np.eye(3), (1.5, 0.0, -1.0))
    for drawn_at, t in ((0.0, 2.0), (4.0, 2.0)):
        labels = two_balls(grid, drawn_at)
        places = [np.argwhere(values == 1).mean(axis=0) for values in (labels.values, carried(trajectory, labels, t))]
        went = grid.to_mm(places[1]) - grid.to_mm(places[0])
        assert went == pytest.approx(np.array([1.5, 0.0, -1.0]) * (t - drawn_at), abs=0.05)


def test_at_the_time_of_drawing_volume_and_picture_are_the_labels_own() -> None:
    labels = two_balls(GRIDS["oblique"], 2.0)
    trajectory = AnalyticTrajectory(GRIDS["oblique"], stretch)
    found = region_volumes([trajectory], labels, [2.0])
    assert found.at(2.0) * 1000 == pytest.approx([(labels.values == k).sum() * labels.voxel_mm3 for k in (1, 4)])
    assert carried(trajectory, labels, 2.0) is labels.values


@pytest.mark.parametrize("rate", [0.03, -0.08])
def test_the_rate_is_that_of_exponential_growth_whatever_times_were_asked_for(rate) -> None:
    labels = two_balls(GRIDS["RAS"])
    for times in ([], [0.1, 0.2, 0.3], [9.0]):
        found = region_volumes([AnalyticTrajectory(GRIDS["RAS"], uniform(rate))], labels, times)
        assert found.rates_percent[0] == pytest.approx([300 * rate] * 2, rel=1e-3)
        assert found.growth_percent == pytest.approx(np.full((2, len(found.times)), 300 * rate), rel=1e-2)


def test_the_band_is_that_of_the_fits_and_the_curve_that_of_the_first() -> None:
    grid = GRIDS["RAS"]
    fits = [AnalyticTrajectory(grid, uniform(rate)) for rate in (0.02, 0.01, 0.04)]
    labels = two_balls(grid)
    found = region_volumes(fits, labels, [4.0])
    k, own = found.times.index(4.0), (labels.values == 1).sum() * labels.voxel_mm3 / 1000
    for row, rate in ((found.volume_ml, 0.02), (found.low_ml, 0.01), (found.high_ml, 0.04)):
        assert row[0, k] == pytest.approx(own * math.exp(3 * rate * 4), rel=1e-4)
    row = rate_rows(found, {})[0]
    assert (row["low"], row["percent_per_unit"], row["high"]) == pytest.approx((3, 6, 12), rel=1e-3)


def test_beyond_the_seen_scans_rows_are_extrapolated() -> None:
    found = region_volumes([AnalyticTrajectory(GRIDS["RAS"], uniform(0.01))], two_balls(GRIDS["RAS"]), [-1.0, 5.0, 6.0])
    rows = {row["time"]: row["extrapolated"] for row in region_rows(found, {})}
    assert (rows[-1.0], rows[0.0], rows[5.0], rows[6.0]) == (True, False, False, True)
    assert len(found.times) == SPAN_TIMES + 2


def test_change_is_told_against_the_reference_even_for_labels_of_a_later_scan() -> None:
    found = region_volumes([AnalyticTrajectory(GRIDS["RAS"], uniform(0.02))], two_balls(GRIDS["RAS"], 5.0), [2.0])
    rows = {row["time"]: row["change_percent"] for row in region_rows(found, {}) if row["label"] == 1}
    assert rows[0.0] == pytest.approx(0, abs=1e-3)
    assert rows[2.0] == pytest.approx(100 * (math.exp(0.12) - 1), rel=1e-3)


def test_a_region_at_the_edge_of_the_image_keeps_its_volume() -> None:
    grid = GRIDS["anisotropic"]
    values = np.zeros(grid.shape, dtype=np.int32)
    values[:3, :4, :2] = 1
    found = region_volumes([AnalyticTrajectory(grid, uniform(0.05))], LabelMap(values, grid, 0.0, "corner"), [2.0])
    assert found.at(2.0)[0] == pytest.approx(24 * found_voxel(grid) * math.exp(0.3) / 1000, rel=1e-3)


def found_voxel(grid) -> float:
    return float(abs(np.linalg.det(grid.affine[:3, :3])))


def test_the_largest_share_wins_as_if_indicators_were_interpolated() -> None:
    rng = np.random.default_rng(4)
    values = rng.integers(0, 4, (7, 6, 5)).astype(np.int32)
    index = rng.uniform(-1, 7, (400, 3))
    from noder.grid import sample_at_index

    parts = [sample_at_index(torch.tensor(values == v).double()[None], torch.tensor(index))[0] for v in range(4)]
    assert (majority(values, index) == torch.stack(parts).argmax(0).numpy()).all()


def test_the_screen_reads_the_map_between_points_as_it_is() -> None:
    grid = GRIDS["anisotropic"]
    trajectory = AnalyticTrajectory(grid, lambda t: spin(t) @ stretch(t))
    part = grid.slice(2, 7)
    near, exact = (tissue_index(trajectory, part, 3.0, 1.0, every) for every in (3, 1))
    assert np.abs(near - exact).max() < 1e-3


def series_on(grid, n=3) -> ImageSeries:
    images = [Image.from_array(np.random.default_rng(k).random(grid.shape), grid, f"scan_{k}") for k in range(n)]
    return ImageSeries.from_images(images, [float(k) for k in range(n)], "years")


@pytest.mark.parametrize("code", ["RAS", "LPS", "PIR", "SLP"])
def test_labels_stored_in_any_orientation_lie_in_their_place(tmp_path, code) -> None:
    series = series_on(GRIDS["anisotropic"])
    drawn = np.zeros(series.grid.shape, dtype=np.int32)
    drawn[30:34, 4:9, 11:14] = 2  # to the right, behind and above the middle
    finer = Grid((48, 40, 44), affine_of(code, (1.0, 1.0, 1.0)))
    centre = series.grid.to_mm((np.array(series.grid.shape) - 1) / 2)
    affine = finer.affine.copy()
    affine[:3, 3] += centre - finer.to_mm((np.array(finer.shape) - 1) / 2)
    finer = Grid(finer.shape, affine)
    stored = series.grid.sample(torch.tensor(drawn).float()[None], finer.points(), outside="zero", nearest=True)[0]
    path = write_volume(tmp_path / "labels.nii.gz", stored.numpy().astype(np.uint8), finer)
    found = read_labels(path, series, 0.0)
    assert (found.values == drawn).mean() > 0.998
    assert np.argwhere(found.values == 2).mean(axis=0) == pytest.approx(np.argwhere(drawn == 2).mean(axis=0), abs=0.3)
    assert "another grid" in found.notes[0]


def test_labels_that_are_cut_off_are_told(tmp_path) -> None:
    series = series_on(GRIDS["RAS"])
    wide = Grid((60, 36, 36), GRIDS["RAS"].affine)
    values = np.zeros(wide.shape, dtype=np.uint8)
    values[30:42, 10:20, 10:20] = 3
    found = read_labels(write_volume(tmp_path / "wide.nii.gz", values, wide), series, 1.0)
    assert found.notes[1] == "label 3: 1.2 ml in the file, 0.6 ml on the scans' grid."


@pytest.mark.parametrize(("value", "words"), [(0.5, "whole numbers"), (-2.0, "whole numbers"), (0.0, "only zeros")])
def test_what_is_no_label_map_is_refused(tmp_path, value, words) -> None:
    series = series_on(GRIDS["RAS"])
    path = write_volume(tmp_path / "odd.nii.gz", np.full(series.grid.shape, value, dtype=np.float32), series.grid)
    with pytest.raises(InputError, match=words):
        read_labels(path, series, 0.0)


@pytest.fixture
def own(tmp_path) -> tuple[ImageSeries, list[Path]]:
    """Three scans given in the order 2, 0, 1 of time, and labels of 1, 2 and 3 voxels for those of times 0, 1 and 2."""
    series = series_on(GRIDS["anisotropic"])
    series = replace(series, frames=(1, 2, 0))
    paths = []
    for frame in range(3):
        values = np.zeros(series.grid.shape, dtype=np.uint8)
        values[10, 10, : series.frames.index(frame) + 1] = 5
        paths.append(write_volume(tmp_path / f"own_{frame}.nii.gz", values, series.grid))
    return series, paths


def test_the_scans_own_labels_are_matched_and_measured_in_their_own_voxels(own, tmp_path) -> None:
    series, paths = own
    whole = np.stack([Image.open(path).numpy() for path in paths], axis=-1).astype(np.uint8)
    four = write_volume(tmp_path / "own_4d.nii.gz", whole, series.grid)
    size = found_voxel(series.grid)
    expected = {float(k): {5: pytest.approx((k + 1) * size)} for k in range(3)}
    for given in (paths, [four]):
        assert measured_volumes(series, scan_labels(series, given)) == expected
    assert measured_volumes(series, scan_labels(series, [f"1={paths[2]}"])) == {1.0: {5: pytest.approx(2 * size)}}
    assert measured_volumes(series, own_labels(series, four, [])) == expected
    assert own_labels(series, paths[0], []) == [None, None, None]


def test_another_number_of_label_files_and_an_unknown_scan_are_refused(own) -> None:
    series, paths = own
    with pytest.raises(InputError, match="2 files of labels were given; the series has 3 scans"):
        scan_labels(series, paths[:2])
    with pytest.raises(InputError, match="no scan 7"):
        scan_labels(series, [f"7={paths[0]}"])
    with pytest.raises(InputError, match=r"nothing\.nii does not exist"):
        scan_labels(series, ["0=nothing.nii"])


def test_a_4d_label_map_gives_the_volume_of_the_scan_that_it_was_drawn_on(own, tmp_path) -> None:
    series, paths = own
    whole = np.stack([Image.open(path).numpy() for path in paths], axis=-1).astype(np.uint8)
    four = write_volume(tmp_path / "own_4d.nii.gz", whole, series.grid)
    assert [(read_labels(four, series, t).values == 5).sum() for t in series.times] == [1, 2, 3]
    with pytest.raises(InputError, match=r"no scan is at t = 0\.5"):
        read_labels(four, series, 0.5)


def test_the_csv_holds_the_columns_and_empty_cells_for_what_does_not_exist(tmp_path) -> None:
    grid = GRIDS["RAS"]
    labels = two_balls(grid)
    own = {3.0: {1: 1234.0}, 5.0: {4: 2000.0}}
    found = region_volumes([AnalyticTrajectory(grid, uniform(0.02))], labels, [], own)
    names = read_label_names(write(tmp_path / "names.txt", "1 LV cavity\n4 myocardium\n"))
    path = write_region_csv(tmp_path / "volumes.csv", found, names, [0.0, 7.0])
    rows = list(csv.DictReader(path.open()))
    assert tuple(rows[0]) == COLUMNS
    # those asked for (nothing is known of 7: it was not computed), and those of the scans with labels
    assert [(row["name"], row["time"]) for row in rows] == [
        ("LV cavity", "0"), ("LV cavity", "3"), ("LV cavity", "5"),
        ("myocardium", "0"), ("myocardium", "3"), ("myocardium", "5"),
    ]  # fmt: skip
    assert rows[1]["measured_ml"] == "1.234"
    assert rows[4]["measured_ml"] == "0"  # the scan was labelled, and this label is not on it
    assert rows[0]["measured_ml"] == rows[0]["low"] == ""
    assert float(rows[1]["change_percent"]) == pytest.approx(100 * (math.exp(0.18) - 1), rel=1e-4)
    assert "% per year" in format_regions(found, names)


def test_a_label_that_no_scan_has_of_its_own_was_not_measured_there() -> None:
    """As one that the user drew beside those of the file: a point at 0 ml would be a finding."""
    grid = GRIDS["RAS"]
    own = {3.0: {1: 1234.0}, 5.0: {}}
    found = region_volumes([AnalyticTrajectory(grid, uniform(0.02))], two_balls(grid), [], own)
    at = [found.times.index(t) for t in (3.0, 5.0)]
    assert found.measured_ml[0, at].tolist() == [1.234, 0.0]
    assert np.isnan(found.measured_ml[1]).all()


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "text",
    [
        "0 background\n1 LV cavity\n2 wall\n",
        "index\tname\tcolor\n1\tLV cavity\t#ff8000\n2\twall\t\n",
        "label,name\n1,LV cavity\n2,wall\n",
        '# ITK-SNAP\n0 0 0 0 0 0 0 "Clear Label"\n1 255 128 0 1 1 1 "LV cavity"\n2 0 0 255 0.5 1 1 "wall"\n',
        "#No. Label Name: R G B A\n1   LV cavity   255 128 0 0\n2 wall 0 0 255 0\n",
    ],
)
def test_names_are_read_from_the_tables_of_other_programs(tmp_path, text) -> None:
    found = read_label_names(write(tmp_path / "names.txt", text))
    assert {k: v.name for k, v in found.items()} == {1: "LV cavity", 2: "wall"}
    assert found[1].colour in (None, (255, 128, 0))
    assert (found[1].colour is None) == ("128" not in text and "8000" not in text)


def test_a_table_without_names_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match="'LV cavity' is not a label"):
        read_label_names(write(tmp_path / "names.txt", "LV cavity\n"))


def test_labels_on_another_grid_than_the_fit_are_refused() -> None:
    with pytest.raises(InputError, match="another grid"):
        region_volumes([AnalyticTrajectory(GRIDS["RAS"], spin)], two_balls(GRIDS["oblique"]), [])
    empty = LabelMap(np.zeros(GRIDS["RAS"].shape, dtype=np.int32), GRIDS["RAS"], 0.0, "empty")
    with pytest.raises(InputError, match="no label"):
        region_volumes([AnalyticTrajectory(GRIDS["RAS"], spin)], empty, [])


def test_the_command_measures_a_saved_fit(tmp_path) -> None:
    from engine_kit import SHORT, box_grid, moving_series

    from noder.fit import fit
    from noder.fit_config import FitConfig
    from noder.store import save_result

    series, grid = moving_series(box_grid(16))
    paths = [write_volume(tmp_path / f"scan_{k}.nii.gz", s.image.numpy(), grid) for k, s in enumerate(series.scans)]
    stored = ImageSeries.from_paths(paths, times=[0, 1, 2, 3], unit="years")
    result = fit(stored, FitConfig(settings=SHORT))
    save_result(result, tmp_path / "out")
    values = np.zeros(grid.shape, dtype=np.uint8)
    values[5:11, 4:12, 6:10] = 7
    labels = write_volume(tmp_path / "labels.nii.gz", values, grid)
    options = ["--labels", labels, "--labels-at", "1", "--times", "0,1,4", "--json", "--quiet"]
    done = noder("measure", tmp_path / "out", *options, "--scan-labels", f"2={labels}", "-o", tmp_path / "v.csv")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {row["time"]: row for row in found["volumes"]}
    own = values.astype(bool).sum() * 1.5**3 / 1000
    assert list(rows) == [0, 1, 2, 4]
    assert rows[1]["volume_ml"] == pytest.approx(own)
    assert rows[2]["measured_ml"] == pytest.approx(own)
    assert [row["extrapolated"] for row in rows.values()] == [False, False, False, True]
    drawn = read_labels(labels, stored, 1.0)
    counted = (carried(result.trajectory, drawn, 0.0) == 7).sum() * 1.5**3 / 1000
    assert rows[0]["volume_ml"] == pytest.approx(counted, rel=0.05)
    assert len((tmp_path / "v.csv").read_text().splitlines()) == 5
    same = carried_labels(result.trajectory, values, 2.0)
    assert (same == carried(result.trajectory, replace(drawn, time=0.0), 2.0)).all()
    wrong = noder("measure", tmp_path / "out", "--labels", tmp_path / "none.nii", "-o", tmp_path / "v.csv")
    assert wrong.returncode == 3
    assert "none.nii does not exist" in wrong.stderr
