"""What the fit panel says before a fit, and what the report says after one."""

import dataclasses
from types import SimpleNamespace

import pytest
from window_kit import TIMEOUT_MS, engine, make_controller, open_and_wait, write_scans

from noder.evaluate import Report
from noder_viewer.fit_panel import FitPanel
from noder_viewer.report_html import report_html


def test_the_panel_says_what_the_fit_takes_and_follows_the_choice(qtbot, tmp_path) -> None:
    controller = make_controller(tmp_path)
    panel = controller.window.fit_panel
    try:
        open_and_wait(qtbot, controller, write_scans(tmp_path))
        engine(qtbot, controller)
        qtbot.waitUntil(lambda: panel.estimate.text().startswith("About "), timeout=TIMEOUT_MS)
        assert panel.estimate.text().endswith(" of memory")
        settings = panel.form.settings()
        long = dataclasses.replace(settings, coarse_iterations=2000, middle_iterations=2000, fine_iterations=2000)
        before = panel.estimate.text()
        panel.form.set_settings(long)
        panel.form.changed.emit()
        qtbot.waitUntil(lambda: panel.estimate.text() != before, timeout=TIMEOUT_MS)
        several = panel.estimate.text()
        panel.seeds.setValue(20)
        qtbot.waitUntil(lambda: panel.estimate.text() != several, timeout=TIMEOUT_MS)
        assert panel.choice().seeds == 20
    finally:
        controller.shut_down()
        controller.window.close()


def test_what_does_not_fit_is_a_warning_that_wraps(qtbot) -> None:
    panel = FitPanel()
    qtbot.addWidget(panel)
    assert panel.estimate.isHidden()
    panel.set_estimate("This fit needs 5.1 GiB of memory, and 1.2 GiB are free.", fits=False)
    assert panel.estimate.property("warning") is True
    assert panel.estimate.wordWrap()
    panel.set_estimate("About 2 min, 650 MiB of memory")
    assert panel.estimate.property("warning") is False
    assert panel.estimate.property("muted") is True


@pytest.mark.parametrize("seeds", [0, 3])
def test_the_report_calls_extrapolation_by_its_name_and_tells_the_spread(seeds: int) -> None:
    scores = {"nrmse_mask": 0.1, "ssim_mask": 0.9, "ncc_mask": 0.95}
    rows = [
        {"index": k, "time": float(k), "role": role, "extrapolated": k == 2, "neighbours": scores}
        for k, role in enumerate(("reference", "seen", "held out"))
    ]
    spread = [
        {"index": None, "time": 3.0, "role": "no scan", "extrapolated": True, "seeds": seeds, "displacement_mm": 1.234,
         "displacement_sd_mm": 0.567},
    ]  # fmt: skip
    report = Report(rows, mask="brain", linearity=0.0625, spread=spread if seeds else [])
    page = report_html(SimpleNamespace(report=report, stopped=False, notes=()))  # type: ignore[arg-type]
    assert "6.2 % of the squared displacement" in page
    assert page.count(">extrap.</td>") == 3 + (seeds > 0)  # a row in each of three tables of scores
    assert "extrapolated, beyond the scans that were seen" in page
    assert ("Spread over 3 seeds" in page) is (seeds > 0)
    assert ("0.567" in page) is (seeds > 0)
