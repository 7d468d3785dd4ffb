"""From the session to what the slice views show: pure functions, no Qt.

Slices are remembered for as long as their trajectory or scan lives: equal input gives the very same arrays,
which is how the views know what need not be drawn again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from noder_viewer.beyond import beyond
from noder_viewer.comparison import images
from noder_viewer.landmark_marks import Marks, marks
from noder_viewer.layers import Look, SliceLayer, slice_layers, stacked
from noder_viewer.overlays import OVERLAYS, Heatmap, Overlay
from noder_viewer.path_marks import PathMarks, path_marks
from noder_viewer.pictures import Levels, SliceImage, time_words
from noder_viewer.plane import Letters, Plane, Point
from noder_viewer.recent import Recent
from noder_viewer.region_layers import RegionLayer, region_layers

if TYPE_CHECKING:
    from noder.grid import Grid
    from noder_viewer.session import OverlaySettings, Session

Pictures = Callable[["Session", Plane], tuple[SliceImage, ...]]

_recent = Recent(per_owner=96)  # a lightbox shows up to 60 at a time


@dataclass(frozen=True, eq=False)
class SliceScene:
    """All that one slice view shows; in-plane mm as in `plane`. Two images mean side by side.

    `brief`: with no sentences about the images and overlays, for a small picture.
    """

    plane: Plane
    images: tuple[SliceImage, ...]
    overlays: dict[str, Overlay]
    crosshair: tuple[float, float]
    window: Levels
    letters: Letters
    flip_x: bool
    title: str
    badge: str
    time: str
    extrapolated: bool
    marks: Marks | None = None
    layers: tuple[SliceLayer, ...] = ()
    order: tuple[str, ...] = ()
    brief: bool = False
    beyond: str = ""
    regions: dict[str, RegionLayer] = field(default_factory=dict)
    paths: PathMarks | None = None
    stamp: str = ""

    @property
    def axis(self) -> int:
        """0 sagittal, 1 coronal, 2 axial."""
        return self.plane.axis

    @property
    def index(self) -> int:
        """Number of the slice, from 0."""
        return self.plane.index

    def overlays_on(self, image: SliceImage) -> list[Overlay]:
        """What is drawn over one of the images: side by side, only the prediction is of the overlays' time."""
        bare = len(self.images) > 1 and image.kind == "observed"
        return [] if bare else list(self.overlays.values())

    def marks_on(self, image: SliceImage) -> Marks | None:
        """The landmarks on one of the images: as with overlays."""
        return None if len(self.images) > 1 and image.kind == "observed" else self.marks

    def regions_on(self, image: SliceImage) -> RegionLayer | None:
        """The regions on one of the images, each at its own time."""
        return self.regions.get(image.kind)

    def paths_on(self, image: SliceImage) -> PathMarks | None:
        """The pathlines on one of the images: as with overlays."""
        return None if len(self.images) > 1 and image.kind == "observed" else self.paths

    def differs_in_crosshair_only(self, other: SliceScene) -> bool:
        """Whether all the rest looks the same."""
        return self._look() == other._look()

    def _look(self) -> tuple[object, ...]:
        shown = [
            (id(image.data), image.title, image.levels, image.colormap, image.gamma, image.opacity)
            for image in self.images
        ]
        extra = [(id(layer.layer), id(layer.data)) for layer in self.layers]
        layers = [(name, id(layer)) for name, layer in (*self.overlays.items(), *self.regions.items())]
        words = (self.letters, self.flip_x, self.title, self.badge, self.time, self.extrapolated, self.beyond)
        place, written = (id(self.plane.grid), self.axis, self.index), (id(self.marks), id(self.paths))
        return *place, shown, layers, *written, self.window, words, extra, self.order, self.stamp


def slice_scene(session: Session, axis: int, make: Pictures = images) -> SliceScene | None:
    """What the view of `axis` shows now, in the pictures that `make` gives; None while nothing is loaded."""
    grid = active_grid(session)
    if grid is None:
        return None
    plane = Plane.through(grid, axis, session.cursor_mm)
    x, y = plane.to_plane(np.array(session.cursor_mm)).tolist()
    over = overlays(session, plane)  # first: growth needs the map beside the slice too, and all is then made at once
    shown = make(session, plane)
    return SliceScene(
        plane=plane,
        images=_dressed(shown, session),
        overlays=over,
        crosshair=(x, y),
        window=session.window,
        letters=plane.letters(session.radiological),
        flip_x=plane.flipped(session.radiological),
        title=plane.title,
        badge=badge(grid, session.radiological),
        time=time_words(session, session.time),
        extrapolated=is_extrapolated(session),
        marks=marks(session, plane),
        layers=slice_layers(session, plane) if session.layers else (),
        order=stacked(session),
        beyond=beyond(session),
        regions=region_layers(session, plane, shown),
        paths=path_marks(session, plane),
    )


def overlays(session: Session, plane: Plane) -> dict[str, Overlay]:
    """The overlays that are switched on, by name."""
    shown = [name for name in OVERLAYS if getattr(session.overlays, name)]
    return {name: layer for name in shown if (layer := _overlay(session, plane, name)) is not None}


def active_grid(session: Session) -> Grid | None:
    """The closest-RAS grid that is shown."""
    return session.grid if session.trajectory is None else session.trajectory.grid


def badge(grid: Grid, radiological: bool) -> str:
    """The convention on screen in words, and how oblique the slices are."""
    words = "RADIOLOGICAL" if radiological else "NEUROLOGICAL"
    return f"{words}  oblique {grid.obliqueness:.1f}°" if grid.is_oblique else words


def is_extrapolated(session: Session) -> bool:
    """Whether the time lies outside the scans that are known."""
    if session.trajectory is not None:
        return bool(session.trajectory.is_extrapolated(session.time))
    return bool(session.times) and not session.times[0] <= session.time <= session.times[-1]


def cursor_at_index(session: Session, axis: int, index: int) -> Point:
    """The cursor moved to slice `index` of `axis`, its other two coordinates kept; RAS mm.

    Raises ValueError while no series is open.
    """
    grid = active_grid(session)
    if grid is None:
        raise ValueError("no series is open: there is no grid to move the cursor on")
    place = grid.to_index(np.array(session.cursor_mm, dtype=np.float64))
    place[axis] = np.clip(index, 0, grid.shape[axis] - 1)
    r, a, s = grid.to_mm(place).tolist()
    return r, a, s


def to_mm(scene: SliceScene, x_mm: float, y_mm: float) -> Point:
    """In-plane mm of a view -> RAS mm on its slice, kept inside the image."""
    spans = zip((x_mm, y_mm), scene.plane.origin, scene.plane.spacing, scene.plane.shape, strict=True)
    x, y = (float(np.clip(value, origin, origin + step * (n - 1))) for value, origin, step, n in spans)
    return scene.plane.to_mm(x, y)


def _overlay(session: Session, plane: Plane, name: str) -> Overlay | None:
    trajectory = session.trajectory
    if trajectory is None:
        return None
    look, t = session.overlays, session.time
    key = (name, t, plane.axis, plane.index, look)
    return _recent.get(trajectory, key, lambda: _coloured(OVERLAYS[name](trajectory, t, plane, look), look))


def _coloured(layer: Overlay, look: OverlaySettings) -> Overlay:
    """A heat map in the colours that were chosen."""
    if not isinstance(layer, Heatmap):
        return layer
    colours = look.colormap if layer.colormap == "log J" else layer.colormap  # what cannot be below 0 keeps its own
    return replace(layer, colormap=colours, gamma=look.gamma)


def _dressed(images: tuple[SliceImage, ...], session: Session) -> tuple[SliceImage, ...]:
    """Grey pictures in the colours that were chosen; a difference keeps its own, and is grey below other colours."""
    chosen = _chosen(images, session.look)
    return tuple(_below_colours(image) for image in chosen) if session.overlays.has_colour_map else chosen


def _below_colours(image: SliceImage) -> SliceImage:
    """Two maps with a sign over each other are unreadable, above all where hues look alike: one has lightness alone."""
    return replace(image, colormap="gray") if image.colormap == "difference" else image


def _chosen(images: tuple[SliceImage, ...], look: Look) -> tuple[SliceImage, ...]:
    if look == Look():
        return images
    opacity = look.opacity if look.visible else 0.0
    return tuple(
        replace(image, colormap=look.colormap, gamma=look.gamma, opacity=opacity)
        if image.colormap == "gray"
        else replace(image, opacity=opacity)
        for image in images
    )
