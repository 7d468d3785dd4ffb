"""The report: its pictures are the right way round, its numbers are the fit's, and it needs nothing outside it."""

import base64
import hashlib
import io
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import imageio.v3 as imageio
import nibabel
import numpy as np
import pytest
from cli_kit import noder
from engine_kit import SHORT, moving_series

from noder.fit import FitResult, fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import Image
from noder.plane import Plane
from noder.report_page import ReportLook, report_page, write_report
from noder.report_pictures import Scale, growth_at, growth_picture, growth_scale, looked_at, picture
from noder.report_tables import score_table
from noder.series import ImageSeries
from noder.store import save_result
from noder.svg_plots import Line, plot

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    """Four scans in files, the third held out."""
    folder = tmp_path_factory.mktemp("scans")
    series, grid = moving_series()
    paths = []
    for k, scan in enumerate(series.scans):
        paths.append(folder / f"scan_{k} <b>&.nii")
        nibabel.save(nibabel.Nifti1Image(scan.image.numpy(), grid.affine), paths[-1])
    files = ImageSeries.from_paths(paths, times=series.times, unit="years")
    return fit(files, FitConfig(settings=SHORT, hold_out=(2,), match_intensity=False))


def pixels_of(figure: str) -> np.ndarray:
    """(rows, columns, 3) of the PNG in a figure, the first row at the top."""
    data = re.search(r"base64,([^\"]+)", figure)
    assert data is not None
    return imageio.imread(io.BytesIO(base64.b64decode(data[1])), extension=".png")


def letters_of(figure: str) -> dict[str, tuple[float, float]]:
    """Letter at an edge -> its place in the figure."""
    found = re.findall(r'<text x="(-?[\d.]+)" y="(-?[\d.]+)" font-size="[\d.]+" class="side">(\w)</text>', figure)
    return {letter: (float(x), float(y)) for x, y, letter in found}


def test_the_title_of_a_4d_file_is_the_files_name_not_its_first_volumes(result: FitResult, tmp_path: Path) -> None:
    volumes = np.stack([scan.image.numpy() for scan in result.series.scans], axis=-1)
    nibabel.save(nibabel.Nifti1Image(volumes, result.series.grid.affine), tmp_path / "cine.nii.gz")
    four = ImageSeries.from_paths(tmp_path / "cine.nii.gz", times=result.series.times, unit="years")
    page = report_page(replace(result, series=four), ReportLook())
    assert "<h1>cine.nii.gz</h1>" in page
    assert "<title>cine.nii.gz – report</title>" in page


@pytest.mark.parametrize("stored", ["RAS", "LPS", "PIR", "SLA"])
@pytest.mark.parametrize("radiological", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_bright_spot_lies_towards_its_letters(stored: str, radiological: bool, axis: int) -> None:
    """The spot is to the patient's right, in front and high up, however the file is stored."""
    ras = np.zeros((20, 24, 28), np.float32)
    ras[15, 19, 23] = 1.0
    nifti = nibabel.Nifti1Image(ras, np.diag([2.0, 1.0, 1.5, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(nifti.affine), nibabel.orientations.axcodes2ornt(tuple(stored))
    )
    turned = nifti.as_reoriented(turn)
    data = np.asarray(turned.dataobj)
    image = Image.from_array(data, Grid(data.shape, turned.affine), "spot")
    plane = Plane(image.grid, axis, (15, 19, 23)[axis])
    values = image.numpy().take(plane.index, axis=axis)
    drawn = picture(values, plane, Scale(0, 1, "grey", "i"), radiological=radiological, caption="")
    rows = pixels_of(drawn)[..., 0]
    row, column = np.unravel_index(rows.argmax(), rows.shape)
    letters = letters_of(drawn)
    side = {"left": column < rows.shape[1] / 2, "top": row < rows.shape[0] / 2}
    across = min(letters, key=lambda letter: letters[letter][0])  # the letter furthest to the left
    above = min(letters, key=lambda letter: letters[letter][1])
    assert side["left"] == (across in "RAS")
    assert side["top"] == (above in "RAS")
    assert {across, above} <= set("RASLPI")
    width, height = (float(v) for v in re.findall(r'<image width="([\d.]+)" height="([\d.]+)"', drawn)[0])
    assert (width, height) == pytest.approx([n * s for n, s in zip(plane.shape, plane.spacing, strict=True)])


def test_radiological_has_the_patients_right_on_the_left() -> None:
    grid = Grid((10, 10, 10), np.eye(4))
    plane, scale = Plane(grid, 2, 5), Scale(0, 1, "grey", "i")
    values = np.zeros((10, 10), np.float32)
    for radiological, left in ((False, "L"), (True, "R")):
        letters = letters_of(picture(values, plane, scale, radiological=radiological, caption=""))
        assert letters[left][0] < 0 < letters[{"L": "R", "R": "L"}[left]][0]


def test_growth_is_orange_shrinking_blue_and_folds_green() -> None:
    plane = Plane(Grid((3, 1, 1), np.eye(4)), 2, 0)
    growth = np.array([[1.4], [1 / 1.4], [-0.1]], np.float32)
    scale = growth_scale([growth])
    assert scale.high == -scale.low == 0.5  # the first of the steps above log 1.4 = 0.34
    bigger, smaller, fold = pixels_of(growth_picture(growth, plane, scale, radiological=False, caption=""))[0].astype(
        int
    )
    assert bigger[0] > bigger[2] + 50
    assert smaller[2] > smaller[0] + 50
    assert fold.tolist() == [57, 255, 20]


def test_what_is_shown_of_a_scan_is_what_was_scored(result: FitResult) -> None:
    """The held-out scan's difference gives the error of the report, as nearly as linear sampling comes to splines."""
    plane = Plane.through(result.series.grid, 2, (17.0, 17.0, 17.0))
    looked = looked_at(result, 2, plane)
    truth = result.series.scans[2].image.numpy().take(plane.index, axis=2)
    assert np.array_equal(looked.observed, truth)
    unchanged = result.series.scans[0].image.numpy().take(plane.index, axis=2) - truth
    assert np.abs(looked.difference).mean() < 0.7 * np.abs(unchanged).mean()
    growth = growth_at(result, 2.0, plane)
    assert np.allclose(looked.jacobian, growth)


def test_a_seen_scan_is_predicted_without_itself(result: FitResult) -> None:
    plane = Plane.through(result.series.grid, 2, (17.0, 17.0, 17.0))
    looked = looked_at(result, 3, plane)
    with_itself = result.trajectory.predict(3.0, plane.slice_grid)[0, :, :, 0].numpy()
    assert np.abs(with_itself - looked.observed).mean() < 0.2 * np.abs(looked.difference).mean()


def test_the_page_stands_alone_and_is_well_formed(result: FitResult) -> None:
    page = report_page(result, ReportLook())
    parser = _Links()
    parser.feed(page)
    assert parser.links
    assert all(link.startswith("data:image/png;base64,") for link in parser.links)
    assert "script" not in parser.tags
    assert parser.open == []
    assert "@import" not in page
    assert "url(http" not in page


def test_names_of_files_are_text_whatever_they_hold(result: FitResult) -> None:
    page = report_page(result, ReportLook())
    assert "scan_0 <b>" not in page
    assert "scan_0 &lt;b&gt;&amp;.nii" in page


def test_the_pages_numbers_are_the_fits(result: FitResult) -> None:
    page = report_page(result, ReportLook())
    assert result.report is not None
    for row in result.report.rows:
        for name in ("neighbours", "blend", "nearest"):
            assert f'<td class="number">{row[name]["nrmse_mask"]:.3f}</td>' in page
        assert f'<td class="number">{row["smallest_determinant"]:.3f}</td>' in page
    first = result.series.scans[0].image.path
    assert first is not None
    assert hashlib.sha256(first.read_bytes()).hexdigest() in page
    for words in ("held out", "years", "times given", "coarse_iterations", result.provenance.versions["torch"]):
        assert words in page
    for note in result.report.notes:
        assert note.split(":")[0][1:] in page


def test_means_are_over_the_held_out_scans(result: FitResult) -> None:
    assert result.report is not None
    cells = re.findall(
        r"mean of the held-out</td><td class=\"number\">([\d.]+)", score_table(result.report, "nrmse_mask", "years")
    )
    assert float(cells[0]) == pytest.approx(result.report.rows[2]["neighbours"]["nrmse_mask"], abs=6e-4)


def test_the_readers_choice_of_side_place_and_time_is_kept(result: FitResult) -> None:
    page = report_page(result, ReportLook(radiological=True, cursor_mm=(17.0, 17.0, 6.0), time=4.5))
    assert "RADIOLOGICAL" in page
    assert "NEUROLOGICAL" not in page
    assert "Axial S 6.0 mm · 5/24" in page
    assert "Growth at t = 4.5 years since the first scan, extrapolated" in page
    assert "extrapolated" not in re.findall(r"<h2>Growth at[^<]*</h2>", report_page(result, ReportLook()))[0]


def test_a_fit_that_was_stopped_says_so_and_has_no_scores(result: FitResult) -> None:
    page = report_page(replace(result, report=None, stopped=True), ReportLook())
    assert "Stopped early" in page
    assert "not scored" in page
    assert "NRMSE" not in page
    assert "Growth at t" in page


def test_a_long_series_shows_some_scans_with_both_ends_and_says_so() -> None:
    series, _ = moving_series(times=[float(k) for k in range(15)], mm_per_time=0.2)
    long = fit(
        series, FitConfig(settings=replace(SHORT, middle_iterations=0, fine_iterations=0), match_intensity=False)
    )
    page = report_page(long, ReportLook())
    shown = re.findall(r"<figcaption>t = (\d+) years, ", page)
    assert len(shown) == 12
    assert (shown[0], shown[-1]) == ("0", "14")
    assert "3 more scans are not shown" in page


class TestPlot:
    def test_points_lie_where_their_values_are(self) -> None:
        drawn = plot("rise", [Line("a", [0, 10, 20], [1.0, 2.0, 3.0])], "time")
        root = ElementTree.fromstring(drawn)
        line = next(node for node in root.iter() if node.tag.endswith("polyline"))
        frame = next(node for node in root.iter() if node.get("class") == "frame")
        points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        left, width = float(frame.attrib["x"]), float(frame.attrib["width"])
        assert [x for x, _ in points] == pytest.approx([left, left + width / 2, left + width], abs=0.1)
        assert points[0][1] > points[1][1] > points[2][1]  # up is down on a page
        assert points[1][1] == pytest.approx((points[0][1] + points[2][1]) / 2, abs=0.1)

    def test_scores_that_do_not_exist_are_left_out(self) -> None:
        drawn = plot("gap", [Line("a", [0, 1, 2], [1.0, float("nan"), 3.0])], "time")
        assert len(re.findall(r"[\d.]+,[\d.]+", re.findall(r'points="([^"]+)"', drawn)[0])) == 2
        assert "nan" not in drawn

    def test_nothing_to_draw_is_nothing(self) -> None:
        assert plot("none", [Line("a", [0.0], [float("nan")])], "time") == ""

    def test_a_flat_curve_has_an_axis(self) -> None:
        assert "nan" not in plot("flat", [Line("a", [0, 1], [0.0, 0.0])], "time")


class TestCommand:
    def test_it_writes_the_page_of_a_saved_fit(self, result: FitResult, tmp_path: Path) -> None:
        save_result(result, tmp_path / "out")
        run = noder("report", tmp_path / "out", "-o", tmp_path / "r.html", "--at", "17,17,6", "--radiological")
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip() == str(tmp_path / "r.html")
        page = (tmp_path / "r.html").read_text(encoding="utf-8")
        assert "Axial S 6.0 mm" in page
        assert "RADIOLOGICAL" in page

    def test_a_place_of_two_numbers_is_a_usage_error(self, result: FitResult, tmp_path: Path) -> None:
        save_result(result, tmp_path / "out")
        run = noder("report", tmp_path / "out", "-o", tmp_path / "r.html", "--at", "17,17")
        assert run.returncode == 2
        assert "three numbers" in run.stderr
        assert not (tmp_path / "r.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing(result: FitResult, tmp_path: Path) -> None:
    from noder.errors import OutputError

    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="was not written"):
        write_report(tmp_path / "file" / "r.html", result)


class _Links(HTMLParser):
    """All that a page would load, its tags, and those that were not closed."""

    VOID = frozenset({"meta", "link", "img", "br", "stop", "rect", "line", "circle", "polyline", "image"})

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
