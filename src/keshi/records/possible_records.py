"""Which records a condition leaves possible, judged from the Domain alone: contradictions, and the classes to draw.

A condition is turned into boxes: alternatives, each saying for some columns which values are allowed. Values are stood
for by candidates: every cell of a categorical column; the named numbers, their neighbours and the bounds of a number.
Comparisons between columns are taken to be possible, so what is found impossible here surely is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from keshi.records.bound_conditions import Bound
from keshi.records.column_kinds import Categorical, Column, Numerical, Timestamp
from keshi.records.conditions import And, Not, Or
from keshi.records.tests_on_columns import CellTest, Mask, MissingTest, NumberTest, Test, number_candidates

MOST_BOXES = 2_000  # beyond, the rest is taken to be possible

Box = dict[str, Mask]
"""Column -> which candidates are allowed; a column that is not named is free."""
Wanted = Literal["true", "false", "not true", "not false"]
Alternatives = tuple[tuple[Bound, Wanted], ...]
_OPPOSITE: dict[Wanted, Wanted] = {
    "true": "false",
    "false": "true",
    "not true": "not false",
    "not false": "not true",
}


class TooManyBoxes(Exception):
    """There are more alternatives than are looked at."""


@dataclass(frozen=True)
class Possible:
    """What is left possible.

    Attributes:
        any: Whether any record is.
        label_cells: Cells of the label that some possible record has; None where all may be.
        blocked: Columns on which the alternatives fail, where no record is possible.
    """

    any: bool
    label_cells: Mask | None
    blocked: tuple[str, ...] = ()


def possible_records(
    wanted: Sequence[Alternatives], columns: Mapping[str, Column], label: str | None
) -> Possible:
    """What records can do all that is wanted at once, of each item at least one alternative."""
    finder = _Finder(columns, [bound for item in wanted for bound, _ in item])
    try:
        boxes = finder.every([[box for one in item for box in finder.boxes(*one)] for item in wanted])
    except TooManyBoxes:
        return Possible(True, None)
    if not boxes:
        return Possible(False, None, tuple(dict.fromkeys(finder.blocked)))
    if label is None or any(label not in box for box in boxes):
        return Possible(True, None)
    return Possible(True, np.logical_or.reduce([box[label] for box in boxes]))


class _Finder:
    def __init__(self, columns: Mapping[str, Column], conditions: Sequence[Bound]) -> None:
        self.columns = columns
        self.blocked: list[str] = []
        named: dict[str, list[float]] = {}
        for test in (test for condition in conditions for test in _tests(condition)):
            if isinstance(test, NumberTest):
                named.setdefault(test.column, []).extend(test.numbers)
        self.candidates = {
            name: number_candidates(column, numbers)
            for name, numbers in named.items()
            if isinstance(column := columns[name], Numerical | Timestamp)
        }

    def boxes(self, bound: Bound, wanted: Wanted) -> list[Box]:
        if isinstance(bound, Not):
            return self.boxes(bound.part, _OPPOSITE[wanted])
        if isinstance(bound, And | Or):
            parts = [self.boxes(part, wanted) for part in bound.parts]
            together = isinstance(bound, And) == (wanted in ("true", "not false"))
            return self.every(parts) if together else [box for part in parts for box in part]
        answers = self.answers(bound)
        if answers is None:
            return [{}]
        if wanted in ("true", "not true"):
            allowed = (answers == 1) == (wanted == "true")
        else:
            allowed = (answers == 0) == (wanted == "false")
        if not allowed.any():
            self.blocked.extend(bound.columns)
            return []
        return [{bound.columns[0]: allowed}]

    def every(self, parts: Sequence[list[Box]]) -> list[Box]:
        """The boxes in all of the lists at once."""
        found: list[Box] = [{}]
        for part in parts:
            merged = []
            for one in found:
                for other in part:
                    both = self.both(one, other)
                    if both is not None:
                        merged.append(both)
                    if len(merged) > MOST_BOXES:
                        raise TooManyBoxes
            found = merged
        return found

    def both(self, one: Box, other: Box) -> Box | None:
        box = dict(one)
        for name, allowed in other.items():
            box[name] = box[name] & allowed if name in box else allowed
            if not box[name].any():
                self.blocked.append(name)
                return None
        return box

    def answers(self, test: Test) -> NDArray[np.int8] | None:
        """1, 0 or -1 for every candidate of the column, the missing one last; None for tests of several columns."""
        if isinstance(test, CellTest):
            return np.array(test.answers, dtype=np.int8)
        if isinstance(test, NumberTest):
            known = test.answer(self.candidates[test.column]).astype(np.int8)
            missing = [-1] if self.columns[test.column].missing else []  # type: ignore[union-attr]
            return np.append(known, missing).astype(np.int8)
        if isinstance(test, MissingTest):
            column = self.columns[test.column]
            cells = column.cells if isinstance(column, Categorical) else len(self.of_number(test.column)) + 1
            return np.append(np.zeros(cells - 1, dtype=np.int8), np.int8(1))
        return None

    def of_number(self, name: str) -> NDArray[np.float64]:
        if name not in self.candidates:
            column = self.columns[name]
            assert isinstance(column, Numerical | Timestamp)
            self.candidates[name] = number_candidates(column, ())
        return self.candidates[name]


def _tests(bound: Bound) -> Iterator[Test]:
    if isinstance(bound, Not):
        yield from _tests(bound.part)
    elif isinstance(bound, And | Or):
        for part in bound.parts:
            yield from _tests(part)
    else:
        yield bound
