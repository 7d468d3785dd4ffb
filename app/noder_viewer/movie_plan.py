"""What a movie shall be: its view, times, speed, size. Pure functions, no Qt."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from noder_viewer.picture_look import Look
from noder_viewer.session import Show

SIZES: dict[str, tuple[int, int]] = {
    "640 × 480": (640, 480),
    "854 × 480": (854, 480),
    "1280 × 720": (1280, 720),
    "1920 × 1080": (1920, 1080),
    "800 × 800, square": (800, 800),
}
"""Presets of a picture's pixels: even numbers, as H.264 wants them."""
SMALLEST, LARGEST = 160, 4096
MAX_FRAMES = 5000
BYTES_PER_PIXEL = {".mp4": 0.012, ".gif": 0.17}
"""Of a frame in a file, as measured on slices of the sample: to say beforehand about how large a movie will be."""


@dataclass(frozen=True)
class MovieRequest:
    """`what`: a key of `picture_look.VIEWS`; `show` None: as the window shows it. `times`: one a frame, as played."""

    path: Path
    what: str
    times: tuple[float, ...]
    fps: float
    size: tuple[int, int]
    look: Look = field(default_factory=Look)
    show: Show | None = None

    @property
    def step(self) -> float:
        """Time from a frame to the next."""
        return abs(self.times[1] - self.times[0]) if len(self.times) > 1 else 0.0


def frame_times(first: float, last: float, n: int, *, there_and_back: bool = False) -> tuple[float, ...]:
    """`n` times from `first` to `last`, both shown; or there and back, where neither end is shown twice in a row.

    What plays in a loop then has no hitch: `n` frames there are 2 n - 2 in all.
    """
    if n < 2:
        return (first,)
    there = tuple(first + (last - first) * k / (n - 1) for k in range(n))
    return there + there[-2:0:-1] if there_and_back else there


def estimate_words(n_frames: int, fps: float, size: tuple[int, int], suffix: str) -> str:
    """Number of frames, length and about the size of the file."""
    seconds = n_frames / fps
    frames = "1 frame" if n_frames == 1 else f"{n_frames} frames"
    if suffix not in BYTES_PER_PIXEL:
        return f"{frames}, {seconds:.3g} s"
    megabytes = BYTES_PER_PIXEL[suffix] * size[0] * size[1] * n_frames / 1e6
    return f"{frames}, {seconds:.3g} s, about {_round(megabytes)} MB"


def _round(value: float) -> str:
    """One digit: the size of a file depends on what is in the pictures."""
    if value < 0.1:
        return "0.1"
    digits = -math.floor(math.log10(value))
    return f"{round(value, digits):.{max(digits, 0)}f}"
