"""The result of any fit: a continuous map in space and time, evaluated at just the points asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noder import kernels
from noder.carriers import SeenScan, carriers_at
from noder.decoder import Matrices, SeparableDecoder, apply_separable
from noder.errors import UsageError
from noder.fields import DisplacementField, determinant, invert_points, sample_displacement
from noder.flow import ScreenMap
from noder.flow_determinants import determinant_around, determinant_near
from noder.grid import Grid, Reorientation, Triple
from noder.intensity import Brightness
from noder.kept import Kept
from noder.places import Places

Carry = Literal["neighbours", "first"]
CARRIES: tuple[Carry, ...] = ("neighbours", "first")
_LEAST_DETERMINANT = 1e-6
_EXACT_VOXELS = 1e-3


class Trajectory:
    """phi_t(x) = x + u(x,t), the pull that carries the reference scan to time t.

    `coefficients(t)` gives c(t) (3,a,b,c) in mm; `decoder` turns it into u, or into the velocities of `flow`, where
    there is one. Points are RAS mm, (...,3) in float64, displacements are mm. Between voxels u is linear, beyond the
    grid it is constant. Times are in `unit`. `intensity` is a change of brightness beside the motion, if there is one.
    `others` are the maps that fits of the same scans found from other seeds, if there are any (`noder.ensemble`).
    """

    def __init__(
        self,
        decoder: SeparableDecoder,
        coefficients: Callable[[float], Tensor],
        scans: Sequence[SeenScan],
        unit: str,
        stored_grid: Grid | None = None,
        flow: ScreenMap | None = None,
        intensity: Brightness | None = None,
    ) -> None:
        self.decoder = decoder
        self.flow = flow
        self.intensity = intensity
        self.scans = tuple(sorted(scans, key=lambda scan: scan.time))
        self.unit = unit
        self.others: tuple[Trajectory, ...] = ()
        self.stored_grid = stored_grid or decoder.grid
        self._curve = coefficients
        self._decoded: Kept[float, Tensor] = Kept(2)
        self._places = Places(decoder)
        self._inverses: dict[float, tuple[Tensor, float]] = {}

    @property
    def grid(self) -> Grid:
        """The reference scan's grid, in closest RAS."""
        return self.decoder.grid

    @property
    def times(self) -> list[float]:
        """Times of the seen scans."""
        return [scan.time for scan in self.scans]

    @property
    def t_first(self) -> float:
        """Time of the reference, where phi is the identity."""
        return self.scans[0].time

    @property
    def t_last(self) -> float:
        """Time of the last seen scan."""
        return self.scans[-1].time

    def is_extrapolated(self, t: float) -> bool:
        """Whether no scan was seen on one side of t."""
        return not self.t_first <= t <= self.t_last

    def displacement(self, points_mm: Tensor, t: float) -> Tensor:
        """u(x,t) at points (...,3); decodes the box around the points only."""
        index = self.grid.to_index(points_mm)
        if self.flow is not None:
            return self.grid.to_mm(self.flow.forward(index, t)) - points_mm
        low = [int(v) for v in index.reshape(-1, 3).amin(0).floor().clamp(min=0).tolist()]
        high = [int(v) for v in index.reshape(-1, 3).amax(0).ceil().tolist()]
        low = [min(a, n - 1) for a, n in zip(low, self.grid.shape, strict=True)]
        high = [min(max(a, b), n - 1) for a, b, n in zip(low, high, self.grid.shape, strict=True)]
        axes = [np.arange(a, b + 1, dtype=float) for a, b in zip(low, high, strict=True)]
        u = apply_separable(self._places.rows(axes), self._curve(t))
        return sample_displacement(u, index - torch.tensor(low, dtype=index.dtype)).to(points_mm.dtype)

    def inverse(self, points_mm: Tensor, t: float) -> Tensor:
        """phi_t^-1(y) - y at points (...,3): the flow backwards, or by fixed point."""
        if t == self.t_first:
            return torch.zeros_like(points_mm)
        if self.flow is not None:
            return self.grid.to_mm(self.flow.backward(self.grid.to_index(points_mm), t)) - points_mm
        u = self._full(t)
        return invert_points(lambda y: self._sample(u, y), points_mm) - points_mm

    def between(self, points_mm: Tensor, t_a: float, t_b: float) -> Tensor:
        """T_ab(x) - x at points (...,3), with T_ab = phi_a^-1 o phi_b: the pull that makes I_b = I_a o T_ab.

        Where t_a is the time of a seen scan its inverse is computed once for the whole grid and kept.
        """
        return self._pull(points_mm + self.displacement(points_mm, t_b), t_a) - points_mm

    def field(self, grid: Grid, t: float) -> DisplacementField:
        """u(.,t) on any grid; on a slice of the reference's grid only that slice is decoded."""
        place = self._places.of(grid)
        if self.flow is not None or not place.is_aligned:
            return DisplacementField(self.displacement(grid.points(), t).movedim(-1, 0).float(), grid)
        return DisplacementField(place.change.undo(apply_separable(place.rows, self._curve(t))).contiguous(), grid)

    def near_field(self, grid: Grid, t: float) -> DisplacementField:
        """`field` as near as the screen shows it: what velocities carry is then known at fewer points, and soon."""
        change, still, moved = self._pulled(grid, t, torch.float32)
        to_mm = torch.as_tensor(self.grid.affine[:3, :3].copy(), dtype=torch.float32)
        return DisplacementField(change.undo(((moved - still) @ to_mm.T).movedim(-1, 0)).contiguous(), grid)

    def near(self, axes: Sequence[Tensor], t: float) -> Tensor:
        """phi_t - id (3,I,J,K) in voxels, as near as the screen shows it, of the reference's voxels at `axes`.

        These are voxel coordinates along each axis, float32, ascending and even.
        """
        if self.flow is not None:
            return self.flow.near_on(axes, t)
        rows = self._places.rows([axis.double().numpy() for axis in axes])
        return self._in_voxels(apply_separable(rows, self._curve(t)))

    def inverse_field(self, grid: Grid, t: float) -> DisplacementField:
        """phi_t^-1 - id on any grid.

        Of a map that velocities carry it undoes `field(grid, t)` as files are read, linear between voxels.
        """
        points = grid.points()
        inverse = self.inverse(points, t)
        if self.flow is not None and t != self.t_first:
            u = self.field(grid, t).u
            exact = _EXACT_VOXELS * min(grid.spacing)
            found = invert_points(
                lambda y: sample_displacement(u, grid.to_index(y)).to(y.dtype), points, exact, start=points + inverse
            )
            inverse = found - points
        return DisplacementField(inverse.movedim(-1, 0).float(), grid)

    def inverse_residual(self, t: float) -> float:
        """Largest |phi_t(phi_t^-1(x)) - x| in mm on the reference's grid, where the pre-image lies inside it."""
        return self._inverse(t)[1]

    def carriers(self, t: float, without: int | None = None, *, by_residual: bool = True) -> list[tuple[int, float]]:
        """Positions in `scans` of the seen scans before and after t, with their weights (`carriers_at`).

        By distance in time and by residual, or by distance alone. `without` leaves one position out.
        """
        residuals = [scan.residual if by_residual else 1.0 for scan in self.scans]
        return carriers_at(t, self.times, residuals, without)

    def predict(
        self,
        t: float,
        grid: Grid | None = None,
        carry: Carry = "neighbours",
        *,
        without: int | None = None,
        exact: bool = False,
    ) -> Tensor:
        """The predicted image (1,I,J,K) at t on `grid` (default: the reference's), edge values outside the scans.

        `carry="first"` is I_0 o phi_t (Bai and Hong 2024); "neighbours" carries the seen scans before and after t
        along the flow to t and blends them by distance in time and residual. `without` leaves a seen scan out, to score
        it. For the screen the inverse maps are read between voxels, and sampling is linear in float32; `exact`, for
        scores and files, solves for the inverse at every point in float64 and reads the neighbours by cubic splines,
        since linear sampling would blur them. The first scan stays linear, as published and as other programs warp it.
        """
        if carry not in CARRIES:
            raise UsageError(f"carry must be one of {', '.join(CARRIES)}, not '{carry}'")
        chosen = [(0, 1.0)] if carry == "first" else self.carriers(t, without)
        if not exact and (seen := self._for_screen(grid or self.grid, t, chosen)) is not None:
            return seen
        change, still, moved = self._pulled(grid or self.grid, t, torch.float64 if exact else torch.float32)
        smooth = exact and carry == "neighbours"
        parts = [
            weight * self.scans[k].at(self._carried(k, t, still, moved, exact), smooth=smooth) for k, weight in chosen
        ]
        if self.intensity is not None:  # a carried scan has the brightness of its own time
            added = self.intensity.powers(t) - sum(w * self.intensity.powers(self.scans[k].time) for k, w in chosen)
            parts.append(self.intensity.at(moved, added))
        return change.undo(torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]).float()

    def _for_screen(self, grid: Grid, t: float, chosen: list[tuple[int, float]]) -> Tensor | None:
        """`predict` in one pass over the voxels where brightness does not change; None where that cannot be."""
        place = self._places.of(grid)
        scans = [self.scans[k].voxels[0] for k, _ in chosen]
        if not place.is_aligned or self.intensity is not None or not kernels.usable(*scans):
            return None
        if scans[0].dtype != torch.float32:
            return None
        axes = [axis.float() for axis in place.axes]
        u = self.near(axes, t).contiguous().numpy()
        x, y, z = (axis.numpy() for axis in axes)
        out = np.zeros(u.shape[1:], np.float32)
        for (k, weight), scan in zip(chosen, scans, strict=True):
            time, gain = self.scans[k].time, self.scans[k].gain
            moved = np.zeros_like(u) if time == t else u  # at its own time a scan is read where it is
            back = None if time in (t, self.t_first) else (self._inverse(time)[0].numpy(), self._stride)
            kernels.add_carried(out, scan.numpy(), (x, y, z), moved, back, weight * gain.gain, weight * gain.offset)
        return place.change.undo(torch.from_numpy(out)[None])

    def brightness(self, t: float, grid: Grid | None = None) -> Tensor:
        """What the intensity model adds to the carried reference (I,J,K) on the frame at t, in image units.

        The change of brightness since the reference, apart from motion; 0 where the fit has no such model.
        """
        change, _, moved = self._pulled(grid or self.grid, t, torch.float32)
        if self.intensity is None:
            return change.undo(torch.zeros(moved.shape[:-1]))
        return change.undo(self.intensity.at(moved, self.intensity.powers(t))[0])

    def pulled_back(self) -> Iterator[Tensor]:
        """Every seen scan but the first, pulled back to the reference (1,I,J,K), one at a time."""
        index = self.grid.indices().float()
        for scan in self.scans[1:]:
            yield scan.at(self._near_inverse(index, scan.time))

    def judged(self, residuals: Sequence[float], intensity: Brightness | None) -> Trajectory:
        """The same map with a residual for each seen scan and a change of brightness; keeps what has been computed."""
        other = copy(self)
        other.scans = tuple(replace(scan, residual=r) for scan, r in zip(self.scans, residuals, strict=True))
        other.intensity = intensity
        return other

    def beside(self, others: Sequence[Trajectory]) -> Trajectory:
        """The same map with those of other seeds; they carry this one's scans, so that volumes are kept once."""
        same = copy(self)
        same.others = tuple(copy(other) for other in others)
        for other in same.others:
            other.scans, other._inverses = self.scans, {}
        return same

    def residual(self, position: int, mask: NDArray[np.bool_]) -> float:
        """Root of the mean square in `mask` (I,J,K) of a seen scan less its prediction from the others.

        Taken at every second voxel, as near as the screen shows it.
        """
        every = tuple(slice(None, None, step) for step in self._stride)
        affine = self.grid.affine @ np.diag([*self._stride, 1])
        chosen = mask[every] if mask[every].any() else np.ones_like(mask[every])
        scan = self.scans[position]
        found = self.predict(scan.time, Grid(cast(Triple, chosen.shape), affine), without=position)
        left = (found - scan.gain(scan.voxels[(slice(None), *every)]))[0].numpy()[chosen]
        return float(np.sqrt(np.mean(left**2, dtype=np.float64)))

    def prepare(self) -> Trajectory:
        """Compute the inverses that `carry="neighbours"` needs: the first prediction is then as quick as the next."""
        for t in self.times[1:]:
            self._inverse(t)
        return self

    @property
    def is_prepared(self) -> bool:
        """Whether `prepare` has nothing left to do."""
        return all(t in self._inverses for t in self.times[1:])

    def jacobian(self, t: float, grid: Grid | None = None, *, exact: bool = False) -> Tensor:
        """J(x,t) = 1 / det D phi_t(x) (I,J,K) on the frame at t: above 1 is larger than at the reference.

        Negative where the map folds. On the reference's voxels it comes from central differences. `exact` for files and
        scores: what moves along velocities takes longer steps for the screen.
        """
        grid = grid or self.grid
        place = self._places.of(grid)
        if not place.is_aligned:
            det = self._determinant_at(grid.points(), t)
        elif self.flow is not None:
            around = determinant_around if exact else determinant_near
            det = place.change.undo(around(self.flow, self.grid, place.axes, t))
        else:
            det = place.change.undo(self._determinant_on(place.rows, place.slopes, t))
        return 1 / torch.where(det.abs() < _LEAST_DETERMINANT, torch.full_like(det, -_LEAST_DETERMINANT), det)

    def _determinant_on(self, rows: Matrices, slopes: Matrices, t: float) -> Tensor:
        c = self._in_voxels(self._curve(t))
        columns = []
        for axis in range(3):
            x, y, z = (slopes[k] if k == axis else rows[k] for k in range(3))
            columns.append(apply_separable((x, y, z), c))
        return determinant(columns)

    def _determinant_at(self, points: Tensor, t: float) -> Tensor:
        step = min(self.grid.spacing) / 2
        shifts = step * torch.eye(3, dtype=points.dtype)
        columns = [
            ((self.displacement(points + s, t) - self.displacement(points - s, t)) / (2 * step)).movedim(-1, 0)
            for s in shifts
        ]
        return determinant(columns).float()

    def _pulled(self, grid: Grid, t: float, dtype: torch.dtype) -> tuple[Reorientation, Tensor, Tensor]:
        """The change of `grid` to closest RAS, its voxels as indices of the reference (I,J,K,3), and phi_t of them."""
        place = self._places.of(grid)
        if not place.is_aligned:
            points = grid.reoriented(place.change).points()
            moved = self.grid.to_index(points + self.displacement(points, t))
            return place.change, self.grid.to_index(points).to(dtype), moved.to(dtype)
        still = torch.stack(torch.meshgrid(*(i.to(dtype) for i in place.axes), indexing="ij"), dim=-1)
        if self.flow is not None:
            exact = dtype == torch.float64
            if exact:
                return place.change, still, self.flow.forward(still, t)
            u = self.flow.near_on([i.to(dtype) for i in place.axes], t)
            return place.change, still, still + u.movedim(0, -1)
        u = apply_separable(place.rows, self._in_voxels(self._curve(t)))
        return place.change, still, still + u.movedim(0, -1).to(dtype)

    def _carried(self, position: int, t: float, still: Tensor, moved: Tensor, exact: bool) -> Tensor:
        """Where scan `position` is read at time t: phi_s^-1 of the indices that phi_t has pulled into the reference."""
        time = self.scans[position].time
        return still if time == t else self._unpulled(moved, time, exact)

    def _unpulled(self, index: Tensor, t: float, exact: bool) -> Tensor:
        """phi_t^-1 of voxel indices of the reference, t the time of a seen scan."""
        if t == self.t_first:
            return index
        if exact and self.flow is not None:
            return self.flow.backward(index, t)
        found = self._near_inverse(index, t)
        if not exact:
            return found
        u = self._in_voxels(self._full(t)).to(index.dtype)
        return invert_points(lambda y: sample_displacement(u, y), index, _EXACT_VOXELS, start=found)

    def _pull(self, points: Tensor, t: float) -> Tensor:
        """phi_t^-1 of points in the reference, in mm."""
        if t in self.times:
            return self.grid.to_mm(self._unpulled(self.grid.to_index(points), t, exact=True))
        return points + self.inverse(points, t)

    def _inverse(self, t: float) -> tuple[Tensor, float]:
        """phi_t^-1 - id in voxels (3,i,j,k) at every second voxel, and its residual there in mm; computed once a scan.

        A smooth map needs no more for the screen, and an eighth of the memory is read several times as fast; what
        must be exact starts from it.
        """
        if t not in self._inverses:
            goal = self.grid.to_index(self.grid.coarsen(self._stride).points()).float()
            found, back = self._inverted(goal, t)
            inside = ((found >= 0) & (found <= torch.tensor(self.grid.shape) - 1)).all(dim=-1)
            left = (back - goal)[inside].double()
            to_mm = torch.as_tensor(self.grid.affine[:3, :3].copy())
            residual = float((left @ to_mm.T).norm(dim=-1).max()) if bool(inside.any()) else 0.0
            # the three components of a voxel side by side: a slice then touches a third of the cache lines
            self._inverses[t] = (found - goal).contiguous().movedim(-1, 0), residual
        return self._inverses[t]

    def _inverted(self, goal: Tensor, t: float) -> tuple[Tensor, Tensor]:
        """phi_t^-1 of indices, and phi_t of that."""
        if self.flow is not None:
            found = self.flow.backward(goal, t)
            return found, self.flow.forward(found, t)
        u = self._in_voxels(self._full(t))
        found = invert_points(lambda y: sample_displacement(u, y), goal, _EXACT_VOXELS)
        return found, found + sample_displacement(u, found)

    @property
    def _stride(self) -> Triple:
        """Every second voxel, but every one along thick slices."""
        x, y, z = (2 if h < 1.5 * min(self.grid.spacing) else 1 for h in self.grid.spacing)
        return x, y, z

    def _near_inverse(self, index: Tensor, t: float) -> Tensor:
        """phi_t^-1 of voxel indices of the reference, read between the places where it is known."""
        stride = torch.tensor(self._stride, dtype=index.dtype)
        inverse = self._inverse(t)[0].to(index.dtype)
        return index + sample_displacement(inverse, (index - (stride - 1) / 2) / stride)

    def _in_voxels(self, vectors: Tensor) -> Tensor:
        """(3,...) vectors in mm -> in voxels along the reference's axes."""
        to_voxel = torch.as_tensor(self.grid.inverse_affine[:3, :3].copy(), dtype=torch.float32)
        return (to_voxel @ vectors.flatten(1)).reshape(vectors.shape)

    def _full(self, t: float) -> Tensor:
        """u(.,t) on the reference's grid; the last two are kept."""
        return self._decoded.get(t, lambda: self.field(self.grid, t).u)

    def _sample(self, u: Tensor, points: Tensor) -> Tensor:
        return sample_displacement(u, self.grid.to_index(points)).to(points.dtype)
