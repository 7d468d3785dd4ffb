"""One slice at many times: which times, and the scene of each. Pure functions, no Qt."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.layouts import MOST, LightboxSettings, Times
from noder_viewer.playing import BEYOND
from noder_viewer.scene import SliceScene, is_extrapolated, slice_scene

if TYPE_CHECKING:
    from noder_viewer.session import Session


@dataclass(frozen=True, eq=False)
class Tile:
    """A slice at `time`; `role` of the scan there ("" between scans)."""

    time: float
    role: str
    scene: SliceScene

    @property
    def aspect(self) -> float:
        """Width of the slice over its height, both in mm; of all its images side by side."""
        plane = self.scene.plane
        width, height = (n * step for n, step in zip(plane.shape, plane.spacing, strict=True))
        return len(self.scene.images) * width / height

    @property
    def standing(self) -> str:
        """The role in words; between scans an observed one is of another time."""
        observed = all(image.kind == "observed" for image in self.scene.images)
        return self.role or ("nearest scan" if observed else "")

    @property
    def title(self) -> str:
        """Time and role in words."""
        return " · ".join(word for word in (self.scene.time, self.standing) if word)


def tile_times(times: tuple[float, ...], wanted: LightboxSettings) -> list[float]:
    """The times of all tiles, in order; at most `MOST`. `times`: those of the scans, in order."""
    if not times:
        return []
    first, last = times[0], times[-1]
    margin = BEYOND * (last - first)
    n = max(wanted.n, 2)
    chosen: dict[Times, list[float]] = {
        "scans": list(times),
        "between": _between(times, n),
        "even": np.linspace(first, last, n).tolist(),
        "beyond": np.linspace(first - margin, last + margin, n).tolist(),
        "typed": sorted(set(wanted.typed)),
    }
    return chosen[wanted.times][:MOST]


def tile(session: Session, axis: int, t: float) -> Tile | None:
    """What the lightbox shows at time t, of the slice of `axis` through the cursor; None while nothing is open."""
    there = dataclasses.replace(session, time=t)
    scene = slice_scene(there, axis)
    return None if scene is None else Tile(t, role_at(session, t), scene)


def role_at(session: Session, t: float) -> str:
    """ "reference", "seen", "held out" or "excluded" at a scan, "extrapolated" beyond the scans, else ""."""
    for time, role in zip(session.times, session.roles_shown(), strict=True):
        if np.isclose(time, t, rtol=1e-9, atol=1e-9):
            return role
    return "extrapolated" if is_extrapolated(dataclasses.replace(session, time=t)) else ""


def brief(tile: Tile) -> SliceScene:
    """The scene with time and role alone: a small picture has no room for sentences."""
    words = "" if tile.scene.extrapolated else tile.standing  # that word the view writes by itself
    images = tuple(dataclasses.replace(image, title=words) for image in tile.scene.images)
    return dataclasses.replace(tile.scene, title=tile.scene.time, badge="", images=images, brief=True)


def grid_of(n: int, width: float, height: float, aspect: float) -> tuple[int, int]:
    """Rows and columns that show `n` pictures of `aspect` (width / height) largest in the given room."""

    def scale(columns: int) -> float:
        rows = -(-n // columns)
        return min(width / columns / aspect, height / rows)

    columns = max(range(1, n + 1), key=scale, default=1)
    return -(-n // columns), columns


def _between(times: tuple[float, ...], n: int) -> list[float]:
    """All scans, and the longest gaps divided evenly until there are `n` times."""
    parts = [1] * (len(times) - 1)
    while parts and len(times) + sum(parts) - len(parts) < n:
        lengths = [(b - a) / k for a, b, k in zip(times, times[1:], parts, strict=False)]
        parts[int(np.argmax(lengths))] += 1
    inner = [a + (b - a) * k / cut for a, b, cut in zip(times, times[1:], parts, strict=False) for k in range(1, cut)]
    return sorted([*times, *inner])
