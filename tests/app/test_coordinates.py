"""Places as text and back: what is copied can be gone to, whatever the orientation."""

import re

import doubles
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from noder.errors import UsageError
from noder.grid import Grid
from noder_viewer.coordinates import copied, is_inside, parsed, sided, voxel_of
from noder_viewer.go_to import GoTo

PLACE = (-4.5, 7.25, -3.125)


@pytest.mark.parametrize("grid", [doubles.ras_grid(), doubles.oblique_grid()])
def test_every_line_that_is_copied_leads_back(grid: Grid) -> None:
    ras, lps, voxel = copied(grid, PLACE).splitlines()
    assert ras == "RAS -4.500 7.250 -3.125 mm"
    assert lps == "LPS 4.500 -7.250 -3.125 mm"
    assert parsed(ras, grid) == pytest.approx(PLACE)
    assert parsed(lps, grid) == pytest.approx(PLACE)
    assert parsed(copied(grid, PLACE), grid) == pytest.approx(PLACE)
    assert voxel_of(grid, parsed(voxel, grid)) == voxel_of(grid, PLACE)
    assert parsed(voxel, grid) == pytest.approx(grid.to_mm(np.array(voxel_of(grid, PLACE))))


def test_zero_has_no_sign() -> None:
    assert copied(doubles.ras_grid(), (-1e-5, 0.0, -0.0)).splitlines()[:2] == [
        "RAS 0.000 0.000 0.000 mm",
        "LPS 0.000 0.000 0.000 mm",
    ]


@pytest.mark.parametrize(
    ("text", "mm"),
    [
        ("-4.5 7.25 -3", (-4.5, 7.25, -3)),
        ("-4.5, 7.25, -3 mm", (-4.5, 7.25, -3)),
        ("  (−4.5; 7.25; −3)", (-4.5, 7.25, -3)),
        ("[1e0, .5, 2]", (1, 0.5, 2)),
        ("lps: 4.5 -7.25 -3", (-4.5, 7.25, -3)),
        ("L 4.5 A 7.25 I 3", (-4.5, 7.25, -3)),
        ("R 4.5  P 7.25  S 3.0 mm", (4.5, -7.25, 3)),
        ("r4.5,p7.25,s3", (4.5, -7.25, 3)),
        ("voxel 20 30 15", (0.5, 5.5, 1.0)),
        ("VOXEL = 20, 30, 15", (0.5, 5.5, 1.0)),
        ("RAS 1 2 3 mm\rLPS -1 -2 3 mm voxel 9 9 9", (1, 2, 3)),
    ],
)
def test_forms_that_are_understood(text: str, mm: tuple[float, float, float]) -> None:
    assert parsed(text, doubles.ras_grid()) == pytest.approx(mm)


def test_what_the_read_out_shows_is_understood() -> None:
    assert parsed(f"crosshair {sided(PLACE)} mm", doubles.ras_grid()) == pytest.approx(PLACE, abs=0.06)


@pytest.mark.parametrize("text", ["", "here", "1 2", "1 2 3 4", "RAS 1 2", "voxel a b c", "R 1 S 2 A 3"])
def test_what_is_no_place_is_said_with_the_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no place\. Write RAS"):
        parsed(text, doubles.ras_grid())


@pytest.mark.parametrize("text", ["RAS 300 0 0", "voxel 40 0 0", "L 300 P 1 S 1"])
def test_a_place_outside_is_said_with_the_reach_of_the_image(text: str) -> None:
    reach = "L 19.5 to R 19.5, P 24.5 to A 24.5, I 29.0 to S 29.0 mm"
    with pytest.raises(UsageError, match=re.escape(f"lies outside the image, which reaches {reach}")):
        parsed(text, doubles.ras_grid())


def test_the_border_voxels_are_inside_to_their_faces() -> None:
    grid = doubles.ras_grid()
    low, high = grid.to_mm(np.zeros(3)), grid.to_mm(np.array(grid.shape) - 1.0)
    assert is_inside(grid, tuple(low - 0.49))
    assert is_inside(grid, tuple(high + 0.49))
    assert not is_inside(grid, tuple(high + np.array([0.0, 0.51, 0.0])))


class TestDialog:
    @pytest.fixture
    def dialog(self, qtbot):
        dialog = GoTo()
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    def test_return_asks_with_what_was_typed(self, dialog, qtbot):
        dialog.set_text("RAS 1 2 3")
        qtbot.keyClicks(dialog.field, "4 5 6")  # the text was selected
        with qtbot.waitSignal(dialog.text_given) as given:
            qtbot.keyClick(dialog.field, Qt.Key.Key_Return)
        assert given.args == ["4 5 6"]

    def test_several_lines_can_be_pasted(self, dialog, qtbot):
        grid = doubles.ras_grid()
        QApplication.clipboard().setText(copied(grid, PLACE))
        dialog.set_text("")
        qtbot.keyClick(dialog.field, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
        with qtbot.waitSignal(dialog.text_given) as given:
            qtbot.mouseClick(dialog.go, Qt.MouseButton.LeftButton)
        assert parsed(given.args[0], grid) == pytest.approx(PLACE)

    def test_typing_takes_the_error_away(self, dialog, qtbot):
        dialog.set_message("no place")
        qtbot.keyClicks(dialog.field, "1")
        assert dialog.message.text() == ""
