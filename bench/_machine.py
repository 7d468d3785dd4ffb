"""What a figure needs beside it: the machine, the versions, the date, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from noder.provenance import versions


def machine() -> dict[str, Any]:
    """CPU model, cores that this process may use, memory in GiB, load, versions and date (UTC)."""
    return {
        "cpu": _first("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(_kib("/proc/meminfo", "MemTotal") / 2**20, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": versions(),
    }


def described(facts: dict[str, Any]) -> str:
    """One line for the head of a table."""
    return (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, load {facts['load_before']} before; "
        f"torch {facts['versions']['torch']}, {facts['date']}"
    )


def pace() -> str:
    """How fast this machine is now, on all threads: what its seconds must be read with, since machines are shared."""
    flat, matrix = torch.ones(2**26), torch.ones(2048, 2048)
    into = torch.empty_like(flat)
    copied = min(_seconds(lambda: into.copy_(flat)) for _ in range(5))
    multiplied = min(_seconds(lambda: matrix @ matrix) for _ in range(5))
    return (
        f"pace: copies {2 * 4 * 2**26 / copied / 1e9:.0f} GB/s, multiplies {2 * 2048**3 / multiplied / 1e9:.0f} GF/s "
        f"({torch.get_num_threads()} threads)"
    )


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def reset_peak() -> None:
    """Forget the largest resident size so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def resident_mib() -> float:
    """Resident size now."""
    return _kib("/proc/self/status", "VmRSS") / 2**10


def peak_mib() -> float:
    """Largest resident size since `reset_peak`."""
    return _kib("/proc/self/status", "VmHWM") / 2**10


def _kib(path: str, name: str) -> float:
    value = _first(path, name)
    return float(value.split()[0]) if value else float("nan")


def _first(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
