"""The report's section on regions: its plots and table are what was measured."""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from cli_kit import noder
from engine_kit import SHORT, moving_series

from noder.fit import fit
from noder.fit_config import FitConfig
from noder.label_names import LabelName
from noder.region_tables import format_regions
from noder.regions import SPAN_TIMES, RegionVolumes
from noder.report_regions import Measured, region_section
from noder.series import ImageSeries
from noder.store import save_result
from noder.svg_plots import HEIGHT, Line, plot

NAMES = {1: LabelName("LV <cavity>", None)}


def volumes(n_fits: int = 2) -> RegionVolumes:
    """Label 1 grows from 100 to 120 ml over two years and beyond; label 6 stays. Each other fit says 5 ml more."""
    times = (*np.linspace(0, 2, SPAN_TIMES).tolist(), 2.5, 3.0)
    grows, stays = 1000 * (100 + 10 * np.array(times)), np.full(len(times), 7000.0)
    mm3 = np.stack([np.stack([grows + 5000 * k, stays]) for k in range(n_fits)])
    own = np.full((2, len(times)), np.nan)
    own[0, [0, 24]] = 99000.0, 121000.0
    return RegionVolumes((1, 6), times, "years", (0.0, 2.0), 0.0, mm3, mm3[:, :, 0], own)


def plots_of(section: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(figure) for figure in re.findall(r"<figure.*?</figure>", section)]


def of_tag(figure: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return [node for node in figure.iter() if node.tag.endswith(tag)]


def places(node: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in node.attrib["points"].split())]


def own_points(figure: ElementTree.Element) -> list[ElementTree.Element]:
    """Dots in the plot; that of the legend lies below."""
    return [node for node in of_tag(figure, "circle") if float(node.attrib["cy"]) < HEIGHT]


def test_a_plot_for_each_label_has_curve_band_and_the_scans_own_points() -> None:
    ball, block = plots_of(region_section(Measured(volumes(), NAMES)))
    assert "".join(of_tag(ball, "figcaption")[0].itertext()) == "LV <cavity> (ml)"
    assert "".join(of_tag(block, "figcaption")[0].itertext()) == "label 6 (ml)"
    (band,) = of_tag(ball, "polygon")
    seen, beyond = of_tag(ball, "polyline")
    assert "stroke-dasharray" in beyond.attrib
    assert "stroke-dasharray" not in seen.attrib
    assert places(seen)[-1] == places(beyond)[0]  # nothing between them is missing
    assert len(places(seen)) == SPAN_TIMES
    assert len(places(band)) == 2 * (SPAN_TIMES + 2)
    first, last = own_points(ball)
    assert float(first.attrib["cx"]) == pytest.approx(places(seen)[0][0], abs=0.11)
    assert float(last.attrib["cx"]) == pytest.approx(places(seen)[-1][0], abs=0.11)
    a_ml = (places(seen)[0][1] - places(seen)[-1][1]) / 20  # pixels a ml
    assert places(seen)[0][1] - float(first.attrib["cy"]) == pytest.approx(-a_ml, abs=0.2)  # 99 under 100
    assert places(seen)[-1][1] - float(last.attrib["cy"]) == pytest.approx(a_ml, abs=0.2)  # 121 over 120
    ys = [y for _, y in places(band)]
    assert max(ys) - min(ys) == pytest.approx(35 * a_ml, abs=0.3)  # 100 to 130 of the first, 5 more of the other
    assert not own_points(block)


def test_one_fit_has_no_band_and_the_page_says_so() -> None:
    section = region_section(Measured(volumes(1), NAMES))
    assert "<polygon" not in section
    assert "One fit: no band" in section


def test_the_table_is_that_of_the_measuring_command() -> None:
    found = volumes()
    section = region_section(Measured(found, NAMES, ("labels were cut off",)))
    text = format_regions(found, NAMES)
    for figure in ("100", "120", "+20.00 %", "+9.11 (+8.71 to +9.11)"):
        assert figure in text
        assert f">{figure}</td>" in section
    assert "LV &lt;cavity&gt;" in section
    assert "Labels were cut off." in section


def test_dots_alone_are_not_joined() -> None:
    drawn = plot("p", [Line("a", [0, 1, 2], [1.0, 2.0, 3.0], dots=True, joined=False)], "time")
    assert drawn.count("<circle") == 3
    assert "<polyline" not in drawn


def test_dashes_go_from_the_last_seen_point_on_and_come_back() -> None:
    line = Line("a", [0, 1, 2, 3, 4], [1.0] * 5, dashed=[True, False, False, False, True])
    assert [(dashed, len(points)) for dashed, points in line.parts()] == [(True, 2), (False, 3), (True, 2)]


def test_the_command_adds_the_volumes_of_a_label_map(tmp_path: Path) -> None:
    series, grid = moving_series()
    paths = []
    for k, scan in enumerate(series.scans):
        paths.append(tmp_path / f"scan_{k}.nii")
        nibabel.save(nibabel.Nifti1Image(scan.image.numpy(), grid.affine), paths[-1])
    files = ImageSeries.from_paths(paths, times=series.times, unit="years")
    settings = replace(SHORT, middle_iterations=0, fine_iterations=0)
    save_result(fit(files, FitConfig(settings=settings, match_intensity=False)), tmp_path / "out")
    block = np.zeros(grid.shape, np.uint8)
    block[8:16, 8:16, 8:16] = 3
    nibabel.save(nibabel.Nifti1Image(block, grid.affine), tmp_path / "labels.nii")
    (tmp_path / "names.txt").write_text("3 block\n")
    labels = ("--labels", tmp_path / "labels.nii", "--names", tmp_path / "names.txt", "--quiet")
    run = noder("report", tmp_path / "out", "-o", tmp_path / "r.html", *labels)
    assert run.returncode == 0, run.stderr
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<h2>Volumes of regions</h2>" in page
    measured = noder("measure", tmp_path / "out", "-o", tmp_path / "v.csv", *labels)
    row = re.findall(r"^3 +block +(\S+) +(\S+) +([+-]\S+ %)", measured.stdout, re.MULTILINE)
    assert row
    for figure in row[0]:
        assert f">{figure}</td>" in page
    plain = noder("report", tmp_path / "out", "-o", tmp_path / "plain.html")
    assert plain.returncode == 0
    assert "Volumes of regions" not in (tmp_path / "plain.html").read_text(encoding="utf-8")
    lost = noder("report", tmp_path / "out", "-o", tmp_path / "n.html", "--names", tmp_path / "names.txt")
    assert lost.returncode == 2
    assert "--labels FILE" in lost.stderr
    assert not (tmp_path / "n.html").exists()
