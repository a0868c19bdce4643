"""One column of a table <-> numbers: cells of a categorical column, floats of a number, seconds of a moment.

Every value is read by itself. Which other values stand in the column, or in the batch, cannot change a bit of it:
libraries guess a column's type from all its values, and such a guess would let one record move all the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.records.column_kinds import (
    Categorical,
    Numerical,
    Ordinal,
    Timestamp,
    category_key,
    read_moment,
)
from keshi.records.domain import table_name
from keshi.records.number_scales import as_declared, numbers_at, spacing

OTHER = "OTHER"
MOST_PLACES = 15  # decimal places, before or after the point: a float64 has no more


@dataclass(frozen=True)
class Problem:
    """A rule that a column breaks.

    Attributes:
        what: Column and rule, never a value.
        advice: What to do.
        values: Some of the values; shown only on request, because an error message may end up in a log.
    """

    what: str
    advice: str
    values: tuple[Any, ...] = ()

    def text(self, *, show_values: bool) -> str:
        shown = f": {list(self.values[:3])}" if show_values else " (--show-values names them)"
        return f"{self.what}{shown if self.values else ''}. {self.advice}"


def read_cells(name: str, column: Categorical, series: pd.Series) -> tuple[NDArray[np.int64], list[Problem]]:
    """(n,) cell of every value: its category, OTHER or MISSING."""
    codes, distinct = _distinct(series)
    cell_of = np.array(list(_cells_of(column, distinct)), dtype=np.int64)
    problems = []
    cells = np.append(cell_of, column.cells - 1 if column.missing else 0)[
        codes
    ]  # missing values have code -1
    if (cell_of < 0).any():
        problems.append(
            Problem(
                f"column {name!r} has values that are not among its {len(column.categories)} categories",
                f"Add them to its categories, or, in a domain file, set other = true under {table_name(name)}.",
                tuple(value for value, cell in zip(distinct, cell_of, strict=True) if cell < 0)[:3],
            )
        )
    return cells, problems + _missing_problems(name, column, codes < 0)


def read_numbers(
    name: str, column: Numerical, series: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[Problem]]:
    """(n,) numbers, and which are missing. Text is read as a number; a number too large for a float is infinite."""
    missing = _is_missing(series)
    kind = getattr(series.dtype, "kind", "O")
    if kind in "biuf":
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        missing = missing | np.isnan(numbers)
        return numbers, missing, _missing_problems(name, column, missing)
    values = series.to_numpy(dtype=object, copy=True)
    values[missing] = np.nan
    try:
        if (
            kind in "mMc"
        ):  # durations, moments and complex numbers have a float of their own, and not the one meant
            raise TypeError
        numbers = values.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.array([_number(value) for value in values], dtype=np.float64)
    bad = np.isnan(numbers) & ~missing
    problems = _missing_problems(name, column, missing)
    if bad.any():
        problems.append(
            Problem(
                f"column {name!r} has values that are not numbers",
                f'Set type = "categorical" in {table_name(name)}, or, where such a text means missing, list it '
                "under missing_values (text files) or replace it by None.",
                tuple(values[bad][:3]),
            )
        )
    return numbers, missing, problems


def read_seconds(
    name: str, column: Timestamp, series: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[Problem]]:
    """(n,) seconds since 1970 (UTC where the bounds have an offset, else local wall time), and which are missing.

    Where a resolution is declared, those of its beginning: a day's midnight.
    """
    missing = _is_missing(series)
    problems = _missing_problems(name, column, missing)
    zoned = column.zoned
    if series.dtype.kind == "M" and isinstance(series.dtype, np.dtype | pd.DatetimeTZDtype):
        has_offset = isinstance(series.dtype, pd.DatetimeTZDtype)
        moments = (series.dt.tz_convert(None) if has_offset else series).to_numpy()
        ticks = np.timedelta64(1, "s") / np.ones(1, f"m8[{np.datetime_data(moments.dtype)[0]}]")  # a second
        seconds = np.where(missing, 0.0, moments.astype(np.int64) / ticks)
        unlike = (~missing).any() and has_offset is not zoned
        unread: tuple[Any, ...] = ()
    else:
        # By each distinct value: texts, moments, days, and any mixture of them.
        codes, distinct = _distinct(series)
        readings = [read_moment(value) for value in distinct]
        unread = tuple(v for v, reading in zip(distinct, readings, strict=True) if reading is None)
        unlike = any(reading[1] is not zoned for reading in readings if reading is not None)
        seconds = np.array([reading[0] if reading else np.nan for reading in readings] + [0.0])[codes]
    if unread:
        problems.append(
            Problem(
                f"column {name!r} has values that are not moments",
                "Write moments as ISO 8601, such as 2020-01-31T12:00:00, or declare the column otherwise.",
                unread[:3],
            )
        )
    if unlike:
        problems.append(
            Problem(
                f"column {name!r} has moments that {'lack' if zoned else 'have'} an offset from UTC, and its "
                f"bounds {'have' if zoned else 'lack'} one",
                "Give all moments and both bounds an offset, or none of them.",
            )
        )
    if column.resolution is not None:
        seconds = np.floor(seconds / column.seconds_apart) * column.seconds_apart
    return seconds, missing, problems


def decode_cells(column: Categorical, cells: NDArray[np.int64]) -> pd.Series:
    """Cells back to values, in the column's dtype."""
    values: list[Any] = [*column.categories]
    if column.other:
        values.append(OTHER)
    if column.missing:
        values.append(None)
    table = np.empty(len(values), dtype=object)
    table[:] = values
    dtype: Any = column.dtype or _categorical_dtype(column)
    if dtype == "category":  # all of them, or each batch would have a dtype of its own
        known = [value for value in values if value is not None]
        dtype = pd.CategoricalDtype(known, ordered=isinstance(column, Ordinal) and not column.other)
    return pd.Series(table[cells], dtype=object).astype(dtype)


def decode_numbers(column: Numerical, share: NDArray[np.float64], missing: NDArray[np.bool_]) -> pd.Series:
    """Shares of the range, in [0, 1], back to numbers in the column's dtype.

    Other than whole numbers keep the decimal places that are declared, or else those that the grid of encoded vectors
    can tell apart: 0.05, and not 0.05000000000000002.
    """
    numbers = numbers_at(column, share)
    if not column.integer:
        if column.decimals is not None:
            numbers = np.clip(as_declared(column, numbers), column.lower, column.upper)
        else:
            places = np.ceil(-np.log10(spacing(column, numbers))).astype(np.int64)
            for digits in np.unique(places[np.abs(places) <= MOST_PLACES]).tolist():
                rounded = np.round(numbers, digits)
                numbers = np.where(places == digits, np.clip(rounded, column.lower, column.upper), numbers)
        numbers = np.where(share <= 0.0, column.lower, np.where(share >= 1.0, column.upper, numbers))
        numbers = numbers + 0.0  # no -0.0
        series: Any = pd.Series(np.where(missing, np.nan, numbers))
        return series.astype(column.dtype or "float64")  # type: ignore[no-any-return]
    numbers = np.where(share <= 0.0, column.lower, np.where(share >= 1.0, column.upper, np.rint(numbers)))
    numbers = np.clip(numbers, np.ceil(column.lower), np.floor(column.upper))
    series = pd.Series(pd.array(numbers.astype(np.int64), dtype="Int64")).mask(missing)
    return series.astype(column.dtype or ("Int64" if column.missing else "int64"))  # type: ignore[no-any-return]


def decode_seconds(column: Timestamp, share: NDArray[np.float64], missing: NDArray[np.bool_]) -> pd.Series:
    """Shares of the range, in [0, 1], back to moments, in whole seconds or as declared, in the column's dtype."""
    lower, upper = column.bounds_seconds
    apart = column.seconds_apart
    seconds = np.rint((lower + share * (upper - lower)) / apart).astype(np.int64) * apart
    moments = _moments(column, seconds * 1_000_000, missing)
    return moments.astype(column.dtype) if column.dtype else moments  # type: ignore[call-overload]


def declared_moments(name: str, column: Timestamp, series: pd.Series) -> pd.Series:
    """The column as moments like those that come back, at the declared resolution: to compare with them.

    In a csv file they are texts. What cannot be read is missing.
    """
    seconds, missing, _ = read_seconds(name, column, series)
    missing = missing | np.isnan(seconds)
    microseconds = np.rint(np.where(missing, 0.0, seconds) * 1e6).astype(np.int64)
    return _moments(column, microseconds, missing).set_axis(series.index)


def _moments(column: Timestamp, microseconds: NDArray[np.int64], missing: NDArray[np.bool_]) -> pd.Series:
    moments = pd.Series(microseconds.astype("datetime64[us]")).mask(missing)
    return moments.dt.tz_localize("UTC") if column.zoned else moments


def _missing_problems(
    name: str, column: Categorical | Numerical | Timestamp, missing: NDArray[np.bool_]
) -> list[Problem]:
    if column.missing or not missing.any():
        return []
    return [
        Problem(
            f"column {name!r} has missing values",
            f"Set missing = true in {table_name(name)}, or fill them first.",
        )
    ]


def _is_missing(series: pd.Series) -> NDArray[np.bool_]:
    try:
        return series.isna().to_numpy(dtype=bool)
    except ArithmeticError:  # a signalling NaN among Decimals, which raises when it is compared
        return np.array(
            [value.is_nan() if isinstance(value, Decimal) else pd.isna(value) for value in series]
        )


def _distinct(series: pd.Series) -> tuple[NDArray[np.intp], list[Any]]:
    """(n,) index of every value among the distinct ones (-1: missing), and the distinct values."""
    alike = series.dtype != object or pd.api.types.infer_dtype(series, skipna=True) in (
        "string",
        "integer",
        "boolean",
    )
    if alike:
        codes, known = pd.factorize(series)
        return codes, list(known)
    # In Python 1 == True == Decimal(1), so whichever came first would stand for all of them: go by text instead.
    missing = _is_missing(series)
    values: dict[tuple[str, str], int] = {}
    codes = np.full(len(series), -1, dtype=np.intp)
    distinct: list[Any] = []
    for row, value in enumerate(series):
        if missing[row]:
            continue
        key = (type(value).__name__, str(value))
        if key not in values:
            values[key] = len(distinct)
            distinct.append(value)
        codes[row] = values[key]
    return codes, distinct


def _cells_of(column: Categorical, distinct: Iterable[Any]) -> Iterable[int]:
    """Cell of each value; -1 where it has none."""
    position = {category_key(value): cell for cell, value in enumerate(column.categories)}
    # "1.0" or "True" in a text file is what other programs write for the category 1 or true.
    unquoted = {
        category_key(value): cell
        for cell, value in enumerate(column.categories)
        if not isinstance(value, str)
    }
    otherwise = len(column.categories) if column.other else -1
    for value in distinct:
        cell = position.get(category_key(value))
        if cell is None and unquoted and isinstance(value, str):
            cell = unquoted.get(_as_written_elsewhere(value))
        yield otherwise if cell is None else cell


def _as_written_elsewhere(text: str) -> str:
    if text.strip().lower() in ("true", "false"):
        return text.strip().lower()
    number = _number(text)
    return text if np.isnan(number) else category_key(number)


def _number(value: Any) -> float:
    if isinstance(value, np.datetime64 | np.timedelta64 | complex):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        return float("nan")


def _categorical_dtype(column: Categorical) -> str:
    kinds = {type(value) for value in column.categories} | ({str} if column.other else set())
    if kinds == {bool}:
        return "boolean" if column.missing else "bool"
    if kinds == {int} and all(-(2**63) <= value < 2**63 for value in column.categories):  # type: ignore[operator]
        return "Int64" if column.missing else "int64"
    if kinds == {str}:
        return str(pd.Series(["text"]).dtype)  # "str" in pandas 3, "object" before
    return "float64" if kinds == {float} or kinds == {int, float} else "object"
