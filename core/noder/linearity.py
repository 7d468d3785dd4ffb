"""How far a fitted course is from motion at a constant rate: the linearity index of a trajectory.

    s(x) = int tau u(x,tau) dtau / int tau^2 dtau          the best straight line through the identity at t_0
    index = int int_mask |u(x,tau) - tau s(x)|^2 dx dtau  /  int int_mask |u(x,tau)|^2 dx dtau

tau runs from 0 to 1 over the span of the seen scans and u is in mm. By Pythagoras the numerator is the denominator less
int tau^2 dtau int |s|^2. 0: every point moves along a line at a constant rate. 1: no part of the motion does. It is a
share of squared displacement, so that small values are already visible: u = tau^2 v (a steady acceleration from rest)
has 1/16, a motion there and back, u = tau (1 - tau) v, 3/8.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from noder.grid import block_mean
from noder.methods.problem import pyramid
from noder.preprocess import Mask
from noder.trajectory import Trajectory

_TIMES = 12
"""Gauss-Legendre nodes over the span: exact for u of degree 11 in time."""


def linearity_index(trajectory: Trajectory, mask: Mask) -> float:
    """The index of a trajectory in a mask (I,J,K) on its grid, from 0 (linear) to 1; 0 where nothing moves.

    Displacements are taken at a quarter of the resolution, weighted by the mask's share of each block.
    """
    ((factors, _),) = pyramid(trajectory.grid, (1, 0, 0))
    weight = block_mean(torch.from_numpy(mask)[None].double(), factors)[0]
    grid = trajectory.grid.coarsen(factors)
    nodes, shares = np.polynomial.legendre.leggauss(_TIMES)
    slope = torch.zeros(3, *grid.shape, dtype=torch.float64)
    energy = 0.0
    for tau, share in zip((nodes + 1) / 2, shares / 2, strict=True):
        t = trajectory.t_first + tau * (trajectory.t_last - trajectory.t_first)
        u = trajectory.field(grid, float(t)).u.double()
        slope += 3 * share * tau * u
        energy += share * _energy(u, weight)
    return max(0.0, 1 - _energy(slope, weight) / (3 * energy)) if energy > 0 else 0.0


def _energy(u: Tensor, weight: Tensor) -> float:
    return float((u.square().sum(0) * weight).sum())
