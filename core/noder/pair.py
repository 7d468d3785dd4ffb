"""Two images to be registered: where the moving one is laid first, and the frame that both are compared in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from noder.alignment import Alignment, Kind, Matrix, read_itk_transform
from noder.errors import InputError, UsageError
from noder.grid import Grid, Triple
from noder.image import Image
from noder.preprocess import foreground, read_mask
from noder.registration import register
from noder.series import ImageSeries

Mask = NDArray[np.bool_]
INITIALS = ("none", "centre", "rigid", "affine")
MOVING, FIXED = 0, 1
"""Positions in the series of a pair: the moving image is carried to the fixed one's time, 1."""

_LARGEST_FRAME = 8_000_000
_LEAST_OVERLAP = 0.05


@dataclass(frozen=True, eq=False)
class Pair:
    """The images as they are stored, and both in the frame: a series of two times, 0 (moving) and 1 (fixed).

    The frame is the fixed image's grid, with `refined` times as many voxels along an axis where the moving image has
    smaller ones. `mask` (I,J,K) is where they are compared, `masks` the files of the fixed and the moving image that it
    was made of, `initial` the transform that comes first: fixed -> moving.
    """

    fixed: Image
    moving: Image
    series: ImageSeries
    mask: Mask
    mask_name: str
    initial: Alignment
    refined: Triple
    notes: tuple[str, ...]
    masks: tuple[Path | None, Path | None] = (None, None)

    @property
    def frame(self) -> Grid:
        """The grid that both are compared on."""
        return self.series.grid

    def to_moving(self, points_mm: Tensor) -> Tensor:
        """Points of the frame (...,3) in RAS mm -> of the moving image as stored."""
        return _moved(self.initial.matrix, points_mm)

    def to_frame(self, points_mm: Tensor) -> Tensor:
        """The inverse."""
        return _moved(self.initial.inverse, points_mm)


def open_pair(
    fixed: Image,
    moving: Image,
    initial: str | Path | Alignment = "none",
    fixed_mask: Path | None = None,
    moving_mask: Path | None = None,
    refine: bool = True,
) -> Pair:
    """Lay the moving image on the fixed one and resample both onto the frame.

    `initial`: one of `INITIALS`, a linear transform file of ITK, or what was found before. Different grids and
    orientations are normal. Raises InputError for images that do not overlap, empty masks and unusable files,
    UsageError for an unknown initial.
    """
    ours, fixed_notes = (None, ()) if fixed_mask is None else read_mask(fixed_mask, fixed.grid)
    theirs, moving_notes = (None, ()) if moving_mask is None else read_mask(moving_mask, moving.grid)
    start = _initial(fixed, moving, initial, ours, theirs)
    factors = _refinement(fixed.grid, moving.grid) if refine else (1, 1, 1)
    frame = _finer(fixed.grid, factors)
    home = Image.from_array(np.zeros(frame.shape, np.float32), frame, fixed.name)
    still = Alignment("none", fixed.name, _rows(np.eye(4)), 0.0, 1.0, 1.0)
    at_home = fixed if factors == (1, 1, 1) else fixed.aligned_onto(home, still)
    series = ImageSeries.from_images([moving.aligned_onto(at_home, start), at_home], [0.0, 1.0])
    _check_overlap(frame, moving, start)
    mask, name = _mask(series, fixed.grid, ours, moving.grid, theirs, start)
    if factors != (1, 1, 1):
        times = " x ".join(map(str, factors))
        fixed_notes += (f"compared on {times} times the voxels of {fixed.name}, since those of {moving.name} are "
                        "smaller",)  # fmt: skip
    notes = (*fixed_notes, *moving_notes)
    return Pair(fixed, moving, series, mask, name, start, factors, notes, (fixed_mask, moving_mask))


def timeline_words(pair: Pair) -> str:
    """What the times of a pair mean, and where all that is made at a time lies."""
    fixed, moving = pair.fixed.name, pair.moving.name
    times = " x ".join(map(str, pair.refined))
    finer = "" if pair.refined == (1, 1, 1) else f", {times} times as many"
    return (
        f"Time 0 is {moving} where the initial transform ({pair.initial.kind}) lays it on {fixed}, time 1 is {moving} "
        f"pulled onto {fixed}; in between it is on its way. All lies on the voxels of {fixed}{finer}. Fields and maps "
        f"leave the initial transform out."
    )


def _initial(
    fixed: Image, moving: Image, initial: str | Path | Alignment, ours: Mask | None, theirs: Mask | None
) -> Alignment:
    if isinstance(initial, Alignment):
        return initial
    if isinstance(initial, Path) or initial not in INITIALS:
        path = Path(initial)
        if not path.is_file():
            raise UsageError(
                f"'{initial}' is neither a file nor a way to begin. Choose from: {', '.join(INITIALS)}, or give a "
                "linear transform file of ITK (fixed to moving points)."
            )
        return _placed("given", fixed, moving, read_itk_transform(path))
    if initial in ("rigid", "affine"):
        found = register(fixed, moving, initial, ours)
        if found.failed:
            raise InputError(
                f"{found.note()}. Begin with --initial centre or none, or give a transform file of another program."
            )
        return found
    matrix = np.eye(4)
    if initial == "centre":
        matrix[:3, 3] = _centre(moving, theirs) - _centre(fixed, ours)
    return _placed(cast(Kind, initial), fixed, moving, matrix)


def _placed(kind: Kind, fixed: Image, moving: Image, matrix: Matrix) -> Alignment:
    middle = fixed.grid.corners_mm.mean(axis=0)
    shift = float(np.linalg.norm(matrix[:3, :3] @ middle + matrix[:3, 3] - middle))
    return Alignment(kind, fixed.name, _rows(matrix), shift, float("nan"), float("nan"))


def _rows(matrix: Matrix) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(v) for v in row) for row in matrix)


def _centre(image: Image, mask: Mask | None) -> NDArray[np.float64]:
    """RAS mm of the centre of mass: of the mask, or of the brightness over the darkest value in the foreground."""
    values = image.numpy()
    weight = mask.astype(np.float64) if mask is not None else _brightness(values, image.grid)
    if not weight.any():
        raise InputError(f"{image.name} has one value everywhere: it has no centre. Begin with --initial none.")
    index = np.array(ndimage.center_of_mass(weight), dtype=np.float64)
    centre: NDArray[np.float64] = image.grid.to_mm(index)
    return centre


def _brightness(values: NDArray[np.float32], grid: Grid) -> NDArray[np.float64]:
    return np.where(foreground([values], grid), values - values.min(), 0.0).astype(np.float64)


def _refinement(fixed: Grid, moving: Grid) -> Triple:
    """How many times more voxels the frame has than `fixed` along each axis, at most four and while it stays small."""
    finest = min(moving.spacing)
    wanted = [max(1, min(4, round(h / max(finest, m)))) for h, m in zip(fixed.spacing, moving.spacing, strict=True)]
    while np.prod([n * f for n, f in zip(fixed.shape, wanted, strict=True)]) > _LARGEST_FRAME and max(wanted) > 1:
        wanted[int(np.argmax(wanted))] -= 1
    x, y, z = wanted
    return x, y, z


def _finer(grid: Grid, factors: Triple) -> Grid:
    """Voxels `factors` times as many, between the same first and last ones."""
    affine, shape = grid.affine.copy(), tuple((n - 1) * f + 1 for n, f in zip(grid.shape, factors, strict=True))
    affine[:3, :3] = affine[:3, :3] / np.array(factors)
    return Grid(cast(Triple, shape), affine)


def _check_overlap(frame: Grid, moving: Image, initial: Alignment) -> None:
    few = frame.coarsen(cast(Triple, tuple(max(1, n // 32) for n in frame.shape)))
    index = moving.grid.to_index(_moved(initial.matrix, few.points()))
    inside = ((index >= 0) & (index <= torch.tensor(moving.grid.shape) - 1)).all(dim=-1)
    share = float(inside.double().mean())
    if share < _LEAST_OVERLAP:
        raise InputError(
            f"After the initial alignment ({initial.kind}) {share:.0%} of the fixed image's box lies in "
            f"{moving.name}: there is nothing to compare. Begin with --initial centre, rigid or affine."
        )


def _mask(
    series: ImageSeries, fixed: Grid, ours: Mask | None, moving: Grid, theirs: Mask | None, initial: Alignment
) -> tuple[Mask, str]:
    """Where either mask holds, on the frame; the foreground of both images without masks."""
    points = series.grid.points()
    found, names = np.zeros(series.grid.shape, dtype=bool), []
    for mask, grid, at, name in (
        (ours, fixed, points, "fixed mask"),
        (theirs, moving, _moved(initial.matrix, points), "moving mask"),
    ):
        if mask is not None:
            there = torch.from_numpy(mask.astype(np.float32))[None]
            found |= grid.sample(there, at, outside="zero", nearest=True)[0].numpy() > 0
            names.append(name)
    if not names:
        volumes = [scan.image.numpy() for scan in series.scans]
        return foreground(volumes[FIXED:], series.grid) | foreground(volumes[:FIXED], series.grid), "foreground"
    if not found.any():
        raise InputError(
            f"The {' and the '.join(names)} holds nothing on the fixed image's grid. Give another, or none."
        )
    return found, " and ".join(names)


def _moved(matrix: Matrix, points: Tensor) -> Tensor:
    m = torch.as_tensor(matrix.copy(), dtype=points.dtype)
    return points @ m[:3, :3].T + m[:3, 3]
