"""Leave-one-out: cold refits that equal single fits, whatever the number of processes, and an honest verdict."""

import os
import re
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_kit import SHORT, box_grid, moving_series

from noder.errors import NoderError, OutOfMemory, UsageError
from noder.fit import fit
from noder.fit_config import FitConfig
from noder.leave_one_out import LeftOut, judged, leave_one_out_steps, predictions, refits_of
from noder.series import ImageSeries
from noder.workers import Workers

CONFIG = FitConfig(preset="fast", settings=replace(SHORT, middle_iterations=5, fine_iterations=0))


def run(config: FitConfig = CONFIG, stop_at: int | None = None, n: int = 4, **options: object) -> tuple[list, LeftOut]:
    series, _ = moving_series(box_grid(16), times=[float(k) for k in range(n)])
    steps, seen = leave_one_out_steps(series, config, **options), []
    try:
        progress = next(steps)
        while True:
            seen.append(progress)
            progress = steps.send(True if len(seen) == stop_at else None)
    except StopIteration as end:
        return seen, end.value


def test_a_row_is_that_of_a_fit_with_the_scan_held_out() -> None:
    seen, found = run(baselines=False)
    series, _ = moving_series(box_grid(16))
    assert [row["index"] for row in found.rows] == [1, 2, 3]
    assert [row["extrapolated"] for row in found.rows] == [False, False, True]
    for row in found.rows:
        alone = fit(series, replace(CONFIG, hold_out=(row["index"],))).report.rows[row["index"]]
        assert row["noder"].items() >= alone["neighbours"].items()
        assert row["noder first"].items() >= alone["first"].items()
        assert [row[name] for name in ("blend", "nearest", "unchanged")] == [
            alone[name] for name in ("blend", "nearest", "unchanged")
        ]
    assert found.within["noder"]["nrmse_mask"] == pytest.approx(
        np.mean([row["noder"]["nrmse_mask"] for row in found.rows[:2]])
    )
    assert found.beyond["noder"]["nrmse_mask"] == found.rows[2]["noder"]["nrmse_mask"]
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].total) == (3.0, 3)
    assert "Scan 3 lies beyond" in " ".join(found.notes)


def test_two_processes_find_what_one_finds() -> None:
    seen, apart = run(n=3, workers=2)
    _, here = run(n=3)
    assert apart == here
    assert predictions(here.rows[0]) == [
        "noder", "noder first", "geodesic", "geodesic first", "piecewise", "piecewise first",
        "blend", "nearest", "unchanged",
    ]  # fmt: skip
    assert seen[-1].done == pytest.approx(6)
    assert any("linear model" in note for note in here.notes)  # each refit saw two scans


@pytest.mark.parametrize("workers", [1, 2])
def test_stopping_keeps_the_rows_that_are_complete(workers: int) -> None:
    _, found = run(stop_at=2, workers=workers, baselines=False)
    assert found.stopped
    assert len(found.rows) < 3


def test_an_error_in_another_process_is_told_here() -> None:
    with pytest.raises(NoderError, match="no-such-mask"):
        run(replace(CONFIG, mask=Path("no-such-mask.nii.gz")), workers=2, baselines=False)


class Killed:
    """A job that the system ends, as it does when memory runs out."""

    def run(self, series: ImageSeries) -> Generator[float, bool | None, None]:
        yield 0.0
        os._exit(9)


def test_a_process_that_is_killed_is_an_error_and_no_wait_for_ever() -> None:
    series, _ = moving_series(box_grid(16), times=[0.0, 1.0])
    with pytest.raises(OutOfMemory, match="fewer workers"), Workers(series, [Killed(), Killed()], 2) as running:
        list(running)


def scored(scores: dict[str, list[float]]) -> LeftOut:
    """What is said of NRMSEs by prediction, one a scan."""
    series, _ = moving_series(times=[float(k) for k in range(9)])
    kinds = {"neighbours": "noder", "first": "noder first"}
    found = {}
    for k in range(1, 1 + len(scores["noder"])):
        for method, names in (("noder", kinds), ("geodesic", {"neighbours": "geodesic", "first": "geodesic"})):
            row = {
                "index": k, "name": "", "time": float(k), "role": "held out", "extrapolated": False, "rule": "",
                "mask": "", "linearity_index": 0.0, "folds": 0, "smallest_determinant": 1.0,
            }  # fmt: skip
            values = {name: scores[shown][k - 1] for name, shown in names.items()}
            trivial = {name: scores[name][k - 1] for name in ("blend", "nearest", "unchanged")}
            found[method, k] = row | {name: {"nrmse_mask": v} for name, v in (values | trivial).items()}
    return judged("noder", series, found, ["noder", "geodesic"])


FAR = {name: [0.9] * 6 for name in ("noder first", "nearest", "unchanged")}


@pytest.mark.parametrize(
    ("noder", "geodesic", "blend", "words"),
    [
        ([1.0] * 6, [1.2, 1.3, 1.2, 1.3, 1.2, 1.2], [2.0] * 6, "noder predicts best: .*geodesic .*better in 6 of 6"),
        ([1.3] * 6, [1.2, 1.1, 1.2, 1.1, 1.2, 1.1], [2.0] * 6, "geodesic predicts better than noder.*simpler"),
        ([1.0] * 6, [0.8, 1.2, 0.8, 1.2, 0.8, 1.21], [2.0] * 6, "cannot be told apart .*simpler one is safe"),
        ([1.0] * 6, [1.2] * 6, [0.7, 0.8] * 3, "blend predicts better than noder"),
        ([1.0], [1.2], [2.0], "one scan alone cannot tell"),
    ],
)
def test_the_verdict_follows_the_scores(noder: list, geodesic: list, blend: list, words: str) -> None:
    far = {name: [9.0] * len(noder) for name in FAR}
    found = scored({"noder": noder, "geodesic": geodesic, "blend": blend, **far})
    assert re.search(words, found.notes[0]), found.notes[0]


def test_what_cannot_be_left_out_is_refused() -> None:
    series, _ = moving_series(times=[0.0, 1.0])
    with pytest.raises(UsageError, match="three scans"):
        refits_of(series, CONFIG, baselines=True)
    series, _ = moving_series()
    with pytest.raises(UsageError, match="hold-out"):
        refits_of(series, replace(CONFIG, hold_out=(1,)), baselines=True)
    assert {refit.index for refit in refits_of(series, replace(CONFIG, exclude=(2,)), baselines=True)} == {1, 3}
