"""Computes the paths of followed points in a background thread: no Qt, and heavy imports stay inside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noder_viewer.followed import Followed, Paths
from noder_viewer.jobs import Reporter, import_engine, share_cores

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

PREVIEW_STEPS = 32
"""Of a path while a fit runs, whose map changes twice a second."""


@dataclass(frozen=True, eq=False)
class Map:
    """What paths are taken along: a map, the times of the scans, the span of time, and whether a fit still runs."""

    trajectory: Trajectory
    scans: tuple[float, ...]
    span: tuple[float, float]
    is_preview: bool

    def is_like(self, other: Map) -> bool:
        """Whether a path along either is the same."""
        mine, theirs = ((m.scans, m.span, m.is_preview) for m in (self, other))
        return self.trajectory is other.trajectory and mine == theirs


@dataclass(frozen=True, eq=False)
class Followings:
    """Paths, and the map that they belong to."""

    along: Map
    paths: Paths


@dataclass(frozen=True, eq=False)
class FollowPoints:
    """The paths of `points`; those of `known`, along the same map, are taken over."""

    along: Map
    points: tuple[Followed, ...]
    known: Paths | None = None

    def __call__(self, task: Reporter) -> Followings:
        import_engine()
        from noder.pathlines import STEPS, path_times, pathlines

        share_cores(leave_one=True)
        lines = {} if self.known is None else dict(zip(self.known.points, self.known.lines, strict=True))
        new = [point for point in self.points if point not in lines]
        if new:
            along = self.along
            times = path_times(along.scans, *along.span, steps=PREVIEW_STEPS if along.is_preview else STEPS)
            places, picked = [point.place_mm for point in new], [point.time for point in new]
            found = pathlines(along.trajectory, places, picked, _checked(times, task), along.scans)
            lines.update(zip(new, found, strict=True))
        return Followings(self.along, Paths(self.points, tuple(lines[point] for point in self.points)))


def _checked(times: list[float], task: Reporter) -> Iterator[float]:
    """The times, one by one: a task that is not wanted any more ends between two of them."""
    for t in times:
        task.check_cancelled()
        yield t
