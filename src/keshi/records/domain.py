"""Domain: what is publicly known of a table before anyone looks at its records.

Names, types, bounds, bins and categories stand here because they are public, or were paid for; nothing in this module
ever reads a record. Imports neither privacy nor networks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from keshi.errors import DomainError
from keshi.records.column_kinds import ArrayColumn, Categorical, Column

if TYPE_CHECKING:
    from keshi.records.constraints import Constraint
    from keshi.records.differences import Difference
    from keshi.records.identifiers import Identifier

LEARNED_EPSILON = 20.0  # the grid's slack is recorded at this epsilon, so that it holds for every smaller one


@dataclass(frozen=True)
class Slot:
    """Where a part of a column stands in the encoded vector of a record.

    kind "categorical" is a one-hot block, "numerical" one value in [-1, 1], "missing" one indicator that follows
    the value of a numerical or timestamp column (the value is 0 where the indicator is 1), "array" the entries of an
    image or a window, each in [-1, 1], in the order of its axes.
    """

    column: str
    kind: Literal["categorical", "numerical", "missing", "array"]
    start: int
    stop: int


@dataclass(frozen=True)
class Learned:
    """What learning the bounds, bins and categories cost; every release that rests on them owes it too.

    Attributes:
        mu: Under Gaussian DP, of all measurements of the learning together.
        delta: Grid slack of the noise at epsilon 20, and the deltas of the thresholds.
        unit: Whom it protects, in words.
        epsilon: What it was asked to cost by itself.
        ledger: Identifier of the ledger that has it among its spends; empty where none has.
        run: Name of the run that learnt it.
    """

    mu: float
    delta: float
    unit: str
    epsilon: float
    ledger: str = ""
    run: str = ""

    def delta_at(self, epsilon: float) -> float:
        """What it takes of the delta of a guarantee, or budget, of this epsilon.

        The slack of the grid is (1 + e^epsilon) times a distance (accounting.delta_slack) and recorded at
        LEARNED_EPSILON; beyond, it grows by no more than the factor here.
        """
        return self.delta * math.exp(max(0.0, min(epsilon, 700.0) - LEARNED_EPSILON))


@dataclass(frozen=True)
class Domain:
    """Public knowledge of a table: its columns, its label, and what happens to a value outside.

    Attributes:
        columns: Column name -> Categorical, Ordinal, Numerical, Timestamp, Image or Window, in the order of the table.
        label: Name of the categorical column that says the class of a record; None where there is none.
        outside: "clip" moves a number to the nearest bound and an unlisted category to OTHER where the column has
            that cell; "refuse" raises. An unlisted category without an OTHER cell is refused under both.
        ignore: Columns that may stand in the file and are left out (identifiers, say).
        missing_values: Texts that mean "missing" in a text file, beside the empty one.
        ledger: Identifier of the privacy ledger of this data set; None where it has none.
        learned: What learning the bounds, bins and categories cost; None where they were declared.
        constraints: Rules that every sampled record keeps (constraints.Constraint). The records are not checked.
        identifiers: Column name -> Identifier, or its kind: made up for every sampled record, left out when read.
        differences: Column name -> from which other one it is measured, as the constraints have it.
    """

    columns: Mapping[str, Column]
    label: str | None = None
    outside: Literal["clip", "refuse"] = "clip"
    ignore: tuple[str, ...] = ()
    missing_values: tuple[str, ...] = ()
    ledger: str | None = None
    learned: Learned | None = None
    constraints: tuple[Constraint, ...] = ()
    identifiers: Mapping[str, Identifier] = field(default_factory=dict)
    source: str = field(default="the domain", compare=False)
    differences: Mapping[str, Difference] = field(default_factory=dict, init=False, compare=False)

    def __post_init__(self) -> None:
        for key in ("ignore", "missing_values", "constraints"):
            if isinstance(getattr(self, key), list):
                object.__setattr__(self, key, tuple(getattr(self, key)))
        from keshi.records.domain_checks import column_problems, learned_problems
        from keshi.records.identifiers import Identifier

        made = {k: Identifier(v) if isinstance(v, str) else v for k, v in self.identifiers.items()}
        object.__setattr__(self, "identifiers", made)

        problems = [p for name, column in self.columns.items() for p in column_problems(name, column)]
        if not self.columns:
            problems.append("there are no columns; declare each as a table [columns.NAME].")
        if self.outside not in ("clip", "refuse"):
            problems.append(f'outside must be "clip" or "refuse", got {self.outside!r}.')
        problems += [
            f"{key} must be a text, got {getattr(self, key)!r}."
            for key in ("label", "ledger")
            if not isinstance(getattr(self, key), str | None)
        ]
        for key in ("ignore", "missing_values"):
            texts = getattr(self, key)
            if not isinstance(texts, tuple) or not all(isinstance(text, str) for text in texts):
                problems.append(f"{key} must be a list of texts, got {texts!r}.")
        problems += learned_problems(self.learned)
        if problems:
            raise DomainError(listing(self.source, problems))
        if self.label is not None:
            problems += self._label_problems(self.label)
        both = sorted(set(self.ignore) & set(self.columns))
        if both:
            problems.append(f"columns {both} are both declared and ignored.")
        if self.constraints or self.identifiers:
            from keshi.records.constraints import constraint_problems
            from keshi.records.identifiers import identifier_problems

            problems += identifier_problems(self.identifiers, self.columns, self.ignore)
            problems += constraint_problems(self.constraints, self.columns, self.identifiers)
        if self.constraints and not problems:
            from keshi.records.constraints import bind_constraints
            from keshi.records.differences import decided

            bound = bind_constraints(self.constraints, self.columns, self.identifiers)
            constraints, differences, problems = decided(self.constraints, bound, self.columns)
            object.__setattr__(self, "constraints", constraints)
            object.__setattr__(self, "differences", differences)
        if problems:
            raise DomainError(listing(self.source, problems))

    def _label_problems(self, label: str) -> list[str]:
        column = self.columns.get(label)
        if column is None:
            return [f"label {label!r} is not among the columns {list(self.columns)}."]
        if not isinstance(column, Categorical):
            return [f"label {label!r} must be categorical; declare its classes as categories."]
        if column.cells < 2:
            return [f"label {label!r} has one class; a label needs at least two (or leave the label out)."]
        return []

    @property
    def label_column(self) -> Categorical | None:
        """The label's column, or None."""
        column = self.columns[self.label] if self.label is not None else None
        assert column is None or isinstance(column, Categorical)  # checked in __post_init__
        return column

    @property
    def n_classes(self) -> int:
        """Number of classes of the label; 1 where there is no label."""
        return self.label_column.cells if self.label_column is not None else 1

    @cached_property
    def encoded_columns(self) -> dict[str, Column]:
        """The columns as they are encoded: where rules say so, as the difference from another one."""
        return {**self.columns, **{name: one.column for name, one in self.differences.items()}}

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The layout of the encoded vector: every column but the label, in order."""
        slots: list[Slot] = []
        start = 0
        for name, column in self.columns.items():
            if name == self.label:
                continue
            if isinstance(column, Categorical):
                slots.append(Slot(name, "categorical", start, start + column.cells))
            elif isinstance(column, ArrayColumn):
                slots.append(Slot(name, "array", start, start + math.prod(column.shape)))
            else:
                slots.append(Slot(name, "numerical", start, start + 1))
                if column.missing:
                    slots.append(Slot(name, "missing", start + 1, start + 2))
            start = slots[-1].stop
        return tuple(slots)

    @property
    def width(self) -> int:
        """Length of the encoded vector of a record."""
        return self.slots[-1].stop if self.slots else 0

    @property
    def largest_norm(self) -> float:
        """Largest L2 norm an encoded record can have: a column gives at most 1, an image or a window 1 an entry."""
        entries = sum(slot.stop - slot.start for slot in self.slots if slot.kind == "array")
        return math.sqrt(entries + len({slot.column for slot in self.slots if slot.kind != "array"}))

    @cached_property
    def array_columns(self) -> dict[str, ArrayColumn]:
        """The images and windows among the columns."""
        return {name: column for name, column in self.columns.items() if isinstance(column, ArrayColumn)}

    @classmethod
    def read(cls, path: str | Path) -> Domain:
        """Read a domain file (TOML).

        Raises:
            DomainError: naming every problem of the file at once.
        """
        from keshi.records.domain_file import read

        return read(path)

    @classmethod
    def loads(cls, text: str, *, source: str = "the domain") -> Domain:
        """Parse the text of a domain file; `source` names it in messages."""
        from keshi.records.domain_file import loads

        return loads(text, source=source)

    @classmethod
    def restored(cls, text: str) -> Domain:
        """Parse the domain of an artefact: what it does not say of differences, none was measured by."""
        from keshi.records.domain_file import loads

        return loads(text, source="domain.toml", difference=False)

    def dumps(self) -> str:
        """The text of the domain file; `Domain.loads` gives an equal Domain back."""
        from keshi.records.domain_file import dumps

        return dumps(self)

    def with_ledger(self, ledger: str) -> Domain:
        """The same domain, bound to a ledger."""
        return replace(self, ledger=ledger)


def table_name(column: str) -> str:
    """The heading of a column's table in a domain file, quoted where TOML needs it."""
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", column)
    quoted = json.dumps(column, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"[columns.{column if bare else quoted}]"


def listing(source: str, problems: list[str]) -> str:
    """One message that names all problems of one source."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return f"{source} has {len(problems)} problems:\n" + "\n".join(f"  - {problem}" for problem in problems)
