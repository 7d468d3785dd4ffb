"""What the program sees in a series: `noder info`, as a dict with stable keys and as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from noder.align import offered
from noder.image import Image
from noder.series import ImageSeries, Scan

Description = dict[str, Any]

_PERCENTILES = (0.5, 99.5)
_SAMPLE = 500_000


def describe(series: ImageSeries) -> Description:
    """Grid, orientation, times, intensities, memory and notes; reads the voxels of one scan at a time.

    "grid" is the stored grid of the reference. Raises InputError for scans that cannot be read.
    """
    scans = [_describe_scan(k, scan, series) for k, scan in enumerate(series.scans)]
    return {
        "n_scans": len(series.scans),
        "n_given": series.n_given,
        "time_unit": series.unit,
        "times": series.times,
        "grid": _describe_grid(series.reference.image),
        "dtype": series.reference.image.dtype.name,
        "memory_bytes": sum(scan.image.n_bytes for scan in series.scans),
        "intensity": _overall([scan["intensity"] for scan in scans]),
        "scans": scans,
        "notes": _all_notes(offered(series)),
    }


def format_description(description: Description) -> str:
    """`describe`'s dict as aligned text."""
    grid, intensity, unit = description["grid"], description["intensity"], description["time_unit"]
    shape = " x ".join(str(n) for n in grid["shape"])
    spacing = " x ".join(f"{s:.4g}" for s in grid["spacing_mm"])
    oblique = f", {grid['oblique_degrees']:.1f} degrees oblique" if grid["oblique"] else ""
    whole = f"{intensity['min']:.6g} to {intensity['max']:.6g}"
    lines = [
        ("scans", f"{description['n_scans']} of {description['n_given']} given"),
        ("grid", f"{shape} voxels of {spacing} mm"),
        ("orientation", f"stored {grid['orientation']}{oblique}{', sheared' if grid['sheared'] else ''}"),
        ("extent", " x ".join(f"{e:.4g}" for e in grid["extent_mm"]) + " mm"),
        ("data type", description["dtype"]),
        ("memory", f"{description['memory_bytes'] / 2**20:.1f} MiB as float32"),
        ("intensity", f"{_span(intensity)} (99 % of the voxels), {whole} in all"),
        ("time unit", unit),
    ]
    head = [f"{name:<12} {value}" for name, value in lines]
    notes = [f"note: {note}" for note in description["notes"]]
    return "\n".join([*head, "", *_scan_table(description["scans"], unit), *([""] if notes else []), *notes])


def _describe_scan(index: int, scan: Scan, series: ImageSeries) -> Description:
    image = scan.image
    return {
        "index": index,
        "frame": series.frames[index],
        "name": image.name,
        "path": None if image.path is None else str(image.path),
        "volume": image.volume,
        "time": scan.time,
        "time_source": scan.time_source,
        "orientation": image.stored_grid.orientation,
        "intensity": _intensity(image),
    }


def _describe_grid(image: Image) -> Description:
    grid = image.stored_grid
    return {
        "shape": list(grid.shape),
        "spacing_mm": [round(s, 6) for s in grid.spacing],
        "extent_mm": [round(n * s, 3) for n, s in zip(grid.shape, grid.spacing, strict=True)],
        "orientation": grid.orientation,
        "oblique": grid.is_oblique,
        "oblique_degrees": round(grid.obliqueness, 3),
        "sheared": grid.is_sheared,
        "affine": grid.affine.tolist(),
    }


def _intensity(image: Image) -> Description:
    """Smallest, largest, and the range of 99 % of the voxels (from a regular sample of big images)."""
    was_loaded = image.is_loaded
    values = image.numpy().reshape(-1)
    low, high = np.percentile(values[:: max(1, values.size // _SAMPLE)], _PERCENTILES)
    found = {"low": float(low), "high": float(high), "min": float(values.min()), "max": float(values.max())}
    if not was_loaded:
        image.release()
    return found


def _overall(ranges: list[Description]) -> Description:
    return {
        key: (min if key in ("low", "min") else max)(r[key] for r in ranges) for key in ("low", "high", "min", "max")
    }


def _all_notes(series: ImageSeries) -> list[str]:
    """The series' notes, and what reading the voxels added."""
    added = [f"{s.image.name}: {note}" for s in series.scans for note in s.image.notes[len(s.image.header_notes) :]]
    return [*series.notes, *added]


def _scan_table(scans: list[Description], unit: str) -> list[str]:
    header = ("scan", "frame", f"time ({unit})", "from", "range", "file")
    rows = [
        (
            str(s["index"]),
            str(s["frame"]),
            f"{s['time']:.10g}",
            s["time_source"],
            _span(s["intensity"]),
            s["name"],
        )
        for s in scans
    ]
    widths = [max(len(row[k]) for row in (header, *rows)) for k in range(len(header))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]


def _span(intensity: Description) -> str:
    return f"{intensity['low']:.6g} to {intensity['high']:.6g}"
