"""keshi sample: draw synthetic records from a generator."""

from __future__ import annotations

from pathlib import Path

import typer


def sample(
    generator: Path = typer.Argument(help="What `keshi train` wrote."),
    rows: int = typer.Option(..., "--rows", help="How many records."),
    output: Path = typer.Option(..., "--output", "-o", help="Where to (.csv, .csv.gz, .parquet, .npz)."),
    seed: int = typer.Option(0, "--seed", help="Repeats the records."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace the output, whatever it holds."),
    neutralise_formulas: bool = typer.Option(
        False, "--neutralise-formulas", help="Quote texts that a spreadsheet would run as a formula."
    ),
) -> None:
    """Draw synthetic records: any number, free of privacy cost.

    Example: keshi sample people.generator --rows 10000 -o synthetic.csv
    """
    from keshi._validate import positive_integer, seed_in_range
    from keshi.records.files import check_table_output, write_table
    from keshi.synthesis.synthesizer import Generator

    positive_integer("rows", rows)
    seed_in_range(seed)
    check_table_output(output)
    if output.exists() and not overwrite:  # a mistyped name could be the table of real records
        raise ValueError(f"{output} exists. Choose another name, or add --overwrite.")
    drawn = Generator.load(generator)
    check_table_output(output, drawn.domain)
    changed = write_table(
        drawn.sample_batches(rows, seed=seed), output, neutralise_formulas=neutralise_formulas
    )
    print(f"wrote {output} ({rows:,} records{f'; {changed:,} texts quoted' if changed else ''})")
    print(drawn.statement.sentence)
