"""Takes PySide's hook out of Python's imports: it breaks imports in threads, and nothing here needs it."""

from __future__ import annotations

import builtins


def without_feature_hook() -> None:
    """Import as Python does, without what PySide prepares for `from __feature__ import ...`. Call it once PySide is in.

    The hook reads the source of every module that is imported. While it does, it takes itself out of `builtins` for all
    threads: of two threads that import at once, one skips the hook at random. And it asks each module for an attribute
    `__wrapped__`, which modules of pydantic answer by an import of their own. Both together hand out half-made modules:
    napari then fails with "cannot import name 'import_string' from partially initialized module".
    """
    original = getattr(builtins, "__orig_import__", None)  # what the hook itself goes on to
    if original is not None:
        builtins.__import__ = original
