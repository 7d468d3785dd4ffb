"""Where a scan lay before it was aligned: one matrix, as JSON and as a transform of ITK, ANTs and Slicer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from noder.errors import InputError

Matrix = NDArray[np.float64]
Kind = Literal["none", "centre", "rigid", "affine", "given"]
KINDS: tuple[Kind, ...] = ("none", "rigid", "affine")

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns RAS mm into ITK's LPS mm, and back."""
LARGE_DEGREES = 30.0


@dataclass(frozen=True)
class Alignment:
    """A pull: aligned scan (x) = scan as stored (matrix x), x a point of the frame `to` in RAS mm.

    `rows` are the matrix (4,4). `shift_mm` is how far the middle of the frame moves; `similarity` is the
    correlation with the first scan at the place that the header gives (before) and at that of the matrix (after).
    """

    kind: Kind
    to: str
    rows: tuple[tuple[float, ...], ...]
    shift_mm: float
    similarity_before: float
    similarity_after: float
    failed: bool = False

    @property
    def matrix(self) -> Matrix:
        """(4,4): RAS mm in the frame -> RAS mm in the scan as stored."""
        return np.array(self.rows, dtype=np.float64)

    @property
    def inverse(self) -> Matrix:
        """(4,4): RAS mm in the scan as stored -> RAS mm in the frame."""
        return cast(Matrix, np.linalg.inv(self.matrix))

    @property
    def rotation_degrees(self) -> float:
        """The angle of the rotation closest to the matrix."""
        u, _, vt = np.linalg.svd(self.matrix[:3, :3])
        rotation = u @ vt
        # atan2 of sine and cosine: arccos alone loses half of the digits near 0
        sine = np.linalg.norm(rotation - rotation.T) / np.sqrt(8)
        return float(np.degrees(np.arctan2(sine, (np.trace(rotation) - 1) / 2)))

    @property
    def volume_factor(self) -> float:
        """The scan's volume as stored over its volume once aligned; 1 for a rigid alignment."""
        return float(np.linalg.det(self.matrix[:3, :3]))

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it; `Alignment.from_dict` reads it back, the same to the bit."""
        return {
            **asdict(self),
            "rows": self.matrix.tolist(),
            "rotation_degrees": round(self.rotation_degrees, 4),
            "volume_factor": round(self.volume_factor, 6),
            "convention": "RAS mm; a point of the aligned frame -> the point of the scan as stored",
        }

    @classmethod
    def from_dict(cls, described: Mapping[str, Any]) -> Alignment:
        """Raises KeyError or TypeError for what `as_dict` has not written."""
        rows = tuple(tuple(float(value) for value in row) for row in described["rows"])
        if described["kind"] not in get_args(Kind) or [len(row) for row in rows] != [4, 4, 4, 4]:
            raise TypeError(f"alignment {described['kind']!r}")
        return cls(
            described["kind"], described["to"], rows, described["shift_mm"],
            _or_nan(described["similarity_before"]), _or_nan(described["similarity_after"]), described["failed"],
        )  # fmt: skip

    def note(self) -> str:
        """A sentence for the user: what was done, and what to look at."""
        found = f"correlation {self.similarity_before:.3f} -> {self.similarity_after:.3f}"
        if self.failed:
            return (
                f"the {self.kind} alignment to {self.to} made it less similar ({found}), so it stays where its header "
                "puts it: align it in another program, or leave it out"
            )
        text = f"aligned to {self.to} ({self.kind}): turned by {self.rotation_degrees:.2f} degrees, "
        text += f"shifted by {self.shift_mm:.2f} mm, {found}"
        if self.kind == "affine":
            text += (
                f"; its volume was changed by a factor of {1 / self.volume_factor:.4f}, "
                "growth that Jacobians do not show any more"
            )
        if self.rotation_degrees > LARGE_DEGREES:
            text += f"; more than {LARGE_DEGREES:.0f} degrees is rarely true: look at it before using the fit"
        return text


def _or_nan(value: float | None) -> float:
    """JSON has no nan: null stands for a similarity that nobody measured."""
    return float("nan") if value is None else value


def write_itk_transform(path: Path, matrix: Matrix) -> None:
    """Write a (4,4) matrix in RAS mm as an ITK transform file (.tfm): LPS, a point of the fixed -> of the moving image.

    Resampling a scan as stored onto the reference with it gives the aligned scan. Raises OSError.
    """
    import SimpleITK as sitk

    lps = LPS @ matrix @ LPS
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(lps[:3, :3].ravel().tolist())
    transform.SetTranslation(lps[:3, 3].tolist())
    try:
        sitk.WriteTransform(transform, str(path))
    except RuntimeError as error:
        raise OSError(str(error).strip().splitlines()[-1]) from error


def read_itk_transform(path: Path) -> Matrix:
    """The matrix (4,4) in RAS mm of a linear ITK transform file. Raises InputError."""
    import SimpleITK as sitk

    try:
        transform = sitk.ReadTransform(str(path))
    except RuntimeError as error:
        raise InputError(f"{path} cannot be read as a transform: {str(error).strip().splitlines()[-1]}") from error
    if not transform.IsLinear():
        raise InputError(f"{path} holds a transform that is not linear: give a rigid or an affine one.")
    return matrix_of(transform)


def matrix_of(transform: Any) -> Matrix:
    """The matrix (4,4) in RAS mm of a linear transform of SimpleITK."""
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    lps = np.eye(4)
    lps[:3, :3] = np.stack([np.array(transform.TransformPoint(tuple(e))) - origin for e in np.eye(3)], axis=1)
    lps[:3, 3] = origin
    return np.asarray(LPS @ lps @ LPS, dtype=np.float64)
