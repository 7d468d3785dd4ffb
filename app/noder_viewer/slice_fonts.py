"""The fonts of a slice view and how long its texts are: measured once, since every repaint asks again."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QSizeF
from PySide6.QtGui import QFont, QFontMetricsF

MOST_LINES = 3
"""Of a pane's title."""


def small(font: QFont) -> QFont:
    """The font of everything on a slice."""
    copy = QFont(font)
    copy.setPointSizeF(max(7.5, font.pointSizeF() * 0.9))
    return copy


class Fonts:
    """`font` (the slice's name), `small` (all the rest) and `bold` (letters), with their sizes in pixels."""

    def __init__(self, font: QFont) -> None:
        self.font, self.small, self.bold = QFont(font), small(font), QFont(font)
        self.bold.setBold(True)
        metrics, letters, self.metrics = (QFontMetricsF(kind) for kind in (self.font, self.bold, self.small))
        self.name_height = metrics.height() + 2
        self.line = self.metrics.height()
        self.letter = QSizeF(letters.horizontalAdvance("R") + 6, letters.height())
        # Of this object, not of the class: they go when it goes. Of functions of ours: a cache reads the help of its
        # function, and for the first of Qt's own PySide makes the signatures of all, 70 ms.
        self.name_width = lru_cache(8)(lambda text: metrics.horizontalAdvance(text))
        self.width = lru_cache(256)(lambda text: self.metrics.horizontalAdvance(text))
        self.wrapped = lru_cache(16)(self._wrapped)

    def _wrapped(self, text: str, width: float) -> tuple[str, ...]:
        """The text in the small font on as few lines as it takes; the last of `MOST_LINES` has all the rest."""
        if self.width(text) <= width:
            return (text,)
        lines: list[str] = []
        for word in text.split(" "):
            longer = f"{lines[-1]} {word}" if lines else word
            if lines and (len(lines) == MOST_LINES or self.width(longer) <= width):
                lines[-1] = longer
            else:
                lines.append(word)
        return tuple(lines)
