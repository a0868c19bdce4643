"""The picture behind the claim: real records and five releases of them, every column and pair side by side.

    KESHI_DATA=path/to/data python experiments/side_by_side.py --epsilon 1 -o side-by-side.html
    python experiments/side_by_side.py --quick -o side-by-side.html       (seconds; a small generated table, no GAN)

Releases are made as the benchmark makes them and kept under --work: a csv file that is there is not made again.
With --pictures FOLDER a few of the rows are written as SVG files too. The page shows exact statistics of the real
records; the data sets here are public.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from data_sets import DATA_SETS, TableSplit, load_split, read_csv
from methods import all_methods, output_file, run_method

from keshi.records.column_kinds import Numerical
from keshi.reports.report import write_report
from keshi.reports.side_by_side import (
    REAL,
    column_panels,
    common_columns,
    common_pairs,
    pair_panels,
    side_by_side,
)
from keshi.reports.small_multiples import picture

DELTA = 1e-5
RELEASES = {
    "keshi": "keshi keshi",
    "paper": "keshi paper",
    "DP-MERF": "keshi dp-merf",
    "DP-SGD GAN": "DP-SGD GAN",
}
COLUMNS = {"adult": ("age", "education", "capital_gain", "hours_per_week", "marital_status")}
PAIRS = {
    "adult": (
        ("education", "education_num"),
        ("marital_status", "relationship"),
        ("age", "hours_per_week"),
        ("education_num", "income"),
        ("age", "marital_status"),
    )
}
PICTURED = 4  # of another data set: the first columns and the most dependent pairs
STATEMENT = (
    "Each release is stated to be ({epsilon:g}, {delta:g})-differentially private for adding or removing one record; "
    "each method is taken at its word."
)


def make_release(split: TableSplit, name: str, chosen: argparse.Namespace) -> pd.DataFrame | None:
    """The table of one method: read where it exists, or made; None with a word on stderr where that failed."""
    method = all_methods(quick=chosen.quick)[RELEASES[name]]
    file = output_file(method, split.name, epsilon=chosen.epsilon, seed=chosen.seed, work=chosen.work)
    if file.exists():
        return read_csv(file, split.domain)
    outcome = run_method(
        method,
        split,
        epsilon=chosen.epsilon,
        delta=DELTA,
        seed=chosen.seed,
        work=chosen.work,
        cpu_seconds=3600,  # four times what the benchmark allows: a picture is worth it
        memory_mb=6000,
        start_ups=0,
    )
    if outcome.table is None:
        print(f"{name} is left out: {outcome.status}: {outcome.reason}", file=sys.stderr)
    return outcome.table


def bounds_of(split: TableSplit) -> dict[str, tuple[float, float]]:
    """Public bounds of the numbers: the bins that the benchmark measures in."""
    return {
        name: (column.lower, column.upper)
        for name, column in split.domain.columns.items()
        if isinstance(column, Numerical)
    }


def write_pictures(split: TableSplit, releases: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    """columns.svg and pairs.svg: a few rows of the page, in files that stand by themselves."""
    names = list(releases)
    columns = {one.name: one for one in common_columns(split.train, releases, bounds=bounds_of(split))}
    pairs = common_pairs(list(columns.values()))
    wanted = {frozenset(names) for names in PAIRS.get(split.name, ())}
    drawn_pairs = [pair for pair in pairs if {pair.first.name, pair.second.name} in wanted] or pairs[
        :PICTURED
    ]
    drawn_columns = [columns[name] for name in COLUMNS.get(split.name, list(columns)[:PICTURED])]
    column_rows = [(column.name, column_panels(names, column)) for column in drawn_columns]
    pair_rows = [
        (f"{pair.first.name} and {pair.second.name}", pair_panels(names, pair)) for pair in drawn_pairs
    ]
    files = {
        "columns.svg": picture(
            [
                (heading, [(title.removeprefix(f"{heading}: "), svg) for title, svg in panels])
                for heading, panels in column_rows
            ],
            alt=f"Shares of rows of {', '.join(h for h, _ in column_rows)}: {', '.join([REAL, *names])} side by side.",
            legend=["Outline: real rows. Beside each name the total variation distance from them."],
        ),
        "pairs.svg": picture(
            pair_rows,
            alt=f"Joint shares of {', '.join(h for h, _ in pair_rows)}: {', '.join([REAL, *names])} side by side.",
            legend=[
                "The shade grows with the square root of the share of rows in a cell, on one scale in each row."
            ],
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in files]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = os.environ.get("KESHI_DATA")
    parser.add_argument("--data", type=Path, default=Path(data) if data else None, help="default: KESHI_DATA")
    parser.add_argument("--data-set", choices=list(DATA_SETS), default="adult")
    parser.add_argument("--epsilon", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--releases", nargs="+", choices=list(RELEASES), metavar="NAME", help=", ".join(RELEASES)
    )
    parser.add_argument("--work", type=Path, default=Path.home() / ".cache" / "keshi-benchmarks")
    parser.add_argument("--output", "-o", type=Path, required=True, help="the page (.html)")
    parser.add_argument("--pictures", type=Path, help="folder for a few SVG files")
    parser.add_argument("--quick", action="store_true", help="a generated table, few steps, no GAN")
    chosen = parser.parse_args()
    if chosen.data is None and not chosen.quick:
        raise SystemExit("where are the data? Give --data FOLDER or set KESHI_DATA; --quick needs none.")
    without_environment = [name for name, method in RELEASES.items() if method != "DP-SGD GAN"]
    wanted = chosen.releases or (without_environment if chosen.quick else list(RELEASES))
    split = load_split("quick" if chosen.quick else chosen.data_set, chosen.data)
    made = {name: make_release(split, name, chosen) for name in wanted}
    releases = {name: table for name, table in made.items() if table is not None}
    page = side_by_side(
        split.train,
        releases,
        bounds=bounds_of(split),
        title=f"{split.name}: releases side by side",
        statement=[STATEMENT.format(epsilon=chosen.epsilon, delta=DELTA)],
        not_protected=[
            "The real rows: every picture here shows them exactly. They are public in this data set."
        ],
    )
    write_report(page, chosen.output)
    print(f"wrote {chosen.output} ({chosen.output.stat().st_size / 1000:,.0f} kB)")
    if chosen.pictures is not None:
        for file in write_pictures(split, releases, chosen.pictures):
            print(f"wrote {file} ({file.stat().st_size / 1000:,.0f} kB)")


if __name__ == "__main__":
    main()
