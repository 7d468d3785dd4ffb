"""Where playing has come to: it begins again, runs back, or goes round a period."""

import pytest

from noder_viewer.playing import Cycle, axis_span

LOOP, BACK = Cycle(10.0, 4.0), Cycle(10.0, 4.0, mode="there and back")
PERIOD = Cycle(10.0, 6.0, periodic=True, mode="there and back")


@pytest.mark.parametrize(
    ("cycle", "share", "start", "there"),
    [
        (LOOP, 0.5, 10.0, 12.0),
        (LOOP, 0.5, 13.0, 11.0),
        (LOOP, 2.25, 10.0, 11.0),
        (BACK, 0.25, 10.0, 12.0),  # a cycle is both ways
        (BACK, 0.75, 10.0, 12.0),
        (BACK, 0.5, 13.0, 11.0),
        (BACK, 1.0, 11.0, 11.0),
        (PERIOD, 0.5, 10.0, 13.0),  # a period never runs back
        (PERIOD, 0.5, 15.0, 12.0),
    ],
)
def test_a_share_of_a_cycle_later(cycle: Cycle, share: float, start: float, there: float) -> None:
    assert cycle.at(share, start) == pytest.approx(there)


def test_the_axis_holds_all_scans_and_a_loop_begins_at_the_first() -> None:
    assert axis_span(1.0, 3.0, None) == pytest.approx((0.76, 3.24))
    assert axis_span(1.0, 3.0, 5.0) == (1.0, 6.0)
    assert axis_span(1.0, 3.0, 0.5) == (1.0, 3.0)  # scans of a later beat stay in sight
    assert axis_span(2.0, 2.0, None) == (1.0, 3.0)


def test_a_step_over_the_end_of_a_period_goes_on_at_its_beginning() -> None:
    assert PERIOD.wrapped(16.5, 15.9) == pytest.approx(10.5)
    assert PERIOD.wrapped(9.5, 10.0) == pytest.approx(15.5)
    assert PERIOD.wrapped(16.0, 15.0) == 16.0  # its very end can be looked at
    assert PERIOD.wrapped(18.0, 17.0) == 18.0  # beyond it, scans of a later beat are no part of it
    assert LOOP.wrapped(16.5, 13.9) == 16.5
