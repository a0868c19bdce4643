"""What it brings to measure the later of two dates as what it adds to the earlier one: simulated tables of four kinds.

    python experiments/ordered_dates.py --seeds 5
    python experiments/ordered_dates.py --quick          (one kind, 2,000 records, one seed)

`days` is how long it was from one date to the other, which no table has as a column: its mean in the real and in the
synthetic table, and the total variation distance of columns and pairs with it among them. Prints one JSON line a run
and a Markdown table of means with 95 % half-widths over seeds (Student's t).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from keshi import PearlSynthesizer
from keshi.auditing.fidelity import fidelity
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.constraints import Constraint
from keshi.records.domain import Domain

BEGIN = pd.Timestamp("2015-01-01")
LAST = 3_652  # days from then to the last day
TEN_YEARS = Timestamp("2015-01-01", "2024-12-31", resolution="day")
WARDS = ("a", "b", "c", "d")

Days = NDArray[np.int64]
KINDS: dict[str, Callable[[np.random.Generator, Days, Days], Days]] = {
    # Stays of some days, longer with age.
    "stays": lambda r, start, age: r.gamma(1.2, 3 + age / 20).astype(np.int64),
    # Contracts of whole months or years.
    "contracts": lambda r, start, age: np.where(
        age < 50, 30 * r.integers(1, 24, len(age)), 365 * r.integers(1, 4, len(age))
    ),
    # A third has not ended: the last day stands there.
    "open ends": lambda r, start, age: np.where(
        r.random(len(age)) < 1 / 3, LAST - start, r.gamma(1.2, 60, len(age)).astype(np.int64)
    ),
    # Nothing links the two but their order.
    "any later day": lambda r, start, age: (r.random(len(age)) * (LAST - start)).astype(np.int64),
}
MEASURES = ("mean days", "mean days, synthetic", "days, TVD", "2-way TVD", "2-way TVD, quantile bins")


def simulated(kind: str, rows: int, *, seed: int) -> pd.DataFrame:
    """A table of two dates, what they cost, an age and a ward."""
    r = np.random.default_rng(seed)
    age = np.clip(np.rint(r.normal(50, 20, rows)), 0, 100).astype(np.int64)
    start = r.integers(0, LAST - 300, rows)
    end = np.minimum(start + KINDS[kind](r, start, age), LAST)
    return pd.DataFrame(
        {
            "ward": r.choice(WARDS, rows, p=[0.5, 0.3, 0.15, 0.05]),
            "age": age,
            "begin": BEGIN + pd.to_timedelta(start, unit="D"),
            "end": BEGIN + pd.to_timedelta(end, unit="D"),
            "paid": 20 * (end - start) + np.rint(r.gamma(2, 50, rows)).astype(np.int64),
        }
    )


def domain(*, difference: bool) -> Domain:
    """What is declared of the simulated tables."""
    return Domain(
        {
            "ward": Categorical(WARDS),
            "age": Numerical(0, 100, integer=True),
            "begin": TEN_YEARS,
            "end": TEN_YEARS,
            "paid": Numerical(0, 80_000, integer=True),
        },
        constraints=(Constraint("begin <= end", difference=difference),),
    )


def run(kind: str, rows: int, *, difference: bool, epsilon: float, seed: int) -> dict[str, float]:
    """Synthesize once and measure."""
    table = simulated(kind, rows, seed=seed)
    synthesizer = PearlSynthesizer(
        domain=domain(difference=difference), epsilon=epsilon, delta=1e-5, seed=seed, threads=1
    )
    synthetic = synthesizer.fit(table).sample(rows, seed=seed)
    both = [one.assign(days=(one["end"] - one["begin"]).dt.days) for one in (table, synthetic)]
    distances = fidelity(*both, seed=seed)
    values = (
        float(both[0]["days"].mean()),
        float(both[1]["days"].mean()),
        distances.equal_width.one_way["days"],
        distances.equal_width.mean_two_way,
        distances.quantile.mean_two_way,
    )
    return dict(zip(MEASURES, values, strict=True))


def summary(results: dict[tuple[str, int, float, bool], list[dict[str, float]]]) -> str:
    """A Markdown table."""
    head = ("table", "records", "epsilon", "later date measured", *MEASURES)
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for (kind, rows, epsilon, difference), runs in results.items():
        how = "as what it adds" if difference else "by itself"
        cells = [kind, f"{rows:,}", f"{epsilon:g}", how]
        for measure in MEASURES:
            values = np.array([one[measure] for one in runs])
            half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else np.nan
            digits = 1 if measure.startswith("mean") else 3
            cells.append(
                f"{values.mean():.{digits}f}" + (f" ± {half:.{digits}f}" if np.isfinite(half) else "")
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--rows", nargs="+", type=int, default=[20_000, 2_000])
    parser.add_argument("--epsilons", nargs="+", type=float, default=[1.0, 0.2])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="stays, 2,000 records, epsilon 1, one seed")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.kinds, chosen.rows, chosen.epsilons, chosen.seeds = ["stays"], [2_000], [1.0], 1
    results: dict[tuple[str, int, float, bool], list[dict[str, float]]] = {}
    for kind in chosen.kinds:
        for rows in chosen.rows:
            for epsilon in chosen.epsilons:
                for difference in (False, True):
                    for seed in range(chosen.seeds):
                        measured = run(kind, rows, difference=difference, epsilon=epsilon, seed=seed)
                        results.setdefault((kind, rows, epsilon, difference), []).append(measured)
                        setting = {"table": kind, "records": rows, "epsilon": epsilon, "seed": seed}
                        print(json.dumps({**setting, "difference": difference, **measured}), flush=True)
    print(summary(results))


if __name__ == "__main__":
    main()
