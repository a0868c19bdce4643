"""Tables to files, batch by batch and atomically: csv, parquet and, of images and windows, npz."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from keshi.errors import RecordsError
from keshi.records.arrays import stacked
from keshi.records.domain import Domain
from keshi.records.files import NPZ, PARQUET

# A value that a spreadsheet would run as a formula begins with one of these.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def write_table(
    tables: Iterable[pd.DataFrame], path: str | Path, *, neutralise_formulas: bool = False
) -> int:
    """Write batches of a table to csv or parquet under a temporary name, then rename it.

    Args:
        tables: The records, in batches of the same columns, at least one.
        path: Where to; the ending says the format (.csv, .csv.gz, .parquet, and .npz for images and windows).
        neutralise_formulas: Put a quote before every text that a spreadsheet would run as a formula.

    Returns:
        The number of texts that were quoted.
    """
    from keshi.records.npz_output import write_npz

    path = Path(path)
    check_table_output(path)
    name = path.name.lower()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    changed = 0

    def batches() -> Iterator[pd.DataFrame]:
        nonlocal changed
        for table in tables:
            if neutralise_formulas:
                table, found = _neutralised(table)
                changed += found
            if not name.endswith(NPZ) and any(
                stacked(table[column].iloc[:1]) is not None for column in table
            ):
                raise RecordsError(f"{path}: images and windows are written as .npz; give such a name.")
            yield table

    try:
        if name.endswith(NPZ):
            write_npz(batches(), temporary)
        elif name.endswith(PARQUET):
            _write_parquet(batches(), temporary)
        else:
            _write_csv(batches(), temporary, compress=name.endswith(".gz"))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return changed


def check_table_output(path: Path, domain: Domain | None = None) -> None:
    """Raise unless a table can be written to `path`: one of this domain, where it is given.

    Raises:
        RecordsError: if the ending is none of ours, or there is no folder to write in.
    """
    if not path.name.lower().endswith((".csv", ".csv.gz", *PARQUET, NPZ)):
        raise RecordsError(
            f"{path}: a table is written as .csv, .csv.gz, .parquet or .npz; give such a name."
        )
    if domain is not None and domain.array_columns and not path.name.lower().endswith(NPZ):
        raise RecordsError(f"{path}: images and windows are written as .npz; give such a name.")
    if path.is_dir():
        raise RecordsError(f"{path}: this is a folder; give the name of a file in it.")
    if not path.parent.is_dir():
        raise RecordsError(f"{path}: the folder {path.parent} does not exist; create it.")


def _write_csv(tables: Iterable[pd.DataFrame], path: Path, *, compress: bool) -> None:
    with path.open("wb") as raw:
        # No time stamp inside the gzip member: the same table gives the same bytes.
        stream: Any = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compress else raw
        for number, table in enumerate(tables):
            table.to_csv(stream, index=False, header=number == 0, lineterminator="\n")
        if compress:
            stream.close()


def _write_parquet(tables: Iterable[pd.DataFrame], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    writer = None
    try:
        for table in tables:
            try:
                arrow = pa.Table.from_pandas(table, preserve_index=False)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise RecordsError(
                    "parquet wants one type a column, and a column has several (say texts beside numbers); "
                    "write .csv instead."
                ) from error
            writer = writer or pa.parquet.ParquetWriter(path, arrow.schema)
            writer.write_table(arrow.cast(writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _neutralised(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    table, changed = table.copy(), 0
    for name in table.columns:
        if pd.api.types.is_string_dtype(table[name]) or table[name].dtype == object:
            texts = table[name].astype("object")
            risky = texts.map(
                lambda text: isinstance(text, str) and text.startswith(_FORMULA_STARTS)
            ).to_numpy()
            table[name] = texts.where(~risky, "'" + texts.astype(str))
            changed += int(risky.sum())
    return table, changed
