"""Conditions bound to the columns of a Domain: names, types and values are checked here, before any record is drawn."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from keshi.errors import ConditionError
from keshi.records.column_kinds import (
    Categorical,
    Column,
    Numerical,
    Ordinal,
    Timestamp,
    category_key,
    read_moment,
)
from keshi.records.conditions import (
    And,
    Comparison,
    Condition,
    Literal,
    Membership,
    Missing,
    Name,
    Not,
    Or,
    Sum,
    complaint,
    parse,
)
from keshi.records.domain import table_name
from keshi.records.tests_on_columns import (
    COMPARE,
    CellTest,
    ColumnValues,
    Mask,
    MissingTest,
    NumberTest,
    SameCategory,
    SumTest,
    Test,
    Total,
    number_candidates,
    rounding,
)

ROUNDING_OF_A_SUM = 1e-14  # of the largest total, for doubles alone
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

Bound = Test | Not | And | Or
"""A tree of And, Or and Not over tests on columns."""


def bind(
    text: str,
    columns: Mapping[str, Column],
    *,
    identifiers: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
) -> Bound:
    """Parse a condition and bind it to columns.

    Args:
        text: The condition.
        columns: What is declared of the columns it may name.
        identifiers: Names of columns that are generated afresh; a condition on one is refused with that reason.
        tolerance: Sums this near count as equal; None allows for the rounding of floats only.

    Raises:
        ConditionError: naming the place, the column, and the nearest known name or value.
    """
    return _Binder(text, columns, identifiers or {}, tolerance).condition(parse(text))


def masks(bound: Bound, values: ColumnValues) -> tuple[Mask, Mask]:
    """(n,) where the condition is true, and (n,) where it is false; elsewhere a missing value leaves it open."""
    if isinstance(bound, Not):
        true, false = masks(bound.part, values)
        return false, true
    if isinstance(bound, And | Or):
        answers = [masks(part, values) for part in bound.parts]
        every = np.logical_and.reduce([answer[isinstance(bound, Or)] for answer in answers])
        some = np.logical_or.reduce([answer[isinstance(bound, And)] for answer in answers])
        return (every, some) if isinstance(bound, And) else (some, every)
    return bound.masks(values)


class _Binder:
    """Turns the parser's tree into one over tests; `text` is there for messages."""

    def __init__(
        self,
        text: str,
        columns: Mapping[str, Column],
        identifiers: Mapping[str, Any],
        tolerance: float | None,
    ) -> None:
        self.text = text
        self.columns = columns
        self.identifiers = identifiers
        self.tolerance = tolerance

    def fail(self, at: int, what: str) -> ConditionError:
        return complaint(self.text, at, what)

    def condition(self, tree: Condition) -> Bound:
        if isinstance(tree, Not):
            return Not(self.condition(tree.part))
        if isinstance(tree, And | Or):
            return type(tree)(tuple(self.condition(part) for part in tree.parts))
        if isinstance(tree, Missing):
            if not self.column(tree.column).missing:
                raise self.fail(
                    tree.column.at,
                    f"column {tree.column.text!r} is never missing: {table_name(tree.column.text)} does not say "
                    "missing = true; leave this test out",
                )
            return MissingTest(tree.column.text)
        if isinstance(tree, Membership):
            return self.membership(tree)
        return self.comparison(tree)

    def column(self, name: Name) -> Categorical | Numerical | Timestamp:
        column = self.columns.get(name.text)
        if isinstance(column, Categorical | Numerical | Timestamp):
            return column
        if column is not None:
            raise self.fail(
                name.at, f"column {name.text!r} holds arrays, and a condition is on single values"
            )
        if name.text in self.identifiers:
            raise self.fail(
                name.at,
                f"column {name.text!r} is an identifier, made up for every record; no condition can be put on it",
            )
        longer = [c for c in self.columns if self.text.startswith(c, name.at) and len(c) > len(name.text)]
        if longer:
            hint = f"write `{max(longer, key=len)}` in backticks"
        elif near := _nearest(name.text, [*self.columns]):
            hint = f"did you mean {repr(near) if near.isidentifier() else f'`{near}`'}?"
        else:
            hint = f"the columns are {_some([*self.columns])}"
        raise self.fail(name.at, f"there is no column {name.text!r}; {hint} (texts stand in 'quotes')")

    def membership(self, tree: Membership) -> Bound:
        name, column = tree.column.text, self.column(tree.column)
        if isinstance(column, Categorical):
            cells = {self.cell(name, column, literal) for literal in tree.values}
            return CellTest(name, _answers(column, [cell in cells for cell in range(_present(column))]))
        numbers = tuple(self.number(name, column, literal) for literal in tree.values)
        for number, literal in zip(numbers, tree.values, strict=True):
            self.check_reachable(name, column, NumberTest(name, "==", (number,)), literal.at)
        return NumberTest(name, "in", numbers)

    def comparison(self, tree: Comparison) -> Bound:
        left, right, order = tree.left, tree.right, tree.order
        if isinstance(left.single, Literal):
            left, right, order = right, left, _TURNED[order]
        name, other = left.single, right.single
        if isinstance(name, Name):
            column = self.column(name)
            if isinstance(other, Literal):
                return self.against_value(name.text, column, order, other)
            if isinstance(column, Categorical) and isinstance(other, Name):
                return self.two_categories(name, column, order, other)
        return self.sums(left, order, right, tree.at)

    def against_value(self, name: str, column: Column, order: str, literal: Literal) -> Bound:
        if isinstance(column, Categorical):
            return self.cells_compared(name, column, order, literal)
        assert isinstance(column, Numerical | Timestamp)
        test = NumberTest(name, order, (self.number(name, column, literal),))
        self.check_reachable(name, column, test, literal.at)
        return test

    def cells_compared(self, name: str, column: Categorical, order: str, literal: Literal) -> Bound:
        if order in ("==", "!="):
            cell = self.cell(name, column, literal)
            return CellTest(
                name, _answers(column, [(c == cell) == (order == "==") for c in range(_present(column))])
            )
        ranks: list[Any]
        if isinstance(column, Ordinal):
            ranks, mine = list(range(len(column.categories))), self.cell(name, column, literal)
            if mine >= len(ranks):
                raise self.fail(literal.at, f"OTHER has no place in the order of column {name!r}")
        elif all(_is_number(value) for value in column.categories):
            if not _is_number(literal.value):
                raise self.fail(
                    literal.at, f"column {name!r} is compared with a number, got {literal.value!r}"
                )
            ranks, mine = list(column.categories), literal.value  # type: ignore[assignment]
        else:
            raise self.fail(
                literal.at,
                f"the categories of column {name!r} have no order; use ==, != or in [...], or declare it ordinal",
            )
        answers = [bool(COMPARE[order](rank, mine)) for rank in ranks]
        if not any(answers):
            raise self.fail(literal.at, f"no category of column {name!r} is {order} {literal.value!r}")
        return CellTest(name, _answers(column, answers))

    def cell(self, name: str, column: Categorical, literal: Literal) -> int:
        """The cell of a value that must be one of the column's."""
        keys = [category_key(value) for value in column.categories] + ["OTHER"] * column.other
        key = category_key(literal.value)
        if key not in keys and key.lower() in ("true", "false"):
            key = key.lower()  # "True" is what other programs write
        if key in keys:
            return keys.index(key)
        near = _nearest(key, keys)
        hint = f"did you mean {near!r}?" if near else f"its values are {_some(keys)}."
        if column.other:
            hint += " Values that are not listed come back as 'OTHER'."
        if key.lower() in ("missing", "nan", "none", "null", "") and column.missing:
            hint = "write `is missing` for a missing value."
        raise self.fail(literal.at, f"{literal.value!r} is no category of column {name!r}; {hint}")

    def number(self, name: str, column: Numerical | Timestamp, literal: Literal) -> float:
        """The value as the column counts: in its own unit, or in seconds since 1970."""
        value = literal.value
        if isinstance(column, Numerical):
            if not _is_number(value):
                raise self.fail(literal.at, f"column {name!r} holds numbers, and {value!r} is none")
            return float(value)
        moment = read_moment(value) if isinstance(value, str) else None
        if moment is None:
            raise self.fail(
                literal.at,
                f"column {name!r} holds moments; write one as '2020-01-31' or '2020-01-31T12:00:00', got {value!r}",
            )
        seconds, zoned = moment
        if zoned is not column.zoned:
            how = (
                "with an offset from UTC, such as '2020-01-31T12:00:00+00:00'"
                if column.zoned
                else "without an offset"
            )
            raise self.fail(literal.at, f"column {name!r} holds moments {how}; write {value!r} like them")
        return seconds

    def check_reachable(self, name: str, column: Numerical | Timestamp, test: NumberTest, at: int) -> None:
        if not test.answer(number_candidates(column, test.numbers)).any():
            kind = ""
            if isinstance(column, Numerical) and column.per_unit is not None:
                kind = (
                    "whole numbers " if column.integer else f"numbers of at most {column.decimals} decimals "
                )
            elif isinstance(column, Timestamp) and column.resolution is not None:
                kind = f"whole {column.resolution}s "
            raise self.fail(
                at,
                f"column {name!r} holds {kind}from {column.lower} to {column.upper}, so no record can meet this",
            )

    def two_categories(self, left: Name, column: Categorical, order: str, right: Name) -> Bound:
        other = self.column(right)
        if not isinstance(other, Categorical) or order not in ("==", "!="):
            raise self.fail(
                right.at,
                f"column {left.text!r} is categorical: compare it by == or != with a value or a categorical column",
            )
        keys = [
            [category_key(v) for v in c.categories] + ["OTHER"] * c.other + [""] * c.missing
            for c in (column, other)
        ]
        place = {key: i for i, key in enumerate(dict.fromkeys(keys[0] + keys[1]))}
        same = SameCategory(left.text, right.text, *(tuple(place[key] for key in side) for side in keys))
        return same if order == "==" else Not(same)

    def sums(self, left: Sum, order: str, right: Sum, at: int) -> Bound:
        names = [t for _, t in left.terms + right.terms if isinstance(t, Name)]
        if not names:
            raise self.fail(left.at, "this compares values only; name a column (texts stand in quotes)")
        columns = [self.column(name) for name in names]
        moments = [isinstance(column, Timestamp) for column in columns]
        for name, column in zip(names, columns, strict=True):
            if isinstance(column, Categorical) or (any(moments) and not all(moments)):
                raise self.fail(
                    name.at, "sums and comparisons of columns are between numbers, or between two moments"
                )
        if any(moments):
            zones = {column.zoned for column in columns if isinstance(column, Timestamp)}
            if left.single is None or right.single is None or len(zones) > 1:
                raise self.fail(
                    at,
                    "moments are compared two by two, both with or both without an offset from UTC, and not added",
                )
        totals = [self.total(side) for side in (left, right)]
        (low, high), (other_low, other_high) = (total.reach(self.columns) for total in totals)
        largest = max(map(abs, (low, high, other_low, other_high)))
        if self.tolerance is None:
            tolerance = max(rounding(column) for column in columns) * largest
        else:  # a tolerance of 0 too: 0.1 + 0.2 is 0.3
            tolerance = max(self.tolerance, ROUNDING_OF_A_SUM * largest)
        never = {
            "<": low >= other_high,
            "<=": low > other_high,
            ">": high <= other_low,
            ">=": high < other_low,
            "==": low > other_high + tolerance or other_low > high + tolerance,
            "!=": False,
        }
        if never[order]:
            raise self.fail(at, "by the bounds of the columns no record can meet this")
        return SumTest(totals[0], order, totals[1], tolerance)

    def total(self, side: Sum) -> Total:
        constant, terms = 0.0, []
        for factor, term in side.terms:
            if isinstance(term, Name):
                terms.append((factor, term.text))
            elif _is_number(term.value):
                constant += factor * float(term.value)
            else:
                raise self.fail(term.at, f"only numbers and columns are added, got {term.value!r}")
        return Total(tuple(terms), constant)


def _present(column: Categorical) -> int:
    """Cells other than the missing one."""
    return column.cells - column.missing


def _answers(column: Categorical, answers: list[bool]) -> tuple[int, ...]:
    """The answer of every cell: those given, then unknown."""
    return tuple(int(answer) for answer in answers) + (-1,) * (column.cells - len(answers))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _nearest(text: str, known: list[str]) -> str | None:
    folded = {name.casefold().strip(): name for name in reversed(known)}
    near = difflib.get_close_matches(text.casefold().strip(), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
