"""Which scans a user means by the paths given: files, one 4-D file, or folders (BIDS too)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from noder.errors import InputError
from noder.image import foreign_kind, pair_partner, stem_of, suffix_of, volumes_in
from noder.times import Given


def scans_in(paths: Iterable[Path | str]) -> tuple[list[Given], tuple[str, ...]]:
    """The scans that `paths` mean, in the order given (a folder's by name), and notes on what was left out.

    Files are taken as they are; a folder is searched, without its masks and labels. Raises InputError.
    """
    files: list[Path] = []
    notes: list[str] = []
    for path in map(Path, paths):
        found, left_out = _images_in(path) if path.is_dir() else ([path], [])
        files += found
        notes += left_out
    unique = list({_identity(path): path for path in reversed(files)}.values())[::-1]
    if len(unique) < len(files):
        notes.append(f"{len(files) - len(unique)} file(s) given twice, taken once")
    return _volumes_of(unique), tuple(notes)


def _identity(path: Path) -> str:
    """One name for both files of a pair; links stay apart, since annexed data link to one store."""
    partner = pair_partner(path)
    first = min(path, partner) if partner is not None and partner.is_file() else path
    return str(first.absolute())


def _volumes_of(files: Sequence[Path]) -> list[Given]:
    counts = [volumes_in(path) for path in files]
    if len(files) == 1 and counts[0] > 1:
        return [Given(files[0], k, k) for k in range(counts[0])]
    for path, count in zip(files, counts, strict=True):
        if count > 1:
            raise InputError(
                f"{path} holds {count} volumes and was given with {len(files) - 1} other file(s): "
                "give one 4-D file alone, or 3-D files only."
            )
    return [Given(path, None, position) for position, path in enumerate(files)]


# Folders

_NOT_A_SCAN = re.compile(
    r"(?:^|[^a-z])(?:brain)?"
    r"(masks?|labels?|segs?|[ad]seg|probseg|segmentations?|tissues?|aparc|parc|rois?|lesions?)(?![a-z])",
    re.IGNORECASE,
)
_KINDS = ("t1", "t2", "flair", "pd", "ct", "t2star", "swi", "mt", "pet", "bold", "asl", "dwi")
_KIND = re.compile(rf"(?:^|[-_.])({'|'.join(sorted(_KINDS, key=len, reverse=True))})w?(?=$|[-_.])", re.IGNORECASE)
_PASSED_OVER = ("derivatives", "sourcedata", "code", "stimuli")


def _images_in(folder: Path) -> tuple[list[Path], list[str]]:
    files = sorted(_image_files(folder), key=lambda path: _natural(path.relative_to(folder)))
    if not files:
        raise _no_images(folder)
    _require_one_subject(folder, files)
    files = [path for path in files if path.parent.name == "anat"] or files
    scans, masks = _split(files, [_NOT_A_SCAN.search(stem_of(path)) is None for path in files])
    notes = [f"left out as masks or labels: {_names(masks)}"] if scans and masks else []
    kind = _main_kind(scans or files)
    if kind is None:
        return scans or files, notes
    scans, others = _split(scans or files, [_kind_of(path) == kind for path in scans or files])
    return scans, [*notes, f"took the {len(scans)} {kind.upper()} images and left out {_names(others)}"]


def _image_files(folder: Path) -> list[Path]:
    """Image files below `folder`, one for each pair; links to folders are not followed: they may loop."""
    found = [path for path in folder.rglob("*") if suffix_of(path) and not path.is_dir() and _is_open(path, folder)]
    return [path for path in found if not ((suffix_of(path) or "").startswith(".img") and _has_header(path))]


def _is_open(path: Path, folder: Path) -> bool:
    parts = path.relative_to(folder).parts
    return not any(part.startswith(".") for part in parts) and not any(part in _PASSED_OVER for part in parts[:-1])


def _has_header(path: Path) -> bool:
    partner = pair_partner(path)
    return partner is not None and partner.is_file()


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sort key that puts scan2 before scan10."""
    words = re.split(r"(\d+)", path.as_posix().lower())
    return [(int(word), "") if word.isdecimal() else (0, word) for word in words]


def _require_one_subject(folder: Path, files: Sequence[Path]) -> None:
    subjects = {m[1] for path in files if (m := re.search(r"(?:^|[/_])(sub-[A-Za-z0-9]+)", _below(path, folder)))}
    if len(subjects) > 1:
        raise InputError(f"{folder} holds {len(subjects)} subjects ({_some(sorted(subjects))}): give one of them.")


def _below(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _kind_of(path: Path) -> str | None:
    found = _KIND.findall(stem_of(path))
    return found[-1].lower() if found else None


def _main_kind(files: Sequence[Path]) -> str | None:
    """The contrast to take where names tell several apart and one has two scans or more; else None."""
    kinds = [kind for path in files if (kind := _kind_of(path)) is not None]
    counts = Counter(kinds)
    if len(kinds) < len(files) or len(counts) < 2 or max(counts.values()) < 2:
        return None
    return max(counts, key=lambda kind: (counts[kind], -_KINDS.index(kind)))


def _no_images(folder: Path) -> InputError:
    files = [path for path in folder.rglob("*") if path.is_file()][:50]
    foreign = next((kind for path in files if (kind := foreign_kind(path)) is not None), None)
    if foreign is not None:
        return InputError(f"{folder} holds no image that is read here, but {foreign[0]}: {foreign[1]}.")
    return InputError(f"{folder} holds no image: give a folder with NIfTI files (.nii, .nii.gz).")


def _split(files: Sequence[Path], chosen: Sequence[bool]) -> tuple[list[Path], list[Path]]:
    pairs = list(zip(files, chosen, strict=True))
    return [path for path, yes in pairs if yes], [path for path, yes in pairs if not yes]


def _names(files: Sequence[Path]) -> str:
    return _some([path.name for path in files])


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:4]) + (f" and {len(words) - 4} more" if len(words) > 4 else "")
