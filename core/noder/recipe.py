"""How a saved result is made again: the command line with every option spelled, and the checksums of what goes in.

All of it follows from the result.json of its folder.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from noder.errors import InputError
from noder.model_file import MODEL
from noder.stored_files import REGISTRATION, read_described, sha256_of

OUT = "OUT"
"""Stands in a command for the folder to write."""


@dataclass(frozen=True)
class Recipe:
    """`command` as it is typed in the folder `home`; `inputs`: its files -> sha256; `model`: that of the result's map.

    `notes`: what the command cannot repeat.
    """

    kind: str
    command: tuple[str, ...]
    inputs: dict[str, str | None]
    model: str
    versions: dict[str, str]
    threads: int | None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As a project holds it, the command once more as one line for people."""
        return {**asdict(self), "command_line": shlex.join(self.command)}


def recipe_of(folder: Path, home: Path) -> Recipe:
    """The recipe of what `save_result` or `write_registration` wrote; paths as seen from `home`.

    Raises InputError for a folder that holds neither, and where no command line can say what was fitted.
    """
    described = read_described(folder / "result.json")
    is_pair = described.get("kind") == REGISTRATION
    files = _Files(home)
    try:
        words = _register(described, files) if is_pair else _fit(described, files)
        provenance = described["provenance"]
        threads = provenance.get("threads")
        model = sha256_of(folder / MODEL)
        notes = _notes(described, is_pair)
    except (KeyError, TypeError, OSError) as error:
        raise InputError(f"{folder} is not a result of this version: {error} is missing or odd. Fit again.") from error
    kind = REGISTRATION if is_pair else "fit"
    return Recipe(kind, tuple(words), files.hashed, model, provenance["versions"], threads, notes)


class _Files:
    """Spells the paths of a command as seen from one folder, and remembers their checksums."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.hashed: dict[str, str | None] = {}

    def word(self, row: Mapping[str, Any]) -> str:
        """A file that `described_file` described."""
        word = self._spelled(Path(row["path"]))
        self.hashed[word] = row["sha256"]
        return word

    def setting(self, name: str, value: Any) -> str:
        """NAME=VALUE; a value that is a file (the weights of an encoder) is one more input."""
        path = Path(str(value))
        if isinstance(value, str) and path.suffix and path.is_file():
            value = self._spelled(path)
            self.hashed[value] = sha256_of(path)
        return f"{name}={value}"

    def _spelled(self, path: Path) -> str:
        try:
            return os.path.relpath(path.absolute(), self.home.absolute())
        except ValueError:  # another drive, on Windows
            return str(path.absolute())


def _fit(described: Mapping[str, Any], files: _Files) -> list[str]:
    config, scans, frames = described["config"], described["scans"], described["frames"]
    order = sorted(range(len(scans)), key=frames.__getitem__)  # as they were given, not as they follow in time
    alignment = config["align"] if config["align"] != "none" else _alignment(scans)
    words = ["noder", "fit", *_given(described, [scans[k] for k in order], files), "-o", OUT]
    words += ["--times", ",".join(repr(float(scans[k]["time"])) for k in order), "--time-unit", described["time_unit"]]
    words += [] if described["mask"] is None else ["--mask", files.word(described["mask"])]
    for option, positions in (("--hold-out", config["hold_out"]), ("--exclude", config["exclude"])):
        words += [option, ",".join(map(str, positions))] if positions else []
    words += ["--method", config["method"], "--preset", config["preset"], *_settings(config["settings"], files)]
    words += ["--device", described["device"], "--seed", str(config["seed"]), "--seeds", str(_seeds(described))]
    words += ["--match" if config["match_intensity"] else "--no-match"]
    words += ["--intensity"] if config["intensity"] else []
    words += ["--align", alignment]
    words += ["--resample"] if any(row["resampled"] for row in scans) else []
    return words + (["--nan-to-zero"] if any(row["nan_to_zero"] for row in scans) else [])


def _given(described: Mapping[str, Any], scans: Sequence[Mapping[str, Any]], files: _Files) -> list[str]:
    """The files in the order given; of one that holds many volumes, the span of those that were kept."""
    words = list(dict.fromkeys(files.word(row) for row in scans))
    volumes = [row["volume"] for row in scans]
    if volumes[0] is None:
        return words
    if volumes != list(range(volumes[0], volumes[0] + len(volumes))):
        raise InputError(
            f"Volumes {', '.join(map(str, volumes))} of {words[0]} follow each other with gaps, which no command line "
            "can say. Open all of them, leave out what is not wanted, and fit again."
        )
    return [*words, "--frames", f"{volumes[0]}:{volumes[-1] + 1}"]


def _alignment(scans: Sequence[Mapping[str, Any]]) -> str:
    """Of scans that an earlier fit has aligned: the same search finds the same."""
    return str(next((row["alignment"]["kind"] for row in scans if "alignment" in row), "none"))


def _seeds(described: Mapping[str, Any]) -> int:
    spread = (described["report"] or {}).get("spread") or []
    return int(spread[0]["seeds"]) if spread else 1


def _settings(settings: Mapping[str, Any] | None, files: _Files) -> list[str]:
    values = {name: value for name, value in (settings or {}).items() if name != "class"}
    return [word for name, value in values.items() for word in ("--set", files.setting(name, value))]


def _register(described: Mapping[str, Any], files: _Files) -> list[str]:
    given, config = described["given"], described["config"]
    words = ["noder", "register", files.word(described["fixed"]), files.word(described["moving"]), "-o", OUT]
    scored = () if given["landmarks_swapped"] else (("--landmarks", given["landmarks"]),)
    sides = [
        ("--fixed-mask", "--moving-mask", described["masks"]),
        ("--fixed-labels", "--moving-labels", given["labels"]),
    ]
    options = [pair for fixed, moving, rows in sides for pair in zip((fixed, moving), rows, strict=True)]
    for option, row in (*options, *scored):
        words += [] if row is None else [option, files.word(row)]
    words += ["--landmarks-space", given["landmarks_space"], "--initial", _initial(given, files)]
    words += ["--preset", given["preset"], *_settings(given["settings"], files)]
    words += [] if given["max_seconds"] is None else ["--max-seconds", repr(given["max_seconds"])]
    words += ["--fields", "itk,fsl" if "field_fsl.nii.gz" in described["files"] else "itk"]
    for side in ("fixed", "moving"):
        volume = described[side]["volume"]
        words += [] if volume is None else [f"--{side}-volume", str(volume)]
    words += ["--nan-to-zero"] if any(described[side]["nan_to_zero"] for side in ("fixed", "moving")) else []
    return [*words, "--seed", str(config["seed"]), "--device", described["provenance"]["device"]]


def _initial(given: Mapping[str, Any], files: _Files) -> str:
    if not given["initial_is_file"]:
        return str(given["initial"])
    path = Path(given["initial"])
    if not path.is_file():
        raise InputError(f"{path}, the initial transform, is not there any more. Put it back, so that it can be given.")
    return files.word({"path": str(path), "sha256": sha256_of(path)})


def _notes(described: Mapping[str, Any], is_pair: bool) -> tuple[str, ...]:
    notes = []
    if described["stopped"]:
        notes.append(f"stopped after {len(described['history'])} steps; the command goes on to the end")
    if "cuda" in described["provenance"]["device"]:
        notes.append("made on a GPU, where equal runs agree closely but not bit for bit")
    if is_pair and described["given"]["landmarks_swapped"]:
        notes.append("the landmarks, whose columns are swapped, are left out: they only score")
    if is_pair and described["given"]["max_seconds"] is not None:
        notes.append("limited in time, so that a slower machine stops earlier")
    return tuple(notes)
