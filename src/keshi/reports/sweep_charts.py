"""Pictures of a sweep: trade-off with lower envelopes and learning curves, Iwasawa et al. (JSAI 2018), Fig. 2 and 3.

Every picture of a leak has a ladder beside it, from 0 to 1, with what leaks without a censored feature: raw windows,
the plain network's features, softmax outputs, labels, a guess. It marks the part of it that the large panel shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keshi.auditing.tradeoff import lower_envelope
from keshi.reports.svg import DASHES, INK, MARKERS, SERIES, canvas, to_svg
from keshi.reports.sweep_claims import (
    METHOD_ORDER,
    Line,
    column,
    methods_of,
    plain_point,
    points,
    strengths_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AXES = {"known": "label F1, known people", "unknown": "label F1, unknown people"}
ATTACKERS = {
    "attacker": "fresh attacker's accuracy (quick training)",
    "full_accuracy": "fresh attacker's accuracy (all windows)",
}
SIZE = (500, 330)  # pixels
WIDEST = 0.25  # of F1 below the best: beyond that the label is lost
LABEL_GAP = 0.058  # of the ladder's height, between two labels
RUNGS = {  # *: by the attacker on all windows, in every picture
    "raw_window": "raw window*",
    "plain": "plain network",
    "softmax_only": "softmax only*",
    "predicted_label_only": "predicted label",
    "true_label_only": "true label",
    "majority": "guessing",
}


def trade_off_chart(results: Sequence[Line], axis: str, attacker: str = "attacker") -> str:
    """Every (strength, round) as a point, envelopes as lines, the controls as crosses; lower right is better."""
    with canvas(*SIZE) as figure:
        axes, ladder = figure.subplots(1, 2, width_ratios=(5.2, 1))
        useful = f"f1_{axis}"
        series = [
            (method, points(results, method, strengths=strengths_of(results, method), measure=attacker))
            for method in methods_of(results)
        ]
        controls = [
            point
            for method in sorted({line["cell"]["method"] for line in results} - {"cnn"})
            for point in points(results, method, strengths=(0.0,), measure=attacker)
        ]
        plain = plain_point(results)
        every = [p for _, found in series for p in found] + controls + ([plain] if plain else [])
        top = max((p[useful] for p in every), default=1.0)
        shown = [p[useful] for p in every if p[useful] >= top - WIDEST]
        margin = 0.04 * (top - min(shown, default=0.0)) + 0.002
        left = min(shown, default=0.0) - margin
        for method, found in series:
            if found:
                _curve(axes, found, useful, attacker, left, label=method, **_style(method))
        if controls:
            muted: dict[str, Any] = {"color": INK["muted"], "marker": "x", "linestyle": "-"}
            _curve(axes, controls, useful, attacker, left, label="controls, strength 0", **muted)
        if plain and attacker in plain:
            mark = {"color": INK["ink"], "markersize": 9, "linestyle": "none", "zorder": 4}
            axes.plot(plain[useful], plain[attacker], "*", label="plain network", **mark)
        axes.set_xlim(left, top + margin)
        outside = sum(p[useful] < left for p in every)
        if outside:
            note = f"on the left edge: {outside} points with less F1"
            axes.set_title(note, loc="left", fontsize=7.5, color=INK["muted"])
        _finish(axes, AXES[axis], ATTACKERS[attacker])
        _ladder(ladder, axes, results, attacker)
        _legend(figure, axes)
        return to_svg(figure, alt=f"attacker's accuracy against {AXES[axis]}; lower right is better")


def learning_chart(results: Sequence[Line], measure: str, label: str) -> str:
    """One measure over the rounds at strength 1, a line for each method, and for the controls."""
    leak = measure in ATTACKERS
    with canvas(SIZE[0], SIZE[1] - 30) as figure:
        if leak:
            axes, ladder = figure.subplots(1, 2, width_ratios=(5.2, 1))
        else:
            axes = figure.add_subplot()
        for method in _with_controls(results):
            for strength in (1.0, 0.0):
                found = points(results, method, strengths=(strength,), measure=measure)
                if not found:
                    continue
                style = _style(method) | ({} if strength else {"color": INK["muted"]})
                name = method if strength else f"{method}, control"
                axes.plot(
                    column(found, "round"),
                    column(found, measure),
                    label=name,
                    linewidth=1.6 if strength else 1.1,
                    markersize=3.5,
                    markevery=max(1, len(found) // 6),
                    **style,
                )
        plain = plain_point(results)
        if plain and measure in plain:
            axes.axhline(
                plain[measure], color=INK["ink"], linewidth=1.0, linestyle=(0, (1, 2)), label="plain network"
            )
        _finish(axes, "round", label)
        if leak:
            _ladder(ladder, axes, results, measure)
        _legend(figure, axes)
        return to_svg(figure, alt=f"{label} over the rounds")


def _with_controls(results: Sequence[Line]) -> list[str]:
    """The methods, and those of which only the control is measured."""
    found = {line["cell"]["method"] for line in results} - {"cnn"}
    return [m for m in METHOD_ORDER if m in found] + sorted(found - set(METHOD_ORDER))


def _style(method: str) -> dict[str, Any]:
    """Colour, dashes and marker of a method: its own in every picture, whatever else is measured."""
    known = METHOD_ORDER.index(method) if method in METHOD_ORDER else len(METHOD_ORDER)
    return {
        "color": INK[SERIES[known % len(SERIES)]],
        "linestyle": DASHES[known % len(DASHES)],
        "marker": MARKERS[known % len(MARKERS)],
    }


def _curve(
    axes: Axes,
    found: Sequence[Mapping[str, Any]],
    useful: str,
    attacker: str,
    left: float,
    *,
    label: str,
    color: str,
    marker: str,
    linestyle: Any,
) -> None:
    """Points, and the least leak that is to be had with at least so much F1: flat to the left of the last point."""
    f, leak = column(found, useful), column(found, attacker)
    faint = 0.9 if marker == "x" else 0.4
    axes.plot(
        np.maximum(f, left), leak, marker, color=color, markersize=3.2, alpha=faint, markeredgewidth=0.9,
        clip_on=False,
    )  # fmt: skip
    curve = lower_envelope(f, leak)
    x, y = np.r_[curve.useful, min(left, curve.useful[-1])], np.r_[curve.leak, curve.leak[-1]]
    width = 1.1 if marker == "x" else 1.8
    axes.step(
        x, y, where="post", color=color, linewidth=width, linestyle=linestyle, marker=marker, markevery=[0],
        markersize=3.6, label=label,
    )  # fmt: skip


def _ladder(ladder: Axes, axes: Axes, results: Sequence[Line], attacker: str) -> None:
    """From 0 to 1: what leaks without censored features; a band: what the other panel shows."""
    controls: Mapping[str, float] = next((line["controls"] for line in results if line.get("controls")), {})
    plain = plain_point(results) or {}
    values = {**controls, **({"plain": plain[attacker]} if attacker in plain else {})}
    rungs = sorted((values[name], text) for name, text in RUNGS.items() if name in values)
    ladder.set_ylim(0, 1)
    ladder.set_xlim(0, 1)
    ladder.axhspan(*axes.get_ylim(), color=INK["rule"], alpha=0.55, linewidth=0)
    place = -1.0
    for value, text in rungs:
        place = max(value, place + LABEL_GAP)
        ladder.plot([0, 0.22], [value, value], color=INK["ink"], linewidth=1.3)
        ladder.plot([0.22, 0.34], [value, place], color=INK["muted"], linewidth=0.6)
        ladder.annotate(f"{text} {value:.2f}", (0.38, place), fontsize=7, va="center", annotation_clip=False)
    ladder.set_xticks([])
    ladder.set_yticks([0, 0.5, 1], ["0", "0.5", "1"], fontsize=7)
    ladder.spines["bottom"].set_visible(False)
    if attacker != "full_accuracy":
        ladder.set_xlabel("* attacker on\nall windows", fontsize=7, color=INK["muted"])


def _finish(axes: Axes, x_label: str, y_label: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.grid()


def _legend(figure: Any, axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside upper left", ncols=4, frameon=False, fontsize=7.5, handlelength=2.4)
