"""What a saved result's folder says: which files it was made of, where they are now, and whether they have changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from noder.errors import InputError

What = Literal["fit", "registration"]
REGISTRATION: What = "registration"
"""`kind` in the result.json of a registered pair; that of a fit has none."""

_AGAIN: dict[What, str] = {"fit": "fit again", "registration": "register again"}
_WRITES: dict[What, str] = {
    "fit": "`noder fit -o` or the window's Save",
    "registration": "`noder register -o` or the Register tab's Export",
}


def read_described(path: Path, what: What = "fit") -> dict[str, Any]:
    """The content of a result.json. Raises InputError."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}). Give the folder that {_WRITES[what]} wrote."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). {_sentence(what)}.") from error
    if not isinstance(described, dict):
        raise InputError(f"{path} is damaged (it holds no table of names and values). {_sentence(what)}.")
    return described


def is_registration(folder: Path) -> bool:
    """Whether a folder holds a registered pair, be it one of an earlier version that cannot be opened again."""
    try:
        described = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # who reads it says what is wrong with it
    return isinstance(described, dict) and (described.get("kind") == REGISTRATION or "initial_transform" in described)


def described_file(path: Path, folder: Path) -> dict[str, Any]:
    """Where a file is, also as seen from `folder`, and its checksum: None where it has gone meanwhile."""
    try:
        checksum = sha256_of(path)
    except OSError:  # a result is not lost with the file that it was made of
        checksum = None
    return {**described_place(path, folder), "sha256": checksum}


def described_place(path: Path, folder: Path) -> dict[str, Any]:
    """Where a file or folder is, also as seen from `folder`: None where that is on another drive."""
    return {"path": str(path.absolute()), "relative_path": _relative(path, folder)}


def found_file(row: Mapping[str, Any], folder: Path, hashed: dict[Path, str], what: What = "fit") -> Path:
    """The file that `described_file` described: where it was, or where it went together with the result's folder.

    `hashed` remembers checksums from one call to the next; a file of the same content that is known from elsewhere, as
    a project's is that has moved, does as well. Raises InputError where it is gone, or has changed.
    """
    there = [place for place in _places(row, folder) if place.is_file()]
    for place in there:
        if place not in hashed:
            hashed[place] = sha256_of(place)
        if hashed[place] == row["sha256"]:
            return place
    for place, checksum in hashed.items():
        if checksum == row["sha256"]:
            return place
    if there:
        raise InputError(
            f"{there[0]} has changed since the {what} in {folder}. Bring the old file back, or {_AGAIN[what]}."
        )
    name = Path(row["path"]).name
    raise InputError(
        f"{row['path']}, a file of the {what} in {folder}, is not there any more. Put {name} back, or into {folder}."
    )


def _places(row: Mapping[str, Any], folder: Path) -> list[Path]:
    name = Path(row["path"]).name
    places = [Path(row["path"]), folder / name, folder.parent / name]
    if row["relative_path"] is not None:
        places.insert(1, folder / row["relative_path"])
    return places


def _relative(path: Path, folder: Path) -> str | None:
    try:
        return os.path.relpath(path.absolute(), folder.absolute())
    except ValueError:  # another drive, on Windows
        return None


def sha256_of(path: Path) -> str:
    """Checksum of a file's content; read anew only where the file has changed since. Raises OSError."""
    now = path.stat()
    return _sha256(path.absolute(), now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


@lru_cache(maxsize=1024)
def _sha256(path: Path, *_state: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sentence(what: What) -> str:
    return "Fit the series again" if what == "fit" else "Register the pair again"
