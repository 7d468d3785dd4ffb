"""The methods: a file each, their settings, and the presets by name."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol

from torch import Tensor

from noder.decoder import SeparableDecoder
from noder.grid import Grid
from noder.methods.curve import Curve
from noder.methods.geodesic import GeodesicFit, GeodesicSettings, PiecewiseFit, PiecewiseSettings
from noder.methods.nephi import NephiFit
from noder.methods.nephi_settings import NephiSettings
from noder.methods.noder import NoderFit, NoderSettings
from noder.methods.problem import Iteration, Problem
from noder.methods.published import PublishedFit, PublishedSettings

__all__ = ["FITS", "PRESETS", "Fit", "NephiSettings", "NoderFit", "NoderSettings", "Problem", "Settings"]

Settings = NoderSettings | PublishedSettings | GeodesicSettings | PiecewiseSettings | NephiSettings


class Fit(Protocol):
    """An optimisation under way. Made of a problem, the method's settings and a seed."""

    total: int

    @property
    def decoder(self) -> SeparableDecoder:
        """What makes a field of coefficients."""

    def costs(self) -> list[float]:
        """The cost of every iteration beside the others; tells how much of a fit is left."""

    def run(self) -> Generator[Iteration, None, None]:
        """Yields after every step."""

    def curve(self) -> Curve:
        """The map as it is now, detached, on the CPU."""

    def state(self) -> dict[str, Tensor | int | float]:
        """All that a run needs to go on after the last step, bit for bit on the CPU."""

    def load_state(self, state: dict[str, Tensor | int | float]) -> None:
        """Go on from what `state` gave in a fit of the same problem and settings."""

    @staticmethod
    def restore(
        grid: Grid, settings: Any, tensors: dict[str, Tensor], facts: dict[str, Any]
    ) -> tuple[SeparableDecoder, Curve]:
        """Decoder and curve of a saved fit. Raises RuntimeError or KeyError where they do not belong together."""


_QUICK: dict[str, Any] = {"coarse_iterations": 40, "middle_iterations": 60, "fine_iterations": 0}

# The paper's own design: the published losses (Smoothness sums over the components, which the published mean divides by
# 3; Boundary is a mean over all six faces, where the published one adds up three pairs), no folding penalty, full size.
_PAPER = NoderSettings(
    map="displacement", turns=1, latent="autoencoder", window=21, smoothing=15.0, control_spacing=4.0,
    smoothness=0.05 / 3, boundary=0.0001 * 6, folding=0.0, acceleration=0.0, straightness=0.0, learning_rate=0.005,
    coarse_iterations=0, middle_iterations=0, fine_iterations=300,
)  # fmt: skip

# NePhi's published networks and losses, optimised from scratch: its weights were never published.
_NEPHI = NephiSettings(
    similarity="global", stages=2, global_code=32, local_code=32, frequencies=128, hidden=128, layers=2, smoothness=0.0,
    folding=0.0, inverse_consistency=10.0, prior=0.01, learning_rate=1e-4, code_rate=1e-3,
    coarse_iterations=300, middle_iterations=300, fine_iterations=300,
)  # fmt: skip

PRESETS: dict[str, dict[str, Settings]] = {
    "noder": {
        "fast": NoderSettings(**_QUICK),
        "balanced": NoderSettings(),
        "published": PublishedSettings(),
        "paper": _PAPER,
    },
    "geodesic": {"fast": GeodesicSettings(**_QUICK), "balanced": GeodesicSettings()},
    "nephi": {"fast": NephiSettings(fine_iterations=0), "balanced": NephiSettings(), "published": _NEPHI},
    "piecewise": {"fast": PiecewiseSettings(**_QUICK), "balanced": PiecewiseSettings()},
}
"""Method -> preset -> settings. The geodesic ones are the baselines that NODER is shown beside."""

FITS: dict[type, type[Fit]] = {
    NoderSettings: NoderFit,
    PublishedSettings: PublishedFit,
    GeodesicSettings: GeodesicFit,
    PiecewiseSettings: PiecewiseFit,
    NephiSettings: NephiFit,
}
"""What makes a fit of settings of a class."""
