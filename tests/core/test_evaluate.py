"""Scores: the right truth, the right rule, and no scan scored against itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_kit import SHORT, moving_series
from skimage.metrics import normalized_root_mse

from noder.errors import InputError
from noder.evaluate import carried_labels, label_rows, predicted, rows_of
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.grid import Grid
from noder.image import write_volume


def test_rows_name_their_rule_and_use_it() -> None:
    series, _ = moving_series(mm_per_time=2.0)
    result = fit(series, FitConfig(settings=SHORT, hold_out=(2,), match_intensity=False))
    rows = result.report.rows
    assert [row["rule"] for row in rows] == [
        "carried from scan 1, without itself",
        "carried from scan 0 and 3, without itself",
        "carried from scan 1 and 3",
        "carried from scan 1, without itself",
    ]
    mask, _ = result.mask()
    scans = [scan.image.numpy() for scan in series.scans]
    assert rows[2]["blend"]["nrmse_mask"] == pytest.approx(
        normalized_root_mse(scans[2][mask], ((scans[1] + scans[3]) / 2)[mask]), rel=1e-5
    )
    assert rows[3]["unchanged"]["nrmse"] == pytest.approx(normalized_root_mse(scans[3], scans[0]), rel=1e-5)
    assert "first" not in rows[0]
    assert rows[2]["neighbours"]["nrmse_mask"] < rows[2]["blend"]["nrmse_mask"] < rows[2]["unchanged"]["nrmse_mask"]
    assert result.report.summary["first"]["nrmse"] == rows[2]["first"]["nrmse"]
    assert result.report.summary["first"]["ncc_mask"] == rows[2]["first"]["ncc_mask"] > 0.5
    alone = list(rows_of(result.trajectory, series, (1,), result.gains, mask, only="first"))
    assert alone[3]["first"] == rows[3]["first"]
    assert "neighbours" not in alone[3]
    assert "folds" not in alone[3]
    assert alone[1]["role"] == "excluded"


def test_the_report_says_what_two_scans_can_support() -> None:
    series, _ = moving_series(times=[0.0, 203.0], mm_per_time=0.01)
    notes = " ".join(fit(series, FitConfig(settings=SHORT)).report.notes)
    assert "Two scans" in notes
    assert "not its course" in notes


def test_an_excluded_scan_has_a_row_without_scores() -> None:
    series, _ = moving_series()
    row = fit(series, FitConfig(settings=SHORT, exclude=(1,))).report.rows[1]
    assert row["role"] == "excluded"
    assert "neighbours" not in row


def test_labels_are_carried_with_the_tissue(tmp_path) -> None:
    series, grid = moving_series(mm_per_time=1.5)
    result = fit(series, FitConfig(settings=SHORT))
    labels = np.zeros(grid.shape, np.float32)
    labels[8:16, 8:16, 8:16] = 3
    import torch
    from engine_kit import push

    maps = [push(grid, 1.5 * t).warp(torch.from_numpy(labels)[None], grid)[0].numpy() for t in series.times]
    maps = [np.where(m > 1.5, 3, 0).astype(np.float32) for m in maps]
    write_volume(tmp_path / "labels.nii.gz", np.stack(maps, axis=-1), grid)
    rows = label_rows(result.trajectory, series, tmp_path / "labels.nii.gz")
    assert rows[0]["dice"] == {"3": 1.0}
    assert rows[3]["dice"]["3"] > rows[3]["dice_not_carried"]["3"] + 0.05
    assert set(np.unique(carried_labels(result.trajectory, labels, 3.0))) == {0, 3}


def test_another_number_of_label_volumes_is_refused(tmp_path) -> None:
    series, grid = moving_series()
    write_volume(tmp_path / "two.nii.gz", np.zeros((*grid.shape, 2), np.float32), grid)
    result = fit(series, FitConfig(settings=SHORT))
    with pytest.raises(InputError, match="2 label volumes"):
        label_rows(result.trajectory, series, tmp_path / "two.nii.gz")


@pytest.mark.parametrize("kind", ["displacement", "flow"])
def test_scores_slab_by_slab_are_those_of_the_whole_volume(kind: str) -> None:
    """The grid has 40 planes: two slabs and a half, none of which may show."""
    grid = Grid((40, 20, 18), np.diag([1.5, 1.5, 1.5, 1.0]))
    series, _ = moving_series(grid, mm_per_time=2.5)
    settings = replace(SHORT, folding=0.0, map=kind, coarse_iterations=15, middle_iterations=0, fine_iterations=0)
    result = fit(series, FitConfig(settings=settings, hold_out=(2,)))
    trajectory, row = result.trajectory, result.report.rows[2]
    for carry in ("neighbours", "first"):
        whole = trajectory.predict(2.0, carry=carry, exact=True)
        assert torch.allclose(predicted(trajectory, 2.0, carry), whole, atol=1e-2)  # of a range of 1000
    least = trajectory.field(grid, 2.0).corner_determinant()
    assert row["smallest_determinant"] == pytest.approx(float(least.min()), abs=1e-4)
    assert row["folds"] == int((least <= 0).sum())
    growth = trajectory.jacobian(2.0, exact=True)[torch.from_numpy(result.mask()[0])]
    assert row["log_jacobian_sd"] == pytest.approx(float(growth[growth > 0].log().std(correction=0)), rel=1e-4)
