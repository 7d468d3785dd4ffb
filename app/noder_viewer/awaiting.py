"""What the pictures wait for, since it takes too long for the window's thread: scans in files, scales of overlays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from noder_viewer.jobs import AXES, Reporter, share_cores

if TYPE_CHECKING:
    from noder.series import Scan
    from noder.trajectory import Trajectory
    from noder_viewer.plane import Plane
    from noder_viewer.session import Session


@dataclass(frozen=True)
class FetchAwaited:
    """Read and compute what the pictures of a snapshot of the session wait for; it is remembered for the window."""

    session: Session

    def __call__(self, task: Reporter) -> None:
        from noder_viewer.overlays import OWN_SCALES
        from noder_viewer.pictures import scan_slice

        share_cores(leave_one=True)
        for scan in awaited_scans(self.session):
            for plane in _planes(self.session):
                task.check_cancelled()
                scan_slice(scan, plane)
        for name, trajectory in awaited_scales(self.session):
            task.check_cancelled()
            OWN_SCALES[name].compute(trajectory, self.session.overlays)


def awaited_scans(session: Session) -> list[Scan]:
    """The scans that the pictures show now and that would have to be read from their files for it."""
    from noder_viewer.pictures import is_at_hand

    planes = _planes(session)
    return [scan for scan in _shown_scans(session) if not all(is_at_hand(scan, plane) for plane in planes)]


def awaited_scales(session: Session) -> list[tuple[str, Trajectory]]:
    """The overlays that are switched on and whose scale has not been computed, each with the map that it is of."""
    from noder_viewer.overlays import OWN_SCALES

    look = session.overlays
    on = [name for name in OWN_SCALES if getattr(look, name)]
    maps = _shown_maps(session) if on else []
    return [(name, each) for each in maps for name in on if not OWN_SCALES[name].is_known(each, look)]


def with_known_scales(session: Session) -> Session:
    """The session without the overlays whose scale is still awaited."""
    awaited: dict[str, Any] = dict.fromkeys((name for name, _ in awaited_scales(session)), False)
    return replace(session, overlays=replace(session.overlays, **awaited)) if awaited else session


def _planes(session: Session) -> list[Plane]:
    from noder_viewer.plane import Plane
    from noder_viewer.scene import active_grid

    grid = active_grid(session)
    return [] if grid is None else [Plane.through(grid, axis, session.cursor_mm) for axis in AXES]


def _shown_scans(session: Session) -> list[Scan]:
    from noder_viewer.pictures import nearest_scan

    if session.series is None:
        return []
    if session.pair is not None:
        return list(session.series.scans)
    if session.methods.on:  # blends of any of them
        made_of = () if session.result is None else session.result.series.scans
        return [*(scan for k, scan in enumerate(session.series.scans) if k not in session.exclude), *made_of]
    found = None if session.show_shown == "prediction" else nearest_scan(session)
    return [] if found is None else [found[1]]


def _shown_maps(session: Session) -> list[Trajectory]:
    from noder_viewer.methods_scene import result_of, shown_panes

    maps = [] if session.trajectory is None else [session.trajectory]
    panes = shown_panes(session) if session.methods.on else ()
    return [*maps, *(result.trajectory for pane in panes if (result := result_of(session, pane)) is not None)]
