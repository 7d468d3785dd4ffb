"""The newest results of pure functions, forgotten together with the object they were computed from."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from noder.kept import Kept

T = TypeVar("T")


class Recent:
    """At most `per_owner` results an owner; owners are held weakly: an old fit takes its slices with it."""

    def __init__(self, per_owner: int) -> None:
        self._per_owner = per_owner
        self._owners: WeakKeyDictionary[Any, Kept[Hashable, Any]] = WeakKeyDictionary()
        self._lock = Lock()

    def get(self, owner: object, key: Hashable, compute: Callable[[], T]) -> T:
        """The remembered result, or that of `compute`."""
        with self._lock:
            kept = self._owners.setdefault(owner, Kept(self._per_owner))
        return cast(T, kept.get(key, compute))

    def has(self, owner: object, key: Hashable) -> bool:
        """Whether `get` would have to compute nothing."""
        with self._lock:
            kept = self._owners.get(owner)
        return kept is not None and key in kept
