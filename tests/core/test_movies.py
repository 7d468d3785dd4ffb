"""Movies: what is read back is what was written, frame by frame, as long as was asked for; or nothing is there."""

from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from noder.colours import FOLD
from noder.errors import NoderError, OutputError, UsageError
from noder.movies import Frame, check_movie, write_movie

WIDTH, HEIGHT = 320, 240
TOLERANCE = {".mp4": 2.0, ".gif": 3.0}
PLUGIN = {".mp4": "pyav", ".gif": "pillow"}


def frames(n: int) -> Iterator[Frame]:
    """A coloured bar that walks to the right over a ramp of grey."""
    for k in range(n):
        ramp = np.linspace(0, 160, WIDTH).astype(np.uint8)
        frame = np.repeat(np.repeat(ramp[None, :, None], HEIGHT, 0), 3, 2).copy()
        frame[40:200, 20 * k : 20 * k + 20] = (40, 90, 230)
        yield frame


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_every_frame_is_read_back_in_its_place(tmp_path: Path, suffix: str) -> None:
    path = write_movie(tmp_path / f"bar{suffix}", frames(13), 7)
    read = imageio.imread(path, plugin=PLUGIN[suffix]).astype(int)
    assert read.shape == (13, HEIGHT, WIDTH, 3)
    for k, frame in enumerate(frames(13)):
        away = [np.abs(other - frame).mean() for other in read]
        assert np.argmin(away) == k
        assert away[k] < TOLERANCE[suffix]


def test_an_mp4_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    meta = imageio.immeta(write_movie(tmp_path / "bar.mp4", frames(13), 6.5), plugin="pyav")
    assert meta["codec"] in ("h264", "mpeg4")
    assert meta["duration"] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize("fps", [7.0, 12.0, 30.0])
def test_a_gif_keeps_its_length_though_it_counts_hundredths(tmp_path: Path, fps: float) -> None:
    with Image.open(write_movie(tmp_path / "bar.gif", frames(13), fps)) as gif:
        shown = []
        for k in range(gif.n_frames):
            gif.seek(k)
            shown.append(gif.info["duration"])
        assert gif.info["loop"] == 0
    assert len(shown) == 13
    assert sum(shown) == pytest.approx(1000 * 13 / fps, abs=5)
    assert max(shown) - min(shown) <= 10


def test_a_few_folded_voxels_keep_their_colour_in_a_gif(tmp_path: Path) -> None:
    """Median cut spends its 256 colours on the many, and paints the few brown."""
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (HEIGHT, WIDTH, 1))
    frame = np.clip(grey * np.array([1.0, 0.8, 0.6]) + rng.integers(0, 30, (HEIGHT, WIDTH, 3)), 0, 255).astype(np.uint8)
    frame[100:106, 100:106] = FOLD
    read = imageio.imread(write_movie(tmp_path / "fold.gif", [frame], 10), plugin="pillow").reshape(HEIGHT, WIDTH, 3)
    assert np.abs(read[100:106, 100:106].astype(int) - FOLD).max() < 30


def test_a_gif_has_no_steps_in_its_greys(tmp_path: Path) -> None:
    """An octree alone has 32 greys, and a scan looks like a map of contours."""
    ramp = np.repeat(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 8, 0), 3, 2)
    read = imageio.imread(write_movie(tmp_path / "ramp.gif", [ramp], 10), plugin="pillow").reshape(8, 256, 3)
    assert np.abs(read.astype(int) - ramp).max() <= 6
    assert len(np.unique(read[0, :, 0])) > 60


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_what_breaks_off_leaves_the_folder_as_it_was(tmp_path: Path, suffix: str) -> None:
    before = tmp_path / f"kept{suffix}"
    before.write_bytes(b"an earlier movie")

    def broken() -> Iterator[Frame]:
        yield from frames(3)
        raise RuntimeError("the user has thought again")

    with pytest.raises(RuntimeError, match="thought again"):
        write_movie(before, broken(), 10)
    assert before.read_bytes() == b"an earlier movie"
    assert list(tmp_path.iterdir()) == [before]


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_no_frame_is_no_movie(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        write_movie(tmp_path / f"none{suffix}", [], 10)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "size", "n", "fps", "words"),
    [
        ("a.mp4", (321, 240), 10, 10, "322 x 240"),
        ("a.gif", (320, 240), 10, 60, "50 frames a second"),
        ("a.gif", (1920, 1080), 1000, 10, "Choose MP4"),
        ("a.avi", (320, 240), 10, 10, r"\.mp4 or \.gif"),
    ],
)
def test_what_cannot_be_written_says_what_to_choose(
    name: str, size: tuple[int, int], n: int, fps: float, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        check_movie(Path(name), size, n, fps)


def test_what_can_be_written_is_not_refused() -> None:
    check_movie(Path("a.MP4"), (1920, 1080), 5000, 60)
    check_movie(Path("a.gif"), (321, 241), 100, 50)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="was not written"):
        write_movie(tmp_path / "file" / f"a{suffix}", frames(2), 10)
    assert issubclass(OutputError, NoderError)
