"""Stand-ins with the engine's public names and answers that are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QApplication, QWidget
from torch import Tensor

from noder.carriers import SeenScan
from noder.fields import DisplacementField
from noder.grid import Grid
from noder_viewer.layers import Look
from noder_viewer.region_state import RegionLook
from noder_viewer.session import OverlaySettings, Session


@dataclass(eq=False)
class GrowingTrajectory:
    """Tissue grows about `centre` by `rate` a unit of time: p comes to centre + (1 + rate t)(p - centre)."""

    grid: Grid
    volume: Tensor
    rate: float = 0.1
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    times: list[float] = field(default_factory=lambda: [0.0, 1.0, 2.0])
    fold: bool = False
    calls: list[str] = field(default_factory=list)

    @property
    def scans(self) -> list[SeenScan]:
        return [SeenScan(k, t, f"scan_{k}.nii", self.volume + k) for k, t in enumerate(self.times)]

    @property
    def t_first(self) -> float:
        return self.times[0]

    @property
    def t_last(self) -> float:
        return self.times[-1]

    is_prepared = True
    others: tuple[Any, ...] = ()
    flow = None
    unit: str = "years"

    def is_extrapolated(self, t: float) -> bool:
        return not self.t_first <= t <= self.t_last

    def displacement(self, points_mm: Tensor, t: float) -> Tensor:
        self.calls.append("displacement")
        away = points_mm - torch.tensor(self.centre, dtype=points_mm.dtype)
        return away * (1 / (1 + self.rate * t) - 1)

    def between(self, points_mm: Tensor, t_a: float, t_b: float) -> Tensor:
        away = points_mm - torch.tensor(self.centre, dtype=points_mm.dtype)
        return away * ((1 + self.rate * t_a) / (1 + self.rate * t_b) - 1)

    def jacobian(self, t: float, grid: Grid | None = None) -> Tensor:
        self.calls.append("jacobian")
        shape = (grid or self.grid).shape
        growth = torch.full(shape, (1 + self.rate * t) ** 3)
        if self.fold:
            growth.reshape(-1)[0] = -1.0
        return growth

    def inverse(self, points_mm: Tensor, t: float) -> Tensor:
        away = points_mm - torch.tensor(self.centre, dtype=points_mm.dtype)
        return away * self.rate * t

    def near(self, axes: Any, t: float) -> Tensor:
        index = torch.stack(torch.meshgrid(*(axis.double() for axis in axes), indexing="ij"), dim=-1)
        moved = self.displacement(self.grid.to_mm(index), t)
        to_voxel = torch.as_tensor(self.grid.inverse_affine[:3, :3].copy())
        return (moved @ to_voxel.T).movedim(-1, 0).float()

    intensity: Any = "brighter by 10 a unit of time"

    def brightness(self, t: float, grid: Grid | None = None) -> Tensor:
        self.calls.append("brightness")
        return 10 * t * torch.ones((grid or self.grid).shape)

    def predict(
        self, t: float, grid: Grid | None = None, carry: str = "neighbours", without: int | None = None
    ) -> Tensor:
        self.calls.append("predict")
        grid = grid or self.grid
        points = grid.points()
        return self.grid.sample(self.volume, points + self.displacement(points, t))

    def field(self, grid: Grid, t: float) -> DisplacementField:
        return DisplacementField(self.displacement(grid.points(), t).movedim(-1, 0).float(), grid)

    near_field = field


class ArrayImage:
    """An image in memory, closest RAS."""

    def __init__(self, array: np.ndarray[Any, Any], grid: Grid, name: str) -> None:
        self.array, self.grid, self.name = array.astype(np.float32), grid, name

    def numpy(self) -> np.ndarray[Any, Any]:
        return self.array

    def tensor(self) -> Tensor:
        return torch.from_numpy(self.array)[None]


def ras_grid(shape: tuple[int, int, int] = (40, 50, 30), spacing: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> Grid:
    """An axis-aligned grid centred on 0 mm."""
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * s for n, s in zip(shape, spacing, strict=True)]
    return Grid(shape, affine)


def oblique_grid(degrees: float = 20.0) -> Grid:
    """`ras_grid` turned about the S axis, then about R."""
    a, b = np.radians(degrees), np.radians(degrees / 2)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = ras_grid().affine.copy()
    affine[:3] = tilt @ turn @ affine[:3]
    return Grid(ras_grid().shape, affine)


def phantom(grid: Grid) -> np.ndarray[Any, Any]:
    """An egg with a bright block to the patient's right, front and top: mirrored anatomy shows at once."""
    size = np.array(grid.shape)
    where = (np.stack(np.meshgrid(*(np.arange(n) for n in size), indexing="ij"), -1) / (size - 1) - 0.5) * 2
    egg = (np.square(where / [0.7, 0.85, 0.8]).sum(-1) < 1).astype(np.float32) * 400
    egg += 150 * np.exp(-np.square(where - [0.3, -0.2, 0.1]).sum(-1) / 0.05)
    block = (where[..., 0] > 0.3) & (where[..., 0] < 0.5) & (where[..., 1] > 0.4) & (where[..., 1] < 0.6)
    egg[block & (where[..., 2] > 0.2) & (where[..., 2] < 0.5)] = 1000
    return egg.astype(np.float32)


class SessionDouble(SimpleNamespace):
    """Fields as they are given; what is shown follows from them by the session's own rule."""

    pair = None
    regions = None
    region_look = RegionLook()
    paths = None

    @property
    def show_shown(self) -> str:
        """As `Session.show_shown`."""
        return str(Session.show_shown.fget(self))


def session(grid: Grid | None = None, **changes: Any) -> SessionDouble:
    """The fields of a Session with a series of three scans and a growing trajectory."""
    grid = grid or ras_grid()
    data = phantom(grid)
    scans = tuple(SimpleNamespace(image=ArrayImage(data + k, grid, f"scan_{k}.nii"), time=float(k)) for k in range(3))
    series = SimpleNamespace(scans=scans, unit="years", grid=grid, times=[0.0, 1.0, 2.0])
    centre = tuple(grid.to_mm((np.array(grid.shape) - 1) / 2).tolist())
    fields: dict[str, Any] = {
        "series": series,
        "trajectory": GrowingTrajectory(grid, torch.from_numpy(data)[None], centre=centre),
        "grid": grid,
        "times": (0.0, 1.0, 2.0),
        "exclude": frozenset(),
        "time": 1.0,
        "cursor_mm": centre,
        "show": "prediction",
        "carry": "neighbours",
        "overlays": OverlaySettings(),
        "window": (0.0, 1000.0),
        "radiological": False,
        "look": Look(),
        "layers": (),
        "order": (),
    }
    made = SessionDouble(**{**fields, **changes})
    made.carry_shown = made.carry
    return made


def move(widget: QWidget, place: QPoint, buttons: Qt.MouseButton = Qt.MouseButton.NoButton) -> None:
    """A mouse move sent straight to a widget: under X, QTest moves the real pointer, which arrives late or never."""
    where = QPointF(place)
    kind, none, keys = QEvent.Type.MouseMove, Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(widget, QMouseEvent(kind, where, widget.mapToGlobal(where), none, buttons, keys))
