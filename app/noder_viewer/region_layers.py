"""Regions on a slice at a time: the label map carried there, and the scan's own labels. Pure functions, no Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noder_viewer.pictures import SliceImage, nearest_scan, time_words
from noder_viewer.plane import Floats, Plane
from noder_viewer.recent import Recent
from noder_viewer.region_state import Colour, OwnLabels, RegionLook, ShownRegions

if TYPE_CHECKING:
    from noder.trajectory import Trajectory
    from noder_viewer.session import Session

Labels = NDArray[np.integer[Any]]

NEAR_EVERY = 3
"""Voxels between the points at which the map is evaluated for a slice."""
_SAME_TIME = 1e-6

_recent = Recent(per_owner=48)


@dataclass(frozen=True, eq=False)
class RegionLayer:
    """What is drawn of regions over a slice: `fill` RGBA (ni,nj,4), outlines by label, those of the scan's own dashed.

    Outlines are pairs of points (N,2,2) in in-plane mm, along the edges of voxels. `legend`: names and colours.
    """

    values: Labels
    fill: NDArray[np.uint8] | None
    outlines: dict[int, Floats]
    own: dict[int, Floats]
    legend: tuple[tuple[str, Colour], ...]
    colours: dict[int, Colour]
    title: str


def region_layers(session: Session, plane: Plane, images: Sequence[SliceImage]) -> dict[str, RegionLayer]:
    """The regions over each of the pictures of a slice, by the picture's kind: an observed one has its own time."""
    regions = session.regions
    if regions is None or session.pair is not None or not session.region_look.visible:
        return {}
    found = {image.kind: _layer(session, regions, plane, image) for image in images}
    return {kind: layer for kind, layer in found.items() if layer is not None}


def region_at(layer: RegionLayer | None, regions: ShownRegions | None, i: int, j: int) -> str:
    """The name of the region at a pixel of a slice; "" for none."""
    value = 0 if layer is None else int(layer.values[i, j])
    return "" if regions is None or value == 0 else regions.name(value)


def _time(session: Session, image: SliceImage) -> float:
    found = nearest_scan(session) if image.kind == "observed" else None
    return session.time if found is None else found[1].time


def _look(session: Session, image: SliceImage) -> RegionLook:
    """Fills would mix with other colours, and two of ours are theirs: outlines alone lie over a colour map."""
    look, heat = session.region_look, session.trajectory is not None and session.overlays.has_colour_map
    return replace(look, fill=0.0) if heat or image.colormap == "difference" else look


def _layer(session: Session, regions: ShownRegions, plane: Plane, image: SliceImage) -> RegionLayer | None:
    trajectory, look, t = session.trajectory, _look(session, image), _time(session, image)
    scan = next((k for k, other in enumerate(session.times) if abs(other - t) <= _SAME_TIME * _span(session)), None)
    own = regions.own[scan] if look.own and scan is not None and scan < len(regions.own) else None

    def make() -> RegionLayer | None:
        values = _values(trajectory, regions, plane, t)
        if values is None and own is None:
            return None
        return _drawn(session, regions, plane, values, own, look)

    owner = regions if trajectory is None else trajectory
    return _recent.get(owner, ("layer", regions, look, t, plane.axis, plane.index), make)


def _values(trajectory: Trajectory | None, regions: ShownRegions, plane: Plane, t: float) -> Labels | None:
    """The labels (ni,nj) carried to t; None where there is no map to carry them."""
    labels = regions.labels
    if t == labels.time:
        return np.ascontiguousarray(labels.values.take(plane.index, axis=plane.axis))
    if trajectory is None or labels.is_empty or _waits(trajectory, labels.time):
        return None

    def carry() -> Labels:
        from noder.labels import carried

        return carried(trajectory, labels, t, plane.slice_grid, NEAR_EVERY).squeeze(plane.axis)

    return _recent.get(trajectory, ("carried", labels, t, plane.axis, plane.index), carry)


def _waits(trajectory: Trajectory, t: float) -> bool:
    """Whether an inverse for whole volumes would have to be computed first: it is on its way (`jobs.Prepare`)."""
    return trajectory.flow is None and t != trajectory.t_first and not trajectory.is_prepared


def _drawn(
    session: Session,
    regions: ShownRegions,
    plane: Plane,
    values: Labels | None,
    own: OwnLabels | None,
    look: RegionLook,
) -> RegionLayer:
    shown = _without(values if values is not None else np.zeros(plane.shape, dtype=np.int32), look)
    theirs = None if own is None else _without(np.take(own.values, [plane.index], axis=plane.axis), look)
    theirs = None if theirs is None else theirs.squeeze(plane.axis)
    present = [n for n in regions.numbers if n not in look.hidden]
    seen = {int(v) for part in (shown, theirs) if part is not None for v in np.unique(part) if v}
    colours = {label: regions.colour(label) for label in sorted(seen | set(present))}
    fill = _painted(shown, colours, look.fill) if look.fill > 0 else None
    outlines = edges(shown, plane) if look.outline or look.fill == 0 else {}
    title = f"regions drawn at t = {time_words(session, regions.time)}" + (", own dashed" if theirs is not None else "")
    legend = tuple((regions.name(label), colours[label]) for label in present if label in seen)
    return RegionLayer(shown, fill, outlines, {} if theirs is None else edges(theirs, plane), legend, colours, title)


def edges(values: Labels, plane: Plane) -> dict[int, Floats]:
    """Label -> the edges of its voxels that face another label: pairs of points (N,2,2) in in-plane mm."""
    (x, y), (dx, dy) = plane.origin, plane.spacing
    padded = np.pad(values, 1)
    found: dict[int, list[Floats]] = {}
    sides: tuple[tuple[Labels, Labels, Callable[..., Floats]], ...] = (
        (padded[1:, 1:-1], padded[:-1, 1:-1], lambda i, j: _segments(x + (i - 0.5) * dx, y + (j - 0.5) * dy, 0, dy)),
        (padded[1:-1, 1:], padded[1:-1, :-1], lambda i, j: _segments(x + (i - 0.5) * dx, y + (j - 0.5) * dy, dx, 0)),
    )
    for after, before, place in sides:
        i, j = np.nonzero(after != before)
        lines, one, other = place(i, j), after[i, j], before[i, j]
        for label in {*np.unique(one).tolist(), *np.unique(other).tolist()} - {0}:
            found.setdefault(int(label), []).append(lines[(one == label) | (other == label)])
    return {label: np.concatenate(parts) for label, parts in found.items()}


def _segments(x: Floats, y: Floats, along_x: float, along_y: float) -> Floats:
    start = np.stack([x, y], axis=-1)
    return np.stack([start, start + np.array([along_x, along_y])], axis=1)


def _without(values: Labels, look: RegionLook) -> Labels:
    """The labels that are not hidden."""
    return np.where(np.isin(values, sorted(look.hidden)), 0, values) if look.hidden else np.asarray(values)


def _painted(values: Labels, colours: dict[int, Colour], opacity: float) -> NDArray[np.uint8]:
    rgba = np.zeros((*values.shape, 4), dtype=np.uint8)
    for label in np.unique(values):
        if label:
            rgba[values == label] = (*colours[int(label)], round(255 * opacity))
    return rgba


def _span(session: Session) -> float:
    times = session.times
    return max(times[-1] - times[0], 1e-9) if times else 1.0
