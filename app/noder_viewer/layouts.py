"""How the pictures lie on the screen, as data: which view is where. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

Arrangement = Literal["four", "large", "row", "one and two", "lightbox"]

LAYOUTS: dict[Arrangement, str] = {
    "four": "Three slices and 3D",
    "large": "One large view",
    "row": "Three slices in a row",
    "one and two": "One large, two small",
    "lightbox": "Lightbox over time",
}
SAGITTAL, CORONAL, AXIAL, VOLUME = range(4)
VIEWS = (AXIAL, SAGITTAL, CORONAL, VOLUME)
"""All views in the order of reading; a slice's number is its axis."""
LARGER = 2
"""The large one of `one and two` is so many times as wide as the small ones."""


Times = Literal["scans", "between", "even", "beyond", "typed"]

TIMES: dict[Times, str] = {
    "scans": "The scans",
    "between": "Also between",
    "even": "Evenly",
    "beyond": "Evenly, beyond",
    "typed": "Typed",
}
"""Which times a lightbox shows."""
MOST = 60
"""Tiles of a lightbox."""


@dataclass(frozen=True)
class LightboxSettings:
    """`n` tiles (of "scans": one a scan; of "typed": one a time of `typed`)."""

    times: Times = "between"
    n: int = 12
    typed: tuple[float, ...] = ()


class Place(NamedTuple):
    """Cell of a grid, and the cells that it takes."""

    row: int
    column: int
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True)
class Layout:
    """`view`: which is large (0 sagittal, 1 coronal, 2 axial, 3 the 3D view). `before`: where a large one goes back."""

    kind: Arrangement = "four"
    view: int = AXIAL
    before: Arrangement = "four"

    @property
    def axis(self) -> int:
        """The slice that a lightbox is of."""
        return AXIAL if self.view == VOLUME else self.view

    def changed(self, kind: Arrangement) -> Layout:
        """Another arrangement of the same view."""
        return replace(self, kind=kind, before=kind if kind != "large" else self.back)

    def enlarged(self, view: int) -> Layout:
        """One view alone; the view that is alone already goes back to its place."""
        if self.kind == "large" and self.view == view:
            return replace(self, kind=self.back)
        return replace(self, kind="large", view=view, before=self.back)

    @property
    def back(self) -> Arrangement:
        """The arrangement that is not one large view."""
        return self.before if self.kind == "large" else self.kind

    def to_text(self) -> str:
        """For a settings file."""
        return f"{self.kind}/{self.view}/{self.before}"

    @classmethod
    def from_text(cls, text: str) -> Layout:
        """What `to_text` wrote; anything else is the first layout."""
        kind, _, rest = text.partition("/")
        view, _, before = rest.partition("/")
        if kind not in LAYOUTS or before not in LAYOUTS or before == "large" or view not in "0123" or len(view) != 1:
            return cls()
        return cls(kind, int(view), before)


def places(layout: Layout) -> dict[int, Place]:
    """View -> its cells; views that are not named are hidden. Empty for a lightbox, which has the room to itself."""
    slices = [view for view in VIEWS if view != VOLUME]
    if layout.kind == "four":
        return {view: Place(k // 2, k % 2) for k, view in enumerate(VIEWS)}
    if layout.kind == "row":
        return {view: Place(0, k) for k, view in enumerate(slices)}
    if layout.kind == "large":
        return {layout.view: Place(0, 0)}
    if layout.kind == "one and two":
        small = [view for view in slices if view != layout.view]
        return {layout.view: Place(0, 0, len(small), LARGER), **{v: Place(k, LARGER) for k, v in enumerate(small)}}
    return {}
