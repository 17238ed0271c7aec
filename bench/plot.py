"""A bar chart as SVG, by hand: lines a second, with the least and the most of all rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_LEFT: Final = 150
_RIGHT: Final = 150
_BAR: Final = 22
_STEP: Final = 34
_TOP: Final = 40


def bars(title: str, rows: Sequence[tuple[str, float, float, float]], mine: str) -> str:
    """Draw (name, median, least, most) rows; names that begin with `mine` stand out."""
    height = _TOP + _STEP * len(rows) + 10
    scale = (_WIDTH - _LEFT - _RIGHT) / max(most for _, _, _, most in rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
        f'<text x="10" y="22" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, median, least, most) in enumerate(rows):
        y = _TOP + _STEP * number
        middle = y + _BAR / 2
        colour = "#1f6f54" if name.startswith(mine) else "#9aa5b1"
        parts += [
            f'<text x="{_LEFT - 8}" y="{middle + 4:.0f}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{median * scale:.1f}" height="{_BAR}" fill="{colour}"/>',
            f'<line x1="{_LEFT + least * scale:.1f}" x2="{_LEFT + most * scale:.1f}" y1="{middle}" y2="{middle}" '
            'stroke="black"/>',
            f'<text x="{_LEFT + most * scale + 8:.1f}" y="{middle + 4:.0f}">{median:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def speed_rows(contestants: Mapping[str, Mapping[str, Any]], leave_out: str) -> list[tuple[str, float, float, float]]:
    """Rows of a chart, the fastest first. What does next to nothing with a line would make all others too small to see."""
    rows = [
        (name, row["lines_per_s"], row["lines_per_s_min"], row["lines_per_s_max"])
        for name, row in contestants.items()
        if name != leave_out
    ]
    return sorted(rows, key=lambda row: -row[1])
