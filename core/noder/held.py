"""The voxels of all images that are in memory, and a bound on them."""

from __future__ import annotations

from threading import Lock
from typing import Protocol
from weakref import ref


class Voxels(Protocol):
    """What an image is here."""

    @property
    def is_loaded(self) -> bool:
        """Whether the voxels are in memory."""

    @property
    def n_bytes(self) -> int:
        """What they take there."""

    def release_if_idle(self) -> bool:
        """Let them go unless they are being read; whether they went."""


class Held:
    """Images whose voxels can be read again, those used last at the end; beyond `most` bytes the first are released.

    Without a bound (None, as in a script) all are kept.
    """

    def __init__(self) -> None:
        self.most: int | None = None
        self._images: dict[int, ref[Voxels]] = {}
        self._lock = Lock()

    def used(self, image: Voxels) -> None:
        """Called by an image whose voxels were just read or asked for; the caller holds none of its locks.

        An image that another thread is reading at this moment is not waited for: it may be waiting for this one.
        """
        with self._lock:
            self._images.pop(id(image), None)
            self._images[id(image)] = ref(image)
            others = [found for each in self._images.values() if (found := each()) is not None and found.is_loaded]
            self._images = {id(each): ref(each) for each in others}
        if self.most is None:
            return
        excess = sum(each.n_bytes for each in others) - self.most
        for each in others[:-1]:
            if excess <= 0:
                return
            excess -= each.n_bytes if each.release_if_idle() else 0


HELD = Held()
