"""Figures and tables of a sweep: trade-offs, learning curves, and what speaks for each claim of the paper.

Iwasawa et al. (JSAI 2018). Takes the plain lines of a sweep's results; files can be looked at anywhere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keshi.reports.charts import number
from keshi.reports.sweep_charts import ATTACKERS, AXES, learning_chart, trade_off_chart
from keshi.reports.sweep_claims import (
    F1_MARGIN,
    LOST,
    MARGIN,
    PENDING,
    Finding,
    Line,
    axes_of,
    chosen_points,
    findings,
    main_seed,
    methods_of,
    plain_point,
    points,
    seeds_interval,
    strengths_of,
)

COLOURS = {  # of a file that stands alone; a report's page has its own
    "ink": "#1d2129", "muted": "#5c6570", "rule": "#c9ced6", "paper": "#ffffff", "real": "#2c6e9b",
    "made": "#b4482b", "third": "#3f7d4f", "fourth": "#7a4f9a", "fifth": "#a07a13", "sixth": "#5b6a77",
}  # fmt: skip


def write_sweep_report(results: Sequence[Line], folder: Path, *, planned: Sequence[float] = ()) -> list[Path]:
    """Write the figures (SVG), claims.md and claims.json of a sweep into `folder`; returns what was written.

    `planned`: the strengths that the sweep is to have in the end; until then its verdicts are marked "so far".
    """
    if not results:
        raise ValueError("the sweep has no finished cell yet; run it first.")
    folder.mkdir(parents=True, exist_ok=True)
    seed = main_seed(results)
    ours = [line for line in results if line["cell"]["seed"] == seed]
    axes = axes_of(ours)
    files = {f"trade_off_{axis}.svg": trade_off_chart(ours, axis) for axis in axes}
    files |= {f"trade_off_{axis}_full.svg": trade_off_chart(ours, axis, "full_accuracy") for axis in axes}
    measures = {"attacker": ATTACKERS["attacker"], **{f"f1_{axis}": AXES[axis] for axis in axes}}
    files |= {f"learning_{name}.svg": learning_chart(ours, name, label) for name, label in measures.items()}
    found = findings(results, planned=planned)
    files["claims.md"] = claims_table(results, found)
    plain = [{k: _finite(v) for k, v in asdict(one).items()} for one in found]
    files["claims.json"] = json.dumps({"measured": _measured(results), "claims": plain}, indent=1) + "\n"
    written = []
    for name, text in files.items():
        (folder / name).write_text(standalone(text) if name.endswith(".svg") else text, encoding="utf-8")
        written.append(folder / name)
    return written


def claims_table(results: Sequence[Line], found: Sequence[Finding] | None = None) -> str:
    """Markdown: what every method keeps and leaks, and the paper's claims one by one."""
    parts = [
        _at_strength_one(results),
        _least_leaks(results),
        _claims(findings(results) if found is None else found),
        _floors(results),
        "Measured so far: " + "; ".join(_measured(results)) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _at_strength_one(results: Sequence[Line]) -> str:
    rows = [
        "| at strength 1, last round | F1 known | F1 unknown | attacker, all windows | of whole trials | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for method, strength in [("cnn", 0.0)] + [(m, s) for m in methods_of(results) for s in (1.0, 0.0)]:
        last = [
            line["points"][-1]
            for line in results
            if (line["cell"]["method"], line["cell"]["strength"]) == (method, strength) and line["points"]
        ]
        if last:
            names = ("f1_known", "f1_unknown", "full_accuracy", "full_trial_accuracy")
            cells = [_mean([p[name] for p in last if name in p]) for name in names]
            what = method if strength or method == "cnn" else f"{method}, control"
            rows.append(f"| {what} | {' | '.join(cells)} | {len(last)} |")
    return "\n".join(rows)


def _least_leaks(results: Sequence[Line]) -> str:
    """The point of each method that leaks least among those that keep F1, as a user would choose it."""
    seed = main_seed(results)
    ours = [line for line in results if line["cell"]["seed"] == seed]
    plain = plain_point(ours)
    if plain is None:
        return ""
    rows = [
        f"| least leak with at most {F1_MARGIN:g} of F1 known lost | strength | round | F1 known | F1 unknown | "
        "attacker |",
        "|---|---|---|---|---|---|",
    ]

    def row(name: str, point: Mapping[str, Any], strength: str) -> str:
        figures = (
            point["f1_known_report"],
            point.get("f1_unknown_report", math.nan),
            point["attacker_report"],
        )
        return f"| {name} | {strength} | {point['round']} | {' | '.join(f'{v:.3f}' for v in figures)} |"

    rows.append(row("cnn", plain, "–"))
    for method in methods_of(ours):
        for name, strengths in ((method, strengths_of(ours, method)), (f"{method}, control", (0.0,))):
            measured = points(ours, method, strengths=strengths)
            keeps = [
                point
                for point in (chosen_points(measured, "known") if measured else ())
                if point["f1_known_select"] >= plain["f1_known_select"] - F1_MARGIN
            ]
            if keeps:
                best = min(keeps, key=lambda point: point["attacker_select"])
                rows.append(row(name, best, f"{best['strength']:g}"))
            elif measured:
                rows.append(f"| {name} | no point keeps so much | | | | |")
    return "\n".join(rows)


def _claims(found: Sequence[Finding]) -> str:
    rows = [
        "| claim | axis | against | strengths | seeds | gap (95 % interval) | gap of F1 | supported |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {one.claim}{'' if one.of_paper else ' *'} | {one.axis} | {one.against or '–'} | "
        f"{', '.join(f'{s:g}' for s in one.strengths) or '–'} | {one.seeds or '–'} | {_gap(one)} | "
        f"{'–' if one.f1_gap is None else f'{one.f1_gap:+.3f}'} | {one.verdict}{_so_far(one)} |"
        for one in found
    ]
    notes = (
        "Gap: attacker accuracy less the rival's where both keep at least so much F1, mean over thresholds down to "
        f"{LOST:g} below the plain network; below 0, less leaks. For F1 of unknown people: F1 less the rival's after "
        "the last round at strength 1. Points of the gaps and of the second table are chosen on one half of the "
        "held-out recordings, and shown as measured on the other half; the first table and the pictures are of both. "
        "Where there are several rivals, the one that comes off best. Attacker: the quick one, unless all windows are "
        "named. Interval: over seeds, by Student's t; with one seed from the bootstrap of the plain network's attacker "
        "over recordings, counting two methods' errors on the same windows as independent, which makes it wide; the "
        "chance of the training itself is not in it. Supported: yes or no where the whole interval says so (at least "
        f"as good, like: within {MARGIN:g} of attacker accuracy; keeps: within {F1_MARGIN:g} of F1), else open; so "
        "far: not all strengths are trained yet. *: not a claim of the paper, but what it takes to believe one."
    )
    return "\n".join([*rows, "", notes])


def _so_far(one: Finding) -> str:
    return "" if one.complete or one.verdict == PENDING else " so far"


def _gap(one: Finding) -> str:
    if one.gap is None:
        return "–"
    if math.isnan(one.gap):
        return "not both keep so much F1"
    if math.isinf(one.gap):
        loser = one.against if one.gap < 0 else one.claim.split()[0]
        return f"{loser} never keeps so much F1"
    if one.lower is None or one.upper is None:
        return f"{one.gap:+.3f} (one seed)"
    return f"{one.gap:+.3f} ({one.lower:+.3f} to {one.upper:+.3f}, {one.interval})"


def _floors(results: Sequence[Line]) -> str:
    """What leaks without features, and whether any of the methods is the better deal where only the label is wanted."""
    seed = main_seed(results)
    results = [line for line in results if line["cell"]["seed"] == seed]
    controls = next((line["controls"] for line in results if line["controls"]), None)
    if controls is None:
        return ""
    named = {name.replace("_", " "): value for name, value in controls.items()}
    said = "Rates without features: " + ", ".join(f"{name} {number(v)}" for name, v in named.items()) + "."
    plain = plain_point(results)
    leaks = [
        (point["full_accuracy"], f"{method} at strength {point['strength']:g}, round {point['round']}")
        for method in methods_of(results)
        for point in points(results, method, strengths=strengths_of(results, method), measure="full_accuracy")
        if plain and point["f1_known"] >= plain["f1_known"] - LOST
    ]
    if not leaks or "softmax_only" not in controls:
        return said
    least, where = min(leaks)
    better = "the probabilities" if controls["softmax_only"] <= least else "these features"
    return (
        f"{said} The least that the same attacker names from features within {LOST:g} of the plain network's F1 is "
        f"{least:.3f} ({where}): where only the label is wanted, {better} are the better release."
    )


def _measured(results: Sequence[Line]) -> list[str]:
    """A text for each method: the seeds and strengths it has."""
    found = []
    for seed in sorted({line["cell"]["seed"] for line in results}):
        ours = [line for line in results if line["cell"]["seed"] == seed]
        for method in dict.fromkeys(["cnn", *sorted({line["cell"]["method"] for line in ours})]):
            strengths = sorted(line["cell"]["strength"] for line in ours if line["cell"]["method"] == method)
            if strengths:
                at = "" if method == "cnn" else " at " + ", ".join(f"{s:g}" for s in strengths)
                found.append(f"{method}{at} (seed {seed})")
    return found


def standalone(svg: str) -> str:
    """An inline SVG as a file of its own, with its colours, which not every viewer can look up, and a white ground."""
    svg = re.sub(r"var\(--(\w+)\)", lambda found: COLOURS[found[1]], svg)
    opening, rest = svg.split(">", 1)
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    style = "<style>svg{font-family:sans-serif}</style>"
    return (
        opening.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + f">{style}{ground}{rest}\n"
    )


def _mean(values: Sequence[float]) -> str:
    """Mean, and half the width of its 95 % interval over seeds where there are several."""
    if not values:
        return "–"
    mean, half = float(np.mean(values)), seeds_interval(values)
    return f"{mean:.3f}" if math.isnan(half) else f"{mean:.3f} ± {half:.3f}"


def _finite(value: Any) -> Any:
    """JSON has no infinity: a gap against who never keeps the F1 is told by the verdict alone."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
