"""What NePhi can be told."""

from __future__ import annotations

from dataclasses import dataclass, field

MODES = ("optimise", "encoder+io", "encoder")
SIMILARITIES = ("local", "global")


@dataclass(frozen=True)
class NephiSettings:
    """Lengths are in voxels of the finest axis of the images as they are compared."""

    mode: str = field(
        default="optimise", metadata={"label": "Mode", "unit": "", "range": MODES,
                                      "help": "optimise: networks and codes of this pair, from scratch. encoder: one "
                                              "look of trained networks. encoder+io: from there on, the codes are "
                                              "optimised"})  # fmt: skip
    weights: str = field(
        default="shipped", metadata={"label": "Weights", "unit": "", "range": ("shipped",), "or_file": True,
                                     "help": "Trained networks of the modes with an encoder: shipped, or a file of "
                                             "noder pretrain nephi"})  # fmt: skip
    io_iterations: int = field(
        default=30, metadata={"label": "Iterations of the codes", "unit": "", "range": (1, 5000),
                              "help": "In mode encoder+io, at each size of each stage"})  # fmt: skip
    io_rate: float = field(
        default=0.1, metadata={"label": "Their step", "unit": "", "range": (0.00001, 1.0),
                               "help": "Learning rate of Adam on the codes in mode encoder+io"})  # fmt: skip
    similarity: str = field(
        default="local", metadata={"label": "Similarity", "unit": "", "range": SIMILARITIES,
                                   "help": "local: squared local correlation on all voxels. global: correlation over "
                                           "random points, as published"})  # fmt: skip
    window: int = field(
        default=7, metadata={"label": "Similarity window", "unit": "voxels", "range": (3, 31),
                             "help": "Width of the window of the local cross-correlation"})  # fmt: skip
    stages: int = field(
        default=2, metadata={"label": "Stages", "unit": "", "range": (1, 2),
                             "help": "2: a second neural field refines the map of the first"})  # fmt: skip
    node_spacing: float = field(
        default=5.0, metadata={"label": "Nodes every", "unit": "voxels", "range": (1.0, 20.0),
                               "help": "Where the field is evaluated, the last stage a fifth finer; cubics in "
                                       "between"})  # fmt: skip
    code_spacing: float = field(
        default=5.0, metadata={"label": "Codes every", "unit": "voxels", "range": (2.0, 60.0),
                               "help": "Distance between local codes, the last stage a fifth finer"})  # fmt: skip
    global_code: int = field(
        default=16, metadata={"label": "Global code", "unit": "", "range": (1, 256),
                              "help": "Length of the code of the whole pair"})  # fmt: skip
    local_code: int = field(
        default=32, metadata={"label": "Local code", "unit": "", "range": (1, 256),
                              "help": "Length of a local code"})  # fmt: skip
    frequencies: int = field(
        default=32, metadata={"label": "Fourier frequencies", "unit": "", "range": (1, 512),
                              "help": "Random frequencies of the position that the networks read"})  # fmt: skip
    hidden: int = field(
        default=64, metadata={"label": "Hidden width", "unit": "", "range": (8, 512),
                              "help": "Width of the networks' layers"})  # fmt: skip
    layers: int = field(
        default=2, metadata={"label": "Hidden layers", "unit": "", "range": (1, 6),
                             "help": "Hidden layers of the networks"})  # fmt: skip
    smoothness: float = field(
        default=0.5, metadata={"label": "Smoothness weight", "unit": "", "range": (0.0, 10.0),
                               "help": "Weight of the mean squared gradient of each stage (mm/mm)"})  # fmt: skip
    boundary: float = field(
        default=0.0, metadata={"label": "Boundary weight", "unit": "1/mm²", "range": (0.0, 10.0),
                               "help": "Weight of its mean square on the image's faces"})  # fmt: skip
    folding: float = field(
        default=100.0, metadata={"label": "Folding weight", "unit": "", "range": (0.0, 10000.0),
                                 "help": "Weight of the penalty on determinants of the composed map under "
                                         "0.25"})  # fmt: skip
    inverse_consistency: float = field(
        default=0.05, metadata={"label": "Inverse consistency weight", "unit": "", "range": (0.0, 100.0),
                                "help": "Weight of the gradient inverse consistency of the two "
                                        "directions"})  # fmt: skip
    prior: float = field(
        default=0.01, metadata={"label": "Code weight", "unit": "", "range": (0.0, 10.0),
                                "help": "Weight of the mean square of the codes"})  # fmt: skip
    points: float = field(
        default=0.02, metadata={"label": "Points", "unit": "", "range": (0.0001, 1.0),
                                "help": "Part of the voxels that the global similarity reads in a step"})  # fmt: skip
    learning_rate: float = field(
        default=0.005, metadata={"label": "Step of the networks", "unit": "", "range": (0.00001, 0.1),
                                 "help": "Learning rate of Adam on the networks"})  # fmt: skip
    code_rate: float = field(
        default=0.05, metadata={"label": "Step of the codes", "unit": "", "range": (0.00001, 1.0),
                                "help": "Learning rate of Adam on the codes"})  # fmt: skip
    coarse_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/4", "unit": "", "range": (0, 5000),
                              "help": "Of the first stage, on images reduced four times"})  # fmt: skip
    middle_iterations: int = field(
        default=40, metadata={"label": "Iterations at 1/2", "unit": "", "range": (0, 5000),
                              "help": "Of each stage, on images reduced twice"})  # fmt: skip
    fine_iterations: int = field(
        default=40, metadata={"label": "Iterations at full size", "unit": "", "range": (0, 5000),
                              "help": "Of the last stage, on the images as they are"})  # fmt: skip
