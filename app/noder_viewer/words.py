"""The session in words: title, summary, progress. Pure functions, no Qt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.fit import FitResult
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
    return f"{how} after {last.step} steps, {last.seconds:.0f} s, {_folds_at_full_size(result)}"


def pending(session: Session) -> str:
    """What the boxes of the series say that the fit on screen was not made with; empty where they agree."""
    result = session.result
    if result is None or session.is_fitting:
        return ""
    agrees = session.roles() == session.roles_shown() and session.mask == result.config.mask
    return "" if agrees else "Applies to the next fit: press Start."


def notes_on_voxels(series: ImageSeries) -> list[str]:
    """What reading the voxels has shown beyond the headers (which `series.notes` tells), with the scans' names."""
    scans_by_note: dict[str, list[str]] = {}
    for scan, label in zip(series.scans, scan_labels(series), strict=True):
        for note in scan.image.notes[len(scan.image.header_notes) :]:
            scans_by_note.setdefault(note, []).append(label)
    return [f"{', '.join(_few(labels))}: {note}." for note, labels in scans_by_note.items()]


def _few(labels: list[str]) -> list[str]:
    return labels if len(labels) <= 4 else [*labels[:3], f"{len(labels) - 3} more"]


def _folds_at_full_size(result: FitResult) -> str:
    """The folds that are counted during a fit are those of its coarser grid: they would say too little."""
    if result.report is None:
        return "folds not counted at full size"
    n = max((int(row.get("folds", 0)) for row in result.report.rows), default=result.report.folds)
    return "no folds" if n == 0 else f"{n} folded voxels"


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
