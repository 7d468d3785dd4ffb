"""The session in words: title, summary, progress. Pure functions, no Qt."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from noder_viewer.fit_words import LEAVE_ONE_OUT, folds_words
from noder_viewer.session import Session

if TYPE_CHECKING:
    from noder.image import Image
    from noder.series import ImageSeries
    from noder_viewer.shown_pair import ShownPair

LAID = {
    "none": "as the headers say",
    "centre": "by the centres of mass",
    "rigid": "rigidly",
    "affine": "affinely",
    "given": "by the transform file",
}
"""How the moving image was laid on the fixed one, by the kind of its initial alignment."""


def title(session: Session) -> str:
    """Name of what is open, for the title bar; empty for nothing. A star stands for changes that are not saved."""
    if session.project is None:
        return _opened_words(session)
    project = f"{session.project.stem}{'*' if session.changed else ''}"
    return " — ".join(filter(None, (project, _opened_words(session))))


def _opened_words(session: Session) -> str:
    if session.series is None:
        return ""
    if session.pair is not None:
        pair, done = session.pair.pair, session.result is not None and session.saved_in is None
        return f"{pair.moving.name} onto {pair.fixed.name}{' (registration not exported)' if done else ''}"
    path = session.series.reference.image.path
    name = session.series.reference.image.name if path is None else path.name
    unsaved = session.result is not None and session.saved_in is None
    return f"{name}{' (fit not saved)' if unsaved else ''}"


def summary(session: Session) -> str:
    """Number, size and spacing of the scans."""
    if session.series is None:
        return ""
    what = f"{len(session.times)} scans" if session.pair is None else "A pair on the fixed image's frame"
    grid = session.series.grid
    size = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{s:.3g}" for s in grid.spacing)
    return f"{what}, {size} voxels of {spacing} mm"


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
    if session.pair is not None:
        return "A pair is shown: see the Register tab, which also leads back to the series."
    if result is None or not result.history:
        return ""
    last = result.history[-1]
    how = "Stopped" if result.stopped else "Fitted"
    if result.n_seeds > 1:
        run = f"{last.step} steps from each of {result.n_seeds} seeds, {result.provenance.seconds:.0f} s in all"
    else:
        run = f"{last.step} steps, {last.seconds:.0f} s"
    return f"{how} after {run}, {folds_words(result)}"


def for_window(note: str) -> str:
    """A note of the engine with the window's controls in the place of the command line's flags."""
    return note.replace("(--align rigid)", "(Align scans: Rigidly, in the Fit tab)")


def pending(session: Session) -> str:
    """What the boxes of the series say that the fit on screen was not made with; empty where they agree."""
    result = session.result
    if result is None or session.is_fitting or session.pair is not None:
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


def registering_words(session: Session) -> str:
    """What stands under the buttons of the Register tab while it runs."""
    from noder_viewer.pair_jobs import SCORING

    if session.progress is not None and session.progress.stage == SCORING:
        return "Scoring the map and inverting it…"
    return progress_words(session)


def registration_outcome(session: Session) -> str:
    """What stands there once it has ended."""
    shown, result = session.pair, session.result
    if shown is None or result is None or shown.scores is None:
        return ""
    last = result.history[-1] if result.history else None
    how = "Stopped" if result.stopped else "Registered"
    of = f" of {last.total}" if last is not None and result.stopped else ""
    steps = "" if last is None else f" after {last.step}{of} steps,"
    folds = shown.scores["folds_percent"]
    words = "no folds" if folds == 0 else f"{folds:.2g} % of the mask folds"
    device = "GPU" if "cuda" in result.provenance.device else "CPU"
    return f"{how}{steps} {result.provenance.seconds:.0f} s ({device}, seed {result.config.seed}), {words}"


def pair_notes(shown: ShownPair) -> str:
    """What was done to the pair before it was registered, and what is odd about it."""
    pair = shown.pair
    laid = f"The moving image was laid on the fixed one {LAID[pair.initial.kind]}"
    lines = [f"{laid}, a shift of {pair.initial.shift_mm:.1f} mm. Compared in: {pair.mask_name}."]
    lines += [f"{image.name}: {_stored(image)}." for image in (pair.fixed, pair.moving)]
    lines += [_sentence(note) for note in pair.notes]
    lines += [_sentence(f"{image.name}: {note}") for image in (pair.fixed, pair.moving) for note in image.notes]
    return "\n".join(dict.fromkeys(lines))


def _sentence(note: str) -> str:
    """With a capital, which a file's name does not get, and one full stop."""
    first, rest = note.split(" ", 1)[0], note.rstrip(".")
    return f"{rest if '.' in first else rest[0].upper() + rest[1:]}."


def _stored(image: Image) -> str:
    """How the voxels lie in the file: what a wrong orientation shows first."""
    grid = image.stored_grid
    size, spacing = (" × ".join(f"{v:.3g}" for v in values) for values in (grid.shape, grid.spacing))
    return f"stored {grid.orientation}, {size} voxels of {spacing} mm"


def _few(labels: list[str]) -> list[str]:
    return labels if len(labels) <= 4 else [*labels[:3], f"{len(labels) - 3} more"]


def progress_words(session: Session) -> str:
    """What stands under the buttons while a fit runs."""
    p = session.progress
    if p is None:
        return ""
    words = [f"{p.stage}: step {p.step} of {p.total}"]
    if p.stage == LEAVE_ONE_OUT:
        words = [f"{p.stage}: {p.step // 100} of {p.total // 100} refits done"]
    if session.activity == "paused":
        words[0] = f"Paused at {words[0]}"
    if p.seconds_left is not None:
        words.append(f"{p.seconds_left:.0f} s left")
    if p.folds is not None:
        words.append("no folds" if p.folds == 0 else f"{p.folds} folded voxels")
    return ", ".join(words)
