"""Maps of a true flow for a fit: particles moved by velocities that are sampled where the particles are.

The velocity is constant in time during each of `pieces` steps of the span, v_k = W (c_k - c_{k-1}); every step is one
midpoint step. `noder.flow` evaluates the same maps afterwards, and their inverses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from noder.methods.svf import Exponential, composed


class FlowMaps:
    """c at the ends of the steps (pieces+1,3,a,b,c), in voxels of the finest axis -> phi - id at each of `taus`."""

    def __init__(self, exponential: Exponential, taus: Sequence[float], pieces: int) -> None:
        self._on = exponential
        self._taus, self._pieces = list(taus), pieces

    def regularised(self) -> tuple[Tensor, list[float]]:
        """Combinations (n,pieces) of the pieces p_k whose smoothness counts, and how much each counts.

        At every scan that of the log-velocity up to it, sum_k p_k; and between scans a to b, where no scan says how the
        velocity changes, what its path costs more than that of a constant one, (b - a) int_a^b |v|^2 dt -
        |int_a^b v dt|^2, the energy of Beg et al. (IJCV 2005, eq. 4).
        """
        n = self._pieces
        until = torch.tensor([[min(max(tau * n - k, 0.0), 1.0) for k in range(n)] for tau in self._taus])
        between = until.diff(dim=0, prepend=torch.zeros(1, n))
        energy = n * (torch.tensor(self._taus).diff(prepend=torch.zeros(1)) @ between)
        weights = torch.cat([torch.ones(len(until)), energy, -torch.ones(len(between))])
        return torch.cat([until, torch.eye(n), between]), weights.tolist()

    def __call__(self, nodes: Tensor) -> list[Tensor]:
        """Displacements (3,i,j,k) on the carrier, in its voxels, one a time; differentiable."""
        found: dict[int, Tensor] = {}
        u: Tensor | None = None
        for k in range(self._pieces):
            velocity = self._on.velocity(nodes[k + 1] - nodes[k])
            at = velocity if u is None else composed(velocity, u)
            for scan, tau in enumerate(self._taus):
                share = tau * self._pieces - k
                if 0 < share < 1 - 1e-9:
                    found[scan] = _moved(velocity, at, u, share)
            u = _moved(velocity, at, u, 1.0)
            found |= {scan: u for scan, tau in enumerate(self._taus) if math.isclose(tau * self._pieces, k + 1)}
        return [found[scan] for scan in range(len(self._taus))]


def _moved(velocity: Tensor, at: Tensor, u: Tensor | None, share: float) -> Tensor:
    """u after a midpoint step; `at` is the velocity at id + u."""
    start = 0 if u is None else u
    return start + share * composed(velocity, start + share / 2 * at)
