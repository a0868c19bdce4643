"""Small pictures that stand in a row, drawn by hand as SVG: bars of one column, cells of a pair of columns.

A page with every column and pair of several tables holds hundreds of them, so each is a few kilobytes: no
matplotlib, one path for all bars, one path for all cells of a shade. Colours are the page's CSS variables.
`picture` puts a row into one file that stands by itself, for documents.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keshi.reports.charts import shortened

WIDTH = 180  # pixels of every small picture
LEFT = 62  # of the labels beside lying bars and cells
SHADES = 12
FONT = 9.5


@dataclass(frozen=True)
class Axis:
    """What stands along one side: the label of each cell, or of a number the texts at both ends."""

    labels: Sequence[str]
    ends: tuple[str, str] | None = None
    cells_within: int = 0  # of a number: its bins; cells after them (missing) have labels

    @property
    def marks(self) -> list[tuple[float, str, str]]:
        """(place in cells, text, "start" | "middle" | "end") of every text."""
        if self.ends is None:
            return [(i + 0.5, label, "middle") for i, label in enumerate(self.labels)]
        after = [(i + 0.5, self.labels[i], "middle") for i in range(self.cells_within, len(self.labels))]
        return [(0, self.ends[0], "start"), (self.cells_within, self.ends[1], "end"), *after]


def standing_bars(
    shares: Sequence[float], axis: Axis, *, outline: Sequence[float] | None, top: float, alt: str
) -> str:
    """A histogram: `shares` as filled bars, `outline` (the real shares) over them, the axis ending at `top`.

    Without `outline` the bars are the real ones themselves. The missing cell stands apart on the right.
    """
    height, base, gap = 122, 106.0, 0.7
    places = np.arange(len(shares), dtype=float)
    places[axis.cells_within :] += gap
    step = (WIDTH - 8) / (len(shares) + (gap if axis.cells_within < len(shares) else 0))
    rise = (base - 14) / (top or 1.0)
    parts = [_level(top, base, rise)]
    parts.append(
        _bars(shares, places * step + 4, step, base, rise, colour="real" if outline is None else "made")
    )
    if outline is not None:
        for start, stop in ((0, axis.cells_within), (axis.cells_within, len(shares))):
            if stop > start:
                stairs = "".join(
                    f"V{base - outline[i] * rise:.1f}H{(places[i] + 1) * step + 4:.1f}"
                    for i in range(start, stop)
                )
                parts.append(
                    f'<path d="M{places[start] * step + 4:.1f} {base}{stairs}V{base}" fill="none" '
                    'stroke="var(--real)" stroke-width="1.3"/>'
                )
    parts.append(f'<path d="M4 {base}H{WIDTH - 4}" stroke="var(--rule)"/>')
    for place, text, anchor in axis.marks:
        shift = gap if place > axis.cells_within else 0
        x = (place + shift) * step + 4
        if anchor == "middle":
            x, anchor, text = WIDTH - 4.0, "end", "?"  # one narrow bar has no room for "(missing)"
        elif anchor == "end" and axis.cells_within < len(shares):
            x -= 4
        parts.append(_text(x, base + 12, text, anchor))
    return _svg(height, parts, alt)


def _bars(
    shares: Sequence[float], lefts: np.ndarray, step: float, base: float, rise: float, *, colour: str
) -> str:
    bars = "".join(
        f"M{left:.1f} {base}v{-share * rise:.1f}h{step:.1f}V{base}z"
        for left, share in zip(lefts, shares, strict=True)
        if share > 0
    )
    return f'<path d="{bars}" fill="var(--{colour})" fill-opacity=".42"/>'


def lying_bars(
    shares: Sequence[float], axis: Axis, *, outline: Sequence[float] | None, top: float, alt: str
) -> str:
    """Bars of categories, one below the other; otherwise as `standing_bars`."""
    row = 14
    base = 4 + row * len(shares)
    rise = (WIDTH - LEFT - 12) / (top or 1.0)
    level = _nice(top)
    x = LEFT + level * rise
    parts = [
        f'<path d="M{x:.1f} 2V{base}" stroke="var(--rule)"/>',
        _text(x, base + 11, _percent(level), "middle"),
    ]
    bars = "".join(
        f"M{LEFT} {5 + row * i}h{share * rise:.1f}v10H{LEFT}z" for i, share in enumerate(shares) if share > 0
    )
    colour = "real" if outline is None else "made"
    parts.append(f'<path d="{bars}" fill="var(--{colour})" fill-opacity=".42"/>')
    if outline is not None:
        rings = "".join(
            f"M{LEFT} {5 + row * i}h{share * rise:.1f}v10H{LEFT}"
            for i, share in enumerate(outline)
            if share > 0
        )
        parts.append(f'<path d="{rings}" fill="none" stroke="var(--real)" stroke-width="1.3"/>')
    parts.append(f'<path d="M{LEFT} 2V{base}" stroke="var(--rule)"/>')
    parts += [_text(LEFT - 4, 13 + row * i, label, "end", 11) for i, label in enumerate(axis.labels)]
    return _svg(base + 16, parts, alt)


def cell_map(shares: np.ndarray, down: Axis, across: Axis, *, strongest: float, note: str, alt: str) -> str:
    """Joint shares (rows, columns) as shaded cells; the shade grows with the square root, so rare cells are seen.

    `strongest` is the share of the full colour, the same for all maps of a row; a number `down` grows upwards.
    `note` stands below.
    """
    rows, columns = shares.shape
    size = WIDTH - LEFT - 6
    wide, high = size / columns, size / rows
    levels = np.ceil(SHADES * np.sqrt(np.clip(shares / (strongest or 1.0), 0, 1))).astype(int)
    if down.ends is not None:  # bins upwards, missing below them
        levels = np.concatenate([levels[: down.cells_within][::-1], levels[down.cells_within :]])
    parts = [f'<path d="M{LEFT} 4h{size}v{size}h-{size}z" fill="none" stroke="var(--rule)"/>']
    for level in range(1, SHADES + 1):
        runs = "".join(
            f"M{LEFT + start * wide:.1f} {4 + i * high:.1f}h{(stop - start) * wide:.1f}v{high:.1f}"
            f"h{-(stop - start) * wide:.1f}z"
            for i in range(rows)
            for start, stop in _runs(levels[i] == level)
        )
        if runs:
            parts.append(f'<path d="{runs}" fill="var(--sixth)" fill-opacity="{level / SHADES:.2f}"/>')
    for place, text, anchor in down.marks:
        if down.ends is not None and anchor != "middle":
            place = down.cells_within - place
        y = 4 + place * high + {"start": 0, "middle": 3.2, "end": 7}[anchor]
        parts.append(_text(LEFT - 4, y, text, "end", 11, small=high < FONT))
    bottom = 4 + size
    turned = across.ends is None
    for place, text, anchor in across.marks:
        x = LEFT + place * wide
        if turned:
            parts.append(_text(x + 3, bottom + 9, text, "end", 10, turn=-50, small=wide < FONT))
        elif anchor == "middle":
            parts.append(_text(x, bottom + 11, "?", "middle"))
        else:
            parts.append(_text(x, bottom + 11, text, anchor))
    end = bottom + (13 + 4 * min(10, max(map(len, across.labels))) if turned else 16)
    parts.append(_text(LEFT + size / 2, end + 12, note, "middle", 40))
    return _svg(end + 17, parts, alt)


def _runs(wanted: np.ndarray) -> list[tuple[int, int]]:
    """Start and stop of every run of True."""
    borders = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(int)))
    return list(zip(borders[::2].tolist(), borders[1::2].tolist(), strict=True))


def _nice(top: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most `top`."""
    if top <= 0:
        return 0.0
    power = 10.0 ** math.floor(math.log10(top))
    return max(step * power for step in (1, 2, 5) if step * power <= top * (1 + 1e-9))


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _level(top: float, base: float, rise: float) -> str:
    """One line across at a round share, with its text above its right end, where few histograms are high."""
    value = _nice(top)
    y = base - value * rise
    line = f'<path d="M4 {y:.1f}H{WIDTH - 4}" stroke="var(--rule)"/>'
    return line + _text(WIDTH - 4, y - 3, _percent(value), "end")


def _text(
    x: float,
    y: float,
    text: str,
    anchor: str = "start",
    most: int = 20,
    *,
    turn: int = 0,
    small: bool = False,
) -> str:
    place = f'transform="translate({x:.1f} {y:.1f}) rotate({turn})"' if turn else f'x="{x:.1f}" y="{y:.1f}"'
    end = "" if anchor == "start" else f' text-anchor="{anchor}"'
    end += ' font-size="8"' if small else ""
    return f"<text {place}{end}>{html.escape(shortened(text, most))}</text>"


def _svg(height: float, parts: Sequence[str], alt: str) -> str:
    return (
        f'<svg class="narrow" viewBox="0 0 {WIDTH} {height:.0f}" style="max-width:{WIDTH * 1.35:.0f}px" role="img" '
        f'aria-label="{html.escape(alt, quote=True)}" font-size="{FONT}" fill="var(--ink)">{"".join(parts)}</svg>'
    )


def picture(
    rows: Sequence[tuple[str, Sequence[tuple[str, str]]]], *, alt: str, legend: Sequence[str] = ()
) -> str:
    """Rows of small pictures as one SVG file: (heading, [(title, svg), ...]); light and dark as the reader's system.

    The colours are those of the report's style sheet.
    """
    y, body, widest = 10.0, [], 0.0
    for heading, panels in rows:
        y += 14
        body.append(
            f'<text x="12" y="{y:.0f}" font-size="13" font-weight="600">{html.escape(heading)}</text>'
        )
        y += 8
        tallest = 0.0
        for index, (title, svg) in enumerate(panels):
            x = 12 + index * (WIDTH + 14)
            height = float(svg.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()[1])
            inner = svg[svg.index(">") + 1 : svg.rindex("</svg>")]
            body.append(
                f'<text x="{x}" y="{y + 12:.0f}" font-size="11" font-weight="600">{html.escape(title)}</text>'
                f'<g transform="translate({x} {y + 16:.0f})">{inner}</g>'
            )
            tallest, widest = max(tallest, height), max(widest, x + WIDTH + 12)
        y += 16 + tallest + 10
    for line in legend:
        y += 4
        body.append(
            f'<text x="12" y="{y + 8:.0f}" font-size="11" fill="var(--muted)">{html.escape(line)}</text>'
        )
        y += 13
    light, dark = page_colours()
    style = f":root{{{light}}}@media (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {widest:.0f} {y + 8:.0f}" width="{widest:.0f}" '
        f'role="img" aria-label="{html.escape(alt, quote=True)}" font-family="system-ui, sans-serif" '
        f'font-size="{FONT}" fill="var(--ink)"><style>{style}</style>'
        f'<rect width="100%" height="100%" rx="10" fill="var(--card)"/>{"".join(body)}</svg>\n'
    )


def page_colours() -> tuple[str, str]:
    """The variables of the report's style sheet, as CSS declarations: light, dark."""
    css = Path(__file__).with_name("templates").joinpath("report.css").read_text("utf-8")
    light, dark = (
        "".join(re.findall(r"--[a-z]+:\s*#[0-9a-f]+;", block))
        for block in re.findall(r":root\s*\{(.*?)\}", css, re.S)[:2]
    )
    return light, dark
