"""A map in closed form that nothing can mirror or turn unseen: one part swells, another is pushed aside and folds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from doubles import GrowingTrajectory
from torch import Tensor

from noder.grid import Grid

SWELLS_AT, PUSHED_AT = (6.0, -5.0, 6.0), (-6.0, 6.0, 4.0)
"""RAS mm: right and behind the middle; left and in front of it. Both above it."""
WIDTH_MM, SWELLING, PUSH_MM = 7.0, 0.25, -7.0
"""At t = 1: swelling by about a quarter in each direction, a push of 7 mm to the left, less all around."""


@dataclass(eq=False)
class PushedTrajectory(GrowingTrajectory):
    """x is pulled from x + u(x): u = -t (SWELLING g (x - a) + PUSH g' e), g and g' Gaussians about a and b."""

    def displacement(self, points_mm: Tensor, t: float) -> Tensor:
        self.calls.append("displacement")
        away, bell, bell_there = self._bells(points_mm)
        push = torch.tensor([PUSH_MM, 0.0, 0.0], dtype=points_mm.dtype)
        return -t * (SWELLING * bell * away + bell_there * push)

    def between(self, points_mm: Tensor, t_a: float, t_b: float) -> Tensor:
        if t_a != 0:
            raise NotImplementedError("the inverse has no closed form")
        return self.displacement(points_mm, t_b)

    def inverse(self, points_mm: Tensor, t: float) -> Tensor:
        return -self.displacement(points_mm, t)

    def jacobian(self, t: float, grid: Grid | None = None) -> Tensor:
        """1 / det D(x + u), as the engine has it on the frame at t."""
        points = (grid or self.grid).points().double()
        away, bell, bell_there = self._bells(points)
        there = points - torch.tensor(PUSHED_AT).double()
        identity = torch.eye(3, dtype=torch.float64)
        swelling = bell[..., None] * (identity - away[..., :, None] * away[..., None, :] / WIDTH_MM**2)
        push = torch.zeros_like(swelling)
        push[..., 0, :] = -PUSH_MM * bell_there * there / WIDTH_MM**2
        return (1 / torch.linalg.det(identity - t * (SWELLING * swelling + push))).float()

    def _bells(self, points_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        away = points_mm - torch.tensor(SWELLS_AT, dtype=points_mm.dtype)
        there = points_mm - torch.tensor(PUSHED_AT, dtype=points_mm.dtype)
        bells = [torch.exp(-(d**2).sum(-1, keepdim=True) / (2 * WIDTH_MM**2)) for d in (away, there)]
        return away, bells[0], bells[1]


def pushed(grid: Grid, volume: Any) -> PushedTrajectory:
    """The map on a grid, of an image (I,J,K)."""
    return PushedTrajectory(grid, torch.from_numpy(volume)[None])
