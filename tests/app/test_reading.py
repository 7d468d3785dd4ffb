"""What a read-out says of a place: every quantity against what is known, and nothing computed beyond the place."""

from dataclasses import replace

import doubles
import numpy as np
import pytest
import torch
from PySide6.QtCore import QEvent, QSize
from PySide6.QtGui import QFont, QFontMetricsF
from PySide6.QtWidgets import QApplication

from noder.grid import Grid
from noder_viewer.plane import Point
from noder_viewer.read_out import ReadOut
from noder_viewer.reading import Known, Reading, motion_words, read_out
from noder_viewer.scene import slice_scene, to_mm
from noder_viewer.session import OverlaySettings, Session

VOXEL = (30, 37, 20)


def place(session: doubles.SessionDouble, voxel: tuple[int, int, int] = VOXEL) -> Point:
    r, a, s = session.grid.to_mm(np.array(voxel, dtype=float)).tolist()
    return r, a, s


def items(reading: Reading | None) -> dict[str, str]:
    assert reading is not None
    return dict(item for row in reading.rows for cell in row for item in cell)


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()])
def test_everything_at_a_place_is_there_at_once(grid: Grid) -> None:
    session = doubles.session(grid, show="observed", time=1.0)
    mm = place(session)
    found = items(read_out(session, mm))
    image = session.series.scans[1].image.array
    assert found["voxel"] == "30 37 20"
    assert found["observed"] == f"{image[VOXEL]:.4g}"
    # tissue that is there now was at centre + (p - centre) / 1.1
    motion = (np.array(mm) - session.trajectory.centre) * (1 - 1 / 1.1)
    assert found["moved"] == motion_words(motion)
    assert found["J"] == f"{1.1**3:.3f}"
    assert found["growth"] == "+33.1 %"
    before = float(image[VOXEL] - session.trajectory.volume[(0, *VOXEL)] - 0)
    assert before == 1  # scan 1 is 1 above the first
    predicted = session.trajectory.predict(1.0, session.grid)[0][VOXEL]
    observed = session.trajectory.scans[1].volume[(0, *VOXEL)]
    assert found["residual"] == f"+1 → {float(observed - predicted):+.4g}".replace("-", "−")


def test_a_motion_is_told_by_the_sides_it_goes_to() -> None:
    assert motion_words(np.array([0.4, -1.9, 1.2])) == "2.3 mm: R 0.4, P 1.9, S 1.2"
    assert motion_words(np.array([-3.0, 0.01, -4.0])) == "5.0 mm: L 3.0, I 4.0"
    assert motion_words(np.zeros(3)) == "0.0 mm"


def test_growing_tissue_moves_away_from_its_centre() -> None:
    session = doubles.session(time=2.0)
    moved = items(read_out(session, place(session)))["moved"]
    r, a, s = (np.array(place(session)) - session.trajectory.centre) * (1 - 1 / 1.2)
    assert min(r, a, s) > 0
    assert moved.split(": ")[1] == f"R {r:.1f}, A {a:.1f}, S {s:.1f}"


def test_the_sides_of_the_place() -> None:
    session = doubles.session()
    assert items(read_out(session, place(session)))["mouse"] == "R 10.5  A 12.5  S 11.0 mm"
    assert items(read_out(session, (-1.25, -2.5, -3.0)))["mouse"] == "L 1.2  P 2.5  I 3.0 mm"
    assert items(read_out(session))["crosshair"].endswith("mm")


def test_outside_there_is_only_the_place() -> None:
    reading = read_out(doubles.session(), (500.0, 0.0, 0.0))
    assert items(reading) == {"mouse": "R 500.0  A 0.0  S 0.0 mm", "voxel": "outside the image"}
    assert read_out(Session()) is None


def test_without_a_map_what_needs_one_is_a_dash() -> None:
    session = doubles.session(trajectory=None, show="observed")
    found = items(read_out(session, place(session)))
    assert (found["moved"], found["J"], found["residual"]) == ("–", "–", "–")
    assert "growth" not in found


def test_heat_maps_that_are_on_are_read_from_their_slices() -> None:
    session = doubles.session(overlays=OverlaySettings(jacobian=True))
    slice_scene(session, 2)
    session.trajectory.calls.clear()
    mm = (place(session)[0], place(session)[1], session.cursor_mm[2])
    found = items(read_out(session, mm))
    assert found["log J"] == f"{3 * np.log(1.1):+.3f}"
    assert found["J"] == f"{1.1**3:.3f}"
    assert "jacobian" not in session.trajectory.calls
    session.overlays = replace(session.overlays, jacobian=False, brightness=True)
    assert items(read_out(session, mm))["brightness"] == "+10.000"


def test_a_fold_is_called_a_fold() -> None:
    session = doubles.session()
    session.trajectory.fold = True  # the first voxel of what is asked for, here the only one
    assert items(read_out(session, place(session)))["J"] == "fold"


def test_what_the_map_says_can_be_handed_in_and_is_then_not_computed() -> None:
    session = doubles.session()
    slice_scene(session, 2)
    session.trajectory.calls.clear()
    known = Known("1.0 mm: R 1.0", (("J", "7.000"),), "1 → 2")
    found = items(read_out(session, known=known))
    assert (found["moved"], found["J"], found["residual"]) == ("1.0 mm: R 1.0", "7.000", "1 → 2")
    assert session.trajectory.calls == []


def test_the_first_scan_has_no_residual() -> None:
    session = doubles.session(time=0.2)
    assert items(read_out(session, place(session)))["residual"] == "– (first scan)"


def test_a_seen_scan_is_predicted_without_itself_and_a_held_out_one_as_it_is() -> None:
    session = doubles.session(time=2.0)
    asked = []

    def predict(t: float, grid: Grid, carry: str, without: int | None = None) -> torch.Tensor:
        asked.append((t, carry, without, grid.n_voxels))
        return torch.zeros(1, 1, 1, 1)

    session.trajectory.predict = predict
    session.show = "observed"
    read_out(session, place(session))
    session.trajectory.times = [0.0, 1.0]  # scan 2 was held out
    read_out(session, place(session, (3, 4, 5)))
    session.carry_shown = "first"
    read_out(session, place(session, (6, 4, 5)))
    assert asked == [(2.0, "neighbours", 2, 1), (2.0, "neighbours", None, 1), (2.0, "first", None, 1)]


def test_reading_evaluates_the_map_at_the_place_alone() -> None:
    session = doubles.session()
    scene = slice_scene(session, 0)
    assert scene is not None
    session.trajectory.calls.clear()
    sizes = []
    for name in ("jacobian", "predict"):
        plain = getattr(session.trajectory, name)

        def watched(t: float, grid: Grid, plain: object = plain, **more: object) -> torch.Tensor:
            sizes.append(grid.n_voxels)
            return plain(t, grid, **more)  # type: ignore[operator]

        setattr(session.trajectory, name, watched)
    mm = to_mm(scene, 8.0, -11.0)
    first = read_out(session, mm)
    assert sizes == [1, 1]
    assert read_out(session, mm) == first
    assert sizes == [1, 1]


class TestBar:
    @pytest.fixture
    def bar(self, qtbot):
        bar = ReadOut()
        qtbot.addWidget(bar)
        return bar

    def test_it_says_all_of_a_reading(self, bar):
        session = doubles.session()
        reading = read_out(session, place(session))
        bar.set_reading(reading)
        assert "voxel 30 37 20" in bar.text() == bar.accessibleDescription()
        bar.set_reading(None)
        assert bar.text() == ""

    def test_it_keeps_its_size_whatever_the_numbers_are(self, bar):
        session = doubles.session()
        sizes = set()
        for reading in (None, read_out(session, (500.0, 0.0, 0.0)), read_out(session, place(session))):
            bar.set_reading(reading)
            sizes.add(bar.sizeHint().toTuple())
        assert len(sizes) == 1

    def test_cells_stay_in_place_and_are_not_clipped(self, bar):
        """Two readings of other lengths: the columns begin at the same pixel."""
        session = doubles.session(overlays=OverlaySettings(jacobian=True))
        bar.resize(bar.sizeHint())
        shown = []
        for mm in (place(session), (0.0, 0.0, 0.0)):
            reading = read_out(session, mm)
            bar.set_reading(reading)
            metrics = QFontMetricsF(bar.font())
            for row in reading.rows:
                for width, cell in zip(bar._widths(), row, strict=True):
                    text = "  ".join(f"{label} {value}" for label, value in cell)
                    assert metrics.horizontalAdvance(text) <= width + 12, text
            shown.append(bar.grab().toImage())
        assert shown[0] != shown[1]

    def test_a_larger_font_makes_it_larger(self, bar):
        small = bar.sizeHint()
        font = QFont(bar.font())
        font.setPointSizeF(font.pointSizeF() * 1.5)
        bar.setFont(font)
        QApplication.sendEvent(bar, QEvent(QEvent.Type.FontChange))
        assert bar.sizeHint().width() > 1.3 * small.width()
        assert isinstance(bar.minimumSizeHint(), QSize)
