"""Ready-made sections of a report: margins, pairs, usefulness, learning curves, cost and settings.

Each takes results of `keshi.auditing` (or plain numbers) and returns a Section. The yardsticks stand beside
every figure: a real hold-out as the best that is possible, independent columns as the cheapest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keshi.auditing.fidelity import ColumnHistogram, Fidelity
from keshi.auditing.utility import Utility
from keshi.reports import charts
from keshi.reports.charts import number
from keshi.reports.report import Figure, Panel, Section, Table

REAL_AND_SYNTHETIC = (("real", "real", "bar"), ("synthetic", "made", "outline"))
MOST_HISTOGRAMS = 40  # pictures a section; the tables list every column
MOST_HEAT_COLUMNS = 40
MOST_PAIRS = 200  # rows of the pair table; the JSON holds all of them


def marginals_section(result: Fidelity) -> Section:
    """Every column by itself, real against synthetic, the worst column first."""
    ordered = sorted(result.histograms, key=lambda one: -one.distance)
    panels = []
    for one in ordered[:MOST_HISTOGRAMS]:
        alt = f"Shares of {one.column}, real against synthetic; distance {number(one.distance)}."
        svg = charts.histogram(one.labels, one.reference, one.synthetic, edges=one.edges, alt=alt)
        panels.append(Panel(svg, f"{one.column} · {number(one.distance)}"))
    left_out = len(ordered) - len(panels)
    caption = "The farthest apart first; beside the name the total variation distance (0 equal, 1 disjoint)."
    if left_out:
        caption += f" {left_out} closer columns are in the table only."
    quantile = result.quantile.one_way
    distances = Table(
        ("column", "equal-width bins", "quantile bins", "Wasserstein, share of range"),
        [
            (one.column, one.distance, quantile[str(one.column)], result.wasserstein.get(str(one.column)))
            for one in ordered
        ],
        "Distance of each column by itself",
    )
    figure = Figure(
        panels,
        caption,
        "Small charts, one per column: filled bars are the real shares, outlines the synthetic ones.",
        _histogram_table(ordered),
        REAL_AND_SYNTHETIC,
        data={"histograms": [vars(one) for one in ordered]},
    )
    worst = ordered[0]
    highlights = [
        (
            number(result.equal_width.mean_one_way),
            "mean distance of one column",
            f"{number(result.quantile.mean_one_way)} in quantile bins",
        ),
        (number(worst.distance), "largest distance of one column", str(worst.column)),
    ]
    text = f"{result.reference_rows:,} real rows against {result.synthetic_rows:,} synthetic ones."
    return Section("Columns one by one", text, [figure], [distances], highlights, exact=True)


def _histogram_table(histograms: Sequence[ColumnHistogram], most: int = 25) -> Table:
    """Every bar of every panel; of a column with many categories the largest."""
    rows: list[tuple[Any, ...]] = []
    for one in histograms:
        size = np.maximum(one.reference, one.synthetic)
        kept = [i for i in range(len(one.labels)) if size[i] > 0]
        if len(kept) > most:
            kept = sorted(kept, key=lambda i: -size[i])[:most]
        rows += [(one.column, one.labels[i], one.reference[i], one.synthetic[i]) for i in kept]
    return Table(("column", "cell", "real share", "synthetic share"), rows, "Shares behind the charts")


def pairs_section(
    result: Fidelity, *, independent: Fidelity | None = None, holdout: Fidelity | None = None
) -> Section:
    """Every pair of columns: how far the synthetic joint distribution is from the real one.

    Args:
        result: of the synthetic table.
        independent: of `yardsticks.independent_columns`, drawn beside it with the same shades.
        holdout: of real rows that were held out, the best that is possible.
    """
    columns = result.equal_width.columns
    kept = list(range(len(columns)))
    if len(columns) > MOST_HEAT_COLUMNS:
        worst = np.argsort(-result.equal_width.pairs.mean(axis=1))[:MOST_HEAT_COLUMNS]
        kept = sorted(worst.tolist())
    names = [columns[i] for i in kept]
    maps = [("synthetic", result)] + ([("independent columns", independent)] if independent else [])
    largest, is_cut = _strongest_shade([one.equal_width.pairs[np.ix_(kept, kept)] for _, one in maps])
    panels = [
        Panel(
            charts.pair_heat_map(
                names,
                one.equal_width.pairs[np.ix_(kept, kept)],
                largest=largest,
                alt=f"Heat map of all pairs, {name}: mean distance {number(one.equal_width.mean_two_way)}.",
            ),
            f"{name} · mean {number(one.equal_width.mean_two_way)}",
        )
        for name, one in maps
    ]
    caption = "Total variation distance of each pair of columns; the stronger the colour, the farther apart."
    if len(names) < len(columns):
        caption += f" The {len(names)} columns that are farthest apart, of {len(columns)}."
    figure = Figure(
        panels,
        caption,
        "Heat maps of the distance between real and synthetic, one square per pair of columns.",
        _pair_table(result, independent),
        scale=("made", "0", number(largest) + (" or more" if is_cut else "")),
        data={name: {"columns": columns, "pairs": one.equal_width.pairs} for name, one in maps},
    )
    rows = [(name, *_means(one)) for name, one in _with_yardsticks("synthetic", result, holdout, independent)]
    heading = (
        "table",
        "pairs, equal width",
        "pairs, quantiles",
        "3-way range queries",
        "correlation (Cramér's V)",
    )
    tables = [Table(heading, rows, "Mean distances between the real training table and other tables")]
    beside = []
    if holdout:
        beside.append(f"real hold-out {number(holdout.equal_width.mean_two_way)}")
    if independent:
        beside.append(f"independent columns {number(independent.equal_width.mean_two_way)}")
    highlights = [
        (number(result.equal_width.mean_two_way), "mean distance of a pair", ", ".join(beside)),
        (number(result.range_query_error), "mean error of a 3-way range query", "share of rows"),
    ]
    text = (
        "A pair is kept well where its square is faint. Independent columns keep every margin and no "
        "relation: what is as strong as theirs has been lost."
        if independent
        else "A pair is kept well where its square is faint."
    )
    return Section("Columns in pairs", text, [figure], tables, highlights, exact=True)


def _strongest_shade(matrices: Sequence[np.ndarray]) -> tuple[float, bool]:
    """Value of the strongest shade, and whether some squares lie above it.

    The yardstick has a few pairs that are far apart by construction (a code and its text, say); scaled to
    them, every other square would be empty.
    """
    largest = max(float(matrices[0].max()), *(float(np.quantile(one, 0.95)) for one in matrices), 1e-12)
    return largest, any(float(one.max()) > largest for one in matrices)


def _means(one: Fidelity) -> tuple[float, float, float, float]:
    return (
        one.equal_width.mean_two_way,
        one.quantile.mean_two_way,
        one.range_query_error,
        one.correlation_difference,
    )


def _with_yardsticks(name: str, result: Any, ceiling: Any, floor: Any) -> list[tuple[str, Any]]:
    rows = [("real hold-out", ceiling), (name, result), ("independent columns", floor)]
    return [(what, one) for what, one in rows if one is not None]


def _pair_table(result: Fidelity, independent: Fidelity | None) -> Table:
    columns, pairs = result.equal_width.columns, result.equal_width.pairs
    first, second = np.triu_indices(len(columns), 1)
    order = np.argsort(-pairs[first, second], kind="stable")[:MOST_PAIRS]
    rows = []
    for k in order:
        i, j = first[k], second[k]
        row = [f"{columns[i]} × {columns[j]}", pairs[i, j], result.quantile.pairs[i, j]]
        rows.append(row + ([independent.equal_width.pairs[i, j]] if independent else []))
    heading = ["pair", "equal-width bins", "quantile bins"] + (["independent columns"] if independent else [])
    note = f"The {len(rows)} pairs that are farthest apart" if len(first) > len(rows) else "All pairs"
    return Table(heading, rows, note)


def utility_section(
    result: Utility, *, ceiling: Utility | None = None, floor: Utility | None = None
) -> Section:
    """Train on synthetic, test on real, between real rows (ceiling) and independent columns (floor)."""
    names = [score.classifier for score in result.scores]

    def areas(one: Utility | None) -> list[float | None]:
        scores = {score.classifier: score.roc_auc for score in one.scores} if one else {}
        known = [scores.get(name) for name in names]
        values = [value for value in known if value is not None]
        mean = float(np.mean(values)) if values and len(values) == len(names) else None
        return known + ([mean] if len(names) > 1 else [])

    shown = [name.replace("_", " ").replace("mlp", "MLP") for name in names] + (
        ["mean"] if len(names) > 1 else []
    )
    values, floors, ceilings = areas(result), areas(floor), areas(ceiling)
    alt = "ROC-AUC of classifiers: " + "; ".join(
        f"{name} {number(value)}" for name, value in zip(shown, values, strict=True)
    )
    svg = charts.ranges_between_yardsticks(
        shown, values, floors, ceilings, axis_label="ROC-AUC on real rows", alt=alt
    )
    legend = [("trained on synthetic rows", "made", "dot")]
    if ceiling:
        legend.append(("trained on real rows (ceiling)", "real", "diamond"))
    if floor:
        legend.append(("trained on independent columns (floor)", "muted", "tick"))
    tables = [
        Table(
            ("classifier", "synthetic", "95 % interval", "real rows", "independent columns"),
            [
                (name, value, _interval(result, index), top, bottom)
                for index, (name, value, top, bottom) in enumerate(
                    zip(shown, values, ceilings, floors, strict=True)
                )
            ],
            "ROC-AUC on real test rows",
        ),
        Table(
            ("classifier", "synthetic", "real rows", "independent columns"),
            [
                (
                    shown[i],
                    *(one.scores[i].average_precision if one else None for one in (result, ceiling, floor)),
                )
                for i in range(len(names))
            ],
            "Average precision on real test rows",
        ),
    ]
    figure = Figure(
        svg,
        "A classifier trained on the synthetic table, scored on real rows that were never released.",
        alt,
        tables[0],
        legend,
        data={"synthetic": result.to_json()}
        | {name: one.to_json() for name, one in (("real", ceiling), ("independent", floor)) if one},
    )
    goal = (
        f"class {result.positive}"
        if result.positive
        else f"{len(result.classes)} classes, each against the rest"
    )
    reasons = sorted({score.reason for score in result.scores if score.reason})
    text = (
        f"Learning to predict {result.label} ({goal}); {result.train_rows:,} training rows, "
        f"{result.test_rows:,} real test rows. "
        + " ".join(f"Note: {note}." for note in (*result.notes, *reasons))
    )
    beside = [
        f"{name} {number(one.mean_roc_auc)}"
        for name, one in (("real rows", ceiling), ("independent columns", floor))
        if one
    ]
    mean = result.mean_roc_auc
    value = "inconclusive" if mean is None else number(mean)
    highlights = [(value, "mean ROC-AUC, trained on synthetic", ", ".join(beside))]
    return Section(
        "Use: train on synthetic, test on real", text.strip(), [figure], tables[1:], highlights, exact=True
    )


def _interval(result: Utility, index: int) -> str | None:
    if index >= len(result.scores) or result.scores[index].roc_auc_interval is None:
        return None
    low, high = result.scores[index].roc_auc_interval or (0.0, 0.0)
    return f"{number(low)} to {number(high)}"


def learning_curves_section(
    curves: Sequence[Mapping[str, Any]],
    *,
    title: str = "Learning",
    text: str = "",
    x_label: str = "step",
    y_label: str = "loss",
    log_y: bool = False,
    exact: bool = False,
) -> Section:
    """Curves {"name", "x", "y"} over a common axis; `exact` where they were computed from records."""
    svg = charts.lines(
        curves,
        x_label=x_label,
        y_label=y_label,
        log_y=log_y,
        alt=f"{y_label} over {x_label}: {_named(curves)}.",
    )
    rows = []
    for one in curves:
        x, y = np.asarray(one["x"], dtype=float), np.asarray(one["y"], dtype=float)
        places = np.unique(np.linspace(0, len(x) - 1, min(len(x), 12)).round().astype(int))
        rows += [(one["name"], _whole(float(x[place])), float(y[place])) for place in places]
    legend = charts.legend_of_lines([str(one["name"]) for one in curves])
    figure = Figure(
        svg,
        f"{y_label} over {x_label}",
        f"Line chart of {_named(curves)}.",
        Table(
            ("curve", x_label, y_label), rows, "Points of the curves (at most 12 each; all are in the JSON)"
        ),
        legend,
        data={"curves": [dict(one) for one in curves]},
    )
    return Section(title, text, [figure], exact=exact)


def _whole(value: float) -> float | int:
    return int(value) if value.is_integer() else value  # steps and epochs print without decimals


def _named(curves: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(str(one["name"]) for one in curves)


def settings_section(
    settings: Mapping[str, Any],
    *,
    cost: Mapping[str, Any] | None = None,
    title: str = "Cost and settings",
    text: str = "",
) -> Section:
    """What a run cost, with units in the names (`"CPU seconds"`), and the settings that repeat it."""
    tables = [Table(("cost", "value"), list(cost.items()), "What it cost")] if cost else []
    tables.append(Table(("setting", "value"), list(settings.items()), "Settings"))
    return Section(title, text, (), tables)
