"""A registered pair as files: the warped image, both fields, the initial transform, the map, and result.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noder.alignment import write_itk_transform
from noder.atomic import output_errors, publish, staging_folder, write_json
from noder.errors import InputError, UsageError
from noder.fields import DisplacementField
from noder.fsl_fields import write_fsl_field
from noder.grid import Grid
from noder.image import Image, write_volume, written_atomically
from noder.itk_fields import orthogonal_grid, read_itk_field, write_itk_field
from noder.model_file import MODEL, settings_as_dict
from noder.pair_given import Given
from noder.pair_store import INITIAL, RESULT, facts_of, map_bytes
from noder.register import Registration
from noder.stored_files import is_registration

CONVENTIONS = ("itk", "fsl")
GIVEN = Given()
FIELD, INVERSE = "field.nii.gz", "inverse.nii.gz"
FSL = ["field_fsl.nii.gz", "inverse_fsl.nii.gz"]


def write_registration(
    registration: Registration,
    scores: dict[str, Any],
    folder: Path,
    conventions: tuple[str, ...] = ("itk",),
    given: Given = GIVEN,
) -> list[Path]:
    """All or nothing, into `folder`; files of an earlier registration there are replaced.

    warped.nii.gz and field.nii.gz lie on the fixed image's voxels, inverse.nii.gz on the moving one's, the initial
    transform included; deformation.nii.gz and deformation_inverse.nii.gz leave it out, and initial.tfm is it. With
    "fsl" the fields are written for FSL too. model.safetensors is the map itself: `read_registration` opens the folder
    again, with what was `given`. Raises OutputError.
    """
    pair = registration.pair
    with staging_folder(folder) as staging:
        whole, apart = _fields(registration, pair.fixed.stored_grid), _deformations(registration)
        back = _inverse(registration, pair.moving.stored_grid)
        names = [FIELD, INVERSE, "deformation.nii.gz", "deformation_inverse.nii.gz", "warped.nii.gz", INITIAL]
        for name, field in zip(names, (whole, back, *apart), strict=False):
            write_itk_field(staging / name, field)
        _write_warped(registration, staging / "warped.nii.gz")
        with written_atomically(staging / INITIAL) as temporary:
            write_itk_transform(temporary, pair.initial.matrix)
        with output_errors(staging / MODEL):
            (staging / MODEL).write_bytes(map_bytes(registration))
        names.append(MODEL)
        if "fsl" in conventions:
            write_fsl_field(staging / "field_fsl.nii.gz", whole, pair.moving.stored_grid)
            write_fsl_field(staging / "inverse_fsl.nii.gz", back, pair.fixed.stored_grid)
            names += FSL
        facts = facts_of(registration, given, folder)
        write_json(staging / RESULT, described(registration, scores, names) | facts)
        stale = set(FSL) - set(names) if is_registration(folder) else set()
        return publish([*names, RESULT], staging, folder, stale=sorted(stale))


def described(registration: Registration, scores: dict[str, Any], files: list[str]) -> dict[str, Any]:
    """What result.json holds."""
    pair, fit = registration.pair, registration.fit
    return {
        **scores,
        "stopped": fit.stopped,
        "initial_transform": pair.initial.as_dict(),
        "frame": {"shape": list(pair.frame.shape), "spacing_mm": list(pair.frame.spacing)},
        "mask": pair.mask_name,
        "notes": list(pair.notes),
        "settings": settings_as_dict(fit.config.settings),
        "seed": fit.config.seed,
        "device": fit.provenance.device,
        "versions": fit.provenance.versions,
        "files": files,
        "convention": "field.nii.gz pulls the moving image onto the fixed one, inverse.nii.gz the fixed onto the "
        "moving one: displacements in mm, LPS, as ITK reads them; folds are counted by eight corners in the mask",
    }


def warp_image(folder: Path, path: Path, *, inverse: bool = False, labels: bool = False) -> tuple[Image, Tensor]:
    """An image pulled through a written field: on which voxels it lies (an image of them), and its values (I,J,K).

    Raises InputError where the folder holds no registration.
    """
    name = INVERSE if inverse else FIELD
    if not (folder / name).is_file():
        raise InputError(f"{folder} holds no {name}. Give the folder that `noder register -o` wrote.")
    field = read_itk_field(folder / name)
    image = Image.open(path)
    points = field.points()
    index = image.grid.to_index(points)
    inside = ((index >= -0.5) & (index <= torch.tensor(image.grid.shape) - 0.5)).all(dim=-1)
    if not bool(inside.any()):
        other = "without --inverse" if inverse else "with --inverse"
        raise InputError(f"{path} does not overlap with what {name} carries to. Try {other}.")
    values = field.warp(image.tensor(), image.grid, outside="zero" if labels else "edge", nearest=labels)[0]
    frame = Image.from_array(np.zeros(field.grid.shape, np.float32), field.grid, name)
    return frame, values


def write_warped(path: Path, frame: Image, values: Tensor, *, labels: bool = False) -> Path:
    """Write what `warp_image` gave; labels as whole numbers."""
    array = values.numpy()
    write_volume(path, array.round().astype(np.int32) if labels else array, frame.stored_grid)
    return path


def check_conventions(names: list[str]) -> tuple[str, ...]:
    """Raises UsageError for an unknown one."""
    for name in names:
        if name not in CONVENTIONS:
            raise UsageError(f"There is no convention '{name}' for fields. Choose from: {', '.join(CONVENTIONS)}.")
    return tuple(names)


def _fields(registration: Registration, stored: Grid) -> DisplacementField:
    """x -> initial(phi(x)) on the fixed image's voxels."""
    grid = orthogonal_grid(stored)
    points = grid.points()
    moved = points + registration.fit.trajectory.displacement(points, 1.0)
    return DisplacementField((registration.pair.to_moving(moved) - points).movedim(-1, 0).float(), grid)


def _inverse(registration: Registration, stored: Grid) -> DisplacementField:
    """y -> phi^-1(initial^-1(y)) on the moving image's voxels."""
    grid = orthogonal_grid(stored)
    points = grid.points()
    framed = registration.pair.to_frame(points)
    back = framed + registration.fit.trajectory.inverse(framed, 1.0)
    return DisplacementField((back - points).movedim(-1, 0).float(), grid)


def _deformations(registration: Registration) -> tuple[DisplacementField, DisplacementField]:
    """phi and phi^-1 on the fixed image's voxels, without the initial transform."""
    grid = orthogonal_grid(registration.pair.fixed.stored_grid)
    trajectory = registration.fit.trajectory
    return trajectory.field(grid, 1.0), trajectory.inverse_field(grid, 1.0)


def _write_warped(registration: Registration, path: Path) -> None:
    """Read once from the moving image as stored; linear, so that other programs make the same of the field."""
    pair = registration.pair
    points = pair.fixed.grid.points()
    moved = pair.to_moving(points + registration.fit.trajectory.displacement(points, 1.0))
    values = pair.moving.grid.sample(pair.moving.tensor(), moved)[0]
    write_volume(path, pair.fixed.to_stored(values).numpy(), pair.fixed.stored_grid)
