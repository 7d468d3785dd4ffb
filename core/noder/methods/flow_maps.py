"""Maps of a true flow for a fit: particles moved by velocities that are sampled where the particles are.

The velocity is constant in time during each of `pieces` steps of the span, v_k = W (c_k - c_{k-1}); every step is one
midpoint step. `noder.flow` evaluates the same maps afterwards, and their inverses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from noder.methods.svf import Exponential, composed


class FlowMaps:
    """c at the ends of the steps (pieces+1,3,a,b,c), in voxels of the finest axis -> phi - id at each of `taus`."""

    def __init__(self, exponential: Exponential, taus: Sequence[float], pieces: int) -> None:
        self._on = exponential
        self._taus, self._pieces = list(taus), pieces

    def __call__(self, nodes: Tensor) -> list[Tensor]:
        """Displacements (3,I,J,K) in voxels of the level, one a time; differentiable."""
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
        return [self._on.spread(found[scan]) for scan in range(len(self._taus))]


def _moved(velocity: Tensor, at: Tensor, u: Tensor | None, share: float) -> Tensor:
    """u after a midpoint step; `at` is the velocity at id + u."""
    start = 0 if u is None else u
    return start + share * composed(velocity, start + share / 2 * at)
