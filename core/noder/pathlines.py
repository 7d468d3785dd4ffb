"""Pathlines: where a piece of tissue is at every time, how far it has come, and how fast it goes.

A particle that is picked at x in the frame at t_a sits in the reference at X = phi_ta(x), since a pull goes there, and
at any other time t at phi_t^-1(X). Its displacement is phi_t^-1(X) - X, which is -u where it is then.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder.atomic import write_text
from noder.fields import invert_points
from noder.flow import Flow

if TYPE_CHECKING:
    from noder.trajectory import Trajectory

Floats = NDArray[np.float64]

STEPS = 96
"""Steps of a path from the first scan to the last, about."""
FEWEST_STEPS = 4
"""Between two scans: the speed is a difference of second order on each side of a scan."""
EXACT_MM = 1e-4
"""How well places are solved for: the speed is their difference over a hundredth of the span."""
_UNITS = {"s": "s", "ms": "ms", "us": "us", "index": "scan", "unspecified": "unit"}


@dataclass(frozen=True, eq=False)
class Pathline:
    """Places (T,3) in RAS mm of one particle at `times` (T,), `origin` (3,) its place in the reference.

    speeds (T,): mm per unit of time. extrapolated (T,): where no scan was seen on one side of the time.
    """

    times: Floats
    places: Floats
    origin: Floats
    speeds: Floats
    extrapolated: NDArray[np.bool_]

    @property
    def moved(self) -> Floats:
        """(T,3) mm along R, A, S: how far it has come since the reference."""
        return self.places - self.origin

    @property
    def distances(self) -> Floats:
        """(T,) mm: the length of `moved`."""
        lengths: Floats = np.linalg.norm(self.moved, axis=1)
        return lengths

    def at(self, t: float) -> Floats:
        """Its place (3,) in RAS mm at any time, straight between the steps and still beyond them."""
        return np.array([np.interp(t, self.times, column) for column in self.places.T])

    def speed_at(self, t: float) -> float:
        """Its speed in mm per unit of time at any time."""
        return float(np.interp(t, self.times, self.speeds))


def path_times(scans: Sequence[float], low: float, high: float, steps: int = STEPS) -> list[float]:
    """The steps of a path from `low` to `high`: every scan is one of them, and so are the ends.

    Even between two of these, and the same whatever is picked: what is said of a particle does not depend on when it
    was looked at.
    """
    ends = sorted({low, high, *(t for t in scans if low <= t <= high)})
    longest = (max(scans) - min(scans) or high - low) / steps
    times = [low]
    for a, b in pairwise(ends):
        parts = max(FEWEST_STEPS, math.ceil((b - a) / longest - 1e-9))
        times += [a + (b - a) * k / parts for k in range(1, parts)] + [b]
    return times


def origins(trajectory: Trajectory, places: Sequence[Sequence[float]], picked_at: Sequence[float]) -> Tensor:
    """(N,3) RAS mm: where the particles that are at `places` at the times `picked_at` sit in the reference."""
    found = []
    for place, t in zip(places, picked_at, strict=True):
        x = torch.as_tensor(np.array([place], dtype=np.float64))
        found.append(x if t == trajectory.t_first else x + trajectory.displacement(x, t))
    return torch.cat(found)


def carried(trajectory: Trajectory, reference: Tensor, t: float, near: Tensor | None = None) -> Tensor:
    """phi_t^-1 of points (N,3) of the reference, in RAS mm: where those particles are at t; `near`: about there.

    A flow runs backwards. Other maps are solved for around each particle alone: `Trajectory.inverse` would decode the
    whole volume for every step of a path.
    """
    if t == trajectory.t_first:
        return reference
    if isinstance(trajectory.flow, Flow):
        return reference + trajectory.inverse(reference, t)
    starts = reference if near is None else near
    found = [
        invert_points(lambda y: trajectory.displacement(y, t), point, EXACT_MM, start=start)
        for point, start in zip(reference.split(1), starts.split(1), strict=True)
    ]
    return torch.cat(found)


def pathlines(
    trajectory: Trajectory,
    places: Sequence[Sequence[float]],
    picked_at: Sequence[float],
    times: Iterable[float],
    scans: Sequence[float] = (),
) -> list[Pathline]:
    """The path of each particle at `places` (RAS mm) at the times `picked_at`, at ascending `times` (`path_times`).

    `scans`: times at which a motion may turn at once, where speeds are taken from each side.
    """
    start = origins(trajectory, places, picked_at)
    found: list[tuple[float, Tensor]] = []
    for t in times:  # from where they were a step before
        found.append((t, carried(trajectory, start, t, found[-1][1] if found else None)))
    at, where = np.array([t for t, _ in found]), np.array([points.numpy() for _, points in found])
    beyond = np.array([trajectory.is_extrapolated(t) for t, _ in found])
    return [
        Pathline(at, where[:, k], origin, speeds(at, where[:, k], scans or trajectory.times), beyond)
        for k, origin in enumerate(start.numpy())
    ]


def speeds(times: Floats, places: Floats, scans: Sequence[float]) -> Floats:
    """(T,) mm per unit of time, from the path's own places (T,3).

    Differences of second order that do not reach across a scan, where motions may turn; there the mean of both sides.
    """
    knots = [0, *(k for k in range(1, len(times) - 1) if np.isclose(times[k], scans, rtol=1e-9).any()), len(times) - 1]
    total, sides = np.zeros(len(times)), np.zeros(len(times))
    for a, b in pairwise(knots):
        part = slice(a, b + 1)
        order = 2 if b - a > 1 else 1
        velocity = np.gradient(places[part], times[part], axis=0, edge_order=order)  # type: ignore[arg-type]
        total[part] += np.linalg.norm(velocity, axis=1)
        sides[part] += 1
    mean: Floats = total / np.maximum(sides, 1)
    return mean


def one(unit: str) -> str:
    """One of a unit of time, for a rate: "years" -> "year"."""
    return _UNITS.get(unit, unit.removesuffix("s"))


def path_table(paths: Sequence[tuple[int, Pathline]], unit: str) -> str:
    """Numbered paths as CSV: point, time, place, displacement from the reference, speed, extrapolated yes or no."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    columns = ("point", "time", "r_mm", "a_mm", "s_mm", "moved_mm", "moved_r_mm", "moved_a_mm", "moved_s_mm")
    table.writerow([*columns, f"speed_mm_per_{one(unit)}", "extrapolated"])
    for number, path in paths:
        rows = zip(path.times, path.places, path.distances, path.moved, path.speeds, path.extrapolated, strict=True)
        for t, place, distance, moved, speed, beyond in rows:
            numbers = [f"{value:.4f}" for value in (*place, distance, *moved)]
            table.writerow([number, f"{t:.10g}", *numbers, f"{speed:.6g}", "yes" if beyond else "no"])
    return out.getvalue()


def write_paths(path: Path, paths: Sequence[tuple[int, Pathline]], unit: str) -> Path:
    """Write `path_table` under `path` at once; returns `path`. Raises OutputError."""
    return write_text(path, path_table(paths, unit))
