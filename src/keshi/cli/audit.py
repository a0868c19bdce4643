"""keshi audit: what a release of any system gives away and what it is still good for. Starts without torch."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    import pandas as pd

    from keshi.auditing.gates import GateResult
    from keshi.auditing.release_audit import ReleaseAudit


def audit(
    synthetic: Path | None = typer.Argument(
        None, help="The release, of any system: .csv, .csv.gz or .parquet."
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
        help="NAME=LIMIT, exit status 1 above it: risk, attribute, linkability, copies, membership, auc_gap, two_way, "
        "small_groups. May be repeated.",
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
    as_json: bool = typer.Option(False, "--json", help="For programs."),
) -> None:
    """Attack a synthetic table and measure its use, beside real held-out rows and independent columns.

    Everything printed and written is an exact statistic of the records: for their owner only.

    Example: keshi audit synthetic.csv --train people.csv --holdout others.csv -o report.html
    """
    from keshi._validate import positive_integer, seed_in_range

    seed_in_range(seed)
    if features is not None:
        from keshi.cli.audit_features import audit_features_file

        audit_features_file(features, subject=subject, label=label, trial=trial, seed=seed, as_json=as_json)
        return
    if synthetic is None or train is None:
        raise ValueError("give a synthetic table and --train with the real one, or --features with features.")
    from keshi.auditing.gates import check_gates, read_gates
    from keshi.auditing.release_audit import audit_release
    from keshi.auditing.utility import CLASSIFIERS, FAST
    from keshi.cli.progress import progress_bar

    started, cpu = time.perf_counter(), time.process_time()
    limits = read_gates(fail_above)
    positive_integer("targets", targets)
    beside = None if output is None else check_report_name(output)
    promise = None if statement is None else read_statement(statement)
    real = read_table(train, missing=missing, ignore=ignore)
    tables = {
        name: None if path is None else read_table(path, missing=missing, ignore=ignore)
        for name, path in (("synthetic", synthetic), ("holdout", holdout), ("compare", compare))
    }
    made = tables["synthetic"]
    assert made is not None
    with progress_bar("auditing") as advance:
        steps = iter(range(1, 100))
        found = audit_release(
            made,
            real,
            holdout=tables["holdout"],
            compare=tables["compare"],
            label=label,
            categorical=categorical,
            secrets=secret or None,
            quasi_identifiers=known or None,
            classifiers=FAST if quick else tuple(CLASSIFIERS),
            targets=targets,
            seed=seed,
            progress=lambda what: advance(next(steps), 12, what),
        )
    gates = check_gates(found, limits)
    if output is not None and beside is not None:
        from keshi.reports.audit import audit_report
        from keshi.reports.report import write_report

        cost = {"CPU seconds": time.process_time() - cpu, "seconds": time.perf_counter() - started}
        settings = {"people attacked on either side, at most": targets, "release": synthetic.name}
        title = f"Audit of {synthetic.name}"
        page = audit_report(found, title=title, statement=promise, gates=gates, settings=settings, cost=cost)
        write_report(page, output, *beside)
    if as_json:
        from keshi.reports.report import plain

        answer = found.to_json() | {"gates": [one.to_json() for one in gates], "statement": promise}
        print(json.dumps(plain(answer), ensure_ascii=False, allow_nan=False))
    else:
        print("\n".join(audit_lines(found, gates)))
        if output is not None and beside is not None:
            print(f"wrote {output}, {beside[0].name} and {beside[1].name}: exact statistics, do not publish")
    stops = ("failed",) if allow_inconclusive else ("failed", "inconclusive")
    if any(one.verdict in stops for one in gates):
        raise typer.Exit(1)


def audit_lines(found: ReleaseAudit, gates: tuple[GateResult, ...]) -> list[str]:
    """What the command says: figures beside their yardsticks, the verdict, the gates."""
    from keshi.reports.report import shown

    heads = [one.name for one in found.tables]
    lines = [f"{'':58}" + "".join(f"{head:>21}" for head in heads)]
    for name, values in found.summary():
        lines.append(f"{name:58}" + "".join(f"{shown(value):>21}" for value in values))
    lines += list(found.notes)
    attacks = found.release.attacks
    leaks = "" if attacks is None or not attacks.leaks else f": {'; '.join(attacks.leaks)}"
    lines.append(f"{found.verdict.upper()}{leaks}." + ("" if leaks else " That is no proof of safety."))
    for gate in gates:
        value = "" if gate.value is None else f" {gate.value:.3g}"
        lines.append(
            f"gate {gate.name} (limit {gate.limit:g}){value}: {gate.verdict}. {gate.reason}".rstrip()
        )
    missed = [gate.name for gate in gates if gate.verdict != "passed"]
    if missed:
        lines.append(f"gates not passed: {', '.join(missed)}")
    return lines


def check_report_name(path: Path) -> tuple[Path, Path]:
    """The JSON and the Markdown file beside the page, or an error before anything is measured."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"{path}: a report is written as .html; give such a name.")
    if path.absolute().parent.name == "release":
        raise ValueError(
            f"{path} lies in release/, but a report holds exact statistics. Write it into private/."
        )
    if not path.parent.is_dir():
        raise ValueError(f"{path}: the folder {path.parent} does not exist; create it.")
    return path.with_suffix(".json"), path.with_suffix(".md")


def read_statement(path: Path) -> dict[str, Any]:
    """A privacy statement: JSON with at least a "sentence"."""
    from keshi.errors import ArtifactError

    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ArtifactError(
            f"{path}: expected a statement in JSON, as keshi writes it beside a release."
        ) from error
    if not isinstance(found, dict) or not isinstance(found.get("sentence"), str):
        raise ArtifactError(f'{path}: expected a JSON object with a "sentence" that states the guarantee.')
    return found


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
