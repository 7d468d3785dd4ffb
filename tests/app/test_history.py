"""Steps of a history as data: one a change, one a drag, and what redo puts back."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from noder_viewer.history import MOST_STEPS, History, differs_in_numbers
from noder_viewer.jobs import FitChoice
from noder_viewer.session import OverlaySettings
from noder_viewer.step_names import step_name


class Values(dict):
    """Named values that a history is applied to."""

    def put(self, values):
        self.update(values)


@pytest.fixture
def history():
    return History()


def change(history, values, at, held=False, **changes):
    before = dict(values)
    values.put(changes)
    history.record("step", before, dict(values), at, held=held)


def test_undo_and_redo_go_back_and_forth(history):
    values = Values(a="x", b=frozenset())
    change(history, values, 0, a="y")
    change(history, values, 9, b=frozenset({1}))
    values.put(history.undo(values.__getitem__))
    assert values == {"a": "y", "b": frozenset()}
    values.put(history.undo(values.__getitem__))
    assert values == {"a": "x", "b": frozenset()}
    assert history.undoable is None
    values.put(history.redo(values.__getitem__))
    values.put(history.redo(values.__getitem__))
    assert values == {"a": "y", "b": frozenset({1})}
    assert history.redoable is None


def test_a_drag_is_one_step(history):
    values = Values(window=(0.0, 100.0))
    for k in range(1, 30):
        change(history, values, 0.1 * k, window=(0.0, 100.0 + k))
    assert len(history.done) == 1
    values.put(history.undo(values.__getitem__))
    assert values["window"] == (0.0, 100.0)
    values.put(history.redo(values.__getitem__))
    assert values["window"] == (0.0, 129.0)


def test_a_pause_ends_a_drag_unless_the_mouse_is_held(history):
    values = Values(window=(0.0, 100.0))
    change(history, values, 0.0, window=(0.0, 110.0))
    change(history, values, 5.0, window=(0.0, 120.0), held=True)
    change(history, values, 10.0, window=(0.0, 130.0))
    assert [step.after["window"][1] for step in history.done] == [120.0, 130.0]


def test_switches_never_join_however_quick_they_are(history):
    values = Values(overlays=OverlaySettings())
    change(history, values, 0.0, overlays=OverlaySettings(jacobian=True))
    change(history, values, 0.1, overlays=OverlaySettings(jacobian=False))
    assert len(history.done) == 2
    assert not differs_in_numbers(OverlaySettings(), OverlaySettings(quiver=True))
    assert differs_in_numbers(OverlaySettings(), OverlaySettings(jacobian_opacity=0.2, quiver_scale=3.0))
    assert not differs_in_numbers(OverlaySettings(jacobian_limit=None), OverlaySettings(jacobian_limit=0.3))


def test_a_change_after_an_undo_drops_what_was_undone(history):
    values = Values(a="x")
    change(history, values, 0, a="y")
    values.put(history.undo(values.__getitem__))
    change(history, values, 9, a="z")
    assert history.redoable is None
    values.put(history.undo(values.__getitem__))
    assert values == {"a": "x"}


def test_a_drag_does_not_join_what_was_undone_to(history):
    values = Values(w=1.0)
    change(history, values, 0, w=2.0)
    change(history, values, 5, w=3.0)
    values.put(history.undo(values.__getitem__))
    change(history, values, 5.1, w=4.0)
    values.put(history.undo(values.__getitem__))
    assert values["w"] == 2.0


def test_what_has_changed_otherwise_since_is_not_lost(history):
    """A fit that was made after other times were given comes back with the redo."""
    values = Values(data=object())
    first = values["data"]
    change(history, values, 0, data=object())
    fitted = object()
    values.put({"data": fitted})  # no step: the program did it
    values.put(history.undo(values.__getitem__))
    assert values["data"] is first
    values.put(history.redo(values.__getitem__))
    assert values["data"] is fitted


def test_series_and_fits_are_never_compared_by_value(history):
    @dataclass(frozen=True)
    class Heavy:
        voxels: object

        def __eq__(self, other):
            raise AssertionError("compared")

        __hash__ = None

    history.record("step", {"data": Heavy(object())}, {"data": Heavy(object())}, 0)
    assert len(history.done) == 1


def test_nothing_changed_is_no_step_and_the_oldest_go(history):
    values = Values(a="x")
    change(history, values, 0, a="x")
    assert history.done == []
    for k in range(MOST_STEPS + 5):
        change(history, values, 10.0 * k, a=str(k))
    assert len(history.done) == MOST_STEPS


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ({"hold_out": frozenset(), "show": "a"}, {"hold_out": frozenset({1}), "show": "a"}, "hold-out"),
        ({"hold_out": frozenset({1}), "exclude": frozenset()}, {"hold_out": frozenset(), "exclude": frozenset({1})},
         "use of a scan"),
        ({"mask": None}, {"mask": Path("m.nii")}, "change of mask"),
        ({"overlays": OverlaySettings()}, {"overlays": OverlaySettings(jacobian_opacity=0.1)}, "opacity"),
        ({"overlays": OverlaySettings()}, {"overlays": OverlaySettings(quiver=True)}, "motion on or off"),
        ({"fit": FitChoice()}, {"fit": FitChoice(seed=3)}, "change of seed"),
        ({"fit": FitChoice(settings=OverlaySettings())}, {"fit": FitChoice(settings=OverlaySettings(quiver_scale=2.0))},
         "change of quiver_scale"),
        ({"fit": FitChoice()}, {"fit": replace(FitChoice(), preset="fast", settings=1)}, "change of preset"),
    ],
)  # fmt: skip
def test_steps_are_called_by_what_the_user_did(before, after, name):
    assert step_name(before, after) == name
