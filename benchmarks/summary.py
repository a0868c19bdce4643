"""The Markdown table of a results file: mean and half-width of the 95 % interval over seeds (Student's t)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats
from scores import MEASURES

Line = dict[str, Any]


def interval(values: Sequence[float]) -> str:
    """Mean ± half-width; the mean alone for one seed, a dash for none."""
    known = np.array([value for value in values if value is not None and np.isfinite(value)], dtype=float)
    if not len(known):
        return "-"
    mean = f"{known.mean():.4f}"
    if len(known) == 1:
        return mean
    half = stats.t.ppf(0.975, len(known) - 1) * stats.sem(known)
    return f"{mean} ± {half:.4f}"


def cpu_without_start_up(line: Line) -> float | None:
    if line.get("cpu_seconds") is None or line.get("start_up_seconds") is None:
        return None
    return float(line["cpu_seconds"] - line["start_up_seconds"])


def markdown(lines: Sequence[Line]) -> str:
    """One table for each data set and epsilon; runs that ended without a table say why below it."""
    if not lines:
        return "Nothing has been measured yet."
    tables = [
        (data, epsilon)
        for data in dict.fromkeys(line["data"] for line in lines)
        for epsilon in sorted({x["epsilon"] for x in lines if x["data"] == data} - {None}, reverse=True)
    ]
    return "\n\n".join(
        _table(data, epsilon, [x for x in lines if x["data"] == data and x["epsilon"] in (None, epsilon)])
        for data, epsilon in tables
    )


def _table(data: str, epsilon: float, lines: Sequence[Line]) -> str:
    heads = ["method", "seeds", *MEASURES.values(), "CPU s", "start-up s", "peak MB"]
    rows = [f"### {data}, epsilon {epsilon:g}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    ends = []
    for method in dict.fromkeys(line["method"] for line in lines):
        runs = [line for line in lines if line["method"] == method]
        done = [line for line in runs if line["status"] == "done"]
        ends += [
            f"- {method}, seed {line['seed']}: {line['status']}: {line['reason']}"
            for line in runs
            if line not in done
        ]
        if not done:
            states = ", ".join(sorted({line["status"] for line in runs}))
            rows.append(f"| {method} | {states} |" + " - |" * (len(MEASURES) + 3))
            continue
        cells = [interval([line["measures"].get(name) for line in done]) for name in MEASURES]
        cells.append(_plain([cpu_without_start_up(line) for line in done]))
        cells += [_plain([line.get(name) for line in done]) for name in ("start_up_seconds", "peak_mb")]
        rows.append(f"| {method} | {len(done)} | {' | '.join(cells)} |")
    return "\n".join([*rows, *(["", *ends] if ends else [])])


def _plain(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.1f}" if known else "-"
