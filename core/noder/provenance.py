"""What a number needs to be repeated: versions, device, seconds and memory of a run."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

import torch

_PACKAGES = ("noder-viewer", "torch", "torchdiffeq", "numpy", "scipy", "scikit-image", "nibabel", "SimpleITK")


@dataclass(frozen=True)
class Provenance:
    """`seconds` of wall time and `peak_memory_mib` of the whole process (None where the system does not tell).

    `threads`: of torch on the CPU; None in what an earlier version wrote. Equal fits are equal for any number of them.
    """

    device: str
    seconds: float
    peak_memory_mib: float | None
    versions: dict[str, str] = field(default_factory=dict)
    threads: int | None = None

    @classmethod
    def of_run(cls, device: str, seconds: float) -> Provenance:
        """For a run that has just ended in this process."""
        return cls(device, seconds, peak_memory_mib(), versions(), torch.get_num_threads())


def versions() -> dict[str, str]:
    """Python, the system and the packages whose numerics matter."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a frozen program may leave the metadata out
            found[package] = "unknown"
    return found


def peak_memory_mib() -> float | None:
    """Largest resident size of this process so far."""
    try:
        import resource
    except ImportError:  # Windows has no such module
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
