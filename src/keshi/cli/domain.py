"""keshi domain: draft a domain file, or learn its bounds, bins and categories for a price."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keshi.privacy.learned_domain import LearnedDomain


def domain(
    table: Path = typer.Argument(
        help="csv, parquet, Arrow or npz file, idx images, or a folder of pictures by class."
    ),
    output: Path | None = typer.Option(None, "--output", "-o", help="Write here instead of to stdout."),
    epsilon: float | None = typer.Option(
        None, "--epsilon", help="Learn bounds, bins and categories for this much of the privacy budget."
    ),
    delta: float | None = typer.Option(
        None, "--delta", help="With --epsilon: the delta of (epsilon, delta). [default: 1e-05]"
    ),
    relation: str | None = typer.Option(
        None,
        "--relation",
        help="With --epsilon: add-or-remove, or replace-one (the number of records is public). "
        "[default: add-or-remove]",
    ),
    ledger: Path | None = typer.Option(None, "--ledger", help="With --epsilon: the ledger to spend from."),
    run: str | None = typer.Option(
        None, "--run", help="Name of the run; repeating an interrupted run's name pays nothing twice."
    ),
) -> None:
    """Draft a domain file: names and types. Bounds, bins and categories are left for you to declare.

    Reading them off the records would reveal someone; a code book, a law or common sense does not. Where there is no
    such knowledge, --epsilon learns them under differential privacy, as a part of the budget.

    Example: keshi domain people.csv --epsilon 0.1 -o people.toml
    """
    from keshi.artifacts.atomic import write_atomically
    from keshi.cli.embed import check_folder
    from keshi.cli.progress import note
    from keshi.records.domain_file import draft
    from keshi.records.files import column_arrays, column_types

    if output is not None and output.exists():
        raise ValueError(f"{output} exists; a domain file may hold hours of work and is not overwritten.")
    if output is not None:
        check_folder(output)  # before anything is spent
    if epsilon is None:
        given = {"--delta": delta, "--relation": relation, "--ledger": ledger, "--run": run}
        idle = [name for name, value in given.items() if value is not None]
        if idle:
            raise ValueError(
                f"{' and '.join(idle)} without --epsilon: nothing is spent on a draft. Add --epsilon to learn bounds, "
                "bins and categories."
            )
        text = draft(column_types(table), source=table.name, arrays=column_arrays(table))
    else:
        learned = _learn(table, epsilon, 1e-5 if delta is None else delta, relation, ledger, run)
        text = learned.text
    if output is None:
        print(text, end="")
    else:
        write_atomically(output, text.encode())
    if epsilon is None:
        note(f"drafted {text.count('[columns.')} columns. Fill in the commented lines.")
    else:
        _say(learned)
    # a ledger holds one relation: a spend under another one would be refused
    more = f" --ledger {ledger} --relation {relation or 'add-or-remove'}" if ledger is not None else ""
    note(
        f"Next: keshi synthesize {table} --domain {output or f'{table.stem}.toml'}{more} --epsilon 1 -o run/"
    )


def _learn(
    table: Path, epsilon: float, delta: float, relation: str | None, ledger: Path | None, run: str | None
) -> LearnedDomain:
    from keshi.cli.progress import note, progress_bar
    from keshi.privacy.learned_domain import learn_domain
    from keshi.privacy.ledger import PrivacyLedger
    from keshi.privacy.unit import PrivacyUnit

    unit = PrivacyUnit(relation=relation or "add-or-remove")  # type: ignore[arg-type]
    book = None
    if ledger is None:
        note(
            "no ledger: this spend stands in the domain file alone, until keshi ledger create books it as the first "
            "of the data set's budget."
        )
    else:
        book = PrivacyLedger.open(ledger)
        if run is None:
            run = uuid.uuid4().hex[:12]
            note(f"run {run}: should it be interrupted, add --run {run} and nothing is paid twice.")
    with progress_bar("reading") as advance:
        return learn_domain(
            table,
            epsilon=epsilon,
            delta=delta,
            unit=unit,
            ledger=book,
            run=run,
            progress=lambda what, rows: advance(rows, None, f"{rows:,} records for {what}"),
        )


def _say(learned: LearnedDomain) -> None:
    """What was learnt and what it cost; on stderr, because stdout may be the domain file."""
    from keshi.cli.progress import note

    if learned.statement is None:
        note("nothing was spent: the types say everything.")
        return
    note(learned.statement.sentence)
    note(
        "column names and types are your declaration and not covered by that (in a text file the types are guessed "
        "from the records): check that they are public."
    )
    if learned.unclear:
        note(
            f"nothing stood out from the noise in {list(learned.unclear)}: their bounds are placeholders to replace."
        )
    if learned.domain.ignore:
        note(
            f"no frequent value in {list(learned.domain.ignore)}: they are left out (ignore), unless you declare them."
        )
