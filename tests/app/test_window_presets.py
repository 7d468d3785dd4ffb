"""Grey levels from presets: one robust range of all scans, the full range, those of CT."""

import numpy as np
import pytest
from doubles import session
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from window_kit import ball, make_controller, open_and_wait, write_scan

from noder_viewer.frames import default_window
from noder_viewer.window_presets import AUTO, CT, FULL, PRESETS, looks_like_ct, preset


def ramp(low, high):
    return np.linspace(low, high, 32**3, dtype=np.float32).reshape(32, 32, 32)


def test_the_range_is_the_1st_to_99th_percentile_of_all_scans_together():
    one, other = ramp(0, 100), ramp(100, 200)
    low, high = default_window(one, other)
    assert low == pytest.approx(2, abs=0.1)
    assert high == pytest.approx(198, abs=0.1)
    assert default_window(one)[1] == pytest.approx(99, abs=0.1)  # of the first alone it would be this


def test_every_scan_counts_alike_whatever_its_size():
    small, large = ramp(100, 200)[:16, :16, :16], np.zeros((160, 160, 160), np.float32)
    large[:] = ramp(0, 100).reshape(-1)[np.arange(160**3).reshape(large.shape) % 32**3]
    low, high = default_window(small, large)
    assert high > 105  # voxel by voxel the small one is a thousandth of all
    assert low < 5


def test_order_of_axes_does_not_matter():
    rng = np.random.default_rng(0)
    volume = rng.normal(size=(30, 60, 90)).astype(np.float32)
    assert default_window(volume.transpose(2, 0, 1)[::-1]) == pytest.approx(default_window(volume), abs=0.1)


def test_nearly_empty_scans_show_what_there_is():
    volume = np.zeros((40, 40, 40), np.float32)
    volume[:4, :4, :4] = 500
    low, high = default_window(volume)
    assert low < high
    assert high == 500


@pytest.mark.parametrize(
    ("value_range", "ct"),
    [((-1024, 3071), True), ((-2000, 1500), True), ((0, 1500), False), ((-0.5, 0.5), False), ((-1e6, 1e6), False)],
)
def test_hounsfield_units_are_known_by_air(value_range, ct):
    assert looks_like_ct(value_range) == ct


def test_presets_of_a_session():
    found = session(value_range=(-1000.0, 1200.0))
    assert preset(found, FULL) == (-1000, 1200)
    assert preset(found, "lung") == (-600 - 750, -600 + 750)
    assert preset(found, "brain") == (40 - 40, 40 + 40)
    scans = [scan.image.array for scan in found.series.scans]
    assert preset(found, AUTO) == default_window(*scans)
    found.exclude = frozenset({2})
    assert preset(found, AUTO) == default_window(*scans[:2])


@pytest.fixture
def ct(qtbot, tmp_path):
    controller = make_controller(tmp_path)
    qtbot.addWidget(controller.window)
    files = [write_scan(tmp_path / f"ct_{k}.nii.gz", ball(5.0 + k) * (4 + k) - 1000) for k in range(2)]
    open_and_wait(qtbot, controller, files)
    controller.presenter.refresh()
    yield controller
    controller.shut_down()


def test_a_series_opens_with_the_range_of_all_scans(ct):
    scans = [scan.image.numpy() for scan in ct.session.series.scans]
    assert ct.session.window == default_window(*scans)
    assert ct.session.window != default_window(scans[0])


@pytest.mark.parametrize("name", list(PRESETS))
def test_each_preset_of_the_menu_and_of_the_button(ct, name):
    expected = preset(ct.session, name)
    ct.session.window = (1.0, 2.0)
    ct.window.actions_by_name[f"window_{name}"].trigger()
    assert ct.session.window == expected
    ct.session.window = (1.0, 2.0)
    ct.window.overlay_panel.presets._choices[name].trigger()
    assert ct.session.window == expected


def test_auto_is_the_first_preset(qtbot, ct):
    ct.session.window = (1.0, 2.0)
    with qtbot.waitSignal(ct.window.overlay_panel.auto_window_requested):
        buttons = ct.window.overlay_panel.window_box.findChildren(type(ct.window.fit_panel.start))
        QTest.mouseClick(next(b for b in buttons if b.text() == "Auto"), Qt.MouseButton.LeftButton)
    assert ct.session.window == preset(ct.session, AUTO)


def test_presets_of_ct_are_offered_where_values_can_be_hounsfield_units(ct):
    choices, actions = ct.window.overlay_panel.presets._choices, ct.window.actions_by_name
    assert all(choices[name].isVisible() and actions[f"window_{name}"].isEnabled() for name in CT)
    ct.session.value_range = (0.0, 800.0)
    ct.presenter.refresh()
    assert not any(choices[name].isVisible() or actions[f"window_{name}"].isEnabled() for name in CT)
    assert choices[FULL].isVisible()
