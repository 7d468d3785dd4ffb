"""Fitting a series: a generator that yields its progress and returns its result. A thread is only a driver."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from noder.align import align_steps
from noder.best import Best
from noder.carriers import SeenScan
from noder.checkpoint import Checkpoint, fingerprint_of, read_checkpoint, write_checkpoint
from noder.composition import Composition
from noder.decoder import Decoder, SeparableDecoder
from noder.errors import OutOfMemory
from noder.evaluate import Report, Row, match_at, report_of, rows_of
from noder.fit_config import FitConfig, check, choose_device, seen_scans
from noder.flow import Flow, ScreenMap
from noder.intensity import fit_brightness
from noder.methods import FITS, Problem
from noder.methods.curve import Curve, TimedCurve
from noder.methods.nephi import NephiCurve
from noder.preprocess import Gain, Mask, foreground, read_mask, standardised
from noder.provenance import Provenance
from noder.series import ImageSeries
from noder.trajectory import Trajectory

if TYPE_CHECKING:
    from noder.fields import DisplacementField

NOT_BIT_STABLE = (
    "Fitted on a GPU: the gradient of a sampled grid is summed there in an order that varies, so that equal fits agree "
    "closely but not bit for bit. On the CPU they do."
)
CHECKPOINT_EVERY_S = 10.0
_SNAPSHOT_EVERY_S = 0.5
_FOLDS_EVERY = 20


@dataclass(frozen=True)
class FitProgress:
    """The state after a step of a fit.

    `losses` are weighted, by name; `folds` are folded voxels of the last scan's map on a grid of every second voxel,
    a quick look (the report counts all); `trajectory` is a snapshot for a preview, about twice a second.
    """

    step: int
    total: int
    stage: str
    losses: dict[str, float]
    folds: int | None
    seconds: float
    seconds_left: float | None
    trajectory: Trajectory | None = None


@dataclass(frozen=True)
class FitResult:
    """A fitted series. `report` is None where the fit was stopped before it was scored.

    `other_models` are those of the next seeds, in their order; `trajectory.others` holds their maps (`noder.spread`).
    """

    trajectory: Trajectory
    series: ImageSeries
    config: FitConfig
    gains: dict[int, Gain]
    history: list[FitProgress]
    provenance: Provenance
    model: Curve = field(repr=False)
    report: Report | None = None
    stopped: bool = False
    notes: tuple[str, ...] = ()
    other_models: tuple[Curve, ...] = field(default=(), repr=False)

    @property
    def n_seeds(self) -> int:
        """How many seeds it was fitted from."""
        return 1 + len(self.other_models)

    def scored(self) -> FitResult:
        """The same with its report."""
        mask, name = self.mask()
        rows = list(rows_of(self.trajectory, self.series, self.config.exclude, self.gains, mask))
        return replace(self, report=report_of(self.trajectory, rows, mask, name))

    def mask(self) -> tuple[Mask, str]:
        """The mask that the scores are taken in (I,J,K), and what it is."""
        return mask_of(self.series, self.config)


def fit(
    series: ImageSeries, config: FitConfig | None = None, checkpoint: Path | None = None, resume: bool = False
) -> FitResult:
    """Drain `fit_steps`."""
    steps = fit_steps(series, config or FitConfig(), checkpoint, resume)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: FitResult = end.value
            return result


def fit_steps(
    series: ImageSeries, config: FitConfig, checkpoint: Path | None = None, resume: bool = False
) -> Generator[FitProgress, bool | None, FitResult]:
    """Fit the seen scans of a series; sending True stops it, and it returns the best it has, unscored.

    With a path in `checkpoint` the state is kept there every few seconds; `resume` goes on from it, where there is one,
    and comes to the same result bit for bit on the CPU. Raises InputError for scans that cannot be fitted or a
    checkpoint of another fit, UsageError for a configuration that cannot be meant, OutOfMemory.
    """
    config = config.resolved()
    check(series, config)
    series = yield from _aligned(series, config)
    stopped = False
    run: _Run | None = None
    try:
        run = _Run(series, config, checkpoint)
        if resume:
            run.resume()
        for progress in run.steps():
            held_since = time.monotonic()
            stopped = bool((yield progress))
            run.watch.hold(held_since)
            if stopped:
                break
        result = run.result(stopped)
        if stopped:
            return result
        last, watch = replace(run.history[-1], stage="scoring", seconds_left=None), run.watch
        run = None  # scoring needs the memory that the fit has taken
        return (yield from _scoring(result, last, watch))
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        on_gpu = isinstance(error, torch.OutOfMemoryError)
    # raised out here, and without the run: a traceback would keep the arrays alive that have just been too many
    run = None
    if on_gpu:
        torch.cuda.empty_cache()
    raise out_of_memory(series, config, on_gpu=on_gpu)


def _aligned(series: ImageSeries, config: FitConfig) -> Generator[FitProgress, bool | None, ImageSeries]:
    """The series with its scans aligned to the first as `config` says; a wish to stop waits until that is done."""
    started = time.monotonic()
    mask = None if config.mask is None or config.align == "none" else read_mask(config.mask, series.grid)[0]
    steps = align_steps(series, config.align, mask=mask, exclude=config.exclude)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            aligned: ImageSeries = end.value
            return aligned
        yield FitProgress(0, 0, f"{config.align} alignment", {}, None, time.monotonic() - started, None)


def out_of_memory(series: ImageSeries, config: FitConfig, *, on_gpu: bool) -> OutOfMemory:
    """What to say, and what to change."""
    shape = " x ".join(map(str, series.grid.shape))
    advice = ["use the CPU (device cpu)"] if on_gpu else []
    if getattr(config.settings, "fine_iterations", 1):
        advice.append("choose the preset 'fast', which never uses the images at full size")
    advice.append(f"close other programs{' that use the GPU' if on_gpu else ''}")
    return OutOfMemory(
        f"The {'GPU' if on_gpu else 'fit'} ran out of memory with {len(seen_scans(series, config))} scans of {shape} "
        f"voxels. To go on, {', or '.join(advice)}."
    )


def _scoring(result: FitResult, last: FitProgress, watch: Watch) -> Generator[FitProgress, bool | None, FitResult]:
    """Add the report, row by row; sending True leaves the result unscored."""
    mask, name = result.mask()
    rows = rows_of(result.trajectory, result.series, result.config.exclude, result.gains, mask)
    scored: list[Row] = []
    while True:
        held_since = time.monotonic()
        if (yield replace(last, seconds=watch.seconds)):
            return result
        watch.hold(held_since)
        row = next(rows, None)
        if row is None:
            return replace(result, report=report_of(result.trajectory, scored, mask, name))
        scored.append(row)


class Watch:
    """Counts the seconds of work: those in which the driver holds a fit (it is paused) stand still."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds of work so far."""
        return time.monotonic() - self._started

    def hold(self, since: float) -> None:
        """Leave out the time from `since` (of `time.monotonic`) until now."""
        self._started += time.monotonic() - since

    def add(self, seconds: float) -> None:
        """Count seconds of work that was done before."""
        self._started -= seconds


class _Run:
    """One fit: the data it needs, and the method at work on it."""

    def __init__(self, series: ImageSeries, config: FitConfig, checkpoint: Path | None) -> None:
        self.series, self.config, self.checkpoint = series, config, checkpoint
        self.watch, self.best = Watch(), Best()
        self.history: list[FitProgress] = []
        self.device = choose_device(config.device)
        torch.backends.cudnn.allow_tf32 = False  # else the states that were trained are not those that are solved for
        self.seen = seen_scans(series, config)
        mask, _, notes = _mask(series, self.seen, config.mask)
        self.notes = notes if self.device.type == "cpu" else (*notes, NOT_BIT_STABLE)
        self.mask = mask
        self.span = (series.times[0], series.times[self.seen[-1]])
        taus = [(series.times[k] - self.span[0]) / (self.span[1] - self.span[0]) for k in self.seen]
        images = [
            standardised(series.scans[k].image.numpy(), mask, series.scans[k].image.name).to(self.device)
            for k in self.seen
        ]
        assert config.settings is not None  # resolved() has set it
        on_device = torch.from_numpy(mask).to(self.device)
        problem = Problem(tuple(images), tuple(taus), on_device, series.grid)
        self.fit = FITS[type(config.settings)](problem, config.settings, config.seed)  # type: ignore[call-arg]
        self.fingerprint = "" if checkpoint is None else fingerprint_of([asdict(config), taus], images, on_device)

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one. Raises InputError for one of another fit."""
        kept = None if self.checkpoint is None else read_checkpoint(self.checkpoint, self.fingerprint)
        if kept is not None:
            self.fit.load_state(kept.state)
            self.history = [FitProgress(**step) for step in kept.history]
            self.watch.add(kept.seconds)

    def steps(self) -> Iterator[FitProgress]:
        """Progress after every iteration, with a snapshot every half second, and a checkpoint every few."""
        kept_at = time.monotonic()
        for progress in self._steps():
            self.history.append(replace(progress, trajectory=None))
            if self.checkpoint is not None and time.monotonic() - kept_at > CHECKPOINT_EVERY_S:
                self._keep(self.checkpoint)
                kept_at = time.monotonic()
            yield progress

    def _keep(self, path: Path) -> None:
        steps = [asdict(progress) for progress in self.history]
        write_checkpoint(path, Checkpoint(self.fit.state(), steps, self.watch.seconds), self.fingerprint)

    def _steps(self) -> Iterator[FitProgress]:
        total, snapshot_at, folds = self.fit.total, 0.0, None
        done = len(self.history)
        clock = _Clock(self.fit.costs(), done, self.watch)
        for step, iteration in enumerate(self.fit.run(), start=done + 1):
            now = time.monotonic()
            trajectory = None
            self.best.add(iteration)
            if now - snapshot_at > _SNAPSHOT_EVERY_S or step == total:
                curve = self.fit.curve()
                self.best.offer(curve, step)
                trajectory, snapshot_at = self._trajectory(curve, {}), now
            if step % _FOLDS_EVERY == 0 or step == total:
                folds = self._folds()
            left = clock.left(iteration.cost, step)
            seconds = self.watch.seconds
            yield FitProgress(step, total, iteration.stage, iteration.losses, folds, seconds, left, trajectory)

    def result(self, stopped: bool) -> FitResult:
        """What there is after the last step; of a fit that was stopped, the best state at full size."""
        curve, notes = self.fit.curve(), self.notes
        if stopped and self.best.curve is not None:
            curve, notes = self.best.curve, (*notes, _kept_words(self.best.step, len(self.history)))
        provenance = Provenance.of_run(str(self.device), self.watch.seconds)
        trajectory, gains = self._trajectory(curve, {}), {k: Gain() for k in self.seen}
        if self.config.match_intensity:
            gains = {k: match_at(trajectory, self.series, k, self.mask, exact=not stopped) for k in self.seen}
            trajectory = self._trajectory(curve, gains)
        if not stopped:  # Stop must answer within a second, and this needs the inverse at every scan
            trajectory = self._judged(trajectory)
        return FitResult(
            trajectory, self.series, self.config, gains, self.history, provenance, curve,
            stopped=stopped, notes=notes,
        )  # fmt: skip

    def _judged(self, trajectory: Trajectory) -> Trajectory:
        """The same with what its scans say once they are carried: how well each fits, and what no motion explains."""
        residuals = [trajectory.residual(position, self.mask) for position in range(len(self.seen))]
        if not self.config.intensity:
            return trajectory.judged(residuals, None)
        pulled, times = trajectory.pulled_back(), trajectory.times
        brightness = fit_brightness(trajectory.scans[0].volume, pulled, times, trajectory.grid, self.mask)
        return trajectory.judged(residuals, brightness)

    def _folds(self) -> int:
        now = self._trajectory(self.fit.curve(), {})
        field: DisplacementField = now.field(self.series.grid.coarsen((2, 2, 2)), self.span[1])
        return field.folds()

    def _trajectory(self, curve: Curve, gains: Mapping[int, Gain]) -> Trajectory:
        return make_trajectory(self.fit.decoder, curve, self.series, self.seen, gains)


class _Clock:
    """Seconds left, from the cost of the iterations to come and the pace of those done."""

    def __init__(self, costs: list[float], before: int, watch: Watch) -> None:
        self.costs, self.before, self.watch = costs, before, watch
        self.done = 0.0
        self.started = watch.seconds

    def left(self, cost: float, step: int) -> float | None:
        """After `step` iterations, the last of which had `cost`; None until the pace is known."""
        self.done += cost
        if step < self.before + 3:
            return None
        return (self.watch.seconds - self.started) / self.done * sum(self.costs[step:])


def _kept_words(best: int, done: int) -> str:
    return (
        f"Stopped after step {done}: kept is the state after step {best}, where the total loss at full size was best."
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python says that memory has run out; on the CPU torch has no exception of its own for it."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def make_trajectory(
    decoder: SeparableDecoder, curve: Curve, series: ImageSeries, seen: Sequence[int], gains: Mapping[int, Gain]
) -> Trajectory:
    """The trajectory of a curve over the `seen` scans of a series, matched by their `gains`."""
    scans = [
        SeenScan(
            k,
            series.scans[k].time,
            series.scans[k].image.name,
            series.scans[k].image.tensor(),
            gain=gains.get(k, Gain()),
        )
        for k in seen
    ]
    return carrying(decoder, curve, series, scans)


def carrying(decoder: SeparableDecoder, curve: Curve, series: ImageSeries, scans: Sequence[SeenScan]) -> Trajectory:
    """The trajectory of a curve that carries `scans`, sorted by time, as they are."""
    timed = TimedCurve(curve, (scans[0].time, scans[-1].time), min(series.grid.spacing))
    moved = map_of(decoder, timed)
    return Trajectory(decoder, timed, scans, series.unit, series.reference.image.stored_grid, moved)


def map_of(decoder: SeparableDecoder, timed: TimedCurve) -> ScreenMap | None:
    """What moves the points, where that is more than W c(t)."""
    if isinstance(timed.curve, NephiCurve):
        return Composition(decoder.grid, timed.curve.parts(timed.tau, timed.voxel_mm))
    if isinstance(decoder, Decoder) and timed.curve.kind != "displacement":
        return Flow(decoder, timed, timed.clock)
    return None


def mask_of(series: ImageSeries, config: FitConfig) -> tuple[Mask, str]:
    """The mask that a fit is scored in (I,J,K), and what it is."""
    mask, name, _ = _mask(series, seen_scans(series, config), config.mask)
    return mask, name


def _mask(series: ImageSeries, seen: list[int], path: Path | None) -> tuple[Mask, str, tuple[str, ...]]:
    """The mask, what it is, and notes; an automatic one is taken from the seen scans alone."""
    if path is not None:
        mask, notes = read_mask(path, series.grid)
        return mask, path.name, notes
    return (
        foreground([series.scans[k].image.numpy() for k in seen], series.grid),
        "foreground (automatic)",
        (),
    )
