"""Tables in files: csv (also compressed), parquet and Arrow, read in batches, never whole.

Files of images and windows are read in `array_files`; the way in is here for them too. Written in `table_output`.
Imports neither privacy nor networks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from keshi.errors import RecordsError
from keshi.records.array_files import (
    ArrayType,
    array_batches,
    array_record_files,
    array_types,
    holds_arrays,
    mapping_table,
)
from keshi.records.column_kinds import Numerical
from keshi.records.domain import Domain

BATCH_ROWS = 65_536
TableBatches = Callable[[], Iterator[pd.DataFrame]]
"""A table that can be read from its start as often as called, in batches."""

_CSV = (".csv", ".csv.gz", ".csv.bz2", ".csv.zst", ".tsv", ".tsv.gz", ".txt")
PARQUET = (".parquet", ".pq")
_ARROW = (".arrow", ".feather", ".ipc")
NPZ = ".npz"


def table_batches(table: Any, *, rows: int = BATCH_ROWS) -> TableBatches:
    """Batches of a table in memory: pandas, polars, Arrow, or anything narwhals reads, or arrays by the names of their
    columns. The table is not changed.

    Raises:
        RecordsError: if it is not a table.
    """
    import narwhals.stable.v1 as nw

    if isinstance(table, Mapping) and all(isinstance(array, np.ndarray) for array in table.values()):
        table = mapping_table(table)
    try:
        # Not of pandas' own: the encoder names columns that stand twice, narwhals refuses the whole table.
        frame: Any = table if isinstance(table, pd.DataFrame) else nw.from_native(table, eager_only=True)
    except (TypeError, ValueError) as error:
        raise RecordsError(
            f"expected a table (pandas, polars, pyarrow), the path of a file, or numpy arrays by the names of their "
            f"columns, got {type(table).__name__}."
        ) from error

    def batches() -> Iterator[pd.DataFrame]:
        for start in range(0, max(len(frame), 1), rows):
            if isinstance(table, pd.DataFrame):
                yield table.iloc[start : start + rows]
            else:
                yield _to_pandas(frame[start : start + rows].to_arrow())

    return batches


def read_batches(path: str | Path, domain: Domain, *, rows: int = BATCH_ROWS) -> TableBatches:
    """Batches of the table in a csv, parquet, Arrow or npz file, of idx files or a folder of pictures by class.

    They are typed as the domain says.

    Raises:
        RecordsError: if the file is not there, is empty, or (when it is read) is not what its name says.
    """
    path = Path(path)
    _check_file(path)
    name = path.name.lower()
    if holds_arrays(path):
        return lambda: array_batches(path, domain, rows=rows)
    if name.endswith(_CSV):
        return lambda: _csv_batches(path, domain, rows)
    if name.endswith(PARQUET):
        return lambda: _parquet_batches(path, rows)
    return lambda: _arrow_batches(path, rows)


def record_files(path: str | Path) -> list[Path]:
    """The files that the records are read from: the one that is named, or the images and labels that belong together.

    Raises:
        RecordsError: if there are none.
    """
    path = Path(path)
    _check_file(path)
    return array_record_files(path) if holds_arrays(path) else [path]


def column_types(path: str | Path) -> dict[str, str]:
    """Names and types of the columns of a file: "text", "integer", "number", "boolean" or "timestamp".

    Beside images and windows, which are "array", whole numbers are a "code". Types are guessed from the
    first rows of a text file; they are the owner's declaration, not a private release.
    """
    import pyarrow as pa

    path = Path(path)
    if holds_arrays(path):
        _check_file(path)
        return array_types(path)[0]

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


def column_arrays(path: str | Path) -> dict[str, ArrayType]:
    """Shape and dtype of the records of every column of images or windows in a file; none in a csv file."""
    path = Path(path)
    _check_file(path)
    return array_types(path)[1] if holds_arrays(path) else {}


def zoned_columns(path: str | Path) -> set[str]:
    """Names of the timestamp columns of a file whose moments carry an offset from UTC, as far as its types say."""
    import pyarrow as pa

    if holds_arrays(Path(path)):
        return set()
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
    if holds_arrays(path):
        raise RecordsError(f"{path}: expected a csv, parquet or Arrow file.")
    with _readable(path):
        if name.endswith(_CSV):
            with pa.csv.open_csv(path, parse_options=_parse_options(path)) as reader:
                schema = reader.schema
        elif name.endswith(PARQUET):
            schema = pa.parquet.read_schema(path)
        else:
            with pa.ipc.open_file(path) as file:
                schema = file.schema
        names = schema.names  # decoded here
    double = sorted(name for name, times in Counter(names).items() if times > 1)
    if double:
        raise RecordsError(
            f"{path}: column names must differ; these stand twice: {double}. Rename one of each."
        )

    return schema


def _check_file(path: Path) -> None:
    if path.is_dir():
        array_types(path)  # raises unless it is a folder of idx files or of pictures
        return
    if not path.exists():
        raise RecordsError(f"{path}: there is no such file.")
    if not holds_arrays(path) and not path.name.lower().endswith(_CSV + PARQUET + _ARROW):
        endings = ", ".join((*_CSV, *PARQUET, *_ARROW, NPZ))
        raise RecordsError(
            f"{path}: expected a table in {endings}, idx files or a folder of pictures by class."
        )
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
    numerical = {name for name, column in domain.columns.items() if isinstance(column, Numerical)}
    options = pa.csv.ConvertOptions(
        column_types={name: pa.string() for name in names},
        null_values=["", *domain.missing_values],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    with (
        _readable(path),
        pa.csv.open_csv(path, convert_options=options, parse_options=_parse_options(path)) as reader,
    ):
        seen = 0
        for batch in reader:
            seen += len(batch)
            columns = [
                _as_numbers(array) if name in numerical else array
                for name, array in zip(batch.schema.names, batch.columns, strict=True)
            ]
            batch = pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
            for start in range(0, len(batch), rows):
                yield batch.slice(start, rows).to_pandas()
        if not seen:
            yield pd.DataFrame({name: pd.Series(dtype=object) for name in names})


def _as_numbers(texts: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute

    try:
        numbers = pa.compute.cast(pa.compute.utf8_trim_whitespace(texts), pa.float64())
    except pa.ArrowInvalid:
        return texts
    # A text "nan" is no number, whatever else stands in its batch.
    return texts if pa.compute.any(pa.compute.is_nan(numbers)).as_py() else numbers


def _parquet_batches(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet

    with _readable(path), pyarrow.parquet.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            yield _to_pandas(file.schema_arrow.empty_table())
        for batch in file.iter_batches(batch_size=rows):
            yield _to_pandas(batch)


def _arrow_batches(path: Path, rows: int) -> Iterator[pd.DataFrame]:
    import pyarrow as pa

    with _readable(path), pa.ipc.open_file(path) as file:
        if not file.num_record_batches:
            yield _to_pandas(file.schema.empty_table())
        for index in range(file.num_record_batches):
            batch = file.get_batch(index)
            for start in range(0, max(len(batch), 1), rows):
                yield _to_pandas(batch.slice(start, rows))


def _to_pandas(arrow: Any) -> pd.DataFrame:
    import pyarrow as pa

    # Where a batch has a missing value, whole numbers would become floats, and large ones lose digits: then one
    # record would change how its neighbours are read. pandas' nullable types keep them.
    nullable = {
        getattr(pa, name)(): getattr(pd, f"{kind}Dtype")()
        for name, kind in (
            *(
                (f"{sign}int{bits}", f"{sign.upper()}Int{bits}")
                for sign in ("", "u")
                for bits in (8, 16, 32, 64)
            ),
            ("bool_", "Boolean"),
        )
    }
    # Metadata may hold pandas' own types and an index; the columns are what counts.
    frame: pd.DataFrame = arrow.replace_schema_metadata().to_pandas(types_mapper=nullable.get)
    return frame


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn a reader's errors into one that names the file and the rule; what they quote of the records stays out."""
    import pyarrow as pa

    try:
        yield
    except UnicodeDecodeError as error:
        raise RecordsError(f"{path}: this is not UTF-8 text; save it as UTF-8.") from error
    except (pa.ArrowException, OSError, EOFError) as error:
        text = str(error)
        counts = re.search(r"Expected (\d+) columns, got (\d+)", text)
        if "UTF8" in text:
            why = "this is not UTF-8 text; save it as UTF-8"
        elif counts:
            why = (
                f"its header names {counts[1]} columns and a line has {counts[2]}; quote fields that contain commas "
                "or line ends, and see that the file is complete"
            )
        elif "Empty CSV" in text:
            why = "there is no header line with a line end and no records"
        else:
            # Only the rule that was broken: what follows a colon in Arrow's messages quotes values of the records.
            first = text.splitlines()[0].split(":")[0] if text else type(error).__name__
            why = f"the file is damaged, incomplete, or not what its name says ({first})"
        # Not chained: a traceback would print the reader's message with the records it quotes.
        raise RecordsError(f"{path}: {why}.") from None
