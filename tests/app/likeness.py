"""How alike two pictures look: blind to glyphs and antialiasing, not to what is where and in which colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage
from scipy import ndimage

Pixels = NDArray[np.float32]
CELL = 6
"""Pixels of a side of the cells that are compared: a letter is about as large."""
ASIDE = (-4, -2, 0, 2, 4)
"""Pixels by which a detail may lie beside its place: other fonts have other heights."""
WORST = 0.02
"""Part of the cells that counts: most of a picture is ground."""


def pixels(image: QImage) -> Pixels:
    """(rows, columns, 3) from 0 to 255."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return raw[:, : image.width(), 2::-1].astype(np.float32)


def difference(a: Pixels, b: Pixels) -> float:
    """0 for alike, 255 for black and white: the mean difference of the `WORST` cells, in the worst colour channel.

    A cell of one picture may have its like beside its place in the other; both ways, so that neither may lack a thing.
    Pictures whose sizes differ by more than a cell are not alike at all.
    """
    if max(abs(m - n) for m, n in zip(a.shape[:2], b.shape[:2], strict=True)) > CELL:
        return 255.0
    rows, columns = (min(m, n) for m, n in zip(a.shape[:2], b.shape[:2], strict=True))
    one, other = (ndimage.gaussian_filter(each[:rows, :columns], (CELL / 3, CELL / 3, 0)) for each in (a, b))
    apart = np.maximum(_nearest(one, other), _nearest(other, one))
    worst = np.sort(apart.reshape(-1))[-max(1, round(WORST * apart.size)) :]
    return float(worst.mean())


def _cells(picture: Pixels) -> Pixels:
    rows, columns = (n // CELL for n in picture.shape[:2])
    found: Pixels = picture[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL, 3).mean((1, 3))
    return found


def _nearest(one: Pixels, other: Pixels) -> Pixels:
    """For each cell the difference to the most similar one near its place in the other picture."""
    most, cells, (rows, columns) = max(ASIDE), _cells(one), one.shape[:2]
    padded = np.pad(other, ((most, most), (most, most), (0, 0)), mode="edge")
    shifted = [padded[most + i : most + i + rows, most + j : most + j + columns] for i in ASIDE for j in ASIDE]
    found: Pixels = np.min([np.abs(cells - _cells(each)).max(-1) for each in shifted], axis=0)
    return found
