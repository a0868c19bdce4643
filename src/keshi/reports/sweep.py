"""Figures and a table of a sweep: trade-off with lower envelopes, learning curves, and what speaks for each claim.

Iwasawa et al. (JSAI 2018), Fig. 2 and 3. Takes the plain lines of a sweep's results; files can be looked at anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keshi.auditing.tradeoff import Envelope, lower_envelope, mean_gap
from keshi.reports.charts import PLOT, number
from keshi.reports.svg import DASHES, INK, MARKERS, SERIES, canvas, to_svg

AXES = {"known": "label F1, known people", "unknown": "label F1, unknown people"}
COLOURS = {  # of a file that stands alone; a report's page has its own
    "ink": "#1d2129", "muted": "#5c6570", "rule": "#c9ced6", "paper": "#ffffff", "real": "#2c6e9b",
    "made": "#b4482b", "third": "#3f7d4f", "fourth": "#7a4f9a", "fifth": "#a07a13", "sixth": "#5b6a77",
}  # fmt: skip
T_95 = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571}  # Student's t, two-sided 95 %, by number of seeds
LOST = 0.05  # of F1 against the plain network: envelopes are compared above that
Line = Mapping[str, Any]


def write_sweep_report(results: Sequence[Line], folder: Path) -> list[Path]:
    """Write the figures (SVG) and claims.md of a sweep into `folder`; returns what was written."""
    if not results:
        raise ValueError("the sweep has no finished cell yet; run it first.")
    folder.mkdir(parents=True, exist_ok=True)
    seed = results[0]["cell"]["seed"]
    ours = [line for line in results if line["cell"]["seed"] == seed]
    files = {f"trade_off_{axis}.svg": trade_off_chart(ours, axis) for axis in AXES}
    for name, label in {"attacker": "fresh attacker's accuracy", "f1_known": AXES["known"]}.items():
        files[f"learning_{name}.svg"] = learning_chart(ours, name, label)
    files["claims.md"] = claims_table(results)
    written = []
    for name, text in files.items():
        (folder / name).write_text(standalone(text) if name.endswith(".svg") else text, encoding="utf-8")
        written.append(folder / name)
    return written


def points(results: Sequence[Line], method: str, *, control: bool = False) -> list[dict[str, float]]:
    """The rounds of a method, or of its control, after which a fresh attacker was asked."""
    return [
        point
        for line in results
        if line["cell"]["method"] == method and (line["cell"]["strength"] == 0) == control
        for point in line["points"]
        if "attacker" in point
    ]


def methods_of(results: Sequence[Line]) -> list[str]:
    """The methods with an adversary, in the order of the results."""
    return list(dict.fromkeys(line["cell"]["method"] for line in results if line["cell"]["strength"] > 0))


def trade_off_chart(results: Sequence[Line], axis: str) -> str:
    """Every (strength, round) as a point, envelopes as lines, the controls as crosses; lower right is better."""
    with canvas(PLOT, 300) as figure:
        axes = figure.add_subplot()
        for index, method in enumerate(methods_of(results)):
            colour = _colour(index)
            found = points(results, method)
            f, leak = _column(found, f"f1_{axis}"), _column(found, "attacker")
            axes.plot(f, leak, MARKERS[index], color=colour, markersize=2.5, alpha=0.35)
            curve = lower_envelope(f, leak)
            style: dict[str, Any] = {"linestyle": DASHES[index % len(DASHES)], "label": method}
            axes.step(curve.useful, curve.leak, where="post", color=colour, linewidth=1.8, **style)
        for line in results:
            if line["cell"]["strength"] == 0:
                attacked = [point for point in line["points"] if "attacker" in point]
                mark = "*" if line["cell"]["method"] == "cnn" else "x"
                f, leak = _column(attacked, f"f1_{axis}"), _column(attacked, "attacker")
                axes.plot(f, leak, mark, color=INK["ink"], markersize=4)
        every = [p for line in results for p in line["points"]]
        top = max(p.get(f"f1_{axis}", 0.0) for p in every)
        axes.set_xlim(max(0.0, top - 0.25), top + 0.01)  # beyond that the label is lost
        axes.set_xlabel(AXES[axis])
        axes.set_ylabel("fresh attacker's accuracy")
        axes.grid()
        if methods_of(results):
            axes.legend(loc="upper left", frameon=False)
        return to_svg(figure, alt=f"attacker's accuracy against {AXES[axis]}; x: controls, *: plain network")


def learning_chart(results: Sequence[Line], measure: str, label: str) -> str:
    """One measure over the rounds at strength 1, a line for each method, and for the controls."""
    shown = [line for line in results if len(line["points"]) > 1 and line["cell"]["strength"] in (0.0, 1.0)]
    methods = methods_of(results)
    with canvas(PLOT, 260) as figure:
        axes = figure.add_subplot()
        for line in shown:
            method, control = line["cell"]["method"], line["cell"]["strength"] == 0
            style: dict[str, Any] = {"color": INK["muted"] if control else _colour(methods.index(method))}
            style["linestyle"] = DASHES[methods.index(method) % len(DASHES)] if method in methods else "-"
            name = f"{method}, control" if control else method
            measured = [point for point in line["points"] if measure in point]
            x, y = _column(measured, "round"), _column(measured, measure)
            axes.plot(x, y, linewidth=1.6, label=name, **style)
        axes.set_xlabel("round")
        axes.set_ylabel(label)
        axes.grid(axis="y")
        if shown:
            axes.legend(frameon=False, fontsize=7)
        return to_svg(figure, alt=f"{label} over the rounds")


def claims_table(results: Sequence[Line]) -> str:
    """Markdown: what every method keeps and leaks at strength 1, and the paper's claims one by one."""
    rows = [
        "| at strength 1, last round | F1 known | F1 unknown | attacker | attacker, whole trials | seeds |"
    ]
    rows.append("|---|---|---|---|---|---|")
    wanted = [("cnn", 0.0)] + [(m, s) for m in methods_of(results) for s in (1.0, 0.0)]
    for method, strength in wanted:
        last = _last_points(results, method, strength)
        if last:
            names = ("f1_known", "f1_unknown", "full_accuracy", "full_trial_accuracy")
            cells = [_interval([p[name] for p in last if name in p]) for name in names]
            what = method if strength or method == "cnn" else f"{method}, control"
            rows.append(f"| {what} | {' | '.join(cells)} | {len(last)} |")
    return "\n".join([*rows, "", *_claims(results), "", *_floors(results)]) + "\n"


def _claims(results: Sequence[Line]) -> list[str]:
    """Gaps of envelopes: chosen on one half of the held-out recordings, measured on the other."""
    seed = results[0]["cell"]["seed"]
    ours = [line for line in results if line["cell"]["seed"] == seed]
    plain = next((line["points"][0] for line in ours if line["cell"]["method"] == "cnn"), None)
    present = methods_of(ours)
    rows = ["| claim of the paper | axis | mean gap of attacker accuracy | supported |", "|---|---|---|---|"]
    pairs = [
        ("sct at least as good as AFL", "sct", ("afl-mlp", "afl-dnn")),
        ("lsm at least as good as AFL", "lsm", ("afl-mlp", "afl-dnn")),
        ("sct at least as good as lsm", "sct", ("lsm",)),
        ("sct better than its control", "sct", ("control",)),
        ("lsm better than its control", "lsm", ("control",)),
    ]
    for claim, method, others in pairs:
        if plain is None or method not in present or not ({"control", *present} >= set(others)):
            continue
        for axis in AXES:
            own, lowest = _reported(points(ours, method), axis), plain[f"f1_{axis}"] - LOST
            gaps = []
            for other in others:
                found = points(ours, method, control=True) if other == "control" else points(ours, other)
                if found:
                    gaps.append(mean_gap(own, _reported(found, axis), lowest=lowest))
            if gaps:
                gap = max(gaps)  # against the better of the others
                verdict = "not reached" if math.isnan(gap) else ("yes" if gap <= 0 else "no")
                rows.append(f"| {claim} | {axis} | {gap:+.3f} | {verdict} |")
    kept = _kept(results)
    return rows + kept


def _kept(results: Sequence[Line]) -> list[str]:
    """SCT keeps or raises F of unknown people: against the plain network, and against its control, over seeds."""
    found = []
    for name, method in (("plain network", "cnn"), ("control", "sct")):
        others = {line["cell"]["seed"]: line for line in _cells(results, method, 0.0)}
        change = [
            line["points"][-1]["f1_unknown"] - others[line["cell"]["seed"]]["points"][-1]["f1_unknown"]
            for line in _cells(results, "sct", 1.0)
            if line["cell"]["seed"] in others and line["points"]
        ]
        if change:
            verdict = "yes" if np.mean(change) >= 0 else "no"
            found.append(
                f"| sct keeps F1 against the {name} | unknown | F1 {_interval(change)} | {verdict} |"
            )
    return found


def _floors(results: Sequence[Line]) -> list[str]:
    plain = next((line for line in results if line["controls"]), None)
    if plain is None:
        return []
    named = {name.replace("_", " "): value for name, value in plain["controls"].items()}
    return ["Rates without features: " + ", ".join(f"{name} {number(v)}" for name, v in named.items()) + "."]


def standalone(svg: str) -> str:
    """An inline SVG as a file of its own, with its colours and a white ground."""
    colours = "".join(f"--{name}:{value};" for name, value in COLOURS.items())
    opening, rest = svg.split(">", 1)
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    style = f"<style>svg{{{colours}font-family:sans-serif}}</style>"
    return (
        opening.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + f">{style}{ground}{rest}\n"
    )


def _reported(found: Sequence[Mapping[str, float]], axis: str) -> Envelope:
    """The envelope chosen on the "select" half, with the figures of the "report" half."""
    chosen = lower_envelope(_column(found, f"f1_{axis}_select"), _column(found, "attacker_select")).chosen
    kept = [found[place] for place in chosen]
    return lower_envelope(_column(kept, f"f1_{axis}_report"), _column(kept, "attacker_report"))


def _colour(index: int) -> str:
    return INK[SERIES[index % len(SERIES)]]


def _column(found: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([point[name] for point in found], dtype=float)


def _cells(results: Sequence[Line], method: str, strength: float) -> list[Line]:
    return [r for r in results if (r["cell"]["method"], r["cell"]["strength"]) == (method, strength)]


def _last_points(results: Sequence[Line], method: str, strength: float) -> list[dict[str, float]]:
    return [line["points"][-1] for line in _cells(results, method, strength) if line["points"]]


def _interval(values: Sequence[float]) -> str:
    """Mean, and half the width of its 95 % interval over seeds where there are several."""
    if not values:
        return "–"
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.3f}"
    half = T_95.get(len(values), 2.0) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:.3f} ± {half:.3f}"
