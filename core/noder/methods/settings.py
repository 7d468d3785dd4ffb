"""Settings that the methods share; a form, the command line and a file are made from the fields and their metadata."""

from __future__ import annotations

from dataclasses import dataclass, field

from noder.decoder import Decoder
from noder.grid import Grid


@dataclass(frozen=True)
class FieldSettings:
    """What every fit of a displacement field can be told. Lengths are in voxels of the reference's finest axis."""

    control_spacing: float = field(
        default=5.0, metadata={"label": "Control points every", "unit": "voxels", "range": (2.0, 20.0),
                               "help": "Distance between the coefficients of the field"})  # fmt: skip
    smoothing: float = field(
        default=10.0, metadata={"label": "Smoothing kernel", "unit": "voxels", "range": (1.0, 40.0),
                                "help": "Width of the averaging kernel on the field"})  # fmt: skip
    window: int = field(
        default=9, metadata={"label": "Similarity window", "unit": "voxels", "range": (3, 31),
                             "help": "Width of the window of the local cross-correlation"})  # fmt: skip
    smoothness: float = field(
        default=0.6, metadata={"label": "Smoothness weight", "unit": "", "range": (0.0, 10.0),
                               "help": "Weight of the mean squared gradient of what is decoded (mm/mm)"})  # fmt: skip
    boundary: float = field(
        default=0.01, metadata={"label": "Boundary weight", "unit": "1/mm²", "range": (0.0, 10.0),
                                "help": "Weight of its mean square on the image's faces"})  # fmt: skip
    folding: float = field(
        default=100.0, metadata={"label": "Folding weight", "unit": "", "range": (0.0, 10000.0),
                                 "help": "Weight of the penalty on determinants under 0.25"})  # fmt: skip
    learning_rate: float = field(
        default=0.02, metadata={"label": "Step", "unit": "voxels", "range": (0.0001, 0.2),
                                "help": "Learning rate of Adam; the last layer writes voxels"})  # fmt: skip
    coarse_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/4", "unit": "", "range": (0, 2000),
                              "help": "Iterations on images reduced four times"})  # fmt: skip
    middle_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/2", "unit": "", "range": (0, 2000),
                              "help": "Iterations on images reduced twice"})  # fmt: skip
    fine_iterations: int = field(
        default=60, metadata={"label": "Iterations at full size", "unit": "", "range": (0, 2000),
                              "help": "Iterations on the images as they are"})  # fmt: skip

    @property
    def iterations(self) -> tuple[int, int, int]:
        """At a quarter, a half and full size."""
        return self.coarse_iterations, self.middle_iterations, self.fine_iterations


def decoder_of(grid: Grid, settings: FieldSettings) -> Decoder:
    """The decoder W on the reference's grid."""
    voxel = min(grid.spacing)
    return Decoder.in_mm(grid, settings.control_spacing * voxel, settings.smoothing * voxel)
