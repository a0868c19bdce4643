"""The part of keshi audit that takes tables: read the files, check them before anything is measured, attack, draw."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from keshi.cli.audit_output import Order


def audit_table_files(
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
    from keshi.errors import RecordsError

    files = {"train": train, "synthetic": synthetic, "holdout": holdout, "compare": compare}
    tables = {name: read_table(path, missing=missing) for name, path in files.items() if path is not None}
    for column in ignore:
        if not any(column in table.columns for table in tables.values()):
            raise RecordsError(f"--ignore {column}: no file has this column; correct the name.")
    tables = {
        name: table.drop(columns=[column for column in ignore if column in table.columns])
        for name, table in tables.items()
    }
    check_columns(
        tables,
        files,
        {"label": [label] if label else [], "secret": secret, "known": known, "categorical": categorical},
    )
    tables = with_moments(tables, but={label, *secret, *categorical})
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


def check_columns(
    tables: Mapping[str, pd.DataFrame],
    files: Mapping[str, Path | None],
    named: Mapping[str, Sequence[str]],
) -> None:
    """All that can be told from the tables at once, before minutes are spent: which file lacks what.

    Args:
        tables: "train" and the others -> table.
        files: The same -> where it was read.
        named: Option -> columns.

    Raises:
        RecordsError: naming the file, or the option, and the remedy.
    """
    import numpy as np

    from keshi.errors import RecordsError

    train = tables["train"]
    for name, table in tables.items():
        only = table.columns[0]
        if len(table.columns) == 1 and any(mark in str(only) for mark in ";|\t"):
            raise RecordsError(
                f"{files[name]}: its header is one column, {only!r}; expected commas between columns (tabs in .tsv)."
            )
        for column, values in table.select_dtypes("number").items():
            if np.isinf(values.to_numpy(dtype=float, na_value=np.nan)).any():
                raise RecordsError(
                    f"{files[name]}: column {column!r} holds infinite numbers; cut or leave them out."
                )
    for name, table in tables.items():
        lost = [column for column in train.columns if column not in table.columns]
        extra = [column for column in table.columns if column not in train.columns]
        if lost or extra:
            lacks = [f"it lacks {lost}"] if lost else []
            has = [f"it has {extra} besides"] if extra else []
            raise RecordsError(
                f"{files[name]}: expected the columns of {files['train']}; {' and '.join(lacks + has)}. Give the same "
                "columns, or leave some out with --ignore."
            )
    for option, columns in named.items():
        for column in columns:
            if column not in train.columns:
                raise RecordsError(
                    f"--{option} {column}: there is no column {column!r} in {files['train']}; it has "
                    f"{', '.join(map(str, train.columns))}."
                )
    both = sorted({*named["secret"]} & {*named["known"]})
    if both:
        raise RecordsError(f"{', '.join(both)}: a column is either --secret or --known; name it once.")


def with_moments(
    tables: Mapping[str, pd.DataFrame], *, but: Collection[str | None]
) -> dict[str, pd.DataFrame]:
    """The tables with the columns that hold ISO 8601 dates in all records of "train" as moments, in UTC.

    As texts of a csv they would be categories, and a date with another time of day as far off as any other.
    """
    import pandas as pd

    def moments(values: pd.Series) -> pd.Series:
        return pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce")

    read = dict(tables)
    for name, values in tables["train"].items():
        text = pd.api.types.is_object_dtype(values) or pd.api.types.is_string_dtype(values)
        if name in but or not text or values.isna().all() or (moments(values).isna() & values.notna()).any():
            continue
        read = {what: table.assign(**{str(name): moments(table[name])}) for what, table in read.items()}
    return read


def read_table(path: Path, *, missing: list[str]) -> pd.DataFrame:
    """A whole table, types as pandas guesses them; only an empty field and `missing` are missing values.

    So a category "None" or "NA" stays one, whichever table it stands in.
    """
    import pandas as pd

    from keshi.errors import RecordsError
    from keshi.records.files import column_types

    name = path.name.lower()
    if name.endswith((".csv", ".tsv", ".txt")) and path.is_file():
        with path.open("rb") as file:
            if b"\0" in file.read(1 << 16):
                raise RecordsError(
                    f"{path}: this is not UTF-8 text (it holds zero bytes, as UTF-16 does); save it as UTF-8."
                )
    column_types(path)  # one message for a file that is not there, damaged, or no table
    if name.endswith((".parquet", ".pq")):
        table = pd.read_parquet(path)
    elif name.endswith((".arrow", ".feather", ".ipc")):
        table = pd.read_feather(path)
    else:
        try:
            table = pd.read_csv(
                path, sep="\t" if ".tsv" in name else ",", na_values=["", *missing], keep_default_na=False,
                skipinitialspace=True, low_memory=False,
            )  # fmt: skip
        except UnicodeDecodeError:
            raise RecordsError(f"{path}: this is not UTF-8 text; save it as UTF-8.") from None
        except pd.errors.ParserError:  # its message quotes records
            raise RecordsError(
                f"{path}: a line has more fields than the header names; quote fields with commas."
            ) from None
    if table.empty:
        raise RecordsError(f"{path}: the table has no rows; nothing can be audited.")
    return table
