"""The tests that conditions are made of, each on columns of a Domain, evaluated on whole tables at once.

A test on a missing value is neither true nor false but unknown, as in SQL; only `is missing` always knows. Every test
answers with two masks: where it is true, and where it is false.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keshi.records.column_kinds import Categorical, Column, Numerical, Timestamp

if TYPE_CHECKING:
    import pandas as pd

Mask = NDArray[np.bool_]
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ROUNDING = {"float32": 1e-6, "float16": 1e-2}  # by the dtype that a column comes back in
_ROUNDING_OF_DOUBLES = 1e-9


class ColumnValues:
    """The columns of a decoded table as cells, numbers or seconds, each read once."""

    def __init__(self, frame: pd.DataFrame, columns: Mapping[str, Column]) -> None:
        self.frame = frame
        self.columns = columns
        self._read: dict[str, tuple[NDArray[Any], Mask]] = {}

    def __getitem__(self, name: str) -> tuple[NDArray[Any], Mask]:
        """(n,) cells of a categorical column, numbers, or seconds since 1970; and which are missing."""
        if name not in self._read:
            self._read[name] = self._column(name)
        return self._read[name]

    def _column(self, name: str) -> tuple[NDArray[Any], Mask]:
        from keshi.records.columns import read_cells, read_numbers, read_seconds

        column, series = self.columns[name], self.frame[name]
        if isinstance(column, Categorical):
            cells, _ = read_cells(name, column, series)
            return cells, cells == (column.cells - 1 if column.missing else -1)
        if isinstance(column, Timestamp):
            return read_seconds(name, column, series)[:2]
        assert isinstance(column, Numerical)  # `bind` lets nothing else pass
        return read_numbers(name, column, series)[:2]


@dataclass(frozen=True)
class CellTest:
    """Of a categorical column: the answer for every cell, 1 true, 0 false, -1 unknown (the missing one among them)."""

    column: str
    answers: tuple[int, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def masks(self, values: ColumnValues) -> tuple[Mask, Mask]:
        answers = np.array(self.answers, dtype=np.int8)[values[self.column][0]]
        return answers == 1, answers == 0


@dataclass(frozen=True)
class NumberTest:
    """Of a number, or the seconds of a moment: a comparison with one value, or "in" a set of them."""

    column: str
    order: str
    numbers: tuple[float, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def answer(self, numbers: NDArray[np.float64]) -> Mask:
        """Where it is true of numbers none of which is missing."""
        if self.order == "in":
            return np.isin(numbers, np.array(self.numbers, dtype=np.float64))
        return np.asarray(COMPARE[self.order](numbers, self.numbers[0]), dtype=bool)

    def masks(self, values: ColumnValues) -> tuple[Mask, Mask]:
        numbers, missing = values[self.column]
        true = self.answer(numbers)
        return true & ~missing, ~true & ~missing


@dataclass(frozen=True)
class MissingTest:
    """Whether a value is missing; never unknown."""

    column: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    def masks(self, values: ColumnValues) -> tuple[Mask, Mask]:
        missing = values[self.column][1]
        return missing, ~missing


@dataclass(frozen=True)
class Total:
    """Columns, each with a factor 1 or -1, and a constant."""

    terms: tuple[tuple[int, str], ...]
    constant: float = 0.0

    @property
    def single(self) -> str | None:
        """The column, where it is one column and nothing else."""
        alone = len(self.terms) == 1 and self.terms[0][0] == 1 and self.constant == 0.0
        return self.terms[0][1] if alone else None

    def of(self, values: ColumnValues) -> tuple[NDArray[np.float64], Mask]:
        """(n,) totals, and where one of the columns is missing."""
        rows = len(values.frame)
        total, missing = np.full(rows, self.constant), np.zeros(rows, dtype=bool)
        for factor, name in self.terms:
            numbers, absent = values[name]
            total = total + factor * numbers
            missing = missing | absent
        return total, missing

    def reach(self, columns: Mapping[str, Column]) -> tuple[float, float]:
        """The smallest and the largest that a total can be."""
        low = high = self.constant
        for factor, name in self.terms:
            ends = [factor * bound for bound in bounds(columns[name])]
            low, high = low + min(ends), high + max(ends)
        return low, high


@dataclass(frozen=True)
class SumTest:
    """Of several columns of numbers, or of two moments: two totals compared.

    Attributes:
        tolerance: Totals this near count as equal, for == and !=.
    """

    left: Total
    order: str
    right: Total
    tolerance: float

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for _, name in self.left.terms + self.right.terms))

    def masks(self, values: ColumnValues) -> tuple[Mask, Mask]:
        left, absent = self.left.of(values)
        right, missing = self.right.of(values)
        if self.order in ("==", "!="):
            true = (np.abs(left - right) <= self.tolerance) == (self.order == "==")
        else:
            true = np.asarray(COMPARE[self.order](left, right), dtype=bool)
        known = ~(absent | missing)
        return true & known, ~true & known


@dataclass(frozen=True)
class SameCategory:
    """Of two categorical columns: whether they hold the same value.

    Attributes:
        left_keys, right_keys: A number for the value of each cell, the same for the same value.
    """

    left: str
    right: str
    left_keys: tuple[int, ...]
    right_keys: tuple[int, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.left, self.right)

    def masks(self, values: ColumnValues) -> tuple[Mask, Mask]:
        (left, absent), (right, missing) = values[self.left], values[self.right]
        same = np.array(self.left_keys)[left] == np.array(self.right_keys)[right]
        known = ~(absent | missing)
        return same & known, ~same & known


Test = CellTest | NumberTest | MissingTest | SumTest | SameCategory


def bounds(column: Column) -> tuple[float, float]:
    """Bounds of a column of numbers, or of moments in seconds since 1970."""
    if isinstance(column, Timestamp):
        return column.bounds_seconds
    assert isinstance(column, Numerical)
    return float(column.lower), float(column.upper)


def rounding(column: Column) -> float:
    """How far sums of floats that are to be equal may differ, as a share of the largest; moments are exact."""
    if isinstance(column, Timestamp):
        return 0.0
    assert isinstance(column, Numerical)
    return _ROUNDING.get((column.dtype or "").lower(), _ROUNDING_OF_DOUBLES)


def number_candidates(column: Numerical | Timestamp, numbers: Sequence[float]) -> NDArray[np.float64]:
    """Numbers of the column that stand for all others: the given ones, what lies between them, and the bounds."""
    lower, upper = bounds(column)
    inside = sorted({lower, upper, *(number for number in numbers if lower < number < upper)})
    if isinstance(column, Timestamp) or column.integer:
        apart = column.seconds_apart if isinstance(column, Timestamp) else 1
        near = {
            float((whole + step) * apart)
            for number in inside
            for whole in (math.floor(number / apart), math.ceil(number / apart))
            for step in (-1, 0, 1)
        }
        return np.array(sorted(number for number in near if lower <= number <= upper))
    if column.decimals is not None:
        near = {
            round((round(number * 10**column.decimals) + step) / 10**column.decimals, column.decimals)
            for number in inside
            for step in (-1, 0, 1)
        }
        return np.array(sorted(number for number in near if lower <= number <= upper))
    between = [(low + high) / 2 for low, high in pairwise(inside)]
    return np.array(sorted({*inside, *between}))
