"""What the background threads run: no Qt, and heavy imports stay inside, so that the window is up first.

Each job is a small frozen object; calling it with the `Task` that runs it does the work.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from noder_viewer.cores import bound_memory
from noder_viewer.cores import share_cores as share_cores

if TYPE_CHECKING:
    from noder.fit import FitProgress, FitResult
    from noder.fit_config import FitConfig
    from noder.grid import Grid
    from noder.pair import Pair
    from noder.series import ImageSeries
    from noder.trajectory import Trajectory
    from noder_viewer.pair_jobs import PairReopened
    from noder_viewer.project_jobs import ProjectOpened
    from noder_viewer.session import Session

N_THUMBNAILS = 14
PROJECT = ".noderproj"
AXES = (0, 1, 2)
_importing = threading.Lock()


class Reporter(Protocol):
    """What a job may call: see `loader.Task`."""

    def report(self, value: object) -> None: ...

    def check_cancelled(self) -> None: ...


@dataclass(frozen=True)
class FitChoice:
    """What the fit panel asks for; `make_steps` makes a `FitConfig` of it. settings None: the preset's."""

    method: str = "noder"
    preset: str = "balanced"
    settings: Any = None
    device: str = "auto"
    seed: int = 0
    seeds: int = 1
    match_intensity: bool = True
    intensity: bool = False
    align: str = "none"


@dataclass(frozen=True)
class FitChoices:
    """What there is to choose from, known once the engine has been imported."""

    presets: dict[str, dict[str, Any]]  # method -> preset -> settings
    default_preset: str = "balanced"
    has_gpu: bool = False


@dataclass(frozen=True)
class Estimated:
    """What a fit will take, in words; `fits`: whether the memory does."""

    text: str
    fits: bool = True


@dataclass(frozen=True)
class Opened:
    """A series with its grey levels; `result` and `folder` of a saved fit.

    `reads_on`: only the first scan has been read, and the grey levels are its own.
    """

    paths: list[Path]
    series: ImageSeries
    window: tuple[float, float]
    value_range: tuple[float, float]
    result: FitResult | None = None
    folder: Path | None = None
    reads_on: bool = False


@dataclass(frozen=True)
class EstimateFit:
    """What the fit that would start now will take."""

    session: Session
    choice: FitChoice

    def __call__(self, task: Reporter) -> Estimated:
        import_engine()
        from noder.errors import NoderError
        from noder.estimate import estimate, remedy, together

        share_cores(leave_one=True)
        series = self.session.series
        if series is None:
            return Estimated("")
        config = make_config(self.session, self.choice)
        try:
            advice = remedy(series, config)
            words = together([estimate(series, config)] * self.choice.seeds).words()
        except NoderError:  # a choice that cannot be meant is told when the fit is to start
            return Estimated("")
        return Estimated(advice or f"{words[0].upper()}{words[1:]}", fits=not advice)


@dataclass(frozen=True)
class Read:
    """Headers and the first scan; a folder with a result.json is a saved fit or registration, read whole.

    Raises InputError.

    `options`: those of `ImageSeries.from_paths`, or of a project `places`, folders where its files may be now.
    """

    paths: list[Path]
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, task: Reporter) -> Opened | PairReopened | ProjectOpened:
        import_engine()
        if is_project(self.paths):
            from noder_viewer.project_jobs import project_opened

            return project_opened(self.paths[0], self.options.get("places", ()), task)
        from noder.stored_files import is_registration

        folder = saved_fit_folder(self.paths)
        if folder is None:
            return self._first_scan(task)
        if is_registration(folder):
            from noder_viewer.pair_jobs import reopened

            return reopened(folder, task)
        from noder.store import load_result

        result = load_result(folder)
        task.report(f"Reading {len(result.series.scans)} scans, {_megabytes(result.series)} MB…")
        result.series.check()
        return opened(self.paths, result.series, result, folder)

    def _first_scan(self, task: Reporter) -> Opened:
        from noder.series import ImageSeries
        from noder_viewer.window_presets import range_of, shared_levels

        bound_memory()
        series = ImageSeries.from_paths(self.paths, **self.options)
        task.report(f"Reading {series.reference.image.name}…")
        bottom, top = range_of(series.reference.image, len(series))
        window = shared_levels(series, exclude=range(1, len(series)))
        return Opened(self.paths, series, window, (bottom, max(top, bottom + 1e-6)), reads_on=True)


@dataclass(frozen=True)
class ReadMask:
    """Whether a file can be the mask of scans on `grid`: returns its notes. Raises InputError."""

    path: Path
    grid: Grid

    def __call__(self, task: Reporter) -> tuple[ReadMask, tuple[str, ...]]:
        import_engine()
        from noder.preprocess import read_mask

        return self, read_mask(self.path, self.grid)[1]


@dataclass(frozen=True)
class Export:
    """Run exporters into a folder; reports `ExportProgress`. Leaving early leaves nothing behind."""

    result: FitResult | None
    names: tuple[str, ...]
    times: tuple[float, ...]
    folder: Path
    carry: str
    picture: bytes | None = None
    pair: Pair | None = None

    def __call__(self, task: Reporter) -> list[Path]:
        paths: list[Path] = []
        if self.names and self.result is not None:
            paths += self._volumes(self.result, task)
        if self.picture is not None:
            from noder.atomic import output_errors

            with output_errors(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            paths.append(write_picture(self.folder / "view.png", self.picture))
        return paths

    def _volumes(self, result: FitResult, task: Reporter) -> list[Path]:
        from noder.export import export_steps
        from noder.pair import timeline_words

        share_cores(leave_one=True)
        about = None if self.pair is None else timeline_words(self.pair)
        steps = export_steps(result, self.names, self.times, self.folder, carry=self.carry, about=about)
        try:
            while True:
                task.report(next(steps))
        except StopIteration as end:
            return list(end.value)
        finally:
            steps.close()  # its staging folder goes with it, also when the task was cancelled


@dataclass(frozen=True)
class Save:
    """Save a fit as a folder that can be opened again."""

    result: FitResult
    folder: Path

    def __call__(self, task: Reporter) -> Path:
        from noder.store import save_result

        save_result(self.result, self.folder)
        return self.folder


@dataclass(frozen=True)
class Preview:
    """Decode the visible slices of a trajectory; the scenes remember them for the window."""

    session: Session

    def __call__(self, task: Reporter) -> Trajectory | None:
        from noder_viewer.comparison import wants_inverse
        from noder_viewer.landmark_marks import errors_after
        from noder_viewer.scene import slice_scene

        share_cores(leave_one=True)
        if self.session.preview is not None and wants_inverse(self.session):
            self.session.preview.prepare()
        for axis in AXES:
            task.check_cancelled()
            slice_scene(self.session, axis)
        errors_after(self.session)
        return self.session.preview


@dataclass(frozen=True)
class Prepare:
    """Compute the inverse maps that predictions from neighbours need, of a fit that was stopped or opened again."""

    trajectory: Trajectory

    def __call__(self, task: Reporter) -> Trajectory:
        share_cores(leave_one=True)
        return self.trajectory.prepare()


@dataclass(frozen=True)
class Thumbnails:
    """Small frames over the whole span, reported as a growing list."""

    session: Session

    def __call__(self, task: Reporter) -> None:
        from noder_viewer.frames import thumbnail, thumbnail_times

        share_cores(leave_one=True)
        times = self.session.times
        frames: list[object] = []
        for t in thumbnail_times(times[0], times[-1], N_THUMBNAILS):
            frames.append(thumbnail(self.session, t))
            task.report(list(frames))


@dataclass(frozen=True)
class Volume:
    """What the 3D canvas shows at the session's time."""

    session: Session

    def __call__(self, task: Reporter) -> object:
        from noder_viewer.frames import volume_scene

        share_cores(leave_one=True)
        return volume_scene(self.session)


def make_steps(session: Session, choice: FitChoice) -> Generator[FitProgress, bool | None, FitResult]:
    """The fit of the session's series, ready to be driven; call it in the thread that drives it."""
    from noder.spread import seeds_steps
    from noder_viewer.rest_jobs import with_known_offer

    share_cores(leave_one=True)
    if session.series is None:
        raise ValueError("no series is open: there is nothing to fit")
    return seeds_steps(with_known_offer(session.series), make_config(session, choice), choice.seeds)


def make_config(session: Session, choice: FitChoice) -> FitConfig:
    """The configuration of a fit of the session's series."""
    from noder.fit_config import FitConfig

    return FitConfig(
        method=choice.method,
        preset=choice.preset,
        settings=choice.settings,
        hold_out=tuple(sorted(session.hold_out)),
        exclude=tuple(sorted(session.exclude)),
        mask=session.mask,
        seed=choice.seed,
        device=choice.device,
        match_intensity=choice.match_intensity,
        intensity=choice.intensity,
        align=choice.align,
    )


def import_engine() -> None:
    """Import all that a series needs, one thread at a time.

    Two threads that begin to import torch at the same moment can get it half made: it has circles of imports, and
    Python then prefers an unfinished module to a deadlock.
    """
    with _importing:
        for name in ("torch", "noder.store", "noder.export", "noder_viewer.scene", "noder_viewer.frames"):
            importlib.import_module(name)


def is_project(paths: list[Path]) -> bool:
    """Whether `paths` are one project file."""
    return len(paths) == 1 and paths[0].suffix == PROJECT


def saved_fit_folder(paths: list[Path]) -> Path | None:
    """The folder of a saved fit, if that is what `paths` (the folder or its result.json) are."""
    if len(paths) != 1:
        return None
    folder = paths[0].parent if paths[0].name == "result.json" else paths[0]
    return folder if (folder / "result.json").is_file() else None


def write_picture(path: Path, png: bytes) -> Path:
    """Write PNG bytes under `path` at once; returns `path`. Raises OutputError."""
    from noder.atomic import output_errors

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with output_errors(path):
        try:
            temporary.write_bytes(png)
            temporary.replace(path)
        finally:
            if temporary.exists():
                temporary.unlink()
    return path


def _megabytes(series: ImageSeries) -> int:
    return round(sum(scan.image.n_bytes for scan in series.scans) / 1e6)


def opened(paths: list[Path], series: ImageSeries, result: FitResult | None, folder: Path | None) -> Opened:
    """A series whose voxels have been read, with the grey levels that suit it."""
    from noder_viewer.window_presets import range_of, shared_levels

    ranges = [range_of(scan.image, len(series.scans)) for scan in series.scans]
    bottom, top = min(low for low, _ in ranges), max(high for _, high in ranges)
    return Opened(paths, series, shared_levels(series), (bottom, max(top, bottom + 1e-6)), result, folder)
