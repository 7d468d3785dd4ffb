"""Which view is where, as data."""

import pytest

from noder_viewer.layouts import AXIAL, CORONAL, LAYOUTS, SAGITTAL, VOLUME, Layout, places


def cells(layout):
    """Every cell that a view takes."""
    return [
        (row + i, column + j)
        for row, column, rows, columns in places(layout).values()
        for i in range(rows)
        for j in range(columns)
    ]


@pytest.mark.parametrize("kind", [kind for kind in LAYOUTS if kind != "lightbox"])
@pytest.mark.parametrize("view", [AXIAL, SAGITTAL, CORONAL, VOLUME])
def test_views_lie_beside_each_other_and_leave_no_hole(kind, view):
    taken = cells(Layout(kind, view))
    assert len(taken) == len(set(taken))
    rows, columns = (1 + max(cell[k] for cell in taken) for k in (0, 1))
    assert len(taken) == rows * columns


def test_one_large_view_has_the_room_to_itself():
    assert set(places(Layout("large", CORONAL))) == {CORONAL}


def test_the_large_one_of_three_is_the_one_that_was_chosen():
    found = places(Layout("one and two", SAGITTAL))
    areas = {view: place.rows * place.columns for view, place in found.items()}
    assert max(areas, key=areas.get) == SAGITTAL
    assert set(found) == {AXIAL, SAGITTAL, CORONAL}


def test_the_3d_view_may_be_large_beside_all_slices():
    assert set(places(Layout("one and two", VOLUME))) == {AXIAL, SAGITTAL, CORONAL, VOLUME}


def test_a_view_is_enlarged_and_goes_back_to_where_it_was():
    row = Layout().changed("row")
    large = row.enlarged(CORONAL)
    assert (large.kind, large.view) == ("large", CORONAL)
    other = large.enlarged(AXIAL)
    assert (other.kind, other.view) == ("large", AXIAL)
    assert other.enlarged(AXIAL).kind == "row"


def test_a_lightbox_is_of_a_slice():
    assert Layout("lightbox", VOLUME).axis == AXIAL
    assert Layout("lightbox", CORONAL).axis == CORONAL


@pytest.mark.parametrize("kind", list(LAYOUTS))
def test_a_layout_survives_a_settings_file(kind):
    layout = Layout("row").changed(kind).enlarged(CORONAL)
    assert Layout.from_text(layout.to_text()) == layout


@pytest.mark.parametrize("text", ["", "large/9/four", "nothing/1/four", "large/1/large", "four/1", "row/12/four"])
def test_what_is_no_layout_is_the_first_one(text):
    assert Layout.from_text(text) == Layout()
