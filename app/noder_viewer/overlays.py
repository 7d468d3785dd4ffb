"""What may be drawn over a slice: one pure function and one line in `OVERLAYS` each. No Qt.

An overlay's name is also the name of its switch in `OverlaySettings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from noder_viewer.plane import Floats, Plane
from noder_viewer.playing import BEYOND
from noder_viewer.recent import Recent
from noder_viewer.ticks import nice_step

if TYPE_CHECKING:
    from torch import Tensor

    from noder.grid import Grid
    from noder.trajectory import Trajectory

SCALES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Half widths that the colour scale of log J may have: steps, so that a live preview does not flicker."""
SHORTEST_MM = 0.02
MAX_QUIVER_SCALE = 20.0
"""No arrow is drawn longer than this many times its motion: beyond, noise looks like motion."""

_recent = Recent(per_owner=3)


class OverlayLook(Protocol):
    """The fields of `session.OverlaySettings` that are read here."""

    @property
    def jacobian_opacity(self) -> float: ...
    @property
    def quiver_spacing_mm(self) -> float: ...
    @property
    def quiver_scale(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Heatmap:
    """`values` (ni,nj) of a `quantity` on the scale [-limit, limit], NaN where `folds` (ni,nj) is set.

    `opacity` 0 to 1; `can_fold`: whether the colour bar has a swatch for folds. What cannot be below 0 is on the
    scale [0, limit], in the colours of another table: `colormap` is a key of `colormaps.LUTS`.
    """

    title: str
    values: NDArray[np.float32]
    folds: NDArray[np.bool_]
    limit: float
    opacity: float
    quantity: str = "log J"
    can_fold: bool = True
    colormap: str = "log J"
    gamma: float = 1.0

    @property
    def low(self) -> float:
        """The lower end of the scale."""
        return 0.0 if self.colormap == "spread" else -self.limit

    @property
    def n_folds(self) -> int:
        """Folded voxels on the slice."""
        return int(self.folds.sum())


@dataclass(frozen=True, eq=False)
class Quiver:
    """Arrows in in-plane mm: tails `start` (N,2), true motion `vector` (N,2), drawn `scale` times as long.

    Every tip lies on the tissue that has arrived there; so it is the tails that move when `scale` is not 1.
    """

    title: str
    start: Floats
    vector: Floats
    scale: float

    def segments(self, shortest_mm: float = 0.0) -> tuple[Floats, Floats]:
        """x and y of point pairs: a shaft and both strokes of its head, for arrows drawn at least so long."""
        drawn = self.vector * self.scale
        long_enough = np.hypot(drawn[:, 0], drawn[:, 1]) >= shortest_mm
        start, drawn = self.start[long_enough], drawn[long_enough]
        tip = start + drawn
        head = 0.32 * drawn
        side = np.stack([-head[:, 1], head[:, 0]], axis=1) * 0.5
        points = np.stack([start, tip, tip, tip - head + side, tip, tip - head - side], axis=1).reshape(-1, 2)
        return points[:, 0], points[:, 1]


def log_jacobian(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Heatmap:
    """log J on the slice at time t: above 0 where tissue is larger than at the reference."""
    growth = trajectory.jacobian(t, grid=plane.slice_grid).squeeze(plane.axis).cpu().numpy().astype(np.float32)
    folds = ~((growth > 0) & np.isfinite(growth))
    values = np.log(np.where(folds, np.nan, growth))
    limit = getattr(look, "jacobian_limit", None) or jacobian_limit(trajectory)
    return Heatmap("log J, growth > 0", values, folds, float(limit), look.jacobian_opacity)


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
    """In-plane motion since the reference, from phi_t(x) to x, at points `quiver_spacing_mm` apart."""
    lattice = _lattice(plane, look.quiver_spacing_mm)
    u = trajectory.field(lattice, t).u.detach().cpu().numpy().reshape(3, -1).T
    motion = plane.to_plane(-u.astype(np.float64))
    seen = np.hypot(*motion.T) > SHORTEST_MM
    tip, motion = plane.to_plane(lattice.points().numpy().reshape(-1, 3))[seen], motion[seen]
    scale = look.quiver_scale
    longer = "" if scale == 1 else f", drawn {scale:.3g}×"
    return Quiver(f"motion{longer}: arrows point where tissue went", tip - scale * motion, motion, scale)


def motion_vectors(trajectory: Trajectory, t: float, points_mm: Tensor) -> Floats:
    """(N,3) RAS mm: how far the tissue at `points_mm` (N,3) at time t has come since the reference: -u."""
    return -trajectory.displacement(points_mm, t).detach().cpu().numpy().astype(np.float64)


OverlayFunction = Callable[["Trajectory", float, Plane, OverlayLook], Heatmap | Quiver]

OVERLAYS: dict[str, OverlayFunction] = {
    "jacobian": log_jacobian,
    "brightness": brightening,
    "spread": spread,
    "quiver": motion_arrows,
}


def jacobian_limit(trajectory: Trajectory) -> float:
    """Half width of the scale of log J: one for all times and slices, from a coarse look at the whole."""
    return _recent.get(trajectory, "limit", lambda: _limit(trajectory))


def brightness_limit(trajectory: Trajectory) -> float:
    """Half width of the scale of brightness: one for all times and slices, round, from a coarse look at the whole."""
    return _recent.get(trajectory, "brightness", lambda: _brightness_limit(trajectory))


def spread_limit(trajectory: Trajectory) -> float:
    """The upper end of the scale of the spread in mm: one for all slices and times on the axis, round."""
    return _recent.get(trajectory, "spread", lambda: _spread_limit(trajectory))


def suggested_quiver_scale(trajectory: Trajectory, spacing_mm: float) -> float:
    """A round factor that draws the larger motions about as long as the arrows are apart (never below 1)."""
    coarse = _coarse(trajectory).points().reshape(-1, 3)
    lengths = np.linalg.norm(motion_vectors(trajectory, trajectory.t_last, coarse), axis=1)
    large = float(np.percentile(lengths, 98))
    return 1.0 if large <= 0 else float(min(max(nice_step(0.5 * spacing_mm / large), 1.0), MAX_QUIVER_SCALE))


def _coarse(trajectory: Trajectory) -> Grid:
    i, j, k = (-(-n // 24) for n in trajectory.grid.shape)
    return trajectory.grid.coarsen((i, j, k))


def _limit(trajectory: Trajectory) -> float:
    coarse = _coarse(trajectory)
    largest = 0.0
    for t in np.linspace(trajectory.t_first, trajectory.t_last, 3)[1:]:
        growth = trajectory.jacobian(float(t), grid=coarse).cpu().numpy()
        growth = growth[(growth > 0) & np.isfinite(growth)]
        if growth.size:
            largest = max(largest, float(np.percentile(np.abs(np.log(growth)), 99.5)))
    return next((scale for scale in SCALES if scale >= largest), SCALES[-1])


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


def _lattice(plane: Plane, spacing_mm: float) -> Grid:
    """Points of the slice, regular and centred in it: a grid, whose motion costs far less than that of loose points."""
    shape, step, start = [1, 1, 1], np.ones(3), np.zeros(3)
    start[plane.axis] = plane.index
    for axis, spacing, n in zip(plane.axes, plane.spacing, plane.shape, strict=True):
        step[axis] = spacing_mm / spacing
        shape[axis] = int((n - 1) // step[axis]) + 1
        start[axis] = ((n - 1) - (shape[axis] - 1) * step[axis]) / 2
    affine = plane.grid.affine.copy()
    affine[:3, 3] = plane.grid.to_mm(start)
    affine[:3, :3] *= step
    i, j, k = shape
    return type(plane.grid)((i, j, k), affine)
