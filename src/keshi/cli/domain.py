"""keshi domain: draft a domain file from the column names and types of a table."""

from __future__ import annotations

from pathlib import Path

import typer


def domain(
    table: Path = typer.Argument(help="csv, parquet or Arrow file."),
    output: Path | None = typer.Option(None, "--output", "-o", help="Write here instead of to stdout."),
) -> None:
    """Draft a domain file: names and types. Bounds and categories are left for you to declare.

    Reading them off the records would reveal someone; a code book, a law or common sense does not.

    Example: keshi domain people.csv > people.toml
    """
    from keshi.artifacts.atomic import write_atomically
    from keshi.cli.progress import note
    from keshi.records.domain_file import draft
    from keshi.records.files import column_types

    if output is not None and output.exists():
        raise ValueError(f"{output} exists; a domain file may hold hours of work and is not overwritten.")
    types = column_types(table)
    text = draft(types, source=table.name)
    if output is None:
        print(text, end="")
    else:
        write_atomically(output, text.encode())
    note(
        f"drafted {len(types)} columns. Fill in the commented lines, then: "
        f"keshi synthesize {table} --domain {output or 'people.toml'} --epsilon 1 -o run/"
    )
