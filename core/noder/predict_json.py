"""predict.json: what stands in a folder of exported files, and by which conventions."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noder.trajectory import Carry, Trajectory

DESCRIPTION = "predict.json"
_OWN_NAME = re.compile(
    r"(pred|field|inverse|jac|brightness)_\d{3,}\.nii\.gz|align_\d{3,}\.tfm|predictions_4d\.(nii\.gz|json)|metrics\.csv"
)

CONVENTIONS = {
    "prediction": "Image intensities on the reference's grid, matched to the reference's; beyond the image "
    "the edge value goes on.",
    "field": "A pull: image at t (x) = reference (x + u(x)). ITK/ANTs displacement field: vectors u in LPS "
    "mm at each voxel of the frame at t. Arrows of the motion up to t are -u.",
    "inverse": "The inverse pull: reference (x) = image at t (x + u(x)). ITK/ANTs displacement field: "
    "vectors u in LPS mm at each voxel of the frame of the reference.",
    "jacobian": "J = 1 / det D phi_t on the frame at t, the local volume over the reference's: above 1 = "
    "larger than at the reference, below 1 = smaller; 0 or less = folded. Not a logarithm.",
    "alignment": "ITK transform in LPS mm, of the scan of that number: a point of the reference -> the point of "
    "the scan as stored.",
    "brightness": "On the frame at t, how much brighter the tissue is than in the reference, apart from motion, in "
    "image intensities: what the intensity model adds to the carried reference. 0 where the fit has none.",
}
"""What the files of each kind hold; written into `predict.json`."""


@dataclass(frozen=True)
class ExportedFile:
    """A file: what it holds (a key of `CONVENTIONS`; None: a table), and which time by number (None: all)."""

    path: Path
    kind: str | None = None
    time: int | None = None


def description_of(
    trajectory: Trajectory, times: Sequence[float], carry: Carry, files: Sequence[ExportedFile]
) -> dict[str, Any]:
    """The content of predict.json: unit, carry, grid and conventions once, then time and files of each."""
    grid = trajectory.stored_grid
    kinds = {file.kind for file in files}
    description = {
        "unit": trajectory.unit,
        "carry": carry,
        "reference": trajectory.scans[0].name,
        "grid": {"shape": list(grid.shape), "orientation": grid.orientation, "affine": grid.affine.tolist()},
        "convention": {kind: text for kind, text in CONVENTIONS.items() if kind in kinds},
        "predictions": [_described_time(trajectory, k, t, carry, files) for k, t in enumerate(times)],
        "files": [file.path.name for file in files if file.time is None],
    }
    if grid.is_sheared and "field" in kinds:
        description["note"] = (
            "The reference's axes are not at right angles, which ITK cannot hold: field_* and inverse_* lie "
            "on the closest orthogonal grid that covers it."
        )
    return description


def _described_time(
    trajectory: Trajectory, k: int, t: float, carry: Carry, files: Sequence[ExportedFile]
) -> dict[str, Any]:
    carriers = trajectory.carriers(t) if carry == "neighbours" else [(0, 1.0)]
    return {
        "time": t,
        "unit": trajectory.unit,
        "extrapolated": trajectory.is_extrapolated(t),
        "carried": [{"scan": trajectory.scans[scan].name, "weight": weight} for scan, weight in carriers],
        "files": {file.kind: file.path.name for file in files if file.time == k},
    }


def files_of_earlier_export(folder: Path) -> set[str]:
    """The names in an older predict.json, if exporters give such: nobody else's file is removed."""
    try:
        old = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        named = [*old["files"], *(name for row in old["predictions"] for name in row["files"].values())]
        return {name for name in named if isinstance(name, str) and _OWN_NAME.fullmatch(name)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()
