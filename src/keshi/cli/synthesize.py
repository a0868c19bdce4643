"""keshi synthesize: embed, train and sample in one run, with a private report."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from keshi.cli.embed import (
    CLASSES,
    DELTA,
    DOMAIN,
    EPSILON,
    LABEL,
    LEDGER,
    MAX_RECORDS,
    PRESET,
    RECORDS,
    RELATION,
    RUN,
    SEED,
    SHOW_VALUES,
    SUBJECT,
    check_folder,
    embed_file,
    open_ledger,
    public_domain,
)
from keshi.cli.train import DEVICE, STEPS, THREADS, check_training, synthetic_name, train_embedding

if TYPE_CHECKING:
    import pandas as pd

    from keshi.auditing.table_audit import TableAudit
    from keshi.privacy.statement import PrivacyStatement
    from keshi.records.domain import Domain
    from keshi.reports.report import Section
    from keshi.synthesis.trained_generator import Generator

MOST_COMPARED = 250_000  # real records that the report of a table looks at, drawn at random from all


def synthesize(
    table: Path = typer.Argument(help=RECORDS),
    domain: Path | None = DOMAIN,
    label: str | None = LABEL,
    classes: str | None = CLASSES,
    epsilon: float = EPSILON,
    output: Path = typer.Option(..., "--output", "-o", help="Folder of the run: release/ and private/."),
    delta: float = DELTA,
    rows: int | None = typer.Option(None, "--rows", help="Synthetic records; default: as many as estimated."),
    holdout: Path | None = typer.Option(
        None,
        "--holdout",
        help="Real records that were kept aside, for the report's train-on-synthetic figures.",
    ),
    preset: str | None = PRESET,
    relation: str = RELATION,
    subject: str | None = SUBJECT,
    max_records: int | None = MAX_RECORDS,
    steps: int | None = STEPS,
    ledger: Path | None = LEDGER,
    run: str | None = RUN,
    resume: bool = typer.Option(False, "--resume", help="Go on with the embedding that the folder holds."),
    report: bool = typer.Option(True, help="Write the private report."),
    seed: int = SEED,
    threads: int | None = THREADS,
    device: str = DEVICE,
    show_values: bool = SHOW_VALUES,
) -> None:
    """Make a synthetic table under differential privacy: release/ may be published, private/ is for you.

    Example: keshi synthesize people.csv --domain people.toml --epsilon 1 -o run/
    """
    from keshi._validate import positive_integer
    from keshi.artifacts.atomic import leftovers, mark_run, remove_leftovers
    from keshi.artifacts.store import json_to_bytes, write_atomically
    from keshi.cli.array_report import array_report
    from keshi.cli.began_with import began_with, fingerprint, new_key, remembered
    from keshi.cli.progress import note
    from keshi.errors import RecordsError
    from keshi.privacy.unit import PrivacyUnit
    from keshi.records.files import column_types
    from keshi.records.table_output import write_table
    from keshi.synthesis.presets import preset_for, with_steps
    from keshi.synthesis.private_embedding import PrivateEmbedding
    from keshi.synthesis.sampling import SampleCount
    from keshi.synthesis.synthesizer import training_device

    started, cpu = time.perf_counter(), time.process_time()
    if rows is not None:
        positive_integer("rows", rows)
    check_training(steps=steps, threads=threads, seed=seed)
    held_columns = None if holdout is None else column_types(holdout)  # whether it is there and can be read
    release, private = output / "release", output / "private"
    left_by_killed_runs = [path for folder in (output, release, private) for path in leftovers(folder)]
    known = public_domain(table, domain, label=label, classes=classes)
    if held_columns is not None and (absent := [name for name in known.columns if name not in held_columns]):
        raise RecordsError(f"{holdout} lacks the columns {absent}; give records with all columns of {table}.")
    chosen = with_steps(preset_for(known, preset), steps)
    training_device(device, chosen)
    if (release / "embedding").exists() != resume:
        raise ValueError(
            f"{release} holds no embedding to resume; leave --resume out."
            if resume
            else f"{release} holds an embedding, and its budget is spent: add --resume to go on with it, "
            "or choose another folder for a new release."
        )
    if not resume and release.is_dir() and set(release.iterdir()) - set(left_by_killed_runs):
        raise ValueError(
            f"{release} holds other files, and a release is published as a whole; choose another folder."
        )
    if resume:
        embedding = PrivateEmbedding.load(release / "embedding")
        if embedding.domain != known:
            raise ValueError(
                f"{release / 'embedding'} was made under another domain than {domain or 'these classes'}."
            )
        wanted = PrivacyUnit(relation, subject, max_records)  # type: ignore[arg-type]
        if embedding.unit != wanted or embedding.preset != chosen.name:
            raise ValueError(
                f"{release / 'embedding'} was made with preset {embedding.preset} for {embedding.unit.describe()}, and "
                f"{chosen.name} for {wanted.describe()} is asked for; give the same options, or choose another folder."
            )
        promised = (embedding.statement.epsilon, embedding.statement.delta)
        if known.learned is None and promised != (epsilon, delta):
            raise ValueError(
                f"{release / 'embedding'} was made at epsilon {embedding.statement.epsilon:g}, delta "
                f"{embedding.statement.delta:g}; give the same, or choose another folder for a new release."
            )
        same = began_with(private, table)
        if same is False:
            raise ValueError(
                f"{table} is not what {release / 'embedding'} was made of: its bytes are others, and the report would "
                "compare the release with the wrong records. Give the file that the run began with, unchanged, or "
                "choose another folder for a new release. "
                f"keshi train {release / 'embedding'} needs no records at all."
            )
        if same is None:
            note(
                f"{private} does not say which records the run began with: see to it that they are those of {table}; "
                "the report compares the release with them."
            )
    key = new_key()
    with new_folders(output, release, private):
        check_folder(release / "embedding")
        check_folder(private / "report.html")
        if not resume:
            found = fingerprint(table, key)
            embedding = embed_file(
                table,
                known,
                chosen,
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
            with remembered(private, key, found):
                embedding.save(release / "embedding")
    generator = train_embedding(embedding, steps=steps, seed=seed, threads=threads, device=device)
    generator.save(release / "generator", overwrite=resume)
    rows = rows or max(1, round(embedding.count))
    counts: list[SampleCount] = []
    batches = generator.sample_batches(rows, seed=seed, count=counts.append)
    synthetic = release / synthetic_name(known)
    write_table(batches, synthetic)
    if counts[-1].drawn > counts[-1].kept:  # some broke a constraint beyond repair
        print(counts[-1], file=sys.stderr)
    statement = embedding.statement
    write_atomically(release / "statement.json", json_to_bytes(statement.to_dict()))
    write_atomically(release / "CARD.md", release_card(generator, seed=seed).encode())
    remove_leftovers(left_by_killed_runs)
    mark_run(output, verb="synthesize")
    print(f"wrote {release} ({synthetic.name} with {rows:,} records, embedding, generator, statement.json)")
    print(statement.sentence)
    if report:
        cost = {"CPU seconds": time.process_time() - cpu, "seconds": time.perf_counter() - started}
        measure = array_report if known.array_columns else table_report
        sections = measure(table, holdout, generator, rows=rows, cost=cost, seed=seed)
        if sections:
            write_private_report(private, f"Synthetic {table.stem}", statement, sections)
            print(f"report for you alone: {private / 'report.html'}")
        else:
            print(f"no report: {table} has no records to compare with.", file=sys.stderr)
    print(f"Next: keshi sample {release / 'generator'} --rows 100000 -o more{synthetic.suffix}")


def table_report(
    table: Path, holdout: Path | None, generator: Generator, *, rows: int, cost: dict[str, float], seed: int
) -> list[Section]:
    """The owner's report of a synthetic table, of a large one of some records; there is none of no records."""
    from keshi.cli.some_records import some_records

    known = generator.domain
    real, total = some_records(table, known, seed=seed, most=MOST_COMPARED)
    if real.empty:
        return []
    held = None if holdout is None else some_records(holdout, known, seed=seed, most=MOST_COMPARED)[0]
    shown: dict[str, Any] = dict(cost)
    if total > len(real):
        # In the private report alone: nobody paid for the exact number of records.
        shown["records compared"] = f"{len(real):,} of {total:,}, drawn at random"
    synthetic = generator.sample(min(rows, len(real)), seed=seed)[list(known.columns)]  # no identifiers
    return audit_sections(synthetic, real, held, known, generator, cost=shown, seed=seed)[1]


@contextmanager
def new_folders(*folders: Path) -> Iterator[None]:
    """Make the folders first, so that nothing is spent where nothing can be written; remove them after a failure."""
    made = []
    try:
        for folder in folders:
            if not folder.is_dir():
                folder.mkdir(parents=folder == folders[0])
                made.append(folder)
        yield
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # it is not empty: something was paid for and is kept
                folder.rmdir()
        raise


def audit_sections(
    synthetic: pd.DataFrame,
    real: pd.DataFrame,
    holdout: pd.DataFrame | None,
    domain: Domain,
    generator: Any,
    *,
    cost: Mapping[str, Any],
    seed: int,
    quick: bool = False,
) -> tuple[TableAudit, list[Section]]:
    """Measure the release against the records, and draw what was measured."""
    from keshi.auditing.table_audit import audit_table
    from keshi.auditing.utility import CLASSIFIERS, FAST
    from keshi.cli.progress import progress_bar
    from keshi.records.column_kinds import Categorical
    from keshi.reports.synthesis import synthesis_sections

    real = _with_moments(real, domain)
    holdout = None if holdout is None else _with_moments(holdout, domain)
    categorical = [name for name, column in domain.columns.items() if isinstance(column, Categorical)]
    with progress_bar("auditing") as advance:
        done = iter(range(1, 100))
        audit = audit_table(
            synthetic,
            real,
            holdout=holdout,
            label=domain.label,
            categorical=categorical,
            classifiers=FAST if quick else tuple(CLASSIFIERS),
            seed=seed,
            progress=lambda what: advance(next(done), 7, what),
        )
    points = [vars(point) for point in generator.learning_curve]
    return audit, synthesis_sections(audit, points, settings=report_settings(generator, seed=seed), cost=cost)


def _with_moments(table: pd.DataFrame, domain: Domain) -> pd.DataFrame:
    """Real records as the release has them: texts of a csv file would be compared as categories, each of its own."""
    from keshi.records.column_kinds import Timestamp
    from keshi.records.columns import declared_moments

    read = {
        name: declared_moments(name, column, table[name])
        for name, column in domain.columns.items()
        if isinstance(column, Timestamp)
    }
    return table.assign(**read)


def report_settings(generator: Any, *, seed: int) -> dict[str, Any]:
    """What a report says of how a release was made."""
    steps = generator.learning_curve[-1].step
    return {
        "preset": generator.preset,
        "epsilon": generator.statement.epsilon,
        "delta": generator.statement.delta,
        "unit": generator.statement.unit,
        "training steps": steps if steps > 1 else "none, fitted at once",
        "seed of the training": seed,
    }


def write_private_report(
    private: Path, title: str, statement: PrivacyStatement, sections: list[Section]
) -> None:
    """Write report.html and report.json into the owner's folder."""
    from keshi.reports.report import write_report
    from keshi.reports.synthesis import synthesis_report

    page = synthesis_report(title, statement.sentence, sections)
    write_report(page, private / "report.html", private / "report.json")


def release_card(generator: Generator, *, seed: int) -> str:
    """The card that goes with a release: the promise, the settings, what was assumed public, what is in the folder.

    Nothing measured stands here: utility and leakage are exact statistics, and stay in the owner's folder.
    """
    from keshi.reports.synthesis import NOT_PROTECTED

    statement, domain = generator.statement, generator.domain
    lines = [
        "# Release card",
        "",
        statement.sentence,
        "",
        "The guarantee covers everything in this folder together.",
        "",
        "## Settings",
        *(f"- {name}: {value}" for name, value in report_settings(generator, seed=seed).items()),
        "",
        "## Assumed public",
        *(f"- {item}" for item in statement.assumed_public),
        "",
        "## Not protected",
        *(f"- {item}" for item in NOT_PROTECTED),
        "",
        "## Contents",
        f"- `{synthetic_name(domain)}`: records drawn from the generator, {len(domain.columns)} columns; one may equal "
        "a real record by chance.",
        "- `embedding/`: the noisy measurements; any number of generators can be trained from it.",
        "- `generator/`: draws further records with `keshi sample`.",
        "- `statement.json`: the guarantee and every figure behind it.",
        "",
    ]
    return "\n".join(lines)
