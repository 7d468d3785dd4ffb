"""What can be undone: patches of named values, each with a name that a menu shows. Pure, no Qt."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 200
SAME_DRAG_S = 0.8
"""Changes of one number that follow each other this closely are one step."""
Values = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """Values before and after, by name. `drags`: only numbers differ, so that the next such change may join."""

    name: str
    before: Values
    after: Values
    drags: bool = False


@dataclass
class History:
    """Steps that were done and may be undone, and those that were undone and may be done again; newest last."""

    done: list[Step] = field(default_factory=list)
    undone: list[Step] = field(default_factory=list)
    _last_at: float = float("-inf")

    @property
    def undoable(self) -> Step | None:
        """The step that `undo` takes back."""
        return self.done[-1] if self.done else None

    @property
    def redoable(self) -> Step | None:
        """The step that `redo` does again."""
        return self.undone[-1] if self.undone else None

    def record(self, name: str, before: Values, after: Values, now: float, *, held: bool = False) -> None:
        """A change at `now` in s. A drag goes on in the step before while the mouse is `held`, or follows closely."""
        changed = [key for key in before if not _same(before[key], after[key])]
        if not changed:
            return
        step = Step(
            name, {key: before[key] for key in changed}, {key: after[key] for key in changed},
            all(differs_in_numbers(before[key], after[key]) for key in changed),
        )  # fmt: skip
        last, soon = self.undoable, held or now - self._last_at < SAME_DRAG_S
        self._last_at = now
        if last is not None and not self.undone and soon and _joins(last, step):
            self.done[-1] = dataclasses.replace(last, after=step.after)
            return
        self.undone.clear()
        self.done = [*self.done, step][-MOST_STEPS:]

    def undo(self, now_is: Callable[[str], Any]) -> Values:
        """What to put back. `now_is` gives the present values, which `redo` puts back: they may have changed since."""
        step = self.done.pop()
        self.undone.append(dataclasses.replace(step, after=_now(step, now_is)))
        self._last_at = float("-inf")
        return step.before

    def redo(self, now_is: Callable[[str], Any]) -> Values:
        """What to put back of the step that was undone last."""
        step = self.undone.pop()
        self.done.append(dataclasses.replace(step, before=_now(step, now_is), drags=False))
        return step.after

    def clear(self) -> None:
        """Nothing can be undone any more."""
        self.done, self.undone = [], []


def differs_in_numbers(before: Any, after: Any) -> bool:
    """Whether two values are alike but for numbers, as those of a slider are."""
    if dataclasses.is_dataclass(before) and type(before) is type(after):
        pairs = [(getattr(before, f.name), getattr(after, f.name)) for f in dataclasses.fields(before)]
        return all(differs_in_numbers(one, other) for one, other in pairs if not _same(one, other))
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        return all(differs_in_numbers(one, other) for one, other in zip(before, after, strict=True) if one != other)
    return all(isinstance(each, int | float) and not isinstance(each, bool) for each in (before, after))


def changed_fields(before: Any, after: Any) -> Mapping[str, Any]:
    """Names of the fields in which two dataclass instances differ, with what is new; those of nested ones too."""
    found: Values = {}
    for each in dataclasses.fields(after):
        one, other = getattr(before, each.name), getattr(after, each.name)
        if not _same(one, other):
            nested = dataclasses.is_dataclass(other) and type(one) is type(other)
            found |= changed_fields(one, other) if nested else {each.name: other}
    return found


def _joins(last: Step, step: Step) -> bool:
    return last.drags and step.drags and last.name == step.name and last.after.keys() == step.after.keys()


def _now(step: Step, now_is: Callable[[str], Any]) -> Values:
    return {name: now_is(name) for name in step.before}


def _same(one: Any, other: Any) -> bool:
    """Series and fits are told apart as objects: to compare them by value would read their voxels."""
    return one is other or (type(one) is type(other) and _is_plain(one) and bool(one == other))


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    if dataclasses.is_dataclass(value):
        return all(_is_plain(getattr(value, f.name)) for f in dataclasses.fields(value))
    return value is None or isinstance(value, bool | int | float | str) or hasattr(value, "__fspath__")
