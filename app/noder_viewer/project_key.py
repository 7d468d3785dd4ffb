"""Whether what a project holds has changed: a key that is equal to an earlier one where nothing has. No Qt."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from noder_viewer.pair_jobs import RegisterChoice, Source
from noder_viewer.project_parts import layers_as_dicts
from noder_viewer.view_state import lasting_view

if TYPE_CHECKING:
    from noder_viewer.jobs import FitChoice
    from noder_viewer.region_state import ShownRegions
    from noder_viewer.session import Session


class ProjectKeys:
    """Gives keys; things are told apart as objects, since to compare them by value would read their voxels."""

    def __init__(self) -> None:
        self._numbers, self._numbered = itertools.count(1), WeakValueDictionary[int, Any]()

    def key(self, session: Session, fit: FitChoice | None, register: RegisterChoice | None) -> tuple[object, ...]:
        """Of all that a project holds, but for place and time."""
        kept = {} if session.kept is None else session.kept
        things = session.series, session.result, session.pair, *map(kept.get, ("series", "result", "pair"))
        rows = (*session.fits, *kept.get("fits", ()))
        found = [(row.name, self._number(row.result or row.left_out)) for row in rows if row.result or row.left_out]
        regions = [self._of_regions(each) for each in (session.regions, kept.get("regions")) if each is not None]
        return (
            *map(self._number, things), *found, *regions, session.hold_out, session.exclude, session.mask,
            repr(lasting_view(session)), repr(session.methods), repr(layers_as_dicts(session.layers)), fit,
            _words_of(register),
        )  # fmt: skip

    def _of_regions(self, regions: ShownRegions) -> str:
        names = sorted(regions.names.items())
        return repr((self._number(regions.labels), regions.time, names, regions.own_files))

    def _number(self, thing: object) -> int:
        """One for each thing for as long as it lives."""
        if thing is None:
            return 0
        for number, known in self._numbered.items():
            if known is thing:
                return number
        number = next(self._numbers)
        self._numbered[number] = thing
        return number


def _words_of(choice: RegisterChoice | None) -> str:
    """To compare two choices by: a scan of the series is known by its label."""
    if choice is None:
        return ""
    fixed, moving = ((source.path, source.volume, source.label) for source in (choice.fixed, choice.moving))
    return repr((fixed, moving, dataclasses.replace(choice, fixed=Source(), moving=Source())))
