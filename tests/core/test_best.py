"""What a stopped fit keeps, and the watch that counts its seconds."""

from __future__ import annotations

import time

import pytest

from noder.best import FULL_SIZE, Best
from noder.fit import Watch
from noder.methods.problem import Iteration


def offered(best: Best, losses: list[float], stage: str = FULL_SIZE, first: int = 1) -> None:
    """Steps with these total losses, each of two parts, and the curve "c3" after step 3."""
    for step, loss in enumerate(losses, start=first):
        best.add(Iteration(stage, 1.0, {"similarity": loss - 1.0, "smoothness": 1.0}))
        best.offer(f"c{step}", step)  # type: ignore[arg-type]


class TestBest:
    def test_the_curve_of_the_smallest_total_is_kept_when_it_gets_worse(self) -> None:
        best = Best()
        offered(best, [9, 8, 7, 6, 5, 4, 8, 9, 9])
        assert (best.curve, best.step) == ("c6", 6)

    def test_one_lucky_step_does_not_win(self) -> None:
        """Each step looks at a part of the scans: four steps together are compared."""
        best = Best()
        offered(best, [4, 4, 4, 4, 9, 9, 1, 9, 9, 9])
        assert best.step == 4

    def test_nothing_is_kept_of_the_first_three_steps(self) -> None:
        best = Best()
        offered(best, [3, 2, 1])
        assert best.curve is None
        offered(best, [9], first=4)
        assert best.step == 4

    def test_losses_of_smaller_images_tell_nothing(self) -> None:
        best = Best()
        offered(best, [0.1] * 6, stage="1/2 size")
        assert best.curve is None
        offered(best, [5, 5, 5, 5], first=7)
        assert (best.curve, best.step) == ("c10", 10)

    def test_of_equals_the_first_is_kept(self) -> None:
        best = Best()
        offered(best, [2] * 8)
        assert best.step == 4

    def test_a_loss_that_is_no_number_is_never_the_best(self) -> None:
        best = Best()
        offered(best, [5, 5, 5, 5, float("nan"), 1, 1, 1, 1])
        assert best.step == 9  # the four steps after it


class TestWatch:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [100.0]
        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        return now

    def test_a_pause_stands_still(self, clock: list[float]) -> None:
        watch = Watch()
        clock[0] += 5
        since = time.monotonic()
        clock[0] += 60
        watch.hold(since)
        assert watch.seconds == 5
        clock[0] += 2
        assert watch.seconds == 7

    def test_two_pauses_both_count(self, clock: list[float]) -> None:
        watch = Watch()
        for _ in range(2):
            clock[0] += 1
            since = time.monotonic()
            clock[0] += 10
            watch.hold(since)
        assert watch.seconds == 2

    def test_work_of_an_earlier_run_is_added(self, clock: list[float]) -> None:
        watch = Watch()
        watch.add(30)
        clock[0] += 4
        assert watch.seconds == 34
