"""Looks below folders for files and folders by their names, near ones first, within bounds."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

DEPTH = 8
"""How many folders deep a search goes."""
MOST = 50_000
"""How many names a search reads: a folder chosen too high up must not cost minutes."""


class Below:
    """What lies in and below the folders `places`, read at the first question."""

    def __init__(self, places: Sequence[Path], depth: int = DEPTH, most: int = MOST) -> None:
        self._places, self._depth, self._most = tuple(places), depth, most

    def named(self, name: str) -> list[Path]:
        """All files and folders of that name, near ones first."""
        return self._by_name[0].get(name, [])

    @property
    def is_cut(self) -> bool:
        """Whether there was more than was read."""
        return self._by_name[1]

    @cached_property
    def _by_name(self) -> tuple[dict[str, list[Path]], bool]:
        found = dict[str, list[Path]]()
        for count, path in enumerate(_walk(self._places, self._depth)):
            if count == self._most:
                return found, True
            found.setdefault(path.name, []).append(path)
        return found, False


def _walk(places: Sequence[Path], depth: int) -> Iterator[Path]:
    """Breadth first; hidden folders and links to folders are left out, and folders that may not be read."""
    folders = deque((place, 0) for place in places)
    while folders:
        folder, level = folders.popleft()
        entries = list[os.DirEntry[str]]()
        with suppress(OSError), os.scandir(folder) as scanned:
            entries = sorted(scanned, key=lambda each: each.name)
        for entry in entries:
            yield Path(entry.path)
            if level < depth and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                folders.append((Path(entry.path), level + 1))
