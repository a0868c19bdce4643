"""One chart: estimates with their intervals, one row each, and the same estimates on yardsticks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keshi.reports.charts import PLOT, number, shortened
from keshi.reports.svg import INK, canvas, to_svg


def intervals(
    names: Sequence[str],
    values: Sequence[float | None],
    limits: Sequence[tuple[float, float] | None],
    *,
    beside: Sequence[float | None],
    zero: float,
    axis_label: str,
    alt: str,
) -> str:
    """A dot and its interval a row; a diamond where the real hold-out lies; the dashed line is "nothing leaks".

    A row without a value says so: nothing could be measured there.
    """
    known = [v for v in (*values, *beside, zero) if v is not None]
    known += [v for pair in limits if pair is not None for v in pair if math.isfinite(v)]
    lower, upper = min(known), max(known)
    room = max(upper - lower, 0.02)
    with canvas(PLOT, 50 + 26 * len(names)) as figure:
        axes = figure.add_subplot()
        axes.axvline(zero, color=INK["ink"], linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
        for row, (value, pair, other) in enumerate(zip(values, limits, beside, strict=True)):
            if value is None:
                axes.annotate("inconclusive", (lower, row), va="center", fontsize=9, color=INK["muted"])
                continue
            if pair is not None and all(math.isfinite(v) for v in pair):
                axes.plot(pair, [row, row], color=INK["made"], linewidth=2.2, solid_capstyle="butt")
            if other is not None:
                ring = {
                    "markerfacecolor": INK["paper"],
                    "markeredgecolor": INK["real"],
                    "markeredgewidth": 1.6,
                }
                axes.plot(other, row, "D", markersize=6.5, **ring)  # type: ignore[arg-type]
            axes.plot(value, row, "o", color=INK["made"], markersize=7)
            ends = [value, *([] if other is None else [other]), *(pair or ())]
            axes.annotate(  # to the right of every mark of its row
                number(value),
                (max(end for end in ends if math.isfinite(end)), row),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
            )
        axes.set_yticks(range(len(names)), [shortened(name, 24) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.8)
        axes.set_xlim(lower - 0.06 * room, upper + 0.2 * room)  # for the figures
        axes.set_xlabel(axis_label)
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        return to_svg(figure, alt=alt)
