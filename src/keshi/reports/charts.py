"""Charts of plain numbers as inline SVG: histograms, pair heat maps, yardsticks, lines, trade-offs.

Each function takes arrays and names and returns the text of one `<svg>`. Drawn small (a phone's width), so
that text stays readable when a page puts them side by side. matplotlib is imported inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keshi.reports.svg import DASHES, INK, MARKERS, SERIES, canvas, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.ticker import MaxNLocator

AFTER = ("made", "third", "fourth", "fifth", "sixth")  # colours of the releases after the first
PANEL = (250, 150)  # pixels of one small multiple
PLOT = 360  # width in pixels of a full figure: a phone's, so that its text is not shrunk there


def shortened(text: str, length: int) -> str:
    """Text of at most `length` characters, the end replaced by an ellipsis, control characters by a space."""
    clean = "".join(c if c.isprintable() else " " for c in str(text))
    return clean if len(clean) <= length else clean[: length - 1].rstrip() + "…"


def number(value: float | None, digits: int = 3) -> str:
    """A number as the reports print it: 3 significant figures, a dash where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if abs(value) >= 1e-4 else None
    return f"{value:.2e}" if decimals is None else f"{value:.{min(decimals, 4)}f}"


def histogram(
    labels: Sequence[str],
    real: Sequence[float],
    made: Sequence[float],
    *,
    edges: Sequence[float] | None = None,
    alt: str,
) -> str:
    """Shares of one column: real as filled bars, synthetic as an outline; categories lie down, bins stand.

    With `edges` (one more than bins) the last label is the missing cell, drawn apart on the right where it is
    not empty.
    """
    if edges is None:
        return _category_bars(labels, real, made, alt=alt)
    with canvas(*PANEL) as figure:
        axes = figure.add_subplot()
        borders, bins = np.asarray(edges, dtype=float), len(edges) - 1
        if borders[-1] <= borders[0]:
            borders = borders[0] + np.linspace(-0.5, 0.5, bins + 1)  # a constant column is one bar
        axes.stairs(real[:bins], borders, fill=True, color=INK["real"], alpha=0.42, linewidth=0)
        axes.stairs(made[:bins], borders, color=INK["made"], linewidth=1.5, baseline=0)
        if len(real) > bins and max(real[bins], made[bins]) > 0:
            span = borders[-1] - borders[0]
            place = borders[-1] + 0.1 * span
            gap = [place, place + 0.06 * span]
            axes.stairs([real[bins]], gap, fill=True, color=INK["real"], alpha=0.42, linewidth=0)
            axes.stairs([made[bins]], gap, color=INK["made"], linewidth=1.5)
            axes.annotate(
                "missing", (place, 0), (0, -4), textcoords="offset points", va="top", ha="center", fontsize=8
            )
        _share_axis(axes.yaxis)
        axes.xaxis.set_major_locator(_few_ticks(4))
        axes.xaxis.set_major_formatter(_plain_numbers)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, alt=alt)


def _category_bars(labels: Sequence[str], real: Sequence[float], made: Sequence[float], *, alt: str) -> str:
    """The seven largest categories (by the larger share) and all others together."""
    shown = sorted(
        (i for i in range(len(labels)) if real[i] or made[i]), key=lambda i: -max(real[i], made[i])
    )
    rows = [(labels[i], real[i], made[i]) for i in shown]
    if len(rows) > 8:
        rest = rows[7:]
        rows = rows[:7] + [(f"{len(rest)} others", sum(r[1] for r in rest), sum(r[2] for r in rest))]
    with canvas(PANEL[0], max(PANEL[1], 34 + 17 * len(rows))) as figure:
        axes = figure.add_subplot()
        places = np.arange(len(rows))
        axes.barh(places - 0.19, [r[1] for r in rows], 0.36, color=INK["real"], alpha=0.42, linewidth=0)
        axes.barh(
            places + 0.19, [r[2] for r in rows], 0.3, facecolor="none", edgecolor=INK["made"], linewidth=1.4
        )
        axes.set_yticks(places, [shortened(r[0], 16) for r in rows])
        axes.invert_yaxis()
        axes.set_xlim(left=0)
        _share_axis(axes.xaxis)
        axes.grid(axis="x")
        axes.spines["bottom"].set_visible(False)
        return to_svg(figure, alt=alt)


def _share_axis(axis: Axis) -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:.3g}%")
    axis.set_major_locator(_few_ticks(4))


def _few_ticks(count: int) -> MaxNLocator:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(count, min_n_ticks=2)


def _plain_numbers(value: float, _: float = 0) -> str:
    """Tick labels: 12k and 1.2M rather than 12000 and 1.2e6."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size * (10 if letter == "k" else 1):
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def pair_heat_map(columns: Sequence[str], distances: np.ndarray, *, largest: float, alt: str) -> str:
    """Lower triangle of a symmetric (d, d) matrix, single columns on the diagonal.

    `largest` is the value of the strongest colour: the same for maps that stand beside each other.
    """
    size = len(columns)
    with canvas(PLOT, PLOT * 0.9) as figure:
        axes = figure.add_subplot()
        shade = np.clip(np.asarray(distances) / (largest or 1.0), 0, 1)
        from matplotlib.patches import Rectangle

        for i in range(size):
            for j in range(i + 1):
                alpha = max(0.02, float(shade[i, j]))
                cell = Rectangle(
                    (j - 0.46, i - 0.46),
                    0.92,
                    0.92,
                    facecolor=INK["made"],
                    alpha=alpha,
                    linewidth=0,
                    clip_on=False,
                )
                axes.add_patch(cell)
        names = [shortened(name, 14) for name in columns]
        step = max(1, math.ceil(size / 30))  # a wide table names every second or third column
        axes.set_yticks(range(0, size, step), names[::step], fontsize=8)
        axes.set_xticks(
            range(0, size, step), names[::step], rotation=50, ha="right", rotation_mode="anchor", fontsize=8
        )
        axes.set_xlim(-0.6, size - 0.4)
        axes.set_ylim(size - 0.4, -0.6)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        return to_svg(figure, alt=alt)


def ranges_between_yardsticks(
    names: Sequence[str],
    values: Sequence[float | None],
    floors: Sequence[float | None],
    ceilings: Sequence[float | None],
    *,
    axis_label: str,
    alt: str,
) -> str:
    """One row per name: a bar from the floor to the ceiling, and where between them the value lies."""
    known = [v for v in (*values, *floors, *ceilings) if v is not None]
    lower, upper = (min(known), max(known)) if known else (0.0, 1.0)
    room = max(upper - lower, 0.05)
    with canvas(PLOT, 46 + 36 * len(names)) as figure:
        axes = figure.add_subplot()
        for row, (value, floor, ceiling) in enumerate(zip(values, floors, ceilings, strict=True)):
            if floor is not None and ceiling is not None:
                axes.plot(
                    [floor, ceiling],
                    [row, row],
                    color=INK["rule"],
                    linewidth=5,
                    solid_capstyle="round",
                    zorder=1,
                )
            if floor is not None:
                axes.plot(floor, row, "|", color=INK["muted"], markersize=13, markeredgewidth=2)
            if ceiling is not None:
                ring: dict[str, Any] = {
                    "markerfacecolor": INK["paper"],
                    "markeredgecolor": INK["real"],
                    "markeredgewidth": 1.8,
                }
                axes.plot(ceiling, row, "D", markersize=7.5, **ring)
            if value is not None:
                axes.plot(value, row, "o", color=INK["made"], markersize=8.5)
                axes.annotate(
                    number(value), (value, row), (0, 7), textcoords="offset points", ha="center", fontsize=9
                )
            else:
                axes.annotate(
                    "inconclusive", (lower, row), (0, 7), textcoords="offset points", color=INK["muted"]
                )
        axes.set_yticks(range(len(names)), [shortened(name, 20) for name in names])
        axes.set_ylim(len(names) - 0.5, -0.7)
        axes.set_xlim(lower - 0.08 * room, upper + 0.08 * room)
        axes.set_xlabel(axis_label)
        axes.xaxis.set_major_locator(_few_ticks(6))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, alt=alt)


def lines(
    series: Sequence[Mapping[str, object]], *, x_label: str, y_label: str, alt: str, log_y: bool = False
) -> str:
    """Curves over a common axis, each {"name", "x", "y"}; told apart by colour and by dashes."""
    with canvas(PLOT, 225) as figure:
        axes = figure.add_subplot()
        for index, one in enumerate(series):
            x, y = np.asarray(one["x"], dtype=float), np.asarray(one["y"], dtype=float)
            keep = _thinned(len(x))
            style: dict[str, Any] = {
                "color": INK[SERIES[index % len(SERIES)]],
                "linestyle": DASHES[index % len(DASHES)],
            }
            axes.plot(x[keep], y[keep], linewidth=1.7, marker="o" if len(x) == 1 else None, **style)
        if log_y and all((np.asarray(one["y"], dtype=float) > 0).all() for one in series):
            from matplotlib.ticker import LogLocator

            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
            axes.yaxis.set_major_formatter(
                lambda value, _: f"{value:g}"
            )  # 0.001, not mathematics in raw form
            axes.minorticks_off()
        else:
            axes.yaxis.set_major_locator(_few_ticks(5))
        axes.xaxis.set_major_locator(_few_ticks(5))
        axes.xaxis.set_major_formatter(_plain_numbers)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, alt=alt)


def legend_of_lines(names: Sequence[str]) -> list[tuple[str, str, str]]:
    """The legend (name, colour, kind of line) of `lines` that are drawn in this order."""
    return [
        (name, SERIES[index % len(SERIES)], f"line{index % len(DASHES)}") for index, name in enumerate(names)
    ]


def _thinned(count: int, most: int = 300) -> np.ndarray:
    """At most `most` evenly spread positions, first and last among them: a plot has no more pixels."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _mark(axes: Axes, x: float, y: float, index: int) -> None:
    """The marker of the index-th release: a ring for "before", then a shape and a colour of its own."""
    style: dict[str, Any] = {"markersize": 9, "zorder": 3, "color": INK[AFTER[(index - 1) % len(AFTER)]]}
    if index == 0:
        style |= {"color": INK["real"], "markerfacecolor": INK["paper"], "markeredgewidth": 1.9}
    axes.plot(x, y, MARKERS[index % len(MARKERS)], **style)


def trade_off(
    names: Sequence[str],
    leakage: Sequence[float],
    usefulness: Sequence[float],
    *,
    floor: float | None,
    x_label: str,
    y_label: str,
    alt: str,
    limits: tuple[float, float, float, float] | None = None,
) -> str:
    """A point per release: useful upwards, leaking to the right; the dashed line is what guessing reaches.

    The first point is the starting point ("before"): an arrow leads to the second where there are just two.
    """
    with canvas(PLOT * 0.9, 270) as figure:
        axes = figure.add_subplot()
        for index, (x, y) in enumerate(zip(leakage, usefulness, strict=True)):
            _mark(axes, x, y, index)
        if len(names) == 2:
            arrow = {"arrowstyle": "-|>", "color": INK["muted"], "shrinkA": 9, "shrinkB": 9, "linewidth": 1.2}
            axes.annotate("", (leakage[1], usefulness[1]), (leakage[0], usefulness[0]), arrowprops=arrow)
        if floor is not None:
            axes.axvline(floor, color=INK["ink"], linewidth=1.1, linestyle=(0, (4, 3)))
            axes.annotate(
                "guessing",
                (floor, 0.03),
                (4, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=8.5,
                color=INK["muted"],
            )
        left, right, bottom, top = limits or (0.0, 1.0, 0.0, 1.0)
        axes.set_xlim(left, right)
        axes.set_ylim(bottom, top)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.xaxis.set_major_locator(_few_ticks(5))
        axes.yaxis.set_major_locator(_few_ticks(5))
        axes.grid()
        return to_svg(figure, alt=alt)


def changes(
    rows: Sequence[str],
    points: Mapping[str, Sequence[float | None]],
    *,
    floors: Sequence[float | None],
    axis_label: str,
    alt: str,
) -> str:
    """One row per measure, a marker per release ("before" first), a tick where guessing stands."""
    with canvas(PLOT, 50 + 50 * len(rows)) as figure:
        axes = figure.add_subplot()
        for row, floor in enumerate(floors):
            here = [value for one in points.values() if (value := one[row]) is not None]
            if len(here) > 1:
                axes.plot([min(here), max(here)], [row, row], color=INK["rule"], linewidth=4, zorder=1)
            if floor is not None:
                axes.plot(floor, row, "|", color=INK["ink"], markersize=18, markeredgewidth=1.6)
        for index, one in enumerate(points.values()):
            for row, value in enumerate(one):
                if value is not None:
                    _mark(axes, value, row, index)
                if value is not None and index < 2:
                    # before below the marker, after above it: the two may lie close together
                    place, side = ((0, -8), "top") if index == 0 else ((0, 8), "bottom")
                    axes.annotate(
                        number(value), (value, row), place, textcoords="offset points", ha="center", va=side
                    )
        axes.set_yticks(range(len(rows)), [shortened(row, 24) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.7)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(axis_label)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, alt=alt)
