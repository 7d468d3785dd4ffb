"""The thread that drives a fit: progress, stop, failure; and that slots run where they may touch widgets."""

import threading
import time
from dataclasses import dataclass, field

import pytest
from PySide6.QtCore import QObject, QThread

from noder.errors import InputError
from noder_viewer.fit_thread import FitThread


@dataclass(frozen=True)
class Progress:
    step: int
    losses: dict[str, float] = field(default_factory=dict)
    trajectory: object = None


def counting(n, pause=0.0, preview_every=10):
    """A fit of `n` steps that returns the steps it did and whether it was stopped."""
    for step in range(n):
        time.sleep(pause)
        wanted = yield Progress(step, {"similarity": 1.0}, f"map {step}" if step % preview_every == 0 else None)
        if wanted:
            return step + 1, True
    return n, False


class Listener(QObject):
    """Lives in the thread of the test and notes in which thread its methods run."""

    def __init__(self, thread):
        super().__init__()
        self.fit, self.threads, self.taken, self.results, self.errors = thread, [], [], [], []
        thread.progressed.connect(self.on_progress)
        thread.finished_with.connect(self.on_result)
        thread.failed.connect(self.on_failed)

    def on_progress(self):
        self.threads.append(QThread.currentThread())
        self.taken.append(self.fit.take())

    def on_result(self, result):
        self.threads.append(QThread.currentThread())
        self.results.append(result)

    def on_failed(self, error):
        self.threads.append(QThread.currentThread())
        self.errors.append(error)


def run(qtbot, make_steps):
    thread = FitThread(make_steps)
    listener = Listener(thread)
    with qtbot.waitSignal(thread.finished, timeout=10_000):
        thread.start()
    qtbot.waitUntil(lambda: bool(listener.results or listener.errors))
    return listener


def test_a_fit_runs_to_its_end(qtbot):
    listener = run(qtbot, lambda: counting(30, 0.005))
    assert listener.results == [(30, False)]
    assert listener.errors == []


def test_slots_run_in_the_gui_thread(qtbot):
    listener = run(qtbot, lambda: counting(30, 0.005))
    assert set(listener.threads) == {QThread.currentThread()}


def test_progress_is_told_at_most_twenty_times_a_second(qtbot):
    listener = run(qtbot, lambda: counting(200, 0.002))
    assert 2 <= len(listener.taken) <= 20 * 200 * 0.004
    newest, _, history = listener.taken[-1]
    assert [p.step for p in history] == list(range(len(history)))
    assert newest is history[-1]
    assert all(p.trajectory is None for p in history)  # else every preview would stay in memory


def test_a_busy_window_skips_states_and_misses_no_preview(qtbot):
    thread = FitThread(lambda: counting(40, 0.003, preview_every=40))
    thread.start()
    assert thread.wait(10_000)  # nothing was taken meanwhile
    newest, preview, history = thread.take()
    assert (newest.step, preview, len(history)) == (39, "map 0", 40)
    assert thread.take()[:2] == (None, None)


def test_stop_is_answered_within_a_second_and_keeps_what_there_is(qtbot):
    thread = FitThread(lambda: counting(10_000, 0.01))
    listener = Listener(thread)
    thread.start()
    qtbot.waitUntil(lambda: bool(listener.taken), timeout=5000)
    asked = time.monotonic()
    thread.stop()
    qtbot.waitUntil(lambda: bool(listener.results), timeout=5000)
    assert time.monotonic() - asked < 1.0
    steps, stopped = listener.results[0]
    assert stopped
    assert 0 < steps < 10_000
    thread.wait()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("scan_1.nii is odd."), "scan_1.nii is odd."),
        (MemoryError(), "There is not enough memory"),
        (ZeroDivisionError("division by zero"), "Something unexpected went wrong (ZeroDivisionError"),
    ],
)
def test_a_failure_is_a_sentence(qtbot, error, sentence):
    def failing():
        yield Progress(0)
        raise error

    listener = run(qtbot, failing)
    assert listener.results == []
    assert str(listener.errors[0]).startswith(sentence)


def test_steps_are_made_in_the_thread(qtbot):
    made_in = []

    def make():
        made_in.append(threading.get_ident())
        return counting(1)

    run(qtbot, make)
    assert made_in != [threading.get_ident()]
