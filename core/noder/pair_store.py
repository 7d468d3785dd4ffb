"""A registered pair is opened again: what result.json and model.safetensors hold of it, and the way back.

Images, masks, labels and landmarks stay where they are; the folder knows where that is, and their checksums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from noder.alignment import Alignment
from noder.errors import InputError
from noder.fit import FitProgress, FitResult, make_trajectory
from noder.image import Image
from noder.methods import NephiSettings
from noder.model_file import MODEL, model_bytes, read_model, settings_as_dict, settings_from_dict
from noder.pair import Pair, open_pair
from noder.pair_given import Given, Sides
from noder.pair_scores import SCORES, Truth
from noder.provenance import Provenance
from noder.register import Registration
from noder.store import config_as_dict, config_from_dict, described_step, with_nan
from noder.stored_files import REGISTRATION, described_file, found_file, read_described

FORMAT = 1
RESULT, INITIAL = "result.json", "initial.tfm"


@dataclass(frozen=True)
class Reopened:
    """A registration that was read from its folder, with its scores, what was asked for, and what is known of it."""

    registration: Registration
    scores: dict[str, Any]
    given: Given
    truth: Truth


def map_bytes(registration: Registration) -> bytes:
    """The content of model.safetensors: the map, on the frame and without the initial transform."""
    fit = registration.fit
    return model_bytes(fit.model, fit.config, registration.pair.frame)


def facts_of(registration: Registration, given: Given, folder: Path) -> dict[str, Any]:
    """What result.json holds beside the scores, so that `read_registration` finds everything again."""
    pair, fit = registration.pair, registration.fit
    return {
        "kind": REGISTRATION,
        "format": FORMAT,
        "fixed": _described_image(pair.fixed, folder),
        "moving": _described_image(pair.moving, folder),
        "masks": _described_sides(pair.masks, folder),
        "refined": list(pair.refined),
        "given": _described_given(given, folder),
        "config": config_as_dict(fit.config),
        "history": [described_step(step) for step in fit.history],
        "provenance": asdict(fit.provenance),
    }


def read_registration(folder: Path | str, hashed: dict[Path, str] | None = None) -> Reopened:
    """Open a folder that `write_registration` wrote; nothing is searched for or optimised again.

    `hashed`: as in `found_file`. Raises InputError where it is damaged or of another version, or where its files are
    gone or have changed.
    """
    folder = Path(folder)
    described = read_described(folder / RESULT, REGISTRATION)
    _check_version(described, folder)
    try:
        return _reopened(described, folder, {} if hashed is None else hashed)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{folder / RESULT} is not a registration of this version: {error} is missing or odd. Register the pair "
            "again."
        ) from error


def _check_version(described: Mapping[str, Any], folder: Path) -> None:
    if "initial_transform" not in described:
        raise InputError(f"{folder} holds no registration. Give the folder that `noder register -o` wrote.")
    if "kind" not in described:
        raise InputError(
            f"{folder / RESULT} is of an earlier version, which did not keep the map: it cannot be opened again. "
            "Register the pair again; `noder warp` goes on pulling images through the fields."
        )
    if described.get("format") != FORMAT:
        raise InputError(
            f"{folder / RESULT} has the format {described.get('format')}, where this version knows {FORMAT}. Open it "
            "with the version that wrote it, or register the pair again."
        )


def _reopened(described: Mapping[str, Any], folder: Path, hashed: dict[Path, str]) -> Reopened:
    fixed, moving = (_image(described[side], folder, hashed) for side in ("fixed", "moving"))
    masks = _sides(described["masks"], folder, hashed)
    initial = Alignment.from_dict(described["initial_transform"])
    refine = tuple(described["refined"]) != (1, 1, 1)
    pair = replace(open_pair(fixed, moving, initial, *masks, refine=refine), notes=tuple(described["notes"]))
    given = _given(described["given"], folder, hashed)
    registration = Registration(pair, _fit(described, folder, pair))
    return Reopened(registration, _scores(described), given, given.truth(fixed.grid, moving.grid))


def _fit(described: Mapping[str, Any], folder: Path, pair: Pair) -> FitResult:
    decoder, curve, _ = read_model(folder / MODEL, pair.frame, REGISTRATION)
    history = [FitProgress(**{**step, "losses": with_nan(step["losses"])}) for step in described["history"]]
    trajectory = make_trajectory(decoder, curve, pair.series, [0, 1], {})
    return FitResult(
        trajectory, pair.series, config_from_dict(described["config"]), {}, history,
        Provenance(**described["provenance"]), curve, stopped=bool(described["stopped"]), notes=pair.notes,
    )  # fmt: skip


def _scores(described: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no nan: null stands for the overlap of a label that is nowhere."""
    scores = {name: described[name] for name in SCORES if name in described}
    for of_map in (scores, scores["initial"]):
        of_map.update({name: with_nan(of_map[name]) for name in ("dice", "dice_mean") if name in of_map})
    return scores


def _described_image(image: Image, folder: Path) -> dict[str, Any]:
    found = {"name": image.name, "volume": image.volume, "nan_to_zero": image.nan_to_zero}
    return found | ({"path": None} if image.path is None else described_file(image.path, folder))


def _image(row: Mapping[str, Any], folder: Path, hashed: dict[Path, str]) -> Image:
    if row["path"] is None:
        raise InputError(
            f"{row['name']} was never a file, so {folder} cannot be opened again. Register the pair again, from files."
        )
    path = found_file(row, folder, hashed, REGISTRATION)
    return Image.open(path, row["volume"], nan_to_zero=row["nan_to_zero"])


def _described_given(given: Given, folder: Path) -> dict[str, Any]:
    return {
        "labels": _described_sides(given.labels, folder),
        "landmarks": _described_path(given.landmarks, folder),
        "landmarks_space": given.space,
        "landmarks_swapped": given.swapped,
        "initial": str(given.initial.absolute()) if isinstance(given.initial, Path) else given.initial,
        "initial_is_file": isinstance(given.initial, Path),
        "preset": given.preset,
        "settings": settings_as_dict(given.settings),
        "device": given.device,
        "max_seconds": given.max_seconds,
    }


def _given(row: Mapping[str, Any], folder: Path, hashed: dict[Path, str]) -> Given:
    initial = row["initial"]
    if row["initial_is_file"]:  # where it has gone, the folder holds the same transform
        initial = Path(initial) if Path(initial).is_file() else folder / INITIAL
    settings = None if row["settings"] is None else cast(NephiSettings, settings_from_dict(row["settings"]))
    return Given(
        _sides(row["labels"], folder, hashed), _path(row["landmarks"], folder, hashed), row["landmarks_space"],
        row["landmarks_swapped"], initial, row["preset"], settings, row["device"], row["max_seconds"],
    )  # fmt: skip


def _described_sides(paths: Sides, folder: Path) -> list[dict[str, Any] | None]:
    return [_described_path(path, folder) for path in paths]


def _sides(rows: list[Any], folder: Path, hashed: dict[Path, str]) -> Sides:
    fixed, moving = rows
    return _path(fixed, folder, hashed), _path(moving, folder, hashed)


def _described_path(path: Path | None, folder: Path) -> dict[str, Any] | None:
    return None if path is None else described_file(path, folder)


def _path(row: Mapping[str, Any] | None, folder: Path, hashed: dict[Path, str]) -> Path | None:
    return None if row is None else found_file(row, folder, hashed, REGISTRATION)
