"""TableEncoder: rows of a table <-> bounded vectors on a public grid.

Every entry of an encoded vector lies in [-1, 1] and is a whole multiple of 2^-20, computed for each record by itself:
neither the order of rows nor the size of a batch can change one bit of it. Imports neither privacy nor networks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import DomainError
from keshi.records.domain import Categorical, Column, Domain, Numerical, Timestamp, category_key
from keshi.records.encoded import FEATURE_BITS, EncodedBatch

OTHER = "OTHER"


class TableEncoder:
    """Encodes tables that follow a `Domain`, and decodes vectors back to tables of the same columns and dtypes.

    Example:
        >>> domain = Domain({"age": Numerical(0, 100, integer=True)})
        >>> TableEncoder(domain).encode(pd.DataFrame({"age": [0, 50, 100]})).vectors.ravel().tolist()
        [-1.0, 0.0, 1.0]
    """

    def __init__(self, domain: Domain, *, subject: str | None = None, show_values: bool = False) -> None:
        if subject in domain.columns:
            raise DomainError(
                f"{domain.source}: column {subject!r} says whose record it is, and identifiers are never "
                "synthesized; take it out of the columns."
            )
        self.domain = domain
        self.subject = subject
        self.show_values = show_values

    def encode(self, table: pd.DataFrame, *, source: str = "the table") -> EncodedBatch:
        """Encode the rows of `table`, which is left as it is.

        Raises:
            DomainError: naming every column that contradicts the domain, all at once.
        """
        problems = self._column_name_problems(table)
        vectors = np.zeros((len(table), self.domain.width))
        classes = np.zeros(len(table), dtype=np.int64)
        if not problems:
            for name, column in self.domain.columns.items():
                cells, values, found = self._encode_column(name, column, table[name])
                problems += found
                if found:
                    continue
                if name == self.domain.label:
                    classes = cells
                else:
                    self._place(vectors, name, cells, values)
        if problems:
            listing = "\n".join(f"  - {problem}" for problem in problems)
            raise DomainError(f"{source} does not follow {self.domain.source}:\n{listing}")
        return EncodedBatch(vectors, classes)

    def decode(self, vectors: NDArray[Any], classes: NDArray[Any]) -> pd.DataFrame:
        """Turn hard vectors (one 1 in every categorical block) and classes back into a table."""
        columns: dict[str, Any] = {}
        slots = {(slot.column, slot.kind): slot for slot in self.domain.slots}
        for name, column in self.domain.columns.items():
            if isinstance(column, Categorical):
                if name == self.domain.label:
                    cells = np.asarray(classes, dtype=np.int64)
                else:
                    slot = slots[name, "categorical"]
                    cells = np.asarray(vectors[:, slot.start : slot.stop]).argmax(axis=1)
                columns[name] = _decode_categorical(column, cells)
                continue
            scaled = np.asarray(vectors[:, slots[name, "numerical"].start], dtype=np.float64)
            missing = np.zeros(len(scaled), dtype=bool)
            if column.missing:
                missing = np.asarray(vectors[:, slots[name, "missing"].start]) > 0.5
            columns[name] = _decode_number(column, scaled, missing)
        return pd.DataFrame(columns)

    def subjects(self, table: pd.DataFrame, *, source: str = "the table") -> pd.Series:
        """The column that says whose record it is.

        Raises:
            DomainError: if the table has no such column.
        """
        if self.subject not in table.columns:
            raise DomainError(
                f"{source} has no subject column {self.subject!r}; it has {[str(c) for c in table.columns]}."
            )
        return table[self.subject]

    def _column_name_problems(self, table: pd.DataFrame) -> list[str]:
        names = [str(name) for name in table.columns]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            return [f"column names must differ; these stand twice: {double}."]
        problems = [
            f"column {name!r} is declared but not in the table; the table has {names}."
            for name in self.domain.columns
            if name not in names
        ]
        allowed = {*self.domain.columns, *self.domain.ignore, self.subject}
        problems += [
            f"column {name!r} is not declared; add [columns.{name}] or list it under ignore."
            for name in names
            if name not in allowed
        ]
        return problems

    def _encode_column(
        self, name: str, column: Column, series: pd.Series
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
        """Cells of a categorical column or (missing indicator, scaled values) of a number, and what is wrong."""
        if isinstance(column, Categorical):
            cells, problems = self._cells(name, column, series)
            return cells, np.empty(0), problems
        if isinstance(column, Timestamp):
            numbers, missing, problems = _timestamp_seconds(name, column, series)
            lower, upper = column.bounds_seconds
        else:
            numbers, missing, problems = _numbers(name, series)
            lower, upper = float(column.lower), float(column.upper)
        if missing.any() and not column.missing:
            problems.append(
                f"column {name!r} has missing values; set missing = true in [columns.{name}], or fill them first."
            )
        if self.domain.outside == "refuse":
            problems += self._outside_problems(name, numbers[~missing], lower, upper)
        scaled = (np.clip(np.where(missing, lower, numbers), lower, upper) - lower) / (upper - lower) * 2 - 1
        on_grid = np.rint(scaled * 2**FEATURE_BITS) / 2**FEATURE_BITS
        return missing.astype(np.int64), np.where(missing, 0.0, on_grid), problems

    def _outside_problems(
        self, name: str, numbers: NDArray[np.float64], lower: float, upper: float
    ) -> list[str]:
        problems = []
        for side, bound, bad in (
            ("below its lower", lower, numbers < lower),
            ("above its upper", upper, numbers > upper),
        ):
            if bad.any():
                shown = (
                    f": {numbers[bad][:3].tolist()}" if self.show_values else " (--show-values names them)"
                )
                key = "lower" if "lower" in side else "upper"
                problems.append(
                    f"column {name!r} has values {side} bound {bound:g}{shown}. Widen it "
                    f'([columns.{name}] {key} = ...) or set outside = "clip".'
                )
        return problems

    def _cells(
        self, name: str, column: Categorical, series: pd.Series
    ) -> tuple[NDArray[np.int64], list[str]]:
        codes, uniques = pd.factorize(series.astype(object) if series.dtype == object else series)
        position = {category_key(value): cell for cell, value in enumerate(column.categories)}
        otherwise = len(column.categories) if column.other else -1
        cell_of = np.array([position.get(category_key(v), otherwise) for v in uniques], dtype=np.int64)
        missing_cell = column.cells - 1 if column.missing else -2
        cells = np.where(codes >= 0, np.append(cell_of, -1)[codes], missing_cell)
        problems = []
        if (cells == -1).any():
            unknown = [v for v, cell in zip(uniques, cell_of, strict=True) if cell == -1]
            shown = f": {unknown[:3]}" if self.show_values else " (--show-values names them)"
            problems.append(
                f"column {name!r} has values that are not among its {len(column.categories)} categories{shown}. "
                f"Add them to [columns.{name}] categories, or set other = true there."
            )
        if (cells == -2).any():
            problems.append(
                f"column {name!r} has missing values; set missing = true in [columns.{name}], or fill them first."
            )
        return cells, problems

    def _place(
        self, vectors: NDArray[np.float64], name: str, cells: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        """Write one column's part of the vectors: a one-hot block, or a value and its missing indicator."""
        for slot in (slot for slot in self.domain.slots if slot.column == name):
            if slot.kind == "categorical":
                vectors[np.arange(len(cells)), slot.start + cells] = 1.0
            else:
                vectors[:, slot.start] = values if slot.kind == "numerical" else cells


def _numbers(name: str, series: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    missing = series.isna().to_numpy()
    try:
        numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):  # Decimals, integers above 2^64
        numbers = np.array([_number(value) for value in series], dtype=np.float64)
    unreadable = np.isnan(numbers) & ~missing
    if unreadable.any():
        return numbers, missing, [f"column {name!r} has values that are not numbers; declare it categorical?"]
    return numbers, missing, []


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    except (TypeError, ValueError):
        return float("nan")


def _timestamp_seconds(
    name: str, column: Timestamp, series: pd.Series
) -> tuple[NDArray[np.float64], NDArray[np.bool_], list[str]]:
    missing = series.isna().to_numpy()
    try:
        moments = pd.to_datetime(series, errors="coerce", utc=True, format="ISO8601")
        zoned = isinstance(series.dtype, pd.DatetimeTZDtype) or (
            series.dtype.kind not in "M" and _has_offset(series[~missing])
        )
    except (TypeError, ValueError) as error:
        return np.zeros(len(series)), missing, [f"column {name!r} cannot be read as moments: {error}"]
    if (moments.isna().to_numpy() & ~missing).any():
        return (
            np.zeros(len(series)),
            missing,
            [f"column {name!r} has values that are not ISO 8601 moments such as 2020-01-31T12:00:00."],
        )
    if zoned is not column.zoned and not missing.all():
        return (
            np.zeros(len(series)),
            missing,
            [
                f"column {name!r}: its moments {'have' if zoned else 'lack'} an offset from UTC and its bounds "
                f"{'lack' if zoned else 'have'} one; declare both alike."
            ],
        )
    nanoseconds = moments.dt.as_unit("ns").astype("int64").to_numpy()
    return np.where(missing, 0.0, nanoseconds / 1e9), missing, []


def _has_offset(texts: pd.Series) -> bool:
    return bool(texts.astype(str).str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True).any())


def _decode_categorical(column: Categorical, cells: NDArray[np.int64]) -> pd.Series:
    values: list[Any] = [*column.categories]
    if column.other:
        values.append(OTHER)
    if column.missing:
        values.append(None)
    series = pd.Series(np.array(values, dtype=object)[cells])
    return series.astype(column.dtype or _categorical_dtype(column))  # type: ignore[call-overload]


def _categorical_dtype(column: Categorical) -> str:
    kinds = {type(value) for value in column.categories} | ({str} if column.other else set())
    if kinds == {bool}:
        return "boolean" if column.missing else "bool"
    if kinds == {int}:
        return "Int64" if column.missing else "int64"
    if kinds == {str}:
        return "str"
    return "float64" if kinds <= {int, float} else "object"


def _decode_number(
    column: Numerical | Timestamp, scaled: NDArray[np.float64], missing: NDArray[np.bool_]
) -> pd.Series:
    share = (np.clip(scaled, -1.0, 1.0) + 1.0) / 2.0
    if isinstance(column, Timestamp):
        lower, upper = column.bounds_seconds
        seconds = np.rint(lower + share * (upper - lower))
        moments = pd.Series(pd.to_datetime(seconds, unit="s", utc=True)).where(~missing)
        moments = moments if column.zoned else moments.dt.tz_localize(None)
        return moments.astype(column.dtype) if column.dtype else moments  # type: ignore[call-overload]
    numbers = column.lower + share * (column.upper - column.lower)
    if column.integer:
        numbers = np.clip(np.rint(numbers), np.ceil(column.lower), np.floor(column.upper))
    series: Any = pd.Series(np.where(missing, np.nan, numbers))
    if column.integer:
        series = series.astype("Int64")  # the one whole-number dtype that can hold a missing value
        return series.astype(column.dtype or ("Int64" if column.missing else "int64"))  # type: ignore[call-overload]
    return series.astype(column.dtype or "float64")  # type: ignore[call-overload]
