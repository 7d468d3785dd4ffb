"""The newest results of pure functions, forgotten together with the object they were computed from."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Recent:
    """At most `per_owner` results an owner; owners are held weakly: an old fit takes its slices with it."""

    def __init__(self, per_owner: int) -> None:
        self._per_owner = per_owner
        self._kept: WeakKeyDictionary[Any, OrderedDict[Hashable, Any]] = WeakKeyDictionary()
        self._lock = Lock()

    def get(self, owner: object, key: Hashable, compute: Callable[[], T]) -> T:
        """The remembered result, or that of `compute` (run outside the lock: it may take long)."""
        with self._lock:
            kept = self._kept.setdefault(owner, OrderedDict())
            if key in kept:
                kept.move_to_end(key)
                return cast(T, kept[key])
        value = compute()
        with self._lock:
            kept[key] = value
            while len(kept) > self._per_owner:
                kept.popitem(last=False)
        return value
