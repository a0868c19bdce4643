"""Synthetic tables beside their peers: data sets x methods x epsilons x seeds -> JSON lines and a Markdown table.

    KESHI_DATA=path/to/data python benchmarks/tables.py --methods "dpmm MST" "keshi paper" --epsilons 1 0.2 --seeds 2
    python benchmarks/tables.py --quick                    (seconds; a small generated table, no peers)
    python benchmarks/tables.py --report > tables.md       (the table of everything measured so far)

A cell that is in the file is not run again; delete its line to repeat it. Peers run with their own defaults under the
same public Domain and the same total (epsilon, delta), in virtual environments that are made under --work. A run is
stopped at 15 CPU-minutes or 6 GB and recorded as such. Run one at a time on a quiet machine: CPU seconds are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from data_sets import DATA_SETS, TableSplit, load_split
from methods import START_UPS, YARDSTICKS, Method, all_methods, run_method
from scores import fidelity_scores, utility_scores
from summary import markdown

from keshi.auditing.utility import CLASSIFIERS, FAST
from keshi.auditing.yardsticks import independent_columns

DELTA = 1e-5
RESULTS = Path(__file__).with_name("results") / "tables.jsonl"

Cell = tuple[str, str, float | None, int]
"""Data set, method, epsilon (None for a yardstick), seed."""


def finished(path: Path) -> dict[Cell, dict[str, Any]]:
    """The cells of a results file; the last line of a cell counts."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return {(line["data"], line["method"], line["epsilon"], line["seed"]): line for line in lines}


def measure_yardstick(
    split: TableSplit, name: str, *, seed: int, classifiers: tuple[str, ...]
) -> dict[str, Any]:
    """The best and the cheapest table possible; distances of "real" are those of the real test part."""
    if name == "real":
        near, learned_from = split.test, split.train
    else:
        near = learned_from = independent_columns(split.train, seed=seed)
    scores = utility_scores(split, learned_from, seed=seed, classifiers=classifiers)
    return {"status": "done", "measures": scores | fidelity_scores(split, near, seed=seed)}


def measure_method(
    split: TableSplit,
    method: Method,
    *,
    epsilon: float,
    seed: int,
    work: Path,
    classifiers: tuple[str, ...],
    **limits: Any,
) -> dict[str, Any]:
    """Run a method once, within the `limits` of run_method, and score what it wrote."""
    outcome = run_method(
        method,
        split,
        epsilon=epsilon,
        delta=DELTA,
        seed=seed,
        work=work,
        **limits,
    )
    line: dict[str, Any] = {"status": outcome.status, "reason": outcome.reason}
    if outcome.usage is not None:
        line |= {
            "cpu_seconds": outcome.usage.cpu_seconds,
            "start_up_seconds": outcome.start_up_seconds,
            "wall_seconds": outcome.usage.wall_seconds,
            "peak_mb": outcome.usage.peak_mb,
        }
    if outcome.table is not None:
        scores = utility_scores(split, outcome.table, seed=seed, classifiers=classifiers)
        line["measures"] = scores | fidelity_scores(split, outcome.table, seed=seed)
    return line


def run_cell(cell: Cell, split: TableSplit, chosen: argparse.Namespace) -> dict[str, Any]:
    """Make and measure one cell of the table."""
    _, name, epsilon, seed = cell
    classifiers = FAST if chosen.quick else tuple(CLASSIFIERS)
    if epsilon is None:
        return measure_yardstick(split, name, seed=seed, classifiers=classifiers)
    return measure_method(
        split,
        all_methods(quick=chosen.quick)[name],
        epsilon=epsilon,
        seed=seed,
        work=chosen.work,
        classifiers=classifiers,
        cpu_seconds=chosen.cpu_minutes * 60,
        memory_mb=chosen.memory_gb * 1000,
        start_ups=0 if chosen.quick else START_UPS,
    )


def main() -> None:
    chosen = parse_arguments()
    if chosen.report:
        print(markdown(list(finished(chosen.results).values())))
        return
    if chosen.data is None and not chosen.quick:
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    chosen.results.parent.mkdir(parents=True, exist_ok=True)
    for data in chosen.data_sets:
        cells = [
            (data, name, epsilon, seed)
            for name in chosen.methods
            for epsilon in ([None] if name in YARDSTICKS else chosen.epsilons)
            for seed in range(chosen.seeds)
        ]
        known = finished(chosen.results)
        cells = [cell for cell in cells if cell not in known]
        if not cells:
            continue
        split = load_split(data, chosen.data)
        for cell in cells:
            began = time.strftime("%Y-%m-%dT%H:%M:%S")
            line = dict(zip(("data", "method", "epsilon", "seed"), cell, strict=True)) | {"began": began}
            line |= run_cell(cell, split, chosen)
            with chosen.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            shown = {
                key: line.get("measures", {}).get(key) for key in ("roc_auc", "two_way", "two_way_quantile")
            }
            print(
                *cell,
                line["status"],
                line.get("reason") or shown,
                line.get("cpu_seconds"),
                file=sys.stderr,
                flush=True,
            )
    if chosen.quick:
        print(markdown(list(finished(chosen.results).values())))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    names = [*YARDSTICKS, *all_methods()]
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    parser.add_argument(
        "--data-sets", nargs="+", choices=list(DATA_SETS), default=list(DATA_SETS), metavar="NAME"
    )
    parser.add_argument(
        "--methods", nargs="+", choices=names, metavar="NAME", help=f"out of: {', '.join(names)}"
    )
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 0.2])
    parser.add_argument("--seeds", type=int, default=2, help="seeds 0, 1, ...; default 2")
    parser.add_argument(
        "--results", type=Path, help=f"JSON lines; default {RESULTS.parent.name}/{RESULTS.name}"
    )
    parser.add_argument(
        "--work", type=Path, default=Path.home() / ".cache" / "keshi-benchmarks", help="for large files"
    )
    parser.add_argument("--cpu-minutes", type=float, default=15.0, help="cap of one run")
    parser.add_argument("--memory-gb", type=float, default=6.0, help="cap of one run")
    parser.add_argument("--report", action="store_true", help="print the Markdown table and stop")
    parser.add_argument(
        "--quick", action="store_true", help="a generated table, few steps, no peers, one seed"
    )
    chosen = parser.parse_args()
    if chosen.quick:
        own = [name for name, method in all_methods().items() if method.environment is None]
        chosen.data_sets, chosen.seeds, chosen.epsilons = ["quick"], 1, chosen.epsilons[:1]
        chosen.methods = chosen.methods or [*YARDSTICKS, *own]
    chosen.methods = chosen.methods or names
    if chosen.results is None:
        chosen.results = chosen.work / "quick.jsonl" if chosen.quick else RESULTS
        if chosen.quick:
            chosen.results.unlink(missing_ok=True)  # a quick look starts afresh
    return chosen


if __name__ == "__main__":
    main()
