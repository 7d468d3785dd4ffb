"""How kernels are compiled, and how their work is dealt to threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from typing import Any

import platformdirs
import torch

if getattr(sys, "frozen", False):  # Numba would else put its cache into the folder that the program is started in
    os.environ.setdefault("NUMBA_CACHE_DIR", platformdirs.user_cache_dir("noder-viewer"))

from numba import njit  # reads the environment once, here


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Numba's njit without the GIL; kept on disk, where there is a folder to write to."""
    machine_code: Callable[..., Any]
    try:
        machine_code = njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder: compiled anew by every process
        machine_code = njit(nogil=True, error_model="numpy")(function)
    return machine_code


def deal(n: int, work: Callable[[int, int], object], least: int = 1) -> None:
    """Call work(start, stop) on ranges that cover 0..n, one a thread of torch, none much shorter than `least`."""
    parts = max(1, min(torch.get_num_threads(), n // least))
    edges = [n * k // parts for k in range(parts + 1)]
    if parts == 1:
        work(0, n)
        return
    waiting = [_pool(parts - 1).submit(work, a, b) for a, b in pairwise(edges[1:])]
    work(edges[0], edges[1])
    for part in waiting:
        part.result()


@lru_cache(maxsize=8)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")
