"""All that is known of one place at the time that is shown: what a read-out says. Pure functions, no Qt.

Values come from the slices that are on screen. The map is evaluated at the place alone, and apart from the rest
(`known_of_map`): a window does it in the background, so that reading costs a scrub nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.comparison import images, readings
from noder_viewer.coordinates import SIDES, is_inside, sided, voxel_of
from noder_viewer.overlays import Heatmap
from noder_viewer.pictures import nearest_scan
from noder_viewer.plane import Plane, Point, slice_index
from noder_viewer.recent import Recent
from noder_viewer.region_layers import region_at, region_layers
from noder_viewer.scene import active_grid, overlays

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.series import Scan
    from noder.trajectory import Trajectory
    from noder_viewer.session import Session

Voxel = tuple[int, int, int]
Item = tuple[str, str]
NONE, WAITING = "–", "…"
SMALLEST_MM = 0.05
"""Parts of a motion below this are left out of its words."""

_recent = Recent(per_owner=64)


@dataclass(frozen=True)
class Known:
    """What the map says of a place: motion, (label, value) of J and growth, residual; all in words."""

    moved: str
    growth: tuple[Item, ...]
    residual: str


NOTHING = Known(NONE, (("J", NONE),), NONE)
UNKNOWN = Known(WAITING, (("J", WAITING),), WAITING)
"""Before it has been computed for the first time."""


@dataclass(frozen=True)
class Reading:
    """(label, value) of everything at one place, on two rows of three cells each."""

    rows: tuple[tuple[tuple[Item, ...], ...], ...]

    @property
    def text(self) -> str:
        """All of it on one line."""
        items = [item for row in self.rows for cell in row for item in cell]
        return "   ".join(f"{label} {value}".strip() for label, value in items)


def read_out(session: Session, mm: Point | None = None, known: Known | None = None) -> Reading | None:
    """What there is to say of a place in RAS mm (the cursor if None); None while nothing is open.

    `known` None: what the map says of the place is computed here.
    """
    grid = active_grid(session)
    if grid is None:
        return None
    where, point = ("crosshair", session.cursor_mm) if mm is None else ("mouse", mm)
    place = ((where, f"{sided(point)} mm"),)
    if not is_inside(grid, point):
        return Reading(((place, (), ()), ((("voxel", "outside the image"),), (), ())))
    if known is None or map_shown(session) is None:
        known = known_of_map(session, point)
    voxel = voxel_of(grid, point)
    plane = _shown_plane(session, grid, point)
    values = tuple((word, _signed(f"{data[_on(plane, voxel)]:.4g}")) for word, data in readings(session, plane))
    growth, others = _heat_maps(session, plane, voxel)
    number = (("voxel", " ".join(map(str, voxel))),)
    second = (number, (("residual", known.residual),), (*(growth or known.growth), *others))
    return Reading(((place, values, (("moved", known.moved),)), second))


def known_of_map(session: Session, point: Point) -> Known:
    """What the map that is shown says of a place in RAS mm inside the image."""
    trajectory = map_shown(session)
    if trajectory is None:
        return NOTHING
    voxel = voxel_of(trajectory.grid, point)
    growth = () if session.overlays.jacobian else growth_items(_jacobian(trajectory, session.time, voxel))
    return Known(_moved(trajectory, session.time, point), growth, _residual(session, trajectory, voxel))


def map_shown(session: Session) -> Trajectory | None:
    """The map that the picture shows: none before a registration."""
    return None if session.show_shown == "before" else session.trajectory


def motion_words(motion: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    """A motion in RAS mm by the sides that it goes to: "2.3 mm: R 0.4, P 1.9, S 1.2"."""
    length = float(np.linalg.norm(motion))
    sides = zip(SIDES, motion.tolist(), strict=True)
    parts = [f"{pair[int(v < 0)]} {abs(v):.1f}" for pair, v in sides if abs(v) >= SMALLEST_MM]
    return f"{length:.1f} mm: {', '.join(parts)}" if parts else f"{length:.1f} mm"


def growth_items(growth: float) -> tuple[Item, ...]:
    """J, and the growth since the reference in %."""
    if not growth > 0:
        return (("J", "fold"),)
    return ("J", f"{growth:.3f}"), ("growth", _signed(f"{100 * (growth - 1):+.1f} %"))


def _moved(trajectory: Trajectory, t: float, point: Point) -> str:
    """How far the tissue that is shown there has come since the reference: -u."""
    import torch

    where = torch.tensor([point], dtype=torch.float64)
    return motion_words(-trajectory.displacement(where, t)[0].numpy())


def _heat_maps(session: Session, plane: Plane, voxel: Voxel) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Growth, if its slice is there anyway, and the values of all heat maps that are on."""
    layers = overlays(session, plane)
    heats = {name: layer for name, layer in layers.items() if isinstance(layer, Heatmap)}
    at = _on(plane, voxel)
    words = [(heat.quantity, _value(heat, at)) for heat in heats.values()]
    words += [("region", name) for name in _regions_at(session, plane, at)]
    shown = heats.get("jacobian")
    growth = () if shown is None else growth_items(-1.0 if shown.folds[at] else float(np.exp(shown.values[at])))
    return growth, tuple((label, _signed(value)) for label, value in words)


def _value(heat: Heatmap, at: tuple[int, int]) -> str:
    if heat.folds[at]:
        return "fold"
    return f"{heat.values[at]:.3f}" if heat.low == 0 else f"{heat.values[at]:+.3f}"


def _regions_at(session: Session, plane: Plane, at: tuple[int, int]) -> list[str]:
    """The region at a pixel, of the last of the pictures."""
    if session.regions is None:
        return []
    layers = region_layers(session, plane, images(session, plane)).values()
    return [name for layer in layers if (name := region_at(layer, session.regions, *at))][-1:]


def _jacobian(trajectory: Trajectory, t: float, voxel: Voxel) -> float:
    return _recent.get(trajectory, ("J", t, voxel), lambda: float(trajectory.jacobian(t, grid=_one(trajectory, voxel))))


def _residual(session: Session, trajectory: Trajectory, voxel: Voxel) -> str:
    """Of the nearest scan: observed minus the first scan unchanged, and minus its prediction without itself."""
    found = nearest_scan(session)
    if found is None:
        return NONE
    position, scan = found
    if position == 0:
        return f"{NONE} (first scan)"

    def compute() -> str:
        before, after = _left(session, trajectory, found, voxel)
        return _signed(f"{before:+.4g} → {after:+.4g}")

    return _recent.get(trajectory, ("residual", position, scan.time, session.carry_shown, voxel), compute)


def _left(session: Session, trajectory: Trajectory, found: tuple[int, Scan], voxel: Voxel) -> tuple[float, float]:
    """Before and after; a seen scan is as the fit saw it, matched to the first, and predicted without itself."""
    position, scan = found
    seen = next((k for k, each in enumerate(trajectory.scans) if each.index == position), None)
    observed = scan.image.numpy()[voxel] if seen is None else trajectory.scans[seen].volume[(0, *voxel)]
    carry, one = session.carry_shown, _one(trajectory, voxel)
    predicted = trajectory.predict(scan.time, grid=one, carry=carry, without=None if carry == "first" else seen)
    gain, offset = (1.0, 0.0) if session.pair is None else session.pair.scale  # of the moving image to the fixed one's
    first, carried = (gain * float(value) + offset for value in (trajectory.scans[0].volume[(0, *voxel)], predicted))
    return float(observed) - first, float(observed) - carried


def _one(trajectory: Trajectory, voxel: Voxel) -> Grid:
    """The grid of one voxel."""
    i, j, k = voxel
    return trajectory.grid.crop(voxel, (i + 1, j + 1, k + 1))


def _on(plane: Plane, voxel: Voxel) -> tuple[int, int]:
    a, b = plane.axes
    return voxel[a], voxel[b]


def _shown_plane(session: Session, grid: Grid, point: Point) -> Plane:
    """A slice through the point, if possible one that is on screen: reading it then computes nothing."""
    planes = [Plane.through(grid, axis, point) for axis in (2, 1, 0)]
    shown = [plane for plane in planes if plane.index == slice_index(grid, plane.axis, session.cursor_mm)]
    return (shown or planes)[0]


def _signed(text: str) -> str:
    """With a true minus sign."""
    return text.replace("-", "−")
