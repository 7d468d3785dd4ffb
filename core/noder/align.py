"""Alignment of every scan of a series to the first, kept with the scans and told in every export."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from noder.alignment import KINDS, Alignment, write_itk_transform
from noder.errors import UsageError
from noder.grid import Grid
from noder.image import Image, pulled, written_atomically
from noder.registration import Mask, glance, register
from noder.series import OFFER_TO_ALIGN, ImageSeries


def aligned(series: ImageSeries, kind: str, *, mask: Mask | None = None, exclude: Collection[int] = ()) -> ImageSeries:
    """Drain `align_steps`."""
    steps = align_steps(series, kind, mask=mask, exclude=exclude)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: ImageSeries = end.value
            return result


def align_steps(
    series: ImageSeries, kind: str, *, mask: Mask | None = None, exclude: Collection[int] = ()
) -> Generator[int, None, ImageSeries]:
    """Align every scan but the excluded ones to the first; yields the number of scans done, returns the series.

    `kind` is "rigid", "affine" or "none", which undoes an alignment; a series that is aligned so is returned as it is.
    `mask` (I,J,K) on the series' grid limits where the scans are compared. Each scan is pulled from its own voxels,
    resampled before or not. A scan that an alignment made less similar stays where its header puts it, and its note
    says so. Raises UsageError for an unknown kind, InputError for scans that cannot be read or aligned.
    """
    if kind not in KINDS:
        raise UsageError(f"There is no alignment '{kind}'. Choose from: {', '.join(KINDS)}.")
    moving = [k for k in range(1, len(series)) if k not in exclude]
    if _is_aligned(series, kind, moving):
        return series
    plain = unaligned(series)
    images = [scan.image for scan in plain.scans]
    if kind == "none":
        return plain
    with ThreadPoolExecutor(max_workers=max(1, min(torch.get_num_threads(), len(moving)))) as pool:
        found = pool.map(lambda k: register(images[0], images[k].raw, kind, mask), moving)
        for done, (k, alignment) in enumerate(zip(moving, found, strict=True), start=1):
            images[k] = images[k].aligned_onto(images[0], alignment)
            yield done
    return plain.with_images(images)


def unaligned(series: ImageSeries) -> ImageSeries:
    """The scans where their headers put them, resampled where their grids differ from the first one's."""
    if all(scan.image.alignment is None for scan in series.scans):
        return series
    raw = [scan.image.raw for scan in series.scans]
    return series.with_images(
        [image if image.grid.matches(raw[0].grid) else image.resampled_onto(raw[0]) for image in raw]
    )


def placed(images: Sequence[Image], resampled: Sequence[bool], alignments: Sequence[Alignment | None]) -> list[Image]:
    """The images of a saved series as they were: opened anew, then resampled or aligned onto the one that was neither.

    That one need not come first: times may have been edited since. Raises TypeError where there is none.
    """
    if all(resampled):
        raise TypeError("a scan that was not resampled")
    home = images[list(resampled).index(False)]
    put = zip(images, resampled, alignments, strict=True)
    return [
        image.aligned_onto(home, alignment) if alignment else image.resampled_onto(home) if moved else image
        for image, moved, alignment in put
    ]


def _is_aligned(series: ImageSeries, kind: str, moving: Collection[int]) -> bool:
    kinds = ["none" if scan.image.alignment is None else scan.image.alignment.kind for scan in series.scans]
    wanted = [kind if k in moving else "none" for k in range(len(series))]
    return kinds == wanted and (kind == "none" or not series.reference.image.is_resampled)


def offered(series: ImageSeries) -> ImageSeries:
    """The series with a note that offers a rigid alignment where separate files lie apart: see `offer`."""
    return with_offer(series, offer(series))


def offer(series: ImageSeries, between: Callable[[], None] = lambda: None) -> str:
    """The note that offers a rigid alignment, "" where the scans do not lie apart.

    A quick look at low resolution, which reads every scan; volumes of one file and aligned scans are left alone.
    `between` is called before each look, and may raise to leave. Raises InputError for scans that cannot be read.
    """
    images = [scan.image for scan in series.scans]
    files = {image.path for image in images}
    if len(files) < 2 or any(image.alignment for image in images):
        return ""
    away = {}
    for image in images[1:]:
        between()
        seen = glance(images[0], image.raw) if image.path != images[0].path else None
        if seen is not None and seen.is_moved:
            away[image.name] = seen.displacement_mm
    if not away:
        return ""
    names = ", ".join(f"{name} by {mm:.1f} mm" for name, mm in list(away.items())[:4])
    names += f" and {len(away) - 4} more" if len(away) > 4 else ""
    return f"lying apart from {images[0].name}: {names}; {OFFER_TO_ALIGN}"


def with_offer(series: ImageSeries, note: str) -> ImageSeries:
    """The series with the note of `offer` in the place of an earlier one; as it is for ""."""
    if not note:
        return series
    kept = [other for other in series.notes if not other.endswith(OFFER_TO_ALIGN)]
    return replace(series, notes=(*kept, note))


# What exports tell


def describe_alignments(series: ImageSeries) -> list[dict[str, Any]]:
    """For result.json and predict.json: the transform that each aligned scan was given, and its file's name."""
    return [
        {
            "scan": scan.image.name,
            "index": k,
            "time": scan.time,
            "file": _file_name(k),
            **scan.image.alignment.as_dict(),
        }
        for k, scan in enumerate(series.scans)
        if scan.image.alignment is not None
    ]


def write_alignments(series: ImageSeries, folder: Path) -> list[Path]:
    """align_001.tfm and so on, for each aligned scan by its place in the series; none where no scan was aligned.

    ITK, ANTs and Slicer pull the scan as stored onto the reference with it. Each file is atomic. Raises OutputError.
    """
    written = []
    for k, scan in enumerate(series.scans):
        if scan.image.alignment is not None:
            path = folder / _file_name(k)
            with written_atomically(path) as temporary:
                write_itk_transform(temporary, scan.image.alignment.matrix)
            written.append(path)
    return written


def in_own_space(values: NDArray[np.float32], frame: Grid, scan: Image) -> NDArray[np.float32]:
    """Bring an image (I,J,K) on the series' grid back to where `scan` was: (X,Y,Z) on `scan.raw.stored_grid`.

    By cubic B-splines within the range of `values`, the edge value beyond the edge. Grey levels stay the reference's.
    """
    matrix = np.eye(4) if scan.alignment is None else scan.alignment.inverse
    return pulled(Image.from_array(values, frame, scan.name), scan.raw.stored_grid, matrix)


def _file_name(index: int) -> str:
    return f"align_{index:03d}.tfm"
