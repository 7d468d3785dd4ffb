"""The pairs that are registered, laid out as the files that every method reads, and the one scorer of all methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage

from noder.errors import InputError
from noder.fields import DisplacementField, determinant
from noder.image import Image, write_volume
from noder.itk_fields import read_itk_field
from noder.metrics import dice
from noder.preprocess import foreground, read_on_grid

ED, ES = 2, 13
SLICES = slice(3, 15)
MARGIN_MM = 10.0
TISSUES = {1: "CSF", 2: "GM", 3: "WM", 4: "ventricles"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """Files of a pair: `mask` and `initial` are given to the methods, all that follows is for the scorer alone."""

    name: str
    kind: str
    fixed: Path
    moving: Path
    mask: Path | None
    initial: Path | None
    inside: Path
    labels: tuple[Path, Path]
    names: dict[int, str]
    region: Path | None = None
    landmarks: Path | None = None


def lung(data: Path, folder: Path) -> Pair:
    """Two breaths; the mask is wider than the lung, because its edge is what tells most."""
    source = data / "lung_elastix_pair"
    image = Image.open(source / "fixed.nii.gz")
    tight = read_on_grid(source / "fixed_mask_fullres.nii.gz", image.grid)[0] > 0
    wide = ndimage.distance_transform_edt(~tight, sampling=image.grid.spacing) <= MARGIN_MM
    inside = _written(folder / "lung.nii.gz", tight, image)
    return Pair(
        "lung", "lung", source / "fixed.nii.gz", source / "moving.nii.gz",
        mask=_written(folder / "lung_wide.nii.gz", wide, image),
        initial=source / "affine_fixed_to_moving_LPS.txt",
        inside=inside, labels=(inside, source / "moving_mask.nii.gz"), names={1: "lung"},
        landmarks=source / "landmarks_LPS_mm.csv",
    )  # fmt: skip


def brain(data: Path, folder: Path, moving: str, fixed: str) -> Pair:
    """Two people's skull-stripped brains, in one space already."""
    source = data / "brain_mni_subjects"
    image = Image.open(source / f"patient{fixed}_T1.nii.gz")
    return Pair(
        f"brain {moving} to {fixed}", "brain",
        source / f"patient{fixed}_T1.nii.gz", source / f"patient{moving}_T1.nii.gz", mask=None, initial=None,
        inside=_written(folder / f"brain{fixed}.nii.gz", image.numpy() > 0, image),
        labels=(source / f"patient{fixed}_tissue.nii.gz", source / f"patient{moving}_tissue.nii.gz"), names=TISSUES,
    )  # fmt: skip


def cine(data: Path, folder: Path, moving: int, fixed: int) -> Pair:
    """The heart at its widest and at its smallest, each written as a file of its own."""
    source = data / "cardiac_pig_cine"
    folder = folder / f"cine{moving}to{fixed}"
    files = {}
    for name, phase in (("fixed", fixed), ("moving", moving)):
        image = Image.open(source / "cine_4d.nii.gz", phase)
        drawn = Image.open(source / "lv_labels_4d.nii.gz", phase)
        files[name] = _written(folder / f"{name}.nii.gz", image.numpy(), image)
        files[f"{name} labels"] = _written(folder / f"{name}_labels.nii.gz", drawn.numpy(), drawn)
    first = Image.open(files["fixed"])
    slices = np.zeros(first.stored_grid.shape, dtype=np.uint8)
    slices[..., SLICES] = 1
    write_volume(folder / "slices.nii.gz", slices, first.stored_grid, dtype=np.uint8)
    names = {ED: "ED", ES: "ES"}
    return Pair(
        f"cine {names[moving]} to {names[fixed]}", "cine", files["fixed"], files["moving"], mask=None, initial=None,
        inside=_written(folder / "body.nii.gz", foreground([first.numpy()], first.grid), first),
        labels=(files["fixed labels"], files["moving labels"]), names={1: "cavity", 2: "myocardium"},
        region=folder / "slices.nii.gz",
    )  # fmt: skip


PAIRS: dict[str, Callable[[Path, Path], Pair]] = {
    "lung": lung,
    "brain-07-19": partial(brain, moving="07", fixed="19"),
    "brain-19-07": partial(brain, moving="19", fixed="07"),
    "cine-es-ed": partial(cine, moving=ES, fixed=ED),
    "cine-ed-es": partial(cine, moving=ED, fixed=ES),
}
"""Name on the command line (moving, then fixed) -> what lays the pair out, from the data into a folder."""


def score(pair: Pair, path: Path) -> Row:
    """Scores of the displacement field file `path`, which holds the whole map, the initial transform included.

    Raises InputError for a file that is not there or lies on another grid than the fixed image.
    """
    field = read_itk_field(path)
    if not field.grid.matches(Image.open(pair.fixed).stored_grid):
        raise InputError(f"{path.name} is not on the grid of {pair.fixed.name}, so that it cannot be scored.")
    found = _dice(pair, field) | _folds(field, torch.from_numpy(_stored(pair.inside) > 0))
    return found if pair.landmarks is None else _tre(field, pair.landmarks) | found


def _tre(field: DisplacementField, landmarks: Path) -> Row:
    """Distances in mm between where the fixed landmarks are sent and where they are."""
    to_ras = np.array([-1.0, -1.0, 1.0])
    fixed, moving = (np.loadtxt(landmarks, delimiter=",", skiprows=1).reshape(-1, 2, 3) * to_ras).swapaxes(0, 1)
    away = np.linalg.norm(fixed + field.at(torch.from_numpy(fixed)).numpy() - moving, axis=1)
    return {"tre_mean": float(away.mean()), "tre_median": float(np.median(away)), "tre_max": float(away.max())}


def _dice(pair: Pair, field: DisplacementField) -> Row:
    """Overlap of the fixed labels with the moving ones, pulled by nearest voxel."""
    true, moving = _stored(pair.labels[0]), Image.open(pair.labels[1])
    pulled = field.warp(moving.tensor(), moving.grid, outside="zero", nearest=True)[0].numpy()
    where = np.ones(true.shape, dtype=bool) if pair.region is None else _stored(pair.region) > 0
    overlap = dice(true[where], pulled[where], labels=pair.names)
    each = {name: overlap[label] for label, name in pair.names.items()}
    return {"dice": each, "dice_mean": float(np.mean(list(each.values())))}


def _folds(field: DisplacementField, inside: torch.Tensor) -> Row:
    """Folded voxels in per cent, by all eight corners and, as others count them, by forward differences alone."""
    corners, forward = field.corner_determinant()[inside], _forward_determinant(field)[inside]
    return {
        "folds_percent": 100 * float((corners <= 0).double().mean()),
        "folds_forward_percent": 100 * float((forward <= 0).double().mean()),
        "min_determinant": float(corners.min()),
    }


def _forward_determinant(field: DisplacementField) -> torch.Tensor:
    """det D phi by forward differences; the last plane of an axis repeats the step before it."""
    to_voxel = torch.as_tensor(field.grid.inverse_affine[:3, :3].copy(), dtype=field.u.dtype)
    u = torch.einsum("ab,bijk->aijk", to_voxel, field.u)
    steps = [u.diff(dim=axis) for axis in (1, 2, 3)]
    ends = [step.narrow(axis, step.shape[axis] - 1, 1) for axis, step in enumerate(steps, start=1)]
    return determinant([torch.cat(both, axis) for axis, both in enumerate(zip(steps, ends, strict=True), start=1)])


def _stored(path: Path) -> np.ndarray:
    """Voxels in the order of the file, which is that of the fields."""
    image = Image.open(path)
    return image.to_stored(image.numpy())


def _written(path: Path, values: np.ndarray, like: Image) -> Path:
    """`values` on the grid of `like`, as a file in its order."""
    stored = like.to_stored(values)
    whole = np.uint8 if stored.dtype == bool else like.dtype
    write_volume(path, stored, like.stored_grid, dtype=whole)
    return path
