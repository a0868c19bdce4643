"""Synthetic sensor windows: what a CNN that learnt from them makes of real people, and what subject-level DP takes.

    KESHI_DATA=path/to/data python experiments/windows.py --sets usc-had watch --epsilon 0.2 1 10 -o windows/
    KESHI_DATA=path/to/data python experiments/windows.py --people 14 100 1000 10000 --epsilon 1 -o windows/
    python experiments/windows.py --quick -o windows/                                     (seconds; made-up recordings)

One CNN learns the activity from each training set: real windows, keshi's copies, and two yardsticks without privacy
(the mean window of each class; independent entries with the real mean and deviation). Macro-F is on real windows of
known people, from time that was kept aside, and of people that nobody saw. With --people the training set is windows of
that many simulated people, each a real known person with another strength, pace, offset and turn of the sensor: one
window an activity each. Every line of results.jsonl is one run; the page holds traces and spectra.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score
from window_sets import (
    MADE_UP,
    SETS,
    Split,
    WindowSet,
    class_means,
    independent_entries,
    read_split,
    simulated_people,
)

from keshi.auditing.array_utility import train_and_predict
from keshi.records.column_kinds import Categorical, Window
from keshi.records.domain import Domain
from keshi.records.windows import Windows
from keshi.reports.array_section import traces_section
from keshi.reports.report import Report, write_report
from keshi.synthesis.synthesizer import PearlSynthesizer

ROWS = 10_000  # windows that the CNN learns from, at most
EPOCHS = 10  # of the CNN: windows are few
DELTA = 1e-5
MOST_DRAWN = 6  # releases on the page
KEYS = ("set", "trained on", "people", "epsilon")
DRAWN = 300  # windows of a class whose mean trace and spectrum are shown


def synthesized(
    train: Windows, chosen: WindowSet, *, epsilon: float, subject: bool, rows: int, seed: int
) -> tuple[NDArray[Any], NDArray[Any], str, float]:
    """Keshi's copies, channels first; the statement; CPU seconds from windows to windows."""
    names = [str(one) for one in np.unique(train.label)]
    window = Window(chosen.length, train.channels, chosen.lower, chosen.upper, chosen.rate)
    domain = Domain({"x": window, "label": Categorical(tuple(names))}, label="label", ignore=("person",))
    began = time.process_time()
    table = {"x": np.moveaxis(train.x, 1, 2), "label": train.label.astype(str), "person": train.subject}
    synthesizer = PearlSynthesizer(
        domain=domain,
        epsilon=epsilon,
        delta=DELTA,
        subject="person" if subject else None,
        seed=seed,
        threads=1,
    ).fit(table)
    made = synthesizer.sample(rows)
    x = np.moveaxis(np.stack(made["x"].tolist()), 2, 1)
    return (
        x,
        made["label"].to_numpy().astype(str),
        synthesizer.statement.sentence,
        time.process_time() - began,
    )


def scores(x: NDArray[Any], label: NDArray[Any], split: Split, *, epochs: int, seed: int) -> dict[str, float]:
    """Macro-F of one CNN on known and on unknown people."""
    parts = {"known people": split.known, "unknown people": split.unknown}
    tests = np.concatenate([np.moveaxis(part.x, 1, 2) for part in parts.values()])
    guess, _ = train_and_predict(
        np.moveaxis(x, 1, 2).astype(np.float32), label.astype(str), tests, epochs=epochs, seed=seed
    )
    found, start = {}, 0
    for name, part in parts.items():
        own = guess[start : start + len(part)]
        start += len(part)
        wanted = part.label.astype(str)
        f1 = f1_score(wanted, own, average="macro", labels=np.unique(wanted), zero_division=0.0)
        found[name] = round(float(f1), 4)
    return found


Made = Callable[[], tuple[Any, ...]]
"""Windows (n, channels, length), labels; and of keshi its statement and CPU seconds."""


def training_sets(
    name: str, split: Split, chosen: argparse.Namespace, *, rows: int, seed: int
) -> list[tuple[dict[str, Any], Made]]:
    """What to learn from, and how to make it."""
    own, random = SETS[name], np.random.default_rng(seed)

    def part(some: Windows) -> Made:
        kept = some.take(random.permutation(len(some))[:rows])
        return lambda: (kept.x, kept.label)

    def keshi(some: Windows, epsilon: float, subject: bool) -> Made:
        return lambda: synthesized(some, own, epsilon=epsilon, subject=subject, rows=rows, seed=seed)

    if not chosen.people:
        found: list[tuple[dict[str, Any], Made]] = [
            ({"trained on": "real"}, part(split.train)),
            ({"trained on": "independent entries"}, lambda: independent_entries(split.train, rows, random)),
            ({"trained on": "class means"}, lambda: class_means(split.train, rows, random)),
        ]
        for unit in ("window", "person"):
            for epsilon in chosen.epsilon:
                what = {"trained on": f"keshi, per {unit}", "epsilon": epsilon}
                found.append((what, keshi(split.train, epsilon, unit == "person")))
        return found
    found = []
    for people in chosen.people:
        simulated = simulated_people(split.train, own, people, seed=seed)
        found.append(({"trained on": "simulated people", "people": people}, part(simulated)))
        for epsilon in chosen.epsilon:
            what = {"trained on": "keshi, per simulated person", "epsilon": epsilon, "people": people}
            found.append((what, keshi(simulated, epsilon, True)))
    return found


def runs(chosen: argparse.Namespace) -> Iterator[tuple[dict[str, Any], Split, NDArray[Any], NDArray[Any]]]:
    """Every training set of every data set, scored; with the split it belongs to, its windows and their labels."""
    rows, epochs = (500, 20) if chosen.quick else (ROWS, EPOCHS)
    for name in [MADE_UP] if chosen.quick else chosen.sets:
        split = read_split(name, chosen.data)
        for seed in range(chosen.seeds):
            for what, make in training_sets(name, split, chosen, rows=rows, seed=seed):
                x, label, *said = make()
                result = {"set": name, **what, "seed": seed, "windows": len(x)}
                result |= scores(x, label, split, epochs=epochs, seed=seed)
                if said:
                    result |= {"statement": said[0], "CPU seconds": round(said[1], 1)}
                yield result, split, x, label


def summary(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: macro-F, means over seeds."""
    lines = [
        "| set | trained on | people | epsilon | known people | unknown people | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = list(dict.fromkeys(tuple(str(one.get(key, "")) for key in KEYS) for one in results))
    for key in keys:
        own = [one for one in results if tuple(str(one.get(name, "")) for name in KEYS) == key]
        figures = [
            f"{np.mean([one[part] for one in own]):.3f}" for part in ("known people", "unknown people")
        ]
        lines.append("| " + " | ".join([*key, *figures, str(len(own))]) + " |")
    return "\n".join(lines)


def by_class(x: NDArray[Any], label: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """(n, length, channels) windows of each class, at most DRAWN."""
    names = label.astype(str)
    return {str(name): np.moveaxis(x[names == name][:DRAWN], 1, 2) for name in np.unique(names)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    sets = [name for name in SETS if name != MADE_UP]
    parser.add_argument("--sets", nargs="+", choices=sets, default=sets)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[1.0])
    parser.add_argument(
        "--people", type=int, nargs="+", default=[], help="simulated people instead of real ones"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument(
        "--output", "-o", type=Path, required=True, help="folder of results.jsonl, table and page"
    )
    parser.add_argument(
        "--quick", action="store_true", help="made-up recordings, few windows; no conclusions"
    )
    chosen = parser.parse_args()
    if chosen.data is None and not chosen.quick:
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    chosen.output.mkdir(parents=True, exist_ok=True)
    results, sections = [], []
    with (chosen.output / "results.jsonl").open("a") as lines:
        for result, split, x, label in runs(chosen):
            results.append(result)
            print(json.dumps(result), file=lines, flush=True)
            print(json.dumps(result), flush=True)
            if result["trained on"].startswith("keshi") and result["seed"] == 0:
                title = ", ".join(str(result[key]) for key in KEYS if key in result)
                rate = SETS[result["set"]].rate
                real = by_class(split.train.x, split.train.label)
                section = traces_section("x", real, by_class(x, label), rate=rate)
                sections.append(replace(section, title=f"{title}: traces and spectra"))
    (chosen.output / "table.md").write_text(summary(results) + "\n")
    print(summary(results))
    page = Report(
        title="Real and synthetic windows",
        statement=[one["statement"] for one in results if "statement" in one][:1],
        not_protected=["The real windows: the traces show their exact means. These data sets are public."],
        sections=sections[:MOST_DRAWN],
    )
    write_report(page, chosen.output / "windows.html")


if __name__ == "__main__":
    main()
