"""Growth over a slice: log J, its rate, and folds with their outline. Pure functions, no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from noder.colours import FOLD
from noder_viewer.lattice import sampling, spread
from noder_viewer.overlay_kinds import Heatmap, Lines, OverlayLook, Stroke
from noder_viewer.plane import Plane
from noder_viewer.recent import Recent
from noder_viewer.ticks import nice_step
from noder_viewer.when import per_unit, since_words

if TYPE_CHECKING:
    from torch import Tensor

    from noder.trajectory import Trajectory

SCALES = (0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Half widths that the colour scale of log J may have: steps, so that a live preview does not flicker."""

_recent = Recent(per_owner=8)
_folds = Recent(per_owner=24)


def log_jacobian(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Heatmap:
    """log J on the slice at time t: above 0 where tissue is larger than at the reference, or than at `look.since`."""
    if look.since is None:
        growth = _flat(trajectory.jacobian(t, grid=plane.slice_grid), plane)
    else:
        growth = _growth_since(trajectory, t, plane, look.since)
    folds = folded(trajectory, t, plane) | ~((growth > 0) & np.isfinite(growth))
    values = np.log(np.where(folds, np.nan, growth))
    limit = look.jacobian_limit or jacobian_limit(trajectory)
    title = f"log J{since_words(trajectory, look.since)}, growth > 0"
    return Heatmap(title, values, folds, float(limit), look.jacobian_opacity, outline=outline(folds, plane))


def growth_rate(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Heatmap:
    """div w on the slice at time t, in % per unit of time: how fast tissue grows there and then, since whenever."""
    values = spread(_rate(trajectory, t, plane), plane)
    folds = folded(trajectory, t, plane) | ~np.isfinite(values)
    unit = per_unit(trajectory.unit)
    return Heatmap(
        f"growth rate in % {unit}, growth > 0",
        np.where(folds, np.float32(np.nan), values),
        folds,
        rate_scale(trajectory, look),
        look.jacobian_opacity,
        f"rate, %/{unit.removeprefix('per ')}",
        outline=outline(folds, plane),
    )


def folds(trajectory: Trajectory, t: float, plane: Plane, look: OverlayLook) -> Lines:
    """The folded voxels of the slice in an outline, whatever lies below it."""
    return Lines("folds", (outline(folded(trajectory, t, plane), plane),), in_footer=False)


def folded(trajectory: Trajectory, t: float, plane: Plane) -> NDArray[np.bool_]:
    """(ni,nj): voxels that are folded at any of their eight corners."""
    from noder.soundness import folded_slice

    def compute() -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = folded_slice(trajectory, t, plane.axis, plane.index).squeeze(plane.axis).numpy()
        return found

    return _folds.get(trajectory, (t, plane.axis, plane.index), compute)


def outline(marked: NDArray[np.bool_], plane: Plane) -> Stroke:
    """The edges of the marked voxels (ni,nj), as lines around them."""
    if not marked.any():  # as nearly always
        return Stroke(np.empty(0), np.empty(0), FOLD, "fold")
    inside = np.pad(marked, 1)
    i, j = np.nonzero(inside[1:, 1:-1] != inside[:-1, 1:-1])
    k, m = np.nonzero(inside[1:-1, 1:] != inside[1:-1, :-1])
    upright = np.stack([[i - 0.5, i - 0.5], [j - 0.5, j + 0.5]])
    level = np.stack([[k - 0.5, k + 0.5], [m - 0.5, m - 0.5]])
    ends = np.concatenate([upright, level], axis=2)
    x, y = (
        np.insert(side, 2, np.nan, axis=0).T.reshape(-1) * step + start
        for side, step, start in zip(ends, plane.spacing, plane.origin, strict=True)
    )
    return Stroke(x, y, FOLD, "fold")


def jacobian_limit(trajectory: Trajectory) -> float:
    """Half width of the scale of log J: one for all times and slices, from a coarse look at the whole."""
    return _recent.get(trajectory, "limit", lambda: _limit(trajectory))


def rate_limit(trajectory: Trajectory) -> float:
    """Half width of the scale of the rate: one for all times and slices, round, from a look at a few."""
    return _recent.get(trajectory, "rate", lambda: _rate_limit(trajectory))


def rate_scale(trajectory: Trajectory, look: OverlayLook) -> float:
    """The half width of the rate's scale: the chosen one, else `rate_limit`."""
    return float(look.rate_limit or rate_limit(trajectory))


def is_rate_scale_known(trajectory: Trajectory, look: OverlayLook) -> bool:
    """Whether `rate_scale` would have to compute nothing."""
    return bool(look.rate_limit) or _recent.has(trajectory, "rate")


def _growth_since(trajectory: Trajectory, t: float, plane: Plane, since: float) -> NDArray[np.float32]:
    from noder.growth import growth_since, growth_then

    then = _recent.get(trajectory, ("then", since), lambda: growth_then(trajectory, since))
    return spread(_flat(growth_since(then, trajectory, t, sampling(plane)), plane), plane)


def _rate(trajectory: Trajectory, t: float, plane: Plane) -> NDArray[np.float32]:
    """In % per unit of time, at the points of `sampling`."""
    from noder.growth import growth_rate as rate

    return 100 * _flat(rate(trajectory, t, sampling(plane)), plane)


def _flat(volume: Tensor, plane: Plane) -> NDArray[np.float32]:
    return volume.squeeze(plane.axis).cpu().numpy().astype(np.float32)


def _limit(trajectory: Trajectory) -> float:
    i, j, k = (-(-n // 24) for n in trajectory.grid.shape)
    coarse = trajectory.grid.coarsen((i, j, k))
    largest = 0.0
    for t in np.linspace(trajectory.t_first, trajectory.t_last, 3)[1:]:
        growth = trajectory.jacobian(float(t), grid=coarse).cpu().numpy()
        growth = growth[(growth > 0) & np.isfinite(growth)]
        if growth.size:
            largest = max(largest, float(np.percentile(np.abs(np.log(growth)), 99.5)))
    return next((scale for scale in SCALES if scale >= largest), SCALES[-1])


def _rate_limit(trajectory: Trajectory) -> float:
    largest = 0.0
    for t in np.linspace(trajectory.t_first, trajectory.t_last, 4):
        for axis, n in enumerate(trajectory.grid.shape):
            rate = _rate(trajectory, float(t), Plane(trajectory.grid, axis, n // 2))
            rate = rate[np.isfinite(rate)]
            largest = max(largest, float(np.percentile(np.abs(rate), 99.5)) if rate.size else 0.0)
    return nice_step(largest) if largest > 1e-6 else 1.0
