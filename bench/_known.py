"""Series whose motion is known: real brains moved by diffeomorphisms that are not linear in time.

    phi_t = exp(W (g(tau) a + h(tau) b / 3)),   I_t = I_0 o phi_t + noise,   tau = t over the time of the last seen scan

a and b are random smooth control points, drawn from the seed; g and h are the course. The image at 1 mm is moved and
then averaged over blocks of 2 mm, so that no method's own interpolation made the series. W is not the decoder of any
fit: its control points stand 16 mm apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from noder.decoder import Decoder, apply_separable
from noder.fields import DisplacementField
from noder.grid import Grid, Triple, block_mean
from noder.image import Image
from noder.methods.svf import Exponential
from noder.series import ImageSeries

SUBJECTS = {
    "07": "brain_mni_subjects/patient07_T1.nii.gz",
    "19": "brain_mni_subjects/patient19_T1.nii.gz",
    "fs": "brain_fs_subject/fs_subject_T1.nii.gz",
    "mni152": "mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz",
}

COURSES: dict[str, tuple[float, Callable[[float], float], Callable[[float], float]]] = {
    "slow": (1.0, lambda s: s, lambda s: 0.0),
    "accelerating": (2.0, lambda s: s * s, lambda s: s),
    "saturating": (2.0, lambda s: (1 - math.exp(-3 * s)) / (1 - math.exp(-3)), lambda s: s * s),
}
"""Mean displacement in voxels at the last seen scan, and g and h. "slow" is linear in time: the linear models' own."""

TIMES = (0.0, 0.6, 1.1, 2.0, 2.9, 3.5, 4.6, 5.4, 6.2)
PROTOCOLS = {"5 seen": (0, 1, 3, 5, 6), "3 seen": (0, 3, 6)}
"""Positions of the seen visits; of the others 2 and 4 are withheld between them, 7 and 8 lie beyond the last."""

WITHHELD, BEYOND = (2, 4), (7, 8)
REDUCED = (2, 2, 2)
NOISE = 0.01
_CONTROL_MM, _TAPER_MM, _MARGIN_MM = 16.0, 24.0, 8


@dataclass(frozen=True, eq=False)
class Known:
    """A series, what it looks like without noise (1,I,J,K), its maps (3,I,J,K) in mm and its tissue (I,J,K)."""

    series: ImageSeries
    clean: list[Tensor]
    truth: list[Tensor]
    tissue: list[np.ndarray]

    def facts(self) -> dict[str, Any]:
        """Size of the true motion, and its smallest determinant."""
        grid = self.series.grid
        moved = [u.norm(dim=0)[torch.from_numpy(m)] for u, m in zip(self.truth, self.tissue, strict=True)]
        least = min(float(DisplacementField(u, grid).corner_determinant().min()) for u in self.truth)
        mean = [round(float(m.mean()) / min(grid.spacing), 3) for m in moved]
        return {"shape": list(grid.shape), "mean_displacement_voxels": mean, "smallest_determinant": least}


def known_series(data: Path, subject: str, course: str, reduced: Triple = REDUCED) -> Known:
    """The series of a subject's brain under a course; seeds are fixed by both."""
    seed = 100 * list(SUBJECTS).index(subject) + list(COURSES).index(course)
    generator = torch.Generator().manual_seed(seed)
    volume, fine = _cropped(Image.open(data / SUBJECTS[subject]))
    size, g, h = COURSES[course]
    decoder = Decoder.in_mm(fine, _CONTROL_MM, _CONTROL_MM)
    a, b = _control_points(decoder, generator), _control_points(decoder, generator)
    grid = fine.coarsen(reduced)
    # the mean over the tissue of |W a| is `size` voxels of the fit
    inside = volume[0] > 0.1 * volume.max()
    a, b = (c * (size * min(grid.spacing) / min(fine.spacing) / _mean_size(decoder, c, inside)) for c in (a, b))
    on = Exponential(decoder, fine, halved=True)
    to_mm = torch.as_tensor(fine.affine[:3, :3].copy(), dtype=torch.float32)
    clean, truth = [], []
    for t in TIMES:
        s = t / TIMES[6]
        u = on(g(s) * a + h(s) / 3 * b)
        u = (to_mm @ u.flatten(1)).reshape(u.shape)
        clean.append(block_mean(DisplacementField(u, fine).warp(volume, fine), reduced))
        truth.append(block_mean(u, reduced))
    top = float(clean[0].max())
    noisy = [c + NOISE * top * torch.randn(c.shape, generator=generator) for c in clean]
    images = [Image.from_array(v[0], grid, f"{subject}-{k}") for k, v in enumerate(noisy)]
    series = ImageSeries.from_images(images, TIMES, "years")
    return Known(series, clean, truth, [(c[0] > 0.1 * top).numpy() for c in clean])


def _cropped(image: Image) -> tuple[Tensor, Grid]:
    """The head with a margin, (1,I,J,K) in even numbers of voxels."""
    values = image.numpy()
    (box,) = ndimage.find_objects((values > 0.05 * values.max()).astype(np.int8))
    low = [max(0, s.start - _MARGIN_MM) for s in box]
    high = [a + (min(n, s.stop + _MARGIN_MM) - a) // 2 * 2 for a, s, n in zip(low, box, values.shape, strict=True)]
    start, stop = tuple(low), tuple(high)
    part = values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    return torch.from_numpy(np.ascontiguousarray(part))[None], image.grid.crop(start, stop)


def _control_points(decoder: Decoder, generator: torch.Generator) -> Tensor:
    """Random and smooth, and still at the faces of the grid: (3,a,b,c)."""
    c = torch.randn(3, *decoder.shape, generator=generator)
    c = torch.from_numpy(ndimage.gaussian_filter(c.numpy(), (0, 1, 1, 1)))
    for axis in range(3):
        beyond = (decoder.shape[axis] - 1 - (decoder.grid.shape[axis] - 1) / decoder.spacing[axis]) / 2
        place = torch.arange(decoder.shape[axis]) - beyond
        last = (decoder.grid.shape[axis] - 1) / decoder.spacing[axis]
        mm = torch.minimum(place, last - place) * decoder.spacing[axis] * decoder.grid.spacing[axis]
        c = c * (mm / _TAPER_MM).clamp(0, 1).reshape([-1 if k == axis else 1 for k in range(3)])
    return c


def _mean_size(decoder: Decoder, c: Tensor, inside: Tensor) -> float:
    return float(apply_separable(decoder.matrices(), c).norm(dim=0)[inside].mean())
