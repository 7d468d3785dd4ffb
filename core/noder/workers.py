"""Jobs on a series in this process or spread over several; which of the two changes no result."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray

from noder.errors import OutOfMemory
from noder.grid import Grid
from noder.image import Image
from noder.series import ImageSeries, Scan

Found = tuple[float, list[tuple[int, Any]]]

_LOOK_EVERY_S = 0.2


class Job(Protocol):
    """Work on a series, done bit by bit; it must be picklable, and so must its result."""

    def run(self, series: ImageSeries) -> Generator[float, bool | None, Any]:
        """Yields the share that is done."""


class Workers(AbstractContextManager["Workers"]):
    """Iterates over (jobs done, as a number that may be broken; what has finished since, as (number, result)).

    With one worker the jobs run here, a step between two looks. With more they run in spawned processes, which share
    torch's threads evenly and hold the series once each. Leaving the context ends what runs. Raises what a job raises,
    and OutOfMemory where a process was killed.
    """

    def __init__(self, series: ImageSeries, jobs: Sequence[Job], workers: int) -> None:
        self._series, self._jobs = series, jobs
        n = min(workers, len(jobs))
        self._lines = _hired(series, n) if n > 1 else {}

    def __exit__(self, *_: object) -> None:
        """A job writes nothing, so that a process may be ended at any moment."""
        for process in self._lines.values():
            process.terminate()
        for line, process in self._lines.items():
            process.join()
            line.close()

    def __iter__(self) -> Iterator[Found]:
        return self._there() if self._lines else self._here()

    def _here(self) -> Iterator[Found]:
        for k, job in enumerate(self._jobs):
            steps = job.run(self._series)
            try:
                while True:
                    yield k + next(steps), []
            except StopIteration as end:
                result = end.value
            yield k + 1.0, [(k, result)]

    def _there(self) -> Iterator[Found]:
        shares, at = [0.0] * len(self._jobs), dict(zip(self._lines, range(len(self._jobs)), strict=False))
        for line, k in at.items():
            line.send(self._jobs[k])
        following = len(at)
        while at:
            finished = []
            for line in cast("list[Connection]", wait(list(at), _LOOK_EVERY_S)):
                shares[at[line]], result = self._heard(line)
                if shares[at[line]] == 1:
                    finished.append((at.pop(line), result))
                    if following < len(self._jobs):
                        line.send(self._jobs[following])
                        at[line] = following
                        following += 1
            yield sum(shares), finished

    def _heard(self, line: Connection) -> tuple[float, Any]:
        try:
            share, result = line.recv()
        except (EOFError, ConnectionError) as error:
            raise OutOfMemory(
                f"One of {len(self._lines)} worker processes was ended by the system, most likely for want of memory. "
                "Use fewer workers."
            ) from error
        if isinstance(result, BaseException):
            raise result
        return share, result


def _hired(series: ImageSeries, n: int) -> dict[Connection, Any]:
    """The lines to n processes, and the processes."""
    context = multiprocessing.get_context("spawn")
    sent, threads, lines = _Sent.of(series), max(1, torch.get_num_threads() // n), {}
    for _ in range(n):
        here, there = context.Pipe()
        process = context.Process(target=_serve, args=(there, sent, threads), daemon=True)
        process.start()
        there.close()  # so that the line ends when the process does
        lines[here] = process
    return lines


def _serve(line: Connection, sent: _Sent, threads: int) -> None:
    """The body of a process: a job comes in, shares and at last (1, result) go out, until the line ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    torch.set_num_threads(threads)
    series = sent.series()
    try:
        while True:
            _answer(line, line.recv(), series)
    except (EOFError, ConnectionError):
        pass  # the parent has gone


def _answer(line: Connection, job: Job, series: ImageSeries) -> None:
    told = 0.0
    try:
        steps = job.run(series)
        while True:
            share = next(steps)
            if time.monotonic() - told > _LOOK_EVERY_S:
                line.send((min(share, 0.999), None))
                told = time.monotonic()
    except StopIteration as end:
        line.send((1, end.value))
    except Exception as error:  # noqa: BLE001  it is raised where the jobs were given
        line.send((1, error))


@dataclass(frozen=True, eq=False)
class _Sent:
    """A series as another process can be given it: voxels on the closest-RAS grid, and the rest of it without scans."""

    voxels: list[NDArray[np.float32]]
    places: list[tuple[str, float, str]]
    grid: Grid
    rest: ImageSeries

    @classmethod
    def of(cls, series: ImageSeries) -> _Sent:
        voxels = [scan.image.numpy() for scan in series.scans]
        places = [(scan.image.name, scan.time, scan.time_source) for scan in series.scans]
        return cls(voxels, places, series.grid, replace(series, scans=()))

    def series(self) -> ImageSeries:
        scans = [
            Scan(Image.from_array(voxels, self.grid, name), t, source)
            for voxels, (name, t, source) in zip(self.voxels, self.places, strict=True)
        ]
        return replace(self.rest, scans=tuple(scans))
