"""TableEncoder: rows of a table <-> bounded vectors on a public grid.

Every entry of an encoded vector lies in [-1, 1] and is a whole multiple of 2^-20, computed for each record by itself:
neither the order of rows nor the size of a batch can change one bit of it. Imports neither privacy nor networks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keshi.errors import DomainError
from keshi.records.arrays import decode_arrays, read_arrays
from keshi.records.column_kinds import (
    RESOLUTIONS,
    ArrayColumn,
    Categorical,
    Column,
    Numerical,
    Timestamp,
)
from keshi.records.columns import (
    Problem,
    decode_cells,
    decode_numbers,
    decode_seconds,
    read_cells,
    read_numbers,
    read_seconds,
)
from keshi.records.domain import Domain, listing, table_name
from keshi.records.encoded import FEATURE_BITS, EncodedBatch
from keshi.records.number_scales import shares

ROUNDED = 0.01  # of a range: so far may a dtype move a bound, as float16 does; one that wraps around moves it further


class TableEncoder:
    """Encodes tables that follow a `Domain`, and decodes vectors back to tables of the same columns and dtypes.

    Example:
        >>> domain = Domain({"age": Numerical(0, 100, integer=True)})
        >>> TableEncoder(domain).encode(pd.DataFrame({"age": [0, 50, 100]})).vectors.ravel().tolist()
        [-1.0, 0.0, 1.0]

    Raises:
        DomainError: if a column's values cannot be written back in the dtype that is declared.
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
        self._check_dtypes()

    def encode(self, table: pd.DataFrame, *, source: str = "the table") -> EncodedBatch:
        """Encode the rows of `table`, which is left as it is.

        Raises:
            DomainError: naming every column that contradicts the domain, all at once.
        """
        return next(iter(self.encode_batches([table], source=source)))

    def encode_batches(
        self, tables: Iterable[pd.DataFrame], *, source: str = "the table"
    ) -> Iterator[EncodedBatch]:
        """Encode a table that comes in batches.

        Raises:
            DomainError: after the last batch, naming everything in any of them that contradicts the domain. Batches
                that come after the first such problem are checked and not returned.
        """
        found: dict[tuple[str, str], Problem] = {}
        for table in tables:
            batch, problems = self._encode(table)
            for problem in problems:
                key = (problem.what, problem.advice)
                known = found.get(key, replace(problem, values=()))
                found[key] = replace(problem, values=(known.values + problem.values)[:3])
            if not found:
                yield batch
        if found:
            lines = [f"  - {problem.text(show_values=self.show_values)}" for problem in found.values()]
            raise DomainError("\n".join([f"{source} does not follow {self.domain.source}:", *lines]))

    def decode(self, vectors: NDArray[Any], classes: NDArray[Any]) -> pd.DataFrame:
        """Turn hard vectors (one 1 in every categorical block) and classes back into a table."""
        columns: dict[str, Any] = {}
        slots = {(slot.column, slot.kind): slot for slot in self.domain.slots}
        places: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
        for name, column in self.domain.columns.items():
            if isinstance(column, Categorical):
                if name == self.domain.label:
                    cells = np.asarray(classes, dtype=np.int64)
                else:
                    slot = slots[name, "categorical"]
                    cells = np.asarray(vectors[:, slot.start : slot.stop]).argmax(axis=1)
                columns[name] = decode_cells(column, cells)
                continue
            if isinstance(column, ArrayColumn):
                slot = slots[name, "array"]
                columns[name] = decode_arrays(column, vectors[:, slot.start : slot.stop])
                continue
            scaled = np.asarray(vectors[:, slots[name, "numerical"].start], dtype=np.float64)
            missing = np.zeros(len(scaled), dtype=bool)
            if column.missing:
                missing = np.asarray(vectors[:, slots[name, "missing"].start]) > 0.5
            share = (np.clip(scaled, -1.0, 1.0) + 1.0) / 2.0
            if name in self.domain.differences:
                places[name] = share, missing
                continue
            columns[name] = (
                decode_seconds(column, share, missing)
                if isinstance(column, Timestamp)
                else decode_numbers(column, share, missing)
            )
        for name, one in self.domain.differences.items():
            own, base = self.domain.columns[name], self.domain.columns[one.base]
            share, missing = places[name]
            if isinstance(own, Timestamp):
                assert isinstance(base, Timestamp)
                lower, upper = own.bounds_seconds
                numbers = one.added(own, read_seconds(one.base, base, columns[one.base])[0], share)
                columns[name] = decode_seconds(own, (numbers - lower) / (upper - lower), missing)
            else:
                assert isinstance(own, Numerical)
                assert isinstance(base, Numerical)
                numbers = one.added(own, read_numbers(one.base, base, columns[one.base])[0], share)
                columns[name] = decode_numbers(own, shares(own, numbers), missing)
        return pd.DataFrame({name: columns[name] for name in self.domain.columns})

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

    def _encode(self, table: pd.DataFrame) -> tuple[EncodedBatch, list[Problem]]:
        """The encoded batch, of meaning only where no problem comes with it."""
        names = [str(name) for name in table.columns]
        problems = self._column_name_problems(names)
        batch = EncodedBatch(np.zeros((len(table), self.domain.width)), np.zeros(len(table), dtype=np.int64))
        numbers: dict[str, NDArray[np.float64]] = {}
        missing: dict[str, NDArray[np.int64]] = {}
        for name, column in self.domain.columns.items():
            if names.count(name) != 1:
                continue
            series = table.iloc[:, names.index(name)]  # by position: a table may name its columns 0, 1, 2
            if isinstance(column, Numerical | Timestamp):
                numbers[name], cells, found = self._read_numbers(name, column, series)
            else:
                cells, values, found = self._read_others(name, column, series)
            problems += found
            if found:
                continue
            if name == self.domain.label:
                batch.classes[:] = cells
            elif name not in numbers:
                self._place(batch.vectors, name, cells, values)
            else:
                missing[name] = cells
        if not problems:
            for name in numbers:
                values = self._scaled(name, numbers)
                self._place(batch.vectors, name, missing[name], np.where(missing[name], 0.0, values))
        return batch, problems

    def _column_name_problems(self, names: list[str]) -> list[Problem]:
        double = sorted(name for name, times in Counter(names).items() if times > 1)
        problems = []
        if double:
            problems.append(Problem(f"these column names stand twice: {double}", "Rename one of each."))
        absent = [name for name in self.domain.columns if name not in names]
        if absent:
            problems += [
                Problem(
                    f"column {name!r} is declared but not in the table",
                    f"The table has {names}; rename it there or correct {table_name(name)}.",
                )
                for name in absent
            ]
        allowed = {*self.domain.columns, *self.domain.ignore, *self.domain.identifiers, self.subject}
        return problems + [
            Problem(
                f"column {name!r} is not declared",
                f"Add {table_name(name)}, or list it under ignore.",
            )
            for name in dict.fromkeys(names)
            if name not in allowed
        ]

    def _read_others(
        self, name: str, column: Categorical | ArrayColumn, series: pd.Series
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], list[Problem]]:
        """Cells of a categorical column or entries of an array column, and what is wrong."""
        if isinstance(column, Categorical):
            cells, problems = read_cells(name, column, series)
            return cells, np.empty(0), problems
        entries, problems = read_arrays(name, column, series, outside=self.domain.outside)
        return np.empty(0, dtype=np.int64), entries, problems

    def _read_numbers(
        self, name: str, column: Numerical | Timestamp, series: pd.Series
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], list[Problem]]:
        """Numbers within the bounds, or seconds; 1 where they are missing; and what is wrong."""
        if isinstance(column, Timestamp):
            numbers, missing, problems = read_seconds(name, column, series)
            lower, upper = column.bounds_seconds
        else:
            numbers, missing, problems = read_numbers(name, column, series)
            lower, upper = float(column.lower), float(column.upper)
        if self.domain.outside == "refuse":
            problems += _outside_problems(name, column, series, numbers, missing)
        inside = np.clip(np.where(missing, lower, numbers), lower, upper)
        return inside, missing.astype(np.int64), problems

    def _scaled(self, name: str, numbers: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """(n,) places of a column's numbers, or of their differences, from -1 to 1 on the grid."""
        column, values = self.domain.encoded_columns[name], numbers[name]
        if name in self.domain.differences:
            difference = self.domain.differences[name]
            values = difference.of(self.domain.columns[name], values, numbers[difference.base])
        if isinstance(column, Timestamp):
            lower, upper = column.bounds_seconds
            share = (values - lower) / (upper - lower)
        else:
            assert isinstance(column, Numerical)
            share = shares(column, values)
        return np.asarray(np.rint((share * 2 - 1) * 2**FEATURE_BITS) / 2**FEATURE_BITS)

    def _place(
        self, vectors: NDArray[np.float64], name: str, cells: NDArray[np.int64], values: NDArray[np.float64]
    ) -> None:
        """Write one column's part of the vectors: a one-hot block, or a value and its missing indicator."""
        for slot in (slot for slot in self.domain.slots if slot.column == name):
            if slot.kind == "categorical":
                vectors[np.arange(len(cells)), slot.start + cells] = 1.0
            elif slot.kind == "array":
                vectors[:, slot.start : slot.stop] = values
            else:
                vectors[:, slot.start] = values if slot.kind == "numerical" else cells

    def _check_dtypes(self) -> None:
        """Decode a record of every cell, and of both bounds: a dtype must not fail after the budget is spent.

        Nor may it turn a value into another one, as int8 does of 1,000: what is written must be read as it was.
        """
        problems = []
        for name, column in self.domain.columns.items():
            if isinstance(column, ArrayColumn):  # its dtype follows from what is declared
                continue
            try:
                with np.errstate(over="ignore"):
                    held = _comes_back(name, column)
            except (TypeError, ValueError, OverflowError, AttributeError):
                held = False
            if not held:
                with_missing = ", missing ones among them," if column.missing else ""
                problems.append(
                    f"column {name!r}: its values{with_missing} cannot be written as dtype {column.dtype!r}; "
                    f"leave dtype out of {table_name(name)}, or choose one that can hold them."
                )
        if problems:
            raise DomainError(listing(self.domain.source, problems))


def _comes_back(name: str, column: Categorical | Numerical | Timestamp) -> bool:
    """Whether every cell, or both bounds and a missing value, are read again as what was written in the dtype."""
    if isinstance(column, Categorical):
        cells = np.arange(column.cells)
        read, problems = read_cells(name, column, decode_cells(column, cells))
        return not problems and np.array_equal(read, cells)
    ends, absent = np.array([0.0, 1.0, 0.5]), np.array([False, False, column.missing])
    if isinstance(column, Timestamp):
        numbers, missing, problems = read_seconds(name, column, decode_seconds(column, ends, absent))
        lower, upper = column.bounds_seconds
    else:
        numbers, missing, problems = read_numbers(name, column, decode_numbers(column, ends, absent))
        lower, upper = float(column.lower), float(column.upper)
        if column.integer:
            lower, upper = np.ceil(lower), np.floor(upper)
    off = np.abs(numbers[:2] - (lower, upper))
    rounded = RESOLUTIONS["day"] if isinstance(column, Timestamp) else ROUNDED * (upper - lower)
    return not problems and bool((off <= rounded).all()) and np.array_equal(missing, absent)


def _outside_problems(
    name: str,
    column: Column,
    series: pd.Series,
    numbers: NDArray[np.float64],
    missing: NDArray[np.bool_],
) -> list[Problem]:
    assert not isinstance(column, Categorical | ArrayColumn)
    lower, upper = column.bounds_seconds if isinstance(column, Timestamp) else (column.lower, column.upper)
    problems = []
    for key, how, bad in (
        ("lower", f"below its lower bound {column.lower}", numbers < lower),
        ("upper", f"above its upper bound {column.upper}", numbers > upper),
    ):
        bad = bad & ~missing
        if bad.any():
            problems.append(
                Problem(
                    f"column {name!r} has values {how}",
                    f'Widen it ({table_name(name)} {key} = ...) or set outside = "clip".',
                    tuple(series[bad].iloc[:3]),
                )
            )
    return problems
