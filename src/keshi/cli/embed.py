"""keshi embed: spend the budget once, and write a private embedding."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from keshi.privacy.ledger import PrivacyLedger
    from keshi.records.domain import Domain
    from keshi.synthesis.presets import Preset
    from keshi.synthesis.private_embedding import PrivateEmbedding

RECORDS = (
    "csv, parquet, Arrow or npz file, idx images, or a folder of pictures by class: the sensitive records."
)
DOMAIN = typer.Option(None, "--domain", help="Domain file: what is publicly known of the table.")
LABEL = typer.Option(
    None,
    "--label",
    help="Without a domain file, of images with pixels of bytes: the array that says the class.",
)
CLASSES = typer.Option(
    None, "--classes", help="With --label: how many (0, 1, ...), or their names with commas between. Public."
)
EPSILON = typer.Option(..., "--epsilon", help="Privacy budget to spend.")
DELTA = typer.Option(1e-5, "--delta", help="The delta of (epsilon, delta).")
PRESET = typer.Option(
    None,
    "--preset",
    help="keshi: marginals and an exact generator for tables, moments and a mixture for images and windows (default). "
    "paper: PEARL as published, made private. dp-merf: the same without the critic.",
)
RELATION = typer.Option(
    "add-or-remove", "--relation", help="Or replace-one, where the number of records is public."
)
SUBJECT = typer.Option(
    None, "--subject", help="Column that says whose record it is: protects people, not rows."
)
MAX_RECORDS = typer.Option(
    None, "--max-records", help="Use at most so many records of a subject; default: all."
)
LEDGER = typer.Option(None, "--ledger", help="Ledger to spend from, if not the one beside the domain file.")
RUN = typer.Option(
    None, "--run", help="Name of the run; repeating an interrupted run's name pays nothing twice."
)
SEED = typer.Option(0, "--seed", help="Repeats frequencies and training. It never reaches the noise.")
OVERWRITE = typer.Option(False, "--overwrite", help="Replace an earlier output of keshi.")
SHOW_VALUES = typer.Option(False, "--show-values", help="Name offending values in error messages.")


def embed(
    table: Path = typer.Argument(help=RECORDS),
    domain: Path | None = DOMAIN,
    label: str | None = LABEL,
    classes: str | None = CLASSES,
    epsilon: float = EPSILON,
    delta: float = DELTA,
    output: Path = typer.Option(
        ..., "--output", "-o", help="Where the embedding goes (a folder, or a .zip)."
    ),
    preset: str | None = PRESET,
    relation: str = RELATION,
    subject: str | None = SUBJECT,
    max_records: int | None = MAX_RECORDS,
    ledger: Path | None = LEDGER,
    run: str | None = RUN,
    seed: int = SEED,
    overwrite: bool = OVERWRITE,
    show_values: bool = SHOW_VALUES,
) -> None:
    """Embed a table under differential privacy. This spends the budget; all that follows is free.

    Example: keshi embed people.csv --domain people.toml --epsilon 1 -o people.embedding
    """
    from keshi.synthesis.presets import preset_for

    check_output(output, overwrite=overwrite)
    known = public_domain(table, domain, label=label, classes=classes)
    embedding = embed_file(
        table,
        known,
        preset_for(known, preset),
        epsilon=epsilon,
        delta=delta,
        relation=relation,
        subject=subject,
        max_records=max_records,
        ledger=open_ledger(known, domain, ledger, records=table),
        run=run,
        seed=seed,
        show_values=show_values,
    )
    embedding.save(output, overwrite=overwrite)
    print(f"wrote {output} ({describe(embedding)})")
    print(embedding.statement.sentence)
    print(f"Next: keshi train {output} -o {output.stem}.generator")


def public_domain(table: Path, path: Path | None, *, label: str | None, classes: str | None) -> Domain:
    """What is publicly known of the records: the domain file, or what their file's type and these classes say.

    Raises:
        ValueError: if both are given, or too little of either.
    """
    from keshi.cli.progress import note
    from keshi.records.domain import Domain
    from keshi.records.image_domain import image_domain

    if path is not None:
        if label is not None or classes is not None:
            raise ValueError("--label and --classes stand in for a domain file; leave them or --domain out.")
        return Domain.read(path)
    if label is None or classes is None:
        raise ValueError(
            "what is publicly known of the records? Give --domain FILE (keshi domain drafts one) or, of images with "
            "pixels of bytes, --label NAME with --classes: how many (0, 1, ...), or their names with commas between. "
            "Read off the records they could reveal someone."
        )
    known = image_domain(table, label=label, classes=classes)
    (image,) = known.array_columns.values()
    note(f"images of {' x '.join(map(str, image.shape))} bytes, {known.n_classes} classes.")
    if known.ignore:
        note(f"left out: {', '.join(known.ignore)}. A domain file can declare them.")
    return known


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise now, and not after the budget is spent or the training is over, where an artefact cannot be written."""
    from keshi.artifacts.store import check_target

    check_folder(output)
    check_target(output, overwrite=overwrite)


def check_folder(output: Path) -> None:
    """Raise unless there is a folder that a new file or folder `output` can be made in."""
    import os

    from keshi.errors import ArtifactError

    folder = Path(os.path.abspath(output)).parent
    if not folder.is_dir():
        raise ArtifactError(f"{output} cannot be written: the folder {folder} does not exist. Create it.")
    if not os.access(folder, os.W_OK):
        raise ArtifactError(f"{output} cannot be written: the folder {folder} is read-only for you.")


def embed_file(
    table: Path,
    domain: Domain,
    preset: Preset,
    *,
    epsilon: float,
    delta: float,
    relation: str,
    subject: str | None,
    max_records: int | None,
    ledger: PrivacyLedger | None,
    run: str | None,
    seed: int,
    show_values: bool,
) -> PrivateEmbedding:
    """Check the arguments and the whole table, then spend."""
    from keshi._validate import in_range, positive
    from keshi.cli.progress import note, progress_bar
    from keshi.privacy.unit import PrivacyUnit
    from keshi.synthesis.synthesizer import embed_table

    positive("epsilon", epsilon)
    in_range("delta", delta, 0.0, 1.0, open_ends=True)
    unit = PrivacyUnit(relation, subject, max_records)  # type: ignore[arg-type]
    if ledger is not None and run is None:
        run = uuid.uuid4().hex[:12]
        note(f"run {run}: should it be interrupted, add --run {run} and nothing is paid twice.")
    with progress_bar("reading") as advance:
        embedding = embed_table(
            table,
            domain,
            preset,
            epsilon=epsilon,
            delta=delta,
            unit=unit,
            ledger=ledger,
            run=run,
            seed=seed,
            progress=lambda what, rows: advance(rows, None, f"{rows:,} records for {what}"),
            show_values=show_values,
        )
    if ledger is None:
        note(
            "no ledger: this spend is written down nowhere (keshi ledger create gives the data set a budget)."
        )
    return embedding


def open_ledger(
    domain: Domain, domain_path: Path | None, ledger: Path | None, *, records: Path
) -> PrivacyLedger | None:
    """The ledger named, or the one beside the domain file that bears its name; None where there is none.

    Raises:
        BudgetError: it is not the ledger that the domain names, or one stands there that the domain does not name:
            a `keshi ledger create` that was killed half-way must not lead to spends that are written down nowhere.
            Without a domain file, any ledger beside the records may be theirs.
    """
    from keshi.errors import BudgetError
    from keshi.privacy.ledger import PrivacyLedger

    if domain_path is None:
        place = records.resolve()  # a folder of idx files may hold its own
        beside = [*place.parent.glob("*.ledger"), *place.glob("*.ledger")]
        if beside and ledger is None:
            raise BudgetError(
                f"{beside[0]} stands beside {records}. If it is the budget of these data, add --ledger {beside[0]}; "
                "if not, give a domain file (keshi domain drafts one), which says whose budget is spent."
            )
        return None if ledger is None else PrivacyLedger.open(ledger)
    own = domain_path.with_suffix(".ledger")
    if ledger is None and domain.ledger is None:
        if not own.exists():
            return None
        with PrivacyLedger.open(own) as book:
            raise BudgetError(
                f"{own} stands beside {domain_path}, which names no ledger. If it is the budget of these data, add "
                f'the line ledger = "{book.id}" above the first table of {domain_path}; if not, rename it.'
            )
    return PrivacyLedger.open(ledger or own, expected_id=domain.ledger)


def describe(embedding: PrivateEmbedding) -> str:
    """Size of an embedding in a few words."""
    from keshi.privacy.statement import promised

    coordinates = sum(measurement.plan.size for measurement in embedding.measurements)
    return f"{coordinates:,} noisy values; epsilon {promised(embedding.statement.epsilon)}"
