"""What may be drawn over a slice: one pure function and one line in `OVERLAYS` each. No Qt.

An overlay's name is also the name of its switch in `OverlaySettings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer import growth_maps, motion_lines
from noder_viewer.growth_maps import SCALES as SCALES
from noder_viewer.growth_maps import jacobian_limit as jacobian_limit
from noder_viewer.growth_maps import log_jacobian as log_jacobian
from noder_viewer.lattice import lattice
from noder_viewer.motion_lines import motion, motion_on
from noder_viewer.overlay_kinds import Heatmap as Heatmap
from noder_viewer.overlay_kinds import Lines as Lines
from noder_viewer.overlay_kinds import Overlay as Overlay
from noder_viewer.overlay_kinds import OverlayLook
from noder_viewer.overlay_kinds import Quiver as Quiver
from noder_viewer.plane import Plane
from noder_viewer.playing import BEYOND
from noder_viewer.recent import Recent
from noder_viewer.ticks import nice_step
from noder_viewer.when import since_words

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder.trajectory import Trajectory

SHORTEST_MM = 0.02
MAX_QUIVER_SCALE = 20.0
"""No arrow is drawn longer than this many times its motion: beyond, noise looks like motion."""

_recent = Recent(per_owner=3)


def brightening(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Heatmap:
    """What the intensity model adds on the slice at time t: above 0 where tissue has become brighter."""
    values = trajectory.brightness(t, plane.slice_grid).squeeze(plane.axis).cpu().numpy().astype(np.float32)
    known = trajectory.intensity is not None
    title = "brightness since the reference, motion apart" if known else "no brightness: the fit has no intensity model"
    limit, nowhere = brightness_limit(trajectory), np.zeros(values.shape, dtype=bool)
    return Heatmap(title, values, nowhere, limit, look.jacobian_opacity, "brightness", can_fold=False)


def spread(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Heatmap:
    """How far fits from several seeds differ on the slice at time t: the SD of the displacement, in mm."""
    from noder.ensemble import displacement_sd, maps_of

    maps, shape = maps_of(trajectory), plane.shape
    values, title = np.zeros(shape, np.float32), "no spread: the fit is from one seed"
    if len(maps) > 1:
        values = displacement_sd(maps, plane.slice_grid, t).squeeze(plane.axis).cpu().numpy().astype(np.float32)
        title = f"SD of the displacement over {len(maps)} seeds, mm"
    nowhere = np.zeros(shape, dtype=bool)
    opacity, limit = look.jacobian_opacity, spread_limit(trajectory)
    return Heatmap(title, values, nowhere, limit, opacity, "SD mm", can_fold=False, colormap="spread")


def motion_arrows(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Quiver:
    """In-plane motion since the reference (or `look.since`), from T(x) to x, at points `quiver_spacing_mm` apart."""
    points = lattice(plane, look.quiver_spacing_mm)
    moved = plane.to_plane(motion_on(trajectory, t, points, look.since).reshape(-1, 3))
    seen = np.hypot(*moved.T) > SHORTEST_MM
    tip, moved = plane.to_plane(points.points().numpy().reshape(-1, 3))[seen], moved[seen]
    scale = look.quiver_scale
    longer = "" if scale == 1 else f", drawn {scale:.3g}×"
    title = f"motion{since_words(trajectory, look.since)}{longer}: arrows point where tissue went"
    return Quiver(title, tip - scale * moved, moved, scale)


OverlayFunction = Callable[["Trajectory", float, Plane, OverlayLook], Overlay]


@dataclass(frozen=True)
class Scale:
    """How an overlay's scale is computed, and whether it has been."""

    compute: Callable[[Trajectory, OverlayLook], object]
    is_known: Callable[[Trajectory, OverlayLook], bool]


OVERLAYS: dict[str, OverlayFunction] = {
    "jacobian": log_jacobian,
    "rate": growth_maps.growth_rate,
    "brightness": brightening,
    "spread": spread,
    "grid": motion_lines.warped_grid,
    "contours": motion_lines.contours,
    "quiver": motion_arrows,
    "folds": growth_maps.folds,
}


OWN_SCALES: dict[str, Scale] = {
    "rate": Scale(growth_maps.rate_scale, growth_maps.is_rate_scale_known),
    "contours": Scale(motion_lines.contour_scale, motion_lines.is_contour_scale_known),
}
"""Overlays whose scale, one for all times and slices, takes longer than a picture may."""


def brightness_limit(trajectory: Trajectory) -> float:
    """Half width of the scale of brightness: one for all times and slices, round, from a coarse look at the whole."""
    return _recent.get(trajectory, "brightness", lambda: _brightness_limit(trajectory))


def spread_limit(trajectory: Trajectory) -> float:
    """The upper end of the scale of the spread in mm: one for all slices and times on the axis, round."""
    return _recent.get(trajectory, "spread", lambda: _spread_limit(trajectory))


def suggested_quiver_scale(trajectory: Trajectory, spacing_mm: float) -> float:
    """A round factor that draws the larger motions about as long as the arrows are apart (never below 1)."""
    coarse = _coarse(trajectory).points().reshape(-1, 3)
    lengths = np.linalg.norm(motion(trajectory, trajectory.t_last, coarse), axis=1)
    large = float(np.percentile(lengths, 98))
    return 1.0 if large <= 0 else float(min(max(nice_step(0.5 * spacing_mm / large), 1.0), MAX_QUIVER_SCALE))


def _coarse(trajectory: Trajectory) -> Grid:
    i, j, k = (-(-n // 24) for n in trajectory.grid.shape)
    return trajectory.grid.coarsen((i, j, k))


def _brightness_limit(trajectory: Trajectory) -> float:
    coarse, span = _coarse(trajectory), trajectory.t_last - trajectory.t_first
    times = [trajectory.t_first + part * span for part in (0.5, 1.0)]
    largest = max(float(trajectory.brightness(t, coarse).abs().quantile(0.995)) for t in times)
    return nice_step(largest) if largest > 0 else 1.0


def _spread_limit(trajectory: Trajectory) -> float:
    """At the end of the axis seeds differ most; the far tail of a background that nothing holds is left out."""
    from noder.ensemble import displacement_sd, maps_of

    maps, late = maps_of(trajectory), trajectory.t_last + BEYOND * (trajectory.t_last - trajectory.t_first)
    if len(maps) < 2:
        return 1.0
    largest = float(displacement_sd(maps, _coarse(trajectory), late).quantile(0.98))
    return nice_step(largest) if largest > 0 else 1.0
