"""What the background threads run for a pair of images: no Qt, and heavy imports stay inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from noder_viewer.jobs import Reporter, import_engine, share_cores
from noder_viewer.shown_pair import Levels, ShownPair

if TYPE_CHECKING:
    from noder.fit import FitProgress
    from noder.image import Image
    from noder.landmarks import Landmarks
    from noder.methods import NephiSettings

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
    """Where an image comes from: a file, or a scan of the open series (`label` names it)."""

    path: Path | None = None
    scan: Image | None = None
    label: str = ""

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


@dataclass(frozen=True)
class PairOpened:
    """A pair whose voxels have been read and laid on each other; `value_range` of what is shown."""

    shown: ShownPair
    value_range: Levels


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
        from noder.pair_scores import Truth

        share_cores(leave_one=True)
        choice = self.choice
        fixed, moving = (self._image(source) for source in (choice.fixed, choice.moving))
        for image in (fixed, moving):
            task.report(f"Reading {image.name}…")
            image.numpy()
        truth = Truth(*choice.labels, _landmarks(choice, fixed, moving))
        truth.check()
        _check_labels(choice.labels)
        task.report("Laying the moving image on the fixed one…")
        pair = open_pair(fixed, moving, choice.initial, *choice.masks)
        return _shown(pair, truth)

    def _image(self, source: Source) -> Image:
        from noder.errors import InputError
        from noder.image import Image, volumes_in

        if source.scan is not None:
            return source.scan.raw
        if source.path is None:
            raise InputError("Choose a fixed and a moving image first: drop a file on each row, or browse for it.")
        if volumes_in(source.path) > 1:
            raise InputError(
                f"{source.path.name} holds {volumes_in(source.path)} volumes where one is wanted. Open it as a series; "
                "its scans can then be chosen in the rows of the Register tab."
            )
        return Image.open(source.path, nan_to_zero=self.choice.nan_to_zero)


@dataclass(frozen=True)
class ExportPair:
    """Write the folder that `noder register` writes: all of it or nothing."""

    shown: ShownPair
    folder: Path

    def __call__(self, task: Reporter) -> tuple[ShownPair, list[Path]]:
        from noder.pair_files import write_registration

        registration, scores = self.shown.registration, self.shown.scores
        if registration is None or scores is None:
            raise ValueError("the pair is not registered: there is nothing to write")
        share_cores(leave_one=True)
        return self.shown, write_registration(registration, scores, self.folder)


def registration_steps(shown: ShownPair, choice: RegisterChoice) -> Generator[FitProgress, bool | None, ShownPair]:
    """Register and score a pair; to be driven in the thread of a fit."""
    from typing import cast

    from noder.fit_config import preset_settings
    from noder.pair_scores import scores, target_errors
    from noder.register import register_steps

    share_cores(leave_one=True)
    settings = cast("NephiSettings", choice.settings or preset_settings("nephi", choice.preset))
    registration = yield from register_steps(shown.pair, settings, choice.seed, choice.device, choice.max_seconds)
    if registration.fit.history:  # none where nothing was optimised
        yield dataclasses.replace(registration.fit.history[-1], stage=SCORING, seconds_left=None)
    trajectory = registration.fit.trajectory.prepare()  # what the window reads in the other direction
    errors = None
    if shown.landmarks is not None:
        errors = target_errors(shown.pair, trajectory.field(shown.pair.frame, 1.0), shown.landmarks)
    found = scores(registration, shown.truth)
    return dataclasses.replace(shown, registration=registration, scores=found, errors=errors)


def refuse_registration(folder: Path) -> None:
    """Raise InputError where a folder holds the files of a registration, which is no fit that can be opened again."""
    import json

    from noder.errors import InputError

    try:
        described = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # who reads the fit says what is wrong with it
    if isinstance(described, dict) and "initial_transform" in described:
        raise InputError(
            f"{folder} holds the files of a registered pair, which the window does not open again. Give both images to "
            "the Register tab; result.json tells the settings and the seed."
        )


def in_window_words(sentence: str) -> str:
    """A sentence of the engine without the command line's options."""
    for flag, words in _FLAGS.items():
        sentence = sentence.replace(flag, words)
    return sentence


def _landmarks(choice: RegisterChoice, fixed: Image, moving: Image) -> Landmarks | None:
    if choice.landmarks is None:
        return None
    from noder.landmarks import Landmarks, read_landmarks

    found = read_landmarks(choice.landmarks, choice.space)
    if choice.swapped:
        found = Landmarks(found.moving, found.fixed)
    found.check(fixed.grid, moving.grid, choice.landmarks.name)
    return found


def _check_labels(labels: tuple[Path | None, Path | None]) -> None:
    """Before the registration, which takes a while: whether the files are there and are images."""
    from noder.image import Image

    for path in labels:
        if path is not None:
            Image.open(path)


def _shown(pair: Any, truth: Any) -> PairOpened:
    from noder_viewer.frames import default_window

    moving, fixed = (scan.image.numpy() for scan in pair.series.scans)
    shown = ShownPair(pair, truth, (default_window(moving), default_window(fixed)))
    seen = (moving, fixed) if shown.scale == (1.0, 0.0) else (fixed,)
    bottom, top = min(float(v.min()) for v in seen), max(float(v.max()) for v in seen)
    return PairOpened(shown, (bottom, max(top, bottom + 1e-6)))
