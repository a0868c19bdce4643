"""Releases of Adult by other systems, judged by keshi audit, sdmetrics and anonymeter on the same files.

    KESHI_DATA=path/to/data python benchmarks/auditors.py     (tens of CPU minutes; writes results/auditors.json, .md)
    python benchmarks/auditors.py --quick                     (a generated table, keshi alone)

6,000 training rows, 6,000 held out, at random from the official training file. Beside the systems stand releases
whose truth is known: other real people (harmless), the same with one row in 20 copied from the training rows, and all
training rows. Every process is stopped at 10 CPU-minutes; peers run in environments made under --work.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from capped_process import run_capped
from data_sets import TableSplit, hash_order, load_split, write_csv
from environments import PEERS, environment_python
from methods import ONE_THREAD, all_methods, public_columns, run_method

from keshi.auditing.kept_extremes import kept_extremes

ROWS = 6_000
CPU_SECONDS = 600.0
MEMORY_MB = 6_000.0
ATTACKS = 500  # of anonymeter, on either side
COPIED = 20  # one row in so many
SYSTEMS = {
    "SmartNoise MST": "SmartNoise MST",
    "SDV GaussianCopula": "SDV GaussianCopula",
    "keshi, preset keshi": "keshi keshi",
}  # as in the table, and as `methods` names them; the first and the last at epsilon 1, delta 1e-5
RESULTS = Path(__file__).with_name("results") / "auditors.json"


def releases(
    split: TableSplit, others: pd.DataFrame, work: Path, *, quick: bool, done: Collection[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """(name, release of the training rows), less those `done`; `others` are real people whom nobody else has seen."""
    copied = others.copy()
    few = len(split.train) // COPIED
    copied.iloc[:few] = split.train.iloc[:few].to_numpy()
    known = {"other real people": others, "the same, 5 % copied": copied, "all training rows": split.train}
    yield from ((name, table) for name, table in known.items() if name not in done)
    for name, method in {} if quick else SYSTEMS.items():
        if name in done:
            continue
        outcome = run_method(
            all_methods()[method], split, epsilon=1.0, delta=1e-5, seed=0, work=work,
            cpu_seconds=CPU_SECONDS, memory_mb=MEMORY_MB, start_ups=0,
        )  # fmt: skip
        if outcome.table is None:
            print(f"{name}: {outcome.status}, {outcome.reason}", file=sys.stderr)
        else:
            yield name, outcome.table


def judged_by_keshi(job: dict[str, Any], log: Path, *, quick: bool) -> dict[str, Any]:
    """What `keshi audit --json` says of the files, in a few figures, with its verdict."""
    command = [
        sys.executable, "-m", "keshi.cli.app", "audit", job["synthetic"], "--train", job["train"], "--holdout",
        job["holdout"], "--label", job["secret"], "--quick", "--json", *(["--targets", "200"] if quick else []),
    ]  # fmt: skip
    for column in job["columns"]:
        if column["kind"] == "categorical":
            command += ["--categorical", column["name"]]
    cpu = _run(command, log)
    text = next(line for line in reversed(log.read_text().splitlines()) if line.startswith("{"))
    answer = json.loads(text)
    release = answer["tables"][0]
    attacks = release["attacks"]
    rates = {
        "attribute inference": attacks["attribute"]["overall"],
        f"inference of {job['secret']}": next(
            one for one in attacks["attribute"]["secrets"] if one["what"] == job["secret"]
        ),
        "linkability": attacks["linkability"],
        "exact copies": attacks["copies"]["exact"],
        "near copies": attacks["copies"]["near"],
    }
    return {
        "verdict": answer["verdict"],
        "leaks": attacks["leaks"],
        "risks": {
            name: {key: one[key] for key in ("risk", "interval", "train_n")} for name, one in rates.items()
        },
        "membership": {
            one["attack"]: {key: one[key] for key in ("auc", "interval", "members")}
            for one in attacks["membership"]
        },
        "mean ROC-AUC": release["utility"]["mean_roc_auc"],
        "ROC-AUC of real rows": answer["ceiling"]["mean_roc_auc"],
        "two-way distance": release["fidelity"]["equal_width"]["mean_two_way"],
        "CPU seconds": cpu,
    }


def judged_by_peer(name: str, job: dict[str, Any], folder: Path, work: Path) -> dict[str, Any]:
    """What a peer's judge wrote, or why it wrote nothing."""
    python = environment_python({"sdmetrics": "sdv"}.get(name, name), work)
    path, output, log = (folder / f"{name}.{end}" for end in ("job.json", "json", "log"))
    output.unlink(missing_ok=True)
    path.write_text(json.dumps(job | {"output": str(output), "attacks": ATTACKS}))
    cpu = _run([str(python), str(PEERS / f"{name}_judge.py"), str(path)], log)
    if not output.exists():
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        return {"failed": (said or ["nothing"])[-1][:300], "CPU seconds": cpu}
    return json.loads(output.read_text()) | {"CPU seconds": cpu}


def _run(command: list[str], log: Path) -> float:
    environment = ONE_THREAD | {"PYTHONWARNINGS": "ignore"}
    usage = run_capped(
        command, cpu_seconds=CPU_SECONDS, memory_mb=MEMORY_MB, log=log, environment=environment
    )
    return usage.cpu_seconds


def split_three(split: TableSplit, rows: int) -> tuple[TableSplit, pd.DataFrame]:
    """Training rows, as many held out (as the split's test) and as many others, by a fixed hash."""
    order = np.argsort(hash_order("auditors", len(split.train)), kind="stable")
    parts = [split.train.iloc[order[i * rows : (i + 1) * rows]].reset_index(drop=True) for i in range(3)]
    return replace(split, name=f"{split.name}-audited", train=parts[0], test=parts[1]), parts[2]


def markdown(results: dict[str, Any]) -> str:
    """One table: releases below each other, auditors side by side."""
    heading = (
        "release", "keshi: verdict", "copies", "attribute inference", "membership AUC", "two-way distance", "ROC-AUC",
        "sdmetrics: quality", "DCR overfitting", "disclosure protection", "anonymeter: singling out (1; 3 columns)",
        "linkability", "inference of the label",
    )  # fmt: skip
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    for name, found in results["releases"].items():
        ours, scores, risks = found["keshi"], found.get("sdmetrics", {}), found.get("anonymeter", {})
        area = max(ours["membership"].values(), key=lambda one: one["auc"])
        cells = [
            name,
            ours["verdict"],
            _risk(ours["risks"]["exact copies"]),
            _risk(ours["risks"]["attribute inference"]),
            f"{area['auc']:.3f} ({area['interval'][0]:.3f} to {area['interval'][1]:.3f})",
            f"{ours['two-way distance']:.3f}",
            f"{ours['mean ROC-AUC']:.3f}",
            *(
                _score(scores, key)
                for key in ("quality", "DCR overfitting protection", "disclosure protection")
            ),
            "; ".join(_risk(risks.get(f"singling out, {n}")) for n in ("one column", "three columns")),
            _risk(risks.get("linkability")),
            _risk(next((one for key, one in risks.items() if key.startswith("inference")), None)),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    rows, attacks = results["rows"], results["attacks"]
    note = (
        f"{rows:,} training rows, {rows:,} held out; 95 % intervals. keshi attacks 2,000 people (membership 5,000), "
        f"anonymeter {attacks:,}. ROC-AUC is the mean of two classifiers; real rows reach "
        f"{next(iter(results['releases'].values()))['keshi']['ROC-AUC of real rows']:.3f}. "
        "sdmetrics' scores are 1 at best."
    )
    return "\n".join([*lines, "", note, ""])


def _risk(one: dict[str, Any] | None) -> str:
    if one is None or "risk" not in one:
        return "–" if one is None else "no figure"
    return f"{one['risk']:.3f} ({one['interval'][0]:.3f} to {one['interval'][1]:.3f})"


def _score(scores: dict[str, Any], key: str) -> str:
    return f"{scores[key]:.3f}" if scores.get(key) is not None else "–"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "keshi-benchmarks")
    parser.add_argument("--results", type=Path, help=f"default {RESULTS.parent.name}/{RESULTS.name}")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--quick", action="store_true", help="a generated table, keshi alone")
    chosen = parser.parse_args()
    if chosen.data is None and not chosen.quick:
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    path = chosen.results or (chosen.work / "auditors.json" if chosen.quick else RESULTS)
    split = load_split("quick" if chosen.quick else "adult", chosen.data)
    split, others = split_three(split, 600 if chosen.quick else chosen.rows)
    folder = chosen.work / split.name
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.csv" for name in ("train", "holdout", "synthetic")}
    write_csv(split.train, split.domain, files["train"])
    write_csv(split.test, split.domain, files["holdout"])
    label = str(split.domain.label)
    columns = public_columns(split.domain)
    job = {name: str(file) for name, file in files.items()} | {
        "columns": columns,
        "secret": label,
        "known": [c["name"] for c in columns if c["kind"] == "categorical" and c["name"] != label],
    }
    results: dict[str, Any] = {"rows": len(split.train), "attacks": ATTACKS, "releases": {}}
    if path.exists() and not chosen.quick:
        results = json.loads(path.read_text())
    made = releases(split, others, chosen.work, quick=chosen.quick, done=tuple(results["releases"]))
    for name, table in made:
        write_csv(table, split.domain, files["synthetic"])
        extremes = kept_extremes(table, split.train, split.test)
        found: dict[str, Any] = {"bounds read": [f"{one.end} {one.column}" for one in extremes]}
        found["keshi"] = judged_by_keshi(job, folder / "keshi.log", quick=chosen.quick)
        for peer in () if chosen.quick else ("sdmetrics", "anonymeter"):
            found[peer] = judged_by_peer(peer, job, folder, chosen.work)
        results["releases"][name] = found
        print(name, found["keshi"]["verdict"], file=sys.stderr, flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results, indent=1) + "\n")
    path.with_suffix(".md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
