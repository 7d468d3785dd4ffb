"""The fitted map as coefficients over time: what every method gives, and how the rest of the program asks for it."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from torch import Tensor

from noder.errors import UsageError
from noder.flow import Clock

Kind = Literal["displacement", "exponential", "flow", "composed"]

FARTHEST_SPANS = 10
"""How far beyond the scans a prediction may be asked for: farther out it says nothing about the subject."""


class Curve(Protocol):
    """tau -> c (3,a,b,c), in voxels of the finest axis along the RAS axes, for any time tau in spans.

    `kind` says what W c(t) is: the displacement of phi_t, its stationary log-velocity (phi_t = exp(W c(t))), or, for
    "flow", the integral of the velocity (d phi/dt = (W c'(t))(phi)). A "composed" map has `parts` instead
    (`noder.methods.nephi.NephiCurve`).
    """

    kind: Kind

    def __call__(self, tau: float) -> Tensor:
        """Coefficients at a time in spans."""

    def tensors(self) -> dict[str, Tensor]:
        """All that a file must hold to make the curve again, with `facts` and the settings."""

    def facts(self) -> dict[str, Any]:
        """Numbers that belong to `tensors`, as JSON holds them."""


class TimedCurve:
    """t -> c in mm: a curve on the clock of a series, `span` its first and last seen time."""

    def __init__(self, curve: Curve, span: tuple[float, float], voxel_mm: float) -> None:
        self.curve, self.span, self.voxel_mm = curve, span, voxel_mm
        self._last: tuple[float, Tensor] | None = None

    def __call__(self, t: float) -> Tensor:
        """Coefficients (3,a,b,c) in mm. Raises UsageError for a time far outside the scans."""
        last = self._last  # another thread may replace it at any moment
        if last is None or last[0] != t:
            last = self._last = (t, self.curve(self.tau(t)) * self.voxel_mm)
        return last[1]

    @property
    def clock(self) -> Clock | None:
        """The steps of a flow; None for what is not one."""
        if self.curve.kind != "flow":
            return None
        return Clock(self.span[0], (self.span[1] - self.span[0]) / self.curve.facts()["pieces"])

    def tau(self, t: float) -> float:
        """A time in spans. Raises UsageError for a time far outside the scans."""
        first, end = self.span
        tau = (t - first) / (end - first)
        if not -FARTHEST_SPANS <= tau <= 1 + FARTHEST_SPANS:
            raise UsageError(
                f"The time {t:g} lies more than {FARTHEST_SPANS} times the span of the scans "
                f"({first:g} to {end:g}) away from them. Choose a time nearer to the scans."
            )
        return tau
