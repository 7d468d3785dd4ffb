"""The report's pictures: slices of scans, predictions and growth as PNG inside SVG, with letters at their edges."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from noder.colours import FOLD, Lut, diverging, grey, painted
from noder.fit import FitResult
from noder.plane import Plane, Point
from noder.preprocess import Gain
from noder.ticks import words

MARGIN = 0.09
"""Room for the letters around a picture, as a part of its longer side."""
LIMITS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Half widths that the scale of log J may have."""


@dataclass(frozen=True, eq=False)
class Looked:
    """A scan at a slice: observed, predicted, their difference (ni,nj) and J on the frame at its time.

    The observed one is matched to the first scan's brightness, and a seen one is predicted without itself, as scored.
    """

    index: int
    observed: NDArray[np.float32]
    predicted: NDArray[np.float32]
    jacobian: NDArray[np.float32]

    @property
    def difference(self) -> NDArray[np.float32]:
        """Predicted less observed."""
        return self.predicted - self.observed


@dataclass(frozen=True)
class Scale:
    """Colours from `low` to `high`."""

    low: float
    high: float
    lut: str
    quantity: str


LUTS: dict[str, Lut] = {"grey": grey(), "signed": diverging()}


def looked_at(result: FitResult, index: int, plane: Plane) -> Looked:
    """What a scan of the series, its prediction and the growth at its time look like on a slice."""
    scan, trajectory = result.series.scans[index], result.trajectory
    seen = {each.index: position for position, each in enumerate(trajectory.scans)}
    observed = _gain(result, index)(scan.image.tensor())[0].numpy().take(plane.index, axis=plane.axis)
    predicted = trajectory.predict(scan.time, plane.slice_grid, without=seen.get(index))
    return Looked(index, observed, _flat(predicted[0], plane), growth_at(result, scan.time, plane))


def growth_at(result: FitResult, t: float, plane: Plane) -> NDArray[np.float32]:
    """J (ni,nj) on the frame at t: above 1 where tissue is larger than at the first scan."""
    return _flat(result.trajectory.jacobian(t, plane.slice_grid), plane)


def grey_scale(result: FitResult) -> Scale:
    """One for all scans: the 1st to 99th percentile of the first."""
    values = result.series.reference.image.numpy().reshape(-1)
    low, high = np.percentile(values[:: max(1, values.size // 200_000)], (1, 99))
    return Scale(float(low), float(high) if high > low else float(low) + 1.0, "grey", "intensity")


def growth_scale(maps: Sequence[NDArray[np.float32]]) -> Scale:
    """One for all maps, symmetric about 0, as wide as 99 % of what they hold."""
    values = np.concatenate([_log(growth).reshape(-1) for growth in maps])
    found = np.abs(values[np.isfinite(values)])
    large = float(np.percentile(found, 99)) if found.size else 0.0
    limit = next((limit for limit in LIMITS if limit >= large), LIMITS[-1])
    return Scale(-limit, limit, "signed", "log J")


def picture(data: NDArray[np.float32], plane: Plane, scale: Scale, *, radiological: bool, caption: str) -> str:
    """Values (ni,nj) of a slice as a figure: its voxels, and the sides of the patient at its edges."""
    return _figure(painted(data, scale.low, scale.high, LUTS[scale.lut]), plane, radiological, caption)


def growth_picture(growth: NDArray[np.float32], plane: Plane, scale: Scale, *, radiological: bool, caption: str) -> str:
    """log J of a slice as a figure; folded voxels have a colour of their own."""
    colours = painted(_log(growth), scale.low, scale.high, LUTS[scale.lut])
    colours[~(growth > 0)] = (*FOLD, 255)
    return _figure(colours, plane, radiological, caption)


def colour_bar(scale: Scale, name: str) -> str:
    """The colours of a scale with its ends and middle; `name` must be unlike that of another bar of the page."""
    lut, middle = LUTS[scale.lut], (scale.low + scale.high) / 2
    stops = "".join(
        f'<stop offset="{k / 16:.4f}" stop-color="rgb({",".join(map(str, lut[k * (len(lut) - 1) // 16][:3]))})"/>'
        for k in range(17)
    )
    marks = "".join(
        f'<text x="{x}" y="27" text-anchor="{anchor}">{words(value)}</text>'
        for x, anchor, value in ((0, "start", scale.low), (90, "middle", middle), (180, "end", scale.high))
    )
    return (
        f'<svg class="bar" viewBox="-4 0 188 30" role="img" aria-label="{html.escape(scale.quantity)}">'
        f'<defs><linearGradient id="{name}">{stops}</linearGradient></defs>'
        f'<text x="0" y="8">{html.escape(scale.quantity)}</text>'
        f'<rect x="0" y="10" width="180" height="8" fill="url(#{name})"/>{marks}</svg>'
    )


def middle_of(result: FitResult, mask: NDArray[np.bool_]) -> Point:
    """RAS mm of the middle of the mask, where most is to be seen."""
    inside = np.argwhere(mask)
    index = inside.mean(axis=0) if len(inside) else (np.array(mask.shape) - 1) / 2
    r, a, s = result.series.grid.to_mm(np.asarray(index, dtype=np.float64)).tolist()
    return r, a, s


def _gain(result: FitResult, index: int) -> Gain:
    """As the scan was scored: a held-out one has its gain in the report."""
    rows: Sequence[Mapping[str, Any]] = () if result.report is None else result.report.rows
    found = next((row for row in rows if row["index"] == index and "gain" in row), None)
    return result.gains.get(index, Gain() if found is None else Gain(found["gain"], found["offset"]))


def _log(growth: NDArray[np.float32]) -> NDArray[np.float32]:
    logs: NDArray[np.float32] = np.log(np.where(growth > 0, growth, np.nan)).astype(np.float32)
    return logs


def _flat(volume: Any, plane: Plane) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = volume.squeeze(plane.axis).cpu().numpy().astype(np.float32)
    return flat


def _figure(colours: Lut, plane: Plane, radiological: bool, caption: str) -> str:
    """(ni,nj,4) with x to the right and y upwards -> rows from the top, mirrored where the screen mirrors them."""
    rows = colours.transpose(1, 0, 2)[::-1, :, :3]
    rows = rows[:, ::-1] if plane.flipped(radiological) else rows
    width, height = (n * step for n, step in zip(plane.shape, plane.spacing, strict=True))
    edge = MARGIN * max(width, height)
    letters = plane.letters(radiological)
    places = (
        (-edge / 2, height / 2, letters.left),
        (width + edge / 2, height / 2, letters.right),
        (width / 2, -edge / 2, letters.top),
        (width / 2, height + edge / 2, letters.bottom),
    )
    texts = "".join(
        f'<text x="{x:.2f}" y="{y:.2f}" font-size="{0.8 * edge:.2f}" class="side">{letter}</text>'
        for x, y, letter in places
    )
    return (
        f'<figure><svg viewBox="{-edge:.2f} {-edge:.2f} {width + 2 * edge:.2f} {height + 2 * edge:.2f}" role="img" '
        f'aria-label="{html.escape(f"{plane.title}, {caption}")}"><image width="{width:.3f}" height="{height:.3f}" '
        f'preserveAspectRatio="none" href="data:image/png;base64,{_png(rows)}"/>{texts}</svg>'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def _png(rows: NDArray[np.uint8]) -> str:
    import imageio.v3 as imageio

    return base64.b64encode(imageio.imwrite("<bytes>", np.ascontiguousarray(rows), extension=".png")).decode()
