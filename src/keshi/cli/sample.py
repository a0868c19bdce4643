"""keshi sample: draw synthetic records from a generator."""

from __future__ import annotations

from pathlib import Path

import typer


def sample(
    generator: Path = typer.Argument(help="What `keshi train` wrote."),
    rows: int = typer.Option(..., "--rows", help="How many records."),
    where: str | None = typer.Option(
        None,
        "--where",
        help="Only records that meet this condition: ==, !=, <, in [...], is missing, and, or, not.",
    ),
    balance: str | None = typer.Option(
        None, "--balance", help="Shares of the classes: equal, or 'income: >50K=0.5, <=50K=0.5'."
    ),
    most_draws: int | None = typer.Option(
        None, "--most-draws", help="Stop after so many draws; default: where it is all but hopeless."
    ),
    output: Path = typer.Option(..., "--output", "-o", help="Where to (.csv, .csv.gz, .parquet, .npz)."),
    seed: int = typer.Option(0, "--seed", help="Repeats the records."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output, whatever it holds."),
    neutralise_formulas: bool = typer.Option(
        False, "--neutralise-formulas", help="Quote texts that a spreadsheet would run as a formula."
    ),
) -> None:
    """Draw synthetic records: any number, free of privacy cost.

    Example: keshi sample people.generator --rows 10000 --where "age >= 30 and city in ['Aa', 'Bb']" -o synthetic.csv
    """
    import sys

    from keshi._validate import positive_integer, seed_in_range
    from keshi.records.table_output import check_table_output, write_table
    from keshi.synthesis.sampling import SampleCount
    from keshi.synthesis.trained_generator import Generator

    positive_integer("rows", rows)
    seed_in_range(seed)
    check_table_output(output)
    if output.exists() and not overwrite:  # a mistyped name could be the table of real records
        raise ValueError(f"{output} exists. Choose another name, or add --overwrite.")
    drawn = Generator.load(generator)
    check_table_output(output, drawn.domain)
    counts: list[SampleCount] = []
    batches = drawn.sample_batches(
        rows, seed=seed, where=where, balance=balance, most_draws=most_draws, count=counts.append
    )
    changed = write_table(batches, output, neutralise_formulas=neutralise_formulas)
    if counts[-1].drawn > counts[-1].kept or where is not None:
        print(counts[-1], file=sys.stderr)
    print(f"wrote {output} ({rows:,} records{f'; {changed:,} texts quoted' if changed else ''})")
    print(drawn.statement.sentence)
