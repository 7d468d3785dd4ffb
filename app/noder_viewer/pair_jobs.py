"""What the background threads run for a pair of images: no Qt, and heavy imports stay inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from noder_viewer.jobs import Reporter, import_engine, share_cores
from noder_viewer.shown_pair import Levels, ShownPair

if TYPE_CHECKING:
    from noder.fit import FitProgress
    from noder.image import Image
    from noder.methods import NephiSettings
    from noder.pair_given import Given
    from noder.register import Registration

SCORING = "Scoring"
"""Stage of the last progress of a registration: its scores are being computed."""
Side = Literal["fixed", "moving"]
SIDES: tuple[Side, Side] = ("fixed", "moving")

# The engine's sentences name options of the command line; the window has rows of its own.
_FLAGS = {
    "Begin with --initial ": "Choose under Begin with: ",
    "--initial ": "Begin with: ",
    "give --moving-labels too": "give those of the moving image too",
    "give --fixed-labels too": "give those of the fixed image too",
    "--landmarks-space (LPS or RAS)": "the space of the landmarks (LPS or RAS)",
    "--device": "the device",
}


@dataclass(frozen=True, eq=False)
class Source:
    """Where an image comes from: a file, `volume` of it where it holds several, or a scan of the open series.

    `label` names the scan.
    """

    path: Path | None = None
    scan: Image | None = None
    label: str = ""
    volume: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it names nothing."""
        return self.path is None and self.scan is None

    def is_like(self, other: Source) -> bool:
        """Whether it is the same image; the first volume is meant where none is named."""
        same = self.path == other.path and self.scan is other.scan
        return same and (self.volume or 0) == (other.volume or 0)

    @property
    def name(self) -> str:
        """How a row calls it."""
        return self.label or ("" if self.path is None else self.path.name)


@dataclass(frozen=True)
class RegisterChoice:
    """What the Register tab asks for. settings None: the preset's. `swapped`: the landmarks' columns are."""

    fixed: Source
    moving: Source
    masks: tuple[Path | None, Path | None] = (None, None)
    labels: tuple[Path | None, Path | None] = (None, None)
    landmarks: Path | None = None
    space: str = "LPS"
    swapped: bool = False
    initial: str | Path = "none"
    preset: str = "balanced"
    settings: Any = None
    seed: int = 0
    device: str = "auto"
    max_seconds: float | None = None
    nan_to_zero: bool = False

    def is_like(self, other: RegisterChoice) -> bool:
        """Whether it asks for the same."""
        same = self.fixed.is_like(other.fixed) and self.moving.is_like(other.moving)
        return same and dataclasses.replace(self, fixed=other.fixed, moving=other.moving) == other

    def given(self, settings: NephiSettings) -> Given:
        """As it is written with the registration."""
        from noder.pair_given import Given

        return Given(
            self.labels, self.landmarks, self.space, self.swapped, self.initial, self.preset, settings, self.device,
            self.max_seconds,
        )  # fmt: skip


@dataclass(frozen=True)
class PairOpened:
    """A pair whose voxels have been read and laid on each other; `value_range` of what is shown."""

    shown: ShownPair
    value_range: Levels


@dataclass(frozen=True)
class PairReopened(PairOpened):
    """A registration that was read from `folder`, and the choice that it was made with."""

    choice: RegisterChoice
    folder: Path


@dataclass(frozen=True)
class OpenPair:
    """Read both images and all that is known of them, and lay the moving one on the fixed one. Raises InputError."""

    choice: RegisterChoice

    def __call__(self, task: Reporter) -> PairOpened:
        import_engine()
        from noder.errors import InputError

        try:
            return self._opened(task)
        except InputError as error:
            raise InputError(in_window_words(str(error)), error.remedy) from error

    def _opened(self, task: Reporter) -> PairOpened:
        from noder.pair import open_pair

        share_cores(leave_one=True)
        choice = self.choice
        fixed, moving = (self._image(source) for source in (choice.fixed, choice.moving))
        for image in (fixed, moving):
            task.report(f"Reading {image.name}…")
            image.numpy()
        given = choice.given(_settings(choice))
        truth = given.truth(fixed.grid, moving.grid)
        _check_labels(choice.labels)
        task.report("Laying the moving image on the fixed one…")
        pair = open_pair(fixed, moving, choice.initial, *choice.masks)
        return _shown(pair, truth, given)

    def _image(self, source: Source) -> Image:
        from noder.errors import InputError
        from noder.image import Image, volumes_in

        if source.scan is not None:
            return source.scan.raw
        if source.path is None:
            raise InputError("Choose a fixed and a moving image first: drop a file on each row, or browse for it.")
        if source.volume is None and volumes_in(source.path) > 1:
            raise InputError(
                f"{source.path.name} holds {volumes_in(source.path)} volumes where one is wanted. Choose its number "
                "beside its name."
            )
        return Image.open(source.path, source.volume, nan_to_zero=self.choice.nan_to_zero)


@dataclass(frozen=True)
class CountVolumes:
    """How many volumes each file holds, from their headers; 1 for what is no image: who opens it says so."""

    paths: tuple[Path, ...]

    def __call__(self, task: Reporter) -> dict[Path, int]:
        import_engine()
        from noder.errors import InputError
        from noder.image import volumes_in

        found = dict.fromkeys(self.paths, 1)
        for path in self.paths:
            with suppress(InputError):
                found[path] = volumes_in(path)
        return found


@dataclass(frozen=True)
class ExportPair:
    """Write the folder that `noder register` writes: all of it or nothing."""

    shown: ShownPair
    folder: Path
    conventions: tuple[str, ...] = ("itk",)

    def __call__(self, task: Reporter) -> tuple[ShownPair, list[Path]]:
        from noder.pair_files import write_registration

        registration, scores, given = self.shown.registration, self.shown.scores, self.shown.given
        if registration is None or scores is None or given is None:
            raise ValueError("the pair is not registered: there is nothing to write")
        share_cores(leave_one=True)
        return self.shown, write_registration(registration, scores, self.folder, self.conventions, given)


def registration_steps(shown: ShownPair, choice: RegisterChoice) -> Generator[FitProgress, bool | None, ShownPair]:
    """Register and score a pair; to be driven in the thread of a fit."""
    from noder.pair_scores import scores
    from noder.register import register_steps

    share_cores(leave_one=True)
    registration = yield from register_steps(
        shown.pair, _settings(choice), choice.seed, choice.device, choice.max_seconds
    )
    if registration.fit.history:  # none where nothing was optimised
        yield dataclasses.replace(registration.fit.history[-1], stage=SCORING, seconds_left=None)
    registration.fit.trajectory.prepare()  # what the window reads in the other direction
    return _registered(shown, registration, scores(registration, shown.truth))


def reopened(folder: Path, task: Reporter, hashed: dict[Path, str] | None = None) -> PairReopened:
    """Read a registration that was written, with its images; `hashed` as in `found_file`. Raises InputError."""
    from noder.pair_store import read_registration

    share_cores(leave_one=True)
    task.report(f"Opening the registration in {folder.name}…")
    found = read_registration(folder, hashed)
    pair, fit = found.registration.pair, found.registration.fit
    opened = _shown(pair, found.truth, found.given)
    task.report("Computing the inverse map…")
    fit.trajectory.prepare()
    shown = _registered(opened.shown, found.registration, found.scores)
    given, nan_to_zero = found.given, pair.fixed.nan_to_zero or pair.moving.nan_to_zero
    choice = RegisterChoice(
        Source(pair.fixed.path, volume=pair.fixed.volume), Source(pair.moving.path, volume=pair.moving.volume),
        pair.masks, given.labels, given.landmarks, given.space, given.swapped, given.initial, given.preset,
        given.settings or fit.config.settings, fit.config.seed, given.device, given.max_seconds, nan_to_zero,
    )  # fmt: skip
    return PairReopened(shown, opened.value_range, choice, folder)


def in_window_words(sentence: str) -> str:
    """A sentence of the engine without the command line's options."""
    for flag, words in _FLAGS.items():
        sentence = sentence.replace(flag, words)
    return sentence


def _check_labels(labels: tuple[Path | None, Path | None]) -> None:
    """Before the registration, which takes a while: whether the files are there and are images."""
    from noder.image import Image

    for path in labels:
        if path is not None:
            Image.open(path)


def _settings(choice: RegisterChoice) -> NephiSettings:
    from noder.fit_config import preset_settings

    return cast("NephiSettings", choice.settings or preset_settings("nephi", choice.preset))


def _registered(shown: ShownPair, registration: Registration, scores: dict[str, Any]) -> ShownPair:
    """The pair with what was found, and how far each landmark is off."""
    from noder.pair_scores import target_errors

    errors = None
    if shown.landmarks is not None:
        field = registration.fit.trajectory.field(shown.pair.frame, 1.0)
        errors = target_errors(shown.pair, field, shown.landmarks)
    return dataclasses.replace(shown, registration=registration, scores=scores, errors=errors)


def _shown(pair: Any, truth: Any, given: Given) -> PairOpened:
    from noder_viewer.frames import default_window

    moving, fixed = (scan.image.numpy() for scan in pair.series.scans)
    shown = ShownPair(pair, truth, (default_window(moving), default_window(fixed)), given=given)
    seen = (moving, fixed) if shown.scale == (1.0, 0.0) else (fixed,)
    bottom, top = min(float(v.min()) for v in seen), max(float(v.max()) for v in seen)
    return PairOpened(shown, (bottom, max(top, bottom + 1e-6)))
