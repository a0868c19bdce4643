"""keshi audit: what a release of any system gives away and what it is still good for. Starts without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from keshi.cli.audit_output import Order


def audit(
    synthetic: Path | None = typer.Argument(
        None,
        help="The release, of any system: a table (.csv, .csv.gz, .parquet), or images or windows (.npz, idx, a folder "
        "of pictures for each class).",
    ),
    train: Path | None = typer.Option(None, "--train", help="The real records that it was made from."),
    holdout: Path | None = typer.Option(
        None,
        "--holdout",
        help="Real records of the same population that it never saw: control of every attack.",
    ),
    label: str | None = typer.Option(None, "--label", help="Class column, to measure what can be learnt."),
    compare: Path | None = typer.Option(None, "--compare", help="A second release, side by side."),
    output: Path | None = typer.Option(
        None,
        "--output",
        "-o",
        help="Report (.html); a .json and a .md with the same figures appear beside it.",
    ),
    statement: Path | None = typer.Option(
        None, "--statement", help="Privacy statement of the release (.json)."
    ),
    secret: list[str] = typer.Option([], "--secret", help="Column to guess. Default: each. May be repeated."),
    known: list[str] = typer.Option(
        [], "--known", help="Column that the attacker knows. Default: all but the secret. May be repeated."
    ),
    categorical: list[str] = typer.Option(
        [], "--categorical", help="Column of numbers that are codes, not amounts. May be repeated."
    ),
    ignore: list[str] = typer.Option(
        [], "--ignore", help="Column to leave out of all files. May be repeated."
    ),
    missing: list[str] = typer.Option([], "--missing", help='Text that means "missing", such as "?".'),
    fail_above: list[str] = typer.Option(
        [],
        "--fail-above",
        help="NAME=LIMIT, exit status 1 above it. Tables: leak, risk, attribute, linkability, copies, membership, "
        "auc_gap, two_way, small_groups. Images, windows: leak, risk, copies, membership, accuracy_gap, small_groups. "
        "Features: leak, risk, identification. May be repeated.",
    ),
    allow_inconclusive: bool = typer.Option(
        False, "--allow-inconclusive", help="A gate that cannot tell passes."
    ),
    targets: int = typer.Option(2_000, "--targets", help="People attacked on either side."),
    quick: bool = typer.Option(False, "--quick", help="Two classifiers instead of four."),
    seed: int = typer.Option(0, "--seed", help="Repeats every figure."),
    features: Path | None = typer.Option(
        None,
        "--features",
        help="Instead of a table: features in an npz file, with --subject (and --label, --trial).",
    ),
    subject: str | None = typer.Option(
        None, "--subject", help="With --features: array that says whose row it is."
    ),
    trial: str | None = typer.Option(None, "--trial", help="With --features: array of the recordings."),
    softmax: str | None = typer.Option(
        None,
        "--softmax",
        help="With --features: array of predicted class probabilities, attacked beside them.",
    ),
    raw: str | None = typer.Option(
        None, "--raw", help="With --features: array of what they were made from, attacked beside them."
    ),
    extracted: str | None = typer.Option(
        None, "--extracted", help="With images: array of your own features of each, for both distances."
    ),
    cnn: bool = typer.Option(
        False, "--cnn", help="With images: a convolutional classifier too. Imports torch."
    ),
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Attack a release and measure its use, beside real held-out records and the cheapest release possible.

    Everything printed and written is an exact statistic of the records: for their owner only.

    Example: keshi audit synthetic.csv --train people.csv --holdout others.csv -o report.html
    """
    from keshi._validate import positive_integer, seed_in_range
    from keshi.cli.audit_output import read_order
    from keshi.records.array_files import holds_arrays

    seed_in_range(seed)
    positive_integer("targets", targets)
    asked: dict[str, Any] = {
        "output": output, "statement": statement, "fail_above": fail_above,
        "allow_inconclusive": allow_inconclusive, "as_json": as_json,
    }  # fmt: skip
    if features is not None:
        from keshi.cli.audit_features import audit_features_file

        order = read_order(kind="features", **asked)
        audit_features_file(
            order, features, subject=subject, label=label, trial=trial, softmax=softmax, raw=raw,
            compare=compare, seed=seed,
        )  # fmt: skip
        return
    if synthetic is None or train is None:
        raise ValueError("give a release and --train with the real records, or --features with features.")
    if holds_arrays(synthetic):
        from keshi.cli.audit_arrays import audit_array_files

        given = {
            "secret": secret,
            "known": known,
            "categorical": categorical,
            "ignore": ignore,
            "missing": missing,
        }
        for name, values in given.items():
            if values:
                raise ValueError(
                    f"--{name} is for tables; {synthetic} holds images or windows. Leave it out."
                )
        order = read_order(kind="arrays", **asked)
        audit_array_files(
            order, synthetic, train, holdout=holdout, compare=compare, label=label, extracted=extracted,
            cnn=cnn, quick=quick, targets=targets, seed=seed,
        )  # fmt: skip
        return
    order = read_order(kind="table", **asked)
    audit_tables(
        order, synthetic, train, holdout=holdout, compare=compare, label=label, secret=secret, known=known,
        categorical=categorical, ignore=ignore, missing=missing, targets=targets, quick=quick, seed=seed,
    )  # fmt: skip


def audit_tables(
    order: Order,
    synthetic: Path,
    train: Path,
    *,
    holdout: Path | None,
    compare: Path | None,
    label: str | None,
    secret: list[str],
    known: list[str],
    categorical: list[str],
    ignore: list[str],
    missing: list[str],
    targets: int,
    quick: bool,
    seed: int,
) -> None:
    """Read the tables, measure, draw."""
    from keshi.auditing.gates import check_gates
    from keshi.auditing.release_audit import audit_release
    from keshi.auditing.utility import CLASSIFIERS, FAST
    from keshi.cli.audit_output import deliver, side_by_side_lines
    from keshi.cli.progress import progress_bar

    files = {"train": train, "synthetic": synthetic, "holdout": holdout, "compare": compare}
    tables = {
        name: read_table(path, missing=missing, ignore=ignore)
        for name, path in files.items()
        if path is not None
    }
    with progress_bar("auditing") as advance:
        steps = iter(range(1, 100))
        found = audit_release(
            tables["synthetic"],
            tables["train"],
            holdout=tables.get("holdout"),
            compare=tables.get("compare"),
            label=label,
            categorical=categorical,
            secrets=secret or None,
            quasi_identifiers=known or None,
            classifiers=FAST if quick else tuple(CLASSIFIERS),
            targets=targets,
            seed=seed,
            progress=lambda what: advance(next(steps), 13, what),
        )
    gates = check_gates(found, order.limits)
    page = None
    if order.output is not None:
        from keshi.reports.audit import audit_report

        settings = {"people attacked on either side, at most": targets, "release": synthetic.name}
        title = f"Audit of {synthetic.name}"
        page = audit_report(
            found, title=title, statement=order.promise, gates=gates, settings=settings, cost=order.cost
        )
    deliver(order, found.to_json(), side_by_side_lines(found), gates, page)


def read_table(path: Path, *, missing: list[str], ignore: list[str]) -> pd.DataFrame:
    """A whole table, types as pandas guesses them; only an empty field and `missing` are missing values.

    So a category "None" or "NA" stays one, whichever table it stands in.
    """
    import pandas as pd

    from keshi.errors import RecordsError
    from keshi.records.files import column_types

    column_types(path)  # one message for a file that is not there, damaged, or no table
    name = path.name.lower()
    if name.endswith((".parquet", ".pq")):
        table = pd.read_parquet(path)
    elif name.endswith((".arrow", ".feather", ".ipc")):
        table = pd.read_feather(path)
    else:
        table = pd.read_csv(
            path, sep="\t" if ".tsv" in name else ",", na_values=["", *missing], keep_default_na=False,
            skipinitialspace=True, low_memory=False,
        )  # fmt: skip
    if table.empty:
        raise RecordsError(f"{path}: the table has no rows; nothing can be audited.")
    return table.drop(columns=[column for column in ignore if column in table.columns])
