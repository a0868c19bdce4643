"""Repairing drawn records that break a declared constraint, where the constraint itself says the value; else rejecting.

Exact repairs: a total is computed from its parts, two columns in the wrong order are swapped, and what a rule demands
by name (missing, one category, one number) is set. The label is never changed: it was drawn, or asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.records.bound_conditions import Bound, masks
from keshi.records.column_kinds import Categorical, Numerical, Timestamp
from keshi.records.columns import decode_cells, decode_seconds
from keshi.records.conditions import And
from keshi.records.constraints import BoundConstraint
from keshi.records.domain import Domain
from keshi.records.number_scales import as_declared
from keshi.records.tests_on_columns import (
    CellTest,
    ColumnValues,
    Mask,
    MissingTest,
    NumberTest,
    SumTest,
    bounds,
    rounding,
)

DIGITS_OF_SUMS = 14  # of the largest one: beyond, a sum of decimals shows how floats are rounded
MOST_PASSES = 8  # a repair may break another rule; n columns in a row are in order after n - 1 passes


def repaired(
    frame: pd.DataFrame, constraints: Sequence[BoundConstraint], domain: Domain
) -> tuple[pd.DataFrame, Mask]:
    """The records after repair, and (n,) which of them keep every constraint.

    Args:
        frame: Decoded records; it is left as it is.
        constraints: The domain's, bound.
        domain: Whose columns and label they are.
    """
    if not constraints:
        return frame, np.ones(len(frame), dtype=bool)
    work = _Work(frame, domain)
    for _ in range(MOST_PASSES):
        changed = False
        for constraint in constraints:
            broken = constraint.broken(work.values)
            if broken.any():
                changed |= work.repair(constraint.rule, broken)
        if not changed:
            break
    broken = np.logical_or.reduce([constraint.broken(work.values) for constraint in constraints])
    return work.frame, ~broken


class _Work:
    """A table under repair."""

    def __init__(self, frame: pd.DataFrame, domain: Domain) -> None:
        self.frame = frame
        self.domain = domain
        self.values = ColumnValues(frame, domain.columns)

    def repair(self, rule: Bound, broken: Mask) -> bool:
        """Make `rule` true of the records that break it, where that can be done exactly; say whether any changed."""
        if isinstance(rule, And):
            changed = False
            for part in rule.parts:  # all of them, whichever changes first
                changed |= self.repair(part, broken)
            return changed
        true, _ = masks(rule, self.values)
        rows = broken & ~true
        if not rows.any():
            return False
        if isinstance(rule, SumTest):
            return self.order(rule, rows) if rule.order != "==" else self.compute(rule, rows)
        if isinstance(rule, CellTest) and rule.answers.count(1) == 1:
            return self.set_cell(rule.column, rule.answers.index(1), rows)
        if isinstance(rule, NumberTest) and rule.order == "==":
            return self.set_numbers(rule.column, np.full(len(rows), rule.numbers[0]), rows)
        if isinstance(rule, MissingTest):
            return self.set_missing(rule.column, rows)
        return False

    def order(self, rule: SumTest, rows: Mask) -> bool:
        """Swap two columns that stand in the wrong order."""
        left, right = rule.left.single, rule.right.single
        if left is None or right is None or rule.order == "!=":
            return False
        (low, absent), (high, missing) = self.values[left], self.values[right]
        rows = rows & ~absent & ~missing & (low != high)
        rows = rows & self.fits(left, high) & self.fits(right, low)
        swapped = self.set_numbers(left, high, rows)
        return self.set_numbers(right, low, rows) or swapped

    def compute(self, rule: SumTest, rows: Mask) -> bool:
        """Compute the total of the parts."""
        for total, parts in ((rule.left, rule.right), (rule.right, rule.left)):
            name = total.single
            if name is not None and name not in [part for _, part in parts.terms]:
                numbers, missing = parts.of(self.values)
                largest = max(map(abs, bounds(self.domain.columns[name])))
                # 0.1 + 0.2 is 0.30000000000000004, and nobody writes that.
                numbers = np.round(numbers, DIGITS_OF_SUMS - math.ceil(math.log10(largest)))
                return self.set_numbers(name, numbers, rows & ~missing & ~self.values[name][1])
        return False

    def fits(self, name: str, numbers: NDArray[np.float64]) -> Mask:
        """(n,) whether the column may hold the numbers."""
        column = self.domain.columns[name]
        lower, upper = bounds(column)
        inside = (numbers >= lower) & (numbers <= upper)
        if isinstance(column, Timestamp):
            return inside & (numbers % column.seconds_apart == 0)
        assert isinstance(column, Numerical)
        # A sum of decimals lies a float's rounding beside one: 0.1 + 0.2 fits into tenths.
        off = 0.0 if column.integer else rounding(column) * max(abs(lower), abs(upper))
        return inside & (np.abs(numbers - as_declared(column, numbers)) <= off)

    def set_numbers(self, name: str, numbers: NDArray[np.float64], rows: Mask) -> bool:
        rows = rows & self.fits(name, numbers)
        if not rows.any():
            return False
        column, series = self.domain.columns[name], self.frame[name]
        lower, upper = bounds(column)
        safe = np.where(rows, numbers, lower)
        if isinstance(column, Timestamp):
            new = decode_seconds(column, (safe - lower) / (upper - lower), np.zeros(len(rows), dtype=bool))
        else:
            assert isinstance(column, Numerical)
            declared = as_declared(column, safe)
            new = pd.Series(declared.astype(np.int64) if column.integer else declared)
        return self.put(name, series.where(~rows, new.astype(series.dtype)))

    def set_cell(self, name: str, cell: int, rows: Mask) -> bool:
        column = self.domain.columns[name]
        if name == self.domain.label:
            return False
        assert isinstance(column, Categorical)
        return self.put(name, decode_cells(column, np.where(rows, cell, self.values[name][0])))

    def set_missing(self, name: str, rows: Mask) -> bool:
        column = self.domain.columns[name]
        if isinstance(column, Categorical):
            return self.set_cell(name, column.cells - 1, rows)
        return self.put(name, self.frame[name].mask(rows))

    def put(self, name: str, series: pd.Series) -> bool:
        self.frame = self.frame.assign(**{name: series.astype(self.frame[name].dtype)})
        self.values = ColumnValues(self.frame, self.domain.columns)
        return True
