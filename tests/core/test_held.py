"""Voxels are kept within a bound: those used longest ago go first, and what could not be read again stays."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from noder.grid import Grid
from noder.held import HELD
from noder.image import Image

SHAPE = (10, 10, 10)
BYTES = 4 * 1000


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Image]:
    monkeypatch.setattr(HELD, "most", 2 * BYTES)
    found = []
    for k in range(3):
        nibabel.save(nibabel.Nifti1Image(np.full(SHAPE, k, np.float32), np.eye(4)), tmp_path / f"{k}.nii")
        found.append(Image.open(tmp_path / f"{k}.nii"))
    return found


def test_the_one_used_longest_ago_is_released_and_can_be_read_again(images: list[Image]) -> None:
    for k in (0, 1, 0, 2):
        images[k].numpy()
    assert [image.is_loaded for image in images] == [True, False, True]
    assert images[1].numpy().max() == 1
    assert [image.is_loaded for image in images] == [False, True, True]


def test_without_a_bound_all_are_kept(images: list[Image], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HELD, "most", None)
    for image in images:
        image.numpy()
    assert all(image.is_loaded for image in images)


def test_images_in_memory_alone_are_neither_counted_nor_released(images: list[Image]) -> None:
    made = [Image.from_array(np.ones(SHAPE, np.float32), Grid(SHAPE, np.eye(4)), f"made {k}") for k in range(3)]
    for image in (images[0], *made, images[1]):
        image.numpy()
    assert all(image.is_loaded for image in (images[0], images[1], *made))


def test_one_that_another_thread_is_reading_is_not_waited_for(images: list[Image]) -> None:
    import threading

    images[0].numpy()
    images[1].numpy()
    taken, done = threading.Event(), threading.Event()

    def reading() -> None:
        with images[0]._lock:
            taken.set()
            done.wait(10)

    thread = threading.Thread(target=reading)
    thread.start()
    taken.wait(10)
    images[2].numpy()
    assert images[0].is_loaded
    assert not images[1].is_loaded
    done.set()
    thread.join()
