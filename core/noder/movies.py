"""Movies as files: frames of pixels in, MP4 (H.264, PyAV) or GIF (Pillow) out. No screen is known here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from noder.errors import OutputError, UsageError
from noder.image import written_atomically

if TYPE_CHECKING:
    from PIL import Image

Frame = NDArray[np.uint8]

ENCODERS = ("libx264", "libopenh264", "mpeg4")
"""Of an MP4, best first: which of them there are depends on how PyAV was built."""
MAX_GIF_FPS = 50.0
"""Viewers show a GIF whose frames are shorter than 1/50 s far slower than it says."""
MAX_GIF_BYTES = 1_500_000_000
"""Of all frames together, a byte a pixel, which Pillow keeps in memory to the end."""
GREYS, NEARLY_GREY = 96, 12
"""Greys in the palette of a GIF, and how far apart red, green and blue of a grey pixel may be."""
_NO_FRAME = "a movie needs at least one frame"


def write_movie(path: Path | str, frames: Iterable[Frame], fps: float) -> Path:
    """Write frames (height, width, 3) uint8 RGB as they come, `fps` a second; the suffix chooses MP4 or GIF.

    The file appears under its name when it is whole; whatever `frames` raises leaves nothing behind. Raises UsageError
    for another suffix, ValueError for no frame, OutputError where the file cannot be written.
    """
    path = Path(path)
    write = _writer_of(path)
    with written_atomically(path) as temporary:
        write(temporary, frames, fps)
    return path


def check_movie(path: Path, size: tuple[int, int], n_frames: int, fps: float) -> None:
    """Raise UsageError, with what to change, for a movie that cannot be written: suffix, size, speed, memory."""
    suffix, (width, height) = path.suffix.lower(), size
    _writer_of(path)
    if suffix == ".mp4" and (width % 2 or height % 2):
        raise UsageError(
            f"H.264 takes even sizes only, not {width} x {height}. Choose {_even(width)} x {_even(height)}."
        )
    if suffix == ".gif" and fps > MAX_GIF_FPS:
        raise UsageError(f"A GIF cannot be faster than {MAX_GIF_FPS:g} frames a second. Choose MP4 or a lower speed.")
    if suffix == ".gif" and width * height * n_frames > MAX_GIF_BYTES:
        raise UsageError(
            f"{n_frames} frames of {width} x {height} pixels are too many for a GIF, which is made in memory. "
            "Choose MP4, or fewer or smaller frames."
        )


def gif_ms(k: int, fps: float) -> int:
    """Milliseconds that frame k of a GIF is shown: whole hundredths of a second, and the movie keeps its length."""
    return 10 * (round(100 * (k + 1) / fps) - round(100 * k / fps))


def _write_mp4(path: Path, frames: Iterable[Frame], fps: float) -> None:
    import av
    import imageio.v3 as imageio

    try:
        with imageio.imopen(path, "w", plugin="pyav") as out:
            writer: Any = out
            for k, frame in enumerate(frames):
                if k == 0:
                    writer.init_video_stream(_encoder(), fps=fps, pixel_format="yuv420p")
                writer.write_frame(frame)
            if not writer.frames_written:
                raise ValueError(_NO_FRAME)
    except av.error.FFmpegError as error:
        raise OutputError(f"The movie cannot be encoded ({error}). Choose another size, or GIF.") from error


def _write_gif(path: Path, frames: Iterable[Frame], fps: float) -> None:
    shown: list[int] = []

    def pages() -> Iterator[Image.Image]:
        for frame in frames:
            shown.append(gif_ms(len(shown), fps))
            yield _with_palette(frame)

    rest = pages()
    first = next(rest, None)
    if first is None:
        raise ValueError(_NO_FRAME)
    # Pillow reads the duration of a page when it has got it, so that the list may grow meanwhile
    first.save(path, save_all=True, append_images=rest, duration=shown, loop=0, disposal=1)


def _with_palette(frame: Frame) -> Image.Image:
    """256 colours: an even ramp of greys, as scans have, and an octree's choice of the other colours in the frame.

    An octree alone leaves 32 greys; median cut spends its colours on the many, and the few green voxels of folds turn
    brown.
    """
    from PIL import Image

    page = Image.new("P", (1, 1))
    page.putpalette(_palette(frame).tobytes())
    return Image.fromarray(frame).quantize(palette=page, dither=Image.Dither.NONE)


def _palette(frame: Frame) -> Frame:
    """(n, 3) with n up to 256."""
    from PIL import Image

    greys = np.linspace(0, 255, GREYS).round().astype(np.uint8).repeat(3).reshape(-1, 3)
    flat = frame.reshape(-1, 3)
    coloured = flat[flat.max(axis=1).astype(int) - flat.min(axis=1) > NEARLY_GREY]
    if not len(coloured):
        return greys
    chosen = Image.fromarray(coloured[None]).quantize(256 - GREYS, method=Image.Quantize.FASTOCTREE)
    return np.concatenate([greys, np.array(chosen.getpalette(), np.uint8).reshape(-1, 3)])


WRITERS = {".mp4": _write_mp4, ".gif": _write_gif}
"""Suffix -> what writes it."""


def _writer_of(path: Path) -> Callable[[Path, Iterable[Frame], float], None]:
    try:
        return WRITERS[path.suffix.lower()]
    except KeyError:
        known = " or ".join(WRITERS)
        raise UsageError(f"{path.name} is no movie that can be written. End its name in {known}.") from None


def _encoder() -> str:
    import av

    return next(name for name in ENCODERS if name in av.codecs_available)


def _even(n: int) -> int:
    return n + n % 2
