"""How many processor cores torch uses, in the window's thread and in those of fits, and how much memory scans may keep.

No Qt, and torch stays inside.
"""

from __future__ import annotations

LEAST_HELD = 2**30
"""Bytes of voxels that are kept in any case: scans that are compared must not push each other out."""
_cores: list[int] = []
_most_cores: list[int] = []


def share_cores(*, leave_one: bool) -> None:
    """Let torch use all cores in the calling thread, or all but one.

    With every core taken by the fit and as many by the window, neither of the two gets on. torch keeps the number
    for each thread apart; `_cores` is what it chose by itself, OMP_NUM_THREADS included.
    """
    import torch

    if not _cores:
        _cores.append(torch.get_num_threads())
    torch.set_num_threads(max(1, min([_cores[0] - int(leave_one), *_most_cores])))


def limit_cores(most: int) -> None:
    """Let torch use at most `most` cores from now on; 0: as many as it chooses by itself."""
    _most_cores[:] = [most] if most else []


def bound_memory() -> None:
    """Keep the voxels of scans in at most half of the memory that is free now; beyond, they are read again."""
    from noder.estimate import available_memory
    from noder.held import HELD

    free = available_memory()
    HELD.most = None if free is None else max(int(free / 2), LEAST_HELD)
