"""keshi audit: what a release of any system gives away and what it is still good for. Starts without torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer


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
    use: list[str] = typer.Option(
        [],
        "--use",
        help="With --features: array of what they are to serve beside the label, such as where the sensor sat. No "
        "secret: it is good where it is read off well. May be repeated.",
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
    from keshi.auditing.gates import KINDS
    from keshi.cli.audit_output import read_order
    from keshi.records.array_files import holds_arrays

    seed_in_range(seed)
    positive_integer("targets", targets)
    asked: dict[str, Any] = {
        "output": output, "statement": statement, "fail_above": fail_above,
        "allow_inconclusive": allow_inconclusive, "as_json": as_json,
    }  # fmt: skip
    kind = "features" if features is not None else "table"
    if features is None:
        if synthetic is None or train is None:
            raise ValueError("give a release and --train with the real records, or --features with features.")
        kind = "arrays" if holds_arrays(synthetic) else "table"
    refuse_options_of_others(
        kind,
        {
            "table": {
                "secret": secret,
                "known": known,
                "categorical": categorical,
                "ignore": ignore,
                "missing": missing,
            },
            "arrays": {"extracted": extracted, "cnn": cnn},
            "features": {"subject": subject, "trial": trial, "softmax": softmax, "raw": raw, "use": use},
            "releases": {"a release": synthetic, "train": train, "holdout": holdout},
        },
    )
    order = read_order(kind=kind, **asked)
    if features is not None:
        from keshi.cli.audit_features import audit_features_file

        audit_features_file(
            order, features, subject=subject, label=label, trial=trial, softmax=softmax, raw=raw,
            compare=compare, uses=use, seed=seed,
        )  # fmt: skip
        return
    assert synthetic is not None
    assert train is not None  # refused above
    for path in (train, holdout, compare):
        if path is not None and path.exists() and holds_arrays(path) != (kind == "arrays"):
            raise ValueError(f"{synthetic} holds {KINDS[kind]}, {path} does not; give files of one kind.")
    if kind == "arrays":
        from keshi.cli.audit_arrays import audit_array_files

        audit_array_files(
            order, synthetic, train, holdout=holdout, compare=compare, label=label, extracted=extracted,
            cnn=cnn, quick=quick, targets=targets, seed=seed,
        )  # fmt: skip
        return
    from keshi.cli.audit_tables import audit_table_files

    audit_table_files(
        order, synthetic, train, holdout=holdout, compare=compare, label=label, secret=secret, known=known,
        categorical=categorical, ignore=ignore, missing=missing, targets=targets, quick=quick, seed=seed,
    )  # fmt: skip


def refuse_options_of_others(kind: str, given: Mapping[str, Mapping[str, Any]]) -> None:
    """An option that this kind of audit would not look at is an error: silence would look like consent.

    Args:
        kind: "table", "arrays" or "features".
        given: Kind -> option -> value; "releases" are tables and arrays.
    """
    from keshi.auditing.gates import KINDS

    for other, options in given.items():
        if other == kind or (other == "releases" and kind != "features"):
            continue
        for name, value in options.items():
            if value:
                what = {"releases": "tables, images and windows", "table": "tables"}.get(other) or KINDS[
                    other
                ]
                said = name if name.startswith("a ") else f"--{name}"
                raise ValueError(f"{said} is for {what}; here {KINDS[kind]} would be audited. Leave it out.")
