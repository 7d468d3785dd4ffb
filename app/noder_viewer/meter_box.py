"""The meter of the map that is shown: its folds and how well its inverse undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QGroupBox, QLabel, QVBoxLayout, QWidget

from noder_viewer.restyle import set_property
from noder_viewer.ticks import words

if TYPE_CHECKING:
    from noder.soundness import Soundness

WAITING = "Measured once there is a map."
LEAST_MM = 0.001
_TIP = (
    "Folds: voxels with a determinant of zero or less at any of their eight corners, in the whole image.\n"
    "Inverse consistency: how far from where it began a point ends that goes through the inverse map and back."
)


class MeterBox(QGroupBox):
    """A group whose title switches the measuring; it runs in the background, also while a fit does."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Meter: folds, inverse consistency", parent)
        self.setProperty("switch", True)
        self.setCheckable(True)
        self.setToolTip(_TIP)
        self.words = QLabel(WAITING, wordWrap=True)
        self.words.setAccessibleName("Folds and inverse consistency at the time shown")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 6)
        layout.addWidget(self.words)

    def set_soundness(self, found: Soundness | None, time: str = "") -> None:
        """Show what was found at `time`, in words; None for nothing."""
        self.words.setText(WAITING if found is None else soundness_words(found, time))
        set_property(self.words, "error", found is not None and found.folds > 0)


def soundness_words(found: Soundness, time: str) -> str:
    """Three short lines, one a fact."""
    share = f" ({words(100 * found.share)} %)" if found.folds else ""
    count = f"{found.folds} folded voxel{'' if found.folds == 1 else 's'}{share}" if found.folds else "no folds"
    return (
        f"t = {time}: {count}\n"
        f"smallest determinant {words(found.smallest)}\n"
        f"inverse off by {_mm(found.inverse_mean_mm)} (mean), {_mm(found.inverse_max_mm)} (max)"
    )


def _mm(length: float) -> str:
    return f"{words(length)} mm" if not length < LEAST_MM else f"< {LEAST_MM} mm"
