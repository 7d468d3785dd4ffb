"""The state of the window: one evented dataclass that every view is a function of. No Qt, no torch."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from psygnal import SignalGroupDescriptor

from noder_viewer.layers import Layer, Look
from noder_viewer.layouts import Layout, LightboxSettings

if TYPE_CHECKING:
    from noder.fit import FitProgress, FitResult
    from noder.grid import Grid
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory
    from noder_viewer.shown_pair import ShownPair

Show = Literal["prediction", "observed", "difference", "side by side", "before", "after", "checkerboard", "flicker"]
Carry = Literal["neighbours", "first"]
Pulled = Literal["moving", "fixed"]
Activity = Literal["", "opening", "reading", "fitting", "stopping", "pairing", "registering", "stopping registration"]

SHOWS: tuple[Show, ...] = ("observed", "prediction", "difference", "side by side")
COMPARISONS: tuple[Show, ...] = ("before", "after", "checkerboard", "flicker")
"""What can be shown of a pair of images beside `SHOWS`."""
PULLED: dict[Pulled, str] = {
    "moving": "Moving pulled onto fixed",
    "fixed": "Fixed pulled onto moving",
}
CARRIES: dict[Carry, str] = {
    "neighbours": "Neighbouring scans",
    "first": "First scan only",
}


@dataclass(frozen=True)
class OverlaySettings:
    """What is drawn over the slices; replaced as a whole, so that one change is one event.

    jacobian_limit: half width of the colour scale in log J, None: from the data. Quiver scale 1: true size.
    Of the colour maps one is shown at a time, all with `jacobian_opacity`, `colormap` and `gamma`.
    """

    jacobian: bool = False
    brightness: bool = False
    jacobian_opacity: float = 0.6
    jacobian_limit: float | None = None
    colormap: str = "log J"
    gamma: float = 1.0
    quiver: bool = False
    quiver_spacing_mm: float = 8.0
    quiver_scale: float = 1.0
    landmarks: bool = True

    def switched(self, name: str, *, on: bool) -> OverlaySettings:
        """The same with one overlay on or off; a colour map that is switched on takes the place of another."""
        others = dict.fromkeys(_COLOUR_MAPS, False) if on and name in _COLOUR_MAPS else {}
        changes: dict[str, Any] = {**others, name: on}
        return replace(self, **changes)


_COLOUR_MAPS = ("jacobian", "brightness")


@dataclass
class Session:
    """Everything that the window shows. Only the controller writes it; views read it.

    time: in the unit of the series. cursor_mm: RAS mm. window: grey levels (lo, hi) in the scans' own values;
    value_range: the smallest and largest value of all scans. hold_out, exclude: positions in the series.
    saved_in: the folder that `result` was read from or saved to. activity: what runs in the background.
    pair: two images that are registered, whose series is `series` then. pulled: which of them is pulled onto the other.
    kept: the snapshot of what was open before the pair, or of the pair.
    flicker: whether the pulled one is on screen now. square_mm: side of a square of the checkerboard.
    look: of the image that is shown; layers: images and label maps of other files; order: keys of all, front first.
    layout, lightbox: which views are on screen, and which times.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators=dict.fromkeys(("series", "result", "preview", "progress", "pair", "kept"), operator.is_)
    )

    series: ImageSeries | None = None
    result: FitResult | None = None
    preview: Trajectory | None = None
    pair: ShownPair | None = None
    progress: FitProgress | None = None
    kept: dict[str, Any] | None = None
    hold_out: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    mask: Path | None = None
    saved_in: Path | None = None
    time: float = 0.0
    cursor_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    show: Show = "prediction"
    carry: Carry = "neighbours"
    pulled: Pulled = "moving"
    flicker: bool = False
    square_mm: float = 20.0
    overlays: OverlaySettings = OverlaySettings()
    window: tuple[float, float] = (0.0, 1.0)
    value_range: tuple[float, float] = (0.0, 1.0)
    radiological: bool = False
    look: Look = field(default_factory=Look)
    layers: tuple[Layer, ...] = ()
    order: tuple[str, ...] = ()
    bars: bool = True
    layout: Layout = field(default_factory=Layout)
    lightbox: LightboxSettings = field(default_factory=LightboxSettings)
    activity: Activity = ""
    status: str = ""

    @property
    def trajectory(self) -> Trajectory | None:
        """The map to show: the live preview while a fit runs, else that of the result."""
        if self.preview is not None:
            return self.preview
        return None if self.result is None else self.result.trajectory

    @property
    def carry_shown(self) -> Carry:
        """`carry`; but "first" while the inverse maps that neighbours need are being computed."""
        trajectory = self.trajectory
        return self.carry if trajectory is None or trajectory.is_prepared else "first"

    @property
    def show_shown(self) -> Show:
        """`show`; but what there is to see where a map or a pair is missing."""
        if self.show in COMPARISONS and self.pair is not None:
            return self.show
        if self.trajectory is None:
            return "observed"
        return "prediction" if self.show in COMPARISONS else self.show

    @property
    def grid(self) -> Grid | None:
        """The closest-RAS grid that is shown: the reference's."""
        return None if self.series is None else self.series.grid

    @property
    def times(self) -> tuple[float, ...]:
        """Times of all scans, in order; empty without a series."""
        return () if self.series is None else tuple(self.series.times)

    @property
    def is_fitting(self) -> bool:
        """Whether a fit runs, be it on its way to stop."""
        return self.activity in ("fitting", "stopping")

    @property
    def is_registering(self) -> bool:
        """Whether two images are being read or registered."""
        return self.activity in ("pairing", "registering", "stopping registration")

    def roles(self) -> tuple[str, ...]:
        """One of "reference", "seen", "held out", "excluded" for each scan; the first is the reference."""
        return tuple(_role(index, self.hold_out, self.exclude) for index in range(len(self.times)))

    def roles_shown(self) -> tuple[str, ...]:
        """As `roles`, but those of the fit that is shown: boxes ticked since apply to the next one."""
        if self.result is None or self.preview is not None:
            return self.roles()
        config = self.result.config
        return tuple(_role(index, config.hold_out, config.exclude) for index in range(len(self.times)))

    @property
    def is_unsaved(self) -> bool:
        """Whether closing now would lose a fit."""
        return self.result is not None and self.saved_in is None

    def snapshot(self) -> dict[str, Any]:
        """What belongs to one opened series, to come back to it: give it to `restore`."""
        return {name: getattr(self, name) for name in _PER_SERIES}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a `snapshot`; `series` is set last, when the rest is already in place."""
        for name in _PER_SERIES:
            setattr(self, name, snapshot[name])


def _role(index: int, hold_out: Collection[int], exclude: Collection[int]) -> str:
    if index in exclude:
        return "excluded"
    if index in hold_out:
        return "held out"
    return "reference" if index == 0 else "seen"


_PER_SERIES = (
    "pair",
    "preview",
    "result",
    "saved_in",
    "hold_out",
    "exclude",
    "mask",
    "time",
    "cursor_mm",
    "window",
    "value_range",
    "series",
)
