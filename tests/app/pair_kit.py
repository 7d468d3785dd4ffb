"""Two small images of one texture with a known map between them, on grids of different orientations."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from window_kit import TIMEOUT_MS

from noder.alignment import write_itk_transform
from noder.methods import NephiSettings
from noder_viewer.controller import Controller
from noder_viewer.pair_jobs import OpenPair, RegisterChoice, Source, registration_steps
from noder_viewer.shown_pair import ShownPair

Points = NDArray[np.float64]
SHIFT = np.array([6.0, -4.5, 3.0])
"""RAS mm that the moving image lies beside the fixed one."""
PUSH_MM = 3.5
QUICK = NephiSettings(
    node_spacing=4, code_spacing=6, global_code=4, local_code=8, frequencies=8, hidden=16, smoothness=0.1,
    coarse_iterations=25, middle_iterations=25, fine_iterations=15,
)  # fmt: skip
_chance = np.random.default_rng(7)
_CENTRES, _WIDTHS = _chance.uniform(-20, 20, (160, 3)), _chance.uniform(2.2, 3.6, 160)
_HEIGHTS = _chance.uniform(80, 300, 160)


def texture(points: Points) -> Points:
    """Grey values at places (...,3) in RAS mm: blobs."""
    flat = points.reshape(-1, 3)
    apart = ((flat[:, None] - _CENTRES) ** 2).sum(-1)
    values: Points = (_HEIGHTS * np.exp(-apart / (2 * _WIDTHS**2))).sum(-1)
    return values.reshape(points.shape[:-1])


def pushed(points: Points) -> Points:
    """The true map of fixed points to those of the texture: a push to the right in the middle."""
    bump = np.exp(-(points**2).sum(-1) / (2 * 9.0**2))
    return points + PUSH_MM * bump[..., None] * np.array([1.0, 0.4, 0.0])


def true_map(points: Points) -> Points:
    """Points of the fixed image -> of the moving one, RAS mm."""
    return pushed(points) + SHIFT


@dataclass(frozen=True)
class PairFiles:
    """Where everything was written."""

    fixed: Path
    moving: Path
    labels: tuple[Path, Path]
    masks: tuple[Path, Path]
    landmarks: Path
    initial: Path
    places: Points


def write_pair(folder: Path) -> PairFiles:
    """Fixed: oblique, its axes stored flipped and in another order; moving: other axes and voxels, beside the fixed."""
    fixed_affine = _affine([[-1.4, 0, 0], [0, 0, 1.6], [0, 1.5, 0]], degrees=12, shape=(26, 24, 25))
    moving_affine = _affine([[0, 0, 1.5], [-1.5, 0, 0], [0, -1.4, 0]], degrees=0, shape=(28, 27, 26), centre=SHIFT)
    for name, affine, shape, to_texture in (
        ("fixed", fixed_affine, (26, 24, 25), pushed),
        ("moving", moving_affine, (28, 27, 26), lambda points: points - SHIFT),
    ):
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).astype(float)
        values = texture(to_texture(index @ affine[:3, :3].T + affine[:3, 3]))
        save(folder / f"{name}.nii.gz", values.astype(np.float32), affine)
        save(folder / f"{name}_labels.nii.gz", np.digitize(values, (100, 250)).astype(np.uint8), affine)
        save(folder / f"{name}_mask.nii.gz", np.ones(shape, np.uint8), affine)
    places = np.random.default_rng(1).uniform(-9, 9, (12, 3))
    rows = np.hstack([places, true_map(places)]) * np.tile([-1.0, -1.0, 1.0], 2)  # a table in LPS
    np.savetxt(folder / "landmarks.csv", rows, delimiter=",", header="fx,fy,fz,mx,my,mz", comments="", fmt="%.6f")
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    write_itk_transform(folder / "initial.tfm", matrix)
    files = [tuple(folder / f"{side}_{what}.nii.gz" for side in ("fixed", "moving")) for what in ("labels", "mask")]
    return PairFiles(
        folder / "fixed.nii.gz", folder / "moving.nii.gz", (files[0][0], files[0][1]), (files[1][0], files[1][1]),
        folder / "landmarks.csv", folder / "initial.tfm", places,
    )  # fmt: skip


def save(path: Path, values: NDArray[Any], affine: Points) -> Path:
    """One NIfTI file."""
    nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return path


def choice_of(files: PairFiles, **others: Any) -> RegisterChoice:
    """What a user would choose, with quick settings."""
    chosen: dict[str, Any] = {
        "labels": files.labels, "landmarks": files.landmarks, "initial": files.initial, "settings": QUICK,
        "device": "cpu", **others,
    }  # fmt: skip
    return RegisterChoice(Source(files.fixed), Source(files.moving), **chosen)


class Aside:
    """Stands for the thread's task where a job runs in the test's own thread."""

    def report(self, value: object) -> None:
        """Nobody listens."""

    def check_cancelled(self) -> None:
        """Nobody cancels."""


def opened(choice: RegisterChoice) -> ShownPair:
    """The pair before it is registered."""
    return OpenPair(choice)(Aside()).shown


def drained(steps: Generator[Any, Any, ShownPair]) -> ShownPair:
    """What a registration returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def registered(choice: RegisterChoice) -> ShownPair:
    """The pair, registered without a window."""
    return drained(registration_steps(opened(choice), choice))


def wait_for_end(qtbot: Any, controller: Controller) -> None:
    """Until the registration that was started has ended."""
    registering = controller.registering
    qtbot.waitUntil(lambda: not registering.running and not controller.session.activity, timeout=TIMEOUT_MS)
    controller.presenter.refresh()
    controller.register_view.refresh()


def _affine(columns: list[list[float]], degrees: float, shape: tuple[int, ...], centre: Points | None = None) -> Points:
    """Voxel -> RAS mm with its middle at `centre`, turned about S."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(columns)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = (np.zeros(3) if centre is None else centre) - middle
    return affine
