"""Differences: of two columns that a rule orders, `admitted <= discharged`, the later one is encoded as what it adds.

Counted by themselves, both fall into the same interval of months, and a stay of three days is lost in it. What is
encoded so follows from the rules and bounds alone; a record that breaks its rule is encoded as if both were equal. The
upper bound is encoded as itself, however far that is: ends of time, such as 9999-12-31, mean "still open".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from keshi.records.bound_conditions import Bound
from keshi.records.column_kinds import Column, Numerical, Timestamp
from keshi.records.conditions import And
from keshi.records.number_scales import numbers_at
from keshi.records.tests_on_columns import SumTest, bounds

if TYPE_CHECKING:
    from keshi.records.constraints import BoundConstraint, Constraint


@dataclass(frozen=True)
class Difference:
    """How far a column lies above another one.

    Attributes:
        base: The other one, never missing.
        column: What is encoded: a number from 0, in units of `unit`.
        unit: In those of the columns, of moments in seconds.
    """

    base: str
    column: Numerical
    unit: float

    def of(
        self, column: Column, numbers: NDArray[np.float64], base: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n,) differences within their bounds, of numbers within those of their columns."""
        found = np.clip((numbers - base) / self.unit, self.column.lower, self.column.upper)
        return np.where(numbers >= bounds(column)[1], self.column.upper, found)

    def added(
        self, column: Column, base: NDArray[np.float64], share: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """(n,) numbers that lie so far above the base, within the column's bounds.

        What would lie beyond the upper one is reflected there: no record is to claim that it is open.

        Args:
            column: What is declared of it.
            base: (n,) numbers of the base.
            share: (n,) places of the differences between their bounds, from 0 to 1.
        """
        difference = numbers_at(self.column, share)
        if self.column.integer:
            difference = np.rint(difference)
        lower, upper = bounds(column)
        numbers = base + difference * self.unit
        room = np.maximum(upper - base, self.unit if self.column.integer else 0.0)
        beyond = np.where(room > 0, (numbers - upper) % np.where(room > 0, room, 1.0), 0.0)
        reflected = upper - beyond
        if self.column.integer:  # whole rooms beyond it, a reflection would end at the bound itself
            below = np.maximum(upper - self.unit, base + self.column.lower * self.unit)
            reflected = np.where(beyond == 0, below, reflected)
        numbers = np.where(numbers > upper, reflected, numbers)
        return np.clip(np.where(share >= 1.0, upper, numbers), lower, upper)


def decided(
    constraints: Sequence[Constraint], bound: Sequence[BoundConstraint], columns: Mapping[str, Column]
) -> tuple[tuple[Constraint, ...], dict[str, Difference], list[str]]:
    """The constraints with what they say of differences written out, the differences, and what is wrong.

    Where a rule says nothing of it, moments are encoded as differences and numbers are not: two dates of one record
    are mostly near one another, and whether two numbers are is not known.

    Returns:
        The constraints; column -> its Difference, a base before what rests on it; problems in words.
    """
    found: dict[str, Difference] = {}
    written, problems = [], []
    for number, (constraint, rule) in enumerate(zip(constraints, bound, strict=True), 1):
        pairs = [] if constraint.given is not None else list(_ordered_pairs(rule.rule))
        if not constraint.difference:
            pairs = [pair for pair in pairs if isinstance(columns[pair[0]], Timestamp)]
        possible = list(_possible(pairs, columns))
        if constraint.difference and not possible:
            problems.append(
                f"constraint {number}: difference = true is for a rule such as `a <= b`, of two columns of whole "
                "numbers, of numbers with the same decimals, or of moments with the same resolution, the first one "
                "never missing."
            )
        if constraint.difference is None and possible:
            constraint = replace(constraint, difference=True)
        elif constraint.difference is False and not possible:
            # It changes nothing, and a restored domain says it of every rule: equal ones are to compare as equal.
            constraint = replace(constraint, difference=None)
        written.append(constraint)
        if constraint.difference:
            for low, high, made in possible:
                if high not in found and high not in _bases(low, found):
                    found[high] = made
    ordered: dict[str, Difference] = {}
    while len(ordered) < len(found):
        ordered |= {name: one for name, one in found.items() if one.base not in found or one.base in ordered}
    return tuple(written), ordered, problems


def _ordered_pairs(rule: Bound) -> Iterator[tuple[str, str, bool]]:
    """Lower column, higher column, and whether they are never equal, of every part of a rule that says so."""
    if isinstance(rule, And):
        for part in rule.parts:
            yield from _ordered_pairs(part)
    elif isinstance(rule, SumTest) and rule.order in ("<", "<=", ">", ">="):
        left, right = rule.left.single, rule.right.single
        if left is not None and right is not None and left != right:
            low, high = (left, right) if "<" in rule.order else (right, left)
            yield low, high, "=" not in rule.order


def _possible(
    pairs: Sequence[tuple[str, str, bool]], columns: Mapping[str, Column]
) -> Iterator[tuple[str, str, Difference]]:
    for low, high, strict in pairs:
        base, column = columns[low], columns[high]
        assert isinstance(base, Numerical | Timestamp)
        assert isinstance(column, Numerical | Timestamp)
        if base.missing:
            continue
        if isinstance(column, Timestamp) and isinstance(base, Timestamp):
            alike, unit, whole, decimals = (
                base.seconds_apart == column.seconds_apart,
                column.seconds_apart,
                True,
                None,
            )
        elif isinstance(column, Numerical) and isinstance(base, Numerical):
            alike, unit, whole, decimals = (
                base.per_unit == column.per_unit,
                1,
                column.integer,
                column.decimals,
            )
        else:
            continue
        step = 1.0 if whole else 0.0 if decimals is None else 10.0**-decimals
        least, most = bounds(column)[0] - bounds(base)[1], bounds(column)[1] - bounds(base)[0]
        least, most = max(least / unit, step if strict else 0.0), most / unit
        if whole:
            least, most = math.ceil(least), math.floor(most)
        elif decimals is not None:
            least, most = round(least, decimals), round(most, decimals)
        if alike and least < most:
            scale = "log" if isinstance(column, Timestamp) else None
            made = Numerical(
                least, most, whole, column.missing, scale=scale, decimals=None if whole else decimals
            )
            yield low, high, Difference(low, made, float(unit))


def _bases(name: str, found: Mapping[str, Difference]) -> Iterator[str]:
    """The column and all that it rests on."""
    yield name
    while name in found:
        name = found[name].base
        yield name
