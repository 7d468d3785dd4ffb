"""The state of the window: one evented dataclass that every view is a function of. No Qt, no torch."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from psygnal import SignalGroupDescriptor
from psygnal._group_descriptor import evented_setattr  # its documentation points there: there is no public name

from noder_viewer.layers import Layer, Look
from noder_viewer.layouts import Layout, LightboxSettings
from noder_viewer.region_state import Brush, RegionLook

if TYPE_CHECKING:
    from noder.fit import FitProgress, FitResult
    from noder.grid import Grid
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory
    from noder_viewer.fit_rows import FitRow
    from noder_viewer.followed import Followed, Paths
    from noder_viewer.region_state import RegionFigures, ShownRegions
    from noder_viewer.shown_pair import ShownPair

Show = Literal["prediction", "observed", "difference", "side by side", "before", "after", "checkerboard", "flicker"]
Carry = Literal["neighbours", "first"]
Pulled = Literal["moving", "fixed"]
Activity = Literal[
    "", "opening", "reading", "fitting", "paused", "stopping", "pairing", "registering", "stopping registration"
]
Pane = str
"""What a pane of the methods side by side shows: a key of `PANES`, or "fit 3" for the fit with that key."""

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

    jacobian_limit: half width of the colour scale in log J, rate_limit: in % per unit of time, None: from the data.
    Of the colour maps one is shown at a time, all with `jacobian_opacity`, `colormap` and `gamma`. Quiver scale 1: true
    size. since: the time from which motion and growth are counted, None: the reference's. meter: folds, inverse errors.
    """

    since: float | None = None
    jacobian: bool = False
    rate: bool = False
    brightness: bool = False
    spread: bool = False
    rate_limit: float | None = None
    folds: bool = False
    meter: bool = True
    grid: bool = False
    grid_spacing_mm: float = 10.0
    contours: bool = False
    jacobian_opacity: float = 0.6
    jacobian_limit: float | None = None
    colormap: str = "log J"
    gamma: float = 1.0
    quiver: bool = False
    quiver_spacing_mm: float = 8.0
    quiver_scale: float = 1.0
    landmarks: bool = True

    @property
    def has_colour_map(self) -> bool:
        """Whether colours lie over the whole slice."""
        return any(getattr(self, name) for name in _COLOUR_MAPS)

    def switched(self, name: str, *, on: bool) -> OverlaySettings:
        """The same with one overlay on or off; a colour map that is switched on takes the place of another."""
        others = dict.fromkeys(_COLOUR_MAPS, False) if on and name in _COLOUR_MAPS else {}
        changes: dict[str, Any] = {**others, name: on}
        return replace(self, **changes)


_COLOUR_MAPS = ("jacobian", "rate", "brightness", "spread")

PANES: dict[Pane, str] = {
    "observed": "Observed scan",
    "nearest": "Nearest scan",
    "blend": "Linear blend",
    "unchanged": "First scan unchanged",
}
"""What a pane can show beside a fit; all but the first are predictions that need none."""
MOST_PANES = 4
SCORES: dict[str, str] = {"nrmse_mask": "NRMSE", "ssim_mask": "SSIM", "ncc_mask": "NCC", "psnr_mask": "PSNR"}


@dataclass(frozen=True)
class Methods:
    """Methods side by side: whether they are shown, the plane (0 sagittal, 1 coronal, 2 axial), what each pane shows.

    score: a key of `SCORES`. what: predictions themselves, or their difference to the observed scan.
    """

    on: bool = False
    axis: int = 2
    panes: tuple[Pane, ...] = ("observed", "blend")
    score: str = "nrmse_mask"
    what: Literal["prediction", "difference"] = "prediction"


@dataclass
class Session:
    """Everything that the window shows. Only the controller writes it; views read it.

    time, period: in the unit of the series; with a period, time is a loop from the first scan on.
    cursor_mm: RAS mm. window: grey levels (lo, hi) in the scans' own values;
    value_range: the smallest and largest value of all scans. hold_out, exclude: positions in the series.
    saved_in: the folder that `result` was read from or saved to. activity: what runs in the background.
    fits: all fits of the series, and those to come; shown_fit: the key of the one that `result` is of, or that is
    followed while it runs; 0 for none. methods: fits and trivial predictions side by side.
    pair: two images that are registered, whose series is `series` then. pulled: which of them is pulled onto the other.
    kept: the snapshot of what was open before the pair, or of the pair.
    project: the file that holds all of this; `changed` since. undoable, redoable: names of the steps that are next.
    flicker: whether the pulled one is on screen now. square_mm: side of a square of the checkerboard.
    look: of the image that is shown; layers: images and label maps of other files; order: keys of all, front first.
    layout, lightbox: which views are on screen, and which times.
    regions: labels that are carried through time; region_figures: what was measured of them, None until then.
    brush: what draws them, while it is in the hand.
    followed: points that are followed through time; paths: theirs under the map that is shown, once computed.
    """

    events: ClassVar[SignalGroupDescriptor] = SignalGroupDescriptor(
        equality_operators=dict.fromkeys(
            ("series", "result", "preview", "progress", "pair", "kept", "fits", "paths"), operator.is_
        ),
        patch_setattr=False,
    )

    series: ImageSeries | None = None
    result: FitResult | None = None
    preview: Trajectory | None = None
    pair: ShownPair | None = None
    progress: FitProgress | None = None
    kept: dict[str, Any] | None = None
    fits: tuple[FitRow, ...] = ()
    shown_fit: int = 0
    methods: Methods = Methods()
    hold_out: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    mask: Path | None = None
    saved_in: Path | None = None
    time: float = 0.0
    period: float | None = None
    cursor_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    followed: tuple[Followed, ...] = ()
    paths: Paths | None = None
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
    regions: ShownRegions | None = None
    region_figures: RegionFigures | None = None
    region_look: RegionLook = field(default_factory=RegionLook)
    brush: Brush | None = None
    project: Path | None = None
    changed: bool = False
    undoable: str = ""
    redoable: str = ""
    activity: Activity = ""
    status: str = ""

    def __setattr__(self, name: str, value: object) -> None:
        """Tell who listens: a copy for a job in the background has no listeners, and gets no signals of its own.

        They would take several times as long as the copy, and psygnal 0.16 does not give all of their memory back.
        """
        (_set_and_tell if "events" in self.__dict__ else object.__setattr__)(self, name, value)

    @property
    def trajectory(self) -> Trajectory | None:
        """The map to show: the live preview while a fit runs, else that of the result."""
        if self.preview is not None:
            return self.preview
        return None if self.result is None else self.result.trajectory

    @property
    def has_ensemble(self) -> bool:
        """Whether fits from several seeds are shown, so that there is a spread."""
        return self.trajectory is not None and len(self.trajectory.others) > 0

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
        """Whether a fit runs, be it paused or on its way to stop."""
        return self.activity in ("fitting", "paused", "stopping")

    @property
    def follows(self) -> bool:
        """Whether the fit that runs is the one that is shown: its preview and its curves."""
        return any(row.is_active and row.key == self.shown_fit for row in self.fits)

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
        return loses_a_fit(self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """What belongs to one opened series, to come back to it: give it to `restore`."""
        return {name: getattr(self, name) for name in _PER_SERIES}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Take back a `snapshot`; `series` is set last, when the rest is already in place."""
        for name in _PER_SERIES:
            setattr(self, name, snapshot[name])


_set_and_tell = evented_setattr("events", object.__setattr__, with_aliases=False)


def loses_a_fit(snapshot: dict[str, Any]) -> bool:
    """Whether something that was found would go with a `Session.snapshot`."""
    shown = snapshot["result"] is not None and snapshot["saved_in"] is None
    return shown or any(row.is_unsaved for row in snapshot["fits"])


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
    "fits",
    "shown_fit",
    "hold_out",
    "exclude",
    "mask",
    "time",
    "period",
    "cursor_mm",
    "followed",
    "paths",
    "window",
    "value_range",
    "regions",
    "region_figures",
    "series",
)
