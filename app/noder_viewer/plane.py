"""The geometry of a slice as the engine has it: the report draws slices too."""

from noder.plane import (
    IN_PLANE,
    NEGATIVE,
    PLANE_NAMES,
    POSITIVE,
    Floats,
    Letters,
    Plane,
    Point,
    slice_index,
    to_axes,
)

__all__ = [
    "IN_PLANE",
    "NEGATIVE",
    "PLANE_NAMES",
    "POSITIVE",
    "Floats",
    "Letters",
    "Plane",
    "Point",
    "slice_index",
    "to_axes",
]
