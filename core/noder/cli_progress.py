"""What the commands show of work that takes a while, and how Ctrl+C stops it. Heavy imports wait inside."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from noder.fit import FitProgress

CANCELLED = 130
"""Exit code after Ctrl+C."""

Value = TypeVar("Value")


def driven(
    steps: Generator[Any, bool | None, Value], quiet: bool, show: Callable[[Any, Any], None], unit: str
) -> tuple[Value, bool]:
    """Drain steps with a progress bar; the first Ctrl+C stops them with what they have, and is told."""
    from tqdm import tqdm

    cancelled = False

    def cancel(*_: object) -> None:
        nonlocal cancelled
        if cancelled:
            raise KeyboardInterrupt
        cancelled = True

    before = signal.signal(signal.SIGINT, cancel)
    try:
        with tqdm(disable=quiet, file=sys.stderr, unit=unit) as bar:
            progress = next(steps)
            while True:
                show(bar, progress)
                progress = steps.send(True if cancelled else None)
    except StopIteration as end:
        result: Value = end.value
        return result, cancelled
    finally:
        signal.signal(signal.SIGINT, before)
        steps.close()


def show_step(bar: Any, progress: FitProgress) -> None:
    """Stage, losses and how far a fit is, in a bar of tqdm."""
    bar.total = progress.total
    bar.update(progress.step - bar.n)
    bar.set_description(progress.stage)
    bar.set_postfix({name: f"{value:.4f}" for name, value in progress.losses.items()}, refresh=False)
