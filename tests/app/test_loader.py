"""A lane of background work: the newest request wins, and nothing comes after the end."""

import pytest
from PySide6.QtCore import QCoreApplication
from window_kit import TIMEOUT_MS

from noder_viewer.loader import Latest


@pytest.fixture
def lane(qtbot):
    lane, lane.found = Latest(), []
    lane.done.connect(lane.found.append)
    yield lane
    lane.shut_down()
    QCoreApplication.processEvents()


def test_what_is_done_is_told(qtbot, lane):
    lane.submit(lambda _: "first")
    qtbot.waitUntil(lambda: lane.found == ["first"], timeout=TIMEOUT_MS)


def test_of_what_waits_the_newest_runs(qtbot, lane):
    for name in ("first", "second", "third"):
        lane.submit(lambda _, name=name: name)
    qtbot.waitUntil(lambda: not lane.busy, timeout=TIMEOUT_MS)
    assert lane.found == ["first", "third"]


def test_a_result_on_its_way_at_the_end_is_told_to_nobody(qtbot, lane):
    """The task has sent it when the lane is shut down; the widgets that it is for may be gone when it arrives."""
    lane.submit(lambda _: "late")
    lane._task.wait(TIMEOUT_MS)
    lane.shut_down()
    QCoreApplication.processEvents()
    assert lane.found == []


def test_after_the_end_nothing_begins(qtbot, lane):
    """A thread that runs on while the program ends takes it down."""
    lane.shut_down()
    lane.submit(lambda _: "too late")
    assert not lane.busy
    QCoreApplication.processEvents()
    assert lane.found == []
