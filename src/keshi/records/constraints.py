"""Constraints: rules that every record of the table is publicly known to follow, such as `admitted <= discharged`.

They are declared in the domain file and are public knowledge like bounds: the records are not checked against them,
because how many break a rule would be a statistic of the records. Every sampled record keeps them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keshi.errors import ConditionError
from keshi.records.bound_conditions import Bound, bind, masks
from keshi.records.column_kinds import Column
from keshi.records.possible_records import Alternatives, possible_records
from keshi.records.tests_on_columns import ColumnValues, Mask


@dataclass(frozen=True)
class Constraint:
    """A rule in the language of conditions.

    Attributes:
        rule: What every record follows. Where a missing value leaves it open, it counts as followed.
        given: Only records that meet this condition have to follow the rule, and then a missing value that leaves
            the rule open breaks it. In a domain file: `if = "..."`, `then = "..."`.
        tolerance: Sums this near count as equal, in the unit of the columns; None allows for rounding only.
        difference: Of a rule `a <= b`: whether b is measured as what it adds to a (records.differences); None leaves
            it to the domain, which says so for moments.
    """

    rule: str
    given: str | None = None
    tolerance: float | None = None
    difference: bool | None = None

    def __str__(self) -> str:
        return self.rule if self.given is None else f"if {self.given} then {self.rule}"

    def to_table(self) -> dict[str, Any]:
        """Its table in a domain file."""
        table: dict[str, Any] = (
            {"rule": self.rule} if self.given is None else {"if": self.given, "then": self.rule}
        )
        options = {"tolerance": self.tolerance, "difference": self.difference}
        return table | {key: value for key, value in options.items() if value is not None}


@dataclass(frozen=True)
class BoundConstraint:
    """A constraint bound to the columns of a Domain."""

    rule: Bound
    given: Bound | None
    text: str

    def broken(self, values: ColumnValues) -> Mask:
        """(n,) which records break it."""
        true, false = masks(self.rule, values)
        if self.given is None:
            return false
        given, _ = masks(self.given, values)
        return given & ~true

    @property
    def alternatives(self) -> Alternatives:
        """The ways to keep it."""
        if self.given is None:
            return ((self.rule, "not false"),)
        return ((self.given, "not true"), (self.rule, "true"))


def bind_constraints(
    constraints: Sequence[Constraint], columns: Mapping[str, Column], identifiers: Mapping[str, Any]
) -> tuple[BoundConstraint, ...]:
    """Bind declared constraints to the columns.

    Raises:
        ConditionError: naming the place that cannot be read or bound.
    """

    def bound(text: str, tolerance: float | None) -> Bound:
        return bind(text, columns, identifiers=identifiers, tolerance=tolerance)

    return tuple(
        BoundConstraint(bound(c.rule, c.tolerance), None if c.given is None else bound(c.given, None), str(c))
        for c in constraints
    )


def constraint_problems(
    constraints: Any, columns: Mapping[str, Column], identifiers: Mapping[str, Any]
) -> list[str]:
    """Everything that is wrong with the constraints of a domain, in words."""
    if not isinstance(constraints, tuple) or not all(isinstance(c, Constraint) for c in constraints):
        return [
            f"constraints must be Constraint objects, in a file tables [[constraints]]; got {constraints!r}."
        ]
    problems = []
    bound: list[BoundConstraint] = []
    for number, constraint in enumerate(constraints, 1):
        tolerance = constraint.tolerance
        if tolerance is not None and not _is_tolerance(tolerance):
            problems.append(
                f"constraint {number}: tolerance must be a number of at least 0, got {tolerance!r}."
            )
            continue
        if not isinstance(constraint.difference, bool | None):
            problems.append(
                f"constraint {number}: difference must be true or false, got {constraint.difference!r}."
            )
            continue
        try:
            bound += bind_constraints([constraint], columns, identifiers)
        except ConditionError as error:
            problems.append(f"constraint {number}: {error}")
    if problems:
        return problems
    possible = possible_records([constraint.alternatives for constraint in bound], columns, None)
    if not possible.any:
        return [
            "the constraints contradict each other, or a column's declaration: no record can keep them all. See "
            f"columns {list(possible.blocked)}."
        ]
    return []


def parse_constraints(tables: Any, *, difference: bool | None) -> tuple[tuple[Constraint, ...], list[str]]:
    """The [[constraints]] of a domain file, and everything that is wrong with their form.

    `difference` is taken where they do not say it.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return (), [f"constraints must be tables headed [[constraints]], got {tables!r}."]
    found, problems = [], []
    for number, table in enumerate(tables, 1):
        keys = set(table) - {"tolerance", "difference"}
        if keys not in ({"rule"}, {"if", "then"}):
            problems.append(
                f"constraint {number}: expected rule, or if and then (and tolerance or difference beside them); "
                f"got {sorted(table)}."
            )
            continue
        strange = [key for key in keys if not isinstance(table[key], str)]
        if strange:
            problems.append(f"constraint {number}: {' and '.join(strange)} must be a text.")
            continue
        found.append(
            Constraint(
                table.get("rule", table.get("then")),
                table.get("if"),
                table.get("tolerance"),
                table.get("difference", difference),
            )
        )
    return tuple(found), problems


def _is_tolerance(value: Any) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
