"""The auditor audited: planted leaks, harmless releases, and how often its intervals cover a risk that is 0.

    python experiments/auditor.py                       (40 cases of each kind, 400 runs; some CPU minutes)
    python experiments/auditor.py --cases 6 --runs 60   (as in CI)

Prints, for every kind of release, how many verdicts were right, and for every interval in how many runs it covered 0.
The mutants of the mechanism are audited by tests/privacy/test_mutants.py.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from keshi.auditing.array_attacks import attack_arrays
from keshi.auditing.evidence import table_evidence
from keshi.auditing.release_attacks import ReleaseAttacks, attack_release
from keshi.auditing.yardsticks import independent_columns

ROWS = 1_000
TARGETS = 600

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Training table, release, hold-out."""


def people(rows: int, seed: int) -> pd.DataFrame:
    """Made-up people: numbers with a long tail and missing values, categories, one column that follows another."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    pay = np.exp(x + random.normal(size=rows)).round(2)
    return pd.DataFrame(
        {
            "x": x,
            "pay": np.where(random.random(rows) < 0.1, np.nan, pay),
            "job": random.choice(list("abcdefg"), rows),
            "sex": np.where(random.random(rows) < 0.5, "f", "m"),
            "rich": np.where(x + random.normal(size=rows) > 0, "yes", "no"),
        }
    )


def three(seed: int) -> Tables:
    """Three tables of different people."""
    return people(ROWS, seed), people(ROWS, seed + 10_000), people(ROWS, seed + 20_000)


def with_copies(seed: int, share: float) -> Tables:
    """So large a share of the release are training rows."""
    train, made, held = three(seed)
    count = round(share * ROWS)
    return train, pd.concat([made[count:], train[:count]]), held


def memorised(seed: int) -> Tables:
    """A generator that has learnt its rows by heart and blurs the numbers a little."""
    train, _, held = three(seed)
    noise = np.random.default_rng(seed).normal(scale=0.02, size=(2, ROWS))
    return train, train.assign(x=train["x"] + noise[0], pay=train["pay"] * np.exp(noise[1])), held


def few_memorised(seed: int) -> Tables:
    """Forty odd people stand in the release as they are; all others are fresh."""
    train, made, held = three(seed)
    odd = train["x"].abs().nlargest(40).index
    return train, pd.concat([made[40:], train.loc[odd]]), held


def bounds_from_the_data(seed: int) -> Tables:
    """A generator of single columns that is cut at the smallest and the largest value of the training rows."""
    train, made, held = three(seed)
    random = np.random.default_rng(seed)
    for name in ("x", "pay"):
        drawn = random.normal(train[name].mean(), 2 * train[name].std(), ROWS)
        made[name] = drawn.clip(train[name].min(), train[name].max())
    return train, made, held


def margins_only(seed: int) -> Tables:
    """Real values of real people, column by column: no row is kept."""
    train, _, held = (part.round({"x": 1, "pay": 0}) for part in three(seed))
    return train, independent_columns(train, seed=seed), held


def other_year(seed: int) -> Tables:
    """A fresh sample, and a hold-out of another population."""
    train, made, held = three(seed)
    return train, made, held.assign(x=held["x"] + 0.5)


TABLES: dict[str, tuple[Callable[[int], Tables], str]] = {
    "5 % copied rows": (lambda seed: with_copies(seed, 0.05), "leak"),
    "all rows copied": (lambda seed: with_copies(seed, 1.0), "leak"),
    "a generator that memorises": (memorised, "leak"),
    "40 odd people kept": (few_memorised, "leak"),
    "bounds from the data": (bounds_from_the_data, "leak"),
    "a hold-out of another population": (other_year, "inconclusive"),
    "a fresh real sample": (three, "no leak found"),
    "independent columns": (margins_only, "no leak found"),
}


def pictures(rows: int, seed: int) -> np.ndarray:
    """(rows, 8, 8) in 0..1: a bright spot somewhere, and noise."""
    random = np.random.default_rng(seed)
    middle = random.uniform(1, 6, (2, rows, 1, 1))
    far = (np.arange(8)[None, :, None] - middle[0]) ** 2 + (np.arange(8)[None, None, :] - middle[1]) ** 2
    return np.clip(np.exp(-far / 3) + random.normal(0, 0.1, (rows, 8, 8)), 0, 1).astype(np.float32)


def copied_pictures(seed: int, share: float, blur: float = 0.0) -> np.ndarray:
    """Of (800, 8, 8) pictures a share is of the training set, with noise of that spread."""
    made, count = pictures(800, seed + 10_000), round(share * 800)
    noise = np.random.default_rng(seed).normal(0, blur, (count, 8, 8))
    made[:count] = np.clip(pictures(800, seed)[:count] + noise, 0, 1)
    return made


PICTURES: dict[str, tuple[Callable[[int], np.ndarray], str]] = {
    "pictures: 10 % copied": (lambda seed: copied_pictures(seed, 0.1), "leak"),
    "pictures: a generator that memorises": (lambda seed: copied_pictures(seed, 1.0, 0.04), "leak"),
    "pictures: a fresh real sample": (lambda seed: pictures(800, seed + 10_000), "no leak found"),
}


def right_verdicts(name: str, cases: int) -> int:
    """How many of so many releases of a kind get the verdict that they should get."""
    if name in TABLES:
        make, wanted = TABLES[name]
        right = 0
        for seed in range(cases):
            train, made, held = make(seed)
            right += table_evidence(made, train, held, targets=TARGETS, seed=seed).verdict == wanted
        return right
    draw, wanted = PICTURES[name]
    found = (
        attack_arrays(
            draw(seed), pictures(800, seed), pictures(800, seed + 20_000), targets=TARGETS, seed=seed
        )
        for seed in range(cases)
    )
    return sum(one.verdict == wanted for one in found)


def covered(runs: int) -> dict[str, int]:
    """Interval -> in how many runs on independent data (true risk 0) it covered 0; 250 records on every side."""
    count: dict[str, int] = {}

    def add(found: ReleaseAttacks, what: str = "") -> None:
        for attack in found.membership:
            low, high = attack.interval()
            count[what + attack.attack] = count.get(what + attack.attack, 0) + (low <= 0.5 <= high)
        for rate in found.rates:
            low, high = rate.interval()
            count[what + rate.what] = count.get(what + rate.what, 0) + (low <= 0 <= high)

    for run in range(runs):
        train, held, made = (people(250, 3 * run + part + 50_000) for part in range(3))
        add(attack_release(made, train, held, seed=run))
        some = [pictures(250, 3 * run + part + 90_000) for part in range(3)]
        add(attack_arrays(some[0], some[1], some[2], seed=run), "pictures: ")
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=40, help="of each kind of release")
    parser.add_argument("--runs", type=int, default=400, help="on independent data")
    parser.add_argument("--json", action="store_true", help="for programs")
    chosen = parser.parse_args()
    right: dict[str, Any] = {}
    for name in (*TABLES, *PICTURES):
        right[name] = right_verdicts(name, chosen.cases)
        if not chosen.json:
            print(f"{name}: {right[name]} right of {chosen.cases}", flush=True)
    intervals = covered(chosen.runs)
    if chosen.json:
        print(json.dumps({"cases": chosen.cases, "right": right, "runs": chosen.runs, "covered": intervals}))
        return
    print(f"{sum(right.values())} right of {chosen.cases * len(right)}")
    for name, hits in intervals.items():
        print(f"{name}: the 95 % interval covered 0 in {hits} of {chosen.runs} runs")


if __name__ == "__main__":
    main()
