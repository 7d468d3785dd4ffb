"""The session in words: title, summary, progress. Pure functions, no Qt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.series import ImageSeries


def title(session: Session) -> str:
    """Name of what is open, for the title bar; empty for nothing."""
    if session.series is None:
        return ""
    path = session.series.reference.image.path
    name = session.series.reference.image.name if path is None else path.name
    unsaved = session.result is not None and session.saved_in is None
    return f"{name}{' (fit not saved)' if unsaved else ''}"


def summary(session: Session) -> str:
    """Number, size and spacing of the scans."""
    if session.series is None:
        return ""
    grid = session.series.grid
    size = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{s:.3g}" for s in grid.spacing)
    return f"{len(session.times)} scans, {size} voxels of {spacing} mm"


def scan_labels(series: ImageSeries) -> list[str]:
    """Short names: the volume of a one-file series, else the files' names without their suffixes."""
    images = [scan.image for scan in series.scans]
    if len({image.path for image in images}) == 1 and all(image.volume is not None for image in images):
        return [f"volume {image.volume}" for image in images]
    return [re.sub(r"(\.nii|\.hdr|\.img|\.mg[hz]|\.mh[ad]|\.nrrd)(\.gz)?$", "", image.name) for image in images]


def tip(image: object) -> str:
    """Path and notes of an image, one a line."""
    path, notes = getattr(image, "path", None), getattr(image, "notes", ())
    return "\n".join([str(path or ""), *notes]).strip()


def outcome(session: Session) -> str:
    """What stands under the buttons while no fit runs."""
    result = session.result
    if result is None or not result.history:
        return ""
    last = result.history[-1]
    how = "Stopped" if result.stopped else "Fitted"
    folds = "" if last.folds is None else ", no folds" if last.folds == 0 else f", {last.folds} folded voxels"
    return f"{how} after {last.step} steps, {last.seconds:.0f} s{folds}"


def progress_words(session: Session) -> str:
    """What stands under the buttons while a fit runs."""
    p = session.progress
    if p is None:
        return ""
    words = [f"{p.stage}: step {p.step} of {p.total}"]
    if p.seconds_left is not None:
        words.append(f"{p.seconds_left:.0f} s left")
    if p.folds is not None:
        words.append("no folds" if p.folds == 0 else f"{p.folds} folded voxels")
    return ", ".join(words)
