"""Small known series for the engine's tests."""

from __future__ import annotations

import numpy as np
import torch
from sample_grids import noise

from noder.fields import DisplacementField
from noder.grid import Grid
from noder.image import Image
from noder.methods import NoderSettings
from noder.series import ImageSeries

SHORT = NoderSettings(coarse_iterations=10, middle_iterations=15, fine_iterations=10)
TIMES = [0.0, 1.0, 2.0, 3.0]


def box_grid(n: int = 24, spacing: float = 1.5) -> Grid:
    """A cube of n voxels in RAS."""
    return Grid((n, n, n), np.diag([spacing, spacing, spacing, 1.0]))


def texture(grid: Grid, seed: int = 3) -> torch.Tensor:
    """(1,I,J,K): blobs of about three voxels and a little noise, 0 to 1000."""
    coarse = grid.coarsen((3, 3, 3))
    return 900 * coarse.sample(noise(coarse, seed), grid.points()) + 5 * noise(grid, seed + 1)


def push(grid: Grid, mm: float) -> DisplacementField:
    """A bump in the middle of the grid that pulls from +R by `mm`, smooth and 0 at the faces."""
    unit = (grid.indices() / torch.tensor([n - 1 for n in grid.shape])).movedim(-1, 0)
    bump = torch.sin(torch.pi * unit).prod(0) ** 2
    return DisplacementField(torch.stack([mm * bump, 0 * bump, 0 * bump]).float(), grid)


def moving_series(
    grid: Grid | None = None, times: list[float] | None = None, mm_per_time: float = 1.0
) -> tuple[ImageSeries, Grid]:
    """A texture that moves steadily: image(t) = image_0 (x + t * push)."""
    grid, times = grid or box_grid(), times or TIMES
    still = texture(grid)
    volumes = [push(grid, t * mm_per_time).warp(still, grid)[0].numpy() for t in times]
    images = [Image.from_array(volume, grid, f"scan_{k}") for k, volume in enumerate(volumes)]
    return ImageSeries.from_images(images, times, "years"), grid
