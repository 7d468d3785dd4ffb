"""The losses of a training so far as a page that reloads itself: live curves in any browser, beside the weights."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from noder.atomic import write_text

_WIDTH, _HEIGHT, _LEFT, _TOP = 860, 240, 70, 14
_POINTS = 300
_RELOAD_S = 20


def write_page(
    path: Path, title: str, step: int, total: int, history: Mapping[str, Sequence[tuple[int, float]]]
) -> Path:
    """`history`: (step, loss) by name; each loss gets a curve of its own, means of its neighbours, on a log scale."""
    reload = f'<meta http-equiv="refresh" content="{_RELOAD_S}">' if step < total else ""
    curves = "".join(_curve(name, list(values)) for name, values in history.items() if values)
    write_text(path, f"""<!doctype html><html><head><meta charset="utf-8">{reload}<title>{html.escape(title)}</title>
<style>body{{font:14px sans-serif;margin:24px;color:#222}}h2{{font-size:14px;margin:18px 0 2px}}</style></head>
<body><h1 style="font-size:18px">{html.escape(title)}</h1><p>Step {step} of {total}</p>{curves}</body></html>
""")  # fmt: skip
    return path


def _curve(name: str, values: list[tuple[int, float]]) -> str:
    points = [(step, value) for step, value in _thinned(values) if value > 0]
    if not points:
        return ""
    steps, logs = [step for step, _ in points], [math.log10(value) for _, value in points]
    low, high = min(logs), max(logs)
    if high - low < 0.1:
        low, high = low - 0.05, high + 0.05
    span = max(steps[-1] - steps[0], 1)
    places = " ".join(
        f"{_LEFT + _WIDTH * (step - steps[0]) / span:.1f},{_TOP + _HEIGHT * (high - value) / (high - low):.1f}"
        for step, value in zip(steps, logs, strict=True)
    )
    marks = "".join(
        f'<text x="{_LEFT - 6}" y="{_TOP + _HEIGHT * k / 2 + 4:.0f}" text-anchor="end" font-size="11">'
        f"{10 ** (high + (low - high) * k / 2):.3g}</text>"
        for k in range(3)
    )
    ends = "".join(
        f'<text x="{x}" y="{_TOP + _HEIGHT + 16}" text-anchor="{anchor}" font-size="11">{step}</text>'
        for x, anchor, step in ((_LEFT, "start", steps[0]), (_LEFT + _WIDTH, "end", steps[-1]))
    )
    box = f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#bbb"/>'
    line = f'<polyline points="{places}" fill="none" stroke="#1f6fb2" stroke-width="1.5"/>'
    size = f'width="{_LEFT + _WIDTH + 20}" height="{_TOP + _HEIGHT + 22}"'
    return f"<h2>{html.escape(name)}: {points[-1][1]:.4g}</h2><svg {size}>{box}{line}{marks}{ends}</svg>"


def _thinned(values: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """About `_POINTS` means of neighbours."""
    width = max(1, len(values) // _POINTS)
    groups = [values[k : k + width] for k in range(0, len(values), width)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
