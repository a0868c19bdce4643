"""Columns of a file read by their type alone, before there is a Domain: numbers, moments, and values with their counts.

Every record is read by itself: no value, however odd, can change how another one is read. That is what makes a count
move by one when one record comes or goes. Imports neither privacy nor networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import RecordsError
from keshi.records.column_kinds import Categorical, category_key
from keshi.records.domain import Domain
from keshi.records.files import read_batches

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$"


@dataclass(frozen=True, eq=False)
class CountedTexts:
    """The values of one text column in one batch.

    Attributes:
        values: The distinct values, as `category_key` writes them.
        counts: (values,) how many records hold each.
        hashes: (values,) uint64, the same for a value in every batch.
        missing: How many records hold none.
    """

    values: list[str]
    counts: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    missing: int


@dataclass(frozen=True, eq=False)
class RawBatch:
    """Some records of a file.

    Attributes:
        numbers: Column -> (rows,) float64, NaN where missing or unreadable; moments in seconds since 1970.
        texts: Column -> its values, counted.
    """

    numbers: dict[str, NDArray[np.float64]]
    texts: dict[str, CountedTexts]


RawBatches = Callable[[], Iterator[RawBatch]]
"""A table that can be read from its start as often as called, in batches."""


def raw_batches(
    path: str | Path, types: Mapping[str, str], progress: Callable[[str, int], None] | None = None
) -> RawBatches:
    """Batches of the table in a csv, parquet or Arrow file.

    Args:
        path: The file.
        types: What `files.column_types` says of it; boolean columns are not read.
        progress: Told how many records were read.

    Raises:
        RecordsError: if the file cannot be read as its name says, or two columns have one name.
    """
    # Declared categorical, so that a text file gives texts as they stand.
    as_text = Domain(dict.fromkeys(types, Categorical(("",))))
    tables = read_batches(path, as_text)

    def batches() -> Iterator[RawBatch]:
        seen = 0
        for table in tables():
            names = list(table.columns)
            double = sorted({str(name) for name in names if names.count(name) > 1})
            if double:
                raise RecordsError(f"{path}: column names must differ; these stand twice: {double}.")
            numbers, texts = {}, {}
            for name, kind in types.items():
                if kind == "text":
                    texts[name] = _counted(table[name])
                elif kind == "timestamp":
                    numbers[name] = _seconds(table[name])
                elif kind != "boolean":
                    numbers[name] = _numbers(table[name])
            yield RawBatch(numbers, texts)
            seen += len(table)
            if progress is not None:
                progress("learning the domain", seen)

    return batches


def _counted(series: pd.Series) -> CountedTexts:
    missing = series.isna()
    present = series[~missing]
    if not isinstance(present.dtype, pd.StringDtype):
        # True, 1 and 1.0 are equal to pandas, and which one it would count them under depends on which came first
        present = pd.Series([category_key(value) for value in present], dtype="str")
    found = present.value_counts(sort=False)
    values = found.index.to_numpy(dtype=object)
    hashes = pd.util.hash_array(values, categorize=False)
    counts = np.asarray(found.to_numpy(dtype=np.int64), dtype=np.int64)
    return CountedTexts(list(values), counts, hashes, int(missing.sum()))


def _numbers(series: pd.Series) -> NDArray[np.float64]:
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if not isinstance(series.dtype, pd.StringDtype):  # Decimals, integers above 2^64
        return np.array([_number(value) for value in series], dtype=np.float64)
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.utf8_trim_whitespace(pa.array(series, type=pa.large_string(), from_pandas=True))
    # Only what surely is a number is cast, so that one odd text cannot spoil the column.
    readable = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)
    texts = pc.replace_substring_regex(pc.if_else(readable, texts, None), r"^\+", "")
    return np.asarray(pc.cast(texts, pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        return float("nan")


def _seconds(series: pd.Series) -> NDArray[np.float64]:
    if series.dtype.kind == "M":
        moments = series.dt.tz_convert("UTC").dt.tz_localize(None) if hasattr(series.dtype, "tz") else series
        whole = moments.to_numpy().astype("datetime64[s]")
        return np.where(np.isnat(whole), np.nan, whole.astype(np.int64).astype(np.float64))
    return np.array([_moment(value) for value in series], dtype=np.float64)


def _moment(value: Any) -> float:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return float("nan")
    if not isinstance(value, date) or value is pd.NaT:
        return float("nan")
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    value = (
        value if value.tzinfo else value.replace(tzinfo=UTC)
    )  # local wall time counts as UTC, as in Domain
    return float((value - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
