"""The colours of both looks, as data, and how well they can be told apart. No Qt."""

from __future__ import annotations

from dataclasses import dataclass

READABLE = 4.5
"""Least contrast of text (WCAG 2.1, 1.4.3, level AA)."""
VISIBLE = 3.0
"""Least contrast of lines and signs (1.4.11), and of text that is switched off, which the standard leaves free."""


@dataclass(frozen=True)
class Palette:
    """Colours as #rrggbb. `background` lies below tables and plots, `panel` below panels, `field` below what is typed.

    `series`: lines of a plot in order: Okabe and Ito's colours, or darker ones of their hues, for colour-blind readers.
    """

    background: str
    panel: str
    field: str
    line: str
    faint: str
    border: str
    text: str
    muted: str
    disabled: str
    accent: str
    warning: str
    error: str
    hatch: str
    primary: str
    primary_hover: str
    on_primary: str
    series: tuple[str, ...]


DARK = Palette(
    background="#15171c",
    panel="#1c1f26",
    field="#262a33",
    line="#343a46",
    faint="#2a2f39",
    border="#717c8e",
    text="#d7dae0",
    muted="#989eab",
    disabled="#737987",
    accent="#4aa3ff",
    warning="#e0b040",
    error="#ff7a70",
    hatch="#61491a",
    primary="#2470c0",
    primary_hover="#1c62ad",
    on_primary="#ffffff",
    series=("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#d55e00", "#b0b8c4"),
)
"""Of everything, and in both looks of all that is written on pictures."""

LIGHT = Palette(
    background="#ffffff",
    panel="#f1f3f6",
    field="#fdfdfe",
    line="#c5cbd5",
    faint="#dde1e8",
    border="#6f7887",
    text="#1b1f27",
    muted="#535a67",
    disabled="#808795",
    accent="#0a5fbf",
    warning="#855300",
    error="#b3261e",
    hatch="#d9b978",
    primary="#1f66b3",
    primary_hover="#185595",
    on_primary="#ffffff",
    series=("#0072b2", "#a86200", "#007a59", "#7a6f00", "#a8407c", "#b84700", "#59606c"),
)

TEXT_PAIRS = (
    *[(ink, ground) for ink in ("text", "muted", "warning", "error", "accent") for ground in ("background", "panel")],
    *[(ink, "field") for ink in ("text", "muted", "warning", "error")],
    ("on_primary", "primary"),
    ("on_primary", "primary_hover"),
    ("background", "accent"),
    ("background", "text"),
)
"""Text and what it stands on, everywhere in the program."""
SIGN_PAIRS = (
    *[("disabled", ground) for ground in ("panel", "background")],
    *[("border", ground) for ground in ("panel", "background", "field")],
    *[("accent", ground) for ground in ("panel", "background", "field")],
)
"""Borders of what can be switched, the mark of the focus, text that is switched off."""


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 to 1 (WCAG 2.1)."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.1)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)
