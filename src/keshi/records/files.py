"""Tables in files: csv (also compressed), parquet and Arrow, read in batches, never whole; written atomically.

Imports neither privacy nor networks.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from keshi.errors import RecordsError
from keshi.records.domain import Domain, Numerical

BATCH_ROWS = 65_536
TableBatches = Callable[[], Iterator[pd.DataFrame]]
"""A table that can be read from its start as often as called, in batches."""

_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz", ".txt")
_PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
# A value that a spreadsheet would run as a formula begins with one of these.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_batches(table: Any, *, rows: int = BATCH_ROWS) -> TableBatches:
    """Batches of a table in memory: pandas, polars, Arrow, or anything narwhals reads. The table is not changed.

    Raises:
        RecordsError: if it is not a table.
    """
    import narwhals.stable.v1 as nw

    try:
        frame = nw.from_native(table, eager_only=True)
    except TypeError as error:
        raise RecordsError(
            f"expected a table (pandas, polars, pyarrow), got {type(table).__name__}; "
            "read a file with keshi.records.files.read_batches."
        ) from error
    if not isinstance(table, pd.DataFrame):
        table = frame.to_pandas()
    whole: pd.DataFrame = table

    def batches() -> Iterator[pd.DataFrame]:
        for start in range(0, max(len(whole), 1), rows):
            yield whole.iloc[start : start + rows]

    return batches


def read_batches(path: str | Path, domain: Domain, *, rows: int = BATCH_ROWS) -> TableBatches:
    """Batches of the table in a csv, parquet or Arrow file, typed as the domain says.

    Raises:
        RecordsError: if the file is not there, is empty, or cannot be read as its name says (when it is read).
    """
    path = Path(path)
    _check_file(path)
    name = path.name.lower()
    if name.endswith(_CSV):
        return lambda: _csv_batches(path, domain, rows)
    if name.endswith(_PARQUET):
        return lambda: _parquet_batches(path, rows)
    if name.endswith(_ARROW):
        return lambda: _arrow_batches(path)
    raise RecordsError(f"{path}: expected a table in {', '.join(_CSV + _PARQUET + _ARROW)}.")


def column_types(path: str | Path) -> dict[str, str]:
    """Names and types of the columns of a file: "text", "integer", "number", "boolean" or "timestamp".

    Types are guessed from the first rows of a text file; they are the owner's declaration, not a private release.
    """
    import pyarrow as pa

    def kind(arrow: Any) -> str:
        if pa.types.is_boolean(arrow):
            return "boolean"
        if pa.types.is_integer(arrow):
            return "integer"
        if pa.types.is_floating(arrow) or pa.types.is_decimal(arrow):
            return "number"
        if pa.types.is_timestamp(arrow) or pa.types.is_date(arrow):
            return "timestamp"
        return "text"

    return {field.name: kind(field.type) for field in _schema(path)}


def zoned_columns(path: str | Path) -> set[str]:
    """Names of the timestamp columns of a file whose moments carry an offset from UTC, as far as its types say."""
    import pyarrow as pa

    return {
        field.name
        for field in _schema(path)
        if pa.types.is_timestamp(field.type) and field.type.tz is not None
    }


def _schema(path: str | Path) -> Any:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    path = Path(path)
    _check_file(path)
    name = path.name.lower()
    try:
        if name.endswith(_CSV):
            with pa.csv.open_csv(path, parse_options=_parse_options(path)) as reader:
                schema = reader.schema
        elif name.endswith(_PARQUET):
            schema = pa.parquet.read_schema(path)
        else:
            with pa.ipc.open_file(path) as file:
                schema = file.schema
    except pa.ArrowInvalid as error:
        raise RecordsError(f"{path}: cannot be read as its name says: {_first_line(error)}") from error
    return schema


def write_table(
    tables: Iterable[pd.DataFrame], path: str | Path, *, neutralise_formulas: bool = False
) -> int:
    """Write batches of a table to csv or parquet under a temporary name, then rename it.

    Args:
        tables: The records, in batches of the same columns, at least one.
        path: Where to; the ending says the format (.csv, .csv.gz, .parquet).
        neutralise_formulas: Put a quote before every text that a spreadsheet would run as a formula.

    Returns:
        The number of texts that were quoted.
    """
    path = Path(path)
    name = path.name.lower()
    if not name.endswith((".csv", ".csv.gz", *_PARQUET)):
        raise ValueError(f"{path}: a table is written as .csv, .csv.gz or .parquet.")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    changed = 0

    def batches() -> Iterator[pd.DataFrame]:
        nonlocal changed
        for table in tables:
            if neutralise_formulas:
                table, found = _neutralised(table)
                changed += found
            yield table

    try:
        if name.endswith(_PARQUET):
            _write_parquet(batches(), temporary)
        else:
            _write_csv(batches(), temporary, compress=name.endswith(".gz"))
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return changed


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
            arrow = pa.Table.from_pandas(table, preserve_index=False)
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


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise RecordsError(f"{path}: expected a file with a table, this is a folder.")
    if not path.exists():
        raise RecordsError(f"{path}: there is no such file.")
    if path.stat().st_size == 0:
        raise RecordsError(f"{path}: the file is empty; expected a header line and records.")


def _parse_options(path: Path) -> Any:
    import pyarrow.csv

    return pyarrow.csv.ParseOptions(
        delimiter="\t" if ".tsv" in path.name.lower() else ",", newlines_in_values=True
    )


def _csv_batches(path: Path, domain: Domain, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.csv

    # Categories are matched by their text, so 007 stays 007; whatever is no number in a numerical column is left
    # as text too, for the encoder to name in one message with all other problems.
    names = list(column_types(path))
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise RecordsError(f"{path}: column names must differ; these stand twice: {double}.")
    options = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=["", *domain.missing_values],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    read = pa.csv.ReadOptions(block_size=1 << 22)
    try:
        with pa.csv.open_csv(
            path, read_options=read, convert_options=options, parse_options=_parse_options(path)
        ) as reader:
            seen = 0
            for batch in reader:
                frame = batch.to_pandas()
                for name, column in domain.columns.items():
                    if isinstance(column, Numerical) and name in frame:
                        frame[name] = _as_numbers(frame[name])
                seen += len(frame)
                for start in range(0, len(frame), rows):
                    yield frame.iloc[start : start + rows]
            if not seen:
                yield pd.DataFrame(columns=names)
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise RecordsError(f"{path}: cannot be read as csv: {_first_line(error)}") from error


def _as_numbers(texts: pd.Series) -> pd.Series:
    numbers = pd.to_numeric(texts, errors="coerce")
    return texts if (numbers.isna() & texts.notna()).any() else numbers.astype("float64")


def _parquet_batches(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet

    try:
        with pa.parquet.ParquetFile(path) as file:
            if not file.metadata.num_rows:
                yield file.schema_arrow.empty_table().to_pandas()
            for batch in file.iter_batches(batch_size=rows):
                yield batch.to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordsError(f"{path}: cannot be read as parquet: {_first_line(error)}") from error


def _arrow_batches(path: Path) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    try:
        with pa.ipc.open_file(path) as file:
            for index in range(file.num_record_batches):
                yield file.get_batch(index).to_pandas()
    except (pa.ArrowInvalid, OSError) as error:
        raise RecordsError(f"{path}: cannot be read as Arrow: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    # Only the rule that was broken: what follows a colon in Arrow's messages quotes values of the records.
    return str(error).splitlines()[0].split(":")[0] if str(error) else type(error).__name__
