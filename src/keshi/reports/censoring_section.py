"""The section on a censored representation: what it still knows of the label, and of the person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from keshi.reports import charts
from keshi.reports.charts import number
from keshi.reports.report import Figure, Panel, Section, Table


@dataclass(frozen=True)
class CensoringPoint:
    """One representation, measured: 0 to 1 each, None where it was not measured.

    `macro_f_known` and `macro_f_unknown` are of the label, on people in and not in the training set;
    `attacker_accuracy` is that of the worst (most successful) freshly trained attacker who names the person,
    window by window; `trial_accuracy` the same over whole trials; `equal_error_rate` that of verification on
    unknown people.
    """

    name: str
    macro_f_known: float
    macro_f_unknown: float
    attacker_accuracy: float
    trial_accuracy: float | None = None
    equal_error_rate: float | None = None
    attacker: str | None = None


def censoring_section(
    points: Sequence[CensoringPoint],
    *,
    majority_rate: float,
    label_majority_f: float | None = None,
    title: str = "Label kept, person lost",
    text: str = "",
) -> Section:
    """Usefulness against leakage, before and after censoring, with the floor that guessing reaches.

    Args:
        points: the representation before censoring first, then one or more after it.
        majority_rate: accuracy of always naming the most frequent person: no attacker can do worse by trying.
        label_majority_f: macro-F of always naming the most frequent label.
        title, text: of the section.
    """
    if len(points) < 2:
        raise ValueError(
            f"points must hold the representation before and after censoring, got {len(points)} point(s)."
        )
    before, after = points[0], points[1]
    measures = ("label, known people", "label, unknown people", "attacker: who is it?")
    values = {one.name: (one.macro_f_known, one.macro_f_unknown, one.attacker_accuracy) for one in points}
    table = Table(
        ("representation", "macro-F known", "macro-F unknown", "attacker"),
        [
            *((name, *three) for name, three in values.items()),
            ("guessing", label_majority_f, label_majority_f, majority_rate),
        ],
        "Usefulness and leakage in short",
    )
    legend = [
        (
            one.name,
            "real" if i == 0 else charts.AFTER[(i - 1) % len(charts.AFTER)],
            "ring" if i == 0 else f"mark{i % len(charts.MARKERS)}",
        )
        for i, one in enumerate(points)
    ]
    overview = Figure(
        charts.changes(
            measures,
            values,
            floors=(label_majority_f, label_majority_f, majority_rate),
            axis_label="macro-F, or accuracy of the attacker",
            alt=f"{before.name} and {after.name}: macro-F, and the accuracy of a fresh attacker.",
        ),
        "The first two rows should stay to the right; the last should move to the tick, which is guessing.",
        f"Attacker accuracy {number(before.attacker_accuracy)} before, "
        f"{number(after.attacker_accuracy)} after; "
        f"guessing {number(majority_rate)}.",
        table,
        legend + [("guessing", "ink", "tick")],
        data={
            "points": [asdict(one) for one in points],
            "majority_rate": majority_rate,
            "label_majority_f": label_majority_f,
        },
    )
    panels = [
        Panel(
            charts.trade_off(
                [one.name for one in points],
                [one.attacker_accuracy for one in points],
                [getattr(one, measure) for one in points],
                floor=majority_rate,
                x_label="attacker accuracy (leakage)",
                y_label="macro-F of the label",
                alt=f"{people}: macro-F against attacker accuracy, one point per representation.",
            ),
            people,
        )
        for people, measure in (("known people", "macro_f_known"), ("unknown people", "macro_f_unknown"))
    ]
    trade = Figure(
        panels,
        "Up is useful, left is private; the dashed line is what an attacker reaches by guessing.",
        "Scatter charts of usefulness against leakage, for known and for unknown people.",
        table,
        legend,
    )
    highlights = [
        (
            f"{number(before.attacker_accuracy)} → {number(after.attacker_accuracy)}",
            "a fresh attacker names the person",
            f"guessing {number(majority_rate)}",
        ),
        (f"{number(before.macro_f_known)} → {number(after.macro_f_known)}", "macro-F, known people", ""),
        (
            f"{number(before.macro_f_unknown)} → {number(after.macro_f_unknown)}",
            "macro-F, unknown people",
            "",
        ),
    ]
    note = (
        "Measured leakage, no guarantee: the attackers were trained afresh on the finished representation, "
        "and a better one may exist."
    )
    return Section(
        title,
        f"{text} {note}".strip(),
        [overview, trade],
        [_full_table(points, majority_rate, label_majority_f)],
        highlights,
        exact=True,
    )


def _full_table(points: Sequence[CensoringPoint], majority_rate: float, label_floor: float | None) -> Table:
    heading = ["representation", "macro-F known", "macro-F unknown", "attacker, windows"]
    trials, errors = (
        any(p.trial_accuracy is not None for p in points),
        any(p.equal_error_rate is not None for p in points),
    )
    attackers = any(p.attacker for p in points)
    heading += ["attacker, trials"] * trials + ["equal error rate"] * errors + ["worst attacker"] * attackers
    rows: list[list[object]] = []
    for p in points:
        row: list[object] = [p.name, p.macro_f_known, p.macro_f_unknown, p.attacker_accuracy]
        rows.append(
            row + [p.trial_accuracy] * trials + [p.equal_error_rate] * errors + [p.attacker] * attackers
        )
    guessing: list[object] = ["guessing", label_floor, label_floor, majority_rate]
    rows.append(guessing + [majority_rate] * trials + [0.5] * errors + [None] * attackers)
    return Table(heading, rows, "Usefulness and leakage")
