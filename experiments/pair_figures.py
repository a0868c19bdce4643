"""Table and figure of experiments/why_pairs.py, from the lines of its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keshi.reports.svg import DASHES, INK, MARKERS, SERIES, canvas, to_svg

Line = Mapping[str, Any]
METHODS = ("control", "afl-dnn", "sct", "hsic")
JUDGES = {"judge_D": "D of AFL, read by Bayes", "judge_Dsim": "Dsim of SCT", "judge_cosine": "cosine"}
PANELS = {"advantage": "worst attacker's advantage", "pair_auc": "AUC of pairs", "f1": "label F1"}
WORLDS = {"simulated": "simulated people", "real": "real people"}


def table(results: Sequence[Line]) -> list[str]:
    """Markdown: means over seeds, with the smallest and the largest where there are several."""
    lines = [
        "| world | people | method | F1 | worst attacker | guessing | advantage | AUC of pairs | seeds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    measures = ("f1", "worst", "majority", "advantage", "pair_auc")
    for world, people in _worlds(results):
        for method in METHODS:
            found = _lines(results, world, people, method)
            if found:
                cells = [_mean([one[name] for one in found]) for name in measures]
                lines.append(f"| {world} | {people} | {method} | {' | '.join(cells)} | {len(found)} |")
    lines += ["", *_changes(results)]
    lines += [
        "",
        f"| world | people | {' | '.join(JUDGES.values())} | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for world, people in _worlds(results):
        if found := _lines(results, world, people, "judges"):
            cells = [_mean([one[name] for one in found]) for name in JUDGES]
            lines.append(f"| {world} | {people} | {' | '.join(cells)} | {len(found)} |")
    numbers = [one for one in results if "r2_known" in one]
    if numbers:
        lines += ["", "| strength, a number | variance explained, known people | strangers | seeds |"]
        lines.append("|---|---|---|---|")
        for method in METHODS:
            found = [one for one in numbers if one["method"] == method]
            if found:
                cells = [_mean([one[name] for one in found]) for name in ("r2_known", "r2_strangers")]
                lines.append(f"| {method} | {' | '.join(cells)} | {len(found)} |")
    return lines


def _changes(results: Sequence[Line]) -> list[str]:
    """Markdown: what every method changes against the control of the same seed."""
    names = [f"{method}: {what}" for method in METHODS[1:] for what in ("AUC of pairs", "F1")]
    lines = [
        f"| against the control | people | {' | '.join(names)} | seeds |",
        "|---" * (len(names) + 3) + "|",
    ]
    for world, people in _worlds(results):
        controls = {one["seed"]: one for one in _lines(results, world, people, "control")}
        cells, seeds = [], []
        for method in METHODS[1:]:
            found = [one for one in _lines(results, world, people, method) if one["seed"] in controls]
            for measure in ("pair_auc", "f1"):
                changes = [one[measure] - controls[one["seed"]][measure] for one in found]
                cells.append(_mean(changes, "+.3f") if changes else "")
            seeds.append(len(found))
        lines.append(f"| {world} | {people} | {' | '.join(cells)} | {min(seeds)} |")
    return lines


def chart(results: Sequence[Line]) -> str:
    """Leak and F1 against the number of people, a column for simulated and one for real ones; below, the judges."""
    with canvas(560, 760) as figure:
        rows = figure.subplots(len(PANELS) + 1, len(WORLDS), squeeze=False, sharey="row")
        for column, (world, title) in enumerate(WORLDS.items()):
            for row, (measure, label) in enumerate(PANELS.items()):
                curves = {m: (m, measure) for m in METHODS}
                _panel(rows[row][column], results, world, curves, label if column == 0 else "")
            curves = {title: ("judges", name) for name, title in JUDGES.items()}
            own = "AUC of the discriminators" if column == 0 else ""
            _panel(rows[len(PANELS)][column], results, world, curves, own)
            rows[0][column].set_title(title)
            rows[len(PANELS)][column].set_xlabel("number of people")
        rows[0][0].legend(frameon=False, fontsize=7)
        rows[len(PANELS)][0].legend(frameon=False, fontsize=7)
        return to_svg(
            figure, alt="leak and F1 of AFL, SCT, HSIC and the control against the number of people"
        )


def _panel(
    axes: Any, results: Sequence[Line], world: str, curves: Mapping[str, tuple[str, str]], label: str
) -> None:
    """One measure of several methods; lines through the means, bars from the smallest to the largest seed."""
    numbers = [people for name, people in _worlds(results) if name == world]
    for index, (name, (method, measure)) in enumerate(curves.items()):
        x, means, below, above = [], [], [], []
        for people in numbers:
            values = [one[measure] for one in _lines(results, world, people, method)]
            if values:
                mean = sum(values) / len(values)
                x.append(people)
                means.append(mean)
                below.append(mean - min(values))
                above.append(max(values) - mean)
        style: dict[str, Any] = {"color": INK[SERIES[index]], "linestyle": DASHES[index], "label": name}
        axes.errorbar(x, means, [below, above], marker=MARKERS[index], markersize=3.5, linewidth=1.5, **style)
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(number) for number in numbers])
    axes.minorticks_off()
    axes.set_ylabel(label)
    axes.grid(axis="y")


def _worlds(results: Sequence[Line]) -> list[tuple[str, int]]:
    order = [*WORLDS, "strength"]
    found = {(one["world"], one["people"]) for one in results}
    return sorted(found, key=lambda one: (order.index(one[0]), one[1]))


def _lines(results: Sequence[Line], world: str, people: int, method: str) -> list[Line]:
    return [one for one in results if (one["world"], one["people"], one["method"]) == (world, people, method)]


def _mean(values: Sequence[float], form: str = ".3f") -> str:
    mean, low, high = sum(values) / len(values), min(values), max(values)
    return f"{mean:{form}}" if low == high else f"{mean:{form}} [{low:{form}}, {high:{form}}]"
